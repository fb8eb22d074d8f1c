"""Bounds that allow for groups, and the test of the fit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._logistic import Data, Line

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVELS = 12
"""Up to so many distinct values each is looked at by itself."""


def wald(
    x: Floats, hits: Flags, clusters: Sequence[str], line: Line, at: Floats, goal: float, confidence: float
) -> tuple[float, Floats]:
    """Return the upper bound of where the line is `goal`, and the lower bounds of the line at `at`.

    Both come of one band, line - t se, whose variance is the larger of the model's and the cluster-robust one (Liang &
    Zeger 1986) with G / (G - 1) and t of G - 1 degrees of freedom, G groups.
    """
    from scipy.special import expit, stdtrit

    _, where = np.unique(np.asarray(clusters), return_inverse=True)
    count = int(where.max()) + 1
    if count < 2:
        return math.inf, np.full(len(at), -40.0)
    a, b = float(line.intercept), float(line.slope)
    rest = hits - expit(a + b * x)
    va, vab, vb = (float(part) for part in line.covariance)
    ga, gb = np.bincount(where, rest, minlength=count), np.bincount(where, rest * x, minlength=count)
    # The influence of a group on the line at v: (1, v) times the covariance times the group's score.
    factor = float(stdtrit(count - 1, confidence))

    def low(v: Floats) -> Floats:
        ca, cb = va + vab * v, vab + vb * v
        robust = count / (count - 1) * ((ca[:, None] * ga + cb[:, None] * gb) ** 2).sum(1)
        model = va + 2 * vab * v + vb * v * v
        return np.asarray(a + b * v - factor * np.sqrt(np.maximum(robust, model)))

    start, wide = (goal - a) / b, max(float(np.ptp(x)), 1e-12)
    far = start + wide * np.concatenate([[0.0], np.geomspace(1e-3, 2.0**12, 60)])
    over = np.flatnonzero(low(far) >= goal)
    if not len(over):
        return math.inf, low(at)
    lower, upper = float(far[max(0, over[0] - 1)]), float(far[over[0]])
    for _ in range(60):
        middle = 0.5 * (lower + upper)
        lower, upper = (lower, middle) if float(low(np.array([middle]))[0]) >= goal else (middle, upper)
    return upper, low(at)


def fit_test(data: Data, intercept: float, slope: float) -> tuple[float | None, str]:
    """Return the p-value of the fit: Pearson's chi-square over the values or ten groups (Hosmer & Lemeshow)."""
    from scipy.special import chdtrc, expit

    p = expit(intercept + slope * data.x)
    if len(data.x) <= LEVELS:
        parts, name = np.arange(len(data.x)), "Pearson"
    else:
        middle = np.cumsum(data.trials) - 0.5 * data.trials
        parts, name = np.minimum((10 * middle / data.trials.sum()).astype(np.int64), 9), "Hosmer-Lemeshow"
    _, parts = np.unique(parts, return_inverse=True)
    seen, trials = np.bincount(parts, data.hits), np.bincount(parts, data.trials)
    due = np.bincount(parts, data.trials * p)
    freedom = len(seen) - 2
    if freedom < 1:
        return None, name
    spread = np.maximum(due * (1 - due / trials), 1e-12)
    return float(chdtrc(freedom, float(((seen - due) ** 2 / spread).sum()))), name
