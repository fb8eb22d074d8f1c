"""Foreign matter on the surface."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.noise import fbm
from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._geometry.patch import Patch
from ._local import STRENGTH, LocalGenerator, Mask, find_patch, local_spacing, raised

Array = NDArray[Any]

_LUMPS = 0.35
_GOLDEN = np.pi * (3 - np.sqrt(5))


class Contamination(LocalGenerator):
    """Lump of foreign matter stuck on the surface: points are added

    Points at chart positions (u, v) of an ellipse with the semi-axes of `length` stand over the surface by
    h = strength * sqrt(1 - t^2) * (1 + 0.35 f), t the elliptic radius, f fBm noise; they are as dense as the cloud
    and all of them are labelled. Long and thin ones are fibres. A mesh gets them as a cap of its own; in a depth map
    the pixels under the lump move instead.

    Ours; MVTec 3D-AD and Real3D-AD have contamination and bulges of this kind as real defects.
    """

    version: ClassVar[int] = 2
    strength: Length = param(0.02, gt=0, le=0.2, vary=(0.01, 0.03), unit=STRENGTH, help="height of the lump")
    length: Length = param(0.08, gt=0, le=0.8, vary=(0.04, 0.12), unit=STRENGTH, help="length of the lump")
    elongation: float = param(1.5, ge=1, le=20, vary=(1.0, 4.0), help="ratio of the longer to the shorter axis")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        height, length = self.length_in("strength", cloud), self.length_in("length", cloud)
        a, b = 0.5 * length, 0.5 * length / self.elongation
        patch = find_patch(cloud, rng, allowed, radius=1.2 * a + 3 * cloud.surface.spacing, reach=2 * height)
        noise = rng.child("lumps")
        if cloud.grid is not None:
            return raised(patch, height * _dome(patch.uv, a, b, noise), length=length)
        spacing = local_spacing(patch)
        number = int(max(12, min(2_000_000, np.pi * a * b / (0.866 * spacing * spacing))))
        order = np.arange(number)
        ring, angle = np.sqrt((order + 0.5) / number), order * _GOLDEN
        uv = np.stack([a * ring * steady.cos(angle), b * ring * steady.sin(angle)], axis=1)
        return stuck_on(patch, uv, height * _dome(uv, a, b, noise), length=length)


def stuck_on(patch: Patch, uv: Array, height: Array, **stats: Any) -> Change:
    """Add points at chart positions `uv` (A, 2), `height` (A,) in file units over the surface there."""
    from scipy.spatial import Delaunay, cKDTree

    _, near = cKDTree(patch.uv).query(uv)
    below = patch.cloud.points[patch.index[near]].astype(np.float64)
    normals = patch.normals[near]
    # From the nearest point, go the rest of the way in its tangent plane: the chart's axes, made tangent there.
    rest = uv - patch.uv[near]
    axes = [axis - normals * (normals * axis).sum(axis=1)[:, None] for axis in patch.frame[:2]]
    points = below + axes[0] * rest[:, :1] + axes[1] * rest[:, 1:] + normals * height[:, None]
    faces = np.zeros((0, 3), dtype=np.int64)
    if patch.cloud.triangles is not None:
        faces = Delaunay(uv).simplices.astype(np.int64)
        first, second, third = (uv[faces[:, i]] for i in range(3))
        left = (second - first)[:, 0] * (third - first)[:, 1] - (second - first)[:, 1] * (third - first)[:, 0] > 0
        faces = np.where(left[:, None], faces, faces[:, ::-1])
    return Change(
        patch.cloud,
        added=points,
        added_from=patch.index[near],
        added_height=height,
        added_normals=normals,
        added_faces=faces,
        stats={"peak": float(height.max()), **stats},
    )


def _dome(uv: Array, a: float, b: float, rng: Rng) -> Array:
    t2 = (uv[:, 0] / a) ** 2 + (uv[:, 1] / b) ** 2
    lumps = fbm(uv * (1.5 / b), rng, octaves=3).astype(np.float64)
    return np.where(t2 < 1, np.sqrt(np.maximum(1 - t2, 0)) * (1 + _LUMPS * lumps), 0.0)
