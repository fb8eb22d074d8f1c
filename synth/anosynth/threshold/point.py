"""The operating point: a threshold from the scores of normal samples, and what may be asserted of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rate:
    """A share of samples with its interval.

    Attributes:
        hits, of: samples above the threshold, and all.
        value: hits / of.
        low, high: ends of the two-sided interval.
    """

    hits: int
    of: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Operating:
    """A threshold: a sample counts as anomalous if its score is above it.

    Attributes:
        threshold: the score.
        false_positives: the rate among the normal samples, with its interval.
        at_most: upper bound of the rate at the stated confidence, one-sided.
        expected: the mean of the rate over samples like these, (j + 1) / (n + 1); of a threshold that was given,
            (j + 1) / (n + 2), the mean of what it may be after j of n were above it.
        ties: normal samples whose score is the threshold itself.
        design: how many times the variance is that of independent rows; 1 without groups.
    """

    threshold: float
    false_positives: Rate
    at_most: float
    expected: float
    ties: int
    design: float = 1.0


def operating(
    normal: Floats, target: float, confidence: float = 0.95, groups: Sequence[str] | None = None
) -> Operating:
    """Return the threshold that at most a share `target` of the normal scores is above: their (j + 1)-th largest.

    With j = floor(target n), the false positive rate at the (j + 1)-th largest of n independent scores has the law
    Beta(j + 1, n - j) whatever the distribution, and is no larger where scores tie (David & Nagaraja, Order
    Statistics, 2003). The bounds are its quantiles; the lower end is Clopper and Pearson's (1934).

    Args:
        normal: (N,) scores of normal samples.
        target: false positive rate, in (0, 1).
        confidence: in [0.5, 1).
        groups: (N,) texts; rows of one text are not taken as independent, see `ranks_design`.

    Raises:
        ParameterError: `target` or `confidence` is out of range.
        DataError: there is no score.
    """
    _check(normal, target, confidence)
    return _at_rank(np.sort(normal), _rank(target, len(normal)), confidence, ranks_design(normal, groups))


def assured(
    normal: Floats, target: float, confidence: float = 0.95, groups: Sequence[str] | None = None
) -> Operating | None:
    """Return the lowest threshold whose false positive rate is at most `target` with the stated confidence.

    None if there is no such threshold among these scores: see `samples_needed`.

    Raises:
        ParameterError, DataError: as `operating`.
    """
    _check(normal, target, confidence)
    rising, design = np.sort(normal), ranks_design(normal, groups)
    # The bound rises with the rank; the last digits of the quantile must not decide about one that is met exactly.
    low, high = -1, _rank(target, len(normal))
    while low < high:
        rank = (low + high + 1) // 2
        kept = upper_bound(rank / design, len(normal) / design, confidence) <= target * (1 + 1e-12)
        low, high = (rank, high) if kept else (low, rank - 1)
    return None if low < 0 else _at_rank(rising, low, confidence, design)


def fixed(normal: Floats, threshold: float, confidence: float = 0.95, groups: Sequence[str] | None = None) -> Operating:
    """Return what may be said of a threshold that was not chosen by these scores.

    Raises:
        ParameterError, DataError: as `operating`.
    """
    _check(normal, 0.5, confidence)
    above = normal > threshold
    design = ranks_design(normal, groups)
    shares = rate(above, confidence, design)
    most = upper_bound(shares.hits / design, shares.of / design, confidence)
    expected = (shares.hits + 1) / (shares.of + 2)
    return Operating(threshold, shares, most, expected, int((normal == threshold).sum()), design)


def samples_needed(target: float, confidence: float = 0.95) -> int:
    """Return the least number of normal samples by which a rate of at most `target` can be asserted at all.

    It is the least n with 1 - (1 - target)^n >= confidence: with fewer, not even the largest of the scores will do.
    """
    return max(1, math.ceil(math.log1p(-confidence) / math.log1p(-target) - 1e-9))


def rate(above: NDArray[np.bool_], confidence: float, design: float = 1.0) -> Rate:
    """Return the share of what is true in `above` (N,), N >= 1, with Clopper and Pearson's interval.

    Both counts are divided by the design effect first (Korn & Graubard, Survey Methodology 24, 1998).
    """
    hits, number = int(above.sum()), len(above)
    low, high = clopper_pearson(hits / design, number / design, confidence)
    return Rate(hits, number, hits / number, low, high)


def clopper_pearson(hits: float, of: float, confidence: float) -> tuple[float, float]:
    """Return the two-sided interval of a binomial share (Clopper & Pearson, Biometrika 26, 1934)."""
    tail = (1 - confidence) / 2
    return lower_bound(hits, of, 1 - tail), upper_bound(hits, of, 1 - tail)


def design_effect(values: NDArray[Any], groups: Sequence[str] | None) -> float:
    """Return how many times the variance of the mean is that of independent rows, at least 1.

    1 + (m - 1) r, m the size of the group that a row is in on average and r the intraclass correlation by analysis of
    variance (Kish, Survey Sampling, 1965). Where all values are equal nothing tells it, and each group counts once.
    """
    if groups is None:
        return 1.0
    _, where = np.unique(np.asarray(groups), return_inverse=True)
    number, count = len(values), int(where.max()) + 1
    if count == number:
        return 1.0
    size = np.bincount(where).astype(np.float64)
    numbers = np.asarray(values, dtype=np.float64)
    rest = numbers - numbers.mean()
    sums = np.bincount(where, rest, minlength=count)
    between, total = float((sums * sums / size).sum()), float((rest * rest).sum())
    if count == 1 or total <= 0:
        return number / count
    outer, inner = between / (count - 1), max(0.0, total - between) / (number - count)
    typical = (number - float((size * size).sum()) / number) / (count - 1)
    alike = max(0.0, (outer - inner) / (outer + (typical - 1) * inner))
    return 1.0 + (float((size * size).sum()) / number - 1.0) * alike


def ranks_design(scores: Floats, groups: Sequence[str] | None) -> float:
    """Return the design effect of the ranks of scores: a share above a threshold in their tail has a smaller one.

    It is used in the place of that share's own, which a few scores cannot tell.
    """
    if groups is None:
        return 1.0
    rising = np.sort(scores)
    return design_effect(np.searchsorted(rising, scores, "left") + np.searchsorted(rising, scores, "right"), groups)


def delong(
    normal: Floats, anomalous: Floats, confidence: float, groups: tuple[Sequence[str], Sequence[str]] | None = None
) -> tuple[float, float]:
    """Return the interval of the AUROC: DeLong's variance (Biometrics 44, 1988), normal on the logit scale.

    With groups the variance is Obuchowski's (Biometrics 53, 1997), who adds up DeLong's components within groups, if
    that is the larger one. Where the variance is 0, at an AUROC of 0 or 1 or where all scores are equal, it is widened
    to what one more sample, or group, of the smaller class on the wrong side could make of it.

    Args:
        groups: texts of the normal scores and of the anomalous ones; a group may have rows of both.
    """
    from scipy.special import ndtri

    one, two = np.sort(normal), np.sort(anomalous)
    below = (np.searchsorted(one, anomalous, "left") + np.searchsorted(one, anomalous, "right")) / (2 * len(one))
    above = 1 - (np.searchsorted(two, normal, "left") + np.searchsorted(two, normal, "right")) / (2 * len(two))
    area = float(below.mean())
    fewest = min(len(one), len(two)) if groups is None else min(len(set(names)) for names in groups)
    variance = 0.0
    if fewest > 1:
        variance = float(below.var(ddof=1)) / len(two) + float(above.var(ddof=1)) / len(one)
        if groups is not None:
            variance = max(variance, _grouped(above - area, below - area, groups))
    if variance <= 0:
        least = 1 / (fewest + 1)
        return max(0.0, area - least), min(1.0, area + least)
    wide = float(ndtri((1 + confidence) / 2)) * math.sqrt(variance) / (area * (1 - area))
    middle = math.log(area / (1 - area))
    return 1 / (1 + math.exp(-(middle - wide))), 1 / (1 + math.exp(-(middle + wide)))


def _grouped(above: Floats, below: Floats, groups: tuple[Sequence[str], Sequence[str]]) -> float:
    """Return Obuchowski's variance from the components of the normal and the anomalous scores, less their means."""
    names, where = np.unique(np.array([*groups[0], *groups[1]]), return_inverse=True)
    sides = [
        (np.bincount(rows, parts, minlength=len(names)) / len(parts), len(set(own)))
        for rows, parts, own in ((where[: len(above)], above, groups[0]), (where[len(above) :], below, groups[1]))
    ]
    (left, normals), (right, anomalies) = sides
    own = normals / (normals - 1) * (left * left).sum() + anomalies / (anomalies - 1) * (right * right).sum()
    return float(own + 2 * len(names) / (len(names) - 1) * (left * right).sum())


def _at_rank(rising: Floats, rank: int, confidence: float, design: float) -> Operating:
    """Return the operating point at the (rank + 1)-th largest score."""
    number = len(rising)
    threshold = float(rising[number - 1 - rank])
    hits, rows, of = int((rising > threshold).sum()), rank / design, number / design
    low = lower_bound(hits / design, of, (1 + confidence) / 2)
    shares = Rate(hits, number, hits / number, low, upper_bound(rows, of, (1 + confidence) / 2))
    ties = int((rising == threshold).sum())
    return Operating(threshold, shares, upper_bound(rows, of, confidence), (rank + 1) / (number + 1), ties, design)


def _rank(target: float, number: int) -> int:
    # A product such as 0.29 * 100 falls short of 29 by rounding alone.
    return min(math.floor(target * number + 1e-9), number - 1)


def upper_bound(hits: float, of: float, confidence: float) -> float:
    """Return the one-sided upper bound of a binomial share."""
    from scipy.special import betaincinv

    return 1.0 if hits >= of else float(betaincinv(hits + 1, of - hits, confidence))


def lower_bound(hits: float, of: float, confidence: float) -> float:
    """Return the one-sided lower bound of a binomial share."""
    from scipy.special import betaincinv

    return 0.0 if hits <= 0 else float(betaincinv(hits, of - hits + 1, 1 - confidence))


def check_shares(share: tuple[str, float], confidence: float) -> None:
    """Raise ParameterError unless a named share is in (0, 1) and the confidence in [0.5, 1)."""
    name, value = share
    if not 0 < value < 1:
        raise ParameterError(f"{name}: {value:g}: must be > 0 and < 1")
    if not 0.5 <= confidence < 1:
        raise ParameterError(f"--confidence: {confidence:g}: must be >= 0.5 and < 1")


def _check(normal: Floats, target: float, confidence: float) -> None:
    check_shares(("--fpr", target), confidence)
    if not len(normal):
        raise DataError("labels: no normal sample: the threshold is chosen by the scores of normal ones")
