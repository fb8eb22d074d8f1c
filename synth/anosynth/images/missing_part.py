"""Something that should be there and is not."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import FLOOR, Box, Edit
from ._fill import continued, halo, membranes, widened
from ._outline import BLOB_SHARE, blob
from ._place import box_around, centre_of, moved_inside, rectangle_size
from ._sample import Image, Mask
from ._seats import oriented
from ._visible import CLEAR, LEAST, shares

Alpha = NDArray[np.float32]

_TRIES = 24
_WHOLE = 1.0
"""From this ratio of the mean change to the unevenness of the rim on, a place is good."""
_COARSE = 12
"""Blocks along the shorter side of the part by which places are compared."""
_SWEEPS = 5
_LOOKS = 2
"""Two or three of a block's pixels along an axis are looked at."""


class MissingPart(ImageGenerator):
    """Part of the image that is gone, as if its surroundings went on

    Inside an irregular outline the pixels follow Laplace's equation from the ones around it, plus gradient noise of
    the surroundings' strength in four bands. With a foreground, only what lies on it counts as surroundings.

    Ours. On an even surface nothing would be missing: 24 places are tried for a visible change within an
    even rim.
    """

    version: ClassVar[int] = 2

    strength: float = param(1.0, gt=0, le=1, help="weight of the filling")
    area: Area = param(0.02, gt=0, le=0.5, vary=(0.005, 0.04), unit="of the image", help="size of the part")
    elongation: float = param(1.3, ge=1, le=10, vary=(1.0, 2.0), help="ratio of the longer to the shorter side")
    orientation: float = oriented()
    softness: float = param(0.08, ge=0, le=1, vary=(0.05, 0.25), help="share of the outline's slope that fades")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        share = min(image.share(self.area), 0.5) / BLOB_SHARE
        h, w = (max(5, side) for side in rectangle_size(image.shape, area=share, aspect=self.elongation))
        outline = blob((h, w), rng.child("outline"), softness=self.softness, orientation=self.orientation)
        outline = _inner(outline, image.shape)
        places = rng.child("place")
        centres = [centre_of(image, free, places) for _ in range(_TRIES)]
        box, alpha = _framed(outline, self._chosen(image, outline, centres), image.shape)
        unknown = alpha > 0
        if image.foreground is not None:
            inside = image.foreground[box[0] : box[2], box[1] : box[3]]
            alpha *= inside
            # The object goes on, not the table beside it, unless nothing of the object is left.
            near = widened(~inside, halo(image))
            if not (near | unknown).all():
                unknown |= near
        filled = continued(image.crop(box), unknown, rng.child("grain"))
        edit = Edit(box, filled, alpha * np.float32(self.strength), {"size": [h, w]})
        if shares(edit, image)[0] < LEAST:
            raise DataError(f"{_TRIES} places tried: the image is too even there for a missing part to show")
        return edit

    def _chosen(self, image: Image, outline: Alpha, centres: list[tuple[int, int]]) -> tuple[int, int]:
        """Return the first centre of a good place, else that of the best one.

        Raises:
            DataError: the part would be the whole image.
        """
        if self.centre:
            return centres[0]
        clear, score = _preview(image, outline, centres)
        good = np.flatnonzero((clear >= CLEAR) & (score >= _WHOLE))
        return centres[int(good[0] if len(good) else score.argmax())]


def _inner(outline: Alpha, shape: tuple[int, int]) -> Alpha:
    """Return the middle of an outline that is larger than an image of `shape`."""
    h, w = min(outline.shape[0], shape[0]), min(outline.shape[1], shape[1])
    top, left = (outline.shape[0] - h) // 2, (outline.shape[1] - w) // 2
    return outline[top : top + h, left : left + w]


def _framed(outline: Alpha, centre: tuple[int, int], shape: tuple[int, int]) -> tuple[Box, Alpha]:
    """Return the box of the outline with the frame of known pixels around it, and the outline in it."""
    size = (outline.shape[0], outline.shape[1])
    inner = moved_inside(centre, size, shape)
    margin = max(4, round(0.2 * min(size)))
    middle = (inner[0] + size[0] // 2, inner[1] + size[1] // 2)
    box = box_around(middle, (size[0] + 2 * margin, size[1] + 2 * margin), shape)
    alpha = np.zeros((box[2] - box[0], box[3] - box[1]), np.float32)
    top, left = inner[0] - box[0], inner[1] - box[1]
    alpha[top : top + size[0], left : left + size[1]] = outline
    return box, alpha


def _preview(
    image: Image, outline: Alpha, centres: list[tuple[int, int]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the share on which a filling differs visibly from the image, and how good a place it is, per centre.

    Good is a large difference over an even rim: a part, and not half of one with the rest smeared over its place.
    Both are measured on blocks, each the mean of a few of its pixels, at all places at once.
    """
    h, w = outline.shape
    step = max(1, min(h, w) // _COARSE)
    rim = max(2, math.ceil(max(4, 0.2 * min(h, w)) / step))
    tall, wide = -(-h // step), -(-w // step)
    gone = np.zeros((tall + 2 * rim, wide + 2 * rim), np.bool_)
    padded = np.pad(outline > 0, ((0, tall * step - h), (0, wide * step - w)))
    gone[rim : rim + tall, rim : rim + wide] = padded.reshape(tall, step, wide, step).any(axis=(1, 3))
    old, outside = _blocks(image, [moved_inside(at, (h, w), image.shape) for at in centres], gone.shape, rim, step)
    unknown = gone | outside
    usable = ~unknown.all(axis=(1, 2, 3))
    if not usable.any():
        raise DataError("the part would be the whole image")
    # What lies outside of the image or the foreground is unknown too: there nothing has a slope.
    unknown[~usable] = gone
    change = (np.abs(membranes(old, unknown, _SWEEPS) - old).max(axis=1) * ~outside[:, 0])[:, gone]
    rest = (~unknown).astype(np.float32)
    number = np.maximum(_summed(rest), np.float32(1))
    mean = _summed(old * rest)
    mean /= number
    off = old - mean[:, :, None, None]
    spread = np.sqrt(_summed(off * off * rest) / number).max(axis=1)
    clear = np.count_nonzero(change >= np.float32(FLOOR), axis=1).astype(np.float32) / np.float32(change.shape[1])
    size = change.cumsum(axis=1)[:, -1] / np.float32(change.shape[1])
    return clear * usable, np.where(usable, size / (spread + np.float32(FLOOR)), np.float32(-1))


def _summed(planes: Alpha) -> Alpha:
    """Return the sums of (n, C, h, w) over the pixels, (n, C), added one after the other."""
    return planes.reshape(*planes.shape[:2], -1).cumsum(axis=2)[:, :, -1]


def _blocks(image: Image, boxes: list[Box], shape: tuple[int, int], rim: int, step: int) -> tuple[Alpha, Mask]:
    """Return the means of blocks of the image, (n, C, h, w), and which lie outside of the part, (n, 1, h, w).

    Block (rim, rim) begins where a box does.
    """
    apart = max(1, step // _LOOKS)
    number = -(-step // apart)
    old = np.zeros((len(boxes), image.channels, *shape), np.float32)
    outside = np.zeros((len(boxes), 1, *shape), np.bool_)
    for place, box in enumerate(boxes):
        ways, beyond, middles = [], [], []
        for axis in (0, 1):
            first = box[axis] + (np.arange(shape[axis]) - rim) * step
            way = first[:, None] + np.arange(0, step, apart)
            ways.append(np.minimum(np.maximum(way.ravel(), 0), image.shape[axis] - 1))
            middle = first + step // 2
            beyond.append((middle < 0) | (middle >= image.shape[axis]))
            middles.append(np.minimum(np.maximum(middle, 0), image.shape[axis] - 1))
        part = image.pixels[ways[0][:, None], ways[1]].astype(np.float32)
        part = part.reshape(shape[0], number, shape[1], number, image.channels)
        rows = sum(part[:, k] for k in range(1, number)) + part[:, 0]
        old[place] = (sum(rows[:, :, k] for k in range(1, number)) + rows[:, :, 0]).transpose(2, 0, 1)
        outside[place, 0] = beyond[0][:, None] | beyond[1]
        if image.foreground is not None:
            outside[place, 0] |= ~image.foreground[middles[0][:, None], middles[1]]
    return old / np.float32(image.white * number * number), outside
