"""`anosynth list`: the generators and named recipes."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from anosynth.generator import FAMILIES, find, names

EXAMPLE = "anosynth list --json"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List the generators of every family and the named recipes."""
    from anosynth.recipe import recipe_names
    from anosynth.schema import summary

    rows = [
        {"family": family, "generator": name, "version": cls.version, "summary": summary(cls)}
        for family in FAMILIES
        for name in names(family)
        for cls in [find(family, name)]
    ]
    if json:
        sys.stdout.write(jsonlib.dumps({"generators": rows, "recipes": recipe_names()}, indent=1) + "\n")
        return
    width = max(len(str(row["generator"])) for row in rows)
    for family in FAMILIES:
        sys.stdout.write(f"{family}\n")
        for row in rows:
            if row["family"] == family:
                sys.stdout.write(f"  {row['generator']!s:<{width}}  {row['summary']}\n")
    sys.stdout.write(f"recipes\n  {'  '.join(recipe_names())}\n")
