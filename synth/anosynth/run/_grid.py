"""The grid of a ladder as one HTML page: a row a size, a column a severity, all of one place."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io.atomic import atomic_write
from anosynth.report._text import compact, escape, number
from anosynth.report.sheet import sheet

from .ladder import Ladder
from .manifest import manifests, read_lines

PAGE = "ladder.html"

_SHOWN, _SIDE, _ROOM, _LEAST = 3, 150, 1.25, 24
_CSS = """:root { color-scheme: light dark; --back: #f5f6f8; --sheet: #fff; --line: #dfe3e9; --text: #1b2430; \
--soft: #5a6573; }
@media screen and (prefers-color-scheme: dark) {
  :root { --back: #0f1216; --sheet: #171b21; --line: #2b323c; --text: #e3e7ed; --soft: #98a3b1; }
}
body { margin: 0 auto; max-width: 1280px; padding: 28px; background: var(--back); color: var(--text); \
font: 14px/1.5 system-ui, sans-serif; }
h1, h2, p { margin: 0 0 8px; overflow-wrap: anywhere; }
h1 { font-size: 26px; }
h2 { font-size: 17px; }
section { margin: 22px 0; padding: 16px 18px; border: 1px solid var(--line); border-radius: 10px; \
background: var(--sheet); overflow-x: auto; }
.soft, td span { color: var(--soft); }
table { border-collapse: collapse; font-size: 12px; }
th { font-weight: 500; text-align: left; padding: 4px 10px 4px 0; white-space: nowrap; }
td { padding: 0 6px 8px 0; vertical-align: top; }
td span { display: block; }
img { display: block; width: 150px; image-rendering: pixelated; border-radius: 4px; }
"""


def write_grid(plan: Ladder, out: Path) -> Path:
    """Write the page of a ladder to OUT by its manifests and return its path.

    Up to three repetitions are shown, each cut out around all defects of its grid, so that sizes can be compared.
    Clouds have numbers alone.
    """
    records = {r["id"]: r for path in manifests(out) for r in read_lines(path) if r.get("status") == "made"}
    blocks: dict[tuple[str, int], dict[tuple[int, int], Mapping[str, Any]]] = {}
    for job, cell in plan.cells():
        if job.id in records:
            key = (job.source.key, cell.repeat)
            if key in blocks or len(blocks) < _SHOWN:
                blocks.setdefault(key, {})[cell.size, cell.severity] = records[job.id]
    sizes = f"{plan.size}: {', '.join(map(str, plan.sizes))}" if plan.sizes else "sizes as drawn"
    means = "severity" if plan.strength == "severity" else f"severity, as a multiple of {plan.strength}"
    lead = f"{len(records)} samples; {means}: {', '.join(map(compact, plan.severities))}; {sizes}"
    sources = [name for name, _ in blocks]
    titles = [name if sources.count(name) == 1 else f"{name}, repetition {repeat + 1}" for name, repeat in blocks]
    body = "\n".join(_block(plan, out, title, found) for title, found in zip(titles, blocks.values(), strict=True))
    text = sheet(f"Ladder of {plan.generator.name}", f"<p>{escape(lead)}</p>", body, _CSS)
    with atomic_write(out / PAGE) as file:
        file.write(text.encode("utf-8", "replace"))
    return out / PAGE


def _block(plan: Ladder, out: Path, title: str, found: Mapping[tuple[int, int], Mapping[str, Any]]) -> str:
    window = _window(found.values()) if plan.layout.family == "images" else None
    heads = "".join(f"<th>severity {escape(compact(value))}</th>" for value in plan.severities)
    rows = []
    for row, size in enumerate(plan.sizes or ("as drawn",)):
        cells = [_cell(out, found.get((row, column)), window) for column in range(len(plan.severities))]
        last = next((found[row, c] for c in reversed(range(len(plan.severities))) if (row, c) in found), None)
        label = _picture(out, last, "labels", window) if window and last else ""
        rows.append(f"<tr><th>{escape(f'{plan.size} {size}' if plan.sizes else size)}</th>{''.join(cells)}{label}</tr>")
    head = f"<tr><th></th>{heads}{'<th>label</th>' if window else ''}</tr>"
    return f"<section>\n<h2>{escape(title)}</h2>\n<table>{head}\n{''.join(rows)}</table>\n</section>"


def _cell(out: Path, record: Mapping[str, Any] | None, window: tuple[slice, slice] | None) -> str:
    if record is None:
        return "<td><span>not made</span></td>"
    unit = record["effect"]["unit"] or "file units"
    text = f"<span>{escape(number(record['effect']['mean_abs'], 2))} {escape(unit)}</span>"
    text += f"<span>{record['mask']['count']} labelled</span>"
    return _picture(out, record, "sample", window, text) if window else f"<td>{text}</td>"


def _picture(out: Path, record: Mapping[str, Any], role: str, window: tuple[slice, slice], text: str = "") -> str:
    from anosynth.images._sample import FULL_SCALE
    from anosynth.io.images import read_image
    from anosynth.io.png import encode_png

    path = next((output["path"] for output in record["outputs"] if output["role"] == role), None)
    try:
        pixels = None if path is None else read_image(out / path).colours[window]
    except DataError:
        pixels = None
    if pixels is None:
        return f"<td>{text}</td>"
    shown = _small(pixels / FULL_SCALE[pixels.dtype])
    data = base64.b64encode(encode_png(shown)).decode("ascii")
    return f'<td><img src="data:image/png;base64,{data}" alt="{escape(path)}">{text}</td>'


def _small(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8 of fractions of full scale."""
    from anosynth.images._shrink import shrunk

    height, width = values.shape[:2]
    scale = min(1.0, 2 * _SIDE / max(height, width))
    small = shrunk(values.astype(np.float32), (max(1, round(height * scale)), max(1, round(width * scale))))
    small = small if small.ndim == 3 else small[:, :, None]
    colours = small[:, :, :3] if small.shape[2] >= 3 else np.repeat(small[:, :, :1], 3, axis=2)
    return np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def _window(records: Any) -> tuple[slice, slice]:
    """Return the square around all defects of some samples, with a margin."""
    boxes = np.array([instance["box"] for record in records for instance in record["instances"] if instance["box"]])
    low, high = boxes[:, 0].min(0), boxes[:, 1].max(0) + 1
    half = max(_LEAST, int(_ROOM * float((high - low).max()))) / 2
    middle = (low + high) / 2
    first, last = (np.maximum(0, np.floor(middle - half)).astype(int), np.ceil(middle + half).astype(int))
    return slice(int(first[0]), int(last[0])), slice(int(first[1]), int(last[1]))
