"""Probability of detection against severity or size: a hit/miss model with its bounds, and bins beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError

from ._checks import LEVELS, fit_test, wald
from ._logistic import Data, fitted, lowest, overlapping, reach
from .point import Rate, check_shares, design_effect, lower_bound, rate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

ADVISED = 60
"""Defects from which on MIL-HDBK-1823A trusts a hit/miss analysis."""

_BINS, _LEAST = 8, 8
_MOST = 400
_POINTS = 41


@dataclass(frozen=True)
class Bin:
    """Defects of nearly one value: its ends, the mean in between, and how many of them are found.

    `least` is the one-sided lower bound of that share.
    """

    low: float
    high: float
    mean: float
    found: Rate
    least: float


@dataclass(frozen=True)
class Curve:
    """The fitted curve.

    Attributes:
        method: "maximum likelihood", or "Firth" where hits and misses do not overlap.
        bound: how the bounds are found: "penalised likelihood ratio", or "Wald, cluster-robust" with groups.
        intercept, slope: of the logit, over ln(value) or the value.
        a: the value found with probability `Detection.level`; None if it is further from the tested values than these
            are apart.
        a_bound: its upper bound, e.g. a90/95; None if these defects give none, or one as far away.
        slope_p: of the hypothesis that detection does not depend on the value, by the likelihood ratio.
        fit_p: of the fit, None if there are too few distinct values; `fit_test` says by which test.
        points: (value, probability, lower bound) along the curve.
    """

    method: str
    bound: str
    intercept: float
    slope: float
    a: float | None
    a_bound: float | None
    slope_p: float
    fit_p: float | None
    fit_test: str
    points: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Detection:
    """Which defects are found.

    Attributes:
        against: the column; `unit` of its values, "" for none.
        scale: "log" or "linear": what the logit is a line over.
        level, confidence: of `Curve.a` and `Curve.a_bound`.
        count, found: defects with a value, and those of them above the threshold.
        state: "fitted"; "separated" if every defect above a value is found and every one below is missed; "all found",
            "all missed", "one value" or "falling" if there is no rising curve to fit.
        gap: where separated, the largest value missed and the smallest found.
        curve: None unless `state` is "fitted" or "separated".
        bins: by rising value.
        safe: the least value from which on every bin's one-sided lower bound is at least `level`, or None.
        notes: what to know before the figures are used.
        values, hits: of the defects, for the picture.
    """

    against: str
    unit: str
    scale: str
    level: float
    confidence: float
    count: int
    found: int
    state: str
    gap: tuple[float, float] | None
    curve: Curve | None
    bins: tuple[Bin, ...]
    safe: float | None
    notes: tuple[str, ...] = ()
    values: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    hits: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_), repr=False, compare=False)

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it, without the single values."""
        from dataclasses import asdict

        record = asdict(self)
        del record["values"], record["hits"]
        return record


def detection(
    values: Floats,
    hits: Flags,
    *,
    against: str = "size",
    unit: str = "",
    scale: str = "",
    level: float = 0.9,
    confidence: float = 0.95,
    groups: Sequence[str] | None = None,
) -> Detection:
    """Return the probability of detection as MIL-HDBK-1823A (2009) has it for hit/miss data.

    logit P = intercept + slope ln(value), or the value itself, by maximum likelihood. The bounds are one-sided bounds
    of the profile of Firth's penalised likelihood (Biometrika 80, 1993; Heinze & Schemper 2002), because those of the
    plain one hold less often than they say where defects are few; with groups they are Wald's with a covariance that
    allows for dependence within them. Where hits and misses do not overlap, so that no finite estimate of maximum
    likelihood exists, Firth's takes its place.

    Args:
        values: (N,) of the defects; NaN ones are left out.
        hits: (N,) bool.
        scale: "log" or "linear"; by default linear for severities and where a value is not above 0, else log.
        level: probability that `Curve.a` is found with, in (0, 1).
        groups: (N,) texts; rows of one text are not taken as independent.

    Raises:
        ParameterError: `level`, `confidence` or `scale` is out of range, or the scale is log and a value <= 0.
        DataError: no defect has a value.
    """
    check_shares(("--pod", level), confidence)
    if scale not in ("", "log", "linear"):
        raise ParameterError(f"--scale: {scale}: must be log or linear")
    known = ~np.isnan(values)
    if not known.any():
        raise DataError(f"{against}: no anomalous row has a value: expected numbers")
    clusters = None if groups is None else [group for group, here in zip(groups, known, strict=True) if here]
    values, hits = values[known], hits[known]
    least = float(values.min())
    scale = scale or ("linear" if against.lower() == "severity" or least <= 0 else "log")
    if scale == "log" and least <= 0:
        raise ParameterError(f"--scale: log: {against} has the value {least:g}: all must be > 0")
    state, gap = _state(values, hits)
    bins = _bins(values, hits, confidence, clusters)
    x = np.log(values) if scale == "log" else values
    curve = None
    if state in ("fitted", "separated"):
        curve = _curve(x, hits, state == "separated", scale, level, confidence, clusters)
        if curve.slope <= 0:
            state, curve = "falling", None
    notes = tuple(_notes(curve, values, int(hits.sum()), clusters))
    safe = _safe(bins, level)
    count, found = len(values), int(hits.sum())
    return Detection(
        against, unit, scale, level, confidence, count, found, state, gap, curve, bins, safe, notes, values, hits
    )


def _state(values: Floats, hits: Flags) -> tuple[str, tuple[float, float] | None]:
    if hits.all() or not hits.any():
        return ("all found" if hits.all() else "all missed"), None
    if np.ptp(values) == 0:
        return "one value", None
    missed, found = float(values[~hits].max()), float(values[hits].min())
    if missed > found and float(values[hits].max()) > float(values[~hits].min()):
        return "fitted", None
    return ("separated", (missed, found)) if missed <= found else ("falling", None)


def _data(x: Floats, hits: Flags) -> Data:
    """Return hits and trials at the distinct values; of very many, values are rounded to 1/400 of their range."""
    if len(x) > _MOST:
        step = float(np.ptp(x)) / _MOST
        x = x.min() + np.rint((x - x.min()) / step) * step if step else x
    distinct, where = np.unique(x, return_inverse=True)
    number = len(distinct)
    return Data(
        distinct,
        np.bincount(where, hits, minlength=number).astype(np.float64),
        np.bincount(where, minlength=number).astype(np.float64),
    )


def _curve(
    x: Floats, hits: Flags, firth: bool, scale: str, level: float, confidence: float, clusters: Sequence[str] | None
) -> Curve:
    from scipy.special import chdtrc, expit, logit, ndtri

    data = _data(x, hits)
    # Values that were rounded may have lost an overlap that was a hair's breadth.
    firth = firth or not bool(overlapping(data))
    line = fitted(data, firth=firth)
    intercept, slope = float(line.intercept), float(line.slope)
    flat = float(data.hits.sum() / data.trials.sum())
    none = float(data.hits.sum() * math.log(flat) + (data.trials - data.hits).sum() * math.log1p(-flat))
    logits = intercept + slope * data.x
    own = float((data.hits * logits - data.trials * np.logaddexp(0, logits)).sum())
    slope_p = float(chdtrc(1, max(0.0, 2 * (own - none))))
    fit_p, test = fit_test(data, intercept, slope)
    goal, drop = float(logit(level)), float(ndtri(confidence)) ** 2
    at = np.linspace(float(x.min()), float(x.max()), _POINTS)
    method = "Firth" if firth else "maximum likelihood"
    if slope <= 0:
        return Curve(method, "", intercept, slope, None, None, slope_p, fit_p, test)
    eta = intercept + slope * at
    if clusters is None or firth:
        bound = "penalised likelihood ratio"
        mild = line if firth else fitted(data, firth=True)
        far = float(reach(data, mild, goal, drop))
        low = lowest(data, mild, at, drop)
    else:
        bound = "Wald, cluster-robust"
        far, low = wald(x, hits, clusters, line, at, goal, confidence)
    turn = math.exp if scale == "log" else float
    points = tuple((turn(v), float(expit(m)), float(expit(b))) for v, m, b in zip(at, eta, low, strict=True))
    # So far beyond what was tested, the curve is no more than a guess.
    wide = float(np.ptp(x))
    least, most = float(x.min()) - wide, float(x.max()) + wide
    middle = (goal - intercept) / slope
    return Curve(
        method,
        bound,
        intercept,
        slope,
        turn(middle) if least <= middle <= most else None,
        turn(far) if least <= far <= most else None,
        slope_p,
        fit_p,
        test,
        points,
    )


def _bins(values: Floats, hits: Flags, confidence: float, clusters: Sequence[str] | None) -> tuple[Bin, ...]:
    """Return a bin for each distinct value if these are few, else bins of about equal numbers; ties stay together."""
    distinct, where = np.unique(values, return_inverse=True)
    if len(distinct) > LEVELS:
        order = np.argsort(values, kind="stable")
        number = max(1, min(_BINS, len(values) // _LEAST))
        ends = values[order[[(i + 1) * len(values) // number - 1 for i in range(number)]]]
        where = np.searchsorted(np.unique(ends), values, side="left")
    found = []
    for number in np.unique(where):
        inside = where == number
        own = None if clusters is None else [clusters[i] for i in np.flatnonzero(inside).tolist()]
        part, design = values[inside], design_effect(hits[inside], own)
        seen = rate(hits[inside], confidence, design)
        least = lower_bound(seen.hits / design, seen.of / design, confidence)
        found.append(Bin(float(part.min()), float(part.max()), float(part.mean()), seen, least))
    return tuple(found)


def _safe(bins: tuple[Bin, ...], level: float) -> float | None:
    """Return the low end of the first bin from which on each one's one-sided lower bound is at least `level`."""
    least = None
    for one in reversed(bins):
        if one.least < level:
            break
        least = one.low
    return least


def _notes(curve: Curve | None, values: Floats, found: int, clusters: Sequence[str] | None) -> list[str]:
    notes = []
    if len(values) < ADVISED:
        notes.append(f"{len(values)} defects: MIL-HDBK-1823A asks for at least {ADVISED} of hit/miss data")
    if curve is None:
        return notes
    if curve.a is not None and not values.min() <= curve.a <= values.max():
        notes.append("the curve is continued beyond the values that were tested")
    elif curve.a_bound is not None and curve.a_bound > values.max():
        notes.append("the bound lies beyond the values that were tested")
    if curve.slope_p > 0.05 and curve.method != "Firth":
        notes.append(f"detection hardly depends on it (p = {curve.slope_p:.2g}): the curve tells little")
    if curve.fit_p is not None and curve.fit_p < 0.05 and curve.method != "Firth":
        notes.append(f"the curve does not fit ({curve.fit_test} p = {curve.fit_p:.2g}): trust the bins, not the curve")
    if clusters is not None and curve.method == "Firth":
        notes.append("the bounds take the defects as independent, although there are groups")
    if clusters is not None and len(set(clusters)) < 10:
        notes.append(f"{len(set(clusters))} groups: too few for bounds that allow for them to be trusted")
    return notes
