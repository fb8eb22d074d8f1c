"""Turned ellipses and rectangles, and resampling along displacement fields that vanish on the border of their box."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from anosynth import steady

from ._seats import heading

Pixels = NDArray[np.float32]
Field = NDArray[np.float32]

_LEAST_SIDE = 9


def resample(pixels: Pixels, down: Field, right: Field, step: int = 1) -> Pixels:
    """Return (h, w, C) float32: every pixel takes the value that lies at its place plus (down, right), bilinearly.

    Args:
        pixels: (h, w, C) float32.
        down, right: (h, w) float32 displacements in pixels; places outside the box take its border's values.
        step: above 1, only every so manieth row and column is made, and `down` and `right` are those of them.

    A pixel without displacement keeps its bits.
    """
    h, w, channels = pixels.shape
    row, column = np.arange(0, h, step, dtype=np.float32)[:, None], np.arange(0, w, step, dtype=np.float32)
    y = np.minimum(np.maximum(row + down, np.float32(0)), np.float32(h - 1))
    x = np.minimum(np.maximum(column + right, np.float32(0)), np.float32(w - 1))
    top, left = y.astype(np.intp), x.astype(np.intp)
    dy, dx = (y - top).astype(np.float32), (x - left).astype(np.float32)
    first = top * w + left
    aside, under = (left < w - 1).astype(np.intp), np.where(top < h - 1, w, 0)
    below = first + under
    corners = (first, first + aside, below, below + aside)
    result = np.zeros((*y.shape, channels), np.float32)
    for channel in range(channels):
        flat = np.ascontiguousarray(pixels[:, :, channel]).reshape(-1)
        upper, upper_end, lower, lower_end = (flat.take(at) for at in corners)
        for start, end in ((upper, upper_end), (lower, lower_end)):
            end -= start
            end *= dx
            start += end
        lower -= upper
        lower *= dy
        upper += lower
        result[:, :, channel] = upper
    return result


def elliptic_axes(h: int, w: int, angle: float, elongation: float) -> tuple[Field, Field, float, float]:
    """Return coordinates (along, across) of each pixel of a box in units of an ellipse's axes, and those in pixels.

    The ellipse is the largest of this `angle` (radians, from right towards down) and `elongation` (long over short
    axis) that touches no pixel of the box's border: there along^2 + across^2 >= 1.

    Returns:
        along, across: (h, w) float32; the ellipse is where the sum of their squares is below 1.
        long_axis, short_axis: half lengths in pixels.
    """
    cosine, sine = float(steady.cos(angle)), float(steady.sin(angle))
    reach_x = float(np.sqrt(cosine**2 + (sine / elongation) ** 2))
    reach_y = float(np.sqrt(sine**2 + (cosine / elongation) ** 2))
    long_axis = max(0.5, min(0.5 * (w - 1) / reach_x, 0.5 * (h - 1) / reach_y))
    short_axis = long_axis / elongation
    y = (np.arange(h, dtype=np.float64) - 0.5 * (h - 1))[:, None]
    x = (np.arange(w, dtype=np.float64) - 0.5 * (w - 1))[None, :]
    along = ((x * cosine + y * sine) / long_axis).astype(np.float32)
    across = ((y * cosine - x * sine) / short_axis).astype(np.float32)
    return along, across, long_axis, short_axis


def ellipse_box(area: float, angle: float, elongation: float, shape: tuple[int, int]) -> tuple[int, int]:
    """Return (h, w) in pixels of the box around an ellipse that covers `area` of an image of `shape`, at most that."""
    long_axis = float(np.sqrt(area * shape[0] * shape[1] / np.pi * elongation))
    cosine, sine = float(steady.cos(angle)), float(steady.sin(angle))
    reach_x = long_axis * float(np.sqrt(cosine**2 + (sine / elongation) ** 2))
    reach_y = long_axis * float(np.sqrt(sine**2 + (cosine / elongation) ** 2))
    return min(shape[0], max(_LEAST_SIDE, round(2 * reach_y) + 1)), min(
        shape[1], max(_LEAST_SIDE, round(2 * reach_x) + 1)
    )


def turned_axes(size: tuple[int, int], orientation: float, *, corners: bool) -> tuple[Field, Field]:
    """Return (across, down) in pixels from the middle of a turned rectangle of `size` (h, w), in the box around it.

    Args:
        corners: the box holds the corners too, not only the ellipse between them.
    """
    (h, w), (sine, cosine) = size, heading(orientation)
    pairs = ((abs(h * cosine), abs(w * sine)), (abs(w * cosine), abs(h * sine)))
    # What rounding leaves of a quarter turn must not make the box wider.
    rows, columns = (max(1, math.ceil((a + b if corners else math.sqrt(a * a + b * b)) - 1e-6)) for a, b in pairs)
    y = (np.arange(rows, dtype=np.float64) - 0.5 * (rows - 1))[:, None]
    x = (np.arange(columns, dtype=np.float64) - 0.5 * (columns - 1))[None, :]
    (xc, xs), (yc, ys) = (((v * cosine).astype(np.float32), (v * sine).astype(np.float32)) for v in (x, y))
    return xc + ys, yc - xs
