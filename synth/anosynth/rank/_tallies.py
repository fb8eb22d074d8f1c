"""Figures of many weighted resamples at once: each sample is counted once, resamples are sums of counts.

Pixels are counted in bins whose edges are quantiles of their scores, half of them of the labelled pixels' own, so that
a figure lies within about one in a thousand of that of `anosynth.metrics`, and a thousand resamples cost little more
than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FIGURES = ("image_auroc", "image_ap", "pixel_auroc", "pixel_ap", "aupro")
LIMIT = 0.3
"""False positive rate up to which the per-region overlap counts."""
BINS, LOOKED_AT = 1024, 400_000


@dataclass(frozen=True, eq=False)
class Pixels:
    """How many normal and labelled pixels of each of m samples fall into each of B bins of rising score.

    Attributes:
        normal, labelled: (m, B) counts.
        shares: (m, B): of each defect the share of its pixels, summed over the defects of a sample.
        defects: (m,): their number.
    """

    normal: Floats
    labelled: Floats
    shares: Floats
    defects: Floats


def count(maps: Sequence[NDArray[np.float32]], regions: Sequence[NDArray[Any]]) -> Pixels:
    """Return the counts of score maps.

    Args:
        maps: of each sample, any shape.
        regions: of the same shapes: 0, or the number of the defect from 1 on; see `defects_of`.
    """
    edges = _edges(maps, regions)
    size = len(edges) + 1
    rows: list[tuple[Any, ...]] = []
    for scores, numbers in zip(maps, regions, strict=True):
        place, number = np.searchsorted(edges, scores.reshape(-1), side="right"), numbers.reshape(-1)
        hot = number > 0
        each = np.bincount(number)[number[hot]]
        rows.append(
            (
                np.bincount(place[~hot], minlength=size).astype(np.float64),
                np.bincount(place[hot], minlength=size).astype(np.float64),
                np.bincount(place[hot], 1.0 / each, minlength=size).astype(np.float64),
                np.array(float(number.max(initial=0))),
            )
        )
    normal, labelled, shares, defects = (np.stack(column) for column in zip(*rows, strict=True))
    return Pixels(normal, labelled, shares, defects)


def defects_of(truth: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the number of the defect of each pixel: regions that hang together by sides or corners; clouds have one.

    Points of a cloud have no neighbours here, so that a cloud counts as one defect.
    """
    if truth.ndim != 2:
        return truth.astype(np.int32)
    from scipy import ndimage

    return np.asarray(ndimage.label(truth, structure=np.ones((3, 3)))[0], dtype=np.int32)


def of_samples(scores: Floats, anomalous: NDArray[np.bool_], weights: Floats) -> dict[str, Floats]:
    """Return (D,) image figures of n samples under each of (D, n) weights; NaN where a class has no weight."""
    hot, cold = scores[anomalous], scores[~anomalous]
    above = (hot[:, None] > cold[None]) + 0.5 * (hot[:, None] == cold[None])
    left, right = weights[:, anomalous], weights[:, ~anomalous]
    with np.errstate(invalid="ignore", divide="ignore"):
        area = ((left @ above) * right).sum(axis=1) / (left.sum(axis=1) * right.sum(axis=1))
    order = np.argsort(scores, kind="stable")
    falling = scores[order]
    last = np.append(falling[1:] != falling[:-1], True)
    starts = np.flatnonzero(np.concatenate([[True], last[:-1]]))
    hits = np.add.reduceat((weights * anomalous)[:, order], starts, axis=1)
    misses = np.add.reduceat((weights * ~anomalous)[:, order], starts, axis=1)
    return {"image_auroc": area, "image_ap": _precision(misses, hits)}


def of_pixels(counts: Pixels, weights: Floats) -> dict[str, Floats]:
    """Return (D,) pixel figures of m samples under each of (D, m) weights; NaN where a class has no weight."""
    normal, labelled, shares = weights @ counts.normal, weights @ counts.labelled, weights @ counts.shares
    defects = weights @ counts.defects
    below = np.cumsum(normal, axis=1) - normal
    with np.errstate(invalid="ignore", divide="ignore"):
        area = (labelled * (below + 0.5 * normal)).sum(axis=1) / (normal.sum(axis=1) * labelled.sum(axis=1))
        rate = np.cumsum(normal[:, ::-1], axis=1) / normal.sum(axis=1)[:, None]
        overlap = np.cumsum(shares[:, ::-1], axis=1) / defects[:, None]
    return {"pixel_auroc": area, "pixel_ap": _precision(normal, labelled), "aupro": _up_to_limit(rate, overlap)}


def _edges(maps: Sequence[NDArray[np.float32]], regions: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    """Return rising borders of bins."""
    parts = [
        np.concatenate([scores.reshape(-1) for scores in maps]),
        np.concatenate([scores[numbers > 0].reshape(-1) for scores, numbers in zip(maps, regions, strict=True)]),
    ]
    steps, found = np.arange(1, BINS) / BINS, []
    for part in parts:
        if part.size:
            some = part[:: max(1, part.size // LOOKED_AT)]
            found.append(np.quantile(some, steps, method="lower"))
    return np.asarray(np.unique(np.concatenate(found)), dtype=np.float32)


def _precision(normal: Floats, labelled: Floats) -> Floats:
    """Return (D,) average precisions of (D, B) weights in bins of rising score."""
    hits = np.cumsum(labelled[:, ::-1], axis=1)
    alarms = np.cumsum((normal + labelled)[:, ::-1], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = np.where(alarms > 0, labelled[:, ::-1] * hits / alarms, 0.0)
        return np.asarray(terms.sum(axis=1) / hits[:, -1])


def _up_to_limit(rate: Floats, overlap: Floats) -> Floats:
    """Return (D,) trapezoid areas under (D, B) curves of rising rate from 0 to `LIMIT`, over `LIMIT`."""
    zero = np.zeros((len(rate), 1))
    rate, overlap = np.hstack([zero, rate]), np.hstack([zero, overlap])
    wide = np.diff(rate, axis=1)
    kept = np.clip(LIMIT - rate[:, :-1], 0.0, wide)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = np.where(wide > 0, np.diff(overlap, axis=1) / wide, 0.0)
    middle = overlap[:, :-1] + 0.5 * slope * kept
    return np.asarray(np.minimum((middle * kept).sum(axis=1) / LIMIT, 1.0))


def resamples(strata: Sequence[NDArray[np.int64]], size: int, draws: Iterable[Floats]) -> Floats:
    """Return (D, size) weights: how often each draw holds each sample, every stratum drawn within itself.

    Args:
        strata: places of the samples of each stratum; samples of none have weight 0.
        draws: (size,) uniforms of each draw.
    """
    rows = []
    for uniforms in draws:
        weights = np.zeros(size)
        for members in strata:
            if len(members):
                chosen = members[np.floor(uniforms[members] * len(members)).astype(np.int64)]
                weights += np.bincount(chosen, minlength=size)
        rows.append(weights)
    return np.stack(rows)
