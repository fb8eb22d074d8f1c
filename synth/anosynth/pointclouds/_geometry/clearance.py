"""How far a point can move before it meets another sheet of its own cloud: wall thickness inward, gap outward.

A ray walks in steps as long as its distance to the nearest point allows (Hart, Sphere tracing, 1996). Where points come
near, a plane is fitted to those ahead; the ray has met a sheet if it crosses that plane in their midst at more than a
grazing angle. Points beside a ray that runs along a wall, and the ray's own sheet, are thus no hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.pointclouds._geometry.cells import Array, Floats, Ints, dot, eigen
from anosynth.pointclouds._geometry.normals import unit
from anosynth.steady import arctan2

if TYPE_CHECKING:
    from anosynth.pointclouds._cloud import PointCloud

_CONTROLS = 2000
_SEGMENTS = 20_000
_SAMPLES = 400_000
_ASKED = 5

# In mean spacings. Among random points, a circle of 3 spacings is empty once in a thousand times.
_START = 2.5
_NEAR = 3.0
_SPARSE = 4.0
_PLANE, _FEWEST = 14, 6
_GRAZING = 0.35
_CONE = 0.75
_GAP, _STRIP = 2.6, 0.5
_ON = 4.5
_FLAT, _LINE = 0.06, 0.1
_OPPOSITE = -0.2


@dataclass(frozen=True, eq=False)
class _Sheets:
    """Points of the surface with a tree of them; `normals` (M, 3) are zero where unknown."""

    points: Floats
    normals: Floats | None
    tree: Any
    spacing: float


def clearance(cloud: PointCloud, index: Array, directions: Array, reach: float, spacing: float) -> Floats:
    """Return how far each point can go along its direction before it meets another sheet of the cloud.

    Args:
        cloud: all that may stand in the way; of a mesh, its faces.
        index: (K,) int rows of the points, all valid.
        directions: (K, 3) float unit vectors.
        reach: longest distance of interest, in file units, finite.
        spacing: mean distance between neighbouring points, in file units.

    Returns:
        (K,) float64 in file units, `reach` where nothing is met. Exact to about a spacing where a ray meets a sheet
        squarely, at worst too short by 3 spacings where it meets it at an angle. A sheet nearer than 2.5 spacings
        cannot be told from the point's own; one met at less than 20 degrees is slid along, not met.

    At most 2000 rays are cast; every point takes the least but one of the 5 nearest of like direction.
    """
    rows, way = np.asarray(index, dtype=np.int64), np.asarray(directions, dtype=np.float64)
    start = cloud.points[rows].astype(np.float64)
    if len(rows) == 0 or not reach > 0.0:
        return np.zeros(len(rows))
    margin = reach + _NEAR * spacing
    sheets = _sheets(cloud, start.min(axis=0) - margin, start.max(axis=0) + margin, reach, spacing)
    controls = _strided(len(rows), _CONTROLS)
    room = np.full(len(controls), float(reach))
    if sheets is not None:
        room = _first_hit(sheets, start[controls], way[controls], np.full(len(controls), float(reach)), None)
    near = _nearest(start[controls], start, _ASKED)
    alike = dot(way[controls][near], way[:, None]) > 0.5
    alike |= ~alike.any(axis=1, keepdims=True)
    found = np.sort(np.where(alike, room[near], np.inf), axis=1)
    # The least but one: a sheet is met by more than one ray, and an edge may fool a single one.
    second = found[:, min(1, found.shape[1] - 1)]
    return np.where(np.isfinite(second), second, found[:, 0])


def pierces(cloud: PointCloud, index: Array, moved_points: Array, normals: Array, spacing: float) -> NDArray[np.bool_]:
    """Tell which points have crossed another sheet of the cloud on their straight way to where they were moved.

    Args:
        cloud: the cloud before the move.
        index: (K,) int rows of the points that moved, all valid.
        moved_points: (K, 3) float, where they are now. Another sheet may have moved, too, and come to meet them.
        normals: (K, 3) float unit normals of these points before the move. What moved is another sheet to a point only
            if their normals oppose each other.
        spacing: mean distance between neighbouring points, in file units.

    Returns:
        (K,) bool, by the majority of the 3 nearest of at most 20 000 rays. Sheets nearer to each other than 2.5
        spacings before the move are not told apart.
    """
    from scipy.spatial import cKDTree

    rows, facing = np.asarray(index, dtype=np.int64), np.asarray(normals, dtype=np.float64)
    start = cloud.points[rows].astype(np.float64)
    shift = np.asarray(moved_points, dtype=np.float64) - start
    length = np.sqrt(dot(shift, shift))
    crossed = np.zeros(len(rows), dtype=bool)
    far = np.flatnonzero(2.0 * length > _START * spacing)
    if len(far) == 0:
        return crossed
    reach = 2.0 * float(length.max())
    low, high = start[far].min(axis=0) - reach, start[far].max(axis=0) + reach
    known = np.zeros(cloud.points.shape)
    known[rows] = facing
    sheets = _sheets(cloud, low, high, reach, spacing, known)
    if sheets is None:
        return crossed
    controls = far[_strided(len(far), _SEGMENTS)]
    way = shift[controls] / length[controls, None]
    limit = length[controls] + 0.5 * reach
    met = _first_hit(sheets, start[controls], way, limit, facing[controls])
    # How far what stands there has come to meet the point.
    valid = np.flatnonzero(_inside(cloud, low, high))
    there = cKDTree(cloud.points[valid]).query(start[controls] + met[:, None] * way)[1]
    moved = np.zeros(cloud.points.shape)
    moved[rows] = shift
    hit = (met < limit) & (met <= length[controls] - np.minimum(dot(moved[valid[there]], way), 0.0))
    crossed[far] = hit[_nearest(start[controls], start[far], 3)].mean(axis=1) > 0.5
    return crossed


def _strided(count: int, most: int) -> Ints:
    return np.arange(0, count, -(-count // most), dtype=np.int64)


def _nearest(controls: Floats, points: Floats, count: int) -> Ints:
    """Return the `count` nearest controls of each point, (K, count) or fewer columns."""
    from scipy.spatial import cKDTree

    wanted = np.arange(1, min(count, len(controls)) + 1)
    return np.asarray(cKDTree(controls).query(points, k=wanted)[1], dtype=np.int64)


def _sheets(
    cloud: PointCloud, low: Floats, high: Floats, reach: float, spacing: float, normals: Floats | None = None
) -> _Sheets | None:
    """Return the points, or samples of the faces, within the box; `normals` (N, 3) of points, zero where unknown."""
    from scipy.spatial import cKDTree

    if cloud.triangles is not None:
        # Faces are known everywhere, so they may be sampled as finely as the question needs.
        points, spacing = _sampled(cloud.points, cloud.triangles, low, high, min(spacing, reach / 16.0))
        normals = None
    else:
        inside = _inside(cloud, low, high)
        points = cloud.points[inside].astype(np.float64)
        normals = None if normals is None else normals[inside]
    return _Sheets(points, normals, cKDTree(points), spacing) if len(points) else None


def _inside(cloud: PointCloud, low: Floats, high: Floats) -> NDArray[np.bool_]:
    inside = cloud.valid.copy()
    for axis in range(3):
        inside &= (cloud.points[:, axis] >= low[axis]) & (cloud.points[:, axis] <= high[axis])
    return inside


def _sampled(points: Array, faces: Ints, low: Floats, high: Floats, step: float) -> tuple[Floats, float]:
    """Return points (M, 3) about `step` apart on the parts of the faces within the box, and the step taken.

    The step grows where it would make more than 400 000 points.
    """
    corner = np.stack([points[faces[:, i]] for i in range(3)]).astype(np.float64)
    meets = (corner.max(axis=0) >= low) & (corner.min(axis=0) <= high)
    corner = corner[:, meets.all(axis=1)]
    if corner.shape[1] == 0:
        return np.zeros((0, 3)), step
    edge = corner - np.roll(corner, 1, axis=0)
    # Centres of equal parts of a face, as many as give about a point per squared step.
    longest = np.sqrt(dot(edge, edge).max(axis=0)) / 1.4
    step *= max(1.0, float(np.sqrt(((longest / step + 1.0) ** 2).sum() / _SAMPLES)))
    parts = np.maximum(1, np.ceil(longest / step)).astype(np.int64)
    found = []
    for count in np.unique(parts):
        first, second = (each.ravel() for each in np.meshgrid(np.arange(count), np.arange(count)))
        upright, turned = first + second < count, first + second < count - 1
        u = np.concatenate([first[upright] + 1 / 3, first[turned] + 2 / 3]) / count
        v = np.concatenate([second[upright] + 1 / 3, second[turned] + 2 / 3]) / count
        a, b, c = (each[:, None] for each in corner[:, parts == count])
        place = (a + u[:, None] * (b - a) + v[:, None] * (c - a)).reshape(-1, 3)
        found.append(place[((place >= low) & (place <= high)).all(axis=1)])
    return np.concatenate(found), step


def _first_hit(sheets: _Sheets, start: Floats, way: Floats, limit: Floats, facing: Floats | None) -> Floats:
    """Return where each ray first meets a sheet, or its limit: (C,) float64."""
    found, at = limit.copy(), np.full(len(start), _START * sheets.spacing)
    going = np.flatnonzero(at < limit)
    while len(going):
        place = start[going] + at[going, None] * way[going]
        # Exact search is slow where much is equally far, as on the axis of a bore; far off, a bound is all one needs.
        gap = np.asarray(sheets.tree.query(place, eps=0.5)[0]) / 1.5
        sparse = np.full(len(going), sheets.spacing)
        close = np.flatnonzero(gap <= _NEAR * _SPARSE * sheets.spacing)
        if len(close):
            gap[close], near = (np.asarray(each) for each in sheets.tree.query(place[close]))
            sparse[close] = _local_spacing(sheets, near)
        touching = np.flatnonzero(gap <= _NEAR * sparse)
        if len(touching):
            rays = going[touching]
            own = None if facing is None else facing[rays]
            met = _crossing(sheets, start[rays], way[rays], at[rays], sparse[touching], own)
            found[rays] = np.minimum(found[rays], met)
        at[going] += np.maximum(gap - 0.8 * _NEAR * sparse, sparse)
        going = going[(found[going] >= limit[going]) & (at[going] < limit[going] + sparse)]
    return found


def _local_spacing(sheets: _Sheets, rows: Ints) -> Floats:
    """Return the mean spacing around the points `rows`, between the cloud's own and 4 times that."""
    third = np.asarray(sheets.tree.query(sheets.points[rows], k=[min(4, len(sheets.points))])[0])[:, 0]
    # Among random points of one density, the third neighbour is 15 / 8 as far as the first.
    return np.clip(third * (8.0 / 15.0), sheets.spacing, _SPARSE * sheets.spacing)


def _crossing(
    sheets: _Sheets, start: Floats, way: Floats, at: Floats, spacing: Floats, facing: Floats | None
) -> Floats:
    """Return where each ray crosses the sheet of the points ahead that it is near to at `at`, inf if it does not."""
    wanted = np.arange(1, min(_PLANE, len(sheets.points)) + 1)
    near = np.asarray(sheets.tree.query(start + at[:, None] * way, k=wanted)[1])
    around = sheets.points[near] - start[:, None]
    ahead = dot(around, way[:, None])
    use = ahead > sheets.spacing
    if facing is not None and sheets.normals is not None:
        other = sheets.normals[near]
        use &= (dot(other, facing[:, None]) < _OPPOSITE) | (other == 0).all(axis=2)
    count = use.sum(axis=1)
    weight = use / np.maximum(count, 1)[:, None]
    middle = np.einsum("ck,cki->ci", weight, around, optimize=False)
    spread = (around - middle[:, None]) * np.sqrt(weight)[:, :, None]
    values, normal = eigen(np.einsum("cki,ckj->cij", spread, spread, optimize=False))
    slope = dot(way, normal)
    # Where two walls meet along the ray, points lie beside it in no plane; a few on a line fix none.
    plane = (count >= _FEWEST) & (values[:, 0] < _FLAT * values[:, 1]) & (values[:, 1] > _LINE * values[:, 2])
    plane &= np.abs(slope) >= _GRAZING
    beside = around - ahead[:, :, None] * way[:, None]
    aside = np.where(use, np.sqrt(dot(beside, beside)), np.inf)
    round_about, depth = _ringed(beside, aside, ahead, way, spacing)
    crossing = np.where(plane, dot(middle, normal) / np.where(plane, slope, 1.0), depth)
    off = around - (crossing[:, None] * way)[:, None]
    nearest = np.where(use, np.sqrt(dot(off, off)), np.inf).min(axis=1)
    # In the cone around the ray only: from a sharp edge, its own two walls spread on both sides of the way inward.
    met = nearest <= np.minimum(_NEAR * spacing, _CONE * crossing)
    met &= (crossing >= _START * sheets.spacing) & (plane | (round_about & (crossing > 2.0 * _NEAR * spacing)))
    doubtful = np.flatnonzero(met & ~plane)
    if len(doubtful):
        # Points on before and behind: the ray runs down the corner of two walls rather than into a third.
        run = np.ones(len(doubtful), dtype=bool)
        for side in (-_ON, _ON):
            beyond = crossing[doubtful] + side * spacing[doubtful]
            gap = np.asarray(sheets.tree.query(start[doubtful] + beyond[:, None] * way[doubtful])[0])
            run &= gap <= _NEAR * spacing[doubtful]
        met[doubtful[run]] = False
    return np.where(met, crossing, np.inf)


def _ringed(
    beside: Floats, aside: Floats, ahead: Floats, way: Floats, spacing: Floats
) -> tuple[NDArray[np.bool_], Floats]:
    """Tell whether points of like depth surround each ray, and at which depth: a sheet met close to its edge.

    `beside` (C, k, 3) are the points' offsets from the ray, `aside` (C, k) their lengths, inf for those not to be used.
    """
    first = np.arange(len(way)), aside.argmin(axis=1)
    inside = np.abs(ahead - ahead[first][:, None]) <= 1.5 * spacing[:, None]
    inside &= aside <= _NEAR * spacing[:, None]
    count = np.maximum(inside.sum(axis=1), 1)
    across = unit(np.cross(way, np.eye(3)[np.abs(way).argmin(axis=1)]))
    x, y = dot(beside, across[:, None]), dot(beside, np.cross(way, across)[:, None])
    turn = arctan2(y, x)
    turn = np.sort(np.where(inside, turn, turn[first][:, None]), axis=1)
    widest = np.maximum(np.diff(turn, axis=1).max(axis=1), turn[:, 0] + 2.0 * np.pi - turn[:, -1])
    # A ray within the noise of a wall that it runs along has points on both sides too, but in a narrow strip.
    xx, yy, xy = (np.where(inside, each, 0.0).sum(axis=1) / count for each in (x * x, y * y, x * y))
    narrow = 0.5 * (xx + yy - np.sqrt((xx - yy) ** 2 + 4.0 * xy * xy))
    surrounded = (count >= 4) & (widest < _GAP) & (narrow > (_STRIP * spacing) ** 2)
    return surrounded, np.where(inside, ahead, 0.0).sum(axis=1) / count
