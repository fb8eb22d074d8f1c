"""`anosynth show`: what a generator does and takes."""

from __future__ import annotations

import inspect
import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from anosynth.generator import FAMILIES, find, names

from .options import describe, form

EXAMPLE = "anosynth show perlin-surface"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Generator or recipe; see `anosynth list`.")],
    json: Annotated[bool, typer.Option("--json", help="Print the parameters as JSON Schema.")] = False,
) -> None:
    """Show a generator (formula, source, parameters, bounds, an example line) or a named recipe."""
    from anosynth.recipe import Recipe, recipe_names
    from anosynth.schema import generator_schema

    if name in recipe_names():
        sys.stdout.write(jsonlib.dumps(Recipe.read(name).record(), indent=1) + "\n")
        return
    cls = find(family_of(name), name)
    if json:
        sys.stdout.write(jsonlib.dumps(generator_schema(cls), indent=1) + "\n")
        return
    sys.stdout.write(f"{cls.name} ({cls.family}, version {cls.version})\n\n{inspect.getdoc(cls)}\n\nParameters\n")
    for field_name, field in cls.model_fields.items():
        sys.stdout.write(f"  --{field_name.replace('_', '-')} {form(field)}\n      {describe(cls, field_name)}\n")
    line = {"pointclouds": "pointcloud --generator {} in.ply out/", "images": "images --generator {} good/ out/"}
    sys.stdout.write(f"\nExample: anosynth {line[cls.family].format(cls.name)}\n")


def family_of(name: str) -> str:
    """Return the family that has a generator of this name; the first one if none has, for its error message."""
    return next((family for family in FAMILIES if name in names(family)), next(iter(FAMILIES)))
