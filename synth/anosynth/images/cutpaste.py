"""A piece of the image pasted elsewhere."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.generator import Anomaly
from anosynth.noise import _fast
from anosynth.params import Area, Size, param
from anosynth.seeding import Rng, RngLike, as_rng

from ._augment import LUMA
from ._base import ImageGenerator
from ._edit import Box, Edit, strips
from ._place import kept, made_visible, moved_inside, other_place, placed, rectangle
from ._sample import Array, Image, Mask
from ._seats import heading

Pixels = NDArray[np.float32]

_CHROMA = ((0.955986, 0.620825), (-0.272013, -0.647204), (-1.106740, 1.704230))
_LEAST_SCAR = (2, 8)


class Cutpaste(ImageGenerator):
    """Piece of the image, jittered in colour and pasted elsewhere

    normal: a rectangle of `area` and `aspect`. scar: a strip of `width` and `length` in the direction `orientation`,
    with bilinear edges. union: one or the other, with equal probability. The piece comes from any other place of the
    image. Brightness, contrast and saturation are multiplied by factors from 1 - jitter to 1 + jitter and the hue is
    turned by up to jitter * 360 degrees, at most 180; if there are not three channels, each has a brightness and a
    contrast of its own. A piece that would hardly be seen where it lands, as on flat images, is shifted in brightness
    as well (ours).

    Source: CutPaste (Li et al., CVPR 2021) for the three modes, areas, aspects, jitter and angles (within 45 degrees of
    upright); its strips of 2 to 16 by 10 to 25 px of 256 are fractions of the shorter side here. The hue turns in the
    YIQ plane, not in HSV.
    """

    mode: Literal["normal", "scar", "union"] = param("union", help="rectangle, narrow turned strip, or either")
    area: Area = param(0.06, gt=0, le=0.5, vary=(0.02, 0.15), unit="of the image", help="area of the rectangle")
    aspect: float = param(1.0, ge=0.05, le=20, vary=(0.3, 3.3, "log"), help="width of the rectangle over its height")
    width: Size = param(
        0.03, gt=0, le=0.5, vary=(0.008, 0.06), unit="of the shorter side", help="width of the strip, at least 2 px"
    )
    length: Size = param(
        0.07, gt=0, le=1, vary=(0.04, 0.1), unit="of the shorter side", help="length of the strip, at least 8 px"
    )
    orientation: float = param(
        90.0,
        ge=-180,
        le=180,
        vary=(45.0, 135.0),
        unit="degrees",
        help="direction of the strip, from right (0) towards down (90)",
    )
    jitter: float = param(0.1, ge=0, le=1, vary=(0.0, 0.2), help="largest change of the piece's colours")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        mode = self.mode
        if mode == "union":
            mode = "normal" if rng.child("mode").sign() > 0 else "scar"
        if mode == "normal":
            area = min(image.share(self.area), 0.5)
            box = rectangle(image, rng.child("place"), free, area=area, aspect=self.aspect)
            alpha = np.ones((box[2] - box[0], box[3] - box[1]), np.float32)
            source = other_place(box, image.shape, rng.child("source"))
            piece = image.crop(source)
        else:
            box, source, piece, alpha = self._scar(image, rng, free)
        alpha = kept(alpha, free, box)
        piece = jittered(
            piece, self.jitter, rng.child("jitter"), exact=mode == "normal" and few_bits(image, box), out=piece
        )
        piece, shift = made_visible(piece, image, box, alpha, rng.child("shift"))
        return Edit(box, piece, alpha, {"mode": mode, "source": list(source), "shift": shift})

    def _scar(self, image: Image, rng: Rng, free: Mask) -> tuple[Box, Box, Pixels, Pixels]:
        # The strip keeps clear of the image's size, so that there always is another place to cut it from.
        h = min(max(round(image.length(self.length)), _LEAST_SCAR[1]), image.shape[0])
        w = min(max(round(image.length(self.width)), _LEAST_SCAR[0]), image.shape[1] - 1)
        sine, cosine = heading(self.orientation - 90.0)
        # Odd in an odd box, even in an even one: a strip that is not turned then lies on whole pixels.
        reach = (math.ceil(h * abs(cosine) + w * abs(sine)) + 1, math.ceil(w * abs(cosine) + h * abs(sine)) + 1)
        size = (reach[0] + (reach[0] - h) % 2, reach[1] + (reach[1] - w) % 2)
        box = placed(image, free, size, rng.child("place"))
        own = moved_inside(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2), (h, w), image.shape)
        source = other_place(own, image.shape, rng.child("source"))
        piece, alpha = turned(image.crop(source), sine, cosine, (box[2] - box[0], box[3] - box[1]))
        return box, source, piece, alpha


def three_way(
    image: Image | Array, rng: RngLike = None, generator: Cutpaste | None = None
) -> tuple[Image | Array, Anomaly, Anomaly]:
    """Return (image, rectangle, scar): the three classes of CutPaste's 3-way classifier, of one image.

    Args:
        image: pixels (H, W) or (H, W, C), or an `Image`; it is returned as it is.
        rng: decides both; the two have streams of their own.
        generator: the parameters of both but `mode`; the defaults if there is none.

    Raises:
        NotMade: one of the two could not be made.
    """
    base, stream = generator or Cutpaste(), as_rng(rng)
    cut, scar = (
        base.model_copy(update={"mode": mode})(image, stream.child("three-way", mode)) for mode in ("normal", "scar")
    )
    return image, cut, scar


def turned(piece: Pixels, sine: float, cosine: float, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Return `piece` (h, w, C) turned about its centre, in a box of `size`, and its alpha.

    Both are bilinear: alpha is what a piece of ones in a world of zeros would give, and the colours are not mixed with
    that world.
    """
    kernels = _fast.compiled("anosynth.images._compiled_edit")
    if kernels is not None:
        new, weights = np.zeros((*size, piece.shape[2]), np.float32), np.zeros(size, np.float32)
        kernels.turn_piece(piece, sine, cosine, new, weights)
        return new, weights
    h, w = piece.shape[:2]
    y = (np.arange(size[0], dtype=np.float64) - 0.5 * (size[0] - 1))[:, None]
    x = (np.arange(size[1], dtype=np.float64) - 0.5 * (size[1] - 1))[None, :]
    v = y * cosine - x * sine + 0.5 * (h - 1)
    u = x * cosine + y * sine + 0.5 * (w - 1)
    alpha = np.clip(np.minimum(v + 1, h - v), 0, 1) * np.clip(np.minimum(u + 1, w - u), 0, 1)
    v, u = np.clip(v, 0, h - 1), np.clip(u, 0, w - 1)
    top, left = np.floor(v).astype(np.intp), np.floor(u).astype(np.intp)
    bottom, right = np.minimum(top + 1, h - 1), np.minimum(left + 1, w - 1)
    down, across = ((part % 1.0).astype(np.float32)[:, :, None] for part in (v, u))
    upper = piece[top, left] + across * (piece[top, right] - piece[top, left])
    lower = piece[bottom, left] + across * (piece[bottom, right] - piece[bottom, left])
    return upper + down * (lower - upper), alpha.astype(np.float32)


def few_bits(image: Image, box: Box) -> bool:
    """Return whether sums over a box of the image are exact in float64, so that the order of adding up is free.

    Levels of 8 bits as float32 fractions are multiples of 2^-31.
    """
    return image.pixels.dtype == np.uint8 and (box[2] - box[0]) * (box[3] - box[1]) <= 2**22


def jittered(piece: Pixels, jitter: float, rng: Rng, *, exact: bool = False, out: Pixels | None = None) -> Pixels:
    """Return `piece` (h, w, C) with other brightness and contrast, and for three channels other saturation and hue.

    Values are clipped to [0, 1] if anything is done, as a picture's would be.

    Args:
        exact: the sum of the piece's values is the same in any order.
        out: what a piece of three channels may be written to, also the piece itself.
    """
    if jitter <= 0:
        return piece
    channels = piece.shape[2]
    groups = 1 if channels == 3 else channels
    factors = 1.0 + jitter * (2.0 * rng.child("tone").random(2 * groups) - 1.0)
    brightness, contrast = factors[:groups], factors[groups:]
    mean = mean_of(piece, exact=exact)
    if channels == 3:
        mean = np.array([sum(part * weight for part, weight in zip(mean, LUMA, strict=True))])
    slope, offset = brightness * contrast, mean * brightness * (1.0 - contrast)
    if channels != 3:
        new: Pixels = piece * slope.astype(np.float32) + offset.astype(np.float32)
    else:
        saturation = 1.0 + jitter * rng.child("saturation").uniform(-1, 1)
        matrix = recolouring(saturation, 2 * math.pi * min(jitter, 0.5) * rng.child("hue").uniform(-1, 1))
        # All of it is linear, and grey stays grey: one pass does for what would be four.
        matrix, new = (matrix * slope).astype(np.float32), np.empty_like(piece) if out is None else out
        kernels = _fast.compiled("anosynth.images._compiled_edit")
        if kernels is not None:
            kernels.recoloured(np.ascontiguousarray(piece), matrix, np.float32(offset[0]), new)
            return new
        for rows in strips(*piece.shape[:2]):
            planes = np.ascontiguousarray(np.moveaxis(piece[rows], 2, 0))
            for channel, row in enumerate(matrix):
                part = row[0] * planes[0]
                part += row[1] * planes[1]
                part += row[2] * planes[2]
                part += np.float32(offset[0])
                np.minimum(np.maximum(part, np.float32(0), out=part), np.float32(1), out=new[rows, :, channel])
        return new
    np.maximum(new, np.float32(0), out=new)
    return np.minimum(new, np.float32(1), out=new)


def mean_of(piece: Pixels, *, exact: bool = False) -> NDArray[np.float64]:
    """Return the mean of each channel of (h, w, C), of several channels added up one pixel after the other.

    If that is said to be `exact`, in any order.
    """
    kernels = _fast.compiled("anosynth.images._compiled_edit")
    h, w, channels = piece.shape
    total = np.zeros(channels)
    if channels == 1:
        total[0] = piece.sum(dtype=np.float64)
    elif exact:
        total[:] = [piece[:, :, channel].sum(dtype=np.float64) for channel in range(channels)]
    elif kernels is not None:
        kernels.sums(np.ascontiguousarray(piece), total)
    else:
        total[:] = [steady.total(piece[:, :, channel].reshape(-1).astype(np.float64)) for channel in range(channels)]
    mean: NDArray[np.float64] = total / (h * w)
    return mean


def recolouring(saturation: float, angle: float) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that stretches the chroma of RGB and turns it about the grey axis; the luma stays."""
    c, s = (saturation * float(f(angle)) for f in (steady.cos, steady.sin))
    luma, i, q = (np.array(row) for row in (LUMA, (0.595901, -0.274557, -0.321344), (0.211537, -0.522736, 0.311199)))
    i, q = c * i - s * q, s * i + c * q
    return np.stack([luma + a * i + b * q for a, b in _CHROMA])
