"""`anosynth merge`: the shards of a run, made on machines that know nothing of each other, become one data set."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

EXAMPLE = "anosynth merge shard-1/ shard-2/ shard-3/ anomalous/"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    paths: Annotated[
        list[Path], typer.Argument(metavar="DIRS... [OUT]", help="Folders with shards, then OUT; or one for both.")
    ],
    move: Annotated[bool, typer.Option("--move", help="Move files from DIRS to OUT instead of linking them.")] = False,
    root: Annotated[Optional[Path], typer.Option(help="Where the sources are now.")] = None,  # noqa: UP045
    report: Annotated[bool, typer.Option("--report", help="Write OUT/report.html as well.")] = False,
    run_functions: Annotated[
        bool, typer.Option("--run-functions", help="Run functions that the manifest names, for the report.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Join the shards of one run (--shard i/n) into one data set: the same as if it had been made without shards.

    With one folder, which all shards were written to, that becomes the data set; with several, the last one is OUT
    and gets links to their files, or copies.
    """
    from anosynth.run.merge import merge, views

    from . import running

    folders, out = (paths[:-1], paths[-1]) if len(paths) > 1 else (paths, paths[0])
    merged = merge(folders, out, move=move, root=root)
    page = None
    if report:
        from anosynth.run import write_report

        page = write_report(out, views(out, running.VIEWS, root, functions=run_functions))
    row = {**vars(merged), "out": str(out), "report": str(page) if page else None}
    sys.stdout.write((jsonlib.dumps(row) if json else _sentence(row)) + "\n")


def _sentence(row: dict[str, Any]) -> str:
    from .running import number_of

    what = f"{row['shards']} shards: " if row["shards"] else "one data set already: "
    copied = f", {number_of(row['copied'], 'normal samples')} copied" if row["copied"] else ""
    skipped = f", {row['skipped']} skipped" if row["skipped"] else ""
    files = f"; {number_of(row['files'], 'files')} brought here" if row["files"] else ""
    report = f"\nreport: {row['report']}" if row["report"] else ""
    made = number_of(row["made"], "anomalous samples")
    return f"{row['out']}: {what}{made}{copied}{skipped}{files}{report}"
