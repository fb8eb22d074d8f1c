"""Pits in the surface."""

from __future__ import annotations

import math

import numpy as np

from anosynth import steady
from anosynth.params import Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Box, Edit
from ._place import box_around, centre_of
from ._sample import Image, Mask
from ._seats import heading, oriented
from ._strokes import Field, darker, edit_of, mean_of, smooth, toned, under

SIDE = "of the shorter side"

_TRIES = 8


class Pit(ImageGenerator):
    """Cluster of small dark pits, each with a bright crescent

    With r the distance to a pit's middle over its radius and c the cosine of the angle to the light, a pit darkens by
    strength (0.7 + 0.3 c) s((1 - r) / softness + 0.3) and lightens by highlight strength max(0, -c) bump(r), the bump
    lying on the rim: the wall away from the light is the one that it hits. Radii are uniform in their logarithm from a
    third of the largest. Where all is black, dark and bright change places.

    Ours.
    """

    strength: float = param(0.35, gt=0, le=1, vary=(0.15, 0.55), help="contrast of the dark middle")
    pits: int = param(6, ge=1, le=200, vary=(1, 20), help="number of pits, if there is room for them")
    size: Size = param(0.035, gt=0, le=0.3, vary=(0.015, 0.06), unit=SIDE, help="diameter of the largest, >= 4.4 px")
    spread: Size = param(0.15, ge=0, le=1, vary=(0.05, 0.4), unit=SIDE, help="radius of the cluster")
    elongation: float = param(1.0, ge=1, le=10, vary=(1.0, 3.0), help="ratio of the cluster's longer to shorter axis")
    orientation: float = oriented("the cluster's long axis")
    softness: float = param(0.35, ge=0, le=1, vary=(0.2, 0.6), help="share of a pit's radius that slopes, >= 1 px")
    highlight: float = param(0.6, ge=0, le=1, vary=(0.3, 0.9), help="contrast of the crescent as a share of the dark")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        largest = min(max(2.2, 0.5 * image.length(self.size)), 0.5 * image.side)
        spread = min(image.length(self.spread), 2.0 * max(image.shape)) if self.pits > 1 else 0.0
        long_axis = spread * math.sqrt(self.elongation)
        centre = centre_of(image, free, rng.child("place"))
        half = math.ceil(long_axis + 1.8 * largest) + 2
        box = box_around(centre, (2 * half + 1, 2 * half + 1), image.shape)
        dark = np.zeros((box[2] - box[0], box[3] - box[1]), dtype=np.float32)
        bright = np.zeros_like(dark)
        light = rng.child("light").uniform(0.0, 2.0 * math.pi)
        made: list[tuple[float, float, float]] = []
        for number in range(self.pits):
            own = rng.child("pit", number)
            # The first is the largest and in the middle, so that a cluster of any spread has something on `free`.
            radius = largest if number == 0 else max(1.3, own.log_uniform(largest / 3.0, largest))
            place = self._apart(centre, long_axis if number else 0.0, radius, made, own.child("place"))
            if place is None:
                continue
            made.append((*place, radius))
            window, dy, dx = _around(place, 1.8 * radius + 1.0, box)
            deep, crescent = _pit(dy, dx, radius, light, self.softness, own.child("outline"))
            dark[window] = np.maximum(dark[window], deep)
            bright[window] = np.maximum(bright[window], crescent)
        amount = np.float32(self.strength) * (dark * (1 - bright) - np.float32(self.highlight) * bright)
        there = amount != 0
        old = under(image, box, there)
        mean = mean_of(old)
        new = toned(old, np.float32(darker(mean)) * amount[there], mean)
        return edit_of(box, there, new, {"light": round(math.degrees(light), 1), "made": len(made)})

    def _apart(
        self,
        centre: tuple[int, int],
        long_axis: float,
        radius: float,
        made: list[tuple[float, float, float]],
        rng: Rng,
    ) -> tuple[float, float] | None:
        """Return (row, column) uniform in the cluster's ellipse and clear of the pits made; None if none was found."""
        sine, cosine = heading(self.orientation)
        for _ in range(_TRIES):
            away, turn = long_axis * math.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * math.pi)
            along, across = away * float(steady.cos(turn)), away * float(steady.sin(turn)) / self.elongation
            row, column = centre[0] + along * sine + across * cosine, centre[1] + along * cosine - across * sine
            if all((row - r) ** 2 + (column - c) ** 2 > (1.2 * (radius + size)) ** 2 for r, c, size in made):
                return row, column
        return None


def _around(place: tuple[float, float], reach: float, box: Box) -> tuple[tuple[slice, slice], Field, Field]:
    """Return the window of `box` within `reach` of `place`, and its offsets from there: down (h, 1), right (1, w)."""
    slices, offsets = [], []
    for at, low, high in ((place[0], box[0], box[2]), (place[1], box[1], box[3])):
        start = min(max(low, math.floor(at - reach)), high)
        stop = max(start, min(high, math.ceil(at + reach) + 1))
        slices.append(slice(start - low, stop - low))
        offsets.append((np.arange(start, stop) - at).astype(np.float32))
    return (slices[0], slices[1]), offsets[0][:, None], offsets[1][None, :]


def _pit(dy: Field, dx: Field, radius: float, light: float, softness: float, rng: Rng) -> tuple[Field, Field]:
    """Return how dark and how bright a pit is at offsets `dy` (h, 1), `dx` (1, w) from its middle: (h, w), 0 to 1."""
    distance = np.sqrt(dy * dy + dx * dx)
    known = np.maximum(distance, np.float32(0.5))
    s, c = dy / known, dx / known
    # An outline with two and three lobes: cos 2a, sin 2a, cos 3a, sin 3a written out in the sine and cosine of a.
    lobes = ((0.11, c * c - s * s), (0.11, 2 * s * c), (0.07, c * (4 * c * c - 3)), (0.07, s * (3 - 4 * s * s)))
    r = distance / np.float32(radius)
    wave = np.ones_like(r)
    for most, lobe in lobes:
        wave += np.float32(rng.uniform(-most, most)) * lobe
    r = r / wave
    facing = s * np.float32(steady.sin(light)) + c * np.float32(steady.cos(light))
    soft = np.float32(max(softness, 1.0 / radius))
    deep = (np.float32(0.7) + np.float32(0.3) * facing) * smooth((1 - r) / soft + np.float32(0.3))
    # Just inside of the rim where the pit is large enough for that, on it where it is not.
    middle, thick = np.float32(max(0.9, 1.0 - 0.4 / radius)), np.float32(max(0.3, 1.1 / radius))
    crescent = np.maximum(0, -facing) * smooth(1 - np.abs(r - middle) / thick)
    return np.asarray(deep, dtype=np.float32), np.asarray(crescent, dtype=np.float32)
