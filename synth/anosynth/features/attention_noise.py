"""Gaussian noise on the cells that attention favours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, ShiftGenerator
from ._select import Select, selected

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor


class AttentionNoise(ShiftGenerator):
    """Gaussian noise on the cells that attention favours: a = u + e there, e ~ N(0, std^2 I)

    Takes the share `area` of the cells, those of the largest attention in one head, which is drawn; attention is given
    as `saliency`, and without it the cells of the largest norms are taken.

    Source: Sträter et al., GeneralAD, ECCV 2024 (std 0.25). Norms in place of attention are ours.
    """

    std: float = param(0.25, gt=0, le=1e6, vary=(0.1, 0.5), help="standard deviation of the noise")
    area: float = param(0.1, gt=0, le=1, vary=(0.02, 0.3), unit="of the cells", help="share of the cells that change")
    select: Select = param("salient", help="take the most salient cells, or any")

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._torch import torch

        some = selected(cells, rng.child("cells"), self.area, self.select)
        noise = cells.normal(rng.child("noise"), len(some), chosen.shape[1]) * self.std
        return torch.zeros_like(chosen).index_copy(0, some, noise), {"cells": len(some)}
