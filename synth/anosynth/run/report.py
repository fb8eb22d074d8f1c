"""From a finished data set to `OUT/report.html`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anosynth.datasets.layout import find_layout
from anosynth.errors import AnosynthError
from anosynth.io.atomic import atomic_write
from anosynth.io.inner import fault, inside
from anosynth.io.remote import Store, url_of
from anosynth.report import render

from .execute import Place
from .manifest import manifest_name, manifests, read_lines
from .sinks import find_sink

MEASURED = 20_000
"""Photos of which at most the size is looked up, for where in the frame their defects lie."""


def write_report(out: Path | str, views: Mapping[str, Any]) -> Path | str:
    """Write the report of the data set in OUT, with the given views by sample id, and return its path, or its URL.

    The table holds five thousand samples; the statistics are of all that the manifest has.

    Raises:
        DataError: there is no manifest in OUT.
        WriteError: the report cannot be written.
    """
    url = url_of(out)
    if not url:
        return _write(Path(out), views)
    store = Store(url)
    with tempfile.TemporaryDirectory(prefix="anosynth-") as folder:
        store.get(manifest_name((1, 1)), Path(folder, manifest_name((1, 1))))
        page = _write(Path(folder), views)
        store.put(page, page.name)
    return f"{url}/{page.name}"


def _write(out: Path, views: Mapping[str, Any]) -> Path:
    lines = read_lines(manifests(out)[0])
    header = next(lines)
    rows, shown = lines, ""
    if header["recipe"].get("family") == "images":
        rows = _framed(out, header, lines)
    elif header["recipe"].get("family") == "features":
        from . import _shown

        rows, shown = _shown.rows_of(out, lines), _shown.section(out, header)
    page = render(f"anosynth: {header['recipe']['recipe']}", header, rows, views, shown)
    path = out / "report.html"
    with atomic_write(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path


def _framed(out: Path, header: Mapping[str, Any], records: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield records of photos with their `frame`, (H, W) in pixels, as far as files tell it; the manifest does not."""
    last: tuple[Any, tuple[int, int] | None] = (None, None)
    looked = 0
    for record in records:
        if record.get("status") == "made":
            # Variants of a source follow one another.
            source = record["source"].get("path")
            if source != last[0]:
                looked += 1
                last = (source, _size(out, header, record) if looked <= MEASURED else None)
            if last[1]:
                record = {**record, "frame": last[1]}
        yield record


def _size(out: Path, header: Mapping[str, Any], record: dict[str, Any]) -> tuple[int, int] | None:
    """Return height and width of a sample as the head of its file says, or None."""
    from .of_images import frame

    sink = find_sink(header)
    if not sink.stored:
        path = record["source"]["path"]
        return None if fault(path) else frame(out / header["root"] / path)
    try:
        with sink.opened(record, Place(out, out, find_layout(header["layout"]), 0)) as folder:
            for output in sink.plain(record).get("outputs", []):
                if output.get("role") == "sample" and inside(folder, output["path"]):
                    return frame(folder / output["path"])
    except (AnosynthError, KeyError, TypeError, AttributeError):
        pass
    return None
