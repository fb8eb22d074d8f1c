"""`anosynth threshold`: from the scores of any detector to a threshold and to what it finds."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from anosynth.errors import DataError, ParameterError

EXAMPLE = "anosynth threshold scores.csv --fpr 0.01 --html threshold.html"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    scores: Annotated[Path, typer.Argument(metavar="SCORES", help="A table: CSV, TSV, or JSON lines (.jsonl).")],
    fpr: Annotated[float, typer.Option("--fpr", help="False positive rate aimed at.")] = 0.01,
    confidence: Annotated[float, typer.Option(help="Confidence of every interval and bound.")] = 0.95,
    assure: Annotated[
        bool, typer.Option("--assure", help="Keep the rate at most --fpr with that confidence, not by estimate only.")
    ] = False,
    threshold: Annotated[
        Optional[float],  # noqa: UP045 - evaluated at run time
        typer.Option(help="Use this threshold instead of choosing one."),
    ] = None,
    against: Annotated[
        list[str],
        typer.Option(
            help="severity, size_mm or another column of numbers to draw detection against; may be repeated. By "
            "default severity and a size, where they vary.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 - typer's form
    unit: Annotated[str, typer.Option(help="Unit of sizes, where their values carry none.", show_default=False)] = "",
    scale: Annotated[
        str,
        typer.Option(
            help="log or linear: what the curve is fitted over; by default linear for severity, log for sizes.",
            show_default=False,
        ),
    ] = "",
    pod: Annotated[float, typer.Option("--pod", help="Probability of detection that defects are looked up for.")] = 0.9,
    columns: Annotated[
        str, typer.Option(help="Names of columns, as score=my_col,label=truth.", show_default=False)
    ] = "",
    split: Annotated[
        str, typer.Option(help="Use the rows of this split alone, normal and anomalous.", show_default=False)
    ] = "",
    where: Annotated[
        list[str],
        typer.Option(
            help="COLUMN=VALUE: of the anomalous rows, use these alone; may be repeated. Normal rows are all kept.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    html: Annotated[Optional[Path], typer.Option(help="Write a page with the curves.")] = None,  # noqa: UP045
    json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Choose a threshold by a detector's scores of normal samples, and say which defects it finds.

    SCORES has a row a sample with the columns score (higher is more anomalous) and label (0 or 1, good or anomalous),
    and if known severity, size or size_mm, type, split, and group (rows that belong together). A sample counts as
    anomalous if its score is above the threshold. Add scores to the ladder.csv that `anosynth ladder` writes to see
    from which severity and size on defects are found.
    """
    from anosynth.threshold import assess, read_scores
    from anosynth.threshold.judge import selected
    from anosynth.threshold.table import table

    table_of = read_scores(scores, _pairs("--columns", [part for part in columns.split(",") if part.strip()]))
    if split or where:
        table_of = selected(table_of, split=split, where=_pairs("--where", where))
    outcome = assess(
        table_of,
        fpr=fpr,
        confidence=confidence,
        against=against,
        unit=unit,
        scale=scale,
        level=pod,
        assure=assure,
        threshold=threshold,
    )
    if html is not None:
        from anosynth.io.atomic import atomic_write
        from anosynth.threshold.page import page

        if html.is_dir():
            raise DataError(f"{html}: a folder: expected the name of a file")
        with atomic_write(html) as file:
            file.write(page(outcome).encode("utf-8", "replace"))
    if json:
        sys.stdout.write(jsonlib.dumps(outcome.record(), allow_nan=False) + "\n")
        return
    sys.stdout.write(table(outcome))
    if html is not None:
        sys.stdout.write(f"page: {html}\n")


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not (name.strip() and mark and value.strip()):
            form = "score=my_col" if option == "--columns" else "COLUMN=VALUE"
            raise ParameterError(f"{option}: {text}: must be {form}")
        found[name.strip().lower()] = value.strip()
    return found
