"""The whole surface as one patch, for defects that are not local."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.eigen import eigen3
from anosynth.pointclouds._geometry.patch import Patch
from anosynth.pointclouds._geometry.refine import refine
from anosynth.steady import total

Array = NDArray[Any]

_EDGES_ACROSS = 80


def whole(cloud: PointCloud) -> Patch:
    """Return all valid points (of a part on a table: the part) as one `Patch`, charted on its principal plane."""
    rows = np.flatnonzero(cloud.valid if cloud.foreground is None else cloud.foreground).astype(np.int64)
    points = cloud.points[rows].astype(np.float64)
    points -= points.mean(axis=0)
    axes = principal_axes(points)
    uv = np.stack([(points * axis).sum(axis=1) for axis in axes[:2]], axis=1)
    distance = np.sqrt((uv * uv).sum(axis=1))
    centre = int(rows[distance.argmin()])
    normals = cloud.surface.normals[rows]
    return Patch(cloud, centre, rows, distance, uv, normals, axes, float(distance.max()), cloud.surface.spacing)


def refined_whole(cloud: PointCloud) -> PointCloud:
    """Return a mesh with no edge over an eightieth of its diagonal; other clouds as they are."""
    if cloud.triangles is None:
        return cloud
    middle = cloud.bounds.mean(axis=0)
    return refine(cloud, middle, cloud.diagonal, cloud.diagonal / _EDGES_ACROSS)


def principal_axes(points: Array) -> Array:
    """Return (3, 3) float64 unit rows: the axes of largest to smallest spread of centred (N, 3) points, right-handed.

    The largest component of each of the first two is positive, so that the sign does not depend on the solver.
    """
    covariance = np.array([[total(points[:, i] * points[:, j]) for j in range(3)] for i in range(3)])
    vectors = eigen3(covariance)[1].T[::-1]
    axes = np.array([axis if axis[np.abs(axis).argmax()] > 0 else -axis for axis in vectors])
    axes[2] = np.cross(axes[0], axes[1])
    return axes
