"""Masks of any number of axes: segments of a signal, cells of a photo, boxes of a volume, tokens.

    from anosynth.masks import MultiScale, fill

    masks = MultiScale(segment=48)(signals, rng=7, channel_dim=-1)  # (B, L, leads)
    kept, masked, restore = masks["global"].ids(0)
    broken, changed = fill(signals, masks["local"].samples(0), "copy", rng=7, channel_dim=-1)

What is random comes from `rng` (None, a seed, a SeedSequence, a Generator, an `Rng`, or a list of them, one for each
sample); of one for a whole batch, sample i has the child ("sample", i), so that it does not depend on the others.
Arrays give arrays and tensors give tensors of the same bits, on their device; torch is only imported for `Attenuator`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._disjoint import disjoint
from ._fill import fill
from ._grid import expand, patches
from ._mosaic import attenuate, mosaic
from ._multiscale import GLOBAL, LOCAL, Ids, MultiScale, Scale, ScaleMasks
from ._saliency import by_saliency
from ._write import Masked

if TYPE_CHECKING:
    from ._attenuator import Attenuator as Attenuator

__all__ = [
    "GLOBAL",
    "LOCAL",
    "Ids",
    "Masked",
    "MultiScale",
    "Scale",
    "ScaleMasks",
    "attenuate",
    "by_saliency",
    "disjoint",
    "expand",
    "fill",
    "mosaic",
    "patches",
]


def __getattr__(name: str) -> Any:
    if name == "Attenuator":
        return importlib.import_module(f"{__name__}._attenuator").Attenuator
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    # Not in __all__, so that a star import needs no torch.
    return sorted([*__all__, "Attenuator"])
