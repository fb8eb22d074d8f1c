"""Ragged patches of a given visible area: the outlines that stains and rust share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._edit import FLOOR, Box, Edit
from ._place import centre_of
from ._sample import Image, Mask
from ._seats import heading
from ._strokes import Field

_WIDENINGS = 6
_LEAST_AREA = 12.0


@dataclass(frozen=True)
class Patch:
    """Where a patch lies, before its outline is cut.

    Attributes:
        box: (top, left, bottom, right).
        height: (h, w) float32, highest near the middle; the outline is one of its contours.
    """

    box: Box
    height: Field


def patched(
    image: Image,
    free: Mask,
    rng: Rng,
    made: Callable[[Patch, float], Edit],
    *,
    area: float | str,
    elongation: float,
    orientation: float,
    ragged: float,
    octaves: int,
    persistence: float,
) -> Edit:
    """Return what `made` makes of a patch on a free pixel and its area in pixels, at most half of what is free.

    Where the contour of that area would leave the patch, a wider one is tried, six times.

    Args:
        area: an `Area`; for the others see `patch`.

    Raises:
        DataError: the image around the place is too small for it.
    """
    wanted = max(_LEAST_AREA, min(image.share(area) * free.size, 0.5 * np.count_nonzero(free)))
    centre = centre_of(image, free, rng.child("place"))
    size = 1.7 * wanted
    for _ in range(_WIDENINGS):
        place = patch(
            image,
            centre,
            rng.child("shape"),
            pixels=size,
            elongation=elongation,
            orientation=orientation,
            ragged=ragged,
            octaves=octaves,
            persistence=persistence,
        )
        try:
            return made(place, wanted)
        except DataError as error:
            problem = error
            size *= 1.5
    raise problem


def patch(
    image: Image,
    centre: tuple[int, int],
    rng: Rng,
    *,
    pixels: float,
    elongation: float,
    orientation: float,
    ragged: float,
    octaves: int,
    persistence: float,
) -> Patch:
    """Return an elliptic dome with fractal noise on it: 1 - r^2 + ragged * noise, r = 1 on the ellipse.

    Args:
        pixels: area of the ellipse.
        elongation: long over short axis.
        orientation: of the long axis, degrees from right towards down.
        ragged: amplitude of the noise.
        octaves, persistence: of the noise; its first octave has two lumps along the short axis.
    """
    sine, cosine = heading(orientation)
    long_axis = math.sqrt(pixels * elongation / math.pi)
    short_axis = long_axis / elongation
    # The noise lifts the outline beyond the ellipse by up to this factor.
    out = 1.0 + 0.4 * ragged
    half_y = math.ceil(out * math.sqrt((long_axis * sine) ** 2 + (short_axis * cosine) ** 2)) + 1
    half_x = math.ceil(out * math.sqrt((long_axis * cosine) ** 2 + (short_axis * sine) ** 2)) + 1
    row, column = centre
    height, width = image.shape
    top, bottom = max(0, row - half_y), min(height, row + half_y + 1)
    left, right = max(0, column - half_x), min(width, column + half_x + 1)
    y = (np.arange(top, bottom) - row).astype(np.float32)[:, None]
    x = (np.arange(left, right) - column).astype(np.float32)[None, :]
    along = (x * np.float32(cosine) + y * np.float32(sine)) / np.float32(long_axis)
    across = (y * np.float32(cosine) - x * np.float32(sine)) / np.float32(short_axis)
    dome = 1 - along * along - across * across
    h, w = bottom - top, right - left
    lump = max(2.0, short_axis)
    cells = (max(1.0, h / lump), max(1.0, w / lump))
    noise = lattice((h, w), cells, rng.child("outline"), octaves=octaves, persistence=persistence)
    return Patch((top, left, bottom, right), dome + np.float32(ragged) * noise)


def contour(height: Field, slope: float, full: Field, free: Mask, box: Box, pixels: float) -> tuple[Field, float]:
    """Cut a patch so that its change will be visible on a given number of pixels.

    Args:
        height: (h, w) float32.
        slope: height over which alpha rises from 0 to 1, >= 0.
        full: (h, w) the change that alpha = 1 makes in the channel that changes most, full scale 1.
        free: (H, W) bool: where changes count.
        box: of the patch in the image.
        pixels: wanted number of pixels.

    Returns:
        alpha (h, w) float32 in [0, 1], and the level of `height` at which it begins.

    Raises:
        DataError: there is no contour of that many pixels that the box, other than the image's border, would not cut.
    """
    # alpha = 2 t^2, then 1 - 2 (1 - t)^2, which unlike other smooth steps is easily inverted: a pixel is visible from
    # t = sqrt(alpha / 2) on with alpha = FLOOR / full.
    least = np.float32(FLOOR) / np.maximum(full, np.float32(1e-6))
    t = np.where(least <= 0.5, np.sqrt(0.5 * least), 1 - np.sqrt(0.5 * np.maximum(1 - least, 0)))
    allowed = free[box[0] : box[2], box[1] : box[3]]
    reached = np.where(allowed & (least < 1), height - np.float32(slope) * t.astype(np.float32), -np.inf).ravel()
    count = max(1, round(pixels))
    if count > len(reached):
        raise DataError(f"{len(reached)} pixels around this place: expected {count}")
    level = float(np.partition(reached, len(reached) - count)[len(reached) - count])
    if not level > _highest_on_border(height, box, free.shape):
        raise DataError(f"the image around this place is too small for {count} pixels\nhint: lower area or elongation")
    if slope <= 0:
        return (height >= np.float32(level)).astype(np.float32), level
    t = np.clip((height - np.float32(level)) / np.float32(slope), 0, 1)
    return np.where(t < 0.5, 2 * t * t, 1 - 2 * (1 - t) ** 2).astype(np.float32), level


def largest_change(old: Field, new: Field) -> Field:
    """Return (h, w): the absolute change in the channel that changes most, from pixels (h, w, C)."""
    # By channel, for numpy's maximum over so short an axis takes ten times as long.
    change = np.abs(new - old)
    most = change[:, :, 0]
    for channel in range(1, change.shape[2]):
        most = np.maximum(most, change[:, :, channel])
    return np.asarray(most, dtype=np.float32)


def _highest_on_border(height: Field, box: Box, shape: tuple[int, ...]) -> float:
    """Return the largest height on those borders of `box` that are not borders of an image of `shape`."""
    top, left, bottom, right = box
    highest = -math.inf
    for inner, line in (
        (top > 0, height[0]),
        (bottom < shape[0], height[-1]),
        (left > 0, height[:, 0]),
        (right < shape[1], height[:, -1]),
    ):
        if inner:
            highest = max(highest, float(line.max()))
    return highest
