"""How much of a defect is seen: choosing a place where it is, and how much of it there has to be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ._edit import FLOOR, JUST_VISIBLE, LEAST_PIXELS, Box, Edit
from ._sample import Image, Mask

CLEAR = 0.08
"""From this share of its pixels on, a change of the local mean makes a defect clear."""

LEAST = 0.03
"""Below this share of visibly changed pixels, a place is none."""

_STEPS = 8
_HALVINGS = 5
_ASKED = 8192
"""Of more pixels, only so many are looked at."""


def first_visible(edits: Iterable[Edit], image: Image, step: int = 1) -> Edit | None:
    """Return the first edit that changes what the eye sees, else the one that comes closest, else None.

    An edit is clear if on `CLEAR` of its pixels the local mean changes by the visible floor: grain that is moved
    about changes every pixel, and nobody notices. Without a clear one, the best of those that visibly change `LEAST`
    of their pixels is taken, so that evenly grained images also get their defect. `step` is that of `shares`.
    """
    best, most = None, -1.0
    for edit in edits:
        pixels, means = shares(edit, image, step)
        if pixels < LEAST:
            continue
        if means >= CLEAR:
            return edit
        if means + 1e-3 * pixels > most:
            best, most = edit, means + 1e-3 * pixels
    return best


def shares(edit: Edit, image: Image, step: int = 1) -> tuple[float, float]:
    """Return the shares of the edit's pixels that change by the visible floor: themselves, and in the local mean.

    Args:
        step: above 1, the edit holds only every so manieth row and column of its box.
    """
    from scipy.ndimage import uniform_filter

    inside = edit.alpha > 0
    number = int(np.count_nonzero(inside))
    if not number:
        return 0.0, 0.0
    size = min(max(step * min(inside.shape) // 10, 3), 15)
    # Of few pixels, a mean needs some more of them to be calm.
    size = size if step == 1 else max(5, size // step)
    old = _every(image, edit.box, step)
    single, local = np.zeros(inside.shape, np.bool_), np.zeros(inside.shape, np.bool_)
    for channel in range(image.channels):
        change = np.minimum(np.maximum(edit.pixels[:, :, channel], np.float32(0)), np.float32(1))
        change -= old[:, :, channel]
        change *= edit.alpha
        single |= np.abs(change) >= np.float32(FLOOR)
        local |= np.abs(uniform_filter(change, size)) >= np.float32(FLOOR)
    return np.count_nonzero(single & inside) / number, np.count_nonzero(local & inside) / number


def thinning(pixels: int) -> int:
    """Return the step at which rows and columns of so many pixels tell what can be seen of them."""
    return max(1, math.isqrt(pixels // _ASKED))


def graded(
    severity: float, made: Callable[[float], Edit], image: Image, thinned: Callable[[float, int], Edit] | None = None
) -> Edit:
    """Return the edit of an amount in (0, 1] at which what is seen lies `severity` of the way from just visible to all.

    For defects that would look like ghosts if they were only faded. The sum of the visible change is what grows in
    proportion to severity: a shift of the image's own pixels may, along the way, put like on like and change less.

    Args:
        severity: 0 for the amount at which a quarter of what `made(1.0)` visibly changes is just seen.
        made: gives the edit of an amount; the amounts differ in their effect continuously.
        thinned: gives every so manieth row and column of it, about as they are in `made`, so that looking for the
            amount costs the same however large the defect is.
    """
    whole = made(1.0)
    if severity >= 1:
        return whole
    top, left, bottom, right = whole.box
    step = 1 if thinned is None else thinning((bottom - top) * (right - left))
    old = _every(image, whole.box, step)
    part = None if image.foreground is None else image.foreground[top:bottom:step, left:right:step]

    def changes(amount: float) -> NDArray[np.float32]:
        edit = made(amount) if thinned is None else thinned(amount, step)
        return _changes(edit, old, part)

    full = _changes(whole, old, part) if thinned is None else changes(1.0)
    seen = int(np.count_nonzero(full >= np.float32(FLOOR)))
    number = min(max(2 * LEAST_PIXELS // (step * step), seen // 4, 1), seen)
    if not number:
        return whole

    def just_seen(amount: float) -> bool:
        return int(np.count_nonzero(changes(amount) >= np.float32(JUST_VISIBLE * FLOOR))) >= number

    def total(amount: float) -> float:
        return _total(changes(amount))

    faintest = _crossing(0.0, just_seen)
    if severity <= 0:
        return made(faintest)
    least = total(faintest)
    wanted = least + severity * (_total(full) - least)
    return made(_crossing(faintest, lambda amount: total(amount) >= wanted))


def _crossing(low: float, reached: Callable[[float], bool]) -> float:
    """Return an amount at which `reached`, near the first one above `low`; 1 if there is none."""
    start = low
    for step in range(1, _STEPS):
        high = start + (1.0 - start) * step / _STEPS
        if reached(high):
            break
        low = high
    else:
        high = 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _every(image: Image, box: Box, step: int) -> NDArray[np.float32]:
    """Return every so manieth row and column of a box, (h, w, C) float32 in fractions of full scale."""
    top, left, bottom, right = box
    part = image.pixels[top:bottom:step, left:right:step].astype(np.float32) / np.float32(image.white)
    return part.reshape(*part.shape[:2], image.channels)


def _changes(edit: Edit, old: NDArray[np.float32], part: Mask | None) -> NDArray[np.float32]:
    """Return (K,) the change in the channel that changes most, of the pixels that the edit means to change."""
    inside = edit.alpha > 0
    if part is not None:
        inside &= part
    largest = np.zeros(inside.shape, np.float32)
    for channel in range(old.shape[2]):
        new = np.minimum(np.maximum(edit.pixels[:, :, channel], np.float32(0)), np.float32(1))
        new -= old[:, :, channel]
        np.maximum(largest, np.abs(new), out=largest)
    largest *= edit.alpha
    return largest.take(np.flatnonzero(inside))


def _total(change: NDArray[np.float32]) -> float:
    return float(change[change >= np.float32(FLOOR)].sum(dtype=np.float64))
