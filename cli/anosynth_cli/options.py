"""From a generator's fields to command-line options: the only bridge between the two."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, Optional, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from anosynth.generator import Generator
from anosynth.params import Area, extra_of

_FORMS: dict[Any, str] = {int: "INTEGER", bool: "true|false", float: "NUMBER", str: "TEXT"}


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

    command.__signature__ = inspect.Signature([*kept, *options])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*kept, *options]}
    return command


def describe(generator: type[Generator], name: str) -> str:
    """Return one line on a parameter: help, unit, bounds, default and the range that it varies over."""
    field = generator.model_fields[name]
    extra = extra_of(field)
    text = field.description or ""
    if extra.get("unit"):
        text += f" ({extra['unit']})"
    low, high = bounds(extra)
    if low or high:
        text += f"; {low}{' ' if low and high else ''}{high}"
    vary = extra.get("vary")
    if vary is not None:
        text += f"; varies over {vary if isinstance(vary, str) else ':'.join(map(str, vary))}"
    else:
        text += f"; default {field.default}"
    return text


def bounds(extra: Any) -> tuple[str, str]:
    """Return the lower and the upper bound as texts, "" where there is none."""
    low = f">= {extra['minimum']}" if "minimum" in extra else ""
    low = f"> {extra['exclusiveMinimum']}" if "exclusiveMinimum" in extra else low
    high = f"<= {extra['maximum']}" if "maximum" in extra else ""
    high = f"< {extra['exclusiveMaximum']}" if "exclusiveMaximum" in extra else high
    return low, high


def form(field: FieldInfo) -> str:
    """Return the written form of a field's values, for help and tables."""
    if get_origin(field.annotation) is Literal:
        return "|".join(str(value) for value in get_args(field.annotation))
    if field.annotation in _FORMS:
        return _FORMS[field.annotation]
    return "AREA" if get_args(Area)[1] in field.metadata else "LENGTH"
