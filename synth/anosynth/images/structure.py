"""The image's own parts in wrong places."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from anosynth.errors import DataError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._perlin import Law, Region, perlin_region
from ._sample import Image, Mask
from ._seats import reachable
from .perlin_texture import augmented_at, listed, shown, shuffled


class Structure(ImageGenerator):
    """The image's own tiles or strips in wrong places, in a Perlin mask or on the whole foreground

    I' = (1 - M) I + M [blend S + (1 - blend) I], S the image with its grid x grid tiles permuted uniformly ("grid"),
    or its columns and then its rows cut in `grid` strips of which the odd and the even ones are permuted among
    themselves ("strips"), put through three of the operators of `augment`. Tiles have whole sizes; what is left over
    stays in place. M as in perlin-texture.

    Source: Yang et al., MemSeg, 2023 (grid), and Zhang et al., DiffusionAD, 2023 (strips). There the operators come
    before the shuffle and see the whole image; here they see the box of the mask only.
    """

    shuffle: Literal["grid", "strips"] = param("grid", help="permute tiles, or strips along each axis")
    grid: int = param(8, ge=2, le=64, help="tiles or strips along a side")
    region: Literal["perlin", "foreground"] = param("perlin", help="where: in a Perlin mask or on all that is free")
    coarsest: int = param(0, ge=0, le=8, help="least power of two of lattice cells along a side")
    finest: int = param(5, ge=0, le=8, help="largest power of two of lattice cells along a side")
    rotation: float = param(90.0, ge=0, le=180, unit="degrees", help="largest turn of the noise")
    threshold: float = param(0.5, ge=0, le=0.95, help="noise above it is anomalous")
    area: float = param(
        0.0, ge=0, le=0.5, unit="of the foreground", help="area of the mask; 0 leaves it to the threshold"
    )
    augment: Literal["none", "draem", "onenip", "glass", "anomalib"] = param(
        "draem", help="operators of which three change the shuffled image"
    )
    blend: float = param(0.7, gt=0, le=1, vary=(0.15, 1.0), help="weight of the shuffled image")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        where = self._region(image, rng.child("region"), reachable(image, free))
        source = shuffled(image, where.box, rng.child("shuffle"), self.shuffle, self.grid)
        pixels, names = augmented_at(source, where, rng.child("augment"), self.augment)
        pixels = shown(pixels, image, where, self.blend)
        stats: dict[str, Any] = {"operators": ",".join(names), **where.stats}
        return listed(where, pixels, self.blend, stats)

    def _region(self, image: Image, rng: Rng, free: Mask) -> Region:
        if self.region == "perlin":
            law = Law(self.coarsest, self.finest, self.rotation, self.threshold, self.area, "single", "upper")
            return perlin_region(image, free, rng, law)
        rows, columns = np.flatnonzero(free.any(axis=1)), np.flatnonzero(free.any(axis=0))
        if not len(rows):
            raise DataError("earlier defects of this sample cover the foreground: there is nowhere to put another")
        box = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        return Region(box, np.flatnonzero(free[box[0] : box[2], box[1] : box[3]]), None, {})
