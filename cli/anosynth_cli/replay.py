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
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A data set that anosynth wrote: a folder or its URL.")],
    only: Annotated[Optional[str], typer.Option(help="The id of one sample.")] = None,  # noqa: UP045
    root: Annotated[Optional[Path], typer.Option(help="Where the sources are now.")] = None,  # noqa: UP045
    write: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Keep what is made: as a data set of files, in a folder of its own."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Local processes (with --write).")] = 1,
    run_functions: Annotated[
        bool, typer.Option("--run-functions", help="Run functions that the manifest names (external, --foreground).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each sample.")] = False,
) -> None:
    """Make samples again from their manifest lines alone, and compare every byte.

    They are made in a temporary folder, or with --write DIR kept: so a data set that stores recipes alone, or tars,
    becomes one of files.
    """
    from anosynth.run import replay, write_again

    if write is None:
        print_findings(replay(out, only, root, functions=run_functions), as_json=json)
    else:
        again = write_again(out, write, only, root, workers=workers, functions=run_functions)
        print_findings(again, as_json=json)
