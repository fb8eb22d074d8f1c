"""Where on a photo defects are centred: a prior over its pixels, narrowed by what a generator is told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, Impossible, ParameterError
from anosynth.params import param

from ._sample import Image, Mask

EDGE = 0.1
"""Width of the band along the border of the foreground, as a share of the photo's shorter side."""

_BLOCKS = 16
"""Blocks across the band along the border of a foreground."""

_FEW = 16
"""Pixels that are too few to choose a region from."""


def oriented(of: str = "the long axis") -> Any:
    """Declare the parameter `orientation`, which is the same for all defects that have a direction."""
    return param(
        0.0,
        ge=-180,
        le=180,
        vary=(-90.0, 90.0),
        unit="degrees",
        help=f"direction of {of}, from right (0) towards down (90)",
    )


def heading(orientation: float) -> tuple[float, float]:
    """Return (sine, cosine), the steps down and right of a unit way in this direction, in degrees from right to down.

    Whole quarters are exact, so that what is upright keeps its pixels.
    """
    quarters, rest = divmod(orientation, 90.0)
    sine, cosine = (float(f(math.radians(rest))) for f in (steady.sin, steady.cos))
    for _ in range(int(quarters) % 4):
        sine, cosine = cosine, -sine
    return sine, cosine


def fractions(text: str) -> tuple[float, float]:
    """Return (row, column) of `row,column`, two fractions from 0 to 1.

    Raises:
        ParameterError: it is not that.
    """
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        row = column = -1.0
    if not (0 <= row <= 1 and 0 <= column <= 1):
        raise ParameterError(f"`centre`: {text}: must be `row,column`, two fractions from 0 to 1, such as 0.5,0.25")
    return row, column


def seated(image: Image, place: str, centre: str) -> Image:
    """Return the image with the prior that `place` and `centre` of a generator make of its own.

    Raises:
        Impossible: no pixel of the foreground is left to centre a defect on.
    """
    if place == "anywhere" and not centre and image.prior is None:
        return image
    prior = np.ones(image.shape, np.float32) if image.prior is None else image.prior.copy()
    if image.foreground is not None:
        prior[~image.foreground] = 0
    if place != "anywhere":
        near = _near_border(image)
        prior[~near if place == "edge" else near] = 0
    if not (prior > 0).any():
        raise Impossible(f"no pixel of the foreground is left to centre a defect on (place: {place})")
    if centre:
        prior = _nearest(prior, *fractions(centre))
    return replace(image, prior=prior)


def reachable(image: Image, free: Mask) -> Mask:
    """Return `free` (H, W) without the pixels that the prior rules out: for defects that have no one centre.

    Raises:
        Impossible: the prior allows too few pixels, as that of a given centre does.
    """
    if image.prior is None:
        return free
    allowed = image.prior > 0
    number = np.count_nonzero(allowed)
    if number < _FEW:
        raise Impossible(
            f"{number} pixels may be changed: too few for a defect without a centre of its own\n"
            "hint: leave out `centre`, or widen the prior"
        )
    chosen: Mask = free & allowed
    return chosen


def nearest(free: Mask, row: float, column: float) -> tuple[int, int]:
    """Return (row, column) of the pixel of `free` (H, W) that is nearest to a place given as fractions.

    Raises:
        DataError: none is free.
    """
    y, x = row * (free.shape[0] - 1), column * (free.shape[1] - 1)
    at = (math.floor(y + 0.5), math.floor(x + 0.5))
    # As a rule the place itself is free, which spares a list of all pixels.
    if free[at]:
        return at
    rows, columns = np.nonzero(free)
    if not len(rows):
        raise DataError("no pixel is free for another defect")
    down, right = rows - y, columns - x
    best = int(np.argmin(down * down + right * right))
    return int(rows[best]), int(columns[best])


def drawn(prior: NDArray[np.float32], mark: float) -> tuple[int, int]:
    """Return (row, column) of the pixel at which the running sum of `prior` (H, W) passes `mark` of the total.

    Args:
        mark: uniform in [0, 1).

    Raises:
        DataError: all of it is 0.
    """
    running = np.cumsum(prior, dtype=np.float64)
    if not running[-1] > 0:
        raise DataError("no pixel is free for another defect where the prior allows one")
    index = int(np.searchsorted(running, mark * running[-1], side="right"))
    row, column = divmod(min(index, prior.size - 1), prior.shape[1])
    return row, column


def _near_border(image: Image) -> Mask:
    """Return the pixels within the band along the border of the foreground, or of the image without one.

    In large images the band of a foreground is made of blocks, of up to a sixteenth of its width.
    """
    from scipy.ndimage import distance_transform_edt

    reach, (height, width) = max(2.0, EDGE * image.side), image.shape
    near: Mask = np.zeros((height, width), np.bool_)
    if image.foreground is None:
        off = min(math.floor(reach), image.side)
        near[:off] = near[height - off :] = True
        near[:, :off] = near[:, width - off :] = True
        return near
    step = max(1, int(reach) // _BLOCKS)
    tall, wide = -(-height // step), -(-width // step)
    inside = np.zeros((tall * step, wide * step), np.bool_)
    inside[:height, :width] = image.foreground
    rows = np.logical_and.reduce([inside[k::step] for k in range(step)])
    blocks = np.logical_and.reduce([rows[:, k::step] for k in range(step)])
    few = np.asarray(distance_transform_edt(np.pad(blocks, 1)))[1:-1, 1:-1] * step <= reach
    near[:] = few.repeat(step, axis=0)[:height].repeat(step, axis=1)[:, :width]
    return near


def _nearest(prior: NDArray[np.float32], row: float, column: float) -> NDArray[np.float32]:
    """Return a prior of the one pixel with `prior` > 0 that is nearest to a place given as fractions."""
    single = np.zeros_like(prior)
    single[nearest(prior > 0, row, column)] = 1
    return single
