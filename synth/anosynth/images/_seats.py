"""Where on a photo defects are centred: a prior over its pixels, narrowed by what a generator is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible, ParameterError

from ._sample import Image, Mask

EDGE = 0.1
"""Width of the band along the border of the foreground, as a share of the photo's shorter side."""


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
    """Return `free` (H, W) without the pixels that the prior rules out: for defects that have no one centre."""
    return free if image.prior is None else free & (image.prior > 0)


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
    """Return the pixels within the band along the border of the foreground, or of the image without one."""
    from scipy.ndimage import distance_transform_edt

    reach = max(2.0, EDGE * image.side)
    inside = np.ones(image.shape, np.bool_) if image.foreground is None else image.foreground
    near: Mask = np.asarray(distance_transform_edt(np.pad(inside, 1)))[1:-1, 1:-1] <= reach
    return near


def _nearest(prior: NDArray[np.float32], row: float, column: float) -> NDArray[np.float32]:
    """Return a prior of the one pixel with `prior` > 0 that is nearest to a place given as fractions."""
    rows, columns = np.nonzero(prior > 0)
    down, right = rows - row * (prior.shape[0] - 1), columns - column * (prior.shape[1] - 1)
    best = int(np.argmin(down * down + right * right))
    single = np.zeros_like(prior)
    single[rows[best], columns[best]] = 1
    return single
