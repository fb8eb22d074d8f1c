"""The neighbourhood graph of the points in a ball: who is next to whom on the surface, how far, with which normal.

Everything costs what the ball costs, never what the cloud costs: a patch of a million-point scan needs no tree over
the million. Memory is about 1 kB per point of the ball.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.cells import narrow
from anosynth.pointclouds._geometry.eigen import least_axes
from anosynth.pointclouds._geometry.triangles import mesh_edges, shortest_of_each, unit, vertex_normals

Array = NDArray[Any]
Rows = NDArray[np.int64]

LONGEST_EDGE = 4.0
"""Edges longer than this many local spacings are gaps or depth steps, not surface."""

SHEET_COSINE = -0.17
"""Outward normals of neighbours that differ by more than about 100 degrees belong to the two sides of a wall."""

_DENSITY_NEIGHBOURS = 8
_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Ball:
    """The valid points within a Euclidean distance of a centre, and the graph of the surface between them.

    Attributes:
        index: (n,) rows of the cloud, ascending.
        points: (n, 3) float64, relative to the centre.
        normals: (n, 3) float64 unit normals, outward.
        graph: (n, n) symmetric sparse array of edge lengths in file units, all > 0.
        loose: (n,) bool: points with edges that may be missing or wrong because the ball ends near them.
        exact: the edges lie on the surface (mesh), so their lengths are to be believed before their directions.
    """

    index: Rows
    points: Array
    normals: Array
    graph: Any
    loose: NDArray[np.bool_]
    exact: bool


def squared_distances(cloud: PointCloud, origin: Array) -> NDArray[np.float64]:
    """Return (N,) float64 squared distances of all points to `origin` (3,); invalid points are at infinity."""
    total = np.zeros(len(cloud), dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        for axis in range(3):
            delta = cloud.points[:, axis].astype(np.float64) - origin[axis]
            delta *= delta
            total += delta
    if not cloud.valid.all():
        total[~cloud.valid] = np.inf
    return total


def ball(cloud: PointCloud, origin: Array, squared: Array, reach: float, knn: int) -> Ball:
    """Return the surface graph of the points within `reach` (file units, may be infinite) of `origin`.

    `squared` is what `squared_distances` gave. Meshes are joined by their edges, and across each edge by the straight
    line over its two unfolded faces where that stays inside them; organised maps by the 5 x 5 pixels around each one;
    other clouds by their `knn` nearest neighbours. The latter two without edges over gaps and through walls; without
    file normals a wall thinner than 2 or 3 point spacings cannot be told from a thick layer of points.
    """
    index = np.flatnonzero(squared <= reach * reach if np.isfinite(reach) else np.isfinite(squared)).astype(np.int64)
    if cloud.triangles is not None:
        return _mesh_ball(cloud, origin, index)
    count, pixels = len(index), _is_dense_map(cloud)
    if pixels:
        points, distance, neighbour = _window(cloud, origin, index)
    else:
        points = cloud.points[index].astype(np.float64) - origin
        distance, neighbour = nearest(points, knn)
    spacing = float(cloud.surface.spacing)
    cutoff = LONGEST_EDGE * _local_spacing(distance, spacing)
    near, own = distance <= cutoff[:, None], np.arange(count)[:, None]
    normals = _file_normals(cloud, index)
    fitted = normals is None
    if normals is None:
        normals = pca_normals(points, np.where(near, neighbour, own))
    normals = cloud.surface.outward(index, normals)
    # Where the ball ends, neighbours are missed: in a map it shows which; elsewhere they may be as far as a point's
    # longest edge, and half as far again for the neighbours whose normals have a say in its own.
    missed = (near & (neighbour >= count)).any(axis=1) if pixels else np.sqrt(squared[index]) + 1.5 * cutoff > reach
    near &= neighbour < count
    neighbour = np.where(near, neighbour, own)
    if fitted:
        normals = _smoothed(normals, neighbour)
    graph = _near_graph(normals, distance, neighbour, near, cutoff)
    return Ball(index, points[:count], normals, graph, np.asarray(missed), exact=False)


def shortest_paths(graph: Any, sources: Rows) -> tuple[Array, Rows, Rows]:
    """Return, for the n points of a graph, the way to the nearest of `sources` (m,).

    The length, (n,) float64, infinite if there is none; the next point on it, (n,), negative at a source; and the
    source, (n,), negative if there is none.
    """
    if graph.indices.dtype != np.int32:
        graph = csr_array((graph.data, narrow(graph.indices), narrow(graph.indptr)), shape=graph.shape)
    length, parent, source = dijkstra(graph, indices=sources, return_predecessors=True, min_only=True)
    return length, parent.astype(np.int64), source.astype(np.int64)


def nearest(points: Array, knn: int) -> tuple[Array, Rows]:
    """Return distances (n, k) float64 ascending and rows (n, k) of the `knn` nearest others.

    Points that coincide count as one: none of them is another's neighbour, one of them stands for all among those
    of third points. k is min(knn, m - 1) of m different points, and at least 1: a point without others is its own
    neighbour at an infinite distance.
    """
    count = len(points)
    k = min(knn, count - 1)
    if k < 1:
        return np.full((count, 1), np.inf), np.arange(count, dtype=np.int64)[:, None]
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    # Queries in the order of the tree's leaves find their neighbours' memory still in the cache.
    visit = np.asarray(tree.indices)
    found_distance, found = (np.asarray(part) for part in tree.query(points[visit], k + 1))
    if (found_distance[:, 1] == 0).any():
        first, which = _different(points)
        distance, neighbour = nearest(points[first], knn)
        return distance[which], first[neighbour][which]
    distance, neighbour = np.zeros((count, k)), np.zeros((count, k), dtype=np.int64)
    distance[visit], neighbour[visit] = found_distance[:, 1:], found[:, 1:]
    return distance, neighbour


def _different(points: Array) -> tuple[Rows, Rows]:
    """Return (m,) rows of the points without their repetitions, and for each point the place of its own in them."""
    order = np.lexsort(points.T)
    ordered = points[order]
    fresh = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    which = np.zeros(len(points), dtype=np.int64)
    which[order] = np.cumsum(fresh) - 1
    return order[fresh].astype(np.int64), which


def pca_normals(points: Array, neighbour: Rows) -> NDArray[np.float64]:
    """Return (n, 3) float64 unit normals of unknown sign: least variance of each point and its neighbours (n, k)."""
    normals = np.zeros((len(neighbour), 3))
    for start in range(0, len(neighbour), _CHUNK):
        rows = slice(start, min(start + _CHUNK, len(neighbour)))
        # One array per component: numpy sums (n, k) rows several times faster than it reduces (n, k, 3).
        parts = [points[:, axis][neighbour[rows]] - points[rows, axis, None] for axis in range(3)]
        share = 1.0 / (neighbour.shape[1] + 1)
        mean = [part.sum(axis=1) * share for part in parts]
        covariance = [
            [(parts[i] * parts[j]).sum(axis=1) * share - mean[i] * mean[j] for j in range(3)] for i in range(3)
        ]
        normals[rows] = least_axes(covariance)
    return normals


def _file_normals(cloud: PointCloud, index: Rows) -> Array | None:
    """Return the file's normals of these points, of unit length, or None if the file's are missing or broken."""
    if cloud.normals is None:
        return None
    normals = cloud.normals[index].astype(np.float64)
    length = np.sqrt((normals * normals).sum(axis=1))
    if not (np.isfinite(length) & (length > 0)).all():
        return None
    return np.asarray(normals / length[:, None])


def _smoothed(normals: Array, neighbour: Rows) -> NDArray[np.float64]:
    """Return oriented normals averaged with their neighbours', weighted by the squared cosine between them.

    Noise of a fifth of the spacing tilts fitted normals by 5 degrees, averaged ones by 2.5; edges stay edges, and the
    other side of a wall has no say.
    """
    parts = [normals[:, axis] for axis in range(3)]
    near = [part[neighbour] for part in parts]
    agreement = sum(other * part[:, None] for other, part in zip(near, parts, strict=True))
    agreement = np.square(np.maximum(agreement, 0.0))
    summed = [part + (agreement * other).sum(axis=1) for other, part in zip(near, parts, strict=True)]
    return unit(np.stack(summed, axis=1))


def _local_spacing(distance: Array, spacing: float) -> NDArray[np.float64]:
    """Return (n,) spacings around points, from the distances (n, k) of their neighbours, infinite where there is none.

    A disc that holds 8 points of a surface has 8 times the area of one.
    """
    rank = min(_DENSITY_NEIGHBOURS, distance.shape[1])
    far = np.partition(distance, rank - 1, axis=1)[:, rank - 1]
    local = np.where(np.isfinite(far), far, spacing) * np.sqrt(np.pi / rank)
    return np.asarray(np.maximum(local, 0.1 * spacing))


def _near_graph(normals: Array, distance: Array, neighbour: Rows, near: NDArray[np.bool_], cutoff: Array) -> Any:
    """Join neighbours that are near for both of them and on the same side of the wall."""
    x, y, z = (normals[:, axis] for axis in range(3))
    agreement = x[neighbour] * x[:, None] + y[neighbour] * y[:, None] + z[neighbour] * z[:, None]
    keep = near & (distance <= cutoff[neighbour]) & (agreement >= SHEET_COSINE)
    start = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    half = csr_array((distance[keep], neighbour[keep], start), shape=(len(normals), len(normals)))
    return half.maximum(half.T).tocsr()


def _is_dense_map(cloud: PointCloud) -> bool:
    """Say whether pixels of an organised map have valid pixels beside them, rather than only here and there."""
    if cloud.grid is None:
        return False
    valid = cloud.valid.reshape(cloud.grid)
    return 2 * int((valid[:, 1:] & valid[:, :-1]).sum()) >= int(valid.sum())


def _window(cloud: PointCloud, origin: Array, index: Rows) -> tuple[Array, Array, Rows]:
    """Return the points of a ball, then those seen from them; distances (n, 24), infinite where none; rows (n, 24).

    A wall seen at a grazing angle has its nearest points all in one line of pixels; pixels know better.
    """
    assert cloud.grid is not None
    height, width = cloud.grid
    row, column = index // width, index % width
    offsets = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if (i, j) != (0, 0)]
    seen = np.zeros((len(index), len(offsets)), dtype=np.int64)
    for place, (i, j) in enumerate(offsets):
        inside = (row + i >= 0) & (row + i < height) & (column + j >= 0) & (column + j < width)
        pixel = np.where(inside, index + (i * width + j), index)
        seen[:, place] = np.where(cloud.valid[pixel], pixel, index)
    number, outer = _numbered(len(cloud), index, seen)
    points = cloud.points[np.concatenate([index, outer])].astype(np.float64) - origin
    neighbour = number[seen]
    square = np.zeros(seen.shape)
    for axis in range(3):
        delta = points[:, axis][neighbour] - points[: len(index), axis, None]
        square += delta * delta
    return points, np.where(seen == index[:, None], np.inf, np.sqrt(square)), neighbour


def _numbered(total: int, index: Rows, others: Rows) -> tuple[Rows, Rows]:
    """Number the rows of `index`, then those of `others` that are not among them; return the numbers and the latter."""
    inside = np.zeros(total, dtype=np.bool_)
    inside[index] = True
    outer = np.unique(others[~inside[others]])
    number = np.zeros(total, dtype=np.int64)
    number[index] = np.arange(len(index))
    number[outer] = np.arange(len(index), len(index) + len(outer))
    return number, outer


def _mesh_ball(cloud: PointCloud, origin: Array, index: Rows) -> Ball:
    assert cloud.triangles is not None
    inside = np.zeros(len(cloud), dtype=np.bool_)
    inside[index] = True
    faces = cloud.triangles[inside[cloud.triangles].any(axis=1)]
    # The ball's points first, then the outer corners of the faces that it touches.
    number, outer = _numbered(len(cloud), index, faces)
    count = len(index)
    faces = number[faces]
    points = cloud.points[np.concatenate([index, outer])].astype(np.float64) - origin
    first, second, length = mesh_edges(points, faces)
    border = (first < count) != (second < count)
    loose = np.zeros(count + len(outer), dtype=np.bool_)
    loose[first[border]] = loose[second[border]] = True
    inner = (first < count) & (second < count)
    first, second, length = shortest_of_each(first[inner], second[inner], length[inner])
    half = csr_array((length, (first, second)), shape=(count, count))
    normals = _file_normals(cloud, index)
    if normals is None:
        normals = vertex_normals(points, faces)[:count]
    normals = cloud.surface.outward(index, normals)
    return Ball(index, points[:count], normals, half.maximum(half.T).tocsr(), loose[:count], exact=True)
