"""Groove along a line on the surface."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from anosynth import steady
from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._geometry.path import curve, distance_to_polyline
from ._lines import check_width, reach_of, taper
from ._local import STRENGTH, LocalGenerator, Mask, find_patch, raised

_STEPS = 48


class Scratch(LocalGenerator):
    """Groove along a smooth curve, with raised lips

    h(d) = -strength * (1 - (d / w)^2) for d < w, strength * lip * sin^2(pi (d - w) / w) up to 2 w, times a taper over
    the last 15 % at both ends; d the distance to the curve in the patch's geodesic chart, w half of `width`.

    3D-DefectStudio's scratch is a tube round a graph path with one normal for all of it; here the curve is smooth, has
    the normal of each point, and has lips (ours). A scratch narrower than two point spacings is refused: no scan of
    this density would show it.
    """

    version: ClassVar[int] = 2
    strength: Length = param(0.006, gt=0, le=0.1, vary=(0.003, 0.01), unit=STRENGTH, help="depth")
    length: Length = param(0.25, gt=0, le=1, vary=(0.12, 0.35), unit=STRENGTH, help="length of the curve")
    width: Length = param(0.02, gt=0, le=0.2, vary=(0.012, 0.03), unit=STRENGTH, help="width of the groove")
    bend: float = param(0.4, ge=0, le=1.5, vary=(0.0, 0.8), unit="radians", help="largest turn from the mean direction")
    lip: float = param(0.15, ge=0, le=1, vary=(0.0, 0.3), help="height of the lips as a share of the depth")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        depth, length, width = (self.length_in(name, cloud) for name in ("strength", "length", "width"))
        check_width("width", width, cloud)
        line = curve(rng.child("curve"), length, bend=self.bend, steps=_STEPS)
        reach = reach_of([line], 1.1 * width)
        patch = find_patch(cloud, rng, allowed, radius=reach, reach=2 * depth, edge=width / 5)
        distance, along = distance_to_polyline(patch.uv, line)
        d = distance / (0.5 * width)
        groove = np.where(d < 1, d * d - 1, np.where(d < 2, self.lip * steady.sin(np.pi * (d - 1)) ** 2, 0.0))
        return raised(patch, depth * groove * taper(along / length), length=length, width=width)
