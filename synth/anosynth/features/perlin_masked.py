"""Any feature generator, inside a thresholded Perlin mask of the grid's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from anosynth.errors import Impossible, ParameterError, did_you_mean
from anosynth.generator import find
from anosynth.params import param, parse_value
from anosynth.seeding import Rng

from ._base import Drawn, FeatureGenerator, State

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Grid, Tensor


def _spelled(inner: Any) -> Any:
    """Return the text form of a feature generator: its name, then `name=value` of what is not as by default."""
    if not isinstance(inner, FeatureGenerator):
        return inner
    fields = type(inner).model_fields
    values = {name: value for name, value in inner.model_dump().items() if value != fields[name].default}
    return " ".join([inner.name, *(f"{name}={value}" for name, value in values.items())])


class PerlinMasked(FeatureGenerator):
    """Another feature generator, in the cells where Perlin noise exceeds a threshold: a = u + (change) M

    M = 1[n > threshold], n gradient noise on a lattice of 2^a x 2^b cells, a and b uniform from `coarsest` to
    `finest`, sampled at the grid; a lattice cell keeps at least two grid cells along a side. In training the mask is
    emptied with probability `empty`, the threshold may leave none, and such samples stay normal; called by itself,
    it draws until there is a mask. `inner` is written as a name with values, "gaussian std=0.02 levels=2", or given as
    a generator.

    Source: Rolih et al., SuperSimpleNet, ICPR 2024 (gaussian 0.015; threshold 0.2 for MVTec AD, 0.6 for VisA). It
    samples the noise on the next power of two and resizes it; the mask is made at the grid's size here.
    """

    inner: Annotated[str, BeforeValidator(_spelled)] = param(
        "gaussian", help='generator that changes the cells, with its values: "gaussian std=0.02"'
    )
    coarsest: int = param(0, ge=0, le=8, help="least power of two of lattice cells along a side")
    finest: int = param(5, ge=0, le=8, help="largest power of two of lattice cells along a side")
    threshold: float = param(0.2, ge=-1, le=0.95, vary=(0.2, 0.5), help="noise above it is anomalous")
    empty: float = param(0.5, ge=0, le=1, help="probability that a sample stays normal, in training")

    def check(self) -> None:
        if self.coarsest > self.finest:
            raise ParameterError(f"`coarsest`: {self.coarsest}: must be <= `finest`, {self.finest}")
        if isinstance(self.generator, PerlinMasked):
            raise ParameterError(f"`inner`: {self.inner}: must be another generator")

    @cached_property
    def generator(self) -> FeatureGenerator:
        """The generator that changes the cells."""
        name, *words = self.inner.split() or [""]
        cls = find("features", name)
        assert issubclass(cls, FeatureGenerator)
        values: dict[str, Any] = {}
        for word in words:
            key, equals, value = word.partition("=")
            if not equals or key not in cls.model_fields:
                hint = did_you_mean(key, cls.model_fields)
                raise ParameterError(f"`inner`: {word}: expected a parameter of `{name}` as name=value{hint}")
            values[key] = parse_value(key, value)
        return cls(**values)

    def region(self, grid: Grid | None, rng: Rng, *, full: bool) -> NDArray[np.bool_] | None:
        from ._masks import perlin_mask

        if grid is None:
            raise Impossible("features: cells without a grid: a Perlin mask needs one\nhint: give `grid`, (H, W)")
        if not full and rng.child("empty").uniform() < self.empty:
            return np.zeros(grid, dtype=np.bool_)
        return perlin_mask(grid, rng, coarsest=self.coarsest, finest=self.finest, threshold=self.threshold, full=full)

    def perturb(self, cells: Cells, rng: Rng) -> tuple[Tensor, Drawn]:
        return self.generator.perturb(cells, rng)

    def survey(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Any]:
        return self.generator.survey(samples, rngs)

    def names_learned(self) -> tuple[str, ...]:
        return self.generator.names_learned()

    def misfit(self, state: Mapping[str, Tensor], channels: int, cells: int) -> str:
        return self.generator.misfit(state, channels, cells)

    def learn(self, state: Mapping[str, Tensor], batch: Tensor, grid: Grid | None, rng: Rng) -> State:
        return self.generator.learn(state, batch, grid, rng)

    def settle(self, state: Mapping[str, Tensor]) -> State:
        return self.generator.settle(state)
