"""`anosynth schema`: JSON Schema of a generator's parameters."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from anosynth.generator import find

from .show import family_of

EXAMPLE = "anosynth schema dent"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(name: Annotated[str, typer.Argument(metavar="NAME", help="Generator; see `anosynth list`.")]) -> None:
    """Print the JSON Schema of a generator's entry in a recipe."""
    from anosynth.schema import generator_schema

    sys.stdout.write(json.dumps(generator_schema(find(family_of(name), name)), indent=1) + "\n")
