"""Foreign texture in a thresholded Perlin mask: DRAEM and its children."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, Impossible, ParameterError
from anosynth.noise import lattice
from anosynth.params import param
from anosynth.seeding import Rng

from ._augment import augmented, bilinear, grid_places, strip_places
from ._base import FLOOR, LEAST_PIXELS, Box, Edit, ImageGenerator
from ._sample import Image, Mask
from ._textures import texture, texture_folder

Floats = NDArray[np.float32]

_OUTSIDE = np.float32(-2)
_BLOCK = 16
_AT_ONCE = 128
_DRAWS = 24
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
        region = perlin_region(image, free, rng.child("region"), self.law, whole=whole)
        pixels = self._source(image, region, rng.child("source"), stats)
        pixels, names = augmented(pixels, rng.child("augment"), self.augment)
        pixels = shown(pixels, image, region, weight)
        stats |= {"operators": ",".join(names), **region.stats}
        return Edit(region.box, pixels, region.mask * np.float32(weight), stats)

    @property
    def law(self) -> Law:
        """What decides the mask."""
        return Law(self.coarsest, self.finest, self.rotation, self.threshold, self.area, self.combine, self.tails)

    def _source(self, image: Image, region: Region, rng: Rng, stats: dict[str, Any]) -> Floats:
        top, left, bottom, right = region.box
        shape = (bottom - top, right - left)
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
            grey = np.clip(np.float32(0.25) + np.float32(0.5) * np.maximum(region.level, -1), 0, 1)
            return np.repeat(grey[:, :, None], image.channels, axis=2)
        return texture(self.kind, shape, image.channels, rng.child("texture"))


class Law(NamedTuple):
    """What decides a Perlin mask; the fields of `PerlinTexture`."""

    coarsest: int
    finest: int
    rotation: float
    threshold: float
    area: float
    combine: str
    tails: str


class Region(NamedTuple):
    """A mask with its box.

    Attributes:
        box: the least one that holds the mask.
        mask: (h, w) bool, some of it true.
        level: (h, w) float32, the noise behind it.
        stats: the drawn values.
    """

    box: Box
    mask: Mask
    level: Floats
    stats: dict[str, Any]


def perlin_region(image: Image, free: Mask, rng: Rng, law: Law, *, whole: bool = False) -> Region:
    """Draw masks until one has eight pixels on `free` (H, W).

    Args:
        whole: have the level of all pixels in `Region.level`, not only near the mask.

    Raises:
        DataError: none of 24 draws has that many.
    """
    foreground = free.size if image.foreground is None else int(image.foreground.sum())
    for draw in range(_DRAWS):
        stats: dict[str, Any] = {}
        level = _level(free.shape, rng.child("mask", draw), law, stats, whole or law.area > 0)
        if law.area > 0:
            mask = top_pixels(level, free, max(LEAST_PIXELS, round(law.area * foreground)))
        else:
            mask = level > np.float32(law.threshold)
            mask &= free
        rows = np.flatnonzero(mask.any(axis=1))
        if not len(rows):
            continue
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        columns = np.flatnonzero(mask[top:bottom].any(axis=0))
        left, right = int(columns[0]), int(columns[-1]) + 1
        mask = mask[top:bottom, left:right]
        if int(mask.sum()) >= LEAST_PIXELS:
            return Region((top, left, bottom, right), mask, level[top:bottom, left:right], {**stats, "draws": draw + 1})
    raise DataError(f"no noise above {law.threshold:g} on the free pixels in {_DRAWS} draws\nhint: lower threshold")


def _level(shape: tuple[int, ...], rng: Rng, law: Law, stats: dict[str, Any], whole: bool) -> Floats:
    """Return (H, W) float32: what is thresholded, one field or two combined."""
    combine = law.combine
    if combine == "glass":
        combine = ("single", "intersection", "union")[rng.child("combine").integer(0, 2)]
        stats["combine"] = combine
    floor = None if whole else law.threshold
    level = _turned_noise((shape[0], shape[1]), rng.child("first"), law, stats, "", floor)
    if combine == "single":
        return level
    other = _turned_noise((shape[0], shape[1]), rng.child("second"), law, stats, "_other", floor)
    join = np.maximum if combine == "union" else np.minimum
    return join(level, other, out=level)


def _turned_noise(
    shape: tuple[int, int], rng: Rng, law: Law, stats: dict[str, Any], suffix: str, floor: float | None
) -> Floats:
    low, high = sorted((law.coarsest, law.finest))
    # Below four pixels a cell is no longer a shape: its pixels lie on or next to the nodes, where the noise is 0.
    most = [int(math.log2(max(1.0, size / 4))) for size in shape]
    powers = [rng.child("cells", axis).integer(min(low, most[axis]), min(high, most[axis])) for axis in (0, 1)]
    noise = lattice(shape, (2.0 ** powers[0], 2.0 ** powers[1]), rng.child("noise"))
    angle = rng.child("rotation").uniform(-law.rotation, law.rotation)
    stats |= {f"cells{suffix}": f"{2 ** powers[0]}x{2 ** powers[1]}", f"rotation{suffix}": angle}
    if law.tails == "both":
        np.abs(noise, out=noise)
    return turned(noise, angle, floor)


def turned(level: Floats, degrees: float, floor: float | None = None) -> Floats:
    """Return `level` (H, W) turned about its centre, bilinear; -2 where it turns in from outside.

    With a `floor`, only values above it are sure to be right, all others are at most that or -2; few are, as a rule,
    so most blocks of the image need no interpolation.
    """
    if degrees == 0:
        return level
    height, width = level.shape
    down, across = -(-height // _BLOCK), -(-width // _BLOCK)
    cosine, sine = steady.cos(math.radians(degrees)), steady.sin(math.radians(degrees))
    middle_y, middle_x = 0.5 * (height - 1), 0.5 * (width - 1)
    dy = (np.arange(down) + 0.5)[:, None] * _BLOCK - 0.5 - middle_y
    dx = (np.arange(across) + 0.5) * _BLOCK - 0.5 - middle_x
    y, x = middle_y + cosine * dy + sine * dx, middle_x - sine * dy + cosine * dx
    wanted = np.ones((down, across), dtype=np.bool_)
    if floor is not None:
        wanted = _near_peaks(level, floor)[
            np.clip(y, 0, height - 1).astype(np.intp) // _BLOCK, np.clip(x, 0, width - 1).astype(np.intp) // _BLOCK
        ]
    out = np.full((down * _BLOCK, across * _BLOCK), _OUTSIDE)
    blocks = out.reshape(down, _BLOCK, across, _BLOCK)
    row, column = wanted.nonzero()
    inner = np.arange(_BLOCK) - 0.5 * (_BLOCK - 1)
    inner_y = cosine * inner[:, None] + sine * inner
    inner_x = cosine * inner - sine * inner[:, None]
    for first in range(0, len(row), _AT_ONCE):
        r, c = row[first : first + _AT_ONCE], column[first : first + _AT_ONCE]
        value, inside = bilinear(level, y[r, c][:, None, None] + inner_y, x[r, c][:, None, None] + inner_x)
        value[~inside] = _OUTSIDE
        blocks[r, :, c, :] = value
    return out[:height, :width]


def _near_peaks(level: Floats, floor: float) -> Mask:
    """Return which blocks of `level` hold a value above `floor` or touch one that does.

    A turned block reaches 0.71 blocks and a pixel from its centre, hence never beyond the neighbours.
    """
    peaks = _block_peaks(_block_peaks(level).T).T
    padded = np.pad(peaks > np.float32(floor), 1)
    padded = padded[:-2] | padded[1:-1] | padded[2:]
    near: Mask = padded[:, :-2] | padded[:, 1:-1] | padded[:, 2:]
    return near


def _block_peaks(level: Floats) -> Floats:
    """Return (ceil(H / 16), W): the largest of each 16 rows."""
    full = len(level) // _BLOCK
    peaks: Floats = level[: full * _BLOCK].reshape(full, _BLOCK, level.shape[1]).max(axis=1)
    if full * _BLOCK < len(level):
        peaks = np.concatenate([peaks, level[full * _BLOCK :].max(axis=0, keepdims=True)])
    return peaks


def top_pixels(level: Floats, free: Mask, number: int) -> Mask:
    """Return the `number` highest pixels of `level` on `free`, all if there are fewer; of equals the first."""
    values = level[free]
    chosen = np.ones(len(values), dtype=np.bool_)
    if number < len(values):
        least = np.partition(values, len(values) - number)[len(values) - number]
        chosen = values > least
        chosen[(values == least).nonzero()[0][: number - int(chosen.sum())]] = True
    mask = np.zeros(free.shape, dtype=np.bool_)
    mask[free] = chosen
    return mask


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
    top, left, _, _ = region.box
    rows, columns = region.mask.nonzero()
    # A few thousand of the pixels tell as much as all.
    some = slice(None, None, max(1, len(rows) // _ASKED))
    rows, columns = rows[some], columns[some]
    old = image.pixels[rows + top, columns + left].reshape(-1, image.channels).astype(np.float32)
    old /= np.float32(image.white)
    change = np.abs(pixels[rows, columns] - old).max(axis=1) * np.float32(weight)
    if (change >= np.float32(FLOOR)).mean() >= _LEAST_SHOWN:
        return pixels
    step = min(max(0.3, 1.5 * FLOOR / weight), 0.5)
    way = 1 if float(old.mean(dtype=np.float64)) < 0.5 else -1
    moved: Floats = np.clip(pixels + np.float32(way * step), np.float32(0), np.float32(1))
    return moved
