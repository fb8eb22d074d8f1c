"""Foreign texture in a thresholded Perlin mask: DRAEM and its children."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import Impossible, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._augment import augmented
from ._base import ImageGenerator
from ._edit import FLOOR, Box, Edit, in_image, taken
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
        plain = self.augment == "none"
        whole = self.source == "noise" and not plain
        region = perlin_region(image, reachable(image, free), rng.child("region"), self.law, whole=whole)
        source = self._source(image, region, rng.child("source"), stats)
        pixels, names = augmented_at(source, region, rng.child("augment"), self.augment)
        pixels = shown(pixels, image, region, weight)
        stats |= {"operators": ",".join(names), **region.stats}
        return listed(region, pixels, weight, stats)

    @property
    def law(self) -> Law:
        """What decides the mask."""
        return Law(self.coarsest, self.finest, self.rotation, self.threshold, self.area, self.combine, self.tails)

    def _source(self, image: Image, region: Region, rng: Rng, stats: dict[str, Any]) -> Levels:
        shape = region.shape
        if self.structure > 0 and rng.child("structure").uniform() < self.structure:
            stats["source"] = self.shuffle
            return shuffled(image, region.box, rng.child("shuffle"), self.shuffle, _TILES)
        stats["source"] = self.source
        if self.source == "folder":
            if not self.textures:
                raise ParameterError("`textures`: none: source `folder` needs a folder of pictures")
            folder = texture_folder(self.textures)
            stats["texture"] = folder.choose(rng.child("file"))
            return Levels(folder.levels(stats["texture"], image.shape, region.box, image.channels), 255.0)
        if self.source == "self":
            top, left, bottom, right = region.box
            return Levels(image.pixels[top:bottom, left:right].reshape(*shape, image.channels), image.white)
        if self.source == "colour":
            colour = rng.child("colour").random(image.channels).astype(np.float32)
            return Levels(np.broadcast_to(colour, (*shape, image.channels)), 1.0)
        if self.source == "noise":
            if region.level is None:
                assert region.values is not None
                return Levels(np.broadcast_to(grey_of(region.values), (image.channels, len(region.places))), 1.0, True)
            return Levels(np.repeat(grey_of(region.level)[:, :, None], image.channels, axis=2), 1.0)
        return Levels(texture(self.kind, shape, image.channels, rng.child("texture")), 1.0)


class Levels(NamedTuple):
    """A source in levels of its own, which are made fractions where they are needed only.

    Attributes:
        pixels: (h, w, C), or (C, K) if it is `listed`: at the places of the mask only.
        white: the level of full scale.
    """

    pixels: NDArray[Any]
    white: float
    listed: bool = False

    def fractions(self, pixels: NDArray[Any]) -> Floats:
        """Return some of the pixels as float32 fractions of full scale."""
        levels: Floats = pixels.astype(np.float32, copy=False)
        return levels if self.white == 1 else levels / np.float32(self.white)


def grey_of(noise: Floats) -> Floats:
    """Return 0.25 + 0.5 times the noise, from 0 to 1."""
    grey: Floats = np.clip(np.float32(0.25) + np.float32(0.5) * np.maximum(noise, -1), 0, 1)
    return grey


def augmented_at(source: Levels, region: Region, rng: Rng, operators: str) -> tuple[Floats, list[str]]:
    """Return the source behind three operators of a set at the places of the mask, (C, K), and their names."""
    if operators != "none":
        pixels, names = augmented(source.fractions(source.pixels), rng, operators, places=region.places)
        return taken(pixels, region.places), names
    at = source.pixels if source.listed else taken(source.pixels, region.places)
    return source.fractions(at), []


def listed(region: Region, pixels: Floats, weight: float, stats: dict[str, Any]) -> Edit:
    """Return the edit that blends (C, K) `pixels` in on the mask with one weight."""
    alpha = np.full(len(region.places), weight, np.float32)
    return Edit(region.box, pixels, alpha, stats, places=region.places)


def clipped_normal(rng: Rng) -> float:
    """Draw from clip(N(0.5, 0.1), 0.2, 0.8), the law of GLASS."""
    return min(max(0.5 + 0.1 * float(rng.normal(1)[0]), 0.2), 0.8)


def shuffled(image: Image, box: Box, rng: Rng, shuffle: str, tiles: int) -> Levels:
    """Return what lies in `box` when the whole image is shuffled."""
    places = grid_places if shuffle == "grid" else strip_places
    rows, columns = places(image.shape, tiles, rng)
    top, left, bottom, right = box
    part = image.pixels[rows[top:bottom, left:right], columns[top:bottom, left:right]]
    return Levels(part.reshape(bottom - top, right - left, image.channels), image.white)


def shown(pixels: Floats, image: Image, region: Region, weight: float) -> Floats:
    """Return (C, K) `pixels` of the mask, moved towards mid-grey if under a tenth of it would be seen to change.

    Flat images shuffled, and sources that happen to be like the image, would give samples without a defect.
    """
    # A few thousand of the pixels tell as much as all.
    step = max(1, len(region.places) // _ASKED)
    some = in_image(region.places[::step], region.box, image.shape[1])
    old = taken(image.pixels.reshape(*image.shape, image.channels), some).astype(np.float32)
    old /= np.float32(image.white)
    change = np.zeros(len(some), dtype=np.float32)
    for new, here in zip(pixels, old, strict=True):
        np.maximum(change, np.abs(new[::step] - here), out=change)
    change *= np.float32(weight)
    if np.count_nonzero(change >= np.float32(FLOOR)) >= _LEAST_SHOWN * len(change):
        return pixels
    shift = min(max(0.3, 1.5 * FLOOR / weight), 0.5)
    # Pixel by pixel, because the order of a sum shows in its last bits.
    way = 1 if float(np.ascontiguousarray(old.T).mean(dtype=np.float64)) < 0.5 else -1
    moved: Floats = np.clip(pixels + np.float32(way * shift), np.float32(0), np.float32(1))
    return moved
