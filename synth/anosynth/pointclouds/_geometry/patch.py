"""A patch: the connected piece of surface around a point, with geodesic distances and flat coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.knn import Ball, ball, shortest_paths, squared_distances
from anosynth.pointclouds._geometry.log_map import STRETCH, log_map
from anosynth.seeding import Rng

Array = NDArray[Any]
Rows = NDArray[np.int64]

_KNN = 12
_FEWEST = 12
_ENLARGE = 1.6
_FEW_POINTS = 300
_AWAY = -0.2


@dataclass(frozen=True, eq=False)
class Patch:
    """A connected piece of the surface of `cloud` around one of its points.

    Attributes:
        cloud: the cloud that the rows refer to.
        centre: row of the middle.
        index: (K,) int64 rows by geodesic distance, then by row; index[0] == centre.
        distance: (K,) float64 geodesic distance to the centre, file units, ascending.
        uv: (K, 2) float64 tangent coordinates (log map), file units; |uv| == distance.
        normals: (K, 3) float64 unit normals, outward.
        frame: (3, 3) float64, rows u, v, n: a right-handed frame at the centre, n its outward normal.
        radius: the largest distance kept, file units.
        spacing: mean distance of neighbouring points of the whole cloud, file units.
    """

    cloud: PointCloud
    centre: int
    index: Rows
    distance: Array
    uv: Array
    normals: Array
    frame: Array
    radius: float
    spacing: float

    def __len__(self) -> int:
        return len(self.index)


def grow(
    cloud: PointCloud,
    centre: int,
    *,
    share: float | None = None,
    radius: float | None = None,
    angle: float = 0.0,
    one_side: bool = False,
) -> Patch:
    """Return the patch around a valid point.

    Args:
        cloud: the points; of a mesh the edges are followed, otherwise the nearest neighbours.
        centre: row of the middle.
        share: fraction of the surface in (0, 1]: the patch is the smallest set of geodesically nearest connected
            points whose weights reach it. Give either this or `radius`.
        radius: largest geodesic distance, file units.
        angle: turn of the frame's u and v about n, in radians.
        one_side: leave out what faces away from the normal at the centre, so that a patch near the edge of a plate
            does not go on over its back.

    Raises:
        ParameterError: share and radius both given or both missing, or a value out of bounds.
        DataError: the centre is invalid, the connected surface around it is smaller than `share`, or the patch has
            fewer than 12 points.
    """
    _check(cloud, centre, share, radius)
    origin = cloud.points[centre].astype(np.float64)
    squared = squared_distances(cloud, origin)
    everything = math.sqrt(float(squared.max(where=np.isfinite(squared), initial=0.0)))
    spacing, weights = float(cloud.surface.spacing), cloud.surface.weights
    # No surface holds more within a geodesic radius than space holds within the same Euclidean one.
    wanted = _first_guess(squared, weights, share) if share is not None else float(radius or 0.0)
    reach = 1.2 * wanted + 12.0 * spacing
    while True:
        core = None
        reach = reach if reach < everything else math.inf
        surroundings = ball(cloud, origin, squared, reach, _KNN)
        middle = int(np.searchsorted(surroundings.index, centre))
        graph = _facing(surroundings, middle) if one_side else surroundings.graph
        path, parent, _ = shortest_paths(graph, np.array([middle]))
        sure = float(path.min(where=surroundings.loose & np.isfinite(path), initial=np.inf))
        if share is None or math.isinf(sure) or float(weights[surroundings.index[path < sure]].sum()) >= share:
            rows, distance, uv, frame = log_map(surroundings, middle, path, parent)
            order = np.lexsort((surroundings.index[rows], distance))
            rows, distance, uv = rows[order], distance[order], uv[order]
            core = _core(distance, weights[surroundings.index[rows]], share, radius)
            if core is not None:
                limit = float(distance[core - 1]) if radius is None else radius
                if limit * STRETCH < sure:
                    break
            elif math.isinf(sure):
                raise DataError(_too_small(cloud, centre, rows, surroundings.index, share))
        reach = _ENLARGE * reach if core is None else max(1.1 * reach, 1.05 * limit * STRETCH + 12.0 * spacing)
    keep = int(np.searchsorted(distance, limit, side="right"))
    rows, index = rows[:keep], surroundings.index[rows[:keep]]
    if core < _FEWEST:
        asked = f"area {share:.4g} of the surface" if share is not None else f"radius {radius:.4g}"
        raise DataError(
            f"cloud: {core} points within {asked} around point {centre} (point spacing {spacing:.4g}): "
            f"expected at least {_FEWEST}\nhint: use a denser cloud, a refined mesh or a larger area"
        )
    turn = np.array([[steady.cos(angle), steady.sin(angle)], [-steady.sin(angle), steady.cos(angle)]])
    u, v, n = frame
    return Patch(
        cloud=cloud,
        centre=centre,
        index=index,
        distance=distance[:keep],
        uv=uv[:keep, :1] * turn[:, 0] + uv[:keep, 1:] * turn[:, 1],
        normals=surroundings.normals[rows],
        frame=np.stack([turn[0, 0] * u + turn[0, 1] * v, turn[1, 0] * u + turn[1, 1] * v, n]),
        radius=float(distance[keep - 1]),
        spacing=spacing,
    )


def pick_centre(cloud: PointCloud, rng: Rng, *, allowed: NDArray[np.bool_] | None = None) -> int:
    """Return a valid row, drawn with probability proportional to its share of the surface.

    `allowed` (N,) bool restricts the draw.

    Raises:
        DataError: no valid point is allowed.
    """
    chance = np.where(cloud.valid, cloud.surface.weights, 0.0)
    if allowed is not None:
        chance[~allowed] = 0.0
    running = np.cumsum(chance)
    total = float(running[-1]) if len(running) else 0.0
    if not total > 0:
        among = "" if allowed is None else f" among the {int(allowed.sum())} allowed"
        raise DataError(f"cloud: no valid point{among}: there is no place for a defect")
    # The product may round up to the total itself, which lies beyond every row.
    mark = min(rng.uniform() * total, math.nextafter(total, 0.0))
    return int(np.searchsorted(running, mark, side="right"))


def _check(cloud: PointCloud, centre: int, share: float | None, radius: float | None) -> None:
    if (share is None) == (radius is None):
        raise ParameterError(f"share, radius: {share}, {radius}: expected exactly one of them")
    if share is not None and not 0 < share <= 1:
        raise ParameterError(f"share: {share}: expected a fraction in (0, 1]")
    if radius is not None and not 0 < radius < math.inf:
        raise ParameterError(f"radius: {radius}: expected a length > 0")
    if not 0 <= centre < len(cloud) or not cloud.valid[centre]:
        raise DataError(f"centre: {centre}: not a valid point of this cloud of {len(cloud)}")


def _facing(surroundings: Ball, middle: int) -> Any:
    """Return the graph with no way to points that face away from the middle."""
    away = (surroundings.normals * surroundings.normals[middle]).sum(axis=1) < _AWAY
    graph = surroundings.graph.copy()
    start = np.repeat(away, np.diff(graph.indptr))
    graph.data = np.where(start | away[graph.indices], np.inf, graph.data)
    return graph


def _first_guess(squared: Array, weights: Array, share: float) -> float:
    """Return about the radius of a flat patch of this share: a ball through a thin wall holds its two sides."""
    least = _ball_of_share(squared, weights, share)
    few = min(share, _FEW_POINTS / len(weights))
    flat = _ball_of_share(squared, weights, few) * math.sqrt(share / few)
    return min(max(least, flat), 2.0 * least)


def _ball_of_share(squared: Array, weights: Array, share: float) -> float:
    """Return a Euclidean radius, at most 7 % too large, whose ball holds `share` of the weights."""
    # Sign, exponent and three bits of mantissa of a float64 are a logarithmic scale that costs no logarithm.
    step = squared.view(np.int64) >> 49
    lowest = int(step.min())
    held = np.cumsum(np.bincount(step - lowest, weights=weights))
    last = lowest + int(np.searchsorted(held, share * held[-1]))
    top = np.array([(last + 1) << 49], dtype=np.int64).view(np.float64)
    return math.sqrt(float(top[0])) if np.isfinite(top[0]) else math.inf


def _core(distance: Array, weights: Array, share: float | None, radius: float | None) -> int | None:
    """Return how many of the sorted points make up the share or the radius, None if they do not suffice."""
    if radius is not None:
        return int(np.searchsorted(distance, radius, side="right"))
    assert share is not None
    # The weights of a whole cloud add up to 1 only up to rounding.
    enough = int(np.searchsorted(np.cumsum(weights), share * (1.0 - 1e-9)))
    return enough + 1 if enough < len(distance) else None


def _too_small(cloud: PointCloud, centre: int, rows: Rows, index: Rows, share: float | None) -> str:
    held = float(cloud.surface.weights[index[rows]].sum())
    return (
        f"cloud: the connected surface around point {centre} has {len(rows)} of {int(cloud.valid.sum())} points, "
        f"{held:.4g} of the surface: too little for area {share:.4g}\n"
        "hint: the cloud is in pieces or too coarse; ask for a smaller area"
    )
