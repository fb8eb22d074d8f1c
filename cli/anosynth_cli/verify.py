"""`anosynth verify`: is a data set whole, and are its labels what changed?"""

from __future__ import annotations

import json as jsonlib
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

EXAMPLE = "anosynth verify out/"

_ALIKE = 10
"""Samples of which one and the same is said that are named."""


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A data set that anosynth wrote: a folder or its URL.")],
    root: Annotated[Optional[Path], typer.Option(help="Where the sources are now.")] = None,  # noqa: UP045
    run_functions: Annotated[
        bool, typer.Option("--run-functions", help="Run functions that the manifest names, where recipes are stored.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each sample.")] = False,
) -> None:
    """Check every file's hash, and that each mask is exactly what differs from the source.

    Exits with 1 if something is wrong, with 3 if nothing is but some could not be checked: sources or shards that are
    not here.
    """
    from anosynth.run import verify

    print_findings(verify(out, root, functions=run_functions), as_json=json)


def print_findings(findings: Iterable[object], *, as_json: bool) -> None:
    """Print findings, those that are not ok in words; exit with 1 if one is bad, with 3 if one was not checked."""
    counts = {"ok": 0, "unchecked": 0, "bad": 0}
    alike: Counter[tuple[str, str]] = Counter()
    for finding in findings:
        row = vars(finding)
        counts[row["state"]] += 1
        if as_json:
            sys.stdout.write(jsonlib.dumps(row) + "\n")
        elif row["state"] != "ok":
            alike[row["state"], row["text"]] += 1
            if alike[row["state"], row["text"]] <= _ALIKE:
                sys.stdout.write(f"{row['state']}: {row['id']}: {row['text']}\n")
    if not as_json:
        for (state, text), number in alike.items():
            if number > _ALIKE:
                sys.stdout.write(f"{state}: and {number - _ALIKE} more: {text}\n")
        rest = f", {counts['unchecked']} unchecked" if counts["unchecked"] else ""
        sys.stdout.write(f"{counts['ok']} ok, {counts['bad']} bad{rest}\n")
    if counts["bad"] or counts["unchecked"]:
        raise typer.Exit(1 if counts["bad"] else 3)
