"""Where a defect lies and which outline it has: boxes, ellipses, blobs and soft edges."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._base import FLOOR, LEAST_PIXELS, Box
from ._sample import Image, Mask
from ._seats import drawn
from ._warp import turned_axes

Alpha = NDArray[np.float32]

Outline = Literal["rectangle", "ellipse", "blob"]

BLOB_SHARE = 0.45
"""Share of its box that a blob covers; an ellipse would cover pi / 4."""

_SHARE = {"rectangle": 1.0, "ellipse": math.pi / 4, "blob": BLOB_SHARE}

_GUESSES = 32
_HARD = 1e-3


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


def outlined(
    image: Image,
    rng: Rng,
    free: Mask,
    *,
    outline: Outline,
    area: float | str,
    aspect: float,
    softness: float = 0.0,
    orientation: float = 0.0,
) -> tuple[Box, Alpha]:
    """Return where a region of this outline lies and its alpha (h, w), 0 where `free` (H, W) is not.

    Args:
        area: an `Area`, that of the outline and not of its box, at most half of the image.
        aspect: width over height before it is turned.
        softness: share of the radius (of the shorter half side for a rectangle) over which the edge fades.
        orientation: way of its width, degrees from right towards down. What then sticks out of the image is cut off.

    Raises:
        DataError: too few free pixels are left inside.
    """
    share = min(1.0, min(image.share(area), 0.5) / _SHARE[outline])
    size = rectangle_size(image.shape, area=share, aspect=aspect)
    alpha = outline_alpha(outline, size, rng.child("outline"), softness=softness, orientation=orientation)
    box = placed(image, free, alpha.shape, rng.child("place"))
    h, w = box[2] - box[0], box[3] - box[1]
    top, left = (alpha.shape[0] - h) // 2, (alpha.shape[1] - w) // 2
    return box, kept(alpha[top : top + h, left : left + w], free, box)


def outline_alpha(
    outline: Outline, size: tuple[int, int], rng: Rng, *, softness: float = 0.0, orientation: float = 0.0
) -> Alpha:
    """Return the alpha of an outline that fills a rectangle of `size` (h, w), in the least box around it once turned.

    `softness` and `orientation` are those of `outlined`.
    """
    h, w = size
    if outline == "blob":
        return blob(size, rng, softness=softness, orientation=orientation)
    across, down = turned_axes(size, orientation, corners=outline == "rectangle")
    if outline == "ellipse":
        radius = np.sqrt((down * np.float32(2 / h)) ** 2 + (across * np.float32(2 / w)) ** 2)
        if softness < _HARD:
            return (radius <= 1).astype(np.float32)
        return _smooth((np.float32(1) - radius) / np.float32(softness))
    near = np.float32(0.5) + np.minimum(np.float32(0.5 * h) - np.abs(down), np.float32(0.5 * w) - np.abs(across))
    return _smooth(near / np.float32(1 + 0.5 * softness * (min(size) - 1)))


def kept(alpha: Alpha, free: Mask, box: Box) -> Alpha:
    """Return `alpha` (h, w) with 0 where `free` (H, W) is not.

    Raises:
        DataError: fewer pixels are left than make an anomaly.
    """
    inside = np.where(free[box[0] : box[2], box[1] : box[3]], alpha, np.float32(0))
    left = np.count_nonzero(inside > 0)
    if left < LEAST_PIXELS:
        raise DataError(f"{left} free pixels inside the region: expected at least {LEAST_PIXELS}")
    return inside


def seen_share(new: Alpha, old: Alpha, alpha: Alpha) -> float:
    """Return the share of the pixels with alpha > 0 that visibly change when `new` (h, w, C) is laid over `old`."""
    largest = np.zeros(alpha.shape, np.float32)
    for channel in range(new.shape[2]):
        np.maximum(largest, np.abs(new[:, :, channel] - old[:, :, channel]), out=largest)
    largest *= alpha
    inside = alpha > 0
    seen = int(np.count_nonzero((largest >= np.float32(FLOOR)) & inside))
    return seen / max(1, int(np.count_nonzero(inside)))


def made_visible(new: Alpha, old: Alpha, alpha: Alpha, rng: Rng, *, share: float = 0.25) -> tuple[Alpha, float]:
    """Return `new` (h, w, C) and 0, or, if it would hardly be seen over `old`, `new` shifted and by how much.

    If less than `share` of the region changes visibly, as on flat images, all channels are moved by the one amount
    that makes a step of 0.06 to 0.12 of full scale under the largest alpha, towards mid-grey.
    """
    if seen_share(new, old, alpha) >= share:
        return new, 0.0
    level = float(old[alpha > 0].mean(dtype=np.float64))
    step = rng.uniform(0.06, 0.12) / float(alpha.max()) * (1.0 if level < 0.5 else -1.0)
    return new + np.float32(step), step


def blob(shape: tuple[int, int], rng: Rng, *, softness: float, orientation: float = 0.0) -> Alpha:
    """Return an organic outline as float32 alpha that ends within its box, which is of `shape` unless it is turned.

    The elliptic dome 1 - r^2 times low-frequency gradient noise, cut at the level above which `BLOB_SHARE` of `shape`
    lies: the area of alpha > 0 is the same for all draws.

    Args:
        shape: height and width, each >= 1.
        softness: 0 for an edge of one step, 1 for a slope up to the peak.
        orientation: way of its width, degrees from right towards down.
    """
    h, w = shape
    longer = max(h, w)
    across, down = turned_axes(shape, orientation, corners=False)
    box = (across.shape[0], across.shape[1])
    noise = lattice(
        box, (max(1.0, 3.0 * box[0] / longer), max(1.0, 3.0 * box[1] / longer)), rng, octaves=2, persistence=0.4
    )
    round_ = (down * np.float32(2 / h)) ** 2 + (across * np.float32(2 / w)) ** 2
    dome = np.maximum(np.float32(1) - round_, np.float32(0))
    field = dome * (np.float32(0.6) + np.float32(0.55) * noise)
    flat = field.ravel()
    rank = len(flat) - max(1, round(BLOB_SHARE * h * w))
    level = max(np.float32(0), np.partition(flat, rank)[rank])
    peak = flat.max()
    if not peak > level:
        return np.ones(box, np.float32)
    if softness < _HARD:
        hard: Alpha = ((field >= level) & (dome > 0)).astype(np.float32)
        return hard
    return _smooth((field - level) / (np.float32(softness) * (peak - level)))


def ellipse_alpha(h: int, w: int, angle: float, elongation: float, softness: float) -> Alpha:
    """Return (h, w) float32: 1 inside the largest ellipse of this kind that fits the box, 0 outside.

    Args:
        angle: of the long axis, radians, from the columns' direction (right) towards the rows' (down).
        elongation: long axis over short axis, >= 1.
        softness: share of the radius, from the rim inwards, over which alpha falls from 1 to 0; 0 for a hard edge.
    """
    sine, cosine = float(steady.sin(angle)), float(steady.cos(angle))
    short = 1.0 / elongation
    reach_x = math.sqrt(cosine * cosine + (short * sine) ** 2)
    reach_y = math.sqrt(sine * sine + (short * cosine) ** 2)
    long_axis = min(0.5 * w / reach_x, 0.5 * h / reach_y)
    y = (np.arange(h, dtype=np.float64) + 0.5 - 0.5 * h)[:, None] / long_axis
    x = (np.arange(w, dtype=np.float64) + 0.5 - 0.5 * w)[None, :] / long_axis
    along, across = x * cosine + y * sine, (y * cosine - x * sine) * elongation
    radius = np.sqrt(along * along + across * across).astype(np.float32)
    if softness < _HARD:
        return (radius <= 1).astype(np.float32)
    return _smooth((np.float32(1) - radius) / np.float32(softness))


def feather(alpha: Alpha, pixels: float) -> Alpha:
    """Return `alpha` (h, w) with a slope of `pixels` from its outline inwards; nothing outside comes to life.

    The borders of the box are no outline: a defect that is cut off by the image keeps its full weight there.
    """
    if pixels <= 0:
        return alpha
    from scipy.ndimage import distance_transform_edt

    inside = alpha > 0
    if inside.all():
        return alpha
    distance = np.asarray(distance_transform_edt(inside)).astype(np.float32)
    return alpha * _smooth(distance / np.float32(pixels + 1))


def _smooth(t: Alpha) -> Alpha:
    """Return 3 t^2 - 2 t^3 of t cut to 0..1."""
    t = np.clip(t, np.float32(0), np.float32(1))
    return t * t * (np.float32(3) - np.float32(2) * t)
