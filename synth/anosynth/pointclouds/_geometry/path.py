"""Lines on a surface, in the flat chart of a patch: distances to polylines, random curves and cracks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import ParameterError
from anosynth.seeding import Rng

Array = NDArray[Any]


def distance_to_polyline(uv: Array, vertices: Array) -> tuple[Array, Array]:
    """Return the distance of points `uv` (K, 2) to the polyline through `vertices` (M, 2), M >= 1.

    Returns:
        distance: (K,) float64, exact, in the units of the input.
        along: (K,) float64 arc length from the first vertex to the nearest point of the line.

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
        return gap, np.zeros(len(x))
    tangent = step / length[:, None]
    before = np.concatenate([[0.0], np.cumsum(length)])
    best = np.full(len(x), np.inf)
    along = np.zeros(len(x))
    for i in range(len(step)):
        dx, dy = x - start[i, 0], y - start[i, 1]
        t = np.clip(dx * tangent[i, 0] + dy * tangent[i, 1], 0.0, length[i])
        ex, ey = dx - t * tangent[i, 0], dy - t * tangent[i, 1]
        square = ex * ex + ey * ey
        nearer = square < best
        best[nearer] = square[nearer]
        along[nearer] = before[i] + t[nearer]
    return np.sqrt(best), along


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
