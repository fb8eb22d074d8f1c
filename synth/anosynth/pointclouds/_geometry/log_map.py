"""The log map: a piece of surface laid flat around one of its points.

Shortest paths in the neighbourhood graph are up to 11 % too long because they zigzag. The log map straightens them:
edges are laid into the tangent plane of the centre one after the other along the shortest-path tree (the discrete
exponential map of Schmidt, Grimm and Wyvill, SIGGRAPH 2006, with the parent's frame turned halfway before an edge is
read off), and the length of the result is the distance, kept between the path's length and that length / 1.15. On a
plane it is exact; a path around a corner or a hole stays at most 15 % short.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._geometry.knn import Ball

Array = NDArray[Any]
Rows = NDArray[np.int64]

STRETCH = 1.15
"""How much longer than the straight line a path in the graph may be; measured: up to 1.08 on grids, 1.11 at random."""


def log_map(around: Ball, middle: int, path: Array, parent: Array) -> tuple[Rows, Array, Array, Array]:
    """Return the rows that have a path to the middle, their distances and coordinates, and the frame at the middle."""
    rows, up, levels = _tree(middle, path, parent)
    points, normals = around.points[rows], around.normals[rows]
    step = path[rows] - path[rows[up]]
    frame = _frame(normals[0])
    side = np.zeros_like(points)
    side[0] = frame[0]
    uv = np.zeros((len(rows), 2))
    distance = np.zeros(len(rows))
    for level in levels:
        p = up[level]
        side[level], move = _transport(side[p], normals[p], normals[level], points[level] - points[p])
        if around.exact:
            flat = np.sqrt((move * move).sum(axis=1))
            move *= (step[level] / np.where(flat > 0, flat, np.inf))[:, None]
        uv[level] = uv[p] + move
        straight = np.sqrt((uv[level] * uv[level]).sum(axis=1))
        straight = np.clip(straight, path[rows[level]] / STRETCH, path[rows[level]])
        # Farther than its parent in any case: whatever lies within a distance hangs together.
        distance[level] = np.maximum(straight, distance[p] + 1e-6 * step[level])
    return rows, distance, _scaled(uv, distance, points, frame), frame


def _tree(middle: int, path: Array, parent: Array) -> tuple[Rows, Rows, list[slice]]:
    """Return the rows of the shortest-path tree by depth, each one's parent as a place in them, and the levels."""
    reached = np.isfinite(path)
    above = np.where(parent < 0, np.arange(len(path)), parent)
    depth = np.where(reached, 1, 0)
    depth[middle] = 0
    # Depths by doubling: each round looks twice as far up the tree.
    while (above[reached] != middle).any():
        depth += depth[above]
        above = above[above]
    order = np.argsort(depth, kind="stable")
    rows = np.concatenate([[middle], order[reached[order] & (order != middle)]]).astype(np.int64)
    place = np.zeros(len(path), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    up = place[np.where(parent[rows] < 0, middle, parent[rows])]
    border = np.searchsorted(depth[rows], np.arange(1, int(depth[rows[-1]]) + 2))
    return rows, up, [slice(int(a), int(b)) for a, b in pairwise(border)]


def _frame(normal: Array) -> NDArray[np.float64]:
    """Return rows u, v, n of a right-handed frame, u near the axis that is least along the normal."""
    u = np.zeros(3)
    u[np.abs(normal).argmin()] = 1.0
    u -= (u * normal).sum() * normal
    u /= math.sqrt(float((u * u).sum()))
    return np.stack([u, np.cross(normal, u), normal])


def _transport(side: Array, start: Array, end: Array, edge: Array) -> tuple[Array, Array]:
    """Carry the direction `side` from normal `start` to `end`; return it there and `edge` read off halfway.

    Halfway, where the chord of an arc lies in the tangent plane. All are (n, 3), the second result is (n, 2).
    """
    half = start + end
    length = np.sqrt((half * half).sum(axis=1))
    half = half / np.where(length > 0.1, length, 1.0)[:, None]
    half[length <= 0.1] = start[length <= 0.1]
    u = _turned(side, start, half)
    v = np.cross(half, u)
    move = np.stack([(edge * u).sum(axis=1), (edge * v).sum(axis=1)], axis=1)
    return _turned(u, half, end), move


def _turned(side: Array, start: Array, end: Array) -> NDArray[np.float64]:
    """Turn unit vectors across `start` with the smallest rotation that takes `start` to `end`."""
    cosine = 1.0 + (start * end).sum(axis=1)
    lean = (side * end).sum(axis=1) / np.maximum(cosine, 0.1)
    side = side - lean[:, None] * (start + end)
    # Again, for rounding does not add up over a hundred edges, and for the turns of nearly half a circle.
    side = side - (side * end).sum(axis=1)[:, None] * end
    length = np.sqrt((side * side).sum(axis=1))
    return np.asarray(side / np.where(length > 0, length, 1.0)[:, None])


def _scaled(uv: Array, distance: Array, points: Array, frame: Array) -> NDArray[np.float64]:
    """Return the directions of `uv` at the given distances; where it has none, that of the projection or else u."""
    for fallback in (np.stack([(points * axis).sum(axis=1) for axis in frame[:2]], axis=1), np.array([[1.0, 0.0]])):
        length = np.sqrt((uv * uv).sum(axis=1))
        uv = np.where(length[:, None] > 1e-9 * distance[:, None], uv, fallback)
    length = np.sqrt((uv * uv).sum(axis=1))
    return np.asarray(uv * (distance / np.where(length > 0, length, 1.0))[:, None])
