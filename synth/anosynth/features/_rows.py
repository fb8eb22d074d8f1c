"""Layouts of feature tensors: every generator sees one sample as (P, C) rows."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anosynth.errors import DataError, ParameterError

from ._torch import torch

Tensor = torch.Tensor
Grid = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """How a tensor of features is laid out, and back.

    Attributes:
        order: the permutation to (batch, cells..., channels).
        batch: number of samples; cells: number of cells of each; channels: of each cell.
        grid: height and width of the cells, if it is known.
    """

    order: tuple[int, ...]
    batch: int
    cells: int
    channels: int
    grid: Grid | None

    def rows(self, x: Tensor) -> list[Tensor]:
        """Return for each sample (P, C) contiguous rows, of float32 if the features are of half precision."""
        # One by one: torch turns a matrix in blocks, but a batch of them element by element.
        samples = x.permute(self.order).reshape(self.batch, self.cells, self.channels).unbind(0)
        return [sample.to(computing(x.dtype)).contiguous() for sample in samples]

    def back(self, rows: Sequence[Tensor], like: Tensor) -> Tensor:
        """Return (P, C) rows of the dtype of `like` in its shape and memory layout."""
        permuted = like.permute(self.order)
        inverse = sorted(range(like.ndim), key=self.order.__getitem__)
        if permuted.is_contiguous():
            return torch.stack(list(rows)).reshape(permuted.shape).permute(inverse)
        planes = torch.stack([sample.t().contiguous() for sample in rows])
        out = planes.transpose(1, 2).reshape(permuted.shape).permute(inverse)
        return out.contiguous() if like.is_contiguous() else out

    def mask_shape(self) -> tuple[int, ...]:
        """Return the shape of masks: (B, 1, H, W) if the grid is known, else (B, P)."""
        return (self.batch, 1, *self.grid) if self.grid else (self.batch, self.cells)


def computing(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype to compute in: half precision overflows in sums of squares."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def layout_of(x: Any, channel_dim: int, batch_dim: int, grid: Grid | None) -> Layout:
    """Return the layout of a tensor of 2 (N, C), 3 (B, P, C) or 4 (B, C, H, W) dimensions.

    Raises:
        DataError: it is no float tensor, is empty, or does not fit the grid.
        ParameterError: it has no such dimensions, or the grid is none.
    """
    grid = None if grid is None else _checked(grid)
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        kind = f"{x.dtype} tensor" if isinstance(x, torch.Tensor) else type(x).__name__
        raise DataError(f"features: {kind}: expected a tensor of floats")
    shape = f"features: {tuple(x.shape)}"
    if x.ndim not in (2, 3, 4) or x.numel() == 0:
        raise DataError(f"{shape}: expected (N, C), (B, P, C) or (B, C, H, W), none of them 0")
    if not -x.ndim <= channel_dim < x.ndim:
        raise ParameterError(f"`channel_dim`: {channel_dim}: {shape} has no such dimension")
    channel = channel_dim % x.ndim
    if x.ndim == 2:
        cells, channels = x.shape[1 - channel], x.shape[channel]
        size = grid[0] * grid[1] if grid else cells
        if cells % size:
            raise DataError(f"{shape}: {cells} rows: expected a multiple of the grid's {grid}")
        return Layout((1 - channel, channel), cells // size, size, channels, grid)
    if not -x.ndim <= batch_dim < x.ndim or batch_dim % x.ndim == channel:
        raise ParameterError(f"`batch_dim`: {batch_dim}: {shape} has no such dimension beside the channels")
    batch = batch_dim % x.ndim
    inner = tuple(d for d in range(x.ndim) if d not in (batch, channel))
    sizes = tuple(x.shape[d] for d in inner)
    if len(sizes) == 2:
        if grid and grid != sizes:
            raise DataError(f"{shape}: {sizes} cells: expected the grid's {grid}")
        found: Grid | None = (sizes[0], sizes[1])
    else:
        found = grid
        if grid and grid[0] * grid[1] != sizes[0]:
            raise DataError(f"{shape}: {sizes[0]} cells: expected {grid[0] * grid[1]} of the grid {grid}")
    cells = sizes[0] if len(sizes) == 1 else sizes[0] * sizes[1]
    return Layout((batch, *inner, channel), x.shape[batch], cells, x.shape[channel], found)


def check_finite(rows: Sequence[Tensor], expected: str = "expected finite values") -> None:
    """Raise DataError, naming the sample and the cell, if a value of some (P, C) rows is NaN or infinite."""
    # The sum of finite numbers may overflow, so it only tells when nothing has to be looked for.
    sums = [sample.detach().sum(dtype=computing(sample.dtype)) for sample in rows]
    if bool(torch.stack(sums).isfinite().all()):
        return
    for sample, values in enumerate(rows):
        bad = (~torch.isfinite(values.detach())).nonzero()
        if len(bad):
            cell, channel = (int(number) for number in bad[0])
            value = float(values[cell, channel].detach())
            where = f"sample {sample}, cell {cell}, channel {channel}"
            raise DataError(f"features: {where}: {value}: {expected}")


def changed(before: Tensor, after: Tensor) -> Tensor:
    """Return (P,) bool: the rows of two (P, C) tensors that differ somewhere."""
    # As bytes, of which torch finds the largest much faster than it finds any true one.
    return (before.detach() != after.detach()).view(torch.uint8).amax(dim=1) > 0


def _checked(grid: Sequence[int]) -> Grid:
    try:
        height, width = map(operator.index, grid)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ParameterError(f"`grid`: {grid}: must be (H, W), both >= 1")
    return height, width
