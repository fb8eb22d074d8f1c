"""What the report's page draws: samples thinned and packed into a few ten kilobytes of JSON."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.report._facing import facing
from anosynth.report._thin import Flags, thin, unmatched

Array = NDArray[Any]

LABELLED = 0.4
"""Share of the budget that labelled points may take even if they are a smaller share of the cloud."""

_STORED = 1.4  # coordinates stored for each point of the budget: what moved is stored twice, before and after
_GRID = 65535
_HEIGHTS = 32767


def cloud_view(
    before: Array,
    after: Array,
    height: Array,
    label: Array,
    *,
    valid: Array | None = None,
    valid_before: Array | None = None,
    unit: str | None = None,
    limit: int = 6000,
    peak: float | None = None,
) -> dict[str, Any]:
    """Return the view of a changed cloud: JSON-ready, at most about 80 kB at the default limit.

    If both clouds have the same number of points, row i is the same point before and after; otherwise points are
    matched by their exact coordinates. Few labelled points are all kept; many are thinned like the rest, to 40 % of
    the budget or to their share of the cloud. No argument is written into.

    Args:
        before: (N, 3) float32 or float64, in file units.
        after: (M, 3) float32 or float64, in file units.
        height: (M,) float, signed displacement in file units, > 0 outward; NaN counts as 0.
        label: (M,) bool.
        valid: (M,) bool, which points of `after` are points at all; those not finite never are.
        valid_before: (N,) bool, the same for `before`. Left out while `valid` marks invalid points, it is all but those
            that are exactly (0, 0, 0), as in organised maps.
        unit: name of the coordinates' unit, or None.
        limit: budget in points, >= 16.
        peak: largest |height| of the part, if `after` is but a selection of its points; at least theirs is taken.

    Returns:
        A dict of kind `cloud`. A coordinate is `low + step * q` of its (3,) uint16 q. `plain` are points that neither
        moved nor are labelled, `marked` all others of `after`, each with `height` (int16, times `height_step`) and
        `flags` (uint8: 1 labelled, 2 not in `before`); `origin` are the places of `before` that chosen marked points
        left, `removed` points of `before` that are gone. All are base64 of little-endian bytes. `look` is the
        direction from the part to the viewer, `peak` the largest |height|, `count` the numbers of
        valid points before thinning.

    Raises:
        DataError: the shapes do not fit.
        ParameterError: `limit` is too small.
    """
    if limit < 16:
        raise ParameterError(f"limit: {limit}: expected at least 16 points")
    ok_after = _usable("after", after, valid)
    if valid_before is None and valid is not None and not np.all(valid):
        valid_before = (before != 0).any(axis=1)
    ok_before = _usable("before", before, valid_before)
    for name, value in (("height", height), ("label", label)):
        if np.shape(value) != (len(after),):
            raise DataError(f"{name}: shape {np.shape(value)}: expected one value for each of the {len(after)} points")
    height, label = np.where(np.isfinite(height), height, 0.0), np.asarray(label, dtype=bool)
    new, left, gone = _compare(before, ok_before, after, ok_after)
    mark = (label | new | (height != 0)) & ok_after
    marked_all, plain_all, gone_all = np.flatnonzero(mark), np.flatnonzero(ok_after & ~mark), np.flatnonzero(gone)
    removed = thin(before, gone_all, int(limit * LABELLED))
    count_marked, count_plain = _shares(len(marked_all), len(plain_all), limit - len(removed))
    marked, plain = thin(after, marked_all, count_marked), thin(after, plain_all, count_plain)
    origin = marked[left[marked]] if left is not None else marked[:0]

    groups = {
        "plain": after[plain].astype(np.float64),
        "marked": after[marked].astype(np.float64),
        "origin": before[origin].astype(np.float64),
        "removed": before[removed].astype(np.float64),
    }
    peak = max(float(np.abs(height[marked_all]).max()) if len(marked_all) else 0.0, peak or 0.0)
    came = after[origin].astype(np.float64) - groups["origin"]
    outward = (came * np.sign(height[origin])[:, None]).sum(axis=0)
    totals = (len(plain_all), len(marked_all), len(gone_all))
    return {
        "kind": "cloud",
        "unit": unit,
        "count": {"before": int(ok_before.sum()), "after": int(ok_after.sum()), "label": int((label & ok_after).sum())},
        "peak": peak,
        "height_step": peak / _HEIGHTS,
        "height": _pack(_levels(height[marked], peak), "<i2"),
        "flags": _pack(label[marked].astype(np.uint8) + 2 * new[marked].astype(np.uint8), "u1"),
        "look": _look(groups, totals, label[marked], outward),
        **_quantised(groups),
    }


def _usable(name: str, points: Array, valid: Array | None) -> Flags:
    if np.ndim(points) != 2 or points.shape[1] != 3:
        raise DataError(f"{name}: shape {np.shape(points)}: expected (N, 3)")
    with np.errstate(invalid="ignore", over="ignore"):
        # One pass over contiguous memory clears the common case: a sum is finite only if all its terms are.
        finite = bool(np.isfinite(points.sum(dtype=np.float64)))
    ok = np.ones(len(points), dtype=bool) if finite else np.asarray(np.isfinite(points).all(axis=1))
    if valid is None:
        return ok
    if np.shape(valid) != (len(points),):
        raise DataError(f"valid: shape {np.shape(valid)}: expected one value for each of the {len(points)} points")
    return np.asarray(ok & np.asarray(valid, dtype=bool))


def _compare(before: Array, ok_before: Flags, after: Array, ok_after: Flags) -> tuple[Flags, Flags | None, Flags]:
    """Return which points of `after` are new, which of them came from elsewhere (paired only), which are gone."""
    if len(before) == len(after):
        moved = (before[:, 0] != after[:, 0]) | (before[:, 1] != after[:, 1]) | (before[:, 2] != after[:, 2])
        both = ok_before & ok_after
        return ok_after & (moved | ~ok_before), both & moved, ok_before & ~ok_after
    new, gone = unmatched(before, ok_before, after, ok_after)
    return new, None, gone


def _shares(marked: int, plain: int, limit: int) -> tuple[int, int]:
    """Return how many marked and plain points to keep of so many."""
    stored = _STORED * limit
    share = max(LABELLED, marked / max(marked + plain, 1))
    few = min(marked, int(share * limit * min(1.0, _STORED / (1.0 + share))))
    rest = min(plain, limit - few, int(stored) - 2 * few)
    return min(marked, max(few, min(limit - rest, int(stored - rest) // 2))), rest


def _quantised(groups: dict[str, Array]) -> dict[str, Any]:
    points = np.vstack(list(groups.values()))
    low, step = np.zeros(3), 1.0
    if len(points):
        low = points.min(axis=0)
        # One step for all axes: the page then needs no scaling of its own, and a flat part keeps 16 bits in its plane.
        step = float((points.max(axis=0) - low).max()) / _GRID or 1.0
    packed = {name: _pack(np.rint((group - low) / step), "<u2") for name, group in groups.items()}
    return {"low": [float(value) for value in low], "step": step, **packed}


def _levels(height: Array, peak: float) -> Array:
    if peak == 0.0:
        return np.zeros(len(height))
    levels = np.rint(height / peak * _HEIGHTS)
    # A height that is there must not round to none: the page tells moved from removed by it.
    return np.where((levels == 0) & (height != 0), np.sign(height), levels)


def _pack(values: Array, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(dtype).tobytes()).decode("ascii")


def _look(groups: dict[str, Array], totals: tuple[int, int, int], label: Flags, outward: Array) -> list[float]:
    # A third of the plain points is enough to hide a defect behind.
    parts = [groups["plain"][::3], groups["marked"], groups["removed"]]
    sizes = [len(part) for part in parts]
    weight = np.repeat([total / max(size, 1) for total, size in zip(totals, sizes, strict=True)], sizes)
    defect = np.concatenate([np.zeros(sizes[0], dtype=bool), label, np.ones(sizes[2], dtype=bool)])
    return [round(float(value), 6) for value in facing(np.vstack(parts), weight, defect, outward)]
