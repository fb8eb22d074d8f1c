"""A region covered by one value."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._outline import Outline, shaped
from ._place import seen_share
from ._sample import Image, Mask
from ._seats import oriented

_FILLS = ("mean", "black", "white", "grey")
_ENOUGH = 0.5


class Blank(ImageGenerator):
    """Region covered by black, white, grey or the image's mean colour

    any: one of the four, drawn among those that are seen in half of the region. A fill that is named is taken as it
    is, so black on a black image is refused.

    Ours, after the occlusions of RIAD (Zavrtanik et al., 2021) and Cutout (DeVries and Taylor, 2017).
    """

    fill: Literal["any", "mean", "black", "white", "grey"] = param("any", help="what covers the region")
    strength: float = param(1.0, gt=0, le=1, help="weight of the fill")
    area: Area = param(0.05, gt=0, le=0.5, vary=(0.01, 0.12), unit="of the image", help="area of the region")
    aspect: float = param(1.0, ge=0.05, le=20, vary=(0.5, 2.0, "log"), help="width of the region over its height")
    orientation: float = oriented("the width")
    outline: Outline = param("rectangle", vary="rectangle|ellipse|blob", help="shape of the region")
    softness: float = param(0.0, ge=0, le=1, help="share of the region's radius over which its edge fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        box, alpha = shaped(self, image, rng, free)
        alpha *= np.float32(self.strength)
        old = image.crop(box)
        order = [_FILLS[k] for k in rng.child("fill").permutation(len(_FILLS))] if self.fill == "any" else [self.fill]
        for fill in order:
            new = np.broadcast_to(colour_of(fill, image), old.shape)
            if self.fill != "any" or seen_share(new, old, alpha) >= _ENOUGH:
                return Edit(box, new, alpha, {"fill": fill})
        raise DataError(f"no fill is seen on half of the region with a strength of {self.strength:g}")


def colour_of(fill: str, image: Image) -> NDArray[np.float32]:
    """Return (C,) float32: the value of a fill as a fraction of full scale."""
    if fill == "mean":
        mean: NDArray[np.float64] = image.pixels.reshape(-1, image.channels).mean(axis=0, dtype=np.float64)
        return (mean / image.white).astype(np.float32)
    return np.full(image.channels, {"black": 0.0, "white": 1.0, "grey": 0.5}[fill], np.float32)
