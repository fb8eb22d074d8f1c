"""Normals and edges of triangle meshes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import steady

Array = NDArray[Any]
Rows = NDArray[np.int64]


def face_areas(points: Array, faces: Rows) -> NDArray[np.float64]:
    """Return (F,) float64 areas of triangles."""
    across = face_normals(points, faces)
    return np.asarray(0.5 * np.sqrt((across * across).sum(axis=1)))


def face_normals(points: Array, faces: Rows) -> NDArray[np.float64]:
    """Return (F, 3) float64 normals of triangles by their winding, their length twice the area."""
    a, b, c = (points[faces[:, corner]].astype(np.float64) for corner in range(3))
    p, q = b - a, c - a
    return np.stack(
        [
            p[:, 1] * q[:, 2] - p[:, 2] * q[:, 1],
            p[:, 2] * q[:, 0] - p[:, 0] * q[:, 2],
            p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0],
        ],
        axis=1,
    )


def unit(vectors: Array) -> NDArray[np.float64]:
    """Return (n, 3) vectors scaled to length 1; zero vectors stay zero."""
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return np.asarray(vectors / np.where(length > 0, length, 1.0), dtype=np.float64)


def vertex_normals(points: Array, faces: Rows) -> NDArray[np.float64]:
    """Return (n, 3) unit normals of vertices: of their faces by the angle at the vertex (Thuermer, Wuethrich 1998).

    Unlike areas, angles do not depend on how a flat side is cut into triangles.
    """
    across = face_normals(points, faces)
    double = np.sqrt((across * across).sum(axis=1))
    across = across / np.where(double > 0, double, 1.0)[:, None]
    total = np.zeros((len(points), 3))
    for corner in range(3):
        own, ahead, behind = (points[faces[:, (corner + k) % 3]] for k in range(3))
        angle = steady.arctan2(double, ((ahead - own) * (behind - own)).sum(axis=1))
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, corner], angle * across[:, axis], len(points))
    total = unit(total)
    # A corner of no face, or of flat ones only, takes part in no patch; its normal must merely be a unit vector.
    total[(total == 0).all(axis=1)] = (0.0, 0.0, 1.0)
    return total


def mesh_edges(points: Array, faces: Rows) -> tuple[Rows, Rows, Array]:
    """Return each edge once, then the lines across edges that two faces share: ends (E,), (E,), lengths (E,)."""
    first = np.concatenate([faces[:, 0], faces[:, 1], faces[:, 2]])
    second = np.concatenate([faces[:, 1], faces[:, 2], faces[:, 0]])
    apex = np.concatenate([faces[:, 2], faces[:, 0], faces[:, 1]])
    low, high = np.minimum(first, second), np.maximum(first, second)
    key = low * np.int64(len(points)) + high
    order = np.argsort(key, kind="stable")
    key = key[order]
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]])) if len(key) else np.zeros(0, dtype=np.int64)
    faces_of = np.diff(np.concatenate([begins, [len(key)]]))
    edge = order[begins]
    a, b = low[edge], high[edge]
    shared = np.flatnonzero(faces_of == 2)
    across = _unfolded(points, a[shared], b[shared], apex[order[begins[shared]]], apex[order[begins[shared] + 1]])
    along = points[a] - points[b]
    lengths = np.concatenate([np.sqrt((along * along).sum(axis=1)), across[2]])
    ends = np.concatenate([a, across[0]]), np.concatenate([b, across[1]])
    real = (lengths > 0) & (ends[0] != ends[1])
    return ends[0][real], ends[1][real], lengths[real]


def _unfolded(points: Array, a: Rows, b: Rows, c: Rows, d: Rows) -> tuple[Rows, Rows, Array]:
    """Return the lines from c to d over the faces abc and abd laid flat, where they cross the edge ab itself."""
    axis = points[b] - points[a]
    length = np.sqrt((axis * axis).sum(axis=1))
    axis = axis / np.where(length > 0, length, 1.0)[:, None]
    flat = []
    for apex in (c, d):
        arm = points[apex] - points[a]
        x = (arm * axis).sum(axis=1)
        foot = arm - x[:, None] * axis
        flat.append((x, np.sqrt((foot * foot).sum(axis=1))))
    (cx, cy), (dx, dy) = flat
    height = cy + dy
    crossing = cx + (dx - cx) * cy / np.where(height > 0, height, 1.0)
    ok = (height > 0) & (crossing > 0) & (crossing < length)
    return c[ok], d[ok], np.sqrt((dx - cx) ** 2 + height**2)[ok]


def shortest_of_each(first: Rows, second: Rows, length: Array) -> tuple[Rows, Rows, Array]:
    """Return every pair once: a line across an edge may join two points that are joined already."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    order = np.lexsort((length, high, low))
    low, high, length = low[order], high[order], length[order]
    fresh = np.ones(len(low), dtype=np.bool_)
    fresh[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    return low[fresh], high[fresh], length[fresh]
