"""Logistic regression on one variable, for many data sets at once: estimates, profiles, bounds.

All arrays have the data sets as leading axes and the samples as the last. A model is
P(hit) = 1 / (1 + exp(-(intercept + slope x))).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ROUNDS = 60
_FARTHEST = 2.0**10
"""How far beyond the data a bound is looked for, in widths of the data."""


class Data(NamedTuple):
    """Values (..., n), hits and trials at each."""

    x: Floats
    hits: Floats
    trials: Floats


class Line(NamedTuple):
    """Intercept and slope with their covariance [aa, ab, bb] and the log-likelihood (penalised for Firth's)."""

    intercept: Floats
    slope: Floats
    covariance: tuple[Floats, Floats, Floats]
    likelihood: Floats


def overlapping(data: Data) -> Flags:
    """Return whether hits and misses overlap, without which no finite estimate exists (Albert & Anderson 1984)."""
    hit, missed = data.hits > 0, data.hits < data.trials
    least_hit, most_hit = _ends(data.x, hit)
    least_missed, most_missed = _ends(data.x, missed)
    return np.asarray((most_missed > least_hit) & (most_hit > least_missed))


def fitted(data: Data, *, firth: bool = False) -> Line:
    """Return the maximum-likelihood line by Newton's method with halved steps; with `firth`, Firth's (1993).

    Firth's maximises the likelihood times the root of the determinant of the information, and is finite for separated
    data as well.
    """
    weight = data.trials.sum(-1)
    middle = (data.trials * data.x).sum(-1) / weight
    wide = np.sqrt((data.trials * (data.x - middle[..., None]) ** 2).sum(-1) / weight)
    wide = np.where(wide > 0, wide, 1.0)
    z = Data((data.x - middle[..., None]) / wide[..., None], data.hits, data.trials)
    a, b = np.zeros(weight.shape), np.zeros(weight.shape)
    best = _likelihood(z, a, b, firth)
    for _ in range(_ROUNDS):
        p = _chance(a[..., None] + b[..., None] * z.x)
        saa, sab, sbb = _information(z, p)
        det = np.maximum(saa * sbb - sab * sab, 1e-300)
        rest = z.hits - z.trials * p
        if firth:
            own = p * (1 - p) * z.trials
            lever = own * (sbb[..., None] - 2 * z.x * sab[..., None] + z.x**2 * saa[..., None]) / det[..., None]
            rest = rest + lever * (0.5 - p)
        ga, gb = rest.sum(-1), (rest * z.x).sum(-1)
        da, db = (sbb * ga - sab * gb) / det, (saa * gb - sab * ga) / det
        step = np.minimum(1.0, 5.0 / np.maximum(np.maximum(np.abs(da), np.abs(db)), 1e-300))
        for _ in range(30):
            new = _likelihood(z, a + step * da, b + step * db, firth)
            worse = ~(new >= best - 1e-12 * np.abs(best))
            if not worse.any():
                break
            step = np.where(worse, step / 2, step)
        else:
            step = np.where(worse, 0.0, step)
        a, b = a + step * da, b + step * db
        best = _likelihood(z, a, b, firth)
        if float(np.max(np.abs(step * da) + np.abs(step * db))) < 1e-10:
            break
    saa, sab, sbb = _information(z, _chance(a[..., None] + b[..., None] * z.x))
    det = np.maximum(saa * sbb - sab * sab, 1e-300)
    vaa, vab, vbb = sbb / det, -sab / det, saa / det
    slope = b / wide
    covariance = (vaa - 2 * middle / wide * vab + (middle / wide) ** 2 * vbb, vab / wide - middle / wide**2 * vbb)
    # The determinant of the information changes with the scale of x, and with it the penalty.
    best = best + np.log(wide) if firth else best
    return Line(a - slope * middle, slope, (*covariance, vbb / wide**2), best)


def profile(data: Data, at: Floats, level: Floats, near: Floats) -> Floats:
    """Return the largest penalised likelihood of the rising lines through (`at`, `level`), `level` a logit.

    Args:
        near: the slope of the line that fits best; slopes from 1/20,000 of it to 50 times as much are tried.
    """
    low, high = np.full(at.shape, -10.0), np.full(at.shape, 4.0)
    best, number = np.full(at.shape, -np.inf), 29
    for _ in range(4):
        steps = np.arange(number) / (number - 1)
        exponents = low + (high - low) * steps.reshape(-1, *(1,) * at.ndim)
        slopes = near * np.exp(exponents)
        tried = _likelihood(data, level - slopes * at, slopes, True)
        top = tried.argmax(0)[None]
        best = np.maximum(best, np.take_along_axis(tried, top, 0)[0])
        middle, step = np.take_along_axis(exponents, top, 0)[0], (high - low) / (number - 1)
        low, high, number = middle - step, middle + step, 9
    return best


def reach(data: Data, line: Line, level: float, drop: float) -> Floats:
    """Return the largest x at which the true line may still pass `level` (a logit), inf if there is no end to it.

    It is where twice the logarithm of the penalised profile's likelihood ratio reaches `drop`, e.g. 2.706 for a
    one-sided bound of 95 %.

    Args:
        line: by Firth's method, with a slope > 0.
    """
    start = (level - line.intercept) / line.slope
    wide = np.maximum(np.ptp(data.x, axis=-1), 1e-12)
    fixed = np.full(start.shape, level)

    def beyond(at: Floats) -> Flags:
        return np.asarray(2 * (line.likelihood - profile(data, at, fixed, line.slope)) >= drop)

    step, inside = 0.25 * wide, start
    while True:
        out = beyond(start + step)
        inside = np.where(out, inside, start + step)
        if out.all() or float((step / wide).max()) >= _FARTHEST:
            break
        step = np.where(out, step, 2 * step)
    low, high = inside, start + step
    for _ in range(30):
        middle = 0.5 * (low + high)
        far = beyond(middle)
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    return np.where(out, high, np.inf)


def lowest(data: Data, line: Line, at: Floats, drop: float) -> Floats:
    """Return the lower bound of the line's logit at each `at`, by the same profile; -40 stands for none."""
    start = line.intercept + line.slope * at
    span = np.full(start.shape, 0.25)
    for _ in range(9):
        inside = 2 * (line.likelihood - profile(data, at, start - span, line.slope)) < drop
        if not inside.any():
            break
        span = np.where(inside, 2 * span, span)
    low, high = start - span, start
    for _ in range(25):
        middle = 0.5 * (low + high)
        out = 2 * (line.likelihood - profile(data, at, middle, line.slope)) >= drop
        low, high = np.where(out, middle, low), np.where(out, high, middle)
    return np.maximum(high, -40.0)


def _likelihood(data: Data, a: Floats, b: Floats, firth: bool) -> Floats:
    eta = a[..., None] + b[..., None] * data.x
    found = _sum_likelihood(data, eta)
    if firth:
        saa, sab, sbb = _information(data, _chance(eta))
        found = found + 0.5 * np.log(np.maximum(saa * sbb - sab * sab, 1e-300))
    return found


def _sum_likelihood(data: Data, eta: Floats) -> Floats:
    return np.asarray((data.hits * eta - data.trials * np.logaddexp(0.0, eta)).sum(-1))


def _information(data: Data, p: Floats) -> tuple[Floats, Floats, Floats]:
    own = data.trials * p * (1 - p)
    return own.sum(-1), (own * data.x).sum(-1), (own * data.x * data.x).sum(-1)


def _chance(eta: Floats) -> Floats:
    from scipy.special import expit

    return np.asarray(expit(eta))


def _ends(x: Floats, marked: Flags) -> tuple[Floats, Floats]:
    return np.where(marked, x, np.inf).min(-1), np.where(marked, x, -np.inf).max(-1)
