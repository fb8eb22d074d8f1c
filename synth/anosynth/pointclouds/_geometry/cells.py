"""Points binned into cubes, and what is known of each cube from its first and second moments."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.pointclouds._geometry.eigen import eigen3

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TABLE_LIMIT = 1 << 24
HALF_STEPS = [(i, j, k) for i, j, k in itertools.product((-1, 0, 1), repeat=3) if (i, j, k) > (0, 0, 0)]
"""One of each pair of opposite steps to the 26 neighbours of a cube."""
_PRODUCTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
SMALL = 20_000
"""Up to this many points, every point is looked at; beyond, cubes and samples of them."""
_ANCHORS, _AROUND, _PATCH = 16, 160, 25
CHUNK = 1 << 16
"""Rows that are worked on at once where temporaries would otherwise grow with the cloud."""


def dot(a: Floats, b: Floats) -> Floats:
    """Return the scalar products of the rows of `a` and `b`, (..., 3) each, broadcast."""
    # A sum over so short an axis takes numpy five times as long.
    product: Floats = np.einsum("...i,...i->...", a, b, optimize=False)
    return product


def eigen(matrices: Floats) -> tuple[Floats, Floats]:
    """Return the eigenvalues (N, 3), ascending, of symmetric (N, 3, 3) and the unit eigenvector (N, 3) of the least."""
    values, least = np.zeros((len(matrices), 3)), np.zeros((len(matrices), 3))
    step = 1 << 13  # as many as the cache holds
    for begin in range(0, len(matrices), step):
        part = slice(begin, begin + step)
        values[part], vectors = eigen3(matrices[part])
        least[part] = vectors[:, :, 0]
    return values, least


@dataclass(frozen=True, eq=False)
class Cells:
    """Occupied cubes of a lattice over M points.

    Attributes:
        edge: length of a cube's edge, in the unit of the points.
        size: (3,) int64 cubes along each axis, with one empty layer on each side so that a neighbour never wraps.
        keys: (C,) int64 lattice position of each occupied cube, ascending.
        of_point: (M,) int32 row of `keys` of each point.
        moments: (10, C) float64: count, sums of x, y, z, xx, yy, zz, xy, xz, yz, from the cube's centre in edges, which
            keeps all digits wherever the cloud lies.
        table: int32 row of `keys` by lattice position, -1 where empty; None where the lattice is too large for one.
    """

    edge: float
    size: Ints
    keys: Ints
    of_point: NDArray[np.int32]
    moments: Floats
    table: NDArray[np.int32] | None

    @property
    def centres(self) -> Floats:
        """(C, 3) float64 centres of the occupied cubes, in the frame of the points."""
        plane, line = self.strides[:2]
        index = np.stack([self.keys // plane, self.keys % plane // line, self.keys % line], axis=1)
        return (index.astype(np.float64) - 0.5) * self.edge

    def find(self, keys: Ints) -> Ints:
        """Return the row of each lattice position, -1 where no point lies: (K,) int64."""
        if self.table is not None:
            return self.table[keys].astype(np.int64)
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[row] == keys, row, -1)

    @property
    def strides(self) -> tuple[int, int, int]:
        """What one cube along each axis adds to a key."""
        return int(self.size[1] * self.size[2]), int(self.size[2]), 1

    def pairs(self, step: tuple[int, int, int]) -> tuple[Ints, Ints]:
        """Return the rows of occupied cubes and of those a step further, where both are occupied: (P,) each."""
        other = self.find(self.keys + sum(step[axis] * self.strides[axis] for axis in range(3)))
        here = np.flatnonzero(other >= 0)
        return here, other[here]

    def pooled(self) -> Floats:
        """Return the moments of each cube together with its 26 neighbours, from the cube's own centre: (10, C)."""
        total = self.moments.copy()
        for step in HALF_STEPS:
            here, there = self.pairs(step)
            total[:, here] += _shifted(self.moments[:, there], step)
            total[:, there] += _shifted(self.moments[:, here], (-step[0], -step[1], -step[2]))
        return total


def bin_points(columns: Floats, edge: float) -> Cells:
    """Return the cubes of `edge` that hold the points `columns` (3, M) float64, all coordinates >= 0.

    `edge` grows if the lattice would have more than 2^20 cubes along an axis, so that keys never overflow.
    """
    top = columns.max(axis=1)
    edge = max(edge, float(top.max()) / (1 << 20))
    size = np.floor(top / edge).astype(np.int64) + 3
    key = np.zeros(columns.shape[1], dtype=np.int64)
    local = np.zeros(columns.shape)
    for axis in range(3):
        place = columns[axis] / edge
        whole = np.floor(place)
        np.subtract(place, whole + 0.5, out=local[axis])
        key *= size[axis]
        key += whole.astype(np.int64) + 1
    keys, of_point, table = _compact(key, int(size[0]) * int(size[1]) * int(size[2]))
    return Cells(edge, size, keys, of_point, _moments(local, of_point, len(keys)), table)


def principal(moments: Floats) -> tuple[Floats, Floats, Floats]:
    """Return centroid (C, 3), eigenvalues (C, 3) ascending and the eigenvector of the smallest (C, 3) per column."""
    count = np.maximum(moments[0], 1.0)
    mean = moments[1:4] / count
    covariance = np.zeros((moments.shape[1], 3, 3))
    for row, (i, j) in enumerate(_PRODUCTS, start=4):
        covariance[:, i, j] = covariance[:, j, i] = moments[row] / count - mean[i] * mean[j]
    values, vector = eigen(covariance)
    return mean.T, np.maximum(values, 0.0), vector


def neighbour_planes(data: Floats, where: Ints, k: int) -> tuple[Floats, Floats, Floats]:
    """Fit a plane to the k nearest of `data` (M, 3) at each of its rows `where` (K,).

    Returns:
        normal (K, 3) unit, without a meaningful sign; flatness (K,): smallest over middle eigenvalue, inf where the
        neighbours lie on a line; radius (K,): distance to the k-th.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(data)
    probe = where[:: -(-len(where) // 512)]
    if len(data) > 1 and np.count_nonzero(tree.query(data[probe], k=[2])[0] == 0) > 0.05 * len(probe):
        # Where points stand several in one place, the nearest k would all be there.
        data, inverse = np.unique(data, axis=0, return_inverse=True)
        tree, where = cKDTree(data), inverse.reshape(-1)[where]
    k = min(k, len(data))
    normal, flatness, radius = np.zeros((len(where), 3)), np.zeros(len(where)), np.zeros(len(where))
    for begin in range(0, len(where), CHUNK):
        part = slice(begin, begin + CHUNK)
        distance, near = (np.asarray(found) for found in tree.query(data[where[part]], k=np.arange(1, k + 1)))
        around = data[near] - data[where[part], None]
        around -= around.mean(axis=1, keepdims=True)
        values, normal[part] = eigen(np.einsum("nki,nkj->nij", around, around, optimize=False))
        radius[part] = distance[:, -1]
        flatness[part] = flatness_of(values)
    return normal, flatness, radius


def flatness_of(values: Floats) -> Floats:
    """Return smallest over middle of the ascending eigenvalues (C, 3), inf where the middle one vanishes too."""
    middle = values[:, 1]
    thin = middle <= 1e-6 * values[:, 2]
    return np.where(thin, np.inf, np.maximum(values[:, 0], 0.0) / np.where(thin, 1.0, middle))


def _compact(key: Ints, lattice: int) -> tuple[Ints, NDArray[np.int32], NDArray[np.int32] | None]:
    # A table spares the sort, which is the dearest step of all, wherever the lattice fits into memory.
    if lattice > _TABLE_LIMIT:
        keys, inverse = np.unique(key, return_inverse=True)
        return keys, inverse.astype(np.int32), None
    seen = np.zeros(lattice, dtype=bool)
    seen[key] = True
    keys = np.flatnonzero(seen)
    table = np.full(lattice, -1, dtype=np.int32)
    table[keys] = np.arange(len(keys), dtype=np.int32)
    return keys, table[key], table


def _moments(local: Floats, of_point: NDArray[np.int32], cells: int) -> Floats:
    moments = np.zeros((10, cells))
    moments[0] = np.bincount(of_point, minlength=cells)
    for axis in range(3):
        moments[1 + axis] = np.bincount(of_point, local[axis], cells)
    for row, (i, j) in enumerate(_PRODUCTS, start=4):
        moments[row] = np.bincount(of_point, local[i] * local[j], cells)
    return moments


def _shifted(moments: Floats, step: tuple[int, int, int]) -> Floats:
    """Return `moments` (10, K) as seen from a centre that lies `step` edges before theirs."""
    out = moments.copy()
    for axis in range(3):
        out[1 + axis] += step[axis] * moments[0]
    for row, (i, j) in enumerate(_PRODUCTS, start=4):
        out[row] += step[i] * moments[1 + j] + step[j] * moments[1 + i] + (step[i] * step[j]) * moments[0]
    return out


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What the nearest neighbours of some points say of the whole cloud.

    Attributes:
        spacing: mean distance to the nearest neighbour, in file units.
        patch: distance to the 25th neighbour that three quarters of the points stay below.
        pairs: (P, 2) int64 rows of points and of their nearest neighbours.
    """

    spacing: float
    patch: float
    pairs: Ints


def nearest_pairs(points: Array, valid: NDArray[np.bool_]) -> Neighbours:
    """Look at all valid points of a small cloud (N, 3), at 16 neighbourhoods evenly chosen from a larger one.

    Points in the same place count once.

    Raises:
        DataError: the valid points are all in one place.
    """
    rows = np.flatnonzero(valid)
    found = []
    if len(rows) > SMALL:
        anchors = rows[((2 * np.arange(_ANCHORS) + 1) * len(rows)) // (2 * _ANCHORS)]
        found = _around(points, valid, anchors)
    if not found:
        place, rows = _distinct(points, rows)
        if len(place) < 2:
            raise DataError(f"points: all {np.count_nonzero(valid)} valid ones lie in one place: expected a surface")
        found = [_nearest(place, rows, np.arange(len(place)))]
    spacing = float(np.mean([gaps.mean() for _, gaps, _ in found]))
    patch = float(np.quantile(np.concatenate([far for _, _, far in found]), 0.75))
    return Neighbours(spacing, patch, np.concatenate([pairs for pairs, _, _ in found]))


def _around(points: Array, valid: NDArray[np.bool_], anchors: Ints) -> list[tuple[Ints, Floats, Floats]]:
    """Return what `_nearest` finds well inside the neighbourhood of each anchor."""
    x = np.ascontiguousarray(points[:, 0])  # in memory order, each search is a single sweep
    some = points[anchors].astype(np.float64)
    size = float((some.max(axis=0) - some.min(axis=0)).sum())
    width, want, found = 2.0 * size * float(np.sqrt(_AROUND / len(x))), _AROUND, []
    for centre in some:
        while True:
            middle = float(centre[0])  # a Python number leaves float32 columns what they are
            slab = np.flatnonzero((x >= middle - width) & (x <= middle + width))
            slab = slab[valid[slab]]
            way = points[slab].astype(np.float64) - centre
            square, last = dot(way, way), min(want, len(slab) - 1)
            radius = min(width, float(np.sqrt(np.partition(square, last)[last])))
            place, rows = _distinct(points, slab[square <= radius * radius])
            if len(place) >= _AROUND // 4 or want > 64 * _AROUND or width >= 4.0 * size:
                break
            # Many points in one place fill the count, few points in sight the width.
            want, width = (4 * want, width) if radius < width else (want, 2.0 * width)
        away = np.sqrt(dot(place - centre, place - centre))
        # The nearest neighbour of a point may lie outside the ball, unless the point is deep inside.
        inner = np.flatnonzero(away <= 0.6 * radius)
        if len(place) > 1 and len(inner):
            pairs, gaps, _ = _nearest(place, rows, inner)
            found.append((pairs, gaps, np.sort(away)[min(_PATCH, len(away) - 1)][None]))
        width = max(1.2 * radius, 0.5 * width)
    return found


def _distinct(points: Array, rows: Ints) -> tuple[Floats, Ints]:
    place, first = np.unique(points[rows], axis=0, return_index=True)
    return place.astype(np.float64), rows[first]


def _nearest(place: Floats, rows: Ints, where: Ints) -> tuple[Ints, Floats, Floats]:
    """Return the nearest pairs (K, 2) as rows, their distances (K,) and those to the 25th neighbour (K,)."""
    from scipy.spatial import cKDTree

    distance, near = cKDTree(place).query(place[where], k=min(_PATCH + 1, len(place)))
    distance, near = np.asarray(distance), np.asarray(near)
    return np.stack([rows[where], rows[near[:, 1]]], axis=1), distance[:, 1], distance[:, -1]


def mesh_spacing(points: Array, faces: Ints) -> float:
    """Return the mean length of the edges of up to 100 000 faces, evenly chosen; those of no length do not count."""
    chosen = faces[:: -(-len(faces) // 100_000)]
    corner = [points[chosen[:, i]].astype(np.float64) for i in range(3)]
    edge = np.concatenate([corner[i] - corner[i - 1] for i in range(3)])
    length = np.sqrt((edge * edge).sum(axis=1))
    return float(length[length > 0].mean()) if (length > 0).any() else 0.0


def narrow(rows: Array) -> NDArray[np.int32]:
    """Return rows as int32: the graph routines of scipy before 1.17 take no wider ones."""
    return rows.astype(np.int32)
