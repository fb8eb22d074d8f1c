"""Broken edge."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import fbm
from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._edges import pick_edge
from ._geometry.eigen import eigen3
from ._geometry.patch import Patch
from ._local import STRENGTH, LocalGenerator, Mask, find_patch, pushed


class Chip(LocalGenerator):
    """Chip broken out of a convex edge, with a rough fracture surface

    p' = p - max(0, z + depth * (1 - (s / (length / 2))^2) + rough) * m, z = (p - c) . m the height over the edge
    point c along m, the mean of the normals around it, s the position along the edge, rough an fBm field over the
    patch. Points above the fracture surface fall onto it; the rest stays.

    Ours. Edges are found where the surface is sharpest and convex; on a part without any the sample is refused.
    """

    version: ClassVar[int] = 2
    strength: Length = param(0.02, gt=0, le=0.2, vary=(0.01, 0.03), unit=STRENGTH, help="depth under the edge")
    length: Length = param(0.12, gt=0, le=0.8, vary=(0.06, 0.18), unit=STRENGTH, help="length along the edge")
    roughness: float = param(0.2, ge=0, le=0.8, vary=(0.1, 0.3), help="height of the fracture's relief over the depth")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        depth, length = self.length_in("strength", cloud), self.length_in("length", cloud)
        centre = pick_edge(cloud, rng.child("edge"), allowed)
        radius = 0.5 * length + 3 * depth
        patch = find_patch(cloud, rng, allowed, radius=radius, reach=2 * depth, centre=centre)
        m, along = edge_frame(patch, 1.5 * depth)
        gap = patch.cloud.points[patch.index].astype(np.float64) - patch.cloud.points[patch.centre].astype(np.float64)
        s = (gap * along).sum(axis=1) / (0.5 * length)
        rough = fbm(gap * (4 / radius), rng.child("rough"), octaves=4).astype(np.float64)
        level = depth * ((1 - s * s) * (1 + self.roughness * rough))
        # Far from the edge the fracture has left the part; what is above it there belongs to other features.
        cut = np.where(
            (np.abs(s) < 1) & (patch.distance < 0.98 * radius), np.maximum((gap * m).sum(axis=1) + level, 0), 0
        )
        if float(cut.max()) > 3 * depth or not cut.any():
            raise DataError("the surface around this place is no edge that could chip")
        return pushed(patch, -m * cut[:, None], length=length)


def edge_frame(patch: Patch, radius: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the mean normal (3,) of the patch within `radius` of its centre, and the direction of the edge there."""
    near = patch.distance <= max(radius, float(patch.distance[min(len(patch) - 1, 8)]))
    normals = patch.normals[near]
    m = normals.mean(axis=0)
    size = float(np.sqrt((m * m).sum()))
    if size < 0.1:
        raise DataError("the surface folds back on itself here")
    m = m / size
    spread = np.einsum("ni,nj->ij", normals, normals, optimize=False) / len(normals)
    # The normals of the two faces span a plane; the edge is what is left.
    along = eigen3(spread)[1][:, 0]
    along = along - m * float((along * m).sum())
    length = float(np.sqrt((along * along).sum()))
    return m, along / length if length > 0 else patch.frame[0]
