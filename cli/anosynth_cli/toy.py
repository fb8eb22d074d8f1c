"""`anosynth toy`: licence-free parts made on the spot."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

EXAMPLE = "anosynth toy gear parts/"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    from anosynth.toy import KINDS

    _run.__doc__ = (
        "Make toy parts with known units, or toy data sets in real layouts.\n\nKINDs: " + ", ".join(KINDS) + "."
    )
    return _run


def _run(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to make.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write to.")],
    count: Annotated[int, typer.Option(min=1, help="Samples of each part.")] = 4,
    points: Annotated[int, typer.Option(min=100, help="Points of each scan.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of sizes and scans.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each file.")] = False,
) -> None:
    from anosynth.toy import make_toy

    for path in make_toy(kind, out, seed=seed, count=count, points=points):
        sys.stdout.write(f"{jsonlib.dumps({'path': str(path)}) if json else path}\n")
