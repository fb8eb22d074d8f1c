"""The table of a ladder: a row for each sample with its place in the grid, and one for each normal source."""

from __future__ import annotations

import csv
import io
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anosynth.generator import Generator
from anosynth.io.atomic import atomic_write
from anosynth.params import METRES, Area, Size, split_length

from .manifest import manifests, read_lines

if TYPE_CHECKING:
    from anosynth.datasets.layout import Source

    from .ladder import Ladder

TABLE = "ladder.csv"
"""The file of OUT with a row for each sample and each normal source."""

COLUMNS = (
    *("id", "path", "label", "generator", "severity", "size", "size_px", "size_mm"),
    *("area", "effect", "attempts", "group"),
)


def write_table(plan: Ladder, out: Path) -> int:
    """Write the table of a ladder to OUT by its manifests, and return in how many rows of the grid all lies in place.

    A row of the grid is in place where all its samples were made by the same attempt, so that none lies elsewhere.
    """
    records = {r["id"]: r for path in manifests(out) for r in read_lines(path) if r.get("status") == "made"}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    attempts: dict[tuple[str, int, int], set[int]] = {}
    frames: dict[str, tuple[int, int] | None] = {}
    base = Path(os.path.relpath(plan.root.resolve(), out.resolve()))
    for job, cell in plan.cells():
        record = records.get(job.id)
        if record is None:
            continue
        attempts.setdefault((job.source.key, cell.size, cell.repeat), set()).add(record["stats"]["attempts"])
        sample = next(o["path"] for o in record["outputs"] if o["role"] == "sample")
        if job.source.key not in frames:
            frames[job.source.key] = _frame(plan, job.source)
        size = job.generator.get(plan.size, "") if plan.size else ""
        pixels, millimetres = lengths(plan.generator, plan.size, size, frames[job.source.key], plan.reading.mm_per_px)
        where, graded = [job.id, sample, 1, plan.generator.name], plan.severities[cell.severity]
        told = [record["mask"]["area"], record["effect"]["mean_abs"], record["stats"]["attempts"]]
        table.writerow([*where, graded, size, _short(pixels), _short(millimetres), *told, job.source.key])
    for source in plan.sources:
        if not source.problem:
            name = source.path.as_posix()
            table.writerow([name, (base / source.path).as_posix(), 0, *[""] * 8, source.key])
    with atomic_write(out / TABLE) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
    return sum(1 for made in attempts.values() if len(made) == 1)


def _frame(plan: Ladder, source: Source) -> tuple[int, int] | None:
    if plan.layout.family != "images":
        return None
    from .of_images import frame

    return frame(plan.root / source.path)


def lengths(
    generator: type[Generator], name: str, size: Any, frame: tuple[int, int] | None, mm_per_px: float | None
) -> tuple[float | None, float | None]:
    """Return a size as a length in pixels and in millimetres, None where it is not known.

    An area counts as the diameter of the disc of that area.

    Args:
        frame: (H, W) of the photo; None of a cloud.
    """
    if not name or size == "":
        return None, None
    number, unit = split_length(size) if isinstance(size, str) else (float(size), None)
    kinds = {id(meta) for meta in generator.model_fields[name].metadata}
    is_area = any(id(meta) in kinds for meta in Area.__metadata__)  # type: ignore[attr-defined]
    is_size = any(id(meta) in kinds for meta in Size.__metadata__)  # type: ignore[attr-defined]
    if frame is None or not (is_area or is_size):
        return None, number * METRES[unit] * 1e3 if unit is not None and unit in METRES else None
    if is_area:
        pixels2 = number * frame[0] * frame[1] if unit is None else number
        if unit not in (None, "px2"):
            pixels2 = number * (METRES[str(unit)[:-1]] * 1e3) ** 2 / (mm_per_px or math.nan) ** 2
        pixels = 2 * math.sqrt(pixels2 / math.pi)
    else:
        pixels = number * min(frame) if unit is None else number
        if unit not in (None, "px"):
            pixels = number * METRES[str(unit)] * 1e3 / (mm_per_px or math.nan)
    return pixels, None if mm_per_px is None else pixels * mm_per_px


def _short(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
