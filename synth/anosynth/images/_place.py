"""Where a defect lies and what is seen of it there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import _fast
from anosynth.seeding import Rng

from ._edit import FLOOR, LEAST_PIXELS, Box, strips
from ._sample import Image, Mask
from ._seats import drawn

Alpha = NDArray[np.float32]

_GUESSES = 32


def centre_of(image: Image, free: Mask, rng: Rng) -> tuple[int, int]:
    """Return (row, column) of a pixel of `free` (H, W) bool, drawn from the image's prior, or each equally likely.

    Raises:
        DataError: none is free.
    """
    return _centre(image.prior, free, rng)


def _centre(prior: NDArray[np.float32] | None, free: Mask, rng: Rng) -> tuple[int, int]:
    height, width = free.shape
    if prior is not None:
        return drawn(prior * free, rng.uniform())
    # Most images are free nearly everywhere: a few guesses, as uniform as a list of all free pixels, spare its cost.
    for _ in range(_GUESSES):
        row, column = rng.integer(0, height - 1), rng.integer(0, width - 1)
        if free[row, column]:
            return row, column
    places = np.flatnonzero(free)
    if not len(places):
        raise DataError("no pixel is free for another defect")
    row, column = divmod(int(places[rng.integer(0, len(places) - 1)]), width)
    return row, column


def box_around(centre: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the box of `size` (h, w) around `centre` (row, column), cut off at the borders of an image of `shape`."""
    top, left = centre[0] - size[0] // 2, centre[1] - size[1] // 2
    return max(0, top), max(0, left), min(shape[0], top + size[0]), min(shape[1], left + size[1])


def moved_inside(centre: tuple[int, int], size: tuple[int, int], shape: tuple[int, int]) -> Box:
    """Return the box of `size` (h, w), at most `shape`, around `centre`, pushed inside where it would stick out."""
    h, w = min(size[0], shape[0]), min(size[1], shape[1])
    top = min(max(0, centre[0] - h // 2), shape[0] - h)
    left = min(max(0, centre[1] - w // 2), shape[1] - w)
    return top, left, top + h, left + w


def placed(image: Image, free: Mask, size: tuple[int, int], rng: Rng) -> Box:
    """Return a box of `size` (h, w), cut to the image if that is smaller, with a free pixel at its centre.

    Centres are drawn among those around which the box fits, so that borders get no more than their share; if none of
    these is free, among all, and the box is pushed inside, with the free pixel still in it.

    Raises:
        DataError: no pixel of `free` (H, W) is free.
    """
    h, w = min(size[0], free.shape[0]), min(size[1], free.shape[1])
    fitting = (slice(h // 2, free.shape[0] - (h - 1) // 2), slice(w // 2, free.shape[1] - (w - 1) // 2))
    prior = None if image.prior is None else image.prior[fitting]
    if (free[fitting] if prior is None else free[fitting] & (prior > 0)).any():
        row, column = _centre(prior, free[fitting], rng)
        return row, column, row + h, column + w
    return moved_inside(centre_of(image, free, rng), (h, w), (free.shape[0], free.shape[1]))


def rectangle_size(shape: tuple[int, int], *, area: float, aspect: float) -> tuple[int, int]:
    """Return (h, w) in pixels of a rectangle of `area` (fraction of the image) and `aspect` (width over height).

    Each side is at least 2 px, the area at least 16 px: less would hardly be an anomaly once its edge is softened. A
    side that is longer than the image is cut down, and the other one makes up for it.
    """
    wanted = max(area * shape[0] * shape[1], 2.0 * LEAST_PIXELS)
    h = min(max(math.sqrt(wanted / aspect), 2.0), float(shape[0]))
    w = min(max(wanted / h, 2.0), float(shape[1]))
    h = min(max(wanted / w, 2.0), float(shape[0]))
    return round(h), round(w)


def rectangle(image: Image, rng: Rng, free: Mask, *, area: float, aspect: float) -> Box:
    """Return a rectangle inside the image with a free pixel at its centre, or near it (see `placed`).

    Args:
        area: fraction of the image.
        aspect: width over height.

    Raises:
        DataError: no pixel is free.
    """
    return placed(image, free, rectangle_size(image.shape, area=area, aspect=aspect), rng)


def other_place(box: Box, shape: tuple[int, int], rng: Rng) -> Box:
    """Return a box of the size of `box` anywhere in an image of `shape` but at its own place, uniformly drawn.

    Raises:
        DataError: there is no other place, because the box is as large as the image.
    """
    h, w = box[2] - box[0], box[3] - box[1]
    columns = shape[1] - w + 1
    places = (shape[0] - h + 1) * columns
    if places < 2:
        raise DataError(f"a region of {h} x {w} pixels has no second place in an image of {shape[0]} x {shape[1]}")
    own = box[0] * columns + box[1]
    place = rng.integer(0, places - 2)
    top, left = divmod(place + (place >= own), columns)
    return top, left, top + h, left + w


def kept(alpha: Alpha, free: Mask, box: Box) -> Alpha:
    """Return `alpha` (h, w) with 0 where `free` (H, W) is not; itself if all of it is free.

    Raises:
        DataError: fewer pixels are left than make an anomaly.
    """
    part = free[box[0] : box[2], box[1] : box[3]]
    inside = alpha if part.all() else np.where(part, alpha, np.float32(0))
    left = np.count_nonzero(inside > 0)
    if left < LEAST_PIXELS:
        raise DataError(f"{left} free pixels inside the region: expected at least {LEAST_PIXELS}")
    return inside


def seen_share(new: Alpha, old: Alpha, alpha: Alpha) -> float:
    """Return the share of the pixels with alpha > 0 that visibly change when `new` (h, w, C) is laid over `old`."""
    seen = sum(_seen(new[rows], old[rows], alpha[rows]) for rows in strips(*alpha.shape))
    return seen / max(1, int(np.count_nonzero(alpha > 0)))


def _seen(new: Alpha, old: Alpha, alpha: Alpha) -> int:
    """Return on how many pixels `new` (h, w, C) is seen over `old`."""
    kernels = _fast.compiled("anosynth.images._compiled_edit")
    if kernels is not None:
        return int(kernels.seen(*map(np.ascontiguousarray, (new, old, alpha)), np.float32(FLOOR)))
    largest = np.zeros(alpha.shape, np.float32)
    for channel in range(new.shape[2]):
        np.maximum(largest, np.abs(new[:, :, channel] - old[:, :, channel]), out=largest)
    largest *= alpha
    return int(np.count_nonzero(largest >= np.float32(FLOOR)))


def made_visible(
    new: Alpha, image: Image, box: Box, alpha: Alpha, rng: Rng, *, share: float = 0.25
) -> tuple[Alpha, float]:
    """Return `new` (h, w, C) and 0, or, if it would hardly be seen over a box, `new` shifted and by how much.

    If less than `share` of the region changes visibly, as on flat images, all channels are moved by the one amount
    that makes a step of 0.06 to 0.12 of full scale under the largest alpha, towards mid-grey.
    """
    top, left, _, right = box
    wanted, seen = share * np.count_nonzero(alpha > 0), 0
    for rows in strips(*alpha.shape):
        seen += _seen(new[rows], image.crop((top + rows.start, left, top + rows.stop, right)), alpha[rows])
        # Most pieces are seen all over, and the first rows tell.
        if seen >= wanted:
            return new, 0.0
    level = float(image.crop(box)[alpha > 0].mean(dtype=np.float64))
    step = rng.uniform(0.06, 0.12) / float(alpha.max()) * (1.0 if level < 0.5 else -1.0)
    return new + np.float32(step), step
