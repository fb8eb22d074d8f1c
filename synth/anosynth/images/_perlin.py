"""Perlin masks: where turned gradient noise is above a threshold, or highest.

What is above the threshold is a few per cent of the image as a rule, so only the pixels that a turn can bring there
are interpolated, and lists of them are passed on instead of images.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._edit import LEAST_PIXELS, Box
from ._sample import Image, Mask
from ._turn import OUTSIDE, Peaks, turned, turned_peaks

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

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
        values: (n,) float32, the noise in the mask; none if it is not made of noise.
    """

    box: Box
    places: Places
    level: Floats | None
    stats: dict[str, Any]
    values: Floats | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w)."""
        top, left, bottom, right = self.box
        return bottom - top, right - left


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
        places, values = _masked(combine, fields, free, law.threshold, number)
        if len(places) < LEAST_PIXELS:
            continue
        row = places // width
        column = places - row * width
        top, left, bottom, right = int(row[0]), int(column.min()), int(row[-1]) + 1, int(column.max()) + 1
        level = joined(combine, fields, (top, left, bottom, right)) if whole else None
        at = (row - top) * (right - left) + (column - left)
        return Region((top, left, bottom, right), at, level, {**stats, "draws": draw + 1}, values)
    raise DataError(f"no noise above {law.threshold:g} on the free pixels in {_DRAWS} draws\nhint: lower threshold")


def _masked(combine: str, fields: list[Field], free: Mask, threshold: float, number: int) -> Peaks:
    """Return which free pixels are the `number` highest or, if that is 0, above the threshold."""
    available = None if free.all() else free.ravel()

    def peaks(floor: float) -> Peaks:
        found = joined_peaks(combine, fields, floor)
        if available is None:
            return found
        kept = available[found.places]
        return Peaks(found.places[kept], found.values[kept])

    if not number:
        return peaks(threshold)
    found = peaks(_guess(combine, fields, number / max(1, int(np.count_nonzero(free)))))
    if len(found.places) < number:
        # The guess was too high: the other pixels count as well, down to what turned in from outside.
        level = joined(combine, fields)
        every = np.arange(level.size) if available is None else np.flatnonzero(available)
        found = Peaks(every, level.reshape(-1).take(every))
    chosen = highest(found.values, number)
    return Peaks(found.places[chosen], found.values[chosen])


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


def joined(combine: str, fields: list[Field], box: Box | None = None) -> Floats:
    """Return what lies in `box`, or everywhere, of the turned field, (h, w) float32.

    Of two it is the larger one for a union, the smaller one for an intersection.
    """
    level = turned(*fields[0], box)
    if len(fields) == 1:
        return level
    join = np.maximum if combine == "union" else np.minimum
    return join(level, turned(*fields[1], box))


def joined_peaks(combine: str, fields: list[Field], floor: float) -> Peaks:
    """Return what of `joined` is above `floor`."""
    first = turned_peaks(*fields[0], floor)
    if len(fields) == 1:
        return first
    second = turned_peaks(*fields[1], floor)
    level = np.full(fields[0].noise.size, OUTSIDE)
    level[first.places] = first.values
    there = level.take(second.places)
    if combine == "intersection":
        both = there > np.float32(floor)
        return Peaks(second.places[both], np.minimum(there[both], second.values[both]))
    level[second.places] = np.maximum(there, second.values)
    places = np.flatnonzero(level > np.float32(floor))
    return Peaks(places, level.take(places))


def highest(values: Floats, number: int) -> Mask:
    """Return which of `values` (n,) are the `number` highest, all if there are fewer; of equals the first."""
    chosen = np.ones(len(values), dtype=np.bool_)
    if number < len(values):
        least = np.partition(values, len(values) - number)[len(values) - number]
        chosen = values > least
        chosen[(values == least).nonzero()[0][: number - np.count_nonzero(chosen)]] = True
    return chosen
