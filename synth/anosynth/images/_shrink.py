"""Smaller copies of images: exact means over blocks of whole pixels, and over cells of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.images._sample import Array

Floats = NDArray[np.float64]
Cells = tuple[tuple[int, int], tuple[int, int]]
"""First row and the one after the last, first column and the one after the last."""


def blocks(pixels: Array, side: int) -> Floats:
    """Return the means over blocks of side x side pixels of (H, W) or (H, W, C), (C, H // side, W // side) float64."""
    height, width = pixels.shape[0] // side, pixels.shape[1] // side
    values = pixels.reshape(*pixels.shape[:2], -1)[: height * side, : width * side]
    rows: Array = values[::side].astype(_sums(values, side))
    for row in range(1, side):
        rows += values[row::side]
    out = np.zeros((values.shape[2], height, width))
    for column in range(side):
        out += np.moveaxis(rows[:, column::side], 2, 0)
    out /= side * side
    return out


def shrunk(values: Array, size: tuple[int, int], cells: Cells | None = None) -> Floats:
    """Return `values` (H, W) or (H, W, C) averaged over the areas of size[0] x size[1] equal cells, as float64.

    A pixel that two cells share counts in each with its share, so that the mean of the result is the mean of the
    input. A side never grows: `size` is at most (H, W).

    Args:
        cells: which cells of the result to return, at least one; all of them if None. The others cost nothing.
    """
    out = values
    for axis, (first, last) in enumerate(cells or ((0, size[0]), (0, size[1]))):
        out = _shrunk_along(out, axis, size[axis], first, last)
    return out.astype(np.float64)


def _shrunk_along(values: Array, axis: int, count: int, first: int, last: int) -> Array:
    length = values.shape[axis]
    before = (slice(None),) * axis
    if count == length:
        return values[(*before, slice(first, last))]
    edges = np.arange(first, last + 1) * length
    starts, ends = edges[:-1] // count, edges[1:] // count
    if axis == 0:
        # Row by row, a fraction of the time that reduceat takes on a photo of many megapixels.
        out = _rows(values, starts, ends)
    else:
        out = np.add.reduceat(values[:, : ends[-1]], starts, axis=axis, dtype=np.float64)
    # What of its own first pixel each cell leaves to the cell before it; the last edge is the end: a share of zero.
    over = np.take(values, np.minimum(edges // count, length - 1), axis=axis).astype(np.float64)
    over *= (edges % count / count).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    out -= over[(*before, slice(None, -1))]
    out += over[(*before, slice(1, None))]
    out /= length / count
    return out


def _rows(values: Array, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Floats:
    """Return the sums of the rows from each start to before its end, which is a later row."""
    number = ends - starts
    least, most = int(number.min()), int(number.max())
    out: Array = values[starts].astype(_sums(values, most))
    for row in range(1, most):
        if row < least:
            out += values[starts + row]
        else:
            longer = np.flatnonzero(number > row)
            out[longer] += values[starts[longer] + row]
    return out.astype(np.float64, copy=False)


def _sums(values: Array, number: int) -> type[np.generic]:
    """Return the type for sums of so many values: of integers the narrowest that holds them, which adds fastest."""
    if values.dtype == np.uint8 and number <= 256:
        return np.uint16
    return np.uint32 if values.dtype in (np.bool_, np.uint8, np.uint16) else np.float64
