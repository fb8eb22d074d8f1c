"""One sample of features, with what a generator may need beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._module import FeatureSynthesis


@dataclass(frozen=True, eq=False)
class Features:
    """The features of one image or cloud, for `generator(Features(...), rng)`.

    Attributes:
        values: (C, H, W) or (P, C) floats, a numpy array or a tensor of any float dtype.
        module: the fitted module, for generators that learn from normal features; its own generator and its layout do
            not matter, what it learned does.
        mask: where anomalies may lie, bool: (H, W) or (P,), or an image's mask of any size if `values` is (C, H, W).
        grid: (H, W) of the P cells if `values` is (P, C).
        saliency: (P,) or (heads, P) attention, for the generators that pick cells by it.
    """

    values: Any
    module: FeatureSynthesis | None = None
    mask: Any = None
    grid: tuple[int, int] | None = None
    saliency: Any = None
