"""What synthetic defects are like in a feature space, without training anything: coverage, diversity, distance.

Rows are feature vectors of cells (patches of a photo, points of a cloud) within the masks; normal rows are of normal
samples. Every figure stands beside that of a control, as many rows that nothing was done to: a figure that rates these
as well as the defects says nothing about defects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.seeding import Rng, RngLike, as_rng

from ._figures import distances, expected_coverage, frechet_distance, kernel_distance, kth, manifold, rows_of, vendi
from ._samples import Judged

__all__ = ["describe", "expected_coverage", "frechet_distance", "inside", "kernel_distance", "vendi"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DUPLICATE = 0.05
"""Rows nearer to each other than this quantile of the distances between nearest normal rows are near-duplicates."""
SUBTLE = 0.95
"""Rows nearer to normal than this quantile of normal rows are too subtle."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the distances to normal, as `describe` gives them."""

_SETS = ("normal", "synthetic", "real", "control")
_BOUNDS = ("duplicate_below", "subtle_below", "easy_above")


def describe(
    normal: ArrayLike,
    synthetic: ArrayLike,
    real: ArrayLike | None = None,
    control: ArrayLike | None = None,
    *,
    samples: Mapping[str, ArrayLike] | None = None,
    origins: Mapping[str, ArrayLike] | None = None,
    k: int = 5,
    easy: float = 3.0,
    most: int = 1000,
    draws: int = 3,
    rng: RngLike = 0,
) -> dict[str, Any]:
    """Return what rows of synthetic defects cover and how they lie to normal ones; plain values, ready for JSON.

    All rows are standardised by mean and deviation of the normal ones, and distances are Euclidean. As all of these
    figures depend on numbers, each draw takes as many rows of the control as of the synthetic defects; a figure is the
    mean over the draws, `low` and `high` its extremes. Rows of one sample never count as each other's neighbours: the
    cells of one defect overlap.

    - `distance`: of a row to its k-th nearest normal row, in medians of the same among normal rows. `subtle` is the
      share of rows nearer than 19 in 20 normal rows are to each other, `easy` that of rows beyond `easy` times this.
    - `duplicates`: share of rows whose nearest one in their own set is nearer than for 19 in 20 normal rows. The
      expectation for the control is therefore 0.05.
    - `vendi`: effective number of different rows, and `vendi_share`, the same over their number.
    - `precision`, `recall`, `density`, `coverage`, where there are real defects: share of the set's rows within the
      k-neighbour ball of a real row; of real rows within the ball of a row of the set; number of real balls around a
      row over k; share of real balls that hold a row of the set.

    The measures are published (see `_figures`); the bounds, the scale of the distance and the control are ours.

    Args:
        normal, synthetic, real, control: (n, C) each, finite. Without a control the normal samples are split in two in
            each draw, for reference and for control; the best control are the cells under the same masks of the
            samples that the defects were made of.
        samples: by those names, (n,): the sample that each row is of. Without, each row is its own.
        origins: of "synthetic" or "control", (n,): the normal sample that each row was made of, in the names that
            `samples` gives to normal rows; its rows do not count as its neighbours either.
        k: neighbours, >= 1.
        easy: > 1.
        most: rows of a set that are looked at, > k; which ones is drawn.
        draws: >= 1.
        rng: decides the draws.

    Returns:
        {"protocol": numbers of rows and the bounds in force,
         "sets": {"synthetic" | "control" | "real": {name: {"value", "low", "high"}, "distance": [5 quantiles]}}}

    Raises:
        ParameterError: a number is out of range.
        DataError: arrays of other shapes, or too few rows or samples.
    """
    if not 1 <= k < most:
        raise ParameterError(f"`k`, `most`: {k}, {most}: must be >= 1, and fewer neighbours than rows")
    if not easy > 1 or draws < 1:
        raise ParameterError(f"`easy`, `draws`: {easy}, {draws}: must be > 1 and >= 1")
    given = dict(zip(_SETS, (normal, synthetic, real, control), strict=True))
    sets = _sets({name: rows for name, rows in given.items() if rows is not None}, samples or {}, origins or {})
    scaled, stream = _standardised(sets), as_rng(rng)
    found = [_measured(scaled, k, easy, most, stream.child("draw", number)) for number in range(draws)]
    protocol = {
        "k": k,
        "easy": easy,
        "channels": int(sets["normal"].values.shape[1]),
        "channels_that_vary": int(scaled["normal"].values.shape[1]),
        "rows": {name: len(rows) for name, rows in sets.items()},
        "samples": {name: len(np.unique(rows.of)) for name, rows in sets.items()},
        "compared": found[0][0]["compared"],
        "draws": draws,
        "control": "given" if control is not None else "other normal samples",
        **{name: float(np.mean([bounds[name] for bounds, _ in found])) for name in _BOUNDS},
    }
    return {"protocol": protocol, "sets": {name: _pooled([one[name] for _, one in found]) for name in found[0][1]}}


def inside(
    found: Sequence[Judged], *, least: float = 0.5, most: int = 4000, rng: RngLike = 0
) -> tuple[Floats, list[str]]:
    """Return the rows (n, C) of the cells that the truth labels, all cells of normal samples, and the name of each.

    Args:
        found: samples with cells of as many channels.
        least: share of a cell that must be labelled; a sample without such a cell gives its most labelled ones.
        most: about how many rows in all, evenly over the samples.
        rng: decides which.

    Raises:
        DataError: a defect's sample does not say which cells are labelled.
    """
    stream, each = as_rng(rng), max(1, -(-most // max(len(found), 1)))
    parts, names = [], list[str]()
    for sample in found:
        rows = sample.rows
        if not sample.normal:
            if sample.cover is None:
                raise DataError(f"{sample.name}: no truth: expected the cells that are labelled")
            cover = sample.cover.reshape(-1)
            rows = rows[(cover >= min(least, float(cover.max()))) & (cover > 0)]
        if len(rows) > each:
            rows = rows[np.sort(stream.child(sample.name).permutation(len(rows))[:each])]
        parts.append(rows.astype(np.float64))
        names += [sample.name] * len(rows)
    if not names:
        raise DataError("samples: no labelled cell among them: expected at least one")
    return np.concatenate(parts), names


@dataclass(frozen=True, eq=False)
class _Rows:
    """Feature vectors (n, C), the sample (n,) that each is of, and the normal sample (n,) it was made of."""

    values: Floats
    of: Ints
    origin: Ints

    def __len__(self) -> int:
        return len(self.values)

    def taken(self, rows: Ints) -> _Rows:
        return _Rows(self.values[rows], self.of[rows], self.origin[rows])


def _measured(
    sets: Mapping[str, _Rows], k: int, easy: float, most: int, rng: Rng
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the bounds in force and the figures of each set, of one draw of rows."""
    if "control" in sets:
        reference, control = sets["normal"], sets["control"]
    else:
        reference, control = _halves(sets["normal"], rng.child("split"))
    count = min(len(sets["synthetic"]), len(control), len(reference), most)
    if count <= k:
        raise DataError(f"rows: {count} to compare: expected more than k, {k}")
    reference = _some(reference, most, rng.child("reference"))
    own = _within(reference)
    scale = float(np.median(kth(own, k)))
    if not (np.isfinite(kth(own, k)).all() and scale > 0):
        raise DataError("normal: too few samples, or too many equal rows: expected neighbours at a distance")
    subtle = float(np.quantile(kth(own, k) / scale, SUBTLE, method="lower"))
    nearest = kth(own[:count, :count], 1) / scale
    bounds = {
        "compared": count,
        "duplicate_below": float(np.quantile(nearest, DUPLICATE, method="higher")),
        "subtle_below": subtle,
        "easy_above": easy * subtle,
    }
    chosen = {
        "synthetic": _some(sets["synthetic"], count, rng.child("synthetic")),
        "control": _some(control, count, rng.child("control")),
    }
    if "real" in sets:
        chosen["real"] = _some(sets["real"], most, rng.child("real"))
    found = {}
    for name, rows in chosen.items():
        apart = distances(rows.values, reference.values)
        apart[rows.origin[:, None] == reference.of[None, :]] = np.inf
        ratio, score, inner = kth(apart, k) / scale, vendi(rows.values), _within(rows)
        if not np.isfinite(ratio).all():
            raise DataError(f"normal: too few rows of other samples for {name}: expected more than k, {k}")
        found[name] = {
            "subtle": float((ratio < bounds["subtle_below"]).mean()),
            "easy": float((ratio > bounds["easy_above"]).mean()),
            "duplicates": float((kth(inner, 1) / scale < bounds["duplicate_below"]).mean()),
            "vendi": score,
            "vendi_share": score / len(rows),
            "distance": [float(value) for value in np.quantile(ratio, QUANTILES, method="lower")],
        }
        if "real" in sets and name != "real":
            found[name].update(_against(chosen["real"], rows, kth(inner, k), k))
    return bounds, found


def _against(real: _Rows, rows: _Rows, own: Floats, k: int) -> dict[str, float]:
    radius = kth(_within(real), k)
    if not np.isfinite(radius).all() or not np.isfinite(own).all():
        raise DataError(f"real, synthetic: {len(real)}, {len(rows)} rows: expected more than k, {k}, of other samples")
    return manifold(distances(real.values, rows.values), radius, own, k)


def _within(rows: _Rows) -> Floats:
    """Return (n, n) distances within a set, infinite between rows of one sample."""
    apart = distances(rows.values, rows.values)
    apart[rows.of[:, None] == rows.of[None, :]] = np.inf
    return apart


def _halves(rows: _Rows, rng: Rng) -> tuple[_Rows, _Rows]:
    """Split rows in two by their samples, half of these each."""
    names = np.unique(rows.of)
    chosen = names[rng.permutation(len(names))[: (len(names) + 1) // 2]]
    first = np.isin(rows.of, chosen)
    return rows.taken(np.flatnonzero(first)), rows.taken(np.flatnonzero(~first))


def _some(rows: _Rows, most: int, rng: Rng) -> _Rows:
    return rows.taken(rng.permutation(len(rows))[:most])


def _sets(
    given: Mapping[str, ArrayLike], samples: Mapping[str, ArrayLike], origins: Mapping[str, ArrayLike]
) -> dict[str, _Rows]:
    """Check the arrays and number their samples; what has no name has a number of its own."""
    numbers: dict[Any, int] = {}
    sets = {}
    for name, values in given.items():
        rows = rows_of(name, values)
        of = _numbered(name, samples.get(name), len(rows), numbers)
        # Of other sets only what is called an origin: their own names may be the numbers of normal samples by chance.
        origin = of if name == "normal" else _numbered(f"{name} made", origins.get(name), len(rows), numbers)
        # Untouched rows are of the sample that they were taken from, however many anomalies were made of it.
        sets[name] = _Rows(rows, origin if name == "control" and name in origins else of, origin)
        least, count = {"normal": 4, "real": 2}.get(name, 1), len(np.unique(of))
        if count < least:
            raise DataError(f"{name}: {count} samples: expected at least {least}")
        if rows.shape[1] != sets["normal"].values.shape[1]:
            channels = sets["normal"].values.shape[1]
            raise DataError(f"{name}: {rows.shape[1]} channels: expected {channels} as in the normal rows")
    return sets


def _numbered(name: str, given: ArrayLike | None, count: int, numbers: dict[Any, int]) -> Ints:
    if given is None:
        return np.array([numbers.setdefault((name, row), len(numbers)) for row in range(count)], dtype=np.int64)
    labels = np.asarray(given)
    if labels.shape != (count,):
        raise DataError(f"samples of {name}: {labels.shape}: expected one for each of {count} rows")
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels.tolist()], dtype=np.int64)


def _standardised(sets: Mapping[str, _Rows]) -> dict[str, _Rows]:
    values = sets["normal"].values
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    # What never varies has no scale; rounding alone must not blow it up.
    varies = deviation > 1e-9 * np.abs(mean)
    if not varies.any():
        raise DataError("normal: all rows are equal: expected features that vary")
    return {
        name: _Rows((rows.values[:, varies] - mean[varies]) / deviation[varies], rows.of, rows.origin)
        for name, rows in sets.items()
    }


def _pooled(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    pooled: dict[str, Any] = {}
    for name in found[0]:
        values = np.array([one[name] for one in found], dtype=np.float64)
        if name == "distance":
            pooled[name] = [float(value) for value in values.mean(axis=0)]
        else:
            pooled[name] = {"value": float(values.mean()), "low": float(values.min()), "high": float(values.max())}
    return pooled
