"""Something that should be there and is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import FLOOR, Box, Edit, ImageGenerator
from ._fill import continued, membrane
from ._place import BLOB_SHARE, blob, box_around, centre_of, moved_inside, rectangle_size
from ._sample import Image, Mask
from ._seats import oriented
from ._visible import CLEAR, LEAST, shares

Alpha = NDArray[np.float32]

_TRIES = 24
_WHOLE = 1.0
"""From this ratio of the mean change to the unevenness of the rim on, a place is good."""
_COARSE = 40
"""Sides in pixels at which places are compared."""


class MissingPart(ImageGenerator):
    """Part of the image that is gone, as if its surroundings went on

    Inside an irregular outline the pixels follow Laplace's equation from the ones around it, plus gradient noise of
    the surroundings' strength in four bands.

    Ours. On an even surface nothing would be missing: 24 places are tried for a visible change within an
    even rim.
    """

    strength: float = param(1.0, gt=0, le=1, help="weight of the filling")
    area: Area = param(0.02, gt=0, le=0.5, vary=(0.005, 0.04), unit="of the image", help="size of the part")
    elongation: float = param(1.3, ge=1, le=10, vary=(1.0, 2.0), help="ratio of the longer to the shorter side")
    orientation: float = oriented()
    softness: float = param(0.08, ge=0, le=1, vary=(0.05, 0.25), help="share of the outline's slope that fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        share = min(image.share(self.area), 0.5) / BLOB_SHARE
        h, w = (max(5, side) for side in rectangle_size(image.shape, area=share, aspect=self.elongation))
        outline = blob((h, w), rng.child("outline"), softness=self.softness, orientation=self.orientation)
        outline = _inner(outline, image.shape)
        places = rng.child("place")
        best, most = None, -1.0
        for _ in range(_TRIES):
            box, alpha = _framed(outline, centre_of(image, free, places), image.shape)
            clear, score = _preview(image, box, alpha)
            if score > most:
                best, most = (box, alpha), score
            if clear >= CLEAR and score >= _WHOLE:
                break
        if best is None:
            raise DataError("the part would be the whole image")
        box, alpha = best
        filled = continued(image.crop(box), alpha > 0, rng.child("grain"))
        edit = Edit(box, filled, alpha * np.float32(self.strength), {"size": [h, w]})
        if shares(edit, image)[0] < LEAST:
            raise DataError(f"{_TRIES} places tried: the image is too even there for a missing part to show")
        return edit


def _inner(outline: Alpha, shape: tuple[int, int]) -> Alpha:
    """Return the middle of an outline that is larger than an image of `shape`."""
    h, w = min(outline.shape[0], shape[0]), min(outline.shape[1], shape[1])
    top, left = (outline.shape[0] - h) // 2, (outline.shape[1] - w) // 2
    return outline[top : top + h, left : left + w]


def _framed(outline: Alpha, centre: tuple[int, int], shape: tuple[int, int]) -> tuple[Box, Alpha]:
    """Return the box of the outline with the frame of known pixels around it, and the outline in it."""
    size = (outline.shape[0], outline.shape[1])
    inner = moved_inside(centre, size, shape)
    margin = max(4, round(0.2 * min(size)))
    middle = (inner[0] + size[0] // 2, inner[1] + size[1] // 2)
    box = box_around(middle, (size[0] + 2 * margin, size[1] + 2 * margin), shape)
    alpha = np.zeros((box[2] - box[0], box[3] - box[1]), np.float32)
    top, left = inner[0] - box[0], inner[1] - box[1]
    alpha[top : top + size[0], left : left + size[1]] = outline
    return box, alpha


def _preview(image: Image, box: Box, alpha: Alpha) -> tuple[float, float]:
    """Return the share on which a filling differs visibly from the image, and how good a place it is.

    Good is a large difference over an even rim: a part, and not half of one with the rest smeared over its place.
    Both are measured on block means.
    """
    step = max(1, min(alpha.shape) // _COARSE)
    h, w = alpha.shape[0] // step, alpha.shape[1] // step
    blocks = image.crop((box[0], box[1], box[0] + h * step, box[1] + w * step)).reshape(h, step, w, step, -1)
    old = blocks.mean(axis=(1, 3))
    hole = alpha[: h * step, : w * step].reshape(h, step, w, step).max(axis=(1, 3)) > 0
    if not hole.any() or hole.all():
        return 0.0, -1.0
    change = np.abs(membrane(old, hole) - old).max(axis=2)[hole]
    rim = float(old[~hole].std(axis=0).max())
    return float((change >= FLOOR).mean()), float(change.mean()) / (rim + FLOOR)
