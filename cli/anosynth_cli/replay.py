"""`anosynth replay`: make samples again from their manifest lines and compare the bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from .verify import print_findings

EXAMPLE = "anosynth replay out/ --only in_000.ply"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A data set that anosynth wrote.")],
    only: Annotated[Optional[str], typer.Option(help="The id of one sample.")] = None,  # noqa: UP045
    root: Annotated[Optional[Path], typer.Option(help="Where the sources are now.")] = None,  # noqa: UP045
    json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each sample.")] = False,
) -> None:
    """Make samples again in a temporary folder from their manifest lines alone, and compare every byte."""
    from anosynth.run import replay

    print_findings(replay(out, only, root), as_json=json)
