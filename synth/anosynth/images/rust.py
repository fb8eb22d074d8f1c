"""Patch of rust."""

from __future__ import annotations

import numpy as np

from anosynth.noise import lattice
from anosynth.params import Area, Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._patch import Patch, contour, largest_change, patched
from ._sample import Image, Mask
from ._seats import oriented
from ._strokes import Field, darker, mean_of, toned

SIDE = "of the shorter side"

_DARK = np.array([0.20, 0.10, 0.06], dtype=np.float32)
_BRIGHT = np.array([0.66, 0.36, 0.15], dtype=np.float32)


class Rust(ImageGenerator):
    """Ragged patch with the granular brown of rust

    new = old + strength alpha (rust - old). With three channels, taken as red, green, blue, rust runs from a dark brown
    to orange by coarse and fine noise and keeps the shading of what is under it; with any other number it is a
    granular darkening, or lightening where all is black. The outline is a contour of fractal noise on an elliptic dome
    whose visible area is `area`; near it the patch breaks up into grains.

    Ours.
    """

    strength: float = param(0.85, gt=0, le=1, vary=(0.4, 0.95), help="weight of the rust against what is under it")
    area: Area = param(
        0.03, gt=0, le=0.4, vary=(0.005, 0.06), unit="of the image", help="area, at most half the foreground"
    )
    elongation: float = param(1.5, ge=1, le=8, vary=(1.0, 3.0), help="ratio of the longer to the shorter axis")
    orientation: float = oriented()
    softness: float = param(0.3, ge=0, le=1, vary=(0.1, 0.6), help="width of the edge, from hard to all of it")
    grain: Size = param(0.008, gt=0, le=0.1, vary=(0.005, 0.012), unit=SIDE, help="size of a grain, >= 3 pixels")
    octaves: int = param(5, ge=1, le=8, help="octaves of the outline's noise")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        return patched(
            image,
            free,
            rng,
            lambda place, wanted: self._rusted(image, free, place, wanted, rng),
            area=self.area,
            elongation=self.elongation,
            orientation=self.orientation,
            ragged=1.6,
            octaves=self.octaves,
            persistence=0.5,
        )

    def _rusted(self, image: Image, free: Mask, place: Patch, wanted: float, rng: Rng) -> Edit:
        top, left, bottom, right = place.box
        old = image.crop(place.box)
        allowed = free[top:bottom, left:right]
        mean = mean_of(old[allowed & (place.height > np.median(place.height))])
        grain = image.length(self.grain)
        fine = self._noise(place, max(3.0, grain), 2, rng.child("fine"))
        coarse = self._noise(place, max(6.0, 9.0 * grain), 4, rng.child("coarse"))
        shade = np.clip(np.float32(0.45) + np.float32(1.4) * coarse + np.float32(0.55) * fine, 0, 1).astype(np.float32)
        rust = self._colour(old, shade, mean)
        height = place.height + np.float32(0.25) * fine
        full = np.float32(self.strength) * largest_change(old, rust)
        alpha, _ = contour(height, 0.05 + 0.75 * self.softness, full, free, place.box, wanted)
        return Edit(place.box, rust, alpha * np.float32(self.strength))

    def _noise(self, place: Patch, lump: float, octaves: int, rng: Rng) -> Field:
        h, w = place.height.shape
        return lattice((h, w), (max(1.0, h / lump), max(1.0, w / lump)), rng, octaves=octaves)

    def _colour(self, old: Field, shade: Field, mean: float) -> Field:
        if old.shape[2] != 3:
            return toned(old, np.float32(0.5 * darker(mean)) * (np.float32(1.3) - shade), mean)
        grey = (old[:, :, :1] + old[:, :, 1:2] + old[:, :, 2:]) / np.float32(3.0 * mean)
        lit = np.float32(0.55) + np.float32(0.45) * np.clip(grey, 0, 2)
        return np.asarray(np.clip((_DARK + shade[:, :, None] * (_BRIGHT - _DARK)) * lit, 0, 1), dtype=np.float32)
