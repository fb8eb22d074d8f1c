"""Patches of the image itself, blended in seamlessly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import Box, Edit, ImageGenerator
from ._place import centre_of, moved_inside
from ._poisson import clone, fast_side
from ._sample import Image, Mask
from ._visible import first_visible

Pixels = NDArray[np.float32]

_TRIES = 64
_PLACES = 12


class Nsa(ImageGenerator):
    """Patch of the image from elsewhere, resized and blended in by its gradients

    Half-width of the patch along an axis of `dim` pixels: clip((base + Gamma(2, spread)) dim, smallest dim,
    largest dim); the source patch is larger or smaller by clip(N(1, 0.5^2), shrink, grow). Blends: `normal` solves
    lap f = div grad(source) with the image on the patch's border, `mixed` takes the stronger gradient of the two,
    `uniform` and `swap` paste; `strength` weighs the result against the image, for `swap` it is 1.

    Source: Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly detection and localization",
    ECCV 2022, with its width law for MVTec AD (base 0.03, spread 0.05, bounds 0.03 and 0.4) and resizing of objects
    (0.7 to 1.3; textures there 0.5 to 2). Deviations: the source is the same image, not another one; the label is
    what changed, not a graded one; an axis may be mirrored. `overlap` of both patches has to lie on the foreground:
    64 places are tried, and up to 12 that fit are searched for a visible change.
    """

    blend: Literal["normal", "mixed", "uniform", "swap"] = param(
        "normal", vary="normal|mixed", help="how the patch is joined to the image"
    )
    strength: float = param(1.0, gt=0, le=1, vary=(0.6, 1.0), help="weight of the blended patch")
    base: float = param(0.03, ge=0, le=0.5, unit="of the axis", help="half-width to which the gamma law adds")
    spread: float = param(0.05, gt=0, le=0.5, unit="of the axis", help="scale of the gamma law of the half-width")
    smallest: float = param(0.03, gt=0, le=0.5, unit="of the axis", help="least half-width")
    largest: float = param(0.4, gt=0, le=0.5, unit="of the axis", help="largest half-width")
    shrink: float = param(0.7, ge=0.1, le=1, help="least scale of the source patch")
    grow: float = param(1.3, ge=1, le=10, help="largest scale of the source patch")
    overlap: float = param(0.5, ge=0, le=1, help="least share of the patch on the foreground, at both places")

    def check(self) -> None:
        super().check()
        if self.smallest > self.largest:
            raise ParameterError(f"`smallest`: {self.smallest}: must be <= `largest` ({self.largest})")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        edit = first_visible(self._patches(image, rng, free), image)
        if edit is None:
            raise DataError(
                f"no visible patch at {_TRIES} places: the image is even, or less than {self.overlap:g} of a patch "
                "fits the foreground"
            )
        return edit

    def _patches(self, image: Image, rng: Rng, free: Mask) -> Iterator[Edit]:
        size = self._size(image.shape, rng.child("size"))
        source_size = self._source_size(size, image.shape, rng.child("scale"))
        down, across = (rng.child("mirror", axis).sign() for axis in ("down", "across"))
        places, origins = rng.child("place"), rng.child("origin")
        alpha = np.full(size, 1.0 if self.blend == "swap" else self.strength, dtype=np.float32)
        made = 0
        for _ in range(_TRIES):
            box = moved_inside(centre_of(image, free, places), size, image.shape)
            origin = moved_inside(centre_of(image, free, origins), source_size, image.shape)
            if box == origin or _share(free, box) < self.overlap or _share(free, origin) < self.overlap:
                continue
            old, patch = image.crop(box), _resized(image.crop(origin), size)[::down, ::across]
            new = patch if self.blend in ("uniform", "swap") else clone(patch, old, mixed=self.blend == "mixed")
            yield Edit(box, new, alpha, {"blend": self.blend, "from": list(origin)})
            made += 1
            if made == _PLACES:
                return

    def _size(self, shape: tuple[int, int], rng: Rng) -> tuple[int, int]:
        sides = []
        for dim in shape:
            # A gamma variable of whole shape 2 is the sum of two exponential ones.
            gamma = -self.spread * float(steady.log(1.0 - rng.random(2)).sum())
            half = min(max(self.base + gamma, self.smallest), self.largest)
            sides.append(fast_side(min(max(round(2 * half * dim), 6), dim)))
        return sides[0], sides[1]

    def _source_size(self, size: tuple[int, int], shape: tuple[int, int], rng: Rng) -> tuple[int, int]:
        scale = min(max(1.0 + 0.5 * float(rng.normal(1)[0]), self.shrink), self.grow)
        # The paper resizes the source patch to the drawn one times the scale: a large scale magnifies.
        sides = [min(max(round(side / scale), 4), dim) for side, dim in zip(size, shape, strict=True)]
        return sides[0], sides[1]


def _share(free: Mask, box: Box) -> float:
    top, left, bottom, right = box
    return float(free[top:bottom, left:right].mean())


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Return `pixels` interpolated linearly to `size`, pixel centres onto pixel centres."""
    for axis, wanted in enumerate(size):
        have = pixels.shape[axis]
        if have == wanted:
            continue
        place = np.clip((np.arange(wanted) + 0.5) * (have / wanted) - 0.5, 0, have - 1)
        low = np.minimum(place.astype(np.intp), have - 2)
        weight = (place - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        pixels = pixels.take(low, axis) * (np.float32(1) - weight) + pixels.take(low + 1, axis) * weight
    return pixels
