"""How much of a defect is seen: choosing a place where it is, and how much of it there has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ._base import FLOOR, JUST_VISIBLE, LEAST_PIXELS, Edit
from ._sample import Image

CLEAR = 0.08
"""From this share of its pixels on, a change of the local mean makes a defect clear."""

LEAST = 0.03
"""Below this share of visibly changed pixels, a place is none."""

_STEPS = 8
_HALVINGS = 5


def first_visible(edits: Iterable[Edit], image: Image) -> Edit | None:
    """Return the first edit that changes what the eye sees, else the one that comes closest, else None.

    An edit is clear if on `CLEAR` of its pixels the local mean changes by the visible floor: grain that is moved
    about changes every pixel, and nobody notices. Without a clear one, the best of those that visibly change `LEAST`
    of their pixels is taken, so that evenly grained images also get their defect.
    """
    best, most = None, -1.0
    for edit in edits:
        pixels, means = shares(edit, image)
        if pixels < LEAST:
            continue
        if means >= CLEAR:
            return edit
        if means + 1e-3 * pixels > most:
            best, most = edit, means + 1e-3 * pixels
    return best


def shares(edit: Edit, image: Image) -> tuple[float, float]:
    """Return the shares of the edit's pixels that change by the visible floor: themselves, and in the local mean."""
    from scipy.ndimage import uniform_filter

    inside = edit.alpha > 0
    if not inside.any():
        return 0.0, 0.0
    change = (np.clip(edit.pixels, 0, 1) - image.crop(edit.box)) * edit.alpha[:, :, None]
    size = min(max(min(inside.shape) // 10, 3), 15)
    means = uniform_filter(change, (size, size, 1))
    single, local = ((np.abs(part).max(axis=2)[inside] >= FLOOR).mean() for part in (change, means))
    return float(single), float(local)


def graded(severity: float, made: Callable[[float], Edit], image: Image) -> Edit:
    """Return the edit of an amount in (0, 1] at which what is seen lies `severity` of the way from just visible to all.

    For defects that would look like ghosts if they were only faded. The sum of the visible change is what grows in
    proportion to severity: a shift of the image's own pixels may, along the way, put like on like and change less.

    Args:
        severity: 0 for the amount at which a quarter of what `made(1.0)` visibly changes is just seen.
        made: gives the edit of an amount; the amounts differ in their effect continuously.
    """
    whole = made(1.0)
    if severity >= 1:
        return whole
    full = _changes(whole, image)
    seen = int((full >= FLOOR).sum())
    number = min(max(2 * LEAST_PIXELS, seen // 4), seen)
    if not number:
        return whole

    def just_seen(amount: float) -> bool:
        return int((_changes(made(amount), image) >= JUST_VISIBLE * FLOOR).sum()) >= number

    def total(amount: float) -> float:
        return _total(_changes(made(amount), image))

    faintest = _crossing(0.0, just_seen)
    least = total(faintest)
    wanted = least + severity * (_total(full) - least)
    return made(_crossing(faintest, lambda amount: total(amount) >= wanted)) if severity > 0 else made(faintest)


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


def _changes(edit: Edit, image: Image) -> NDArray[np.float32]:
    """Return (K,) the change in the channel that changes most, of the pixels that the edit means to change."""
    top, left, bottom, right = edit.box
    inside = edit.alpha > 0
    if image.foreground is not None:
        inside &= image.foreground[top:bottom, left:right]
    change = np.abs(np.clip(edit.pixels, 0, 1) - image.crop(edit.box)).max(axis=2) * edit.alpha
    return np.asarray(change[inside], dtype=np.float32)


def _total(change: NDArray[np.float32]) -> float:
    return float(change[change >= np.float32(FLOOR)].sum(dtype=np.float64))
