"""Foreign texture in a thresholded Perlin mask: DRAEM and its children."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import Impossible, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._augment import augmented
from ._base import FLOOR, Box, Edit, ImageGenerator
from ._perlin import Law, Region, perlin_region
from ._sample import Image, Mask
from ._seats import reachable
from ._shuffle import grid_places, strip_places
from ._textures import texture, texture_folder

Floats = NDArray[np.float32]

_TILES = 8
_LEAST_SHOWN = 0.1
_ASKED = 4096


class PerlinTexture(ImageGenerator):
    """Foreign texture blended in where turned Perlin noise exceeds a threshold

    M = 1[R n > threshold], n gradient noise on a lattice of 2^a x 2^b cells, a and b uniform from `coarsest` to
    `finest`, R a turn by up to `rotation` about the centre; I' = (1 - M) I + M [w T + (1 - w) I], T the source, w the
    weight that `blend` gives. Cells keep at least four pixels. With `area` the threshold is the quantile that makes M
    that share of the foreground. Empty masks are drawn again. A source nobody could tell from the image is moved
    towards mid-grey.

    Source: Zavrtanik et al., DRAEM, ICCV 2021; the recipes draem, destseg, glass, realnet, diffusionad, onenip,
    anomalib, transfusion, dsr and memseg differ in values only. The procedural sources and the area are ours.
    """

    coarsest: int = param(0, ge=0, le=8, help="least power of two of lattice cells along a side")
    finest: int = param(5, ge=0, le=8, help="largest power of two of lattice cells along a side")
    rotation: float = param(90.0, ge=0, le=180, unit="degrees", help="largest turn of the noise")
    threshold: float = param(0.5, ge=0, le=0.95, help="noise above it is anomalous")
    area: float = param(
        0.0, ge=0, le=0.5, unit="of the foreground", help="area of the mask; 0 leaves it to the threshold"
    )
    combine: Literal["single", "union", "intersection", "glass"] = param(
        "single", help="one mask, two joined, two intersected, or one of these three at random"
    )
    tails: Literal["upper", "both"] = param("upper", help="threshold the noise or its absolute value")
    source: Literal["procedural", "folder", "self", "colour", "noise"] = param(
        "procedural", help="where the texture comes from; `noise` is 0.25 + 0.5 times the mask's own noise"
    )
    kind: Literal["any", "fractal", "stripes", "weave", "cells", "speckle"] = param(
        "any", help="kind of procedural texture"
    )
    textures: str = param("", help="folder of pictures for source `folder`")
    augment: Literal["none", "draem", "onenip", "glass", "anomalib"] = param(
        "draem", help="operators of which three change the source"
    )
    structure: float = param(0.0, ge=0, le=1, help="share of samples whose source is the image itself, shuffled")
    shuffle: Literal["grid", "strips"] = param("grid", help="8 x 8 tiles, or 8 strips along each axis")
    blend: float = param(0.7, ge=0, le=1, vary=(0.2, 1.0), help="weight of the side that `blend_side` names")
    blend_side: Literal["anomaly", "image"] = param("anomaly", help="what `blend` is the weight of")
    blend_law: Literal["uniform", "normal"] = param(
        "uniform", help="take `blend` as it was drawn, or clip(N(0.5, 0.1), 0.2, 0.8) instead"
    )

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        blend = clipped_normal(rng.child("blend")) if self.blend_law == "normal" else self.blend
        weight = blend if self.blend_side == "anomaly" else 1 - blend
        if weight <= 0:
            raise Impossible(f"`blend`: {self.blend}: leaves the image as it is")
        stats: dict[str, Any] = {"blend": blend}
        whole = self.source == "noise"
        region = perlin_region(image, reachable(image, free), rng.child("region"), self.law, whole=whole)
        pixels = self._source(image, region, rng.child("source"), stats)
        pixels, names = augmented(pixels, rng.child("augment"), self.augment, places=region.places)
        pixels = shown(pixels, image, region, weight)
        stats |= {"operators": ",".join(names), **region.stats}
        return Edit(region.box, pixels, region.filled(weight), stats)

    @property
    def law(self) -> Law:
        """What decides the mask."""
        return Law(self.coarsest, self.finest, self.rotation, self.threshold, self.area, self.combine, self.tails)

    def _source(self, image: Image, region: Region, rng: Rng, stats: dict[str, Any]) -> Floats:
        shape = region.shape
        if rng.child("structure").uniform() < self.structure:
            stats["source"] = self.shuffle
            return shuffled(image, region.box, rng.child("shuffle"), self.shuffle, _TILES)
        stats["source"] = self.source
        if self.source == "folder":
            if not self.textures:
                raise ParameterError("`textures`: none: source `folder` needs a folder of pictures")
            folder = texture_folder(self.textures)
            stats["texture"] = folder.choose(rng.child("file"))
            return folder.crop(stats["texture"], image.shape, region.box, image.channels)
        if self.source == "self":
            return image.crop(region.box)
        if self.source == "colour":
            colour = rng.child("colour").random(image.channels).astype(np.float32)
            return np.broadcast_to(colour, (*shape, image.channels))
        if self.source == "noise":
            assert region.level is not None
            grey = np.clip(np.float32(0.25) + np.float32(0.5) * np.maximum(region.level, -1), 0, 1)
            return np.repeat(grey[:, :, None], image.channels, axis=2)
        return texture(self.kind, shape, image.channels, rng.child("texture"))


def clipped_normal(rng: Rng) -> float:
    """Draw from clip(N(0.5, 0.1), 0.2, 0.8), the law of GLASS."""
    return min(max(0.5 + 0.1 * float(rng.normal(1)[0]), 0.2), 0.8)


def shuffled(image: Image, box: Box, rng: Rng, shuffle: str, tiles: int) -> Floats:
    """Return what lies in `box` when the whole image is shuffled, (h, w, C) float32 in fractions of full scale."""
    places = grid_places if shuffle == "grid" else strip_places
    rows, columns = places(image.shape, tiles, rng)
    top, left, bottom, right = box
    part = image.pixels[rows[top:bottom, left:right], columns[top:bottom, left:right]]
    part = part.reshape(bottom - top, right - left, image.channels)
    return part.astype(np.float32) / np.float32(image.white)


def shown(pixels: Floats, image: Image, region: Region, weight: float) -> Floats:
    """Return `pixels`, moved towards mid-grey if under a tenth of the mask would be seen to change.

    Flat images shuffled, and sources that happen to be like the image, would give samples without a defect.
    """
    # A few thousand of the pixels tell as much as all.
    rows, columns = np.divmod(region.places[:: max(1, len(region.places) // _ASKED)], region.shape[1])
    old = image.pixels[rows + region.box[0], columns + region.box[1]].reshape(-1, image.channels).astype(np.float32)
    old /= np.float32(image.white)
    change = np.zeros(len(rows), dtype=np.float32)
    for channel in range(image.channels):
        np.maximum(change, np.abs(pixels[rows, columns, channel] - old[:, channel]), out=change)
    change *= np.float32(weight)
    if np.count_nonzero(change >= np.float32(FLOOR)) >= _LEAST_SHOWN * len(change):
        return pixels
    step = min(max(0.3, 1.5 * FLOOR / weight), 0.5)
    way = 1 if float(old.mean(dtype=np.float64)) < 0.5 else -1
    moved: Floats = np.clip(pixels + np.float32(way * step), np.float32(0), np.float32(1))
    return moved
