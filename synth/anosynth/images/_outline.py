"""Which outline a region has: rectangles, ellipses, blobs and soft edges."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._edit import Box
from ._place import Alpha, kept, placed, rectangle_size
from ._sample import Image, Mask
from ._warp import turned_axes

Outline = Literal["rectangle", "ellipse", "blob"]

BLOB_SHARE = 0.45
"""Share of its box that a blob covers; an ellipse would cover pi / 4."""

_SHARE = {"rectangle": 1.0, "ellipse": math.pi / 4, "blob": BLOB_SHARE}
_HARD = 1e-3


def shaped(generator: Any, image: Image, rng: Rng, free: Mask) -> tuple[Box, Alpha]:
    """Return what `outlined` does for a generator's `outline`, `area`, `aspect`, `softness` and `orientation`."""
    names = ("outline", "area", "aspect", "softness", "orientation")
    return outlined(image, rng, free, **{name: getattr(generator, name) for name in names})


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
