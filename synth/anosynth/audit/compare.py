"""Distributions of what was measured, and how far two data sets' are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

PROPERTIES: Mapping[str, str] = {
    "area": "labelled share of the photo",
    "components": "separate regions of the mask",
    "instances": "defects, where their number is known",
    "size": "longer side of the largest region's box, of the photo's longer side",
    "elongation": "longer axis of the largest region over its shorter one",
    "contrast": "mean difference of the mask from a ring around it, of full scale",
    "change": "mean difference of the mask from the source, of full scale",
    "leak": "changed pixels outside of the mask, of all changed",
    "dead": "labelled pixels that did not change, of the mask",
    "invisible": "labelled pixels that changed by less than can be seen, of the mask",
}
"""What is measured of each anomalous photo, in the order of tables."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_COEFFICIENT = math.sqrt(-0.5 * math.log(0.05 / 2))


@dataclass(frozen=True)
class Distribution:
    """Of `count` known values: the ends, five quantiles (interpolated linearly) and the mean."""

    count: int
    min: float
    q05: float
    q25: float
    median: float
    q75: float
    q95: float
    max: float
    mean: float


@dataclass(frozen=True)
class Distance:
    """How far two sets of values are apart.

    Attributes:
        ks: two-sample Kolmogorov-Smirnov distance, from 0, alike, to 1, no overlap.
        chance: what 95 of 100 pairs of such sets drawn from one distribution stay below (Smirnov's limit); at most 1.
    """

    ks: float
    chance: float


def distribution(values: ArrayLike) -> Distribution | None:
    """Return the distribution of all values that are not NaN, None if there are none."""
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if not known.size:
        return None
    q05, q25, median, q75, q95 = (float(value) for value in np.quantile(known, _QUANTILES))
    low, high, mean = float(known.min()), float(known.max()), float(known.mean())
    return Distribution(known.size, low, q05, q25, median, q75, q95, high, mean)


def distance(one: ArrayLike, other: ArrayLike) -> Distance | None:
    """Return the distance of two sets of values, NaN left out; None if one is empty.

    It is the largest difference between the two shares of values up to x, over all x (Smirnov 1939).
    """
    first, second = (np.sort(values[~np.isnan(values)]) for values in (np.asarray(v, np.float64) for v in (one, other)))
    if not (first.size and second.size):
        return None
    every = np.concatenate([first, second])
    below = [np.searchsorted(values, every, side="right") / values.size for values in (first, second)]
    chance = _COEFFICIENT * math.sqrt((first.size + second.size) / (first.size * second.size))
    return Distance(float(np.abs(below[0] - below[1]).max()), min(1.0, chance))
