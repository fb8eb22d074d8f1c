"""Fields turned about their centre, all of a box of them or only what is above some level."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.noise import _fast

from ._sample import Mask

Floats = NDArray[np.float32]
Places = NDArray[np.intp]
Box = tuple[int, int, int, int]

OUTSIDE = np.float32(-2)
"""What turns in from beyond the borders: less than any noise."""

_SHIFT = 4
_BLOCK = 1 << _SHIFT
_AT_ONCE = 128


class Peaks(NamedTuple):
    """The pixels of an image that are above some level.

    Attributes:
        places: (n,) rising positions in the flattened image.
        values: (n,) float32, what is there.
    """

    places: Places
    values: Floats


def bilinear(x: Floats, y: NDArray[np.float64], across: NDArray[np.float64]) -> tuple[Floats, Mask]:
    """Return the values of `x` (H, W) or (H, W, C), H, W >= 2, at places of shape (...), and which of them lie on it.

    Values at places beyond the outermost pixels' centres mean nothing.
    """
    height, width = x.shape[:2]
    inside = (y >= 0) & (y <= height - 1)
    inside &= across >= 0
    inside &= across <= width - 1
    row = np.minimum(np.maximum(y, 0), height - 2).astype(np.intp)
    column = np.minimum(np.maximum(across, 0), width - 2).astype(np.intp)
    down, right = (y - row).astype(np.float32), (across - column).astype(np.float32)
    flat = x.reshape(height * width, *x.shape[2:])
    if x.ndim == 3:
        down, right = down[..., None], right[..., None]
    row *= width
    row += column
    upper, upper_right, lower, lower_right = (flat[step:].take(row, axis=0) for step in (0, 1, width, width + 1))
    for start, end in ((upper, upper_right), (lower, lower_right)):
        end -= start
        end *= right
        start += end
    lower -= upper
    lower *= down
    upper += lower
    return upper, inside


def turned(level: Floats, degrees: float, box: Box | None = None) -> Floats:
    """Return what lies in `box`, or everywhere, when `level` (H, W) is turned about its centre, (h, w) float32.

    It is bilinear, and -2 where it turns in from outside.
    """
    top, left, bottom, right = box or (0, 0, *level.shape)
    if degrees == 0:
        return level[top:bottom, left:right]
    kernels = _fast.compiled("anosynth.images._compiled_turn")
    if kernels is not None:
        out = np.full((bottom - top, right - left), OUTSIDE)
        kernels.turn(level, *_fast.sine_cosine(math.radians(degrees)), top, left, out)
        return out
    turn = Turn(level.shape, degrees)
    first_row, first_column = top >> _SHIFT, left >> _SHIFT
    down, across = -(-bottom >> _SHIFT) - first_row, -(-right >> _SHIFT) - first_column
    out = np.full((down * _BLOCK, across * _BLOCK), OUTSIDE)
    blocks = out.reshape(down, _BLOCK, across, _BLOCK)
    row, column = np.divmod(np.arange(down * across), across)
    place = (row + first_row) * turn.across + column + first_column
    for first in range(0, len(row), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        y, x = turn.y[place[some], None] + turn.inner_y, turn.x[place[some], None] + turn.inner_x
        value, inside = bilinear(level, y, x)
        value[~inside] = OUTSIDE
        blocks[row[some], :, column[some], :] = value.reshape(-1, _BLOCK, _BLOCK)
    rows = slice(top - first_row * _BLOCK, bottom - first_row * _BLOCK)
    return out[rows, left - first_column * _BLOCK : right - first_column * _BLOCK]


def turned_peaks(level: Floats, degrees: float, floor: float) -> Peaks:
    """Return what of `turned(level, degrees)` is above `floor`, bit for bit."""
    least = np.float32(floor)
    if degrees == 0:
        high = np.flatnonzero(level > least)
        return Peaks(high, level.ravel()[high])
    kernels = _fast.compiled("anosynth.images._compiled_turn")
    if kernels is not None:
        return Peaks(*kernels.peaks(level, least, *_fast.sine_cosine(math.radians(degrees))))
    turn = Turn(level.shape, degrees)
    places = turn.reached(np.flatnonzero(level > least))
    row = places // turn.width
    column = places - row * turn.width
    block = (row >> _SHIFT) * turn.across + (column >> _SHIFT)
    inner = ((row & _BLOCK - 1) << _SHIFT) + (column & _BLOCK - 1)
    values, inside = bilinear(
        level, turn.y.take(block) + turn.inner_y.take(inner), turn.x.take(block) + turn.inner_x.take(inner)
    )
    inside &= values > least
    return Peaks(places[inside], values[inside])


class Turn:
    """From where in an image of `shape` each pixel comes when it is turned about its centre.

    A pixel comes from the place of its block's centre, `y` and `x` (down * across,), and its own way from there,
    `inner_y` and `inner_x` (256,).
    """

    def __init__(self, shape: tuple[int, ...], degrees: float) -> None:
        self.height, self.width = shape
        self.down, self.across = -(-self.height // _BLOCK), -(-self.width // _BLOCK)
        self.sine, self.cosine = _fast.sine_cosine(math.radians(degrees))
        self.middle_y, self.middle_x = 0.5 * (self.height - 1), 0.5 * (self.width - 1)
        dy = (np.arange(self.down) + 0.5)[:, None] * _BLOCK - 0.5 - self.middle_y
        dx = (np.arange(self.across) + 0.5) * _BLOCK - 0.5 - self.middle_x
        self.y = (self.middle_y + self.cosine * dy + self.sine * dx).ravel()
        self.x = (self.middle_x - self.sine * dy + self.cosine * dx).ravel()
        inner = np.arange(_BLOCK) - 0.5 * (_BLOCK - 1)
        self.inner_y = (self.cosine * inner[:, None] + self.sine * inner).ravel()
        self.inner_x = (self.cosine * inner - self.sine * inner[:, None]).ravel()

    def reached(self, places: Places) -> Places:
        """Return which pixels take a share of the pixels at `places`, and some more.

        Those that do come from less than a pixel away along both axes, hence lie less than 1.42 pixels from where the
        turn brings it, and less than 1.92 along an axis from the pixel there: next to it.
        """
        row = places // self.width
        column = places - row * self.width
        dy, dx = np.arange(self.height) - self.middle_y, np.arange(self.width) - self.middle_x
        # A border of one pixel takes up what lands next to the image, which still reaches in, or farther away.
        y = (self.cosine * dy + (self.middle_y + 1.5)).take(row) - (self.sine * dx).take(column)
        x = (self.sine * dy + (self.middle_x + 1.5)).take(row) + (self.cosine * dx).take(column)
        tall, wide = self.height + 2, self.width + 2
        y, x = (np.minimum(np.maximum(at, 0), most - 1) for at, most in ((y, tall), (x, wide)))
        near: Mask = np.zeros((tall, wide), dtype=np.bool_)
        near.reshape(-1)[y.astype(np.intp) * wide + x.astype(np.intp)] = True
        near = near[:-2] | near[1:-1] | near[2:]
        near = near[:, :-2] | near[:, 1:-1] | near[:, 2:]
        return np.flatnonzero(near)
