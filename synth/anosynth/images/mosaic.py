"""A region in coarse pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.params import Area, Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._outline import Outline, shaped
from ._place import seen_share
from ._sample import Image, Mask
from ._seats import oriented

_PLACES = 8
_ENOUGH = 0.3


class Mosaic(ImageGenerator):
    """Region in which every cell of a grid has its mean colour

    Only what has detail can lose it: of up to eight places, the first is taken where the change is seen in 30 % of the
    region, else the best one. A flat image cannot be made into a mosaic.

    Source: EAR (Park et al., 2023), which covers a region by a mosaic rather than by one colour; where it finds the
    region by a network's attention, this draws it (ours).
    """

    cell: Size = param(
        0.04, gt=0, le=0.5, vary=(0.02, 0.08), unit="of the shorter side", help="side of a cell, at least 2 px"
    )
    area: Area = param(0.05, gt=0, le=0.5, vary=(0.02, 0.12), unit="of the image", help="area of the region")
    aspect: float = param(1.0, ge=0.05, le=20, vary=(0.5, 2.0, "log"), help="width of the region over its height")
    orientation: float = oriented("the width")
    strength: float = param(1.0, gt=0, le=1, help="weight of the mosaic")
    outline: Outline = param("rectangle", vary="rectangle|ellipse|blob", help="shape of the region")
    softness: float = param(0.0, ge=0, le=1, help="share of the region's radius over which its edge fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        cell = min(max(2, round(image.length(self.cell))), max(image.shape))
        tried: list[tuple[float, Edit]] = []
        for number in range(_PLACES):
            place = rng.child("place", number)
            box, alpha = shaped(self, image, place, free)
            alpha *= np.float32(self.strength)
            old = image.crop(box)
            new = cell_means(old, cell)
            tried.append((seen_share(new, old, alpha), Edit(box, new, alpha, {"cell_px": cell})))
            if tried[-1][0] >= _ENOUGH:
                break
        return max(tried, key=lambda pair: pair[0])[1]


def cell_means(pixels: NDArray[np.float32], cell: int) -> NDArray[np.float32]:
    """Return `pixels` (h, w, C) with every cell of `cell` x `cell` px, from the top left, at its mean.

    The cells at the right and the bottom are what is left over.
    """
    h, w = pixels.shape[:2]
    rows, columns = np.arange(0, h, cell), np.arange(0, w, cell)
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(np.float64), rows, axis=0), columns, axis=1)
    heights, widths = np.minimum(cell, h - rows), np.minimum(cell, w - columns)
    means = (sums / (heights[:, None] * widths[None, :])[:, :, None]).astype(np.float32)
    return np.repeat(np.repeat(means, heights, axis=0), widths, axis=1)
