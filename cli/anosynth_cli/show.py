"""`anosynth show`: what a generator does and takes."""

from __future__ import annotations

import inspect
import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Optional

import typer

from anosynth.errors import ParameterError, UnknownGenerator, did_you_mean
from anosynth.generator import FAMILIES, find, names

from .options import describe, form

EXAMPLE = "anosynth show perlin-surface"

FamilyName = Annotated[
    Optional[str],  # noqa: UP045 - evaluated at run time
    typer.Option("--family", help="Family of the generator, where its name has others."),
]


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Generator or recipe; see `anosynth list`.")],
    family: FamilyName = None,
    json: Annotated[bool, typer.Option("--json", help="Print the parameters as JSON Schema.")] = False,
) -> None:
    """Show a generator (formula, source, parameters, bounds, an example line), or a named recipe as JSON.

    Of a recipe and a generator of one name (nsa) it is the recipe; with --family it is the generator.
    """
    from anosynth.recipe import Recipe, recipe_names
    from anosynth.schema import generator_schema

    if name in recipe_names() and family is None:
        sys.stdout.write(jsonlib.dumps(Recipe.read(name).record(), indent=1) + "\n")
        for other in FAMILIES:
            if name in names(other):
                sys.stderr.write(f"There is a generator of this name, too: anosynth show --family {other} {name}\n")
        return
    cls = find(family_of(name, family), name)
    if json:
        sys.stdout.write(jsonlib.dumps(generator_schema(cls), indent=1) + "\n")
        return
    sys.stdout.write(f"{cls.name} ({cls.family}, version {cls.version})\n\n{inspect.getdoc(cls)}\n\nParameters\n")
    for field_name, field in cls.model_fields.items():
        sys.stdout.write(f"  --{field_name.replace('_', '-')} {form(field)}\n      {describe(cls, field_name)}\n")
    for other in FAMILIES:
        if other != cls.family and name in names(other):
            sys.stdout.write(f"\nThere is another one: anosynth show --family {other} {name}\n")
    line = {
        "pointclouds": "pointcloud --generator {} in.ply out/",
        "images": "images --generator {} good/ out/",
        "features": "features --generator {} train.npy out/",
    }
    sys.stdout.write(f"\nExample: anosynth {line[cls.family].format(cls.name)}\n")


def family_of(name: str, family: str | None) -> str:
    """Return the family that is asked for, else the first that has a generator of this name.

    Raises:
        ParameterError: there is no such family.
        UnknownGenerator: no family has it.
    """
    if family is None:
        found = next((family for family in FAMILIES if name in names(family)), None)
        if found is None:
            known = sorted({other for family in FAMILIES for other in names(family)})
            raise UnknownGenerator(f"no generator `{name}`{did_you_mean(name, known)}")
        return found
    if family not in FAMILIES:
        raise ParameterError(f"--family: {family}: must be one of {', '.join(FAMILIES)}")
    return family
