"""Spatter of droplets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.params import Area, Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._place import box_around, centre_of
from ._sample import Image, Mask
from ._seats import heading, oriented
from ._strokes import direction, edit_of, mean_of, smooth, tint, toned, under

SIDE = "of the shorter side"

Values = NDArray[np.float64]

_SMALLEST = 0.12
_TEXTURE = 0.3


class Spatter(ImageGenerator):
    """Droplets of one colour, few large and many small, thinning out from a centre

    The share of droplets larger than a follows a^-exponent (a Pareto law, cut where the largest is 1 / 0.12 times the
    smallest); all are then scaled to cover `area`. They lie at spread u^0.8 from the centre, u uniform, larger ones
    nearer, and are drawn out along the way they flew, by up to 1.6. Colour: the mean under them moved by `strength`
    in a hue drawn for all of them, with a third of the texture showing through and a darker meniscus.

    Ours.
    """

    strength: float = param(0.3, gt=0, le=1, vary=(0.12, 0.5), help="contrast")
    area: Area = param(0.008, gt=0, le=0.2, vary=(0.002, 0.02), unit="of the image", help="area of all droplets")
    droplets: int = param(30, ge=1, le=500, vary=(8, 80), help="number of droplets")
    spread: Size = param(0.25, gt=0, le=1, vary=(0.1, 0.4), unit=SIDE, help="radius of the spatter")
    elongation: float = param(1.0, ge=1, le=10, vary=(1.0, 3.0), help="ratio of the spatter's longer to shorter axis")
    orientation: float = oriented("the spatter's long axis")
    softness: float = param(0.0, ge=0, le=1, vary=(0.0, 0.4), help="share of a droplet's radius over which it fades")
    exponent: float = param(1.6, ge=0.5, le=5, vary=(1.2, 2.5), help="exponent of the law of sizes; more: smaller ones")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        centre = centre_of(image, free, rng.child("place"))
        radii = self._radii(min(image.share(self.area), 0.2) * free.size, rng)
        near = np.asarray(steady.exp(0.8 * steady.log(np.maximum(rng.child("away").random(self.droplets), 1e-9))))
        down, right = self._flight(min(image.length(self.spread), 2.0 * max(image.shape)), near, radii, rng)
        away = np.sqrt(down * down + right * right)
        half = math.ceil(float((away + 1.4 * radii).max())) + 2
        box = box_around(centre, (2 * half + 1, 2 * half + 1), image.shape)
        depth = np.zeros((box[2] - box[0], box[3] - box[1]), dtype=np.float32)
        alpha = np.zeros_like(depth)
        stretch = 1.0 + 0.6 * rng.child("stretch").random(self.droplets) * near
        for radius, y, x, far, long in zip(radii, down, right, away, stretch, strict=True):
            row, column = centre[0] + y - box[0], centre[1] + x - box[1]
            reach = radius * math.sqrt(long) + 1.0
            r0, r1 = max(0, math.floor(row - reach)), min(depth.shape[0], math.ceil(row + reach) + 1)
            c0, c1 = max(0, math.floor(column - reach)), min(depth.shape[1], math.ceil(column + reach) + 1)
            if r0 >= r1 or c0 >= c1:
                continue
            dy = (np.arange(r0, r1) - row).astype(np.float32)[:, None]
            dx = (np.arange(c0, c1) - column).astype(np.float32)[None, :]
            sine, cosine = (np.float32(y / far), np.float32(x / far)) if far > 0 else (np.float32(0), np.float32(1))
            wide = np.float32(math.sqrt(long))
            along, across = (dx * cosine + dy * sine) / wide, (dy * cosine - dx * sine) * wide
            inward = np.float32(radius) - np.sqrt(along * along + across * across) + np.float32(0.5)
            window = (slice(r0, r1), slice(c0, c1))
            depth[window] = np.maximum(depth[window], inward)
            alpha[window] = np.maximum(alpha[window], inward / np.float32(1 + self.softness * radius))
        there = depth > 0
        old = under(image, box, there)
        mean = mean_of(old)
        sign = direction(mean, "auto", rng.child("polarity"))
        weights = tint(image.channels, 0.4, rng.child("colour"))
        meniscus = np.float32(1) + np.float32(0.25) * (1 - smooth(depth[there] / np.float32(0.3 * radii[0] + 1)))
        flat = np.float32(mean) + np.float32(_TEXTURE) * (old - np.float32(mean))
        new = toned(flat, np.float32(sign * self.strength) * meniscus, mean, weights)
        whole = edit_of(box, there, new, {"droplets": self.droplets, "largest": round(float(radii[0]), 2)})
        return replace(whole, alpha=np.clip(alpha, 0, 1))

    def _radii(self, area: float, rng: Rng) -> Values:
        """Return the radii in pixels, the largest first, of droplets that cover `area` pixels in all."""
        u = rng.child("sizes").random(self.droplets)
        least = _SMALLEST**self.exponent
        # The Pareto law between `_SMALLEST` and 1, by its inverse; the largest lies in the middle.
        size = np.sort(np.asarray(steady.exp(-steady.log(1.0 + u * (1.0 / least - 1.0)) / self.exponent)))[::-1]
        radii = np.maximum(size * math.sqrt(area / (math.pi * float((size * size).sum()))), 0.9)
        radii[0] = max(float(radii[0]), 1.8)
        return radii

    def _flight(self, spread: float, near: Values, radii: Values, rng: Rng) -> tuple[Values, Values]:
        """Return how far down and right of the centre the droplets lie, in pixels."""
        away = spread * near * (1.0 - 0.6 * radii / radii[0]) / (1.0 - 0.6 * radii[-1] / radii[0])
        away[0] = 0.0
        turn = 2.0 * math.pi * rng.child("turn").random(self.droplets)
        wider = math.sqrt(self.elongation)
        sine, cosine = heading(self.orientation)
        along, across = away * steady.cos(turn) * wider, away * steady.sin(turn) / wider
        return along * sine + across * cosine, along * cosine - across * sine
