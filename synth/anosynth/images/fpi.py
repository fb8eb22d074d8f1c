"""A mirrored square of another place, mixed into the image."""

from __future__ import annotations

from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Edit, ImageGenerator
from ._place import kept, made_visible, other_place, outline_alpha, placed
from ._sample import Image, Mask


class Fpi(ImageGenerator):
    """Square of another place of the image, mirrored and interpolated

    patch = (1 - blend) * here + blend * there; `blend` is in the record as `label`, the graded label of the paper.

    Source: FPI (Tan et al., MELBA 2022): an interpolation factor from 0.05 to 0.95 and squares of 0.1 to 0.4 of the
    side. There the other pixels are those of another image at the same place; here they are those of another place of
    the same image, mirrored across, up-down or both (ours). Where they would hardly be seen, as on flat images, they
    are shifted in brightness as well (ours).
    """

    blend: float = param(0.5, ge=0.05, le=1, vary=(0.05, 0.95), help="weight of the other place's pixels")
    width: float = param(
        0.2, gt=0, le=0.8, vary=(0.1, 0.4), unit="of the shorter side", help="side of the square, at least 4 px"
    )
    softness: float = param(0.0, ge=0, le=1, help="share of half the side over which the edge fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        side = max(4, round(self.width * image.side))
        box = placed(image, free, (side, side), rng.child("place"))
        alpha = kept(outline_alpha("rectangle", (side, side), rng, softness=self.softness), free, box)
        source = other_place(box, image.shape, rng.child("source"))
        mirror = rng.child("mirror").integer(1, 3)
        there = image.crop(source)[:: -1 if mirror & 1 else 1, :: -1 if mirror & 2 else 1]
        alpha *= alpha.dtype.type(self.blend)
        there, shift = made_visible(there, image.crop(box), alpha, rng.child("shift"))
        return Edit(box, there, alpha, {"label": self.blend, "source": list(source), "shift": shift})
