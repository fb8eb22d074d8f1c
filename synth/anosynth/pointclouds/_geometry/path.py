"""Lines on a surface: shortest paths in a patch, distances to polylines in its chart, random curves and cracks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._geometry.knn import shortest_paths
from anosynth.pointclouds._geometry.log_map import STRETCH
from anosynth.pointclouds._geometry.patch import Patch
from anosynth.seeding import Rng

Array = NDArray[Any]
Rows = NDArray[np.int64]

_SMOOTHINGS = 8


def geodesic_path(patch: Patch, start: int, goal: int) -> Rows:
    """Return the rows of the patch, (M,) int64, on the way in its graph from `start` to `goal`, both included.

    Of ways about equally long, which regular grids have by the thousand, it is one close to the straight line in the
    chart: away from that line, by a share x of the distance to the goal, edges count (1 + x) times their length.

    Raises:
        DataError: no path joins the two (never between rows of a patch as grown).
    """
    line = patch.uv[[start, goal]]
    length = float(np.sqrt(((line[1] - line[0]) ** 2).sum()))
    graph = patch.graph.tocoo()
    if length > 0:
        aside = distance_to_polyline(patch.uv, line)[0] / length
        graph.data = graph.data * (1.0 + 0.5 * (aside[graph.row] + aside[graph.col]))
    path, parent, _ = shortest_paths(graph.tocsr(), np.array([start]))
    if not math.isfinite(path[goal]):
        raise DataError(f"patch: rows {start} and {goal}: no path between them")
    rows = [goal]
    while rows[-1] != start:
        rows.append(int(parent[rows[-1]]))
    return np.array(rows[::-1], dtype=np.int64)


def distance_to_path(patch: Patch, rows: Rows) -> tuple[Array, Array]:
    """Return each patch point's distance to the path over `rows` (M,), and how far along the path its foot lies.

    Both are (K,) float64 in file units. They are measured in the chart, to the path with its zigzag smoothed out, so
    that a groove along it is straight. Where the chart is torn (a patch that closes round a cylinder) and its answer
    cannot be true of the surface, that of the graph stands in.
    """
    vertices = _smooth(patch.uv[rows])
    distance, along, _ = distance_to_polyline(patch.uv, vertices)
    hops, _, source = shortest_paths(patch.graph, rows)
    step = np.diff(vertices, axis=0)
    length = np.concatenate([[0.0], np.cumsum(np.sqrt((step * step).sum(axis=1)))])
    place = np.zeros(len(patch), dtype=np.int64)
    place[rows] = np.arange(len(rows))
    # Smoothing moves the path, and its points lie a spacing off the line: two of them are no contradiction.
    slack = 2.0 * patch.spacing
    torn = (distance < hops / (STRETCH * STRETCH) - slack) | (distance > STRETCH * hops + slack)
    return np.where(torn, hops, distance), np.where(torn, length[place[np.maximum(source, 0)]], along)


def distance_to_polyline(uv: Array, vertices: Array) -> tuple[Array, Array, Array]:
    """Return the distance of points `uv` (K, 2) to the polyline through `vertices` (M, 2), M >= 1.

    Returns:
        distance: (K,) float64, exact, in the units of the input.
        along: (K,) float64 arc length from the first vertex to the nearest point of the line.
        side: (K,) float64: 1 to the left of the line, -1 to the right, 0 on it.

    Raises:
        ParameterError: there is no vertex.
    """
    if len(vertices) == 0:
        raise ParameterError("vertices: none: a polyline has at least one")
    x, y = uv[:, 0].astype(np.float64), uv[:, 1].astype(np.float64)
    step = np.diff(vertices.astype(np.float64), axis=0)
    length = np.sqrt((step * step).sum(axis=1))
    start, step, length = vertices[:-1][length > 0].astype(np.float64), step[length > 0], length[length > 0]
    if len(step) == 0:
        gap = np.sqrt((x - float(vertices[0, 0])) ** 2 + (y - float(vertices[0, 1])) ** 2)
        return gap, np.zeros(len(x)), np.zeros(len(x))
    tangent = step / length[:, None]
    # At a corner neither segment alone knows the side of what lies outside both: their bisector does.
    corner = np.concatenate([tangent[:1], tangent[:-1] + tangent[1:], tangent[-1:]])
    corner = np.where((corner == 0).all(axis=1, keepdims=True), np.concatenate([tangent[:1], tangent]), corner)
    before = np.concatenate([[0.0], np.cumsum(length)])
    best = np.full(len(x), np.inf)
    along, side = np.zeros(len(x)), np.zeros(len(x))
    for i in range(len(step)):
        dx, dy = x - start[i, 0], y - start[i, 1]
        t = np.clip(dx * tangent[i, 0] + dy * tangent[i, 1], 0.0, length[i])
        ex, ey = dx - t * tangent[i, 0], dy - t * tangent[i, 1]
        square = ex * ex + ey * ey
        nearer = square < best
        best[nearer] = square[nearer]
        t, ex, ey = t[nearer], ex[nearer], ey[nearer]
        along[nearer] = before[i] + t
        at_start, at_end = (t <= 0)[:, None], (t >= length[i])[:, None]
        way = np.where(at_start, corner[i], np.where(at_end, corner[i + 1], tangent[i]))
        side[nearer] = np.sign(way[:, 0] * ey - way[:, 1] * ex)
    return np.sqrt(best), along, side


def curve(rng: Rng, length: float, *, bend: float, steps: int) -> NDArray[np.float64]:
    """Return a smooth random curve, (steps + 1, 2) float64, whose middle is the origin and whose length is `length`.

    Args:
        rng: gives the direction, uniform, and the shape.
        length: of the polyline, > 0.
        bend: largest deviation of its heading from the mean heading, in radians, >= 0; 0 is a straight line, and
            under pi / 2 it never meets itself.
        steps: number of segments, >= 1, all equally long.

    Raises:
        ParameterError: a value is out of bounds.
    """
    _check_length(length)
    if steps < 1 or not 0 <= bend < math.inf:
        raise ParameterError(f"steps, bend: {steps}, {bend}: expected steps >= 1 and a bend >= 0 in radians")
    heading = rng.uniform(0.0, 2.0 * math.pi)
    weight, phase = rng.normal(3), rng.random(3)
    s = (np.arange(steps) + 0.5) / steps
    turn = np.zeros(steps)
    # Half a wave, a whole one, one and a half along the curve: an arc, an S, a double S, the tighter the weaker.
    for k in range(3):
        turn += weight[k] / (k + 1) ** 2 * steady.cos(math.pi * (k + 1) * s + 2.0 * math.pi * phase[k])
    turn -= steady.total(turn) / steps
    largest = float(np.abs(turn).max())
    angle = heading + (turn * (bend / largest) if largest > 0 else turn)
    segments = np.stack([steady.cos(angle), steady.sin(angle)], axis=1) * (length / steps)
    vertices = np.concatenate([np.zeros((1, 2)), np.cumsum(segments, axis=0)])
    return np.asarray(vertices - 0.5 * (vertices[steps // 2] + vertices[(steps + 1) // 2]))


def branching(rng: Rng, length: float, *, branches: int, jitter: float) -> list[NDArray[np.float64]]:
    """Return a crack in the plane: a zigzag main line with its middle at the origin, then its branches.

    Args:
        rng: gives directions, lengths and places.
        length: of the main line, > 0; a branch is 0.2 to 0.5 times as long as its parent.
        branches: how many, >= 0. Each starts exactly on an inner vertex of the main line or of an earlier branch and
            leaves it at 25 to 65 degrees.
        jitter: typical deviation of a segment from the line's direction, in radians, >= 0.

    Returns:
        1 + branches polylines, each (M, 2) float64.

    Raises:
        ParameterError: a value is out of bounds.
    """
    _check_length(length)
    if branches < 0 or not 0 <= jitter < math.inf:
        raise ParameterError(f"branches, jitter: {branches}, {jitter}: expected both >= 0")
    main = _zigzag(rng, rng.uniform(0.0, 2.0 * math.pi), length, 16, jitter)
    lines, lengths = [main - main[8]], [length]
    for _ in range(branches):
        # Most leave the main line, which is drawn as often as all the branches together.
        parent = rng.choice([float(len(lines)), *[1.0] * (len(lines) - 1)])
        trunk = lines[parent]
        at = rng.integer(1, len(trunk) - 2)
        way = trunk[at + 1] - trunk[at - 1]
        heading = steady.arctan2(way[1], way[0]) + rng.sign() * math.radians(rng.uniform(25.0, 65.0))
        size = lengths[parent] * rng.uniform(0.2, 0.5)
        twig = _zigzag(rng, heading, size, max(4, round(16 * size / length)), jitter)
        lines.append(trunk[at] + twig)
        lengths.append(size)
    return lines


def _check_length(length: float) -> None:
    if not 0 < length < math.inf:
        raise ParameterError(f"length: {length}: expected a length > 0")


def _zigzag(rng: Rng, heading: float, length: float, steps: int, jitter: float) -> NDArray[np.float64]:
    """Return (steps + 1, 2): uneven segments from the origin; about `heading`, which drifts a little."""
    part = 0.5 + rng.random(steps)
    part *= length / steady.total(part)
    drift = np.cumsum(rng.normal(steps)) * (0.2 * jitter)
    # Clipped, for a normal draw may be large and a crack that runs back over itself is none.
    angle = heading + np.clip(drift + jitter * rng.normal(steps), -1.2, 1.2)
    segments = np.stack([steady.cos(angle), steady.sin(angle)], axis=1) * part[:, None]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(segments, axis=0)])


def _smooth(vertices: Array) -> Array:
    """Return the vertices with their zigzag averaged out; the ends stay."""
    line = vertices.astype(np.float64)
    for _ in range(_SMOOTHINGS if len(line) > 2 else 0):
        line[1:-1] = 0.25 * line[:-2] + 0.5 * line[1:-1] + 0.25 * line[2:]
    return line
