"""A shift along the ray from the centre of normal features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from anosynth.errors import ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn
from ._centres import CentreGenerator

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor


class Hypersphere(CentreGenerator):
    """Shift along the ray from the centre of normal features: a = u + k r (u - c) / |u - c|

    r is the mean, or a quantile, of |u - c| over all cells of the sample, or of the batch. |a - u| is k r in every
    cell, so |a - c| is |u - c| + k r; whether that is beyond r is another matter. `nearest` and `farthest`, in radii,
    bound |a - c| if they are not 0. A cell at its very centre has no direction: it stays, and is not labelled.

    Source: Chen et al., PBAS, IEEE TCSVT 2025: k 0.25, cosine, bank of feature alignment with momentum 0.1, r the mean
    over the batch; here it is that over the sample unless `over` says otherwise, because a result would depend on
    what else is in the batch (of a `Vary`, the samples with the same values). Quantile (0.75) and bounds (1 to 2 radii)
    after Chen et al., GLASS, ECCV 2024.
    """

    k: float = param(0.25, ge=0, le=100, vary=(0.1, 0.5), unit="of the radius", help="length of the shift")
    radius: Literal["mean", "quantile"] = param("mean", help="radius: mean or quantile of the distances")
    quantile: float = param(0.75, ge=0, le=1, help="which quantile")
    over: Literal["sample", "batch"] = param("sample", help="distances of which cells make the radius")
    nearest: float = param(0.0, ge=0, le=100, unit="radii", help="least distance from the centre; 0 for no bound")
    farthest: float = param(0.0, ge=0, le=100, unit="radii", help="largest distance from the centre; 0 for no bound")

    def check(self) -> None:
        if 0 < self.farthest < self.nearest:
            raise ParameterError(f"`farthest`: {self.farthest}: must be 0 or at least `nearest`, {self.nearest}")

    def survey(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Any]:
        from ._torch import torch

        notes = super().survey(samples, rngs)
        if self.over == "sample":
            return notes
        rays = [self._rays(replace(sample, notes=note)) for sample, note in zip(samples, notes, strict=True)]
        r = self._radius(torch.cat([distance for _, distance in rays]))
        return [(ray, distance, r) for ray, distance in rays]

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        if self.over == "batch":
            ray, distance, r = cells.notes
        else:
            ray, distance = self._rays(cells)
            r = self._radius(distance)
        ray, distance = cells.of_chosen(ray), cells.of_chosen(distance)
        further = self.k * r
        if self.nearest or self.farthest:
            there = distance + further
            further = there.clamp(self.nearest * r, self.farthest * r if self.farthest else None) - distance
        nowhere = distance == 0
        factor = (further / distance.masked_fill(nowhere, 1.0)).masked_fill(nowhere, 0.0)
        return ray * factor[:, None], {"radius": r.detach()}

    def _rays(self, cells: Cells) -> tuple[Tensor, Tensor]:
        """Return u - c of all cells, (P, C), and its lengths (P,)."""
        from ._cells import lengths

        ray = self.from_centres(cells, cells.rows.detach() if self.detach_shift else cells.rows, None)
        return ray, lengths(ray)

    def _radius(self, distances: Tensor) -> Tensor:
        from ._cells import mean, quantile

        return mean(distances) if self.radius == "mean" else quantile(distances, self.quantile)
