"""Perlin masks: where turned gradient noise is above a threshold, or highest.

What is above the threshold is a few per cent of the image as a rule, so only the pixels that a turn can bring there
are interpolated, and lists of them are passed on instead of images.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._augment import bilinear
from ._base import LEAST_PIXELS, Box
from ._sample import Image, Mask

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

_OUTSIDE = np.float32(-2)
_SHIFT = 4
_BLOCK = 1 << _SHIFT
_AT_ONCE = 128
_DRAWS = 24
_ASKED = 4096


class Law(NamedTuple):
    """What decides a Perlin mask; the fields of `PerlinTexture`."""

    coarsest: int
    finest: int
    rotation: float
    threshold: float
    area: float
    combine: str
    tails: str


class Region(NamedTuple):
    """A mask with its box.

    Attributes:
        box: the least one that holds the mask.
        places: (n,) rising positions in the flattened box that are in the mask, n > 0.
        level: (h, w) float32, the noise behind it, if that was asked for.
        stats: the drawn values.
    """

    box: Box
    places: Places
    level: Floats | None
    stats: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        top, left, bottom, right = self.box
        return bottom - top, right - left

    def filled(self, weight: float) -> Floats:
        """Return (h, w) float32: `weight` in the mask, else 0."""
        out = np.zeros(self.shape, dtype=np.float32)
        out.ravel()[self.places] = weight
        return out


class Peaks(NamedTuple):
    """The pixels of an image that are above some level.

    Attributes:
        places: (n,) rising positions in the flattened image.
        values: (n,) float32, what is there.
    """

    places: Places
    values: Floats


class Field(NamedTuple):
    """Noise (H, W) float32 that is still to be turned, by so many degrees."""

    noise: Floats
    degrees: float


def perlin_region(image: Image, free: Mask, rng: Rng, law: Law, *, whole: bool = False) -> Region:
    """Draw masks until one has eight pixels on `free` (H, W).

    Args:
        whole: have the noise of all pixels of the box in `Region.level`.

    Raises:
        DataError: none of 24 draws has that many.
    """
    number = 0
    if law.area > 0:
        foreground = free.size if image.foreground is None else int(np.count_nonzero(image.foreground))
        number = max(LEAST_PIXELS, round(law.area * foreground))
    width = free.shape[1]
    for draw in range(_DRAWS):
        stats: dict[str, Any] = {}
        combine, fields = drawn_fields((free.shape[0], width), rng.child("mask", draw), law, stats)
        level = joined(combine, fields) if whole else None
        places = _masked(combine, fields, level, free, law.threshold, number)
        if len(places) < LEAST_PIXELS:
            continue
        row = places // width
        column = places - row * width
        top, left, bottom, right = int(row[0]), int(column.min()), int(row[-1]) + 1, int(column.max()) + 1
        inside = None if level is None else level[top:bottom, left:right]
        at = (row - top) * (right - left) + (column - left)
        return Region((top, left, bottom, right), at, inside, {**stats, "draws": draw + 1})
    raise DataError(f"no noise above {law.threshold:g} on the free pixels in {_DRAWS} draws\nhint: lower threshold")


def _masked(
    combine: str, fields: list[Field], level: Floats | None, free: Mask, threshold: float, number: int
) -> Places:
    """Return which free pixels are the `number` highest or, if that is 0, above the threshold."""
    available = free.ravel()

    def peaks(floor: float) -> Peaks:
        found = joined_peaks(combine, fields, floor) if level is None else turned_peaks(level, 0, floor)
        kept = available[found.places]
        return Peaks(found.places[kept], found.values[kept])

    if not number:
        return peaks(threshold).places
    found = peaks(_guess(combine, fields, number / max(1, int(np.count_nonzero(free)))))
    if len(found.places) < number:
        # The guess was too high: the other pixels count as well, down to what turned in from outside.
        level = joined(combine, fields)
        found = peaks(-3.0)
    return found.places[highest(found.values, number)]


def _guess(combine: str, fields: list[Field], share: float) -> float:
    """Return a level above which about twice `share` of the pixels are."""
    tail = min(1.0, 2 * share)
    tail = math.sqrt(tail) if combine == "intersection" else tail
    floors = []
    for noise, _ in fields:
        # An odd step meets all columns of an image of any width in turn.
        some = np.sort(noise.ravel()[:: max(1, noise.size // _ASKED) | 1])
        floors.append(float(some[int((1 - tail) * (len(some) - 1))]))
    return max(floors)


def drawn_fields(shape: tuple[int, int], rng: Rng, law: Law, stats: dict[str, Any]) -> tuple[str, list[Field]]:
    """Draw what is thresholded: "single" with one field, "union" or "intersection" with two."""
    combine = law.combine
    if combine == "glass":
        combine = ("single", "intersection", "union")[rng.child("combine").integer(0, 2)]
        stats["combine"] = combine
    fields = [_field(shape, rng.child("first"), law, stats, "")]
    if combine != "single":
        fields.append(_field(shape, rng.child("second"), law, stats, "_other"))
    return combine, fields


def _field(shape: tuple[int, int], rng: Rng, law: Law, stats: dict[str, Any], suffix: str) -> Field:
    low, high = sorted((law.coarsest, law.finest))
    # Below four pixels a cell is no longer a shape: its pixels lie on or next to the nodes, where the noise is 0.
    most = [int(math.log2(max(1.0, size / 4))) for size in shape]
    powers = [rng.child("cells", axis).integer(min(low, most[axis]), min(high, most[axis])) for axis in (0, 1)]
    noise = lattice(shape, (2.0 ** powers[0], 2.0 ** powers[1]), rng.child("noise"))
    angle = rng.child("rotation").uniform(-law.rotation, law.rotation)
    stats |= {f"cells{suffix}": f"{2 ** powers[0]}x{2 ** powers[1]}", f"rotation{suffix}": angle}
    if law.tails == "both":
        np.abs(noise, out=noise)
    return Field(noise, angle)


def joined(combine: str, fields: list[Field]) -> Floats:
    """Return (H, W) float32: the turned field, the larger of two for a union, the smaller for an intersection."""
    level = turned(*fields[0])
    if len(fields) == 1:
        return level
    join = np.maximum if combine == "union" else np.minimum
    return join(level, turned(*fields[1]))


def joined_peaks(combine: str, fields: list[Field], floor: float) -> Peaks:
    """Return what of `joined` is above `floor`."""
    first = turned_peaks(*fields[0], floor)
    if len(fields) == 1:
        return first
    second = turned_peaks(*fields[1], floor)
    if combine == "intersection":
        places, one, other = np.intersect1d(first.places, second.places, assume_unique=True, return_indices=True)
        return Peaks(places, np.minimum(first.values[one], second.values[other]))
    places = np.union1d(first.places, second.places)
    values = np.full(len(places), _OUTSIDE)
    for found in (first, second):
        at = np.searchsorted(places, found.places)
        values[at] = np.maximum(values[at], found.values)
    return Peaks(places, values)


def turned(level: Floats, degrees: float) -> Floats:
    """Return `level` (H, W) turned about its centre, bilinear; -2 where it turns in from outside."""
    if degrees == 0:
        return level
    height, width = level.shape
    turn = _Turn(level.shape, degrees)
    out = np.full((turn.down * _BLOCK, turn.across * _BLOCK), _OUTSIDE)
    blocks = out.reshape(turn.down, _BLOCK, turn.across, _BLOCK)
    row, column = np.divmod(np.arange(turn.down * turn.across), turn.across)
    for first in range(0, len(row), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        y, x = turn.y[some, None] + turn.inner_y, turn.x[some, None] + turn.inner_x
        value, inside = bilinear(level, y, x)
        value[~inside] = _OUTSIDE
        blocks[row[some], :, column[some], :] = value.reshape(-1, _BLOCK, _BLOCK)
    return out[:height, :width]


def turned_peaks(level: Floats, degrees: float, floor: float) -> Peaks:
    """Return what of `turned(level, degrees)` is above `floor`, bit for bit."""
    high = np.flatnonzero(level > np.float32(floor))
    if degrees == 0:
        return Peaks(high, level.ravel()[high])
    turn = _Turn(level.shape, degrees)
    places = turn.reached(high)
    row = places // turn.width
    column = places - row * turn.width
    block = (row >> _SHIFT) * turn.across + (column >> _SHIFT)
    inner = ((row & _BLOCK - 1) << _SHIFT) + (column & _BLOCK - 1)
    values, inside = bilinear(
        level, turn.y.take(block) + turn.inner_y.take(inner), turn.x.take(block) + turn.inner_x.take(inner)
    )
    inside &= values > np.float32(floor)
    return Peaks(places[inside], values[inside])


class _Turn:
    """From where in an image of `shape` each pixel comes when it is turned about its centre.

    A pixel comes from the place of its block's centre, `y` and `x` (down * across,), and its own way from there,
    `inner_y` and `inner_x` (256,).
    """

    def __init__(self, shape: tuple[int, ...], degrees: float) -> None:
        self.height, self.width = shape
        self.down, self.across = -(-self.height // _BLOCK), -(-self.width // _BLOCK)
        self.cosine, self.sine = steady.cos(math.radians(degrees)), steady.sin(math.radians(degrees))
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


def top_pixels(level: Floats, free: Mask, number: int) -> Mask:
    """Return the `number` highest pixels of `level` on `free`, all if there are fewer; of equals the first."""
    mask = np.zeros(free.shape, dtype=np.bool_)
    mask[free] = highest(level[free], number)
    return mask


def highest(values: Floats, number: int) -> Mask:
    """Return which of `values` (n,) are the `number` highest, all if there are fewer; of equals the first."""
    chosen = np.ones(len(values), dtype=np.bool_)
    if number < len(values):
        least = np.partition(values, len(values) - number)[len(values) - number]
        chosen = values > least
        chosen[(values == least).nonzero()[0][: number - np.count_nonzero(chosen)]] = True
    return chosen
