"""Cells that change places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, FeatureGenerator
from ._select import Select, selected

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor


class PatchShuffle(FeatureGenerator):
    """Features of some cells change places: a_p = u_q, no cell keeps its own

    Takes the share `area` of the cells, at least two, in random order, and gives each the features of the next.
    Nothing new appears, so only what knows where things belong can tell: a logical anomaly.

    Source: Sträter et al., GeneralAD, ECCV 2024. That no cell may keep its place is ours.
    """

    area: float = param(0.1, gt=0, le=1, vary=(0.02, 0.5), unit="of the cells", help="share of the cells that change")
    select: Select = param("random", help="take the most salient cells, or any")

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        some = selected(cells, rng.child("cells"), self.area, self.select, least=2)
        chosen = cells.chosen
        if len(some) < 2:
            return chosen, {"cells": 0}
        return chosen.index_copy(0, some, chosen[some.roll(1)]), {"cells": len(some)}
