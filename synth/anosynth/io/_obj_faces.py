"""The `f` lines of an OBJ file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io._faces import Polygons, indices
from anosynth.io._rows import as_type, parse_rows

Array = NDArray[Any]
Block = tuple[int, int, list[bytes]]


@dataclass(frozen=True, eq=False)
class Corners:
    """Faces from 0, the normal of each corner (C,) int64 or None, and how all corners are spelt.

    `form` is "v", "v/t", "v//n", "v/t/n", or "" if they are spelt in different ways or count backwards.
    """

    polygons: Polygons
    normals: Array | None
    form: str


def parse_faces(blocks: Sequence[Block]) -> Corners:
    """Parse blocks of `f` lines, each with the numbers of points and normals that came before it.

    Raises:
        DataError: a corner is not spelt as OBJ spells corners.
    """
    lines = [line for _, _, part in blocks for line in part]
    text = b"\n".join(lines)
    if b"#" in text:
        lines = [line.split(b"#")[0] for line in lines]
        text = b"\n".join(lines)
        blocks = [(points, normals, [line.split(b"#")[0] for line in part]) for points, normals, part in blocks]
    if not lines:
        return Corners(Polygons(np.zeros(0, np.int64), np.zeros(0, np.int64)), None, "v")
    return _uniform(text, lines) or _walked(blocks)


def _uniform(text: bytes, lines: Sequence[bytes]) -> Corners | None:
    words = lines[0].split()[1:]
    if not words or b"-" in text:
        return None
    form = _form(words[0])
    corners = len(lines) * len(words)
    double, single = text.count(b"//"), text.count(b"/")
    if double != corners * (form == "v//n") or single != corners * form.count("/"):
        return None
    numbers = len(form.replace("//", "/").split("/"))
    plain = text.replace(b"f", b" ").replace(b"//", b" ").replace(b"/", b" ")
    try:
        rows = parse_rows(plain, len(words) * numbers)
    except DataError:
        return None
    if len(rows) != len(lines):
        return None
    index = as_type(rows, np.dtype(np.int64), "OBJ: face").reshape(-1, numbers) - 1
    normals = index[:, -1].copy() if form.endswith("n") else None
    return Corners(Polygons(index[:, 0].copy(), np.full(len(lines), len(words))), normals, form)


def _form(word: bytes) -> str:
    parts = word.split(b"/")
    return {1: "v", 2: "v/t"}.get(len(parts), "v/t/n" if all(parts) else "v//n")


def _walked(blocks: Sequence[Block]) -> Corners:
    corners, normals, counts = list[int](), list[int](), list[int]()
    for points_before, normals_before, lines in blocks:
        for line in lines:
            words = line.split()[1:]
            try:
                for word in words:
                    parts = word.split(b"/")
                    corners.append(_from_zero(int(parts[0]), points_before))
                    if len(parts) > 2:
                        normals.append(_from_zero(int(parts[2]), normals_before))
            except ValueError:
                shown = line[:60].decode("latin-1")
                raise DataError(f"OBJ: `{shown}`: expected corners like 1, 1/2, 1//3 or 1/2/3") from None
            counts.append(len(words))
    complete = len(normals) == len(corners)
    polygons = Polygons(indices(corners, "OBJ: face"), np.array(counts, np.int64))
    return Corners(polygons, indices(normals, "OBJ: face") if complete and normals else None, "")


def _from_zero(index: int, before: int) -> int:
    return index - 1 if index > 0 else before + index if index < 0 else -1
