"""Convex edges of a part: where chips break out and burrs stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.eigen import eigen3
from anosynth.pointclouds._geometry.triangles import face_normals, unit
from anosynth.pointclouds._local import on_part
from anosynth.seeding import Rng

Array = NDArray[Any]

_PROBES = 20_000
_KNN = 24
_FEWEST = 4
_SHARPEST = 0.05
_FLAT = 0.01
_CREASE = 0.94


def pick_edge(cloud: PointCloud, rng: Rng, allowed: NDArray[np.bool_] | None) -> int:
    """Return a row on a convex edge: drawn from the sharpest twentieth of the surface.

    Sharpness is the share of the smallest principal variance in a neighbourhood, convexity that the neighbours lie
    under the tangent plane. A mesh with crisp edges draws from the ends of its convex creases instead.

    Raises:
        Impossible: the surface is flat or hollow everywhere.
    """
    if cloud.triangles is not None:
        rows = _crease_ends(cloud, cloud.triangles)
        if allowed is not None:
            rows = rows[allowed[rows]]
        if len(rows):
            return int(rows[rng.integer(0, len(rows) - 1)])
    allowed = on_part(cloud, allowed)
    surface = cloud.surface.weights > 0
    rows = np.flatnonzero(surface if allowed is None else surface & allowed)
    if len(rows) < _FEWEST:
        raise DataError(f"{len(rows)} points are left for an edge: expected at least {_FEWEST}")
    rows = rows[:: max(1, len(rows) // _PROBES)]
    sharp = _sharpness(cloud, rows)
    enough = sharp > _FLAT
    if not enough.any():
        raise Impossible("there is no convex edge on this part")
    best = np.argsort(-sharp, kind="stable")[: max(1, int(_SHARPEST * len(rows)))]
    best = best[enough[best]]
    return int(rows[best[rng.integer(0, len(best) - 1)]])


def _sharpness(cloud: PointCloud, rows: NDArray[np.int64]) -> Array:
    from scipy.spatial import cKDTree

    points = cloud.points[rows].astype(np.float64)
    points = points - points.mean(axis=0)
    _, near = cKDTree(points).query(points, k=min(_KNN, len(rows)))
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    values, vectors = eigen3(np.einsum("nki,nkj->nij", around, around, optimize=False))
    normals = cloud.surface.outward(rows, vectors[:, :, 0])
    under = ((points - points[near].mean(axis=1)) * normals).sum(axis=1)
    total = values.sum(axis=1)
    share: Array = np.divide(values[:, 0], total, out=np.zeros(len(rows)), where=total > 0)
    return np.where(under > 0, share, 0.0)


def _crease_ends(cloud: PointCloud, faces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the vertices on edges where two faces meet at more than 20 degrees, bulging outward."""
    points, normal = cloud.points, unit(face_normals(cloud.points, faces))
    # Faces may be wound inward, or both ways.
    outward = cloud.surface.normals[faces].sum(axis=1)
    normal[(outward * normal).sum(axis=1) < 0] *= -1.0
    sides = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    opposite, owner = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]]), np.tile(np.arange(len(faces)), 3)
    key = sides.min(axis=1) * np.int64(len(cloud)) + sides.max(axis=1)
    order = np.argsort(key, kind="stable")
    pair = np.flatnonzero(key[order][1:] == key[order][:-1])
    a, b = order[pair], order[pair + 1]
    bent = (normal[owner[a]] * normal[owner[b]]).sum(axis=1) < _CREASE
    # Convex: the far corner of one face lies under the plane of the other.
    way = points[opposite[b]].astype(np.float64) - points[sides[a, 0]]
    convex = (way * normal[owner[a]]).sum(axis=1) < 0
    return np.unique(sides[a[bent & convex]]).astype(np.int64)
