"""New values into the masked places, and the truth about what changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._arrays import as_array, torch_of
from ._layout import Layout

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Masked(NamedTuple):
    """What was made of an array.

    Attributes:
        values: as the input in shape, dtype, kind and device; outside of `mask` bit for bit.
        mask: bool, of the same shape: where the values differ from the input's, so within the mask that was asked for
            but not where the input had that value already.
    """

    values: Any
    mask: Any


def written(x: Any, layout: Layout, new: Floats, inside: Bools) -> Masked:
    """Return `x` with (B, C, *shape) `new` where `inside`, rounded to the dtype of `x` and cut to its range."""
    old = as_array("x", x)
    rounded = layout.back(_cast(new, old.dtype))
    torch = torch_of(x)
    if torch is None:
        changed = _differ(rounded, old) & layout.back(inside)
        return Masked(np.where(changed, rounded, old), changed)
    tensor = torch.from_numpy(rounded).to(x.device, x.dtype)
    known, here = x.detach(), layout.kind.give(layout.back(inside))
    changed = (tensor != known) & here & ~(tensor.isnan() & known.isnan())
    return Masked(torch.where(changed, tensor, x), changed)


def _cast(values: Floats, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return np.clip(values, limits.min, limits.max).astype(dtype)
    ends = np.iinfo(dtype)
    return np.clip(np.rint(values), ends.min, ends.max).astype(dtype)


def _differ(new: NDArray[Any], old: NDArray[Any]) -> Bools:
    both: Bools = (new != new) & (old != old)
    apart: Bools = (new != old) & ~both
    return apart
