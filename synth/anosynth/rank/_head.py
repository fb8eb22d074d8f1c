"""The head that every recipe trains: one small network for cells, of fixed size, rate and number of steps.

Nothing here looks at test samples, and nothing is stopped early, so that no choice can lean on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F

from anosynth.errors import DataError
from anosynth.features._heads import Discriminator
from anosynth.features._torch import torch
from anosynth.seeding import Rng

from ._samples import Floats, Judged
from ._space import Space

Tensor = torch.Tensor

HIDDEN, STEPS, RATE, DECAY = 128, 300, 1e-3, 1e-5
NORMAL_ROWS, ANOMALOUS_ROWS = 512, 256
"""Rows of a step."""
ENOUGH = 0.25
"""Share of a cell that must be labelled for it to count as anomalous, if some cell of the sample has as much."""
POOL = 60_000
"""The most normal rows that steps draw from."""
TOP = 0.01
"""Share of a sample's cells whose mean score, the highest ones, is the score of the sample."""


@dataclass(frozen=True, eq=False)
class Head:
    """A trained head.

    Attributes:
        net: takes normalised rows.
        mean, deviation: (D,) of the normal rows that it was trained on.
    """

    net: Discriminator
    mean: Tensor
    deviation: Tensor

    def scores(self, space: Space, sample: Judged) -> Floats:
        """Return float32 scores of the shape of the sample's cells, logits."""
        with torch.no_grad():
            found = self.net((space.heads(sample) - self.mean) / self.deviation)
        return np.asarray(found.numpy(), dtype=np.float32).reshape(sample.shape)


def train(space: Space, normal: Tensor, made: Sequence[Judged], rng: Rng) -> Head:
    """Return a head that tells anomalous cells of `made` from normal ones.

    Args:
        normal: (n, D) rows of normal training samples in the space; see `normal_rows`.
        made: synthetic anomalies; their cells away from what is labelled count as normal, too.
        rng: first weights and rows of the steps.

    Raises:
        DataError: no cell is labelled.
    """
    hot, cold = _labelled(space, made)
    clean = torch.cat([normal, _thinned(cold, max(len(normal), 1), rng.child("cold"))])
    mean, deviation = clean.mean(dim=0), clean.std(dim=0)
    deviation = deviation.clamp(min=max(1e-3 * float(deviation.mean()), 1e-12))
    clean, hot = (clean - mean) / deviation, (hot - mean) / deviation
    net = Discriminator(clean.shape[1], HIDDEN, rng.child("head"))
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(STEPS):
        own = rng.child("step", step)
        rows = torch.cat([_drawn(clean, NORMAL_ROWS, own.child("n")), _drawn(hot, ANOMALOUS_ROWS, own.child("a"))])
        # In one batch: by themselves, batch normalisation would take each class's own mean out of it.
        logits = net(rows)
        loss = F.softplus(logits[:NORMAL_ROWS]).mean() + F.softplus(-logits[NORMAL_ROWS:]).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    net.eval()
    return Head(net, mean, deviation)


def normal_rows(space: Space, samples: Sequence[Judged], rng: Rng) -> Tensor:
    """Return (n, D) rows of normal samples in the space, at most `POOL`, evenly over the samples."""
    most = max(1, POOL // max(len(samples), 1))
    parts = [_thinned(space.heads(sample), most, rng.child(sample.name)) for sample in samples]
    return torch.cat(parts)


def sample_score(scores: Floats) -> float:
    """Return the score of a sample: the mean of the highest hundredth of its cells, at least one."""
    flat = np.sort(scores.reshape(-1).astype(np.float64))
    return float(flat[-max(1, round(TOP * len(flat))) :].mean())


def hot_cells(cover: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return which cells count as anomalous: labelled to a quarter, or as much as the most labelled one."""
    most = float(cover.max()) if cover.size else 0.0
    return np.asarray((cover > 0) & (cover >= min(ENOUGH, most)))


def _labelled(space: Space, made: Sequence[Judged]) -> tuple[Tensor, Tensor]:
    """Return the (n, D) anomalous rows, and the rows that no anomaly is near."""
    hot, cold = [], []
    for sample in made:
        if sample.cover is None:
            raise DataError(f"{sample.name}: no labels: expected a sample that anosynth made")
        rows = space.heads(sample)
        hot.append(rows[torch.from_numpy(hot_cells(sample.cover).reshape(-1))])
        cold.append(rows[torch.from_numpy(~_near(sample.cover).reshape(-1))])
    if not sum(len(rows) for rows in hot):
        raise DataError("synthetic anomalies: no labelled cell: expected at least one")
    return torch.cat(hot), torch.cat(cold)


def _near(cover: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Return the labelled cells and, on a grid, those next to them, which see some of the anomaly."""
    touched = cover > 0
    if cover.ndim != 2:
        return touched
    wide = np.pad(touched, 1)
    height, width = cover.shape
    grown = [wide[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return np.asarray(np.logical_or.reduce(grown))


def _thinned(rows: Tensor, most: int, rng: Rng) -> Tensor:
    if len(rows) <= most:
        return rows
    return rows[torch.from_numpy(np.sort(rng.permutation(len(rows))[:most]))]


def _drawn(rows: Tensor, count: int, rng: Rng) -> Tensor:
    return rows[torch.from_numpy(np.floor(rng.random(count) * len(rows)).astype(np.int64))]
