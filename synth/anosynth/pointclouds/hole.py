"""Missing piece of the surface."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import fbm
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._geometry.patch import Patch
from ._local import AREA, LocalGenerator, Mask, elliptic, find_patch

_RIM_SPACINGS = 2.0


class Hole(LocalGenerator):
    """Hole in the surface: points are removed and the rim is labelled

    Points with t < 1 + roughness * f are removed, t the elliptic geodesic radius over its size, f fBm noise over the
    patch; the size follows from `area`. The removed rows are listed; of what is left, the points within two mean
    spacings of a removed one are labelled, with height 0. In a depth map the pixels become invalid and are labelled
    themselves.

    Real3D-AD and Anomaly-ShapeNet have holes as a class; the geodesic shape, the list and the rim rule are ours.
    """

    version: ClassVar[int] = 2
    area: float = param(0.01, gt=0, le=0.5, vary=(0.003, 0.02), unit=AREA, help="share of the surface that is removed")
    elongation: float = param(1.0, ge=1, le=10, vary=(1.0, 2.5), help="ratio of the longer to the shorter axis")
    roughness: float = param(0.2, ge=0, le=1, vary=(0.0, 0.4), help="how ragged the rim is")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        # Of the few points of a thin cloud, some more; a mesh is refined as far as the patch needs it.
        more = 40 / len(cloud) if cloud.triangles is None else 0.0
        share = min(1.0, self.area * self.elongation * (1 + self.roughness) ** 2 * 1.5 + more)
        patch = find_patch(cloud, rng, allowed, share=share)
        field = fbm(patch.uv * (3 / patch.radius), rng.child("rim"), octaves=3)
        level = elliptic(patch, self.elongation) / (1 + self.roughness * field.astype(np.float64))
        weights = patch.cloud.surface.weights[patch.index]
        order = np.argsort(level, kind="stable")
        number = int(np.searchsorted(np.cumsum(weights[order]), self.area, side="right"))
        if not 3 <= number < len(order):
            raise DataError(
                f"an area of {self.area:g} is {number} of {len(order)} points around this place: no hole can be cut\n"
                "hint: change area, or give a denser cloud"
            )
        gone = np.zeros(len(order), dtype=np.bool_)
        gone[order[:number]] = True
        return cut_out(patch, gone)


def cut_out(patch: Patch, gone: NDArray[np.bool_], **stats: Any) -> Change:
    """Remove the points `gone` (K,) of a patch and label the points around them."""
    cloud, removed = patch.cloud, patch.index[gone]
    if cloud.grid is not None:
        return Change(cloud, removed=removed, stats=dict(stats))
    rim = _near(cloud, removed) if cloud.triangles is None else _next_to(cloud.triangles, len(cloud), removed)
    if not len(rim):
        raise DataError("nothing is left around the hole that could be labelled")
    return Change(cloud, removed=removed, rim=rim.astype(np.int64), stats=dict(stats))


def _near(cloud: PointCloud, removed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the points that are left within two mean spacings of a removed one."""
    from scipy.spatial import cKDTree

    lost, reach = cloud.points[removed].astype(np.float64), _RIM_SPACINGS * cloud.surface.spacing
    low, high = lost.min(axis=0) - reach, lost.max(axis=0) + reach
    near = cloud.valid & ((cloud.points >= low) & (cloud.points <= high)).all(axis=1)
    near[removed] = False
    rows = np.flatnonzero(near)
    distance, _ = cKDTree(lost).query(cloud.points[rows].astype(np.float64), distance_upper_bound=reach)
    return rows[distance <= reach]


def _next_to(faces: NDArray[np.int64], count: int, removed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of `count` vertices lose a face with the removed ones."""
    gone = np.zeros(count, dtype=np.bool_)
    gone[removed] = True
    broken = faces[gone[faces].any(axis=1)]
    around = np.zeros(count, dtype=np.bool_)
    around[broken.ravel()] = True
    return np.flatnonzero(around & ~gone)
