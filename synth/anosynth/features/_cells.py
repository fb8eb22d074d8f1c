"""What a generator is given of one sample, and sums whose bits no processor decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from anosynth.seeding import Rng

from ._normals import normals
from ._rows import Grid, Tensor
from ._torch import torch

Scorer = Callable[[Tensor], Tensor]
"""(K, C) features to (K,) or (K, 1) scores that grow with the anomaly."""


@dataclass(frozen=True, eq=False)
class Cells:
    """One sample.

    Attributes:
        rows: (P, C) float32 or float64, all cells; not to be written to.
        places: (K,) int64 ascending, the cells that may be changed; None for all of them.
        grid: height and width, if known.
        state: what was learned, by name.
        scorer, saliency: see `FeatureSynthesis.forward`.
        notes: what `survey` found out about this sample.
    """

    rows: Tensor
    places: Tensor | None = None
    grid: Grid | None = None
    state: Mapping[str, Tensor] = field(default_factory=dict)
    scorer: Scorer | None = None
    saliency: Tensor | None = None
    notes: Any = None

    @property
    def chosen(self) -> Tensor:
        """(K, C): the rows that may be changed."""
        return self.rows if self.places is None else self.rows[self.places]

    @property
    def count(self) -> int:
        return len(self.rows) if self.places is None else len(self.places)

    def of_chosen(self, values: Tensor) -> Tensor:
        """Return the entries of a (P, ...) tensor that belong to the rows that may be changed."""
        return values if self.places is None else values[self.places]

    def normal(self, rng: Rng, *shape: int) -> Tensor:
        """Return standard normals of this shape, drawn on the CPU, with dtype and device of the rows."""
        size = 1
        for length in shape:
            size *= length
        return torch.from_numpy(normals(rng, size)).to(self.rows.device, self.rows.dtype).reshape(shape)

    def uniform(self, rng: Rng, size: int) -> Tensor:
        """Return (size,) float64 uniforms in [0, 1), drawn on the CPU, with the device of the rows."""
        return torch.from_numpy(rng.random(size)).to(self.rows.device)


def total(values: Tensor) -> Tensor:
    """Return the sum over the last dimension, by halves.

    Only additions of whole tensors: the order, and with it the last bit, is the same for every layout, batch, number
    of threads and device.
    """
    size = values.shape[-1]
    while size > 1:
        half = size // 2
        summed = values[..., :half] + values[..., half : 2 * half]
        if size % 2:
            summed = torch.cat([summed[..., :-1], summed[..., -1:] + values[..., -1:]], dim=-1)
        values, size = summed, half
    return values[..., 0]


def lengths(rows: Tensor) -> Tensor:
    """Return the Euclidean norms over the last dimension, with gradient 0 where they are 0."""
    squares = total(rows * rows)
    if not squares.requires_grad:
        return root(squares)
    nothing = squares == 0
    return root(squares.masked_fill(nothing, 1.0)).masked_fill(nothing, 0.0)


def root(values: Tensor) -> Tensor:
    """Return the square roots, rounded as IEEE 754 says (float64 that requires a gradient or is elsewhere: by torch).

    torch leaves them to a vector library that picks a kernel by the processor and may miss the last bit. Of float32,
    the root in float64 is near enough to round to the right float32 whatever its own last bit.
    """
    if values.dtype == torch.float32:
        return values.double().sqrt().float()
    if values.requires_grad or values.device.type != "cpu":
        return values.sqrt()
    return torch.from_numpy(np.sqrt(values.numpy()))


def mean(values: Tensor) -> Tensor:
    """Return the mean over the last dimension."""
    return total(values) / values.shape[-1]


def quantile(values: Tensor, q: float) -> Tensor:
    """Return the q-quantile of (K,) values, interpolated linearly between the two nearest ones."""
    ordered = values.sort().values
    place = q * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def divided(values: Tensor, by: Tensor) -> Tensor:
    """Return (K, C) rows divided by (K,) numbers, 0 where those are 0."""
    nothing = by == 0
    return values / by.masked_fill(nothing, 1.0)[:, None] * (~nothing)[:, None].to(values.dtype)
