"""The spaces that heads work in, learned from normal training features alone.

whitened: the residual to what is normal, decorrelated by the covariance of such residuals, and its length, the
Mahalanobis distance, as one more channel. residual: divided by each channel's deviation only. standard: the features
less their mean over all cells, divided by their deviation. raw: as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from anosynth.errors import DataError, ParameterError, did_you_mean
from anosynth.features._torch import torch

from ._samples import Judged

Tensor = torch.Tensor

SPACES = ("whitened", "residual", "standard", "raw")
ALIGNS = ("auto", "cell", "global")
SHRINKAGE = 0.1


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute in one thread within the block: sums of several end in other last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, eq=False)
class Space:
    """What is normal, and the way from features to what heads take.

    Attributes:
        how: one of `SPACES`.
        positional: whether each cell of the grid has a mean of its own.
        mean: (K, C) of each cell or (1, C) of all, float64.
        centre, deviation: (C,) of all cells together, float64.
        spread: (C,) deviations of the residuals, float64.
        whiten: (C, C) float64; residual rows times its transpose are white.
        learned: cells (K, C) of the normal training samples by `Judged.source`, to leave out the one that a sample was
            made of, or is.
        ratio: mean squared residual to the cell's mean of the other samples, over that to the mean of all cells.
    """

    how: str
    positional: bool
    mean: Tensor
    centre: Tensor
    deviation: Tensor
    spread: Tensor
    whiten: Tensor
    learned: Mapping[str, Tensor]
    ratio: float | None

    def residual(self, sample: Judged) -> Tensor:
        """Return (K, C) float64: the cells less what is normal there.

        What is normal is learned without the training sample itself, or the one that the sample was made of: training
        residuals would come out smaller than those of samples that were never seen.
        """
        rows = torch.from_numpy(sample.rows).double()
        own = self.learned.get(sample.source) if self.positional else None
        if self.positional and len(rows) != len(self.mean):
            raise DataError(f"{sample.name}: {len(rows)} cells: expected {len(self.mean)}")
        if own is None:
            return rows - self.mean
        count = len(self.learned)
        return rows - (count * self.mean - own.double()) / (count - 1)

    def white(self, sample: Judged) -> Tensor:
        """Return (K, C) float32 whitened residuals."""
        return (self.residual(sample) @ self.whiten.T).float()

    def distance(self, sample: Judged) -> Tensor:
        """Return (K,) float32 Mahalanobis distances, over the root of C: about 1 where all is normal."""
        return self.white(sample).square().mean(dim=1).sqrt()

    def standard(self, sample: Judged) -> Tensor:
        """Return (K, C) float32 of mean 0 and deviation 1 in each channel over all normal training cells."""
        return ((torch.from_numpy(sample.rows).double() - self.centre) / self.deviation).float()

    def back(self, standard: Tensor) -> Tensor:
        """Return the features of standardised ones."""
        return (standard.double() * self.deviation + self.centre).float()

    def heads(self, sample: Judged) -> Tensor:
        """Return (K, D) float32, what heads take of a sample."""
        if self.how == "raw":
            return torch.from_numpy(sample.rows)
        if self.how == "standard":
            return self.standard(sample)
        if self.how == "residual":
            return (self.residual(sample) / self.spread).float()
        white = self.white(sample)
        return torch.cat([white, white.square().mean(dim=1, keepdim=True).sqrt()], dim=1)


def learn(samples: Sequence[Judged], how: str = "whitened", align: str = "auto") -> Space:
    """Return the space of normal training samples, whose `source` is their own name.

    With `align` "cell" the mean is that of each cell of the grid over the samples, with "global" that of all cells;
    "auto" takes the first where the samples' grids are equal and the cells of one sample are nearer to the mean of the
    same cell in the others than to the mean of all, in squared standardised distance.

    Raises:
        ParameterError: there is no such space or `align`, or the grids are not equal and "cell" is asked for.
        DataError: there are fewer than two samples.
    """
    for name, value, known in (("space", how, SPACES), ("align", align, ALIGNS)):
        if value not in known:
            raise ParameterError(f"`{name}`: {value}: must be one of {', '.join(known)}{did_you_mean(value, known)}")
    if len(samples) < 2:
        raise DataError(f"normal samples: {len(samples)}: expected at least 2 to learn from")
    alike = len({sample.shape for sample in samples}) == 1 and len(samples[0].shape) == 2
    if align == "cell" and not alike:
        raise ParameterError("`align`: cell: the samples' cells do not lie on one grid")
    cells = {sample.source: torch.from_numpy(sample.rows) for sample in samples}
    centre, deviation = _moments(list(cells.values()))
    ratio, positional = None, False
    if alike and align != "global":
        mean = torch.stack([rows.double() for rows in cells.values()]).mean(dim=0)
        stretch = len(cells) / (len(cells) - 1)
        off = [(((rows - mean) * stretch / deviation) ** 2).mean() for rows in cells.values()]
        ratio = float(sum(off)) / len(off)
        positional = align == "cell" or ratio < 1
    if not positional:
        mean, stretch, cells = centre[None], 1.0, cells
    covariance, count = torch.zeros(len(centre), len(centre), dtype=torch.float64), 0
    for rows in cells.values():
        left = (rows.double() - mean) * stretch
        covariance += left.T @ left
        count += len(left)
    covariance /= max(count - 1, 1)
    spread = covariance.diagonal().sqrt().clamp(min=_least(covariance.diagonal().sqrt()))
    return Space(
        how, positional, mean, centre, deviation, spread, _whitening(covariance), cells if positional else {}, ratio
    )


def _moments(parts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    count = sum(len(rows) for rows in parts)
    centre = torch.stack([rows.double().sum(dim=0) for rows in parts]).sum(dim=0) / count
    squares = torch.stack([((rows.double() - centre) ** 2).sum(dim=0) for rows in parts]).sum(dim=0)
    deviation = (squares / max(count - 1, 1)).sqrt()
    return centre, deviation.clamp(min=_least(deviation))


def _least(deviation: Tensor) -> float:
    """Return what a channel's deviation is at least taken for: a constant one must not divide by nothing."""
    return max(1e-3 * float(deviation.mean()), 1e-12)


def _whitening(covariance: Tensor) -> Tensor:
    """Return the inverse of the lower Cholesky factor of the shrunk covariance.

    Shrunk towards a sphere after scaling to deviations of 1, so that the units of the channels do not matter.
    """
    scale = covariance.diagonal().sqrt()
    scale = scale.clamp(min=_least(scale))
    correlation = (1 - SHRINKAGE) * covariance / (scale[:, None] * scale[None])
    correlation.diagonal().add_(SHRINKAGE)
    factor = torch.linalg.cholesky(correlation)
    eye = torch.eye(len(scale), dtype=torch.float64)
    inverse: Tensor = torch.linalg.solve_triangular(factor, eye, upper=False)
    return inverse / scale[None]
