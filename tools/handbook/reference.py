"""Reference pages: every command's help, and the JSON Schema of every generator."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator
from typing import Any

from anosynth.generator import FAMILIES, find, names
from anosynth.schema import generator_schema, recipe_schema
from anosynth_cli.main import COMMANDS, run
from anosynth_cli.options import written

from .words import cell, code, table

SCHEMA_FILE = "recipe.schema.json"
_WIDTH = "80"
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def commands() -> str:
    """Return the help of `anosynth` and of each of its commands, under a heading each."""
    parts = []
    for name in COMMANDS:
        text = help_of(name)
        parts.append(f"## {name}\n\n{cell(COMMANDS[name])}.\n\n```text\n{text}\n```")
    return f"```text\n{help_of()}\n```\n\n" + "\n\n".join(parts)


def help_of(*words: str) -> str:
    """Return what `anosynth WORDS --help` prints, 80 columns wide."""
    out = io.StringIO()
    with _columns(), contextlib.redirect_stdout(out):
        code_ = run([*words, "--help"])
    if code_:
        raise RuntimeError(f"anosynth {' '.join(words)} --help: exit code {code_}")
    return out.getvalue().strip("\n")


@contextlib.contextmanager
def _columns() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ("COLUMNS", "TERMINAL_WIDTH", "NO_COLOR")}
    os.environ.update(COLUMNS=_WIDTH, TERMINAL_WIDTH=_WIDTH, NO_COLOR="1")
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def schemas() -> str:
    """Return a table of the JSON Schema of each generator's entry in a recipe."""
    parts = []
    for family in FAMILIES:
        parts.append(f"## {family}")
        for name in names(family):
            schema = generator_schema(find(family, name))
            own = [key for key in schema["properties"] if key not in ("generator", "weight")]
            rows = [_property(key, schema["properties"][key]) for key in own]
            head = ["property", "type", "bounds", "default", "varies over"]
            parts.append(f"### {name} {{ #{family}-{name} }}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def whole_schema() -> str:
    """Return the JSON Schema of recipes of all families, as `anosynth schema --all` prints it."""
    return json.dumps(recipe_schema(), indent=1) + "\n"


def _property(name: str, schema: dict[str, Any]) -> list[str]:
    plain = schema["anyOf"][0]
    vary = schema.get("vary", "")
    return [
        code(name),
        _kind(plain),
        cell(", ".join(f"{key} {plain[key]:g}" for key in _BOUNDS if key in plain)),
        code(written(schema.get("default", ""))),
        code(vary if isinstance(vary, str) else json.dumps(vary)),
    ]


def _kind(plain: dict[str, Any]) -> str:
    if "enum" in plain:
        return " or ".join(code(json.dumps(value)) for value in plain["enum"])
    if "const" in plain:
        return code(json.dumps(plain["const"]))
    if "anyOf" in plain:
        return " or ".join(cell(part.get("type", "any")) for part in plain["anyOf"])
    return cell(plain.get("type", "any"))
