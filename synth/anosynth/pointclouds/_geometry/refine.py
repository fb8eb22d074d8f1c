"""Finer triangles where a defect needs them, and points where a mesh has none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.triangles import face_normals, unit
from anosynth.seeding import Rng

Array = NDArray[Any]
Rows = NDArray[np.int64]

MOST_ROUNDS = 12
"""Halvings of an edge: 1 in 4096 of its length is finer than any defect asks for."""

_GRADE = 0.5
"""How fast edges may grow with their distance from the ball: a fine region next to long edges gives slivers."""

MOST_POINTS = 8_000_000


def refine(cloud: PointCloud, centre_point: Array, radius: float, edge: float) -> PointCloud:
    """Return the mesh with every edge that comes within `radius` of a point halved until it is no longer than `edge`.

    Beyond, edges may be half as long as their distance from the ball, so that the triangles stay well shaped.
    No T-junctions arise: whether an edge is split depends on its two ends alone, so both faces at it agree. Old
    vertices keep their rows, new ones follow; faces keep their winding and stand where the face they are part of
    stood. Attributes and normals of a new vertex are halfway between those at the ends of its edge if they are
    floats, those of the end with the lower row otherwise. The surface does not move.

    Args:
        cloud: a mesh whose faces share vertices.
        centre_point: (3,) middle of the ball, file units.
        radius: of the ball, file units, >= 0.
        edge: longest edge wanted, file units, > 0.

    Raises:
        DataError: the cloud has no faces, or so short an edge would take more points or rounds than is sensible.
        ParameterError: radius or edge is out of bounds.
    """
    if cloud.faces is None:
        raise DataError("cloud: no faces: only a mesh can be refined")
    if not (0 <= radius < math.inf and 0 < edge < math.inf):
        raise ParameterError(f"radius, edge: {radius}, {edge}: expected a radius >= 0 and an edge > 0")
    near = _Ball(centre_point.astype(np.float64), radius, edge)
    faces = cloud.faces.astype(np.int64)
    sound = cloud.valid[faces].all(axis=1)
    origin = np.arange(len(faces))
    settled, settled_origin = [faces[~sound]], [origin[~sound]]
    faces, origin = faces[sound], origin[sound]
    for _ in range(MOST_ROUNDS + 1):
        marks = near.marks(cloud.points, faces)
        still = ~marks.any(axis=1)
        # An edge keeps its ends and therefore its verdict: faces without a marked one are done with for good.
        settled.append(faces[still])
        settled_origin.append(origin[still])
        faces, origin, marks = faces[~still], origin[~still], marks[~still]
        if len(faces) == 0:
            order = np.argsort(np.concatenate(settled_origin), kind="stable")
            return replace(cloud, faces=np.concatenate(settled)[order])
        cloud, middle = _halved(cloud, faces, marks, edge)
        faces, parent = _split(cloud.points, faces, marks, middle)
        origin = origin[parent]
    raise DataError(
        f"cloud: edges over {edge:.4g} after {MOST_ROUNDS} halvings: the faces are too large for that\n"
        "hint: refine the mesh beforehand, or ask for a coarser defect"
    )


def sample(cloud: PointCloud, count: int, rng: Rng) -> PointCloud:
    """Return `count` points drawn evenly over the surface of a mesh, with the normals of their faces.

    Points and normals have the dtype of the cloud's points; unit and viewpoint are kept, faces and attributes not.

    Raises:
        DataError: the cloud has no faces, or they have no area.
        ParameterError: count < 1.
    """
    faces = cloud.triangles
    if faces is None:
        raise DataError("cloud: no faces: only a mesh can be sampled")
    if count < 1:
        raise ParameterError(f"count: {count}: expected at least 1")
    normals = face_normals(cloud.points, faces)
    running = np.cumsum(np.sqrt((normals * normals).sum(axis=1)))
    total = float(running[-1])
    if not 0 < total < math.inf:
        raise DataError(f"cloud: {len(faces)} faces of total area {total / 2:.4g}: there is nothing to sample")
    drawn = rng.random(3 * count).reshape(3, count)
    mark = np.minimum(drawn[0] * total, math.nextafter(total, 0.0))
    chosen = np.searchsorted(running, mark, side="right")
    # Even over a triangle: the square root makes up for its narrowing towards the first corner (Turk, Graphics Gems).
    root = np.sqrt(drawn[1])
    shares = (1.0 - root, root * (1.0 - drawn[2]), root * drawn[2])
    points = np.zeros((count, 3))
    for corner, part in enumerate(shares):
        points += part[:, None] * cloud.points[faces[chosen, corner]].astype(np.float64)
    dtype = cloud.points.dtype
    return PointCloud(
        points=points.astype(dtype),
        normals=unit(normals[chosen]).astype(dtype),
        viewpoint=cloud.viewpoint,
        unit=cloud.unit,
    )


@dataclass(frozen=True)
class _Ball:
    centre: Array
    radius: float
    edge: float

    def marks(self, points: Array, faces: Rows) -> NDArray[np.bool_]:
        """Return (F, 3) bool: edges 01, 12, 20 that are too long for how near they come to the ball."""
        marks = np.zeros(faces.shape, dtype=np.bool_)
        near = self._near(points, faces)
        for side in range(3):
            # Lower row first, so that the two faces at an edge compute the very same numbers.
            ends = np.sort(faces[near][:, [side, (side + 1) % 3]], axis=1)
            start = points[ends[:, 0]].astype(np.float64)
            along = points[ends[:, 1]].astype(np.float64) - start
            square = (along * along).sum(axis=1)
            to_centre = self.centre - start
            t = (to_centre * along).sum(axis=1) / np.where(square > 0, square, 1.0)
            off = to_centre - np.clip(t, 0.0, 1.0)[:, None] * along
            beyond = np.sqrt((off * off).sum(axis=1)) - self.radius
            longest = np.maximum(self.edge, _GRADE * beyond)
            marks[near, side] = square > longest * longest
        return marks

    def _near(self, points: Array, faces: Rows) -> Rows:
        """Return the faces that are not too far off, by one of the three axes, for their edges to be too long."""
        corner = points[faces].astype(np.float64)
        side = corner - np.roll(corner, 1, axis=1)
        reach = self.radius + float(np.sqrt((side * side).sum(axis=2).max(initial=0.0))) / _GRADE
        beyond = np.zeros(len(points), dtype=np.uint8)
        for axis in range(3):
            offset = points[:, axis].astype(np.float64) - self.centre[axis]
            beyond |= np.where(offset < -reach, 1 << (2 * axis), 0).astype(np.uint8)
            beyond |= np.where(offset > reach, 2 << (2 * axis), 0).astype(np.uint8)
        common = beyond[faces[:, 0]] & beyond[faces[:, 1]] & beyond[faces[:, 2]]
        return np.flatnonzero(common == 0).astype(np.int64)


def _halved(cloud: PointCloud, faces: Rows, marks: NDArray[np.bool_], edge: float) -> tuple[PointCloud, Rows]:
    """Append the midpoints of the marked edges; return the cloud and their rows, (F, 3), -1 at unmarked edges."""
    count = np.int64(len(cloud))
    ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2)[marks]
    key, where = np.unique(ends.min(axis=1) * count + ends.max(axis=1), return_inverse=True)
    if count + len(key) > MOST_POINTS:
        raise DataError(
            f"cloud: over {MOST_POINTS} points for edges of {edge:.4g}: the defect is too fine for its size\n"
            "hint: ask for a smaller or coarser defect"
        )
    first, second = key // count, key % count
    middle = np.full(faces.shape, -1, dtype=np.int64)
    middle[marks] = count + where.reshape(-1)
    return (
        replace(
            cloud,
            points=_extended(cloud.points, first, second),
            normals=None if cloud.normals is None else _extended_normals(cloud.normals, first, second),
            attributes={name: _extended(value, first, second) for name, value in cloud.attributes.items()},
            grid=None,
        ),
        middle,
    )


def _extended(values: Array, first: Rows, second: Rows) -> Array:
    if not np.issubdtype(values.dtype, np.floating):
        return np.concatenate([values, values[first]])
    mean = 0.5 * values[first].astype(np.float64) + 0.5 * values[second].astype(np.float64)
    return np.concatenate([values, mean.astype(values.dtype)])


def _extended_normals(normals: Array, first: Rows, second: Rows) -> Array:
    a, b = normals[first].astype(np.float64), normals[second].astype(np.float64)
    length = 0.5 * (np.sqrt((a * a).sum(axis=1)) + np.sqrt((b * b).sum(axis=1)))
    mean = unit(a + b)
    mean = np.where((mean == 0).all(axis=1, keepdims=True), unit(a), mean)
    return np.concatenate([normals, (mean * length[:, None]).astype(normals.dtype)])


def _split(points: Array, faces: Rows, marks: NDArray[np.bool_], middle: Rows) -> tuple[Rows, Rows]:
    """Return the parts of faces with 1, 2 or 3 halved edges and, for each part, the place of its face in `faces`."""
    number = marks.sum(axis=1)
    # Turn each face so that one marked edge is 01, two are 01 and 12 (the unmarked one is 20).
    turn = np.where(number == 1, marks.argmax(axis=1), np.where(number == 2, (marks.argmin(axis=1) + 1) % 3, 0))
    columns = (np.arange(3) + turn[:, None]) % 3
    a, b, c = np.take_along_axis(faces, columns, axis=1).T
    ab, bc, ca = np.take_along_axis(middle, columns, axis=1).T
    one, three = number == 1, number == 3
    ways = (points[p].astype(np.float64) - points[q] for p, q in ((a, bc), (ab, c)))
    square = [(way * way).sum(axis=1) for way in ways]
    # Of the two ways to halve the remaining quadrilateral the one with the shorter diagonal has the better corners.
    through_a = (number == 2) & (square[0] <= square[1])
    through_c = (number == 2) & ~through_a
    parts = [
        (one, (a, ab, c)),
        (one, (ab, b, c)),
        (~one, (ab, b, bc)),
        (through_a, (a, ab, bc)),
        (through_a, (a, bc, c)),
        (through_c, (a, ab, c)),
        (through_c, (ab, bc, c)),
        (three, (a, ab, ca)),
        (three, (ca, bc, c)),
        (three, (ab, bc, ca)),
    ]
    rows = [np.flatnonzero(chosen) for chosen, _ in parts]
    made = [np.stack(corners, axis=1)[row] for row, (_, corners) in zip(rows, parts, strict=True)]
    parent = np.concatenate(rows)
    order = np.argsort(parent, kind="stable")
    return np.concatenate(made)[order].astype(np.int64), parent[order]
