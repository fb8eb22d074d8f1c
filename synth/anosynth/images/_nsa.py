"""What patches of natural synthetic anomalies are made of: where they come from, their outlines and objects."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.seeding import Rng

from ._edit import FLOOR, Box, Edit
from ._place import moved_inside
from ._sample import Array, Image, Mask

Pixels = NDArray[np.float32]
Size2 = tuple[int, int]

_POINTS = 32
_SMALL = 96
_MEDIAN = 5


class Source(NamedTuple):
    """Where patches come from: pixels of a box (h, w, C), every so manieth one of another photo, what to record.

    `pixels` are those of the image if patches come from it.
    """

    read: Callable[[Box], Pixels]
    small: Pixels | None
    stats: dict[str, Any]
    pixels: Array | None


class Seat(NamedTuple):
    """The box of a patch, the one that it comes from, and its new pixels if they are known already."""

    box: Box
    origin: Box
    new: Pixels | None


def apart(pixels: Pixels, background: float, tolerance: float, size: int) -> Mask:
    """Return (h, w) bool: what differs from the background, by the majority in size x size pixels."""
    from scipy.ndimage import uniform_filter

    different = (np.abs(channel_mean(pixels, np.float64) - background) > tolerance).astype(np.float32)
    majority: Mask = uniform_filter(different, size) > 0.5
    return majority


def ellipses(size: Size2, number: int, rng: Rng) -> Mask:
    """Return the union of turned ellipses in a box of `size` (h, w), bool.

    Semi-axes are uniform from 0.15 to 0.5 of the sides' geometric mean, centres uniform in the middle half of the box,
    directions uniform; a pixel at (y, x) from the centre is inside if
    ((x cos t + y sin t) / a)^2 + ((y cos t - x sin t) / b)^2 <= 1.
    """
    h, w = size
    inside = np.zeros(size, np.bool_)
    mean = math.sqrt(h * w)
    for number_ in range(number):
        draw = rng.child("ellipse", number_)
        a, b = (draw.uniform(0.15, 0.5) * mean for _ in range(2))
        row, column = draw.uniform(0.25, 0.75) * (h - 1), draw.uniform(0.25, 0.75) * (w - 1)
        angle = draw.uniform(0.0, math.pi)
        sine, cosine = float(steady.sin(angle)), float(steady.cos(angle))
        y, x = (np.arange(h) - row)[:, None], (np.arange(w) - column)[None, :]
        inside |= ((x * cosine + y * sine) / a) ** 2 + ((y * cosine - x * sine) / b) ** 2 <= 1
    return inside


def smoothed(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the median of `levels` (h, w) over a disk of 5 px; of large ones, over every second row and column."""
    from scipy.ndimage import median_filter

    step = 2 if min(levels.shape) >= 48 else 1
    reach = _MEDIAN // step
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = y * y + x * x <= (_MEDIAN / step) ** 2
    few = np.asarray(median_filter(levels[::step, ::step], footprint=disk, mode="nearest"))
    many = few.repeat(step, axis=0).repeat(step, axis=1)
    return many[: levels.shape[0], : levels.shape[1]]


def grades(label: str, slope: float, middle: float) -> Pixels:
    """Return the grade of each level of change by the label `intensity` or `logistic`, (256,) float32."""
    d = np.arange(256, dtype=np.float64)
    if label == "intensity":
        return (d / 255).astype(np.float32)
    logistic = 1.0 / (1.0 + steady.exp(np.clip(-slope * (d - middle), -500, 500)))
    return np.asarray(logistic, dtype=np.float32)


def step_of(image: Image) -> int:
    return max(1, image.side // _SMALL)


def strided(image: Image) -> Pixels:
    return every(image, (0, 0, *image.shape), step_of(image))


def every(image: Image, box: Box, step: int) -> Pixels:
    """Return every so manieth pixel of a box, (h, w, C) float32 in fractions of full scale."""
    top, left, bottom, right = box
    part = image.pixels[top:bottom:step, left:right:step].astype(np.float32) / np.float32(image.white)
    return part.reshape(*part.shape[:2], image.channels)


def painted(canvas: Image, edit: Edit) -> Image:
    top, left, bottom, right = edit.box
    pixels = canvas.pixels.copy()
    old = canvas.crop(edit.box)
    new = (old + edit.alpha[:, :, None] * (edit.pixels - old)) * np.float32(canvas.white)
    if pixels.dtype != np.float32:
        new = np.rint(np.clip(new, 0, np.float32(canvas.white)))
    place = pixels[top:bottom, left:right]
    place[...] = new.reshape(place.shape).astype(pixels.dtype)
    return replace(canvas, pixels=pixels)


def cut_around(centre: Size2, half: tuple[float, float], shape: Size2) -> Box:
    """Return the box of these half-sides around a place, cut off at the image's borders, of at least 4 px a side."""
    ends = []
    for middle, side, dim in zip(centre, half, shape, strict=True):
        low, high = max(0, middle - int(side)), min(dim, middle + max(1, int(side)))
        if high - low < 4:
            low, _, high, _ = moved_inside((middle, 0), (4, 1), (dim, 1))
        ends.append((low, high))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def at_points(small: Mask, box: Box, step: int, flips: Size2) -> Mask:
    """Return what a mask of every so manieth pixel says at 32 x 32 points of a box, (32, 32) bool."""
    across = (np.arange(_POINTS) + 0.5) / _POINTS
    rows, columns = (
        np.minimum(((low + across * (high - low)) / step).astype(np.intp), size - 1)
        for low, high, size in ((box[0], box[2], small.shape[0]), (box[1], box[3], small.shape[1]))
    )
    mask: Mask = small[rows[:: flips[0], None], columns[:: flips[1]]]
    return mask


def resized(pixels: Pixels, size: Size2) -> Pixels:
    """Return `pixels` interpolated linearly to `size`, pixel centres onto pixel centres."""
    for axis, wanted in enumerate(size):
        have = pixels.shape[axis]
        if have == wanted:
            continue
        place = np.clip((np.arange(wanted) + 0.5) * (have / wanted) - 0.5, 0, have - 1)
        low = np.minimum(place.astype(np.intp), max(0, have - 2))
        weight = (place - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        high = np.minimum(low + 1, have - 1)
        pixels = pixels.take(low, axis) * (np.float32(1) - weight) + pixels.take(high, axis) * weight
    return pixels


def channel_mean(pixels: Pixels, dtype: type[np.floating[Any]]) -> Any:
    """Return the mean of the channels of (h, w, C), added up one after the other in `dtype`."""
    total = pixels[:, :, 0].astype(dtype)
    for channel in range(1, pixels.shape[2]):
        total += pixels[:, :, channel]
    total /= dtype(pixels.shape[2])
    return total


def share_seen(change: Pixels) -> float:
    """Return the share of (h, w, C) pixels of which a channel changes by the visible floor."""
    seen = np.zeros(change.shape[:2], np.bool_)
    for channel in range(change.shape[2]):
        seen |= np.abs(change[:, :, channel]) >= FLOOR
    return np.count_nonzero(seen) / seen.size
