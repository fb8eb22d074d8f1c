"""Normals from whatever the sample offers: faces, a grid, or points alone, where they have no sign yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._geometry.cells import (
    CHUNK,
    HALF_STEPS,
    SMALL,
    Array,
    Cells,
    Floats,
    Ints,
    bin_points,
    dot,
    flatness_of,
    neighbour_planes,
    principal,
)
from anosynth.steady import arctan2

_NEIGHBOURS = 16
_BENT = 0.1
_FLAT = 0.05
_FEWEST, _FEW, _MOST = 6, 10, 20_000
_ALIKE = 0.7


def unit(vectors: Floats) -> Floats:
    """Return `vectors` (..., 3) at unit length; what has no length or is not finite becomes zero."""
    v = np.where(np.isfinite(vectors).all(axis=-1, keepdims=True), vectors, 0.0).astype(np.float64)
    largest = np.abs(v).max(axis=-1, keepdims=True)
    # Scaling first keeps the square of very short or very long vectors within range.
    v /= np.where(largest > 0, largest, 1.0)
    length = np.sqrt(dot(v, v))[..., None]
    scaled: Floats = v / np.where(length > 0, length, 1.0)
    return scaled


def mesh_normals(points: Array, faces: Ints, rows: Ints) -> Floats:
    """Return the normals (K, 3) of the vertices `rows` (K,) by the winding of the faces around them.

    Faces are weighted by their angle at the vertex (Thuermer and Wuethrich, 1998), so that a triangulation's diagonals
    do not matter. Vertices at exactly the same place share their normal: a soup of triangles stays closed when moved.
    Vertices without faces of any area get zeros.
    """
    member = _alike(points, rows)
    touched = faces[(member[faces] >= 0).any(axis=1)]
    corner = np.stack([points[touched[:, i]] for i in range(3)]).astype(np.float64)
    total = np.zeros((3, int(member.max()) + 2))
    for i in range(3):
        a, b = corner[(i + 1) % 3] - corner[i], corner[(i + 2) % 3] - corner[i]
        cross = np.cross(a, b)
        length = np.sqrt((cross * cross).sum(axis=1))
        weight = arctan2(length, dot(a, b)) / np.where(length > 0, length, 1.0)
        group = member[touched[:, i]] + 1
        for axis in range(3):
            total[axis] += np.bincount(group, np.where(length > 0, cross[:, axis] * weight, 0.0), total.shape[1])
    total[:, 0] = 0.0
    return unit(total.T[member[rows] + 1])


def _alike(points: Array, rows: Ints) -> Ints:
    """Return for every vertex the group (0, 1, ...) of a place that one of `rows` has, else -1: (N,) int64."""
    low, high = points[rows].min(axis=0), points[rows].max(axis=0)
    inside = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
    place = points[inside] + 0.0  # -0.0 and 0.0 are one place
    order = np.lexsort(place.T)
    new = np.ones(len(order), dtype=bool)
    new[1:] = (place[order[1:]] != place[order[:-1]]).any(axis=1)
    member = np.full(len(points), -1, dtype=np.int64)
    member[inside[order]] = np.cumsum(new) - 1
    wanted = np.zeros(int(new.sum()), dtype=bool)
    wanted[member[rows]] = True
    rank = np.where(wanted, np.cumsum(wanted) - 1, -1)
    member[inside] = rank[member[inside]]
    return member


def grid_normals(points: Array, valid: NDArray[np.bool_], shape: tuple[int, int], sensor: Floats) -> Floats:
    """Return the normals (N, 3) of an organised map, towards `sensor`; zeros at invalid pixels.

    A tangent along the image is the mean of the steps to both neighbours where they are of like length, else the
    shorter one, which does not cross a depth step. Two rounds of averaging over like normals of the 3 x 3 pixels
    around take out the sensor's noise and keep edges. A pixel without neighbours on both axes faces the sensor.
    """
    p = np.where(valid[:, None], points, np.nan).astype(np.float64).reshape(*shape, 3)
    with np.errstate(invalid="ignore"):
        normal = unit(np.cross(_tangent(p, 0), _tangent(p, 1)))
        way = unit(sensor - p)
    normal[(normal * way).sum(axis=-1) < 0] *= -1.0
    for _ in range(2):
        normal = _smoothed(normal)
    lost = (normal == 0).all(axis=-1)
    normal[lost] = way[lost]
    normal[~valid.reshape(shape)] = 0.0
    return normal.reshape(-1, 3)


def _tangent(p: Floats, axis: int) -> Floats:
    """Return the step along an image axis at each pixel (H, W, 3), zero where there is none."""
    step = np.diff(p, axis=axis)
    pad = [(0, 0)] * 3
    pad[axis] = (0, 1)
    ahead = np.pad(step, pad, constant_values=np.nan)
    pad[axis] = (1, 0)
    behind = np.pad(step, pad, constant_values=np.nan)
    far = np.where(np.isfinite(ahead[..., 0]), (ahead * ahead).sum(axis=-1), np.inf)
    back = np.where(np.isfinite(behind[..., 0]), (behind * behind).sum(axis=-1), np.inf)
    both = np.isfinite(far) & np.isfinite(back) & (far <= 4.0 * back) & (back <= 4.0 * far)
    shorter = np.where((far <= back)[..., None], ahead, behind)
    tangent: Floats = np.nan_to_num(np.where(both[..., None], 0.5 * (ahead + behind), shorter), nan=0.0)
    return tangent


def _smoothed(normal: Floats) -> Floats:
    height, width = normal.shape[:2]
    padded = np.pad(normal, ((1, 1), (1, 1), (0, 0)))
    total = np.zeros(normal.shape)
    for i in range(3):
        for j in range(3):
            other = padded[i : i + height, j : j + width]
            total += np.where(((other * normal).sum(axis=-1) > _ALIKE)[..., None], other, 0.0)
    return unit(total)


def cloud_lines(columns: Floats, patch: float) -> Floats:
    """Return unit normals of either sign (M, 3) of the surface through `columns` (3, M) float64, coordinates >= 0.

    Up to 20 000 points by the plane through the 16 nearest of each, beyond that by the moments of small cubes pooled
    over 27, carried on to the point by the way they turn from cube to cube; where the pooled points are not flat
    (edges, thin walls) again by the nearest. `patch` is the usual distance from a point to its 25th neighbour.
    """
    count = columns.shape[1]
    if count <= SMALL:
        return _near_lines(columns.T.copy(), np.arange(count))
    cells = bin_points(columns, patch)
    mean, values, line = principal(cells.pooled())
    bent = flatness_of(values) > _BENT
    normals = _interpolated(columns, cells, mean, line, _turning(cells, mean, line, bent))
    rest = np.flatnonzero(bent[cells.of_point])
    if len(rest):
        around = np.flatnonzero(_widened(cells, bent)[cells.of_point])
        normals[rest] = _near_lines(columns[:, around].T.copy(), np.searchsorted(around, rest))
    return normals


def _near_lines(data: Floats, rows: Ints) -> Floats:
    line, flatness, _ = neighbour_planes(data, rows, _NEIGHBOURS)
    bent = np.flatnonzero(flatness > _BENT)
    if len(bent):
        # Fewer neighbours reach less far over an edge or through a wall; where these still do, more are the steadier.
        nearer, flatness, _ = neighbour_planes(data, rows[bent], _NEIGHBOURS // 2)
        flat = flatness < _FLAT
        line[bent[flat]] = nearer[flat]
    return line


def _widened(cells: Cells, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    wide = chosen.copy()
    for step in HALF_STEPS:
        here, there = cells.pairs(step)
        wide[here] |= chosen[there]
        wide[there] |= chosen[here]
    return wide


def _turning(cells: Cells, mean: Floats, line: Floats, bent: NDArray[np.bool_]) -> Floats:
    """Return how the line of each cube turns along the surface, per edge: (C, 3, 3), [c, i, j] = d line_i / d place_j.

    The least-squares fit to the lines of the cubes around, which makes lines right to second order between cubes.
    """
    spread, turn = np.zeros((len(line), 3, 3)), np.zeros((len(line), 3, 3))
    for step in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        here, there = cells.pairs(step)
        along = dot(line[here], line[there])
        good = ~bent[here] & ~bent[there] & (np.abs(along) > _ALIKE)
        here, there, same = here[good], there[good], np.sign(along[good])[:, None, None]
        way = mean[there] + np.array(step, dtype=np.float64) - mean[here]
        outer = way[:, :, None] * way[:, None, :]
        change = (same[:, :, 0] * line[there] - line[here])[:, :, None] * way[:, None, :]
        spread[here] += outer
        spread[there] += outer
        turn[here] += change
        turn[there] += same * change
    # Across the surface there is no spread: a little of it in all directions keeps the system solvable.
    for i in range(3):
        spread[:, i, i] += 0.05
    rows = spread[:, 0], spread[:, 1], spread[:, 2]
    inverse = np.stack([np.cross(rows[1], rows[2]), np.cross(rows[2], rows[0]), np.cross(rows[0], rows[1])], axis=2)
    inverse /= dot(rows[0], inverse[:, :, 0])[:, None, None]
    product: Floats = np.einsum("nij,njk->nik", turn, inverse, optimize=False)
    return product


def _interpolated(columns: Floats, cells: Cells, mean: Floats, line: Floats, turning: Floats) -> Floats:
    normals = np.zeros((columns.shape[1], 3))
    for begin in range(0, columns.shape[1], CHUNK):
        part = slice(begin, begin + CHUNK)
        cell = cells.of_point[part]
        place = (columns[:, part] / cells.edge).T
        place -= np.floor(place) + 0.5 + mean[cell]
        normals[part] = line[cell] + np.einsum("nij,nj->ni", turning[cell], place, optimize=False)
    return unit(normals)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Q flat pieces of a surface.

    Attributes:
        place: (Q, 3) float64 centroids.
        normal: (Q, 3) float64 unit normals.
        flatness: (Q,) float64 smallest over middle eigenvalue: 0 for a plane, about 0.5 at a sharp edge.
        scale: (Q,) float64 how large each piece is.
        of_point: (M,) int32 the piece that each point belongs to, -1 for none.
    """

    place: Floats
    normal: Floats
    flatness: Floats
    scale: Floats
    of_point: NDArray[np.int32]


def flat_pieces(columns: Floats, patch: float) -> Pieces:
    """Cut the surface through `columns` (3, M) float64, coordinates >= 0, into pieces; `patch` as in `cloud_lines`.

    Up to 20 000 points each is a piece, with its nearest ones. Beyond that a piece is what lies in one small cube.
    """
    count = columns.shape[1]
    if count <= SMALL:
        # One piece a place: several would be each other's nearest neighbours and know no others.
        place, of_point = np.unique(columns.T, axis=0, return_inverse=True)
        rows = np.arange(len(place))
        pieces = _point_pieces(place.T, rows, rows, np.inf)
        return replace(pieces, of_point=pieces.of_point[of_point.reshape(-1)])
    # A disc of 25 points has the area of a square of sqrt(pi) patches; a lattice cube cuts a plane in 0.8 of its face.
    cells = bin_points(columns, 2.0 * patch)
    mean, values, normal = principal(cells.moments)
    flatness = flatness_of(values)
    dense = cells.moments[0] >= _FEWEST
    clean = dense & (flatness < _FLAT)
    rank = np.where(clean, np.cumsum(clean) - 1, -1).astype(np.int32)
    place, scale = (cells.centres + mean * cells.edge)[clean], np.full(np.count_nonzero(clean), cells.edge)
    pieces = Pieces(place, normal[clean], flatness[clean], scale, rank[cells.of_point])
    # Where a cube holds an edge or both sides of a thin wall, single points resolve what the cube cannot.
    mixed = np.flatnonzero((dense & ~clean)[cells.of_point])
    if len(mixed):
        pieces = _appended(pieces, _point_pieces(columns, mixed, mixed[:: -(-len(mixed) // _MOST)], 1.5 * patch))
    if len(pieces.place) == 0:
        pieces = _point_pieces(columns, np.arange(count), np.arange(0, count, -(-count // _MOST)), np.inf)
    return pieces


def _point_pieces(columns: Floats, among: Ints, chosen: Ints, reach: float) -> Pieces:
    """Make a piece of each point `chosen` and its nearest `among` others, unless they are farther off than `reach`.

    Neighbours on one line fix no plane; such pieces are left out unless there are no others.
    """
    data = columns[:, among].T.copy()
    normal, flatness, radius = neighbour_planes(data, np.searchsorted(among, chosen), _FEW)
    keep = np.flatnonzero(np.isfinite(flatness) & (radius <= reach))
    if len(keep) == 0 and reach == np.inf:
        keep = np.arange(len(chosen))
    of_point = np.full(columns.shape[1], -1, dtype=np.int32)
    of_point[chosen[keep]] = np.arange(len(keep), dtype=np.int32)
    return Pieces(
        columns[:, chosen[keep]].T.copy(), normal[keep], np.minimum(flatness[keep], 1.0), radius[keep], of_point
    )


def _appended(pieces: Pieces, more: Pieces) -> Pieces:
    of_point = np.where(more.of_point >= 0, more.of_point + np.int32(len(pieces.place)), pieces.of_point)
    return Pieces(
        np.concatenate([pieces.place, more.place]),
        np.concatenate([pieces.normal, more.normal]),
        np.concatenate([pieces.flatness, more.flatness]),
        np.concatenate([pieces.scale, more.scale]),
        of_point,
    )
