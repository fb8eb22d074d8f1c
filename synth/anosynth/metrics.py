"""How well scores tell anomalous from normal: exact with ties, over images, pixels and defects.

Scores are any real numbers, higher for more anomalous; labels are bool or 0 and 1. Sums run in float64 over integers,
so the figures do not depend on the order of the samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.seeding import RngLike, as_rng

Floats = NDArray[np.float64]


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the area under the ROC curve: how often an anomalous sample scores above a normal one, ties half.

    Args:
        scores: any shape.
        labels: the same shape.

    Raises:
        DataError: a score is NaN, a label is not 0 or 1, the shapes differ, or one of the classes is missing.
    """
    _, normal, anomalous = _tally(scores, labels, both=True)
    return _area(normal, anomalous)


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Return the average precision, the sum of (recall step) x (precision) over falling thresholds, ties as one step.

    Args:
        scores: any shape.
        labels: the same shape.

    Raises:
        DataError: a score is NaN, a label is not 0 or 1, the shapes differ, or no sample is anomalous.
    """
    _, normal, anomalous = _tally(scores, labels, both=False)
    if not anomalous.sum():
        raise DataError("labels: no anomalous sample: precision needs one")
    hits, alarms = np.cumsum(anomalous[::-1]), np.cumsum((normal + anomalous)[::-1])
    return float(np.sum(anomalous[::-1] * (hits / alarms)) / hits[-1])


class PixelAuroc:
    """AUROC over more pixels than memory holds: exact up to `limit` distinct scores, then with a known error.

    From the first `limit` distinct scores on, scores between two neighbouring ones of those are taken for ties;
    `error()` is how far that can have moved the figure.

    Args:
        limit: how many distinct scores are told apart, >= 2.
    """

    def __init__(self, limit: int = 2**21) -> None:
        if limit < 2:
            raise ParameterError(f"`limit`: {limit}: must be >= 2")
        self.limit = limit
        self._fixed = False
        self._values: Floats = np.zeros(0)
        self._normal: Floats = np.zeros(0)
        self._anomalous: Floats = np.zeros(0)

    def update(self, scores: ArrayLike, mask: ArrayLike) -> None:
        """Add the pixels of one or more maps; both arrays have the same shape.

        Raises:
            DataError: a score is NaN, a label is not 0 or 1, or the shapes differ.
        """
        values, normal, anomalous = _tally(scores, mask, both=False)
        if self._fixed:
            place = np.clip(np.searchsorted(self._values, values, side="right") - 1, 0, None)
            self._normal = self._normal + _sums(place, normal, len(self._values))
            self._anomalous = self._anomalous + _sums(place, anomalous, len(self._values))
            return
        self._values, where = np.unique(np.concatenate([self._values, values]), return_inverse=True)
        self._normal = _sums(where, np.concatenate([self._normal, normal]), len(self._values))
        self._anomalous = _sums(where, np.concatenate([self._anomalous, anomalous]), len(self._values))
        if len(self._values) > self.limit:
            starts = np.arange(self.limit) * len(self._values) // self.limit
            self._values = self._values[starts]
            self._normal = np.add.reduceat(self._normal, starts)
            self._anomalous = np.add.reduceat(self._anomalous, starts)
            self._fixed = True

    def value(self) -> float:
        """Return the AUROC of all pixels so far.

        Raises:
            DataError: one of the classes is missing so far.
        """
        _check_both(self._normal, self._anomalous)
        return _area(self._normal, self._anomalous)

    def error(self) -> float:
        """Return how far `value()` can be from the exact figure; 0 as long as every score is told apart."""
        if not self._fixed:
            return 0.0
        pairs = float(self._normal.sum() * self._anomalous.sum())
        return 0.5 * float(np.sum(self._normal * self._anomalous)) / pairs if pairs else 0.0


def pixel_auroc(maps: Iterable[ArrayLike], masks: Iterable[ArrayLike]) -> float:
    """Return the AUROC over the pixels of all maps together, read one by one.

    Args:
        maps: (H, W) scores of each image; sizes may differ.
        masks: (H, W) truth of each image, bool or 0 and 1; all 0 for a normal image.

    Raises:
        DataError: as `auroc`, and if there are not as many masks as maps.
    """
    found = PixelAuroc()
    for scores, mask in _pairs(maps, masks):
        found.update(scores, mask)
    return found.value()


def aupro(maps: Iterable[ArrayLike], masks: Iterable[ArrayLike], limit: float = 0.3) -> float:
    """Return the area under the per-region overlap curve up to a false positive rate, as a fraction of that range.

    At each threshold every defect (8-connected region of a mask) counts by the share of it that is found, small and
    large ones alike; the mean over all defects is drawn against the share of normal pixels above the threshold, and
    its trapezoid area from 0 to `limit`, the last piece interpolated, is divided by `limit`. As MVTec AD defines it.

    Args:
        maps: (H, W) scores of each image.
        masks: (H, W) truth of each image, bool or 0 and 1.
        limit: false positive rate up to which the curve counts, in (0, 1].

    Raises:
        ParameterError: `limit` is out of range.
        DataError: as `auroc` over all pixels.
    """
    from scipy import ndimage

    if not 0 < limit <= 1:
        raise ParameterError(f"`limit`: {limit}: must be > 0 and <= 1")
    all_scores, all_normal, all_shares, defects = [], [], [], 0
    for scores, mask in _pairs(maps, masks):
        values, truth = _checked(scores, mask)
        if np.ndim(mask) != 2:
            raise DataError(f"mask: shape {np.shape(mask)}: expected (H, W)")
        regions, count = ndimage.label(truth.reshape(np.shape(mask)), structure=np.ones((3, 3)))
        size = np.bincount(regions.reshape(-1), minlength=count + 1).astype(np.float64)
        all_scores.append(values)
        all_normal.append(~truth)
        all_shares.append(np.where(truth, 1.0 / np.maximum(size[regions.reshape(-1)], 1.0), 0.0))
        defects += count
    if not all_scores:
        raise DataError("maps: none: expected at least one")
    scores, normal, shares = (np.concatenate(parts) for parts in (all_scores, all_normal, all_shares))
    _check_both(normal.astype(np.float64), (~normal).astype(np.float64))
    order = np.argsort(-scores, kind="stable")
    # Equal scores fall at one threshold: only the last of each run is a point of the curve.
    falling = scores[order]
    last = np.append(np.flatnonzero(falling[1:] != falling[:-1]), len(order) - 1)
    rate = np.concatenate([[0.0], np.cumsum(normal[order])[last] / normal.sum()])
    overlap = np.concatenate([[0.0], np.cumsum(shares[order])[last] / defects])
    inside = rate <= limit
    at_limit = np.interp(limit, rate, overlap)
    rate, overlap = np.append(rate[inside], limit), np.append(overlap[inside], at_limit)
    # Shares of a defect of three pixels add up to a little more or less than one.
    return min(float(np.sum(np.diff(rate) * (overlap[1:] + overlap[:-1])) / 2 / limit), 1.0)


@dataclass(frozen=True)
class Interval:
    """A figure and what resampling makes of it.

    Attributes:
        value: of all samples.
        low, high: ends of the percentile interval.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def bootstrap(
    metric: Callable[..., float], *arrays: ArrayLike, rng: RngLike, draws: int = 1000, level: float = 0.95
) -> Interval:
    """Return a metric with its percentile bootstrap interval (Efron 1979): samples drawn with replacement.

    All arrays are resampled alike along the first axis, so the metric may compare two scores of the same samples.
    Draws that the metric refuses (DataError: a class is missing) are drawn again.

    Args:
        metric: takes the arrays, returns a number.
        arrays: one or more of equal length; what is independent (images, not pixels) is the first axis.
        rng: stream of the draws.
        draws: how many, >= 1.
        level: share of the draws inside of the interval, in (0, 1).

    Raises:
        ParameterError: `draws` or `level` is out of range.
        DataError: the lengths differ, or the metric refuses all samples together or nine draws in ten.
    """
    if draws < 1:
        raise ParameterError(f"`draws`: {draws}: must be >= 1")
    if not 0 < level < 1:
        raise ParameterError(f"`level`: {level}: must be > 0 and < 1")
    given = [np.asarray(array) for array in arrays]
    lengths = sorted({len(array) if array.ndim else 0 for array in given})
    if len(lengths) != 1 or lengths[0] == 0:
        raise DataError(f"arrays: lengths {lengths}: expected one length of at least 1")
    value, stream, found = float(metric(*given)), as_rng(rng), []
    for attempt in range(10 * draws):
        rows = np.floor(stream.child(attempt).random(lengths[0]) * lengths[0]).astype(np.int64)
        try:
            found.append(float(metric(*(array[rows] for array in given))))
        except DataError:
            continue
        if len(found) == draws:
            break
    if len(found) < draws:
        raise DataError(f"samples: {lengths[0]}: too few for a bootstrap, most draws lack a class")
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _pairs(maps: Iterable[ArrayLike], masks: Iterable[ArrayLike]) -> Iterable[tuple[Any, Any]]:
    left, right, end = iter(maps), iter(masks), object()
    while True:
        scores, mask = next(left, end), next(right, end)
        if scores is end and mask is end:
            return
        if scores is end or mask is end:
            raise DataError("masks: not as many as maps: expected one for each map")
        yield scores, mask


def _checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return both in a row, float64 and bool."""
    values, truth = np.asarray(scores), np.asarray(labels)
    if values.shape != truth.shape:
        raise DataError(f"labels: shape {truth.shape}: expected that of the scores, {values.shape}")
    if values.dtype.kind not in "fiub":
        raise DataError(f"scores: {values.dtype}: expected real numbers")
    values = values.reshape(-1).astype(np.float64)
    missing = int(np.isnan(values).sum())
    if missing:
        raise DataError(f"scores: {missing} of {values.size} are NaN: expected numbers")
    truth = truth.reshape(-1)
    if truth.dtype != np.bool_:
        other = truth[(truth != 0) & (truth != 1)]
        if other.size:
            raise DataError(f"labels: {other[0]}: expected 0 or 1\nhint: masks of 0 and 255 are read with mask > 0")
        truth = truth == 1
    return values, truth


def _tally(scores: ArrayLike, labels: ArrayLike, *, both: bool) -> tuple[Floats, Floats, Floats]:
    """Return the distinct scores in rising order, and how many normal and anomalous samples have each."""
    values, truth = _checked(scores, labels)
    distinct, where = np.unique(values, return_inverse=True)
    anomalous, normal = _sums(where, truth, len(distinct)), _sums(where, ~truth, len(distinct))
    if both:
        _check_both(normal, anomalous)
    return distinct, normal, anomalous


def _sums(place: NDArray[np.integer[Any]], weight: NDArray[Any], size: int) -> Floats:
    return np.bincount(place.reshape(-1), weight, minlength=size).astype(np.float64)


def _check_both(normal: Floats, anomalous: Floats) -> None:
    if not (normal.sum() and anomalous.sum()):
        kind = "normal" if not normal.sum() else "anomalous"
        raise DataError(f"labels: no {kind} sample: both classes are needed to tell them apart")


def _area(normal: Floats, anomalous: Floats) -> float:
    below = np.cumsum(normal) - normal
    return float(np.sum(anomalous * (below + 0.5 * normal)) / (normal.sum() * anomalous.sum()))
