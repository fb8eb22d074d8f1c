"""Fibre or hair lying on the surface."""

from __future__ import annotations

import numpy as np

from anosynth import steady
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
    tint,
    toned,
    trace,
    under,
)

SIDE = "of the shorter side"


class Fibre(ImageGenerator):
    """Long thin fibre with its own colour and a faint shadow beside it

    The fibre is a smooth curve, covered by a(d; w), the share that a line of width w has at distance d of a spot of
    1 px + softness w. It is opaque: its colour is the mean under it, moved by `strength` in a hue drawn for it, a
    little lighter along its middle. The shadow is the same curve shifted by 1.5 w, 3 w wide and soft, `shadow` times as
    strong.

    Ours.
    """

    strength: float = param(0.35, gt=0, le=1, vary=(0.15, 0.6), help="contrast of the fibre")
    length: Size = param(0.7, gt=0, le=3, vary=(0.3, 1.2), unit=SIDE, help="length of the fibre, at least 8 pixels")
    width: Size = param(0.005, gt=0, le=0.05, vary=(0.003, 0.008), unit=SIDE, help="width, at least 1.2 pixels")
    orientation: float = oriented("the line from end to end")
    softness: float = param(0.0, ge=0, le=1, vary=(0.0, 0.4), unit="of the width", help="blur of the fibre's edges")
    bend: float = param(1.4, ge=0, le=4, vary=(0.5, 2.5), unit="radians", help="largest turn from the mean direction")
    shadow: float = param(0.3, ge=0, le=1, vary=(0.1, 0.5), help="depth of the shadow as a share of the contrast")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        size = {"length": self.length, "width": self.width}
        line, length, width = random_stroke(image, rng, free, **size, bend=self.bend, orientation=self.orientation)
        light = rng.child("light").uniform(0.0, 2.0 * np.pi)
        shade = line + 1.5 * width * np.array([steady.sin(light), steady.cos(light)])
        soft = 1.5 * width + 0.5
        box = stroke_box([line, shade], soft + 1.0, image.shape)
        blur = 1.0 + self.softness * width
        offset, along = trace(line, 0.5 * (width + blur) + 0.5, box)
        # Under the tips there is less to see: a hair ends in a point.
        ends = np.clip(np.minimum(along, np.float32(length) - along) / np.float32(3.0 * width), 0, 1)
        wide = np.float32(width) * (np.float32(0.4) + np.float32(0.6) * ends)
        body = coverage(offset, wide, blur)
        away, _ = trace(shade, soft, box)
        dark = np.float32(self.shadow * self.strength) * smooth(1 - np.abs(away) / np.float32(soft))
        there = (body > 0) | (dark > 0)
        old, on_it = under(image, box, there), body[there]
        mean = mean_of(old[on_it > 0])
        sign = direction(mean, "auto", rng.child("polarity"))
        lit = 1 - np.float32(0.25) * smooth(1 - 2 * np.abs(offset[there]) / wide[there])
        amount = np.float32(sign * self.strength) * (lit if sign < 0 else 2 - lit)
        own = toned(np.full_like(old, np.float32(mean)), amount, mean, tint(image.channels, 0.45, rng.child("colour")))
        shaded = toned(old, -dark[there], mean)
        return edit_of(box, there, shaded + on_it[:, None] * (own - shaded), {"length": length, "width": width})
