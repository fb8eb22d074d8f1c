"""From a finished data set to `OUT/report.html`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anosynth.io.atomic import atomic_write
from anosynth.report import render

from .drive import inside
from .manifest import manifests, read_lines

MEASURED = 20_000
"""Photos of which at most the size is looked up, for where in the frame their defects lie."""


def write_report(out: Path, views: Mapping[str, Any]) -> Path:
    """Write the report of the data set in OUT, with the given views by sample id, and return its path.

    The table holds five thousand samples; the statistics are of all that the manifest has.

    Raises:
        DataError: there is no manifest in OUT.
        WriteError: the report cannot be written.
    """
    lines = read_lines(manifests(out)[0])
    header = next(lines)
    rows, shown = lines, ""
    if header["recipe"].get("family") == "images":
        rows = _framed(out, lines)
    elif header["recipe"].get("family") == "features":
        from . import _shown

        rows, shown = _shown.rows_of(out, lines), _shown.section(out, header)
    page = render(f"anosynth: {header['recipe']['recipe']}", header, rows, views, shown)
    path = out / "report.html"
    with atomic_write(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def _framed(out: Path, records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield records of photos with their `frame`, (H, W) in pixels, as far as files tell it; the manifest does not."""
    last: tuple[Any, tuple[int, int] | None] = (None, None)
    looked = 0
    for record in records:
        if record.get("status") == "made":
            # Variants of a source follow one another.
            source = record["source"].get("path")
            if source != last[0]:
                looked += 1
                last = (source, _size(out, record) if looked <= MEASURED else None)
            if last[1]:
                record = {**record, "frame": last[1]}
        yield record


def _size(out: Path, record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return height and width of a sample as the head of its file says, or None."""
    from PIL import Image

    for output in record.get("outputs", []):
        path = out / output["path"]
        if output.get("role") != "sample" or not inside(out, path) or not path.is_file():
            continue
        try:
            with warnings.catch_warnings():
                # Nothing is decoded here: photos of any size are fine.
                warnings.simplefilter("ignore")
                with Image.open(path) as image:
                    return (image.height, image.width)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
    return None
