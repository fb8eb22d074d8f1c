"""What needs no synthetic anomaly: the lines that a recipe has to beat, and the floor that needs no features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anosynth.features._torch import torch
from anosynth.features.baselines import GaussianBaseline, NearestBaseline
from anosynth.seeding import Rng

from ._samples import Floats, Judged
from ._space import Space

Scorer = Callable[[Judged], Floats]
"""A sample to float32 scores of the shape of its cells."""

LINES = {
    "mahalanobis": "Mahalanobis distance from normal cells, one covariance for all (the channel that heads get, too)",
    "padim": "Mahalanobis distance with a covariance for each cell (PaDiM-like; photos that lie alike)",
    "knn": "distance to the nearest normal cell, whitened (PatchCore-like)",
}
FLOORS = {
    "grey": "global grey levels, no features",
    "size": "number of points and extent along the principal axes, no features",
}
"""What the floor of photos and that of clouds know."""
BANK, FEWEST = 8192, 8


def lines(space: Space, normal: Sequence[Judged], rng: Rng) -> dict[str, Scorer]:
    """Return the scorers that learn from normal training samples alone, by name.

    "padim" is there where cells have means of their own and there are some samples to learn covariances from.
    """
    found: dict[str, Scorer] = {"mahalanobis": lambda sample: _shaped(space.distance(sample), sample)}
    if space.positional and len(normal) >= FEWEST:
        padim = GaussianBaseline("cell").fit([_grid(space.standard(sample), sample) for sample in normal])
        found["padim"] = lambda sample: _shaped(padim.score(_grid(space.standard(sample), sample)[None]), sample)
    # Clouds differ in their numbers of cells, so all rows are handed over as one sample of a single column.
    rows = torch.cat([space.white(sample) for sample in normal])
    nearest = NearestBaseline(limit=BANK, seed=rng.child("knn")).fit(rows.T[None, :, :, None].contiguous())
    found["knn"] = lambda sample: _shaped(nearest.score(space.white(sample).T[None, :, :, None]), sample)
    return found


def floor(normal: Sequence[Judged]) -> Callable[[Judged], float] | None:
    """Return the score of a sample by its trivial numbers alone: how far they lie off those of normal ones.

    None if the samples have no such numbers.
    """
    if any(not sample.gist for sample in normal):
        return None
    known = np.array([sample.gist for sample in normal], dtype=np.float64)
    centre, spread = known.mean(axis=0), known.std(axis=0)
    spread = np.maximum(spread, 1e-6 + 1e-3 * np.abs(centre))
    return lambda sample: float(np.sqrt(np.mean(((np.array(sample.gist) - centre) / spread) ** 2)))


def _grid(rows: torch.Tensor, sample: Judged) -> torch.Tensor:
    return rows.reshape(*sample.shape, -1).permute(2, 0, 1).contiguous()


def _shaped(scores: torch.Tensor, sample: Judged) -> Floats:
    return np.asarray(scores.detach().numpy(), dtype=np.float32).reshape(sample.shape)
