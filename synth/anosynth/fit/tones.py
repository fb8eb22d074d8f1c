"""How a defect differs from what is around it: its colour, its spread, its edge, and what is seen in its place."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.images._sample import FULL_SCALE

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice]

_CLEAR, _BLACK = 3, 0.1


class Tone(NamedTuple):
    """See `figures.Figure` for all but `light`, the mean of `colour`."""

    colour: tuple[float, ...]
    around: tuple[float, ...]
    light: float
    texture: float
    mixed: float
    apart: float
    black: float


def tone(pixels: Array, own: Mask, mask: Mask, part: Mask | None) -> Tone:
    """Return how a region differs from the ring around it; from nothing where all around it is labelled.

    At the border of the part the ring is what of it lies on the part, if that is a quarter or more.
    """
    box, ring = ring_of(own, mask)
    on_part = ring if part is None else ring & part[box]
    ring = on_part if on_part.sum() >= 0.25 * ring.sum() else ring
    values = pixels[box].reshape(*ring.shape, -1).astype(np.float64) / FULL_SCALE[pixels.dtype]
    inside = values[own[box]]
    none = (0.0,) * values.shape[2]
    black = float((inside < _BLACK).all(axis=1).mean())
    if not ring.any():
        return Tone(none, tuple(inside.mean(0).tolist()), 0.0, 1.0, 0.0, math.nan, black)
    rest = values[ring]
    # Of means, for the median of a weave is that of its threads alone.
    around, spread = rest.mean(0), np.maximum(rest.std(0), 1 / 255)
    difference = inside.mean(0) - around
    texture = float(inside.std(0).mean() / spread.mean())
    mixed = float(inside.std(0).max()) / max(float(np.abs(difference).max()), 1 / 255)
    apart = float((np.abs(difference) / spread).max())
    colour, ring_colour = tuple(difference.tolist()), tuple(around.tolist())
    return Tone(colour, ring_colour, float(difference.mean()), texture, mixed, apart, black)


def ring_of(own: Mask, mask: Mask) -> tuple[Box, Mask]:
    """Return the box around a region with its surroundings, and in it what is near and not labelled."""
    from scipy.ndimage import maximum_filter

    reach = int(min(max(4, round(0.25 * math.sqrt(float(own.sum())))), 20))
    rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    box = (
        slice(max(0, int(rows[0]) - reach), int(rows[-1]) + reach + 1),
        slice(max(0, int(columns[0]) - reach), int(columns[-1]) + reach + 1),
    )
    near = maximum_filter(own[box].view(np.uint8), size=2 * reach + 1) > 0
    return box, near & ~mask[box]


def sides_of(pixels: Array, mask: Mask, part: Mask | None) -> tuple[Floats, Floats] | None:
    """Return the colours (C,) of the background and of the part, in the units of the pixels; None without either."""
    if part is None or part.all() or not (part & ~mask).any():
        return None
    values = pixels.reshape(*mask.shape, -1)
    # A few thousand pixels tell a median as well as all.
    ground, body = (
        np.median(some[:: max(1, len(some) // 4096)].astype(np.float64), axis=0)
        for some in (values[~part], values[part & ~mask])
    )
    return ground, body


def nearness(pixels: Array, own: Mask, sides: tuple[Floats, Floats]) -> Floats:
    """Return (n,): of each pixel of a region the distance from the background's colour over that from the part's."""
    colours = pixels.reshape(*own.shape, -1)[own].astype(np.float64)
    ground, body = (np.abs(colours - side).sum(1) for side in sides)
    return np.asarray(ground / np.maximum(body, 1e-9))


def openness(own: Mask, mask: Mask, part: Mask) -> float:
    """Return the share of what is around a region that is background, and not only seen through it."""
    from scipy.ndimage import maximum_filter

    box, ring = ring_of(own, mask)
    # What shows through a hole is found to be a little wider or narrower than its mask.
    next_to = maximum_filter(own[box].view(np.uint8), size=2 * _CLEAR + 1) > 0
    ring &= ~next_to
    return float((ring & ~part[box]).sum() / max(int(ring.sum()), 1))


def softness(pixels: Array, own: Mask, mask: Mask) -> float:
    """Return the width of the ramp at the edge, over twice the region's inner radius.

    The width is the inverse of the steepest slope within a few pixels of the mask's border, of the difference from the
    ring, scaled so that it is 1 within; so a mask drawn a little off the edge does not make the edge soft.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter

    box, ring = ring_of(own, mask)
    inside = own[box]
    deep = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    radius = float(deep.max())
    if radius < 4 or not ring.any():
        return math.nan
    values = pixels[box].reshape(*inside.shape, -1).astype(np.float64) / FULL_SCALE[pixels.dtype]
    base = np.median(values[ring], axis=0)
    within = np.median(values[deep >= 0.5 * radius], axis=0) - base
    if float(np.abs(within).max()) < 4 / 255:
        return math.nan
    level = gaussian_filter(((values - base) * within).sum(2) / float((within * within).sum()), 1.0)
    slope = np.hypot(*np.gradient(level))
    steepest = maximum_filter(slope, size=2 * max(2, min(8, round(0.3 * radius))) + 1)[inside & (deep <= 1.5)]
    # A step is a ramp of 2.5 pixels after that smoothing.
    ramp = 1.0 / max(float(np.median(steepest)), 1e-3) - 2.5
    return min(1.0, max(0.0, ramp / (2 * radius)))
