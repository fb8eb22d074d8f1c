"""Cells replaced by prototypes that belong elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from anosynth.errors import Impossible
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, FeatureGenerator, State

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Grid, Tensor

_CLOSE = 1 - 1e-9
"""Cells that are just as far away as told count, whatever rounding says."""


class PrototypeSwap(FeatureGenerator):
    """Cells take a prototype of normal features that belongs elsewhere: a = p_j

    Prototypes sit on the grid, `prototypes` to a cell, and are learned by optimal transport: with the cost (1 - alpha)
    (1 - cos) / max + alpha distance / max between all cells of a batch and all prototypes, T the entropic plan between
    uniform marginals, each prototype moves to p <- (1 - momentum) p + momentum M sum_i T_ij f_i. A cell then takes one
    of the `candidates` prototypes nearest to it in norm, of those at least `distance` away, the grid's sides being 1;
    it stays if there is none. With alpha 0 places mean nothing, all prototypes count, and no grid is needed.

    Source of prototypes and cost: LGP-OT, local and global prototypes by optimal transport (16 prototypes, alpha 0.3
    and 0, reg 0.01, 100 rounds, momentum 0.05, first values uniform from 0 to 1). To swap with them is ours. What is
    learned comes from matrix products, so its last bits depend on the processor; what is made of it does not.
    """

    learns: ClassVar[tuple[str, ...]] = ("bank", "seen")

    prototypes: int = param(1, ge=1, le=64, help="number of prototypes to a cell of the grid")
    alpha: float = param(0.3, ge=0, le=1, help="share of the distance in space in the cost; 0 for global prototypes")
    reg: float = param(0.01, gt=0, le=10, help="entropy in the transport, in units of the cost")
    rounds: int = param(100, ge=1, le=100_000, help="largest number of rounds of the transport")
    momentum: float = param(0.05, gt=0, le=1, help="weight of a batch in the prototypes")
    distance: float = param(0.3, ge=0, lt=1, vary=(0.2, 0.6), unit="of the sides", help="least distance in space")
    candidates: int = param(8, ge=1, le=4096, help="number of prototypes nearest in norm that one is drawn from")

    def learn(self, state: Mapping[str, Tensor], batch: Tensor, grid: Grid | None, rng: Rng) -> State:
        from ._torch import torch
        from ._transport import fused_cost, sinkhorn

        count, cells, channels = batch.shape
        bank, seen = state.get("bank"), state.get("seen")
        if bank is None or seen is None:
            first = rng.child("prototypes").random(self.prototypes * cells * channels)
            bank = torch.from_numpy(first).to(batch).reshape(-1, channels)
            seen = torch.zeros(1, dtype=torch.int64, device=batch.device)
        where = self._where(grid, cells, batch)
        features = batch.reshape(-1, channels)
        cost = fused_cost(features, bank, where.repeat(count, 1), where.repeat(self.prototypes, 1), self.alpha)
        plan = sinkhorn(cost, self.reg, self.rounds).to(batch.dtype)
        moved = len(bank) * (plan.T @ features)
        return {"bank": bank * (1 - self.momentum) + moved * self.momentum, "seen": seen + count}

    def misfit(self, state: Mapping[str, Tensor], channels: int, cells: int) -> str:
        if "bank" not in state:
            return ""
        count, width = state["bank"].shape
        if width != channels:
            return f"features: {channels} channels: `{self.name}` was fitted on {width}"
        if count != cells * self.prototypes:
            return f"features: {cells} cells: `{self.name}` was fitted on {count // self.prototypes}"
        return ""

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._cells import lengths
        from ._torch import torch

        bank = cells.state["bank"].to(cells.rows.dtype)
        with torch.no_grad():
            off = (lengths(cells.chosen.detach())[:, None] - lengths(bank)[None, :]).abs()
            number = min(self.candidates, len(bank))
            room = torch.full((cells.count,), len(bank), device=off.device)
            if self.alpha > 0 and self.distance > 0:
                where = self._where(cells.grid, len(cells.rows), cells.rows)
                apart = cells.of_chosen(where)[:, None, :] - where[None, :, :]
                close = apart[..., 0] ** 2 + apart[..., 1] ** 2 < self.distance**2 * _CLOSE
                close = close.repeat(1, self.prototypes)
                off, room = off.masked_fill(close, torch.inf), (~close).sum(dim=1)
            order = off.argsort(dim=1, stable=True)[:, :number]
            rank = (cells.uniform(rng.child("ranks"), cells.count) * room.clamp_max(number)).long()
            picked = bank[order.gather(1, rank[:, None])[:, 0]]
        return picked.where((room > 0)[:, None], cells.chosen), {}

    def _where(self, grid: Grid | None, cells: int, like: Tensor) -> Tensor:
        """Return the centres of the cells, (P, 2) float64, the sides of the grid being 1; 0 if places mean nothing."""
        from ._torch import torch

        if self.alpha == 0:
            return torch.zeros((cells, 2), dtype=torch.float64, device=like.device)
        if grid is None:
            raise Impossible("features: cells without a grid: the prototypes need one\nhint: give `grid`, or alpha 0")
        place = torch.arange(cells, device=like.device).double()
        down, across = (place / grid[1]).floor(), place % grid[1]
        return torch.stack([(down + 0.5) / grid[0], (across + 0.5) / grid[1]], dim=1)
