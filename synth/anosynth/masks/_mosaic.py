"""What is inside a mask in coarse blocks, after EAR; and features turned down by a soft mask, after FADeR."""

from __future__ import annotations

from typing import Any

import numpy as np

from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import real

from ._arrays import as_array, torch_of
from ._grid import Sizes, block_means, spread, steps_of
from ._layout import layout_of
from ._write import Masked, written


def mosaic(x: Any, mask: Any, *, cell: Sizes = 8, batch_dim: int | None = 0, channel_dim: int | None = 1) -> Masked:
    """Return `x` with the mean of its block at every place inside the mask.

    The mean is of the whole block, of what lies outside the mask too, so that it does not depend on the mask. Blocks
    at the end of an axis are what is left over.

    Source: EAR (Park et al., 2023), which shows the network coarse blocks where others show it nothing; the size of
    the blocks is ours.

    Args:
        x: array or tensor with any number of axes of space; integers are rounded.
        mask: bool, one for each element, for each place of a sample, or for each place of all.
        cell: size of a block in samples, one number or one for each axis of space.
        batch_dim, channel_dim: their axes in `x`, None if there is none.

    Raises:
        DataError: the mask is not bool or has another shape.
        ParameterError: a block is larger than the sample.
    """
    layout = layout_of(x, batch_dim, channel_dim)
    steps = steps_of("cell", cell, layout.shape)
    inside = layout.mask("mask", mask)
    means = block_means(layout.forth(as_array("x", x)).astype(np.float64), steps)
    return written(x, layout, spread(means, layout.shape, steps), inside)


def attenuate(
    features: Any,
    soft_mask: Any,
    *,
    strength: float = 1.0,
    batch_dim: int | None = 0,
    channel_dim: int | None = 1,
) -> Any:
    """Return features x (1 - strength x soft_mask), the mask shared by all channels; gradients pass through both.

    Source: FADeR (Park et al., 2024), which attenuates patch features that look defective before they reach a
    decoder. Its code is not public; `strength` is ours.

    Args:
        features: floats, array or tensor.
        soft_mask: floats from 0 (as it was) to 1 (nothing left), of the same kind: one for each element, for each
            place of a sample, or for each place of all. Masks of another size are not resized.
        strength: 0 to 1.
        batch_dim, channel_dim: their axes in `features`, None if there is none.

    Returns:
        Of the features' shape, dtype and device.

    Raises:
        DataError: features that are no floats, a mask of another shape, or with values outside of 0 to 1.
        ParameterError: strength is out of range.
    """
    weight = real("strength", strength)
    if not 0 <= weight <= 1:
        raise ParameterError(f"strength: {strength}: expected 0 to 1")
    layout = layout_of(features, batch_dim, channel_dim)
    torch = torch_of(features)
    x: Any = features if torch else as_array("features", features)
    if not (x.is_floating_point() if torch else x.dtype.kind == "f"):
        raise DataError(f"features: {x.dtype}: expected floats")
    soft = soft_mask if torch_of(soft_mask) else as_array("soft_mask", soft_mask)
    inside = (soft >= 0) & (soft <= 1)
    if not bool(inside.all()):
        raise DataError(f"soft_mask: {float(soft[~inside][0].item())}: expected 0 to 1")
    soft = layout.fitted("soft_mask", soft)
    if torch:
        soft = torch.as_tensor(soft).to(x.device, x.dtype)
        # As a number of the same dtype, so that half precision rounds as numpy does.
        return x * (1 - (soft if weight == 1 else soft * torch.tensor(weight, dtype=x.dtype)))
    soft = as_array("soft_mask", soft).astype(x.dtype)
    return x * (x.dtype.type(1) - (soft if weight == 1 else soft * x.dtype.type(weight)))
