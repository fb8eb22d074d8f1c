"""From where to look at a part so that its defect is seen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Array = NDArray[Any]

_FLAT = 0.2  # a part is flat if its smallest extent is below this share of the middle one
_DIRECTIONS = 48
_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))


def facing(points: Array, weight: Array, defect: NDArray[np.bool_], outward: Vector) -> Vector:
    """Return the (3,) unit vector from the part towards the viewer.

    Wanted is the mean of two directions: from the part's centroid to the defect's, and out of the surface there; of a
    flat part it is the axis of smallest extent. The answer is the direction near the wanted one from which most of
    the defect is not hidden behind the part, tilted a little so that depth shows.

    Args:
        points: (N, 3) finite float64, a few thousand points of the part; all of the defect among them.
        weight: (N,) how many points of the full cloud each stands for.
        defect: (N,) bool, the points of the defect; none set is allowed.
        outward: (3,) direction out of the surface at the defect, any length, zero if unknown.
    """
    if len(points) < 4:
        return _unit(np.array([1.0, -1.6, 1.0]))
    centre = (points * weight[:, None]).sum(axis=0) / weight.sum()
    off = points - centre
    spread = (off[:, :, None] * off[:, None, :] * weight[:, None, None]).sum(axis=0) / weight.sum()
    extents, axes = np.linalg.eigh(spread)
    radius = math.sqrt(max(float(extents.sum()), 1e-300))
    shift = off[defect].mean(axis=0) / radius if defect.any() else np.zeros(3)
    wanted = _unit(outward) + (_unit(shift) if _length(shift) > 0.1 else 0.0)
    if extents[0] < _FLAT**2 * extents[1]:
        axis = axes[:, 0]
        hint = float((axis * (_unit(outward) + 0.1 * shift)).sum())
        hint = hint if abs(hint) > 0.02 else float(axis[np.argmax(np.abs(axis))])
        wanted = axis if hint >= 0 else -axis
    wanted = _unit(wanted) if _length(wanted) > 1e-6 else np.array([1.0, -1.6, 1.0])
    right, up = basis(wanted)
    wanted = _unit(_unit(wanted) + 0.38 * up + 0.3 * right)
    if not defect.any():
        return wanted
    tried = np.vstack([wanted, _sphere(_DIRECTIONS)])
    out, shares = _unit(outward), [_seen(off / radius, defect, way) for way in tried]
    # Seen at a grazing angle is hardly seen, but from straight above no depth shows: within 30 degrees no view
    # is better than another. `out` is zero where it is unknown, and then plays no part.
    scores = [
        share * (1.0 + min(max(float((way * out).sum()), 0.0), 0.88)) + 0.25 * float((way * wanted).sum())
        for share, way in zip(shares, tried, strict=True)
    ]
    return np.asarray(tried[int(np.argmax(scores))])


def basis(towards: Vector) -> tuple[Vector, Vector]:
    """Return the unit vectors (right, up) of the picture seen from `towards`: z is up unless one looks along it."""
    towards = _unit(towards)
    pole = np.array([0.0, 0.0, 1.0]) if abs(towards[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    right = _unit(np.cross(pole, towards))
    return right, np.cross(towards, right)


def _seen(points: Array, defect: NDArray[np.bool_], towards: Vector) -> float:
    right, up = basis(towards)
    # The cell is so wide that a few thousand points leave no holes in the front of the part.
    cell = 4.0 / math.sqrt(len(points))
    across = np.floor((points * right).sum(axis=1) / cell).astype(np.int64)
    along = np.floor((points * up).sum(axis=1) / cell).astype(np.int64)
    across -= across.min()
    slot = (along - along.min()) * (int(across.max()) + 1) + across
    _, slot = np.unique(slot, return_inverse=True)
    depth = (points * towards).sum(axis=1)
    front = np.full(int(slot.max()) + 1, -np.inf)
    np.maximum.at(front, slot, depth)
    return float((depth[defect] > front[slot[defect]] - 2.0 * cell).mean())


def _sphere(count: int) -> Array:
    z = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    ring, angle = np.sqrt(1.0 - z * z), _GOLDEN_ANGLE * np.arange(count)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)


def _length(vector: Array) -> float:
    return float(np.sqrt((vector * vector).sum()))


def _unit(vector: Array) -> Vector:
    length = _length(vector)
    return np.asarray(vector / length if length > 0.0 else vector, dtype=np.float64)
