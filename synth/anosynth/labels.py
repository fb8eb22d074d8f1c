"""From what changed to what is labelled: the rules that hold in every family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOOR_OF_PEAK = 0.05
"""A change under this share of the sample's largest one is taken back: nobody could see it, so nobody labels it."""


@dataclass(frozen=True)
class Faith:
    """How far a mask is what changed.

    Attributes:
        leak: changed elements outside the mask, as a share of the changed ones.
        dead: unchanged elements inside the mask, as a share of the mask.
        area: labelled elements as a share of all.
    """

    leak: float
    dead: float
    area: float


def faith(changed: NDArray[np.bool_], mask: NDArray[np.bool_]) -> Faith:
    """Compare a mask with the elements that really changed; both bool and of one shape."""
    inside, changes, labels = (int(np.count_nonzero(part)) for part in (changed & mask, changed, mask))
    return Faith(
        leak=(changes - inside) / changes if changes else 0.0,
        dead=(labels - inside) / labels if labels else 0.0,
        area=labels / mask.size if mask.size else 0.0,
    )


def changed_rows(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (N,) bool: the rows of two (N, ...) arrays of one dtype that differ in any bit (NaN equals itself)."""
    if not before.size:
        return np.zeros(len(before), dtype=np.bool_)
    a, b = (np.ascontiguousarray(array).view(np.uint8).reshape(len(array), -1) for array in (before, after))
    different: NDArray[np.bool_] = (a != b).any(axis=1)
    return different
