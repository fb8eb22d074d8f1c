"""Features that are dropped at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, FeatureGenerator

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor


class DropoutNoise(FeatureGenerator):
    """Features dropped at random, the rest scaled up: a = u b / (1 - p), b = 0 with probability p, else 1

    The mean of a is u. Dropped are single values, or all channels of a cell. Gradients reach u through what is left.

    Source: the bottleneck of Guo et al., Dinomaly, CVPR 2025: p 0.2, and 0.4 for Real-IAD.
    """

    p: float = param(0.2, gt=0, le=0.95, vary=(0.1, 0.4), help="probability of being dropped")
    per: Literal["value", "cell"] = param("value", help="what is dropped at once")

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        chosen = cells.chosen
        count, channels = chosen.shape
        shape = (count, channels if self.per == "value" else 1)
        kept = cells.uniform(rng.child("dropped"), shape[0] * shape[1]).reshape(shape) >= self.p
        return chosen * (kept.to(chosen.dtype) * (1 / (1 - self.p))), {}
