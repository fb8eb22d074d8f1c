"""All that are compared are judged on the same samples under the same resamples, so that differences are paired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.seeding import Rng

from ._head import sample_score
from ._samples import Floats as Scores
from ._samples import Judged
from ._tallies import FIGURES, Pixels, count, defects_of, of_pixels, of_samples, resamples

Floats = NDArray[np.float64]
Scorer = Callable[[Judged], Scores]
ALL = ""
"""The name of all kinds of defects together."""


@dataclass(frozen=True)
class Figure:
    """A figure and the ends of its percentile interval over resampled samples and seeds."""

    value: float
    low: float
    high: float

    def record(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, eq=False)
class Result:
    """Figures of one contender: by kind and name (S, 1 + D) for S seeds, the first column of the samples as they are.

    Attributes:
        whole: (S, n) scores of the samples.
        picks: (D, S of most) which seeds each resample takes, the same for all contenders.
    """

    tables: dict[str, dict[str, Floats]]
    whole: Floats
    picks: NDArray[np.int64]
    level: float = 0.95

    def draws(self, kind: str, name: str) -> Floats:
        """Return (D,) figures of the resamples, means over the seeds that each of them takes."""
        table = self.tables[kind][name]
        chosen = self.picks % len(table)
        return np.asarray(table[chosen, np.arange(1, table.shape[1])[:, None]].mean(axis=1))

    def value(self, kind: str, name: str) -> float:
        """Return the mean over the seeds."""
        return float(self.tables[kind][name][:, 0].mean())

    def figure(self, kind: str, name: str) -> Figure | None:
        """Return a figure with its interval, None if there is none: no masks, or maps."""
        if name not in self.tables[kind]:
            return None
        return _interval(self.value(kind, name), self.draws(kind, name), self.level)

    def less(self, other: Result, kind: str, name: str) -> tuple[Figure, float] | None:
        """Return this one's figure less the other's, paired, and the share of resamples in which it is above."""
        if name not in self.tables[kind] or name not in other.tables[kind]:
            return None
        apart = self.draws(kind, name) - other.draws(kind, name)
        found = _interval(self.value(kind, name) - other.value(kind, name), apart, self.level)
        known = apart[np.isfinite(apart)]
        above = float(np.mean((known > 0) + 0.5 * (known == 0))) if len(known) else 0.5
        return None if found is None else (found, above)


class Contest:
    """The test samples and the resamples of them.

    Args:
        samples: normal and anomalous ones.
        draws: number of resamples D; normal and anomalous samples are drawn each within themselves.
        seeds: the most seeds that a contender has.
    """

    def __init__(self, samples: Sequence[Judged], draws: int, seeds: int, rng: Rng) -> None:
        self.samples = list(samples)
        self.anomalous = np.array([not sample.normal for sample in samples])
        self.kinds = sorted({sample.kind for sample in samples if not sample.normal})
        self.known = np.array([sample.truth is not None for sample in samples])
        self._regions = [defects_of(sample.truth) for sample in samples if sample.truth is not None]
        self._weights: dict[str, Floats] = {}
        normal, size = np.flatnonzero(~self.anomalous), len(self.samples)
        for kind in [ALL, *(self.kinds if len(self.kinds) > 1 else [])]:
            bad = np.flatnonzero([not one.normal and kind in (ALL, one.kind) for one in samples])
            own = rng.child("samples", kind)
            drawn = resamples([normal, bad], size, (own.child(number).random(size) for number in range(draws)))
            whole = np.zeros((1, size))
            whole[0, normal] = whole[0, bad] = 1.0
            self._weights[kind] = np.concatenate([whole, drawn])
        picked = [np.floor(rng.child("seeds", number).random(seeds) * seeds) for number in range(draws)]
        self._picks = np.stack(picked).astype(np.int64)

    def judge(self, scorers: Sequence[Scorer]) -> Result:
        """Return the result of a contender that scores cells, one scorer a seed.

        Raises:
            DataError: a score is not finite.
        """
        return self._result([self._seen(scorer) for scorer in scorers])

    def judge_whole(self, score: Callable[[Judged], float]) -> Result:
        """Return the result of a contender that scores nothing but whole samples."""
        return self._result([(np.array([score(sample) for sample in self.samples]), None)])

    def _seen(self, scorer: Scorer) -> tuple[Floats, Pixels | None]:
        whole, maps = [], []
        for sample in self.samples:
            cells = scorer(sample)
            if not np.isfinite(cells).all():
                # Comparisons with NaN are all false: it would count as a score below all others.
                raise DataError(f"{sample.name}: its scores are not finite: expected numbers")
            whole.append(sample_score(cells))
            if sample.truth is not None:
                maps.append(sample.expand(cells))
        wanted = (self.known & self.anomalous).any() and (self.known & ~self.anomalous).any()
        return np.array(whole), count(maps, self._regions) if wanted else None

    def _figures(self, whole: Floats, pixels: Pixels | None) -> dict[str, dict[str, Floats]]:
        found = {}
        for kind, weights in self._weights.items():
            here = weights[0] > 0
            found[kind] = of_samples(whole[here], self.anomalous[here], weights[:, here])
            if pixels is not None and (here & self.known & self.anomalous).any():
                found[kind] |= of_pixels(_those(pixels, here[self.known]), weights[:, here & self.known])
        return found

    def _result(self, seen: Sequence[tuple[Floats, Pixels | None]]) -> Result:
        found = [self._figures(whole, pixels) for whole, pixels in seen]
        tables = {
            kind: {name: np.stack([one[kind][name] for one in found]) for name in FIGURES if name in found[0][kind]}
            for kind in found[0]
        }
        return Result(tables, np.stack([whole for whole, _ in seen]), self._picks)


def _those(pixels: Pixels, here: NDArray[np.bool_]) -> Pixels:
    return Pixels(pixels.normal[here], pixels.labelled[here], pixels.shares[here], pixels.defects[here])


def _interval(value: float, draws: Floats, level: float) -> Figure | None:
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value) or not len(known):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Figure(value, float(low), float(high))


def plain(value: Any) -> Any:
    """Return a value with numpy's numbers as Python's, ready for JSON; NaN becomes None."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(one) for one in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value
