"""Feature jitter: noise in proportion to the norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, ShiftGenerator

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor


class Jitter(ShiftGenerator):
    """Noise in proportion to the norm of each cell: a = u + (scale |u| / C) z, z ~ N(0, I)

    Hence |a - u| / |u| is `scale` / sqrt(C) on average: 1.21 for 272 channels and 0.51 for 1536, no small noise. With
    direction `unit` z is divided by its length, and the ratio is `scale` / C in every cell. A sample is jittered with
    probability `prob`, and each of its cells with probability `share`. Cells of norm 0 stay.

    Source: You et al., UniAD, NeurIPS 2022, and Gao, OneNIP, ECCV 2024, which draw once for a batch, where each sample
    has its own draw here; the unit direction and the probability of a cell after Guo et al., Dinomaly, CVPR 2025.
    """

    scale: float = param(20.0, gt=0, le=1e6, vary=(10.0, 30.0), help="noise over norm, times the number of channels")
    prob: float = param(1.0, ge=0, le=1, help="probability that a sample is jittered")
    direction: Literal["gaussian", "unit"] = param("gaussian", help="normal noise, or of one length")
    share: float = param(1.0, gt=0, le=1, help="probability that a cell of a jittered sample is")

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._cells import divided, lengths
        from ._torch import torch

        if rng.child("prob").uniform() >= self.prob:
            return torch.zeros_like(chosen), {"jittered": False}
        noise = cells.normal(rng.child("noise"), *chosen.shape)
        if self.direction == "unit":
            noise = divided(noise, lengths(noise))
        size = lengths(chosen) * (self.scale / chosen.shape[1])
        if self.share < 1:
            size = size * (cells.uniform(rng.child("share"), len(chosen)) < self.share).to(size.dtype)
        return noise.mul_(size[:, None]) if not size.requires_grad else noise * size[:, None], {"jittered": True}
