"""From a finished data set to `OUT/report.html`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from anosynth.io.atomic import atomic_write
from anosynth.report import render

from .manifest import manifests, read_lines

_ROWS = 5000


def write_report(out: Path, views: Mapping[str, Any]) -> Path:
    """Write the report of the data set in OUT, with the given views by sample id, and return its path.

    The table holds the first five thousand samples; the manifest has them all.

    Raises:
        DataError: there is no manifest in OUT.
        WriteError: the report cannot be written.
    """
    lines = read_lines(manifests(out)[0])
    header = next(lines)
    page = render(f"anosynth: {header['recipe']['recipe']}", header, list(islice(lines, _ROWS)), views)
    path = out / "report.html"
    with atomic_write(path) as file:
        file.write(page.encode("utf-8", "replace"))
    return path
