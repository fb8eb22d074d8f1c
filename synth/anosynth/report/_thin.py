"""Choosing few of many points so that they look even: one point a cell of a grid whose cell size fits the budget."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

_TRIES = 8
_CANDIDATES = 12  # points looked at for each point wanted: enough to choose from, few enough to stay fast


def thin(points: Array, rows: Rows, count: int) -> Rows:
    """Return at most `count` of `rows`, ascending, evenly spread over where the points of `rows` lie.

    The same arguments give the same rows. All of `rows` come back if they are few enough; otherwise rather a tenth
    fewer than `count` than one more.

    Args:
        points: (N, 3) float; those of `rows` are finite.
        rows: (K,) ascending indices into `points`.
        count: the most rows to return, >= 0.
    """
    if len(rows) <= count:
        return rows
    if count <= 0:
        return rows[:0]
    rows = _strided(rows, _CANDIDATES * count)
    near = points[rows].astype(np.float64)
    low = near.min(axis=0)
    extent = float(np.max(near.max(axis=0) - low))
    if extent <= 0.0:
        return _strided(rows, count)
    size = extent / math.sqrt(count)
    near -= low
    slots = 1 << (7 + count.bit_length())
    enough: list[tuple[int, float]] = []
    for _ in range(_TRIES):
        found = int(np.count_nonzero(np.bincount(_slot(near / size, slots), minlength=slots)))
        if found >= 0.9 * count:
            enough.append((found, size))
            if found <= count:
                break
        # A surface fills cells in inverse proportion to their size squared; for curves and volumes the same step
        # still runs towards the goal, only slower.
        size = max(size * math.sqrt(found / (0.95 * count)), 1e-12 * extent)
    # A few cells more or fewer can be a leap over the goal: then rather the grid with some too many.
    size = min(enough)[1] if enough else size
    return _strided(rows[_nearest_to_centre(near / size, slots)], count)


def _nearest_to_centre(scaled: Array, slots: int) -> Rows:
    off = scaled - np.rint(scaled)
    order = np.argsort(-(off[:, 0] ** 2 + off[:, 1] ** 2 + off[:, 2] ** 2), kind="stable")
    first = np.full(slots, -1, dtype=np.int64)
    # Of several values for one slot the last stays, here the point closest to the middle of its cell.
    first[_slot(scaled, slots)[order]] = order
    return np.sort(first[first >= 0])


def _slot(scaled: Array, slots: int) -> NDArray[np.int64]:
    # Rounding puts the lowest coordinate into the middle of a cell, so a flat face does not flicker between two
    # layers. The table is hashed: one far outlier must not make it huge, and a clash costs one point in a hundred.
    cell = np.rint(scaled).astype(np.int64).view(np.uint64)
    mixed = (cell[:, 0] * np.uint64(0x9E3779B97F4A7C15)) ^ (cell[:, 1] * np.uint64(0xC2B2AE3D27D4EB4F))
    mixed = (mixed ^ (mixed >> np.uint64(29))) + cell[:, 2] * np.uint64(0x165667B19E3779F9)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed >>= np.uint64(65 - slots.bit_length())
    return np.asarray(mixed, dtype=np.int64)


def _strided(rows: Rows, count: int) -> Rows:
    if len(rows) <= count:
        return rows
    # A plain stride over a scan that lies in file row by row can pick a single column; a place drawn by the golden
    # ratio within each stride cannot.
    edge = np.arange(count + 1, dtype=np.int64) * len(rows) // count
    place = (np.arange(count, dtype=np.float64) * 0.6180339887498949) % 1.0
    return rows[edge[:-1] + (place * (edge[1:] - edge[:-1])).astype(np.int64)]


def unmatched(before: Array, ok_before: Flags, after: Array, ok_after: Flags) -> tuple[Flags, Flags]:
    """Return (M,) bool and (N,) bool: points of `after` that stand nowhere in `before`, and the other way round.

    Coordinates are compared as float32. Found by a table of hashes, at a fraction of a sort's cost: True is always
    right; False is wrong for at most about one point in sixteen, which a picture can bear.

    Args:
        before: (N, 3) float.
        ok_before: (N,) bool, which of them are points; the others are never reported.
        after: (M, 3) float.
        ok_after: (M,) bool, as above.
    """
    bits = 4 + max(len(before), len(after), 1).bit_length()
    slot_before, slot_after = _place_slot(before, bits), _place_slot(after, bits)
    return (
        ok_after & ~_taken(slot_before[ok_before], bits)[slot_after],
        ok_before & ~_taken(slot_after[ok_after], bits)[slot_before],
    )


def _taken(slots: NDArray[np.uint32], bits: int) -> Flags:
    table = np.zeros(1 << bits, dtype=bool)
    table[slots] = True
    return table


def _place_slot(points: Array, bits: int) -> NDArray[np.uint32]:
    mixed = np.zeros(len(points), dtype=np.uint32)
    for axis, factor in enumerate((0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)):
        with np.errstate(over="ignore"):
            column = points[:, axis].astype(np.float32)
        column += np.float32(0.0)  # -0.0 becomes 0.0: they are one place
        mixed ^= column.view(np.uint32)
        mixed *= np.uint32(factor)
        mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x27D4EB2F)
    mixed >>= np.uint32(max(32 - bits, 0))
    return mixed
