"""Noise with the covariance that normal features have in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from anosynth.errors import DataError, Impossible, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn, ShiftGenerator, State

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Grid, Tensor


class LocalGaussian(ShiftGenerator):
    """Noise with the covariance that normal features have in the cell: a = u + strength e

    e ~ N(0, S_p + ridge I); S_p is the sample covariance of cell p over N normal samples, or, with a window, the mean
    of those of the cells around it. It is never formed: e = sum_i w_i x_i / sqrt(N - 1) + sqrt(ridge) z, with w = y -
    mean(y) and y ~ N(0, I_N), has exactly this covariance given the samples, at N C numbers a cell in place of C^2.
    With `around` mean, a is drawn around the mean of the cell instead of around u.

    Up to `samples` normal samples are kept, each of all that were seen with equal probability, in `store` precision.

    Inspired by HetNet (IROS 2025), whose description leaves estimate, locality and weight of its local multivariate
    Gaussian noise open; the formulas are ours, the ridge 0.01 is that of PaDiM (Defard et al., 2021).
    """

    learns: ClassVar[tuple[str, ...]] = ("samples", "seen", "means")

    strength: float = param(1.0, gt=0, le=100, vary=(0.5, 2.0), help="noise over the spread of normal features")
    ridge: float = param(0.01, ge=0, le=1e6, unit="of features, squared", help="variance added in every channel")
    window: int = param(1, ge=1, le=15, help="side of the window of cells whose covariances are averaged; odd")
    around: Literal["input", "mean"] = param("input", help="draw around the features, or around the cell's mean")
    samples: int = param(200, ge=2, le=100_000, help="number of normal samples that are kept")
    store: Literal["float32", "float16"] = param("float32", help="precision in which they are kept")

    def check(self) -> None:
        if self.window % 2 == 0:
            raise ParameterError(f"`window`: {self.window}: must be odd")

    def learn(self, state: Mapping[str, Tensor], batch: Tensor, grid: Grid | None, rng: Rng) -> State:
        from ._reservoir import reservoir
        from ._torch import torch

        kept = batch.to(torch.float16 if self.store == "float16" else torch.float32)
        if not bool(torch.isfinite(kept).all()):
            raise DataError(f"features: too large for {self.store}: `{self.name}` keeps them in that precision")
        samples, seen = reservoir(state.get("samples"), state.get("seen"), kept, self.samples, rng)
        return {"samples": samples, "seen": seen, "means": batch[0]}

    def settle(self, state: Mapping[str, Tensor]) -> State:
        from ._exact import quantised
        from ._reservoir import filled

        samples = filled(state["samples"], state["seen"])
        quantised(samples)
        total = samples[0].double()
        for sample in samples[1:]:
            total += sample
        return {"samples": samples, "seen": state["seen"], "means": (total / len(samples)).float()}

    def misfit(self, state: Mapping[str, Tensor], channels: int, cells: int) -> str:
        if "samples" not in state:
            return ""
        _, count, width = state["samples"].shape
        if width != channels:
            return f"features: {channels} channels: `{self.name}` was fitted on {width}"
        return "" if cells == count else f"features: {cells} cells: `{self.name}` was fitted on {count}"

    def survey(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Any]:
        from ._torch import torch

        with torch.no_grad():
            return self._noise(samples, rngs)

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        noise: Tensor = cells.notes
        if self.ridge > 0:
            noise = noise + cells.normal(rng.child("ridge"), *chosen.shape) * self.ridge**0.5
        added = noise * self.strength
        if self.around == "input":
            return added, {}
        return cells.of_chosen(cells.state["means"]).to(chosen.dtype) - chosen + added, {}

    def _noise(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Tensor]:
        """Return e without the ridge, (K, C) for each sample; all at once, since what was kept is large."""
        from ._cells import root
        from ._exact import combined, weights
        from ._torch import torch

        normal = samples[0].state["samples"]
        count, cells, channels = normal.shape
        if count < 2:
            raise Impossible(f"`{self.name}`: fitted on {count} samples: a covariance takes at least 2")
        every = torch.arange(cells, device=normal.device)
        places = [every if sample.places is None else sample.places for sample in samples]
        shares = torch.zeros(cells, dtype=torch.float64, device=normal.device)
        needed = torch.zeros(cells, dtype=torch.bool, device=normal.device)
        for own in places:
            needed[own] = True
        out = torch.zeros((cells, len(samples), channels), dtype=torch.float64, device=normal.device)
        for number, source in enumerate(self._sources(samples[0].grid, every)):
            there = source >= 0
            shares += there
            table = torch.zeros((cells, len(samples), count), dtype=torch.float64, device=normal.device)
            for i, (sample, rng, own) in enumerate(zip(samples, rngs, places, strict=True)):
                table[own, i] = weights(sample, rng.child("weights", number), len(own), count)
            targets = (needed & there).nonzero()[:, 0]
            combined(out, table, normal, targets, source[targets])
        scale = root((count - 1) * shares)
        return [
            (out[own, i] / scale[own][:, None]).to(sample.rows.dtype)
            for i, (own, sample) in enumerate(zip(places, samples, strict=True))
        ]

    def _sources(self, grid: Grid | None, every: Tensor) -> list[Tensor]:
        """Return for each place of the window the neighbour of every cell, (P,) int64, -1 beyond the border."""
        if self.window == 1:
            return [every]
        if grid is None:
            raise Impossible("features: cells without a grid: a window needs one\nhint: give `grid`, (H, W)")
        height, width = grid
        reach = range(-(self.window // 2), self.window // 2 + 1)
        found = []
        for down in reach:
            for across in reach:
                row, column = every // width + down, every % width + across
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                found.append((row * width + column).where(inside, -1 + 0 * row))
        return found
