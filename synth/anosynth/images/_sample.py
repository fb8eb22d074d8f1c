"""The sample of this family: an array of pixels and where on it defects may lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible
from anosynth.params import METRES, split_length

Array = NDArray[Any]
Mask = NDArray[np.bool_]

FULL_SCALE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}
"""The value of white by dtype; strengths and effects are fractions of it."""


@lru_cache(maxsize=2)
def everywhere(shape: tuple[int, int]) -> Mask:
    """Return (H, W) bool, all true; it is shared and cannot be written to."""
    mask = np.ones(shape, dtype=np.bool_)
    mask.flags.writeable = False
    return mask


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels with their foreground.

    Attributes:
        pixels: (H, W) or (H, W, C) uint8, uint16 or float32 (0 to 1), any H, W >= 8 and C >= 1, channels in file order,
            opacity last.
        foreground: (H, W) bool where defects may lie, or None for everywhere.
        prior: (H, W) float32 >= 0, how likely defects are centred on a pixel, up to a factor; or None for equally.
        mm_per_px: what a pixel measures in millimetres, or None if that is not known.
        document: what the format's writer needs beside the pixels; opaque.
        opacity: whether the last channel is opacity (RGBA, grey with alpha): it never changes, and what is wholly
            transparent is no place for defects.
    """

    pixels: Array
    foreground: Mask | None = None
    prior: NDArray[np.float32] | None = None
    mm_per_px: float | None = None
    document: Any = None
    opacity: bool = False

    def __post_init__(self) -> None:
        p = self.pixels
        if p.dtype not in FULL_SCALE or p.ndim not in (2, 3):
            raise DataError(
                f"pixels: {p.dtype} {p.shape}: expected uint8, uint16 or float32 of shape (H, W) or (H, W, C)"
            )
        if min(p.shape[:2]) < 8:
            raise DataError(f"pixels: {p.shape[0]} x {p.shape[1]}: expected at least 8 x 8")
        if self.opacity and (p.ndim == 2 or p.shape[2] < 2):
            raise DataError(f"pixels: {p.shape}: expected at least 2 channels, of which the last is opacity")
        if self.foreground is not None and self.foreground.shape != p.shape[:2]:
            raise DataError(f"foreground: {self.foreground.shape}: does not fit {p.shape[0]} x {p.shape[1]} pixels")
        if self.prior is not None and self.prior.shape != p.shape[:2]:
            raise DataError(f"prior: {self.prior.shape}: does not fit {p.shape[0]} x {p.shape[1]} pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return (int(self.pixels.shape[0]), int(self.pixels.shape[1]))

    @property
    def channels(self) -> int:
        return 1 if self.pixels.ndim == 2 else int(self.pixels.shape[2])

    @property
    def colours(self) -> Array:
        """The pixels without opacity, (H, W) if one channel is left; a view."""
        if not self.opacity:
            return self.pixels
        return self.pixels[:, :, 0] if self.channels == 2 else self.pixels[:, :, :-1]

    @property
    def solid(self) -> Mask | None:
        """(H, W) bool: what is not wholly transparent; None if there is no opacity."""
        return self.pixels[:, :, -1] > 0 if self.opacity else None

    @property
    def white(self) -> float:
        """The value of full scale."""
        return FULL_SCALE[self.pixels.dtype]

    @property
    def side(self) -> int:
        """The shorter side in pixels: what relative sizes refer to."""
        return min(self.shape)

    def length(self, size: float | str) -> float:
        """Return a `Size` in pixels.

        Raises:
            Impossible: it has a unit of length, and what a pixel measures is not known.
        """
        number, unit = split_length(size)
        if unit is None:
            return number * self.side
        return number if unit == "px" else number * METRES[unit] * 1e3 / self._scale(size)

    def share(self, area: float | str) -> float:
        """Return an `Area` as a fraction of the image, at most 1.

        Raises:
            Impossible: it has a unit of length, and what a pixel measures is not known.
        """
        number, unit = split_length(area)
        if unit is None:
            return number
        side = 1.0 if unit == "px2" else METRES[unit[:-1]] * 1e3 / self._scale(area)
        return min(1.0, number * side * side / (self.shape[0] * self.shape[1]))

    def _scale(self, value: float | str) -> float:
        if self.mm_per_px is None:
            raise Impossible(f"{value}: what a pixel measures is not known\nhint: give it with --mm-per-px")
        return self.mm_per_px

    def crop(self, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
        """Return the pixels of (top, left, bottom, right) as (h, w, C) float32 fractions of full scale."""
        top, left, bottom, right = box
        part = self.pixels[top:bottom, left:right].astype(np.float32) / np.float32(self.white)
        return part.reshape(bottom - top, right - left, self.channels)
