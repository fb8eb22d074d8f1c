"""The base of feature generators; free of torch, so that names and parameters are known without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.generator import Anomaly, Generator
from anosynth.params import Choice, Range, param
from anosynth.seeding import Rng

if TYPE_CHECKING:
    from anosynth.recipe import Vary

    from ._cells import Cells, Scorer
    from ._module import FeatureSynthesis
    from ._rows import Grid, Tensor

Drawn = dict[str, Any]
State = dict[str, "Tensor"]


class FeatureGenerator(Generator):
    """Base of the family: subclasses write `perturb`, and `learn` if they need to know normal features.

    `generator(sample, rng)` takes a sample of (C, H, W) or (P, C), array or tensor or `Features`, and gives an
    `Anomaly` whose mask, (H, W) or (P,), is the cells of which any bit changed, and whose effect is the length of the
    displacement in feature units. `generator.module()` is what trains with it.
    """

    family: ClassVar[str] = "features"
    learns: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that are learned from normal features; they become buffers of the module."""

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        """Return the (K, C) rows that take the place of `cells.chosen`, and what was drawn.

        Whatever is random is drawn from `rng`, and nothing depends on other samples than this one.
        """
        raise NotImplementedError

    def region(self, grid: Grid | None, rng: Rng, *, full: bool) -> NDArray[np.bool_] | None:
        """Return which cells of the grid may change, (H, W) bool, or None for all.

        Args:
            full: have at least one cell; otherwise a sample may stay normal.
        """
        return None

    def survey(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Any]:
        """Return what each sample's `notes` become: for what samples of a batch can do at once, or have in common.

        It sees the samples for which this very generator was drawn, and some cell of which may change.
        """
        return [None] * len(samples)

    def names_learned(self) -> tuple[str, ...]:
        """Return the names of the tensors that have to be learned before it can be used."""
        return self.learns

    def misfit(self, state: Mapping[str, Tensor], channels: int, cells: int) -> str:
        """Return why features of these sizes do not go with what was learned; empty if they do."""
        return ""

    def learn(self, state: Mapping[str, Tensor], batch: Tensor, grid: Grid | None, rng: Rng) -> State:
        """Return what is known after one more (B, P, C) batch of normal features; `state` is empty at first."""
        raise NotImplementedError

    def settle(self, state: Mapping[str, Tensor]) -> State:
        """Return the state in the form in which it is used, after the last batch."""
        return dict(state)

    def module(
        self,
        *,
        channel_dim: int = 1,
        batch_dim: int = 0,
        grid: tuple[int, int] | None = None,
        scorer: Scorer | None = None,
    ) -> FeatureSynthesis:
        """Return the `torch.nn.Module` that trains with this generator; see `FeatureSynthesis`."""
        from ._module import FeatureSynthesis

        return FeatureSynthesis(self, channel_dim=channel_dim, batch_dim=batch_dim, grid=grid, scorer=scorer)

    def make(self, sample: Any, rng: Rng) -> Anomaly:
        from ._single import anomaly

        return anomaly(self, sample, rng)


class ShiftGenerator(FeatureGenerator):
    """Base of generators that add something to the features: a = u + shift."""

    detach_shift: bool = param(True, help="let gradients pass through the features alone, not through the shift")

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        """Return the (K, C) shift of `chosen`, the rows of `cells` that may change, and what was drawn."""
        raise NotImplementedError

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._torch import torch

        chosen = cells.chosen
        if not self.detach_shift:
            added, drawn = self.shift(cells, chosen, rng)
            return chosen + added, drawn
        with torch.no_grad():
            added, drawn = self.shift(cells, chosen.detach(), rng)
        return chosen + added, drawn


def template(vary: Vary) -> FeatureGenerator:
    """Return the generator that learns for all that a `Vary` draws: with its values that do not vary."""
    fixed = {name: value for name, value in vary.values.items() if not isinstance(value, (Range, Choice))}
    # Unchecked: what goes with all that is drawn need not go with the defaults of what varies.
    made = vary.generator.model_construct(**fixed)
    assert isinstance(made, FeatureGenerator)
    return made
