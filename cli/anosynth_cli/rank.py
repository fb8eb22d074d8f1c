"""`anosynth rank`: which synthetic anomalies help to find real defects?"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from anosynth.errors import DataError, ParameterError

from . import running

EXAMPLE = "anosynth rank --good good/ --real defects/ --recipes nsa,draem"

_SKIPPED = 3


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    good: Annotated[Path, typer.Option(metavar="DIR", help="Normal photos or point clouds.")],
    recipes: Annotated[str, typer.Option(metavar="A,B,...", help="Recipes, YAML files or names of generators.")],
    real: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="DIR", help="Real defects with or without masks, in a folder or any known layout."),
    ] = None,
    masks: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the masks of --real are, if apart.")] = None,
    layout: Annotated[str, typer.Option(help="Layout of --real, if its names do not tell.")] = "",
    backbone: Annotated[
        str, typer.Option(help="Features of photos: filters, efficientnet-lite0 or timm:NAME.")
    ] = "filters",
    layers: Annotated[str, typer.Option(metavar="A,B", help="Layers of the backbone; the first gives the grid.")] = "",
    weights: Annotated[str, typer.Option(metavar="FILE", help="Weights of the backbone.")] = "",
    size: Annotated[int, typer.Option(help="Side in pixels that photos are resized to.")] = 256,
    seeds: Annotated[int, typer.Option(help="Heads and sets of anomalies for each recipe.")] = 5,
    seed: Annotated[int, typer.Option(help="First of the seeds, and of the split.")] = 0,
    made: Annotated[int, typer.Option(help="Synthetic anomalies for each seed.")] = 96,
    held_out: Annotated[float, typer.Option(help="Share of the normal samples that is kept for the test.")] = 0.3,
    space: Annotated[
        str, typer.Option(help="What heads see of features: whitened, residual, standard or raw.")
    ] = "whitened",
    align: Annotated[
        str, typer.Option(help="What is normal: by place (cell), for all places together (global), or auto.")
    ] = "auto",
    by: Annotated[
        str,
        typer.Option(
            help="Order by image_auroc, image_ap, pixel_auroc, pixel_ap or aupro; of clouds object_auroc and so on."
        ),
    ] = "image_auroc",
    foreground: Annotated[str, typer.Option(help="Where anomalies may lie on photos: auto or none.")] = "auto",
    mm_per_px: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--mm-per-px", help="Photos: what a pixel measures, for recipes with lengths such as 0.3mm."),
    ] = None,
    unit: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Clouds: unit of files that do not say it: mm, cm, um, m or inch."),
    ] = None,
    draws: Annotated[int, typer.Option(help="Resamples for the intervals.")] = 500,
    looks: Annotated[bool, typer.Option(help="Measure coverage and shortcuts beside --real, too.")] = True,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    html: Annotated[Optional[Path], typer.Option(metavar="FILE", help="Write a page.")] = None,  # noqa: UP045
    json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Judge recipes by the same small head, trained on the anomalies of each, on real defects.

    Beside them stand scores that need no synthesis. Without --real it prints what the anomalies cover, how far from
    normal they lie and whether compositing betrays them. The same line gives the same numbers. Exits with 3 if files
    had to be skipped.
    """
    try:
        from anosynth.rank import Settings, rank
        from anosynth.rank.table import table
    except ImportError as error:
        raise DataError(str(error)) from None
    if real is None and (masks is not None or layout):
        raise ParameterError("--masks, --layout: speak of real defects: give --real")
    if html is not None and html.is_dir():
        raise DataError(f"{html}: a folder: expected the name of a file")
    if html is not None and not html.parent.is_dir():
        # To say so after minutes of work would be too late.
        raise DataError(f"{html}: cannot be written: there is no folder {html.parent}")
    settings = Settings(
        backbone=backbone, layers=_words(layers), weights=weights, size=size, seeds=seeds, seed=seed, made=made,
        held_out=held_out, space=space, align=align, foreground=foreground, mm_per_px=mm_per_px, unit=unit,
        draws=draws, by=_figure(by), layout=layout, masks=masks, workers=workers, looks=looks,
        pictures=html is not None,
    )  # fmt: skip
    with running.counted() as bar:

        def step(what: str, done: int, total: int) -> None:
            bar(done, total, what)

        try:
            outcome = rank(good, _words(recipes), real, settings, progress=step)
        except ImportError as error:
            raise DataError(str(error)) from None
    for path, reason in outcome.skipped:
        sys.stderr.write(f"skipped: {reason if path in reason else f'{path}: {reason}'}\n")
    if html is not None:
        _write_page(html, outcome)
    if json:
        sys.stdout.write(jsonlib.dumps(outcome.record(), allow_nan=False) + "\n")
    else:
        sys.stdout.write(table(outcome))
        if html is not None:
            sys.stdout.write(f"page: {html}\n")
    if outcome.skipped:
        raise typer.Exit(_SKIPPED)


def _figure(name: str) -> str:
    """Return the key of a figure, which is called after objects and points where these are judged."""
    return name.replace("-", "_").replace("object_", "image_").replace("point_", "pixel_")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _write_page(html: Path, outcome: Any) -> None:
    from anosynth.io.atomic import atomic_write
    from anosynth.rank.page import page

    text = page(outcome.record(), outcome.pictures)
    with atomic_write(html) as file:
        file.write(text.encode("utf-8", "replace"))
