"""Crack with branches."""

from __future__ import annotations

import numpy as np

from anosynth.params import Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._place import centre_of
from ._sample import Image, Mask
from ._seats import oriented
from ._strokes import (
    coverage,
    crack_lines,
    darker,
    edit_of,
    mean_of,
    pointed,
    stroke_box,
    stroke_size,
    toned,
    trace,
    under,
    wobble,
)

SIDE = "of the shorter side"

_THINNER = 0.7


class Crack(ImageGenerator):
    """Thin dark zigzag with branches that start on it

    amount(d) = -strength * a(d; w), a the share that a line of width w has of a spot of 1 px + softness w; w varies by
    about a third along the line, as gradient noise does, and runs out to a hairline at the tips; a branch is 0.7 as
    wide as the main line and 0.2 to 0.5 as long as its parent. Segments are broken further at displaced middles
    (Fournier, Fussell and Carpenter 1982) down to about the width. Where all is black the crack is light.

    Ours.
    """

    strength: float = param(0.4, gt=0, le=1, vary=(0.2, 0.6), help="contrast")
    length: Size = param(0.5, gt=0, le=2, vary=(0.2, 0.8), unit=SIDE, help="length of the main line, from 8 pixels")
    width: Size = param(0.006, gt=0, le=0.1, vary=(0.003, 0.01), unit=SIDE, help="width, at least 1.2 pixels")
    orientation: float = oriented("the main line from end to end")
    softness: float = param(0.0, ge=0, le=1, vary=(0.0, 0.4), unit="of the width", help="blur of the lines' edges")
    branches: int = param(3, ge=0, le=30, vary=(0, 6), help="number of branches")
    jitter: float = param(0.35, ge=0, le=1, vary=(0.2, 0.5), unit="radians", help="typical turn of the zigzag")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        length, width = stroke_size(image, self.length, self.width)
        centre = centre_of(image, free, rng.child("place"))
        lines = crack_lines(centre, length, self.branches, self.jitter, max(3.0, 1.5 * width), rng.child("crack"))
        lines = pointed(lines, centre, self.orientation)
        blur = 1.0 + self.softness * width
        reach = 0.5 * (1.6 * width + blur) + 0.5
        box = stroke_box(lines, reach, image.shape)
        top, left = box[:2]
        amount = np.zeros((box[2] - top, box[3] - left), dtype=np.float32)
        for number, line in enumerate(lines):
            part = stroke_box([line], reach, image.shape)
            offset, along = trace(line, reach, part)
            near = np.isfinite(offset)
            d, s = offset[near], along[near]
            step = np.diff(line, axis=0)
            total = float(np.sqrt((step * step).sum(axis=1)).sum())
            # The main line runs out at both tips, a branch at its free one only: at its root it is as wide as it gets.
            left_over = np.minimum(s, total - s) if number == 0 else np.float32(total) - s
            open_ = np.clip(left_over / np.float32(0.4 * total), np.float32(0.15), np.float32(1))
            noise = wobble(s, total, 5.0 * width, rng.child("width", number))
            wide = np.float32(width if number == 0 else _THINNER * width) * open_ * (1 + np.float32(0.6) * noise)
            window = amount[part[0] - top : part[2] - top, part[1] - left : part[3] - left]
            window[near] = np.maximum(window[near], coverage(d, np.maximum(wide, np.float32(0.3)), blur))
        there = amount > 0
        old = under(image, box, there)
        mean = mean_of(old)
        new = toned(old, np.float32(darker(mean) * self.strength) * amount[there], mean)
        return edit_of(box, there, new, {"length": length, "width": width})
