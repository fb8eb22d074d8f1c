"""The sample of this family: an array of pixels and where on it defects may lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

Array = NDArray[Any]
Mask = NDArray[np.bool_]

FULL_SCALE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0}
"""The value of white by dtype; strengths and effects are fractions of it."""


@dataclass(frozen=True, eq=False)
class Image:
    """Pixels with their foreground.

    Attributes:
        pixels: (H, W) or (H, W, C) uint8, uint16 or float32 (0 to 1), any H, W >= 8 and C >= 1, channels in file order.
        foreground: (H, W) bool where defects may lie, or None for everywhere.
        document: what the format's writer needs beside the pixels; opaque.
    """

    pixels: Array
    foreground: Mask | None = None
    document: Any = None

    def __post_init__(self) -> None:
        p = self.pixels
        if p.dtype not in FULL_SCALE or p.ndim not in (2, 3):
            raise DataError(
                f"pixels: {p.dtype} {p.shape}: expected uint8, uint16 or float32 of shape (H, W) or (H, W, C)"
            )
        if min(p.shape[:2]) < 8:
            raise DataError(f"pixels: {p.shape[0]} x {p.shape[1]}: expected at least 8 x 8")
        if self.foreground is not None and self.foreground.shape != p.shape[:2]:
            raise DataError(f"foreground: {self.foreground.shape}: does not fit {p.shape[0]} x {p.shape[1]} pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return (int(self.pixels.shape[0]), int(self.pixels.shape[1]))

    @property
    def channels(self) -> int:
        return 1 if self.pixels.ndim == 2 else int(self.pixels.shape[2])

    @property
    def white(self) -> float:
        """The value of full scale."""
        return FULL_SCALE[self.pixels.dtype]

    @property
    def side(self) -> int:
        """The shorter side in pixels: what relative sizes refer to."""
        return min(self.shape)

    def crop(self, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
        """Return the pixels of (top, left, bottom, right) as (h, w, C) float32 fractions of full scale."""
        top, left, bottom, right = box
        part = self.pixels[top:bottom, left:right].astype(np.float32) / np.float32(self.white)
        return part.reshape(bottom - top, right - left, self.channels)
