"""Masks that share a sample out among them, after RIAD."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import ParameterError
from anosynth.noise._check import whole
from anosynth.seeding import Rng, RngLike

from ._arrays import streams
from ._grid import Shape, Sizes, grid_of, spread, steps_of
from ._layout import layout_for


def disjoint(
    x: Any,
    rng: Union[RngLike, Sequence[RngLike]] = None,
    *,
    cell: Sizes = 8,
    sets: int = 3,
    batch: int | None = None,
    batch_dim: int | None = 0,
    channel_dim: int | None = 1,
) -> Any:
    """Return masks no two of which meet and which together are everything: cells dealt out at random.

    Source: RIAD (Zavrtanik et al., 2021), with cells of 2, 4, 8 and 16 px and three sets. Where the cells do not go
    into the sets evenly, the last set takes the rest there; here the sets differ by at most one cell (ours).

    Args:
        x: an array or a tensor, of which only the shape matters, and the kind and device for what is returned; or the
            shape of a sample, a tuple such as (256, 256).
        rng: of the whole, whose child ("sample", i) is the stream of sample i; or one for each sample.
        cell: size of a cell in samples, one number or one for each axis of space.
        sets: number of masks, 1 to the number of cells.
        batch: of a shape, how many samples there are, if there is such an axis.
        batch_dim, channel_dim: their axes in `x`, None if there is none. Channels share their masks.

    Returns:
        ([B], sets, *shape) bool.

    Raises:
        ParameterError: there are more sets than cells, or a cell is larger than the sample.
    """
    layout = layout_for(x, batch, None, batch_dim, channel_dim)
    steps = steps_of("cell", cell, layout.shape)
    grid = grid_of(layout.shape, steps)
    if not 1 <= whole("sets", sets) <= math.prod(grid):
        raise ParameterError(f"sets: {sets}: expected 1 to {math.prod(grid)}, the number of cells")
    roots = streams(rng, layout.batch)
    parts = np.stack([_parts(grid, sets, root.child("disjoint")) for root in roots])
    wide = spread(parts, layout.shape, steps)
    return layout.kind.give(wide if layout.batch is not None else wide[0])


def _parts(grid: Shape, sets: int, rng: Rng) -> NDArray[np.bool_]:
    number = math.prod(grid)
    owner = np.zeros(number, np.int64)
    owner[rng.permutation(number)] = np.arange(number) % sets
    parts: NDArray[np.bool_] = owner == np.arange(sets)[:, None]
    return parts.reshape(sets, *grid)
