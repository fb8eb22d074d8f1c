"""Organic blot."""

from __future__ import annotations

import numpy as np

from anosynth.noise import lattice
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._patch import Patch, contour, largest_change, patched
from ._sample import Image, Mask
from ._seats import oriented
from ._strokes import Field, darker, mean_of, smooth, tint, toned

_RAGGED = 0.9
_PERSISTENCE = 0.35
_BROWN = 0.75


class Stain(ImageGenerator):
    """Organic blot that tints what is under it

    new = old (1 - strength w_c v / mean), w_c the weight of channel c of a colour drawn for it, mean that of the pixels
    under it, and v = alpha (1 - 0.75 rim s(depth)) (1 + 0.25 noise): with `rim` the middle pales and the outer ring
    stays dark, as where coffee has dried. Three channels are taken as red, green and blue, and three stains in four
    are then yellow or brown. The outline is the contour of an elliptic dome plus fractal noise whose visible area is
    `area`. Where all is black, the stain is light.

    Ours; thresholded fractal noise as an outline is common.
    """

    strength: float = param(0.2, gt=0, le=1, vary=(0.08, 0.35), help="contrast")
    area: Area = param(
        0.02, gt=0, le=0.4, vary=(0.005, 0.05), unit="of the image", help="area, at most half the foreground"
    )
    elongation: float = param(1.3, ge=1, le=8, vary=(1.0, 2.5), help="ratio of the longer to the shorter axis")
    orientation: float = oriented()
    softness: float = param(0.4, ge=0, le=1, vary=(0.1, 0.9), help="width of the edge, from hard to all of it")
    rim: float = param(0.4, ge=0, le=1, vary=(0.0, 1.0), help="how much paler the middle is than the outer ring")
    octaves: int = param(3, ge=1, le=8, help="octaves of the outline's noise")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        weights = tint(image.channels, 0.4, rng.child("colour"))
        if image.channels == 3 and rng.child("brown").uniform() < _BROWN:
            weights = np.sort(weights)
        return patched(
            image,
            free,
            rng,
            lambda place, wanted: self._tinted(image, free, place, wanted, weights, rng),
            area=self.area,
            elongation=self.elongation,
            orientation=self.orientation,
            ragged=_RAGGED,
            octaves=self.octaves,
            persistence=_PERSISTENCE,
        )

    def _tinted(self, image: Image, free: Mask, place: Patch, wanted: float, weights: Field, rng: Rng) -> Edit:
        top, left, bottom, right = place.box
        old = image.crop(place.box)
        allowed = free[top:bottom, left:right]
        mean = mean_of(old[allowed & (place.height > np.median(place.height))])
        h, w = place.height.shape
        lump = max(3.0, 0.12 * min(h, w))
        cells = (max(1.0, h / lump), max(1.0, w / lump))
        mottle = 1 + np.float32(0.25) * lattice((h, w), cells, rng.child("mottle"), octaves=3)
        sign = np.float32(darker(mean) * self.strength)
        full = largest_change(old, toned(old, sign * mottle, mean, weights))
        slope = 0.05 + 0.75 * self.softness
        alpha, level = contour(place.height, slope, full, free, place.box, wanted)
        top_height = max(float(place.height.max()), level + 1e-3)
        depth = smooth((place.height - np.float32(level)) / np.float32(0.7 * (top_height - level)))
        amount = sign * mottle * alpha * (1 - np.float32(0.75 * self.rim) * depth)
        new = toned(old, amount, mean, weights)
        return Edit(place.box, new, (alpha > 0).astype(np.float32))
