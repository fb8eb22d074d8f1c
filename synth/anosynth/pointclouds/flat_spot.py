"""Ground-off spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._local import AREA, STRENGTH, LocalGenerator, Mask, find_patch, fit_size, pushed

_DEEPEST = 2.0


class FlatSpot(LocalGenerator):
    """Spot ground off to a plane, as wear or a rub leaves it

    p' = p - max(0, z + depth) * n, z = (p - c) . n the height over the tangent plane at the centre c with normal n,
    for points within the radius R, so that all of them end on the plane at `strength` under c.

    On a curved part the plane cuts the surface and there is no step. On a flat one the spot is a step of the full
    depth at R. R follows from `area` but grows no further than the cut reaches. AF3AD's preset of that name is a
    shallow dent; this one is flat (ours).
    """

    strength: Length = param(0.01, gt=0, le=0.2, vary=(0.004, 0.015), unit=STRENGTH, help="depth under the centre")
    area: float = param(0.02, gt=0, le=0.5, vary=(0.005, 0.03), unit=AREA, help="share of the surface, at most")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        depth = self.length_in("strength", cloud)
        patch = find_patch(cloud, rng, allowed, share=min(1.0, 1.3 * self.area), reach=2 * depth)
        n = patch.frame[2]
        gap = patch.cloud.points[patch.index].astype(np.float64) - patch.cloud.points[patch.centre].astype(np.float64)
        cut = np.maximum((gap * n).sum(axis=1) + depth, 0)

        if float(cut.max()) > _DEEPEST * depth:
            raise DataError("the surface is hollow here: a plane would cut more than was asked for")

        def height(size: float) -> NDArray[Any]:
            return np.asarray(np.where(patch.distance < size, cut, 0.0) / cut.max())

        size = fit_size(patch, self.area, height, float(cut.max()), patch.radius)
        return pushed(patch, -n * np.where(patch.distance < size, cut, 0.0)[:, None], size=size)
