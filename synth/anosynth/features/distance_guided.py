"""Gaussian noise that is larger near the centre of normal features."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn
from ._centres import CentreGenerator

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor

_CLOSEST = 0.01


class DistanceGuided(CentreGenerator):
    """Gaussian noise that is larger near the centre: a = u + (1 + k (s - 1)) e, e ~ N(0, std^2 I)

    s is |e| / |u - c| of the cell, divided by its mean over the cells that change, so that it is 1 on average and so
    is the factor. Distances count as 1 % of their mean at least: at the very centre s would be infinite.

    Source: Chen et al., CRAS (std 0.015, k 0.3), with the bank of PBAS. The lower bound of distances is ours, and s is
    divided by its mean over the sample.
    """

    std: float = param(0.015, gt=0, le=1e6, vary=(0.01, 0.05, "log"), help="standard deviation of the noise")
    k: float = param(0.3, ge=0, le=1, vary=(0.0, 1.0), help="how far the distance guides the noise; 0 for not at all")

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._cells import lengths, mean
        from ._torch import torch

        noise = cells.normal(rng.child("noise"), *chosen.shape) * self.std
        distance = lengths(self.from_centres(cells, chosen, cells.places))
        least = mean(distance) * _CLOSEST
        if not bool(least > 0):
            return noise, {}
        near = lengths(noise) / torch.maximum(distance, least)
        usual = mean(near)
        if not bool(usual > 0):
            return noise, {}
        factor = 1 + self.k * (near / usual - 1)
        return noise * factor[:, None], {}
