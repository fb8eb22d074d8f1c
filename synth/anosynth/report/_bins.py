"""Counts of values that come one by one, in memory that does not grow with their number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from anosynth.report._text import compact, is_number

BINS = 24
"""The most bars of a histogram."""

_PER_DECADE = 12
_MOST_KEPT = 1 << 14
_MOST_CHOICES = 24
_ROUNDING = 1e-9
OTHER = "other"
"""What texts are counted under once there are too many different ones to tell apart."""


class Kept:
    """Every value, or, of more than some ten thousand, every second, every fourth and so on: for medians."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self._seen, self._every = 0, 1

    def add(self, value: float) -> None:
        if self._seen % self._every == 0:
            self.values.append(value)
            if len(self.values) == _MOST_KEPT:
                self.values, self._every = self.values[::2], 2 * self._every
        self._seen += 1

    def median(self) -> float | None:
        return median(self.values) if self.values else None


class Sizes:
    """Numbers > 0 by their size, twelve bins to a decade; the others are only counted.

    Attributes:
        least, most: the ends of the numbers > 0.
    """

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.least, self.most = math.inf, -math.inf
        self.none = 0
        self.kept = Kept()

    def add(self, value: float) -> None:
        self.kept.add(value)
        if value > 0:
            self.counts[math.floor(math.log10(value) * _PER_DECADE)] += 1
            self.least, self.most = min(self.least, value), max(self.most, value)
        else:
            self.none += 1

    def bins(self) -> tuple[float, float, list[int]]:
        """Return the ends of the first and of the last bin, and the counts; the bins are equal in the logarithm."""
        first, last = min(self.counts, default=0), max(self.counts, default=0)
        wide = -(-(last + 1 - first) // BINS)
        counts = [0] * -(-(last + 1 - first) // wide)
        for place, count in self.counts.items():
            counts[(place - first) // wide] += count
        ends = [10.0 ** (place / _PER_DECADE) for place in (first, first + wide * len(counts))]
        return ends[0], ends[1], counts


class Spans:
    """Drawn numbers against the ranges they were asked in: equal bins over all of them, and what lies outside.

    Attributes:
        ranges: (low, high, weight) of each, all in `unit`.
        log: whether the bins are equal in the logarithm.
        counts: in the bins; made with the first number, which tells whether they are whole.
        outside: numbers below and above all ranges.
    """

    def __init__(self, ranges: Sequence[tuple[float, float, float]], *, log: bool, unit: str | None) -> None:
        self.ranges, self.log, self.unit = list(ranges), log, unit
        self.low, self.high = min(low for low, _, _ in ranges), max(high for _, high, _ in ranges)
        self.counts: list[int] = []
        self.outside = [0, 0]
        self.whole = False
        self.wide = 1
        self.least, self.most = math.inf, -math.inf

    @property
    def total(self) -> int:
        return sum(self.counts) + sum(self.outside)

    def add(self, value: float) -> None:
        if not self.counts:
            self._start(isinstance(value, int))
        self.least, self.most = min(self.least, value), max(self.most, value)
        room = _ROUNDING * max(abs(self.low), abs(self.high))
        if value < self.low - room or value > self.high + room:
            self.outside[value > self.high] += 1
            return
        self.counts[min(max(int(self.at(value) * len(self.counts)), 0), len(self.counts) - 1)] += 1

    def at(self, value: float) -> float:
        """Return where a number lies between the first bin's start (0) and the last one's end (1)."""
        if self.whole and not self.log:
            return (value - self.low + 0.5) / (self.wide * len(self.counts))
        if self.log:
            end = self.high + 1 if self.whole else self.high
            return math.log(value / self.low) / math.log(end / self.low) if value > 0 and end > self.low else 0.5
        return (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5

    def _start(self, whole: bool) -> None:
        self.whole, number = whole, BINS
        if whole:
            steps = int(self.high) - int(self.low) + 1
            self.wide = -(-steps // BINS)
            number = -(-steps // self.wide)
        self.counts = [0] * number


class Texts:
    """Drawn values by how they read, against the choice they were asked from.

    Attributes:
        asked: share of each asked value.
        counts: of each value; of too many different ones, `OTHER` counts the rest.
    """

    def __init__(self, asked: dict[str, float]) -> None:
        self.asked = asked
        self.counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def add(self, value: Any) -> None:
        text = compact(value)
        known = text in self.counts or text in self.asked or len(self.counts) < _MOST_CHOICES
        self.counts[text if known else OTHER] += 1


class Places:
    """Where in the frame things lie: counts in a grid of equal cells, and the frames' width over height."""

    def __init__(self, cells: int = 20) -> None:
        self.counts = [[0] * cells for _ in range(cells)]
        self.aspect = Kept()

    @property
    def total(self) -> int:
        return sum(map(sum, self.counts))

    def add(self, row: float, column: float) -> None:
        """Count a place, given as fractions of the frame's height and width."""
        cells = len(self.counts)
        y, x = (min(max(int(part * cells), 0), cells - 1) for part in (row, column))
        self.counts[y][x] += 1


class Foreground:
    """Of how many photos defects may lie on a part only, and how large that is.

    Attributes:
        photos, found: numbers of photos that anomalies were made of, and of those with a part.
        shares: sizes of the parts, as shares of the frame.
        least, most: the ends of them.
    """

    def __init__(self) -> None:
        self.photos = self.found = 0
        self.shares = Kept()
        self.least, self.most = math.inf, -math.inf
        self._last: Any = None

    def add(self, source: Any, share: Any) -> None:
        """Count a photo, given by the path and the share of a sample; samples of one photo follow one another."""
        if source is not None and source == self._last:
            return
        self._last = source
        self.photos += 1
        if is_number(share):
            self.found += 1
            self.shares.add(float(share))
            self.least, self.most = min(self.least, float(share)), max(self.most, float(share))


def middle(box: Any) -> tuple[float, float] | None:
    """Return the middle (row, column) of a box of first and last pixel, or None if it is no such box."""
    try:
        (top, left), (bottom, right) = box
    except (TypeError, ValueError):
        return None
    if not all(map(is_number, (top, left, bottom, right))):
        return None
    return (top + bottom + 1) / 2, (left + right + 1) / 2
