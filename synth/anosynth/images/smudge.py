"""A smudge of one colour."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import FLOOR, Box, Edit
from ._outline import outlined
from ._place import kept
from ._sample import Image, Mask
from ._seats import oriented, reachable

_COLOURS = 16
_EXPONENTS = 5
_LEAST_CELL = 8


class Smudge(ImageGenerator):
    """Smudge of one random colour, as a blob or in the pattern of Perlin noise

    (1 - strength) * old + strength * colour inside the outline, the colour uniform in every channel. perlin: where
    noise with 2^0 to 2^5 cells down and across is largest, cut so that `area` of the free pixels is covered; blob: one
    organic spot.

    Source: DSR (Zavrtanik et al., ECCV 2022), where the weight of the colour is 0.2 to 1 and the noise is cut at a
    fixed level and turned about its centre instead. That a colour nobody could see there is drawn again is ours, and
    so is the blob.
    """

    strength: float = param(0.6, ge=0.05, le=1, vary=(0.2, 1.0), help="weight of the colour")
    outline: Literal["perlin", "blob"] = param("perlin", vary="perlin|blob", help="shape of the smudge")
    area: Area = param(0.05, gt=0, le=0.5, vary=(0.01, 0.12), unit="of the image", help="area of the smudge")
    aspect: float = param(1.0, ge=0.05, le=20, vary=(0.5, 2.0, "log"), help="width of a blob over its height")
    orientation: float = oriented("a blob's width")
    softness: float = param(0.2, ge=0, le=1, vary=(0.0, 0.6), help="share of a blob's slope that fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        if self.outline == "perlin":
            area = min(image.share(self.area), 0.5)
            box, alpha = perlin_spots(image.shape, rng.child("outline"), reachable(image, free), area)
        else:
            box, alpha = outlined(
                image,
                rng,
                free,
                outline="blob",
                area=self.area,
                aspect=self.aspect,
                softness=self.softness,
                orientation=self.orientation,
            )
        covered = image.pixels[box[0] : box[2], box[1] : box[3]][alpha > 0].reshape(-1, image.channels)
        mean = covered.mean(axis=0, dtype=np.float64) / image.white
        colour = visible_colour(mean, self.strength, rng.child("colour"))
        pixels = np.broadcast_to(colour.astype(np.float32), (*alpha.shape, image.channels))
        alpha *= np.float32(self.strength)
        return Edit(box, pixels, alpha, {"outline": self.outline, "colour": colour.round(4).tolist()})


def perlin_spots(shape: tuple[int, int], rng: Rng, free: Mask, area: float) -> tuple[Box, NDArray[np.float32]]:
    """Return the box and the alpha, 0 or 1, of the highest places of one octave of noise over the whole image.

    Args:
        area: share of the image, at most the share that is free.
    """
    exponents = (rng.child("down").integer(0, _EXPONENTS), rng.child("across").integer(0, _EXPONENTS))
    down, across = (min(2.0**e, max(1.0, size / _LEAST_CELL)) for e, size in zip(exponents, shape, strict=True))
    noise = lattice(shape, (down, across), rng.child("noise"))
    values = noise[free]
    wanted = min(len(values), max(16, round(area * free.size)))
    if not wanted:
        raise DataError("no pixel is free for another defect")
    level = np.partition(values, len(values) - wanted)[len(values) - wanted]
    spots = (noise > level) & free
    # Noise is 0 at all nodes of its lattice: many pixels may share the level.
    tied = np.flatnonzero((noise == level) & free)
    spots.ravel()[tied[: wanted - int(spots.sum())]] = True
    rows, columns = np.flatnonzero(spots.any(axis=1)), np.flatnonzero(spots.any(axis=0))
    box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    return box, kept(np.ones((box[2] - box[0], box[3] - box[1]), np.float32), spots, box)


def visible_colour(mean: NDArray[np.float64], strength: float, rng: Rng) -> NDArray[np.float64]:
    """Return a colour (C,) in [0, 1] that is seen over one of `mean` (C,) when laid on with weight `strength`.

    Uniform draws, of which the first is taken that is far enough in one channel; if none is, black or white.
    """
    channels = len(mean)
    for number in range(_COLOURS):
        colour = rng.child(number).random(channels)
        if strength * np.abs(colour - mean).max() >= 4 * FLOOR:
            return colour
    return np.full(channels, 1.0 if math.fsum(mean) < 0.5 * channels else 0.0)
