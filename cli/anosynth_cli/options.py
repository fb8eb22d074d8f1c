"""From a generator's fields to command-line options: the only bridge between the two."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Optional, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from anosynth.generator import Generator
from anosynth.params import Area, extra_of

from .forms import FORMS, declare


def given(arguments: Sequence[str], *flags: str) -> str | None:
    """Return the value of an option on a command line that is not parsed yet, or None; the last one counts."""
    found = None
    for place, word in enumerate(arguments):
        if word == "--":
            break
        if word in flags:
            found = arguments[place + 1] if place + 1 < len(arguments) else None
        for flag in flags:
            joint = f"{flag}=" if flag.startswith("--") else flag
            if word.startswith(joint) and len(word) > len(flag):
                found = word[len(joint) :]
    return found


def with_parameters(function: Callable[..., None], generator: type[Generator]) -> Callable[..., None]:
    """Return `function(values=..., ...)` as a command that has an option for each parameter of `generator`.

    The options that were given arrive in `values`, as they were written.
    """
    fields = generator.model_fields
    fixed = inspect.signature(function, eval_str=True).parameters
    kept = [parameter for name, parameter in fixed.items() if name != "values"]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Optional[str],  # noqa: UP045 - evaluated at run time
            default=typer.Option(
                None,
                f"--{name.replace('_', '-')}",
                help=f"[{generator.name}] {describe(generator, name)}",
                metavar=form(field),
                show_default=False,
            ),
        )
        for name, field in fields.items()
    ]

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        values = {name: kwargs.pop(name) for name in fields}
        function(*args, values={name: value for name, value in values.items() if value is not None}, **kwargs)

    declare(command, inspect.Signature([*kept, *options]))
    return command


def describe(generator: type[Generator], name: str) -> str:
    """Return one line on a parameter: help, unit, bounds, default and the range that it varies over."""
    field = generator.model_fields[name]
    extra = extra_of(field)
    text = field.description or ""
    if extra.get("unit"):
        text += f" ({extra['unit']})"
    if bounds(extra):
        text += f"; {bounds(extra)}"
    varied = ranged(extra)
    return f"{text}; varies over {varied}" if varied else f"{text}; default {written(field.default)}"


def bounds(extra: Mapping[str, Any]) -> str:
    """Return the bounds of a parameter in words, such as `above 0 to 0.5`, "" if it has none."""
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return " ".join(f"{word} {extra[bound]:.7g}" for bound, word in words.items() if bound in extra)


def ranged(extra: Mapping[str, Any]) -> str:
    """Return what a parameter varies over as it is written, "" if it is fixed unless given."""
    vary = extra.get("vary")
    return "" if vary is None else vary if isinstance(vary, str) else ":".join(map(str, vary))


def written(value: Any) -> str:
    """Return a default as it is written on the command line; "empty" for no text."""
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value == "" else str(value)


def form(field: FieldInfo) -> str:
    """Return the written form of a field's values, for help and tables."""
    if get_origin(field.annotation) is Literal:
        return "|".join(str(value) for value in get_args(field.annotation))
    if field.annotation in FORMS:
        return FORMS[field.annotation]
    return "AREA" if get_args(Area)[1] in field.metadata else "LENGTH"
