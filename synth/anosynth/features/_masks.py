"""Which cells may change: masks and attention in any form that fits, and Perlin noise at the size of the grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._rows import Grid, Layout, Tensor
from ._torch import torch

_DRAWS = 24


def to_grid(mask: Any, grid: Grid) -> Tensor:
    """Return a mask of pixels as one of cells: a cell is inside if any of its pixels is.

    Args:
        mask: (..., h, w) bool or numbers, array or tensor; numbers count as inside if > 0. Cell (i, j) is of the rows
            floor(i h / H) to ceil((i + 1) h / H) and of the columns likewise, so a smaller mask is spread.
        grid: (H, W).

    Returns:
        (..., H, W) bool.
    """
    pixels = _as_bool("mask", mask)
    if pixels.ndim < 2 or not pixels.numel():
        raise DataError(f"mask: {tuple(pixels.shape)}: expected (..., height, width), none of them 0")
    if pixels.shape[-2:] == grid:
        return pixels
    flat = pixels.reshape(-1, 1, *pixels.shape[-2:]).to(torch.float32)
    pooled = torch.nn.functional.adaptive_max_pool2d(flat, grid)
    return (pooled > 0).reshape(*pixels.shape[:-2], *grid)


def masks_of(what: str, mask: Any, layout: Layout, device: torch.device) -> Tensor | None:
    """Return a mask in any of the accepted forms as (B, P) bool on `device`; None stays None.

    Accepted are one for each sample, (B, 1, h, w), (B, h, w) or (B, P), and one for all, (h, w) or (P,).

    Raises:
        DataError: it has another shape, or is none.
    """
    if mask is None:
        return None
    inside = _as_bool(what, mask).to(device)
    batch, cells, shape = layout.batch, layout.cells, tuple(inside.shape)
    if shape == (batch, cells):
        return inside
    if shape == (cells,):
        return inside.expand(batch, cells)
    if layout.grid and shape[:-2] in ((batch, 1), (batch,), (1, 1), ()) and inside.ndim >= 2:
        return to_grid(inside, layout.grid).reshape(-1, cells).expand(batch, cells)
    form = f"({batch}, 1, h, w) or (h, w)" if layout.grid else f"({batch}, {cells}) or ({cells},)"
    hint = "" if layout.grid else "\nhint: give the module its `grid`, and masks of pixels will do"
    raise DataError(f"{what}: {shape}: expected {form}{hint}")


def saliencies_of(saliency: Any, layout: Layout) -> list[Tensor | None]:
    """Return the saliency of each sample of a batch; see `saliency_of`."""
    if saliency is None:
        return [None] * layout.batch
    if len(saliency) != layout.batch:
        raise DataError(f"saliency: of {len(saliency)} samples: expected one for each of {layout.batch}")
    return [saliency_of(one, layout.cells) for one in saliency]


def saliency_of(saliency: Any, cells: int) -> Tensor:
    """Return (heads, P) float64 on the CPU, where cells are picked.

    Raises:
        DataError: it has another shape than (P,) or (heads, P), or is NaN somewhere.
    """
    values = torch.as_tensor(saliency).detach().to("cpu", torch.float64)
    if values.shape[-1:] != (cells,) or values.ndim not in (1, 2):
        raise DataError(f"saliency: {tuple(values.shape)} of a sample: expected ({cells},) or (heads, {cells})")
    if bool(values.isnan().any()):
        raise DataError("saliency: NaN: expected numbers")
    return values.reshape(-1, cells)


def perlin_mask(grid: Grid, rng: Rng, *, coarsest: int, finest: int, threshold: float, full: bool) -> NDArray[np.bool_]:
    """Return (H, W) bool: the cells where gradient noise exceeds the threshold.

    Args:
        coarsest, finest: the noise has 2^a by 2^b lattice cells, a and b uniform between these; a lattice cell keeps
            at least two grid cells along a side, because the noise is 0 on the lattice itself.
        threshold: of noise from -1 to 1.
        full: draw until there is a cell.

    Raises:
        DataError: with `full`, none of 24 draws has one.
    """
    for draw in range(_DRAWS if full else 1):
        own = rng.child("perlin", draw)
        powers = [own.child(name).integer(coarsest, finest) for name in ("down", "across")]
        down, across = (min(2**power, max(1, size // 2)) for power, size in zip(powers, grid, strict=True))
        inside = lattice(grid, (down, across), own.child("noise")) > np.float32(threshold)
        if inside.any() or not full:
            return inside
    raise DataError(f"no noise above {threshold:g} in {_DRAWS} draws on a grid of {grid}\nhint: lower threshold")


def _as_bool(what: str, mask: Any) -> Tensor:
    if isinstance(mask, torch.Tensor):
        # torch compares no unsigned numbers of more than 8 bits, and numbers of instances are such.
        return mask if mask.dtype == torch.bool else (mask if mask.is_floating_point() else mask.double()) > 0
    array = np.asarray(mask)
    if array.dtype.kind not in "buif":
        raise DataError(f"{what}: {array.dtype}: expected bool or numbers")
    return torch.from_numpy(np.asarray(array > 0))
