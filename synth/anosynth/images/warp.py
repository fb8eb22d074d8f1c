"""Local distortion."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._place import centre_of, moved_inside
from ._sample import Image, Mask
from ._seats import oriented
from ._visible import first_visible, graded, thinning
from ._warp import ellipse_box, elliptic_axes, resample

Field = NDArray[np.float32]

_TRIES = 16
_PEAK = 16 / (25 * math.sqrt(5))
"""Largest value of t (1 - t^2)^2, at t = 1 / sqrt 5."""


class Warp(ImageGenerator):
    """Local distortion of the image: swirl, pinch, bulge or stretch

    A pixel at the place p, in units of the ellipse's axes and t = |p| < 1, takes the value at p + d(p). With
    g = strength (1 - t^2)^2 / 0.286: `swirl` turns p by the angle g, `pinch` d = p g, `bulge` d = -p g, `stretch`
    d = -(p_x, 0) g along the long axis. The largest displacement is `strength` of the radius, at severities below 1 a
    part of that; below 0.28 no place is seen twice.

    Ours. Where the image is flat nothing changes, and nothing is labelled: 16 places are tried for a visible change.
    """

    fades: ClassVar[bool] = False

    kind: Literal["swirl", "pinch", "bulge", "stretch"] = param(
        "swirl", vary="swirl|pinch|bulge|stretch", help="shape of the distortion"
    )
    strength: float = param(0.2, gt=0, le=0.28, vary=(0.15, 0.28), unit="of the radius", help="largest displacement")
    area: Area = param(0.03, gt=0, le=0.5, vary=(0.01, 0.06), unit="of the image", help="size of the ellipse")
    elongation: float = param(1.3, ge=1, le=10, vary=(1.0, 2.0), help="ratio of the longer to the shorter axis")
    orientation: float = oriented()

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        angle = math.radians(self.orientation)
        turn = rng.child("turn").sign()
        size = ellipse_box(min(image.share(self.area), 0.5), angle, self.elongation, image.shape)
        along, across, long_axis, short_axis = elliptic_axes(*size, angle, self.elongation)
        t2 = along * along + across * across
        bump = np.maximum(np.float32(1) - t2, np.float32(0))
        u, v = self._displaced(along, across, bump * bump * np.float32(self.strength / _PEAK), turn)
        cosine, sine = (np.float32(f(angle)) for f in (steady.cos, steady.sin))
        u, v = u * np.float32(long_axis), v * np.float32(short_axis)
        down, right = u * sine + v * cosine, u * cosine - v * sine
        alpha = (t2 < 1).astype(np.float32)
        places = rng.child("place")
        stats = {"kind": self.kind, "radius": [long_axis, short_axis]}

        step = thinning(size[0] * size[1])
        thin = (slice(None, None, step), slice(None, None, step))

        def edits() -> Iterator[Edit]:
            for _ in range(_TRIES):
                box = moved_inside(centre_of(image, free, places), size, image.shape)
                yield Edit(box, resample(image.crop(box), down[thin], right[thin], step), alpha[thin])

        found = first_visible(edits(), image, step)
        if found is None:
            raise DataError(f"{_TRIES} places tried: the image is too even there for a `{self.kind}` to show")
        box, old = found.box, image.crop(found.box)

        def displaced(amount: float, step: int = 1) -> Edit:
            part, some = np.float32(amount), (slice(None, None, step), slice(None, None, step))
            return Edit(box, resample(old, part * down[some], part * right[some], step), alpha[some], stats)

        return graded(self.severity, displaced, image, displaced)

    def _displaced(self, along: Field, across: Field, bump: Field, turn: int) -> tuple[Field, Field]:
        if self.kind == "swirl":
            angle = turn * bump.astype(np.float64)
            cosine, sine = (f(angle).astype(np.float32) for f in (steady.cos, steady.sin))
            return along * (cosine - 1) - across * sine, along * sine + across * (cosine - 1)
        if self.kind == "stretch":
            return -along * bump, np.zeros_like(along)
        sign = np.float32(1 if self.kind == "pinch" else -1)
        return sign * along * bump, sign * across * bump
