"""Bent part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from anosynth import steady
from anosynth.errors import DataError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Change, PointCloudGenerator
from ._cloud import PointCloud
from ._local import AREA, pushed_freely
from ._whole import refined_whole, whole


class Bend(PointCloudGenerator):
    """Part bent at its end, as a fall or a clamp leaves it

    With x along the longest principal axis from the hinge and z across it, the axis turns by a(x) = angle * x / l up
    to x = l and stays at `angle` beyond: (x, z) -> (C(x) - z sin a, S(x) + z cos a), C and S the integrals of cos a
    and sin a. The hinge lies so that `area` of the surface is beyond it; l is `onset` of the length beyond it.

    3D-DefectStudio rotates a half and labels a slab; here all that moved is labelled (ours).
    """

    version: ClassVar[int] = 2

    angle: float = param(8.0, gt=0, le=60, vary=(3.0, 12.0), unit="degrees", help="how far the end is turned")
    area: float = param(0.2, gt=0, le=0.5, vary=(0.1, 0.3), unit=AREA, help="share of the surface beyond the hinge")
    onset: float = param(0.4, gt=0, le=1, vary=(0.2, 0.6), help="share of the end over which it curves")

    def changes(self, cloud: PointCloud, rng: Rng) -> Sequence[Change]:
        patch = whole(refined_whole(cloud))
        points = patch.cloud.points[patch.index].astype(np.float64)
        middle = points.mean(axis=0)
        along, across = patch.frame[0] * rng.child("end").sign(), patch.frame[2] * rng.child("side").sign()
        gap = points - middle
        x, z = (gap * along).sum(axis=1), (gap * across).sum(axis=1)
        weights = patch.cloud.surface.weights[patch.index]
        order = np.argsort(-x, kind="stable")
        hinge = float(x[order[min(int(np.searchsorted(np.cumsum(weights[order]), self.area)), len(order) - 1)]])
        beyond = x - hinge
        if not beyond.max() > 0:
            raise DataError("the part ends in a face larger than the area: no hinge before it\nhint: raise area")
        curved = self.onset * float(beyond.max())
        angle = np.radians(self.angle)
        turn = angle * np.clip(beyond / curved, 0, 1)
        straight = np.maximum(beyond - curved, 0)
        rate = angle / curved
        new_x = steady.sin(turn) / rate + straight * steady.cos(angle) - z * steady.sin(turn)
        new_z = (1 - steady.cos(turn)) / rate + straight * steady.sin(angle) + z * steady.cos(turn)
        moved = beyond > 0
        vectors = np.where(moved, new_x - beyond, 0)[:, None] * along + np.where(moved, new_z - z, 0)[:, None] * across
        return [pushed_freely(patch, vectors, hinge=hinge)]
