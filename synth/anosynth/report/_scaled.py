"""The parts of changed images that a view shows, at the sizes at which it shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.images._sample import FULL_SCALE
from anosynth.images._shrink import Cells, blocks, shrunk

Array = NDArray[Any]
Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels of the image, the last two beyond the last row and column."""

EFFECTS = 127
"""The level of the largest effect."""


def fractions(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return values in the scale of `dtype` as fractions of full scale; of floats, what is none counts as black."""
    out: Array = values / FULL_SCALE[dtype]
    if dtype.kind == "f":
        out = np.clip(np.nan_to_num(out, posinf=1.0, neginf=0.0), 0, 1)
    return out


@dataclass(frozen=True, eq=False)
class Part:
    """The images or a part of them, from which all its sizes are made.

    Attributes:
        before, after: (h, w) or (h, w, C), in the scale of `dtype`.
        mask, inside: (h, w) bool, or shares of pixels.
        effect: (h, w), 0 where nothing is labelled.
        touched: box of at least a pixel; beyond it nothing is changed or labelled.
        dtype: of the images' pixels.
    """

    before: Array
    after: Array
    mask: Array
    effect: Array
    inside: Array | None
    touched: Box
    dtype: np.dtype[Any]


def touched(before: Array, after: Array, mask: Array) -> Box:
    """Return the box of what is changed or labelled, that of one pixel if nothing is."""
    differ = (before != after).reshape(*mask.shape, -1)
    rows = np.flatnonzero(differ.any(axis=(1, 2)) | mask.any(axis=1))
    columns = np.flatnonzero(differ.any(axis=0).any(axis=1) | mask.any(axis=0))
    if not len(rows):
        return (0, 0, 1, 1)
    return (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def coarse(part: Part, longest: int) -> Part:
    """Return a copy of a part much larger than what is shown, averaged over blocks that divide it evenly."""
    height, width = part.mask.shape
    # Two blocks to a cell at least: what is shown is as sharp as if it were made of the pixels.
    most = max(height, width) // (2 * longest)
    side = next((n for n in range(most, 1, -1) if height % n == 0 and width % n == 0), 1)
    if side == 1:
        return part

    def less(values: Array) -> Array:
        means = np.ascontiguousarray(np.moveaxis(blocks(values, side), 0, 2))
        return means.reshape(*means.shape[:2], *values.shape[2:])

    top, left, bottom, right = part.touched
    top, left, bottom, right = box = (top // side, left // side, -(-bottom // side), -(-right // side))

    def renewed(base: Array, values: Array) -> Array:
        base[top:bottom, left:right] = less(values[top * side : bottom * side, left * side : right * side])
        return base

    before, inside = less(part.before), None if part.inside is None else less(part.inside)
    after = renewed(before.copy(), part.after)
    mask, effect = (renewed(np.zeros(before.shape[:2]), values) for values in (part.mask, part.effect))
    return Part(before, after, mask, effect, inside, box, part.dtype)


def cut(part: Part, box: Box) -> Part:
    """Return what lies in a box, as views."""
    place = (slice(box[0], box[2]), slice(box[1], box[3]))
    ends = []
    for axis in (0, 1):
        first = min(max(part.touched[axis] - box[axis], 0), box[2 + axis] - box[axis] - 1)
        ends.append((first, max(min(part.touched[2 + axis], box[2 + axis]) - box[axis], first + 1)))
    return Part(
        part.before[place],
        part.after[place],
        part.mask[place],
        part.effect[place],
        None if part.inside is None else part.inside[place],
        (ends[0][0], ends[1][0], ends[0][1], ends[1][1]),
        part.dtype,
    )


@dataclass(frozen=True, eq=False)
class Seen:
    """A part of the images at the size at which it is shown.

    Attributes:
        before: (C, h, w) fractions of full scale.
        cells: (C, h, w) index of those that may have changed.
        after: those, as fractions.
        marked, inside: (h, w) bool: cells that hold a labelled pixel, and that are at least half of the foreground.
        effect: (h, w) int8: mean over the labelled pixels of a cell, in 127ths of the peak.
    """

    before: Array
    cells: tuple[slice, slice, slice]
    after: Array
    marked: Array
    effect: Array
    inside: Array | None


def seen(part: Part, size: tuple[int, int], peak: float) -> Seen:
    """Return a part at this size, each cell being the mean of its area; what was not touched is not looked at."""
    top, left, bottom, right = part.touched
    (h, w), (height, width) = size, part.mask.shape
    cells = (_reached(top, bottom, h, height), _reached(left, right, w, width))
    place = (slice(*cells[0]), slice(*cells[1]))
    cover = shrunk(_counted(part.mask), size, cells)
    # The shares of pixels that cells have in common leave a rest of rounding where nothing is labelled.
    labelled = cover > 1e-9
    mean = np.where(labelled, shrunk(part.effect, size, cells) / np.where(labelled, cover, 1), 0)
    marked, effect = np.zeros(size, np.bool_), np.zeros(size, np.int8)
    marked[place] = labelled
    effect[place] = np.rint(mean / (peak or 1.0) * EFFECTS).clip(-EFFECTS, EFFECTS)
    return Seen(
        _shown(part.before, size, None, part.dtype),
        (slice(None), *place),
        _shown(part.after, size, cells, part.dtype),
        marked,
        effect,
        None if part.inside is None else shrunk(_counted(part.inside), size) >= 0.5,
    )


def _reached(low: int, high: int, count: int, length: int) -> tuple[int, int]:
    """Return the first of `count` cells along a side of `length` pixels that some pixels reach, and that after."""
    return low * count // length, -(-high * count // length)


def _counted(mask: Array) -> Array:
    return mask.view(np.uint8) if mask.dtype == np.bool_ else mask


def _shown(pixels: Array, size: tuple[int, int], cells: Cells | None, dtype: np.dtype[Any]) -> Array:
    """Return (C, h, w) fractions of full scale of these cells, C being 1 or 3."""
    small = shrunk(pixels, size, cells)
    if small.ndim == 3 and small.shape[2] < 3:
        small = small.mean(axis=2)
    planes = np.moveaxis(small.reshape(*small.shape[:2], -1), 2, 0)
    return fractions(np.ascontiguousarray(planes), dtype)
