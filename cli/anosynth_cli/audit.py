"""`anosynth audit`: is a data set honest, whichever tool wrote it?"""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from anosynth.errors import DataError, ParameterError

from . import running

EXAMPLE = "anosynth audit anomalous/ --html audit.html"

_FAULTS = 3


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    data: Annotated[Optional[Path], typer.Argument(metavar="[DIR]", help="A data set of photos and masks.")] = None,  # noqa: UP045
    layout: Annotated[
        str,
        typer.Option(help="mvtec, mvtec-loco, visa, btad, mpdd, real-iad, photos or folder; by default as it looks."),
    ] = "",
    images: Annotated[Optional[Path], typer.Option(help="Anomalous photos, in place of DIR.")] = None,  # noqa: UP045
    masks: Annotated[Optional[Path], typer.Option(help="Their masks, under the same names or as NAME_mask.")] = None,  # noqa: UP045
    normals: Annotated[Optional[Path], typer.Option(help="Normal photos that go with them.")] = None,  # noqa: UP045
    sources: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Where the originals of the anomalous photos are, under the same names or the beginnings of them."
        ),
    ] = None,
    match: Annotated[
        bool, typer.Option("--match", help="Find originals by their looks: in --sources, else among the normal photos.")
    ] = False,
    against: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Real defects to compare with: a data set, or one folder with defects/ and masks/."),
    ] = None,
    leak: Annotated[float, typer.Option(help="Fault if more of what changed lies outside of the mask.")] = 0.01,
    dead: Annotated[float, typer.Option(help="Fault if more of the mask did not change.")] = 0.01,
    invisible: Annotated[float, typer.Option(help="Fault if more of the mask changed by less than --floor.")] = 0.05,
    faint: Annotated[
        float, typer.Option(help="Without an original: fault if more of it is like its surroundings.")
    ] = 0.5,
    full: Annotated[float, typer.Option(help="Fault if more of a photo is labelled.")] = 0.9,
    least: Annotated[int, typer.Option(help="Fault if fewer pixels are labelled.")] = 8,
    floor: Annotated[float, typer.Option(help="Least change that can be seen, in levels of 255.")] = 4.0,
    tolerance: Annotated[
        float, typer.Option(help="Largest change taken for none, in levels of 255; JPEG needs some.")
    ] = 0.0,
    ks: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Fault if a property is further from --against (KS distance)."),
    ] = None,
    show: Annotated[int, typer.Option(min=0, help="Cases of a finding that are printed; 0 for all.")] = 5,
    html: Annotated[Optional[Path], typer.Option(help="Write a page that shows the worst samples.")] = None,  # noqa: UP045
    json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON object.")] = False,
) -> None:
    """Measure whether masks are what changed, can be seen and fit their photos, and whether splits are clean.

    DIR may come from any tool. What its anomalous photos were made of is known if anosynth made them; for others
    --sources or --match finds it. Thresholds are shares from 0 to 1. Exits with 0 if there are no faults, with 3 if
    there are, with 1 if DIR cannot be audited.
    """
    from anosynth.audit import Limits, audit
    from anosynth.audit.table import table

    limits = Limits(leak, dead, invisible, faint, full, least, floor / 255, tolerance / 255, ks)
    found = _found(data, layout, images, masks, normals)
    if ks is not None and against is None:
        raise ParameterError(f"--ks: {ks:g}: needs --against")
    with running.counted("photos") as step:
        outcome = audit(found, sources=sources, match=match, against=against, limits=limits, progress=step)
    if html is not None:
        _write_page(html, outcome, found, sources, match)
    if json:
        sys.stdout.write(jsonlib.dumps(outcome.record(), allow_nan=False) + "\n")
    else:
        sys.stdout.write(table(outcome, shown=show))
        if html is not None:
            sys.stdout.write(f"page: {html}\n")
    if not outcome.honest:
        raise typer.Exit(_FAULTS)


def _found(data: Path | None, layout: str, images: Path | None, masks: Path | None, normals: Path | None) -> Any:
    from anosynth.audit import find, plain

    if data is not None:
        for name, value in (("--images", images), ("--masks", masks), ("--normals", normals)):
            if value is not None:
                raise ParameterError(f"{name}: {value}: cannot be given together with DIR, {data}")
        return find(data, layout or None)
    if images is None or masks is None:
        raise ParameterError("DIR: missing: give a data set, or --images and --masks")
    if layout:
        raise ParameterError(f"--layout: {layout}: cannot be given together with --images")
    return plain(images, masks, normals)


def _write_page(html: Path, outcome: Any, found: Any, sources: Path | None, match: bool) -> None:
    from anosynth.audit.page import page
    from anosynth.io.atomic import atomic_write

    if html.is_dir():
        raise DataError(f"{html}: a folder: expected the name of a file")
    text = page(outcome, sources=sources, match=match)
    with atomic_write(html) as file:
        file.write(text.encode("utf-8", "replace"))
