"""`anosynth schema`: JSON Schema of a generator's parameters."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Optional

import typer

from anosynth.errors import ParameterError
from anosynth.generator import find

from .show import FamilyName, family_of

EXAMPLE = "anosynth schema dent"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    name: Annotated[Optional[str], typer.Argument(metavar="NAME", help="Generator; see `anosynth list`.")] = None,  # noqa: UP045
    family: FamilyName = None,
    every: Annotated[bool, typer.Option("--all", help="One schema for the recipes of all families.")] = False,
) -> None:
    """Print the JSON Schema of a generator's entry in a recipe, or with --all of whole recipes."""
    from anosynth.schema import generator_schema, recipe_schema

    if every == (name is not None):
        raise ParameterError("schema: give a NAME, or --all")
    schema = generator_schema(find(family_of(name, family), name)) if name else recipe_schema()
    sys.stdout.write(json.dumps(schema, indent=1) + "\n")
