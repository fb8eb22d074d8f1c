"""Real defects, cut out of photos and transplanted."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np

from anosynth.errors import DataError, Impossible, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._bank import MARGIN, Cut, bank, fitted
from ._base import ImageGenerator
from ._edit import LEAST_PIXELS, Box, Edit
from ._outline import feather
from ._place import centre_of, moved_inside
from ._poisson import clone, fast_side
from ._sample import Image, Mask
from ._seats import heading
from ._shrink import shrunk
from ._turn import bilinear

_TRIES = 64
_CONTEXT = 4
"""Pixels around a defect whose gradients come along with it: its contrast lies there."""


class DefectBank(ImageGenerator):
    """Real defect from a folder of photos with masks, transplanted

    One photo of `bank` is drawn, then one of the connected parts of its mask: that defect is flipped, scaled by
    `scale`, turned by `orientation` and put where at least `object_share` of it lies on the foreground (64 places are
    tried). `alpha` lays it over the image, fading inwards over `softness` of its largest depth; `poisson` takes over
    the gradients of the defect and of the 4 px around it and solves for the rest exactly, on its box with a margin.

    The bank: NAME.png with NAME_mask.png beside it, MVTec AD's test/TYPE with ground_truth/TYPE, images with masks, or
    crops whose alpha is the mask, which know nothing of the 4 px around them; photos in folders called good are none.
    Values are taken as fractions of full scale, so 8 bit defects in 16 bit photos have 256 levels; grey defects are
    repeated over the channels, RGB ones become luma in grey photos, all else is refused. A defect larger than the
    photo is scaled down to it. The bytes depend on the bank's files, whose SHA-256 are in the record.

    Ours, after the copy and paste of real defects in PRNet (Zhang et al., 2023) and others. Draw from defects that no
    test uses.
    """

    needs: ClassVar[tuple[str, ...]] = ("bank",)

    bank: str = param("", help="folder of photos with masks, or of crops with alpha")
    blend: Literal["alpha", "poisson"] = param("alpha", vary="alpha|poisson", help="how the defect is joined")
    strength: float = param(1.0, gt=0, le=1, help="weight of the defect")
    scale: float = param(1.0, gt=0, le=20, vary=(0.7, 1.4, "log"), help="size over that in the bank's photo")
    orientation: float = param(
        0.0, ge=-180, le=180, vary=(-180.0, 180.0), unit="degrees", help="turn of the defect, from right towards down"
    )
    flip: Literal["none", "any"] = param("any", help="mirror it across, up-down, both or not, or never")
    softness: float = param(0.2, ge=0, le=1, help="share of the defect's depth over which its edge fades")
    object_share: float = param(0.7, ge=0, le=1, help="least share of the defect that lies on the foreground")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        cut, stats = self._drawn(image, rng)
        if self.blend == "poisson":
            cut = _padded(cut, image.shape)
        box = self._seat(cut, image, free, rng.child("place"))
        if self.blend == "alpha":
            inside = cut.alpha > 0
            alpha = cut.alpha
            if self.softness > 0:
                alpha = feather(alpha, self.softness * (_depth(inside) - 1))
            return Edit(box, cut.pixels, alpha * np.float32(self.strength), stats)
        from scipy.ndimage import binary_dilation

        source = binary_dilation(cut.alpha > 0, np.ones((3, 3), np.bool_), iterations=_CONTEXT) & cut.known
        new = clone(cut.pixels, image.crop(box), mask=source)
        return Edit(box, new, np.full(cut.alpha.shape, self.strength, np.float32), stats)

    def _drawn(self, image: Image, rng: Rng) -> tuple[Cut, dict[str, Any]]:
        """Return a defect as it will be laid over the image, and its record."""
        if not self.bank:
            raise ParameterError("`bank`: none: needs a folder of photos with masks")
        try:
            folder = bank(self.bank)
            index = rng.child("file").integer(0, len(folder.entries) - 1)
            defects, entry = folder.defects(index), folder.entries[index]
        except DataError as error:
            raise Impossible(str(error)) from None
        part = rng.child("part").integer(0, len(defects.cuts) - 1)
        cut = defects.cuts[part]
        flips = rng.child("flip").integer(0, 3) if self.flip == "any" else 0
        down, across = -1 if flips & 1 else 1, -1 if flips & 2 else 1
        pixels = fitted(cut.pixels, image.channels, str(folder.path / entry.photo))
        cut = Cut(pixels[::down, ::across], cut.alpha[::down, ::across], cut.known[::down, ::across])
        cut, scale = resampled(cut, self.scale, self.orientation, image.shape)
        names = ("none", "down", "across", "both")
        stats = {"defect": entry.photo, **defects.digests, "part": part, "flip": names[flips], "scale": scale}
        return cut, stats

    def _seat(self, cut: Cut, image: Image, free: Mask, rng: Rng) -> Box:
        inside = cut.alpha > 0
        size = (inside.shape[0], inside.shape[1])
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        middle = (int(rows[0] + rows[-1] + 1) // 2, int(columns[0] + columns[-1] + 1) // 2)
        wanted = max(LEAST_PIXELS, self.object_share * np.count_nonzero(inside))
        for _ in range(_TRIES):
            row, column = centre_of(image, free, rng)
            corner = (row - middle[0] + size[0] // 2, column - middle[1] + size[1] // 2)
            box = moved_inside(corner, size, image.shape)
            if np.count_nonzero(free[box[0] : box[2], box[1] : box[3]] & inside) >= wanted:
                return box
        raise DataError(f"no place in {_TRIES} where {self.object_share:g} of the defect lies on the foreground")


def resampled(cut: Cut, scale: float, orientation: float, shape: tuple[int, int]) -> tuple[Cut, float]:
    """Return the cut scaled and turned, bilinear (after area means where it shrinks), and the scale that was used.

    Args:
        orientation: degrees from right towards down.
        shape: of the image; a cut that does not fit it is made smaller.

    Raises:
        DataError: too little is left of it.
    """
    sine, cosine = heading(orientation)
    h, w = cut.alpha.shape
    # What the margin loses at the image's border is no part of the defect.
    core = (max(1, h - 2 * MARGIN), max(1, w - 2 * MARGIN))
    reach = (core[0] * abs(cosine) + core[1] * abs(sine), core[1] * abs(cosine) + core[0] * abs(sine))
    scale = min(scale, *(max(1, limit - 2) / side for limit, side in zip(shape, reach, strict=True)))
    layers = np.concatenate([cut.pixels, cut.alpha[:, :, None], cut.known[:, :, None].astype(np.float32)], axis=2)
    if scale < 1:
        size = (max(2, round(h * scale)), max(2, round(w * scale)))
        layers = shrunk(layers, size).astype(np.float32)
    # Beyond the cut there is no defect, and the colours are its border's.
    layers = np.pad(layers, ((1, 1), (1, 1), (0, 0)), mode="edge")
    layers[[0, -1], :, -2:] = 0
    layers[:, [0, -1], -2:] = 0
    if scale > 1 or orientation % 360:
        layers = _turned(layers, max(scale, 1.0), sine, cosine)
    tall, wide = layers.shape[:2]
    top, left = max(0, tall - shape[0]) // 2, max(0, wide - shape[1]) // 2
    layers = layers[top : top + shape[0], left : left + shape[1]]
    alpha = np.where(layers[:, :, -2] > 1e-3, layers[:, :, -2], np.float32(0))
    if np.count_nonzero(alpha) < LEAST_PIXELS:
        raise DataError(f"{np.count_nonzero(alpha)} pixels are left of the defect at a scale of {scale:.3g}")
    return Cut(layers[:, :, :-2], alpha, layers[:, :, -1] > 0.999), scale


def _turned(layers: np.ndarray[Any, Any], scale: float, sine: float, cosine: float) -> np.ndarray[Any, Any]:
    h, w = (side * scale for side in layers.shape[:2])
    rows, columns = (
        math.ceil(side - 1e-6) for side in (h * abs(cosine) + w * abs(sine), w * abs(cosine) + h * abs(sine))
    )
    y = (np.arange(rows, dtype=np.float64) - 0.5 * (rows - 1))[:, None] / scale
    x = (np.arange(columns, dtype=np.float64) - 0.5 * (columns - 1))[None, :] / scale
    v = y * cosine - x * sine + 0.5 * (layers.shape[0] - 1)
    u = x * cosine + y * sine + 0.5 * (layers.shape[1] - 1)
    clipped = np.clip(v, 0, layers.shape[0] - 1), np.clip(u, 0, layers.shape[1] - 1)
    return bilinear(layers, *clipped)[0]


def _padded(cut: Cut, shape: tuple[int, int]) -> Cut:
    """Return the cut with a margin of the image's own gradients on which to solve, in sides that are fast."""
    pads = []
    for side, limit in zip(cut.alpha.shape, shape, strict=True):
        wanted = min(limit, side + 2 * max(2, side // 4))
        wanted = max(side, fast_side(wanted))
        pads.append(((wanted - side) // 2, (wanted - side + 1) // 2))
    return Cut(np.pad(cut.pixels, (*pads, (0, 0)), mode="edge"), np.pad(cut.alpha, pads), np.pad(cut.known, pads))


def _depth(inside: Mask) -> float:
    from scipy.ndimage import distance_transform_edt

    return float(np.asarray(distance_transform_edt(np.pad(inside, 1))).max())
