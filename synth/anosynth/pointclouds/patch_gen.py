"""Patch-Gen of R3D-AD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change, PointCloudGenerator
from ._cloud import PointCloud
from ._local import STRENGTH
from ._whole import refined_whole


class PatchGen(PointCloudGenerator):
    """Jagged bulge or sink of the points nearest to a view point (Patch-Gen of R3D-AD)

    p_i' = p_i +- strength * u_(i) * q_i, q_i the unit direction from the view point v to p_i, u_(1) >= u_(2) >= ...
    sorted U(0, 1) draws, the largest for the point nearest to v; v one of {-2, 0, 2}^3 without 0 about the centre of
    the part, in units of its largest radius.

    Source: R3D-AD (ECCV 2024), Patch-Gen: N / 32 to N / 4 points, scale U(0, 0.2) of the radius, sign with p = 0.5.
    The direction is the view's and not the surface's, as published. A depth map moves along its own rays instead.
    """

    version: ClassVar[int] = 2
    strength: Length = param(0.05, gt=0, le=0.2, vary=(0.01, 0.1), unit=STRENGTH, help="largest displacement")
    area: float = param(
        0.1, gt=0, le=0.5, vary=(0.03125, 0.25), unit="fraction of the points", help="size of the patch"
    )

    def changes(self, cloud: PointCloud, rng: Rng) -> Sequence[Change]:
        strength = self.length_in("strength", cloud)
        cloud = refined_whole(cloud)
        rows = np.flatnonzero(cloud.valid if cloud.foreground is None else cloud.foreground).astype(np.int64)
        points = cloud.points[rows].astype(np.float64)
        middle = points.mean(axis=0)
        gap = points - middle
        radius = float(np.sqrt((gap * gap).sum(axis=1).max()))
        corner = rng.child("view").integer(0, 25)
        corner += corner >= 13  # the 14th of the 27 is the centre itself
        view = middle + 2 * radius * (np.array([corner // 9, corner // 3 % 3, corner % 3]) - 1.0)
        eye = view if cloud.grid is None else cloud.sensor
        distance = np.sqrt(((points - view) ** 2).sum(axis=1))
        number = min(len(rows), max(12, int(self.area * len(rows))))
        nearest = np.argsort(distance, kind="stable")[:number]
        draws = -np.sort(-rng.child("draws").random(number), kind="stable")
        way = points[nearest] - eye
        way /= np.sqrt((way * way).sum(axis=1, keepdims=True))
        moved = points[nearest] + rng.child("sign").sign() * strength * draws[:, None] * way
        return [Change(cloud, rows[nearest], moved, -way)]
