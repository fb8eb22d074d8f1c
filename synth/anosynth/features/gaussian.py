"""Gaussian noise on every feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, ShiftGenerator

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor

_STEP = 1.1


class Gaussian(ShiftGenerator):
    """Gaussian noise on every feature: a = u + s z, z ~ N(0, I)

    s is `std` itself; or `std` times the standard deviation of each channel over the cells of the sample; or
    `std` |u| / sqrt(C), so that |a - u| / |u| is `std` on average. Of `levels` K > 1, each cell takes one k from 0 to
    K - 1 with equal probability and s is 1.1^k times as large.

    An absolute `std` is a number of one backbone's features: 0.015 belongs to WideResNet-50 as SimpleNet prepares it,
    and is next to nothing for features of unit variance.

    Source: Liu et al., SimpleNet, CVPR 2023 (`std` 0.015; `levels` is its mix_noise). The relative forms are ours.
    """

    std: float = param(0.015, gt=0, le=1e6, vary=(0.01, 0.05, "log"), help="standard deviation of the noise")
    relative: Literal["absolute", "channel", "norm"] = param(
        "absolute", help="what `std` is relative to: nothing, the channel's spread, or the cell's norm"
    )
    levels: int = param(1, ge=1, le=16, help="number of noise levels, each 1.1 times the one before")

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._cells import lengths, mean, root

        noise = cells.normal(rng.child("noise"), *chosen.shape)
        noise *= self.std
        if self.levels > 1:
            level = (cells.uniform(rng.child("levels"), len(chosen)) * self.levels).floor()
            factors = noise.new_tensor([_STEP**k for k in range(self.levels)])
            noise *= factors[level.long()][:, None]
        if self.relative == "channel":
            columns = cells.rows.T.contiguous()
            centred = columns - mean(columns)[:, None]
            return noise * root(mean(centred * centred)), {}
        if self.relative == "norm":
            return noise * (lengths(chosen) / chosen.shape[1] ** 0.5)[:, None], {}
        return noise, {}
