"""Normals that the file had, brought up to date where the surface moved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.cells import neighbour_planes
from anosynth.pointclouds._geometry.eigen import eigen3

_KNN = 12
_THIN = 0.05
"""Ratio of the spreads across and along a neighbourhood under which it is a strip: its plane could turn about it."""

_REACH = 4.0


def refitted_normals(cloud: PointCloud, rows: NDArray[np.int64], old: NDArray[Any]) -> NDArray[Any]:
    """Return (K, 3) normals at `rows` of the moved cloud, in the sense and with the lengths of `old` (K, 3).

    A mesh takes the mean of its faces around each vertex, a cloud the plane through the nearest moved points, or
    through the nearest of all where those stand in a narrow strip or in one place. Normals that were zero or not
    finite stay as they are.
    """
    fresh = _from_faces(cloud, rows) if cloud.triangles is not None else _from_neighbours(cloud, rows)
    length = np.sqrt((old.astype(np.float64) ** 2).sum(axis=1))
    usable = np.isfinite(length) & (length > 0) & np.isfinite(fresh).all(axis=1)
    fresh, length, out = fresh[usable], length[usable], old.copy()
    out[usable] = fresh * np.where((fresh * old[usable]).sum(axis=1) < 0, -length, length)[:, None]
    return out


def _from_faces(cloud: PointCloud, rows: NDArray[np.int64]) -> NDArray[Any]:
    assert cloud.triangles is not None
    wanted = np.zeros(len(cloud), dtype=np.bool_)
    wanted[rows] = True
    faces = cloud.triangles[wanted[cloud.triangles].any(axis=1)]
    corner = cloud.points[faces].astype(np.float64)
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(across[:, axis], 3), len(cloud))[rows] for axis in range(3)], 1
    )
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.sqrt((total * total).sum(axis=1, keepdims=True)))


def _from_neighbours(cloud: PointCloud, rows: NDArray[np.int64]) -> NDArray[Any]:
    if len(rows) < _KNN:
        return np.full((len(rows), 3), np.nan)
    from scipy.spatial import cKDTree

    points = cloud.points[rows].astype(np.float64)
    points = points - points.mean(axis=0)
    _, near = cKDTree(points).query(points, k=_KNN)
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    covariance = np.einsum("nki,nkj->nij", around, around, optimize=False)
    values, axes = eigen3(covariance)
    normals: NDArray[Any] = axes[:, :, 0]
    thin = np.flatnonzero(values[:, 1] <= _THIN * values[:, 2])
    if len(thin):
        normals[thin] = _from_surroundings(cloud, rows[thin])
    return normals


def _from_surroundings(cloud: PointCloud, rows: NDArray[np.int64]) -> NDArray[Any]:
    reach = _REACH * cloud.surface.spacing
    low, high = cloud.points[rows].min(axis=0) - reach, cloud.points[rows].max(axis=0) + reach
    around = np.flatnonzero(cloud.valid & ((cloud.points >= low) & (cloud.points <= high)).all(axis=1))
    points = cloud.points[around].astype(np.float64)
    normals, flatness, _ = neighbour_planes(points - points.mean(axis=0), np.searchsorted(around, rows), _KNN)
    return np.where(np.isfinite(flatness)[:, None], normals, np.nan)
