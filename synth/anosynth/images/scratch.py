"""Scratch with a dark core and a bright edge."""

from __future__ import annotations

from typing import Literal

import numpy as np

from anosynth.params import Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._sample import Image, Mask
from ._seats import oriented
from ._strokes import (
    coverage,
    direction,
    edit_of,
    mean_of,
    random_stroke,
    smooth,
    stroke_box,
    taper,
    toned,
    trace,
    under,
    wobble,
)

SIDE = "of the shorter side"


class Scratch(ImageGenerator):
    """Scratch along a smooth curve, with a depth profile and a bright edge

    amount(d) = -strength * p * a(d; w) * (1 - 0.4 (2 d / w)^2) + strength * highlight * p * a(d - w / 2 - e / 2; e),
    with d the signed distance to the curve, a the share that a line of that width has of a spot of 1 px + softness w,
    e = 0.5 w + 0.4 px and p the pressure, gradient noise along the curve: it sets in within 8 % of the length, skips
    now and then and runs out over the last 40 %, and w with it. Where the polarity is light, both signs turn.

    Ours.
    """

    strength: float = param(0.3, gt=0, le=1, vary=(0.12, 0.5), help="contrast of the core")
    length: Size = param(0.4, gt=0, le=2, vary=(0.15, 0.7), unit=SIDE, help="length of the curve, at least 8 pixels")
    width: Size = param(0.006, gt=0, le=0.1, vary=(0.003, 0.012), unit=SIDE, help="width, at least 1.2 pixels")
    orientation: float = oriented("the line from end to end")
    softness: float = param(0.0, ge=0, le=1, vary=(0.0, 0.6), unit="of the width", help="blur of the line's edges")
    bend: float = param(0.2, ge=0, le=1.5, vary=(0.0, 0.5), unit="radians", help="largest turn from the mean direction")
    highlight: float = param(0.5, ge=0, le=1, vary=(0.2, 0.8), help="contrast of the edge as a share of the core's")
    polarity: Literal["auto", "dark", "light"] = param(
        "auto", help="core darker or lighter than its surroundings; auto goes where there is room"
    )

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        size = {"length": self.length, "width": self.width}
        line, length, width = random_stroke(image, rng, free, **size, bend=self.bend, orientation=self.orientation)
        edge, blur = 0.5 * width + 0.4, 1.0 + self.softness * width
        reach = 0.5 * (width + blur) + edge + 0.5
        box = stroke_box([line], reach, image.shape)
        offset, along = trace(line, reach, box)
        near = np.isfinite(offset)
        d, s = offset[near] * np.float32(rng.child("side").sign()), along[near]
        fade = np.minimum(taper(s, length, 0.08), smooth((np.float32(length) - s) / np.float32(0.4 * length)))
        rub = wobble(s, length, 8.0 * width, rng.child("pressure"))
        pressure = fade * np.clip(np.float32(0.85) + np.float32(1.1) * rub, np.float32(0.12), np.float32(1))
        wide = np.float32(width) * (np.float32(0.3) + np.float32(0.7) * fade)
        deep = 1 - np.float32(0.4) * np.minimum(1, (2 * d / wide) ** 2)
        core = pressure * coverage(d, wide, blur) * deep
        beside = d - np.float32(0.5) * (wide + np.float32(edge))
        shine = np.float32(self.highlight) * pressure * coverage(beside, edge, blur)
        amount = np.float32(self.strength) * (shine - core)
        old = under(image, box, near)
        mean = mean_of(old)
        if direction(mean, self.polarity, rng.child("polarity")) > 0:
            amount = -amount
        there = amount != 0
        near[near] = there
        new = toned(old[there], amount[there], mean)
        return edit_of(box, near, new, {"length": length, "width": width})
