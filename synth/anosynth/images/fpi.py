"""A mirrored square of another place, mixed into the image."""

from __future__ import annotations

import numpy as np

from anosynth.params import Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Box, Edit
from ._outline import outline_alpha
from ._place import Alpha, kept, made_visible, other_place, placed
from ._sample import Image, Mask


class Fpi(ImageGenerator):
    """Square of another place of the image, mirrored and interpolated

    patch = (1 - blend) * here + blend * there; the graded label of a pixel is the weight of `there` wherever it
    visibly changed: `blend` inside, less where a soft edge fades, 0 elsewhere; severity does not lower it.

    Source: FPI (Tan et al., MELBA 2022): an interpolation factor from 0.05 to 0.95 and squares of 0.1 to 0.4 of the
    side. There the other pixels are those of another image at the same place, and the square is centred in the middle
    80 % of the image; here they are those of another place of the same image, mirrored across, up-down or both, and
    the square lies anywhere (ours). Where they would hardly be seen, as on flat images, they are shifted in brightness
    as well (ours).
    """

    blend: float = param(0.5, ge=0.05, le=1, vary=(0.05, 0.95), help="weight of the other place's pixels")
    width: Size = param(
        0.2, gt=0, le=0.8, vary=(0.1, 0.4), unit="of the shorter side", help="side of the square, at least 4 px"
    )
    softness: float = param(0.0, ge=0, le=1, help="share of half the side over which the edge fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        box, source, there = square_pair(image, self.width, rng, free)
        size = (box[2] - box[0], box[3] - box[1])
        alpha = kept(outline_alpha("rectangle", size, rng, softness=self.softness), free, box)
        alpha *= np.float32(self.blend)
        there, shift = made_visible(there, image, box, alpha, rng.child("shift"))
        return Edit(box, there, alpha, {"label": self.blend, "source": list(source), "shift": shift}, alpha)


def square_pair(image: Image, width: float | str, rng: Rng, free: Mask, *, least: int = 4) -> tuple[Box, Box, Alpha]:
    """Return a square's box, another box of its size, and that one's pixels (h, w, C), mirrored.

    Args:
        width: side, a `Size`.
        least: smallest side in pixels.

    Raises:
        DataError: no pixel is free, or there is no other place.
    """
    side = max(least, round(min(image.length(width), image.side)))
    box = placed(image, free, (side, side), rng.child("place"))
    source = other_place(box, image.shape, rng.child("source"))
    mirror = rng.child("mirror").integer(1, 3)
    return box, source, image.crop(source)[:: -1 if mirror & 1 else 1, :: -1 if mirror & 2 else 1]
