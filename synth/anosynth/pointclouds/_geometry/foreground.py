"""The part in a depth map, apart from the table that it lies on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.eigen import eigen3

Array = NDArray[Any]

_BORDER = 0.05
_ROUNDS = 8
_TOLERANCE = 0.008
_ON_PLANE = 0.8
_SHARE = (0.01, 0.95)


def foreground(cloud: PointCloud) -> NDArray[np.bool_] | None:
    """Return the pixels (N,) bool that do not lie on the plane around the part, or None if there is no such plane.

    The plane is fitted to the outermost valid pixels of the map, trimmed to the nearer half eight times; it is the
    background if 80 % of them lie within 0.8 % of the diagonal of it. Inspired by the usual preprocessing of MVTec
    3D-AD (a RANSAC plane through the frame); without randomness (ours).
    """
    if cloud.grid is None:
        return None
    border = _outermost(cloud)
    if len(border) < 100:
        return None
    points = cloud.points[border].astype(np.float64)
    inliers = np.ones(len(points), dtype=np.bool_)
    for _ in range(_ROUNDS):
        centre = points[inliers].mean(axis=0)
        gap = points[inliers] - centre
        normal = eigen3(np.einsum("ni,nj->ij", gap, gap, optimize=False))[1][:, 0]
        distance = np.abs(((points - centre) * normal).sum(axis=1))
        inliers = distance <= np.quantile(distance, 0.5)
    tolerance = _TOLERANCE * cloud.diagonal
    if float((distance <= tolerance).mean()) < _ON_PLANE:
        return None
    height = ((cloud.points.astype(np.float64) - centre) * normal).sum(axis=1)
    part = cloud.valid & (np.abs(height) > tolerance)
    share = float(part.sum()) / max(1, int(cloud.valid.sum()))
    return part if _SHARE[0] < share < _SHARE[1] else None


def _outermost(cloud: PointCloud) -> NDArray[np.int64]:
    """Return the rows of the valid pixels near the frame of the valid region, by rows and by columns of the map."""
    assert cloud.grid is not None
    valid = cloud.valid.reshape(cloud.grid)
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    high, wide = max(1, int(_BORDER * (bottom - top))), max(1, int(_BORDER * (right - left)))
    frame = np.zeros(cloud.grid, dtype=np.bool_)
    frame[top : bottom + 1, left : right + 1] = True
    frame[top + high : bottom + 1 - high, left + wide : right + 1 - wide] = False
    return np.flatnonzero((frame & valid).ravel()).astype(np.int64)
