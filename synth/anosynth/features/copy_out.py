"""Cells replaced by others of the same sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, FeatureGenerator
from ._select import Select, selected

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor


class CopyOut(FeatureGenerator):
    """Features of some cells are replaced by those of other cells of the sample: a_p = u_q, q at random

    Takes the share `area` of the cells, by default the most salient; what was there is gone, and q, any other cell,
    is there twice: a part is missing.

    Source: Sträter et al., GeneralAD, ECCV 2024.
    """

    area: float = param(0.1, gt=0, le=1, vary=(0.02, 0.3), unit="of the cells", help="share of the cells that change")
    select: Select = param("salient", help="take the most salient cells, or any")

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        count = len(cells.rows)
        if count < 2:
            return cells.chosen, {"cells": 0}
        some = selected(cells, rng.child("cells"), self.area, self.select)
        own = some if cells.places is None else cells.places[some]
        further = 1 + (cells.uniform(rng.child("sources"), len(some)) * (count - 1)).long()
        return cells.chosen.index_copy(0, some, cells.rows[(own + further) % count]), {"cells": len(some)}
