"""Cells replaced by codewords that are neither the nearest nor far off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from anosynth.errors import ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, FeatureGenerator, State

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Grid, Tensor


class CodebookSwap(FeatureGenerator):
    """Cells take a codeword from among their near ones, the very nearest left out: a = q_j

    Of K codewords the floor(strength K) + 1 nearest to u are looked at, the first skip K of them dropped, and one of
    the rest is drawn. The codebook is a fair sample of all cells of normal features that were seen; one of a
    vector-quantised model is used by loading {"codes": (K, C), "seen": (1,)} as state dict. Values are codewords, bit
    for bit; which ones are near is decided by a matrix product, where ties may fall differently on another processor.

    Source: Zavrtanik et al., DSR, ECCV 2022 (strength from 0.2 to 1, skip 0.05, 4096 codewords, inside a Perlin mask,
    which is `perlin-masked` here).
    """

    learns: ClassVar[tuple[str, ...]] = ("codes", "seen")

    strength: float = param(0.5, gt=0, le=1, vary=(0.2, 1.0), unit="of the codebook", help="codewords that are near")
    skip: float = param(0.05, ge=0, lt=1, unit="of the codebook", help="nearest codewords that are left out")
    codewords: int = param(1024, ge=2, le=65536, help="size of the codebook")

    def check(self) -> None:
        if self.skip >= self.strength:
            raise ParameterError(f"`skip`: {self.skip}: must be < `strength`, {self.strength}: no word is left")

    def learn(self, state: Mapping[str, Tensor], batch: Tensor, grid: Grid | None, rng: Rng) -> State:
        from ._reservoir import reservoir

        cells = batch.reshape(-1, batch.shape[2])
        codes, seen = reservoir(state.get("codes"), state.get("seen"), cells, self.codewords, rng)
        return {"codes": codes, "seen": seen}

    def settle(self, state: Mapping[str, Tensor]) -> State:
        from ._reservoir import filled

        return {"codes": filled(state["codes"], state["seen"]), "seen": state["seen"]}

    def misfit(self, state: Mapping[str, Tensor], channels: int, cells: int) -> str:
        if "codes" not in state or state["codes"].shape[1] == channels:
            return ""
        return f"features: {channels} channels: `{self.name}` was fitted on {state['codes'].shape[1]}"

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._cells import total
        from ._torch import torch

        codes = cells.state["codes"].to(cells.rows.dtype)
        size = len(codes)
        first = min(int(self.skip * size), size - 1)
        last = max(first + 1, min(size, int(self.strength * size) + 1))
        with torch.no_grad():
            near = cells.chosen.detach() @ codes.T - total(codes * codes) * 0.5
            rank = first + (cells.uniform(rng.child("ranks"), cells.count) * (last - first)).long()
            order = near.argsort(dim=1, descending=True, stable=True)
            return codes[order.gather(1, rank[:, None])[:, 0]], {}
