"""From docstrings and declarations to Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from anosynth.generator import Generator
from anosynth.params import extra_of
from anosynth_cli.options import bounds, form, ranged, written

_SPECIAL = re.compile(r"([\\*_\[\]#])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "|": "&#124;"}


def escaped(text: str) -> str:
    """Return text in which Markdown sees nothing but code between backticks."""
    parts = re.split(r"(`[^`\n]*`)", text)
    return "".join(part if number % 2 else _plain(part) for number, part in enumerate(parts))


def _plain(text: str) -> str:
    text = _SPECIAL.sub(r"\\\1", text)
    for sign, entity in _ENTITIES.items():
        text = text.replace(sign, entity)
    return text


def cell(text: Any) -> str:
    """Return text as it may stand in a table."""
    return " ".join(escaped(str(text)).split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are Markdown already."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def code(value: Any) -> str:
    """Return a value in backticks; a choice as one in backticks for each, since a bar would end the cell of a table."""
    return " &#124; ".join(f"`{part}`" for part in str(value).split("|")) if str(value) else ""


def prose(thing: Any) -> str:
    """Return a docstring but its first line and what follows `Args:`, as Markdown."""
    text = inspect.getdoc(thing) or ""
    body = text.partition("\n")[2].strip()
    body = re.split(r"^(?:Args|Attributes|Returns|Raises):$", body, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n\n".join(paragraph for block in re.split(r"\n\s*\n", body) if (paragraph := _paragraph(block)))


def _paragraph(block: str) -> str:
    if not block.strip():
        return ""
    if block.startswith("    "):
        return block
    if block.startswith("- "):
        return "\n".join(f"- {escaped(' '.join(item.split()))}" for item in re.split(r"(?:^|\n)- ", block)[1:])
    # A line that begins with a number and a point, or with a dash, would begin a list.
    text = escaped(" ".join(block.split()))
    text = re.sub(r"^(Source|Inspired by|Ours)\b", r"**\1**", text)
    return re.sub(r"^([-+]|\d+\.)(?= )", r"\\\1", text)


def parameters(generator: type[Generator], names: Iterable[str]) -> str:
    """Return the table of some parameters of a generator."""
    rows = []
    for name in names:
        field = generator.model_fields[name]
        extra = extra_of(field)
        rows.append(
            [
                code(name),
                code(form(field)),
                code(written(field.default)),
                code(ranged(extra)),
                bounds(extra).replace(" ", "&nbsp;"),
                cell(field.description or "") + (f" ({cell(extra['unit'])})" if extra.get("unit") else ""),
            ]
        )
    return table(["parameter", "written as", "default", "varies over", "bounds", "what it does"], rows)


def own_parameters(generator: type[Generator], common: dict[str, FieldInfo]) -> list[str]:
    """Return the parameters of a generator that its family does not share, or that differ from the family's."""
    fields = generator.model_fields
    return [
        name
        for name, field in fields.items()
        if name not in common
        or (field.default, field.description, dict(extra_of(field)))
        != (common[name].default, common[name].description, dict(extra_of(common[name])))
    ]
