"""Centres of normal features: learned in one pass with constant memory, and found again for each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import ShiftGenerator, State

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Grid, Tensor

Assign = Literal["cosine", "euclidean", "position"]
Bank = Literal["aligned", "cells"]

_AT_ONCE = 8192


class CentreGenerator(ShiftGenerator):
    """Base of generators that refer each cell to a centre of normal features.

    The bank has as many centres as a sample has cells. `cells` keeps the running mean of each cell. `aligned` starts
    from the cells' means over the first batch; from then on the mean of each cell of a batch moves the centre of
    greatest cosine to it, c <- (1 - momentum) c + momentum m, one cell after the other, the centres being chosen
    before any has moved.

    Which centre is nearest is decided by a matrix product, whose last bit depends on the processor: a cell that lies
    as near to one centre as to another may be given either. What follows from the choice does not.
    """

    learns: ClassVar[tuple[str, ...]] = ("centres", "seen")

    bank: Bank = param("aligned", help="bank of centres: aligned by similarity, or the mean of each cell")
    momentum: float = param(0.1, gt=0, le=1, help="weight of a batch in the centres that it moves (aligned)")
    assign: Assign = param("cosine", help="centre of a cell: of greatest cosine, nearest, or that of its place")

    def learn(self, state: Mapping[str, Tensor], batch: Tensor, grid: Grid | None, rng: Rng) -> State:
        centre = batch[0]
        for sample in batch[1:]:
            centre = centre + sample
        centre = centre / len(batch)
        if not state:
            return {"centres": centre.clone(), "seen": batch.new_tensor([len(batch)]).long()}
        seen = int(state["seen"][0])
        if self.bank == "cells":
            share = len(batch) / (seen + len(batch))
            centres = state["centres"] * (1 - share) + centre * share
        else:
            centres = state["centres"].clone()
            chosen = nearest(centre, centres, "cosine", keys(centres, "cosine")).tolist()
            kept, moved = 1 - self.momentum, centre * self.momentum
            for cell, place in enumerate(chosen):
                centres[place] = centres[place] * kept + moved[cell]
        return {"centres": centres, "seen": state["seen"] + len(batch)}

    def misfit(self, state: Mapping[str, Tensor], channels: int, cells: int) -> str:
        if "centres" not in state:
            return ""
        count, width = state["centres"].shape
        if width != channels:
            return f"features: {channels} channels: `{self.name}` was fitted on {width}"
        if cells != count and (self.assign == "position" or self.bank == "cells"):
            return f"features: {cells} cells: `{self.name}` was fitted on {count}"
        return ""

    def survey(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Any]:
        from ._rows import computing

        # The same for all samples of a batch, so it is made once.
        centres = samples[0].state["centres"]
        shared = keys(centres.to(computing(centres.dtype)), self.assign)
        return [shared] * len(samples)

    def from_centres(self, cells: Cells, rows: Tensor, places: Tensor | None) -> Tensor:
        """Return u - c, (K, C), for rows at some places of the sample, each from its own centre."""
        centres = cells.state["centres"].to(rows.dtype)
        if self.assign == "position":
            return rows - (centres if places is None else centres[places])
        chosen = nearest(rows.detach(), centres, self.assign, cells.notes)
        return rows - centres[chosen]


def keys(centres: Tensor, assign: Assign) -> Tensor:
    """Return what rows are multiplied with to find their centres, (M, C); for `euclidean` (M, C + 1)."""
    from ._cells import divided, lengths, total
    from ._torch import torch

    if assign == "cosine":
        return divided(centres, lengths(centres))
    if assign == "euclidean":
        return torch.cat([centres, total(centres * centres)[:, None] * -0.5], dim=1)
    return centres


def nearest(rows: Tensor, centres: Tensor, assign: Assign, key: Tensor) -> Tensor:
    """Return (K,) int64: for each row the centre of greatest cosine, or the nearest."""
    from ._torch import torch

    found = []
    with torch.no_grad():
        for start in range(0, len(rows), _AT_ONCE):
            block, table = rows[start : start + _AT_ONCE], key.to(rows.dtype)
            # The norm of the row is the same for all centres.
            score = block @ table[:, : block.shape[1]].T
            score = score + table[:, -1] if assign == "euclidean" else score
            # Three times as fast as argmax, which gives the first of equals as well.
            found.append(score.max(dim=1).indices)
    return torch.cat(found)
