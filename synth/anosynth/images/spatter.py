"""Spatter of droplets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from anosynth import steady
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Edit, ImageGenerator
from ._place import box_around, centre_of
from ._sample import Image, Mask
from ._strokes import direction, edit_of, mean_of, smooth, tint, toned, under

SIDE = "of the shorter side"

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
    area: float = param(0.008, gt=0, le=0.2, vary=(0.002, 0.02), unit="of the image", help="area of all droplets")
    droplets: int = param(30, ge=1, le=500, vary=(8, 80), help="number of droplets")
    spread: float = param(0.25, gt=0, le=1, vary=(0.1, 0.4), unit=SIDE, help="radius of the spatter")
    exponent: float = param(1.6, ge=0.5, le=5, vary=(1.2, 2.5), help="exponent of the law of sizes; more: smaller ones")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        centre = centre_of(image, free, rng.child("place"))
        u = rng.child("sizes").random(self.droplets)
        least = _SMALLEST**self.exponent
        # The Pareto law between `_SMALLEST` and 1, by its inverse; the largest first, which lies in the middle.
        size = np.sort(np.asarray(steady.exp(-steady.log(1.0 + u * (1.0 / least - 1.0)) / self.exponent)))[::-1]
        scale = math.sqrt(self.area * free.size / (math.pi * float((size * size).sum())))
        radii = np.maximum(size * scale, 0.9)
        radii[0] = max(float(radii[0]), 1.8)
        near = np.asarray(steady.exp(0.8 * steady.log(np.maximum(rng.child("away").random(self.droplets), 1e-9))))
        away = self.spread * image.side * near * (1.0 - 0.6 * radii / radii[0]) / (1.0 - 0.6 * radii[-1] / radii[0])
        away[0] = 0.0
        turn = 2.0 * math.pi * rng.child("turn").random(self.droplets)
        stretch = 1.0 + 0.6 * rng.child("stretch").random(self.droplets) * near
        half = math.ceil(float((away + 1.4 * radii).max())) + 2
        box = box_around(centre, (2 * half + 1, 2 * half + 1), image.shape)
        top, left, bottom, right = box
        depth = np.zeros((bottom - top, right - left), dtype=np.float32)
        sines, cosines = steady.sin(turn), steady.cos(turn)
        for radius, far, sine, cosine, long in zip(radii, away, sines, cosines, stretch, strict=True):
            row, column = centre[0] + far * sine - top, centre[1] + far * cosine - left
            reach = radius * math.sqrt(long) + 1.0
            r0, r1 = max(0, math.floor(row - reach)), min(depth.shape[0], math.ceil(row + reach) + 1)
            c0, c1 = max(0, math.floor(column - reach)), min(depth.shape[1], math.ceil(column + reach) + 1)
            if r0 >= r1 or c0 >= c1:
                continue
            dy = (np.arange(r0, r1) - row).astype(np.float32)[:, None]
            dx = (np.arange(c0, c1) - column).astype(np.float32)[None, :]
            wide = np.float32(math.sqrt(long))
            along = (dx * np.float32(cosine) + dy * np.float32(sine)) / wide
            across = (dy * np.float32(cosine) - dx * np.float32(sine)) * wide
            inward = np.float32(radius) - np.sqrt(along * along + across * across)
            depth[r0:r1, c0:c1] = np.maximum(depth[r0:r1, c0:c1], inward + np.float32(0.5))
        there = depth > 0
        old = under(image, box, there)
        mean = mean_of(old)
        sign = direction(mean, "auto", rng.child("polarity"))
        weights = tint(image.channels, 0.4, rng.child("colour"))
        meniscus = np.float32(1) + np.float32(0.25) * (1 - smooth(depth[there] / np.float32(0.3 * radii[0] + 1)))
        flat = np.float32(mean) + np.float32(_TEXTURE) * (old - np.float32(mean))
        new = toned(flat, np.float32(sign * self.strength) * meniscus, mean, weights)
        whole = edit_of(box, there, new, {"droplets": self.droplets, "largest": round(float(radii[0]), 2)})
        return replace(whole, alpha=np.clip(depth, 0, 1))
