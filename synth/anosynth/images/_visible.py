"""Choosing a place where a defect that only rearranges the image's own pixels can be seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ._base import FLOOR, Edit
from ._sample import Image

CLEAR = 0.08
"""From this share of its pixels on, a change of the local mean makes a defect clear."""

LEAST = 0.03
"""Below this share of visibly changed pixels, a place is none."""


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
