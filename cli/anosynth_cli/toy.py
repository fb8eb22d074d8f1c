"""`anosynth toy`: licence-free parts made on the spot."""

from __future__ import annotations

import json as jsonlib
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated

import typer

EXAMPLE = "anosynth toy gear parts/"

_WIDEST = 80
"""Columns that help takes at most."""


def command(arguments: Sequence[str]) -> Callable[..., None]:
    _run.__doc__ = f"Make toy parts with known units, or toy data sets in real layouts.\n\nKINDs:\n\n{_kinds()}"
    return _run


def _run(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to make.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write to; other files there stay.")],
    count: Annotated[int, typer.Option(min=1, help="Samples of each part.")] = 4,
    points: Annotated[int, typer.Option(min=100, help="Points of each scan.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of sizes and scans.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each file.")] = False,
) -> None:
    from anosynth.toy import make_toy

    for path in make_toy(kind, out, seed=seed, count=count, points=points):
        sys.stdout.write(f"{jsonlib.dumps({'path': str(path)}) if json else path}\n")


def _kinds() -> str:
    """Return a line or more for each kind, as a paragraph that help does not wrap anew."""
    from anosynth.toy import KINDS

    first = max(map(len, KINDS)) + 2
    width = max(min(get_terminal_size().columns, _WIDEST) - first - 4, 20)
    lines = ["\b"]
    for name, text in KINDS.items():
        head, *rest = textwrap.wrap(text, width, break_on_hyphens=False)
        lines += [f"{name:<{first}}{head}", *(" " * first + more for more in rest)]
    return "\n".join(lines)
