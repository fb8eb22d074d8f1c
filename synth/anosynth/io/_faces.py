"""Faces of any arity and the triangles that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Polygons:
    """Faces in file order: `corners` (C,) int64 vertex indices, one face after another, `counts` (F,) int64 arities."""

    corners: Array
    counts: Array

    @property
    def all_triangles(self) -> bool:
        """Whether every face has three corners."""
        return bool((self.counts == 3).all())


def indices(values: Sequence[int], name: str) -> Array:
    """Return whole numbers from a text as int64.

    Raises:
        DataError: one has more than 63 bits.
    """
    try:
        return np.array(values, np.int64)
    except OverflowError:
        raise DataError(f"{name}: expected indices of at most 63 bits") from None


def triangulate(polygons: Polygons, points: int, *, first: int = 0) -> Array:
    """Return (T, 3) int64 triangles: each face as the fan around its first corner.

    Faces of fewer than three corners give none. `first` is what the file calls the first vertex, for the message.

    Raises:
        DataError: a corner is not one of the `points` vertices.
    """
    corners, counts = polygons.corners, polygons.counts
    if len(corners) and (corners.min() < 0 or corners.max() >= points):
        bad = corners[(corners < 0) | (corners >= points)][0]
        raise DataError(f"faces: vertex {bad + first}: expected an index from {first} to {points - 1 + first}")
    if polygons.all_triangles:
        return corners.reshape(-1, 3)
    fans = np.maximum(counts - 2, 0)
    begin = np.repeat(np.cumsum(counts) - counts, fans)
    step = np.arange(fans.sum()) - np.repeat(np.cumsum(fans) - fans, fans)
    return np.stack([corners[begin], corners[begin + step + 1], corners[begin + step + 2]], axis=1)
