"""Which segments each pass masks: exact counts, and passes that share the work evenly.

A covering plan has the fewest passes that can mask everything, ceil(n / m) of m segments each. That is less than 2 n
in all, so that masking each segment once or twice is as even as it gets.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from anosynth.seeding import Rng

from ._grid import Shape, boxes

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def random_passes(grid: Shape, block: Shape, count: int, passes: int | None, rng: Rng) -> Bools:
    """Return (P, n) bool with `count` in each pass, drawn without replacement in blocks; None covers.

    Blocks stay whole but for up to two in a pass, where its count begins and ends.
    """
    number = math.prod(grid)
    if passes is None:
        order = _shuffled(grid, block, rng)
        # One shuffled row dealt out in turn: what the last pass lacks is the first of the row again.
        turns = np.arange(-(-number // count) * count) % number
        return _marked(order[turns].reshape(-1, count), number)
    return _marked(
        np.stack([_shuffled(grid, block, rng.child("pass", p))[:count] for p in range(passes)]),
        number,
    )


def strided_passes(grid: Shape, count: int, passes: int | None, rng: Rng) -> Bools:
    """Return (P, n) bool with `count` in each pass, evenly spaced in row-major order; None covers."""
    number = math.prod(grid)
    starts = np.arange(count) * number // count
    if passes is None:
        # Gaps are of P or P - 1 segments, so that shifts by 0 to P - 1 reach at most the first of the next gap.
        shifts = rng.integer(0, number - 1) + np.arange(-(-number // count))
    else:
        shifts = np.array([rng.child("pass", p).integer(0, number - 1) for p in range(passes)])
    return _marked((starts + shifts[:, None]) % number, number)


def contiguous_passes(grid: Shape, window: Shape, count: int, passes: int | None, rng: Rng) -> Bools:
    """Return (P, n) bool with `count` in each pass, in one connected run, or none, in each window; None covers."""
    windows = boxes(grid, window)
    number = math.prod(grid)
    if passes is None:
        return _covering_runs(windows, count, number, rng)
    out = np.zeros((passes, number), np.bool_)
    for p in range(passes):
        own = rng.child("pass", p)
        for path, length in zip(windows, _shares(windows, count, number, own), strict=True):
            start = own.integer(0, len(path) - length)
            out[p, path[start : start + length]] = True
    return out


def _covering_runs(windows: list[Ints], count: int, number: int, rng: Rng) -> Bools:
    passes = -(-number // count)
    out = np.zeros((passes, number), np.bool_)
    deal, turn = rng.permutation(passes), 0
    for path, total in zip(windows, _shares(windows, count * passes, number, rng), strict=True):
        # What does not go into equal lengths is dealt out pass by pass over all windows, which keeps the count of
        # every pass: no pass gets a second one before all have had theirs.
        lengths = np.full(passes, total // passes)
        extra = total % passes
        lengths[deal[(turn + np.arange(extra)) % passes]] += 1
        turn += extra
        for p, start in _laid_out(lengths, len(path), rng):
            out[p, path[start : start + lengths[p]]] = True
    return out


def _shares(windows: list[Ints], total: int, number: int, rng: Rng) -> list[int]:
    """Return whole numbers that sum to `total`, each the window's share rounded down or up."""
    first = rng.integer(0, number - 1)
    edges = np.cumsum([0, *(len(path) for path in windows)]).tolist()
    marks = [(edge * total + first) // number for edge in edges]
    return [after - before for before, after in pairwise(marks)]


def _laid_out(lengths: Ints, size: int, rng: Rng) -> list[tuple[int, int]]:
    """Return (pass, start) of runs that cover a window, no place of it more than twice.

    The runs lie one after the other in random order; the little that they are longer than the window is taken up
    where two of them overlap. It is at most one longer than the shortest run, and then a longer run beside the first
    has room for the rest.
    """
    order = [int(p) for p in rng.permutation(len(lengths)) if lengths[p]]
    runs = [int(lengths[p]) for p in order]
    left = sum(runs) - size
    if left > min(runs) and len(runs) > 2:
        longest = runs.index(max(runs))
        for row in (order, runs):
            row[1], row[longest] = row[longest], row[1]
    overlap = [0] * (len(runs) + 1)
    for gap in rng.permutation(len(runs) - 1).tolist():
        # overlap[g + 1] is of the runs g and g + 1; the two at the ends stay 0.
        room = min(runs[gap] - overlap[gap], runs[gap + 1] - overlap[gap + 2])
        overlap[gap + 1] = min(room, left)
        left -= overlap[gap + 1]
    starts = np.cumsum([0, *(run - both for run, both in zip(runs, overlap[1:], strict=True))])
    return list(zip(order, starts[:-1].tolist(), strict=True))


def _shuffled(grid: Shape, block: Shape, rng: Rng) -> Ints:
    if max(block) == 1:
        return rng.permutation(math.prod(grid))
    parts = boxes(grid, block)
    return np.concatenate([parts[i] for i in rng.permutation(len(parts))])


def _marked(places: Ints, number: int) -> Bools:
    out = np.zeros((len(places), number), np.bool_)
    np.put_along_axis(out, places, True, axis=1)
    return out
