"""Noise that a discriminator's own gradient carries towards the normal features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from anosynth.errors import Impossible, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Drawn
from ._centres import Assign, Bank, CentreGenerator

if TYPE_CHECKING:
    from ._cells import Cells, Scorer
    from ._rows import Tensor


class GradientAscent(CentreGenerator):
    """Noisy features that climb a scorer's loss and are held at a distance from the centre

    Starts at g = u + e, e ~ N(0, noise^2 I), and takes `steps` steps g <- g - step_size ds/dg / |ds/dg|. The loss of
    taking g for an anomaly falls with its score s, so to climb it is to go down s, and as only the direction counts,
    probabilities and logits give the same path. After every `every` steps and after the last, g is brought back to
    where |g - c| is `nearest` to `farthest` radii (`hypersphere`; the radius is a quantile of |u - c| over the sample),
    or |g - u| is `least_shift` to `largest_shift` (`manifold`, which needs no centres; these two are numbers of one
    backbone's features). Gradients of a loss of the result reach u as if it were only shifted.

    Takes a scorer, (K, C) -> (K,) or (K, 1), larger for anomalies, each row's by itself. It is called as it is: batch
    normalisation in training mode would make a row's score depend on the others.

    Source: Chen et al., GLASS, ECCV 2024.
    """

    noise: float = param(0.015, gt=0, le=1e6, help="standard deviation of the noise that it starts with")
    steps: int = param(20, ge=1, le=1000, vary=(5, 30), help="number of steps")
    step_size: float = param(0.001, gt=0, le=1e6, unit="of features", help="length of a step")
    every: int = param(5, ge=1, le=1000, help="steps from one projection to the next")
    project: Literal["hypersphere", "manifold"] = param("hypersphere", help="what it is kept at a distance from")
    quantile: float = param(0.75, ge=0, le=1, help="which quantile of the distances from the centres is the radius")
    nearest: float = param(1.0, ge=0, le=100, unit="radii", help="least distance from the centre (hypersphere)")
    farthest: float = param(2.0, gt=0, le=100, unit="radii", help="largest distance from the centre (hypersphere)")
    least_shift: float = param(0.5, ge=0, le=1e6, unit="of features", help="least shift (manifold)")
    largest_shift: float = param(1.0, gt=0, le=1e6, unit="of features", help="largest shift (manifold)")
    bank: Bank = param("cells", help="bank of centres: aligned by similarity, or the mean of each cell")
    assign: Assign = param("position", help="centre of a cell: of greatest cosine, nearest, or that of its place")

    def check(self) -> None:
        for low, high in (("nearest", "farthest"), ("least_shift", "largest_shift")):
            if getattr(self, low) > getattr(self, high):
                raise ParameterError(f"`{low}`: {getattr(self, low)}: must be <= `{high}`, {getattr(self, high)}")
        if not self.detach_shift:
            raise ParameterError("`detach_shift`: False: the path of an ascent has no gradient")

    def names_learned(self) -> tuple[str, ...]:
        return self.learns if self.project == "hypersphere" else ()

    def survey(self, samples: Sequence[Cells], rngs: Sequence[Rng]) -> list[Any]:
        return super().survey(samples, rngs) if self.project == "hypersphere" else [None] * len(samples)

    def shift(self, cells: Cells, chosen: Tensor, rng: Rng) -> tuple[Tensor, Drawn]:
        from ._cells import divided, lengths, quantile

        if cells.scorer is None:
            raise Impossible(
                f"`{self.name}`: no scorer: it needs one to climb\nhint: module(scorer=...), or forward(scorer=...)"
            )
        drawn: Drawn = {}
        home, low, high = chosen, self.least_shift, self.largest_shift
        if self.project == "hypersphere":
            rays = self.from_centres(cells, cells.rows.detach(), None)
            home = chosen - cells.of_chosen(rays)
            radius = float(quantile(lengths(rays), self.quantile))
            low, high, drawn = self.nearest * radius, self.farthest * radius, {"radius": radius}
        g = chosen + cells.normal(rng.child("noise"), *chosen.shape) * self.noise
        for step in range(1, self.steps + 1):
            slope = _slope(cells.scorer, g)
            g = g - divided(slope, lengths(slope)) * self.step_size
            if step % self.every == 0 or step == self.steps:
                ray = g - home
                length = lengths(ray)
                g = home + divided(ray * length.clamp(low, high)[:, None], length)
        return g - chosen, drawn


def _slope(scorer: Scorer, rows: Tensor) -> Tensor:
    """Return the gradient of each row's score with respect to the row, (K, C)."""
    from ._torch import torch

    # Validation loops often run in inference mode, whose tensors have no gradients; copies made outside of it do.
    with torch.inference_mode(False), torch.enable_grad():
        here = (rows.clone() if rows.is_inference() else rows.detach()).requires_grad_()
        scores = scorer(here)
        if not isinstance(scores, torch.Tensor) or not scores.requires_grad:
            raise Impossible(
                f"scorer: {type(scores).__name__}: expected a tensor with a gradient\n"
                "hint: no `detach`, `no_grad` or numpy within it"
            )
        if scores.numel() != len(rows):
            raise Impossible(f"scorer: {tuple(scores.shape)}: expected one score for each of {len(rows)} rows")
        (slope,) = torch.autograd.grad(scores.sum(), here)
    return slope.detach()
