"""Kernels of edits for numba, which do what numpy does elsewhere, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from anosynth.noise._fast import kernel


@kernel
def blend_box(
    after: Any,
    pixels: Any,
    alpha: Any,
    inside: Any,
    top: int,
    left: int,
    white: Any,
    floor: Any,
    whole: bool,
    number: int,
    mask: Any,
    effect: Any,
    instances: Any,
    largest: Any,
) -> int:
    """Blend (h, w, C) `pixels` into `after` (H, W, C) where the change is seen; return how many pixels that are.

    `inside` (h, w) or (0, 0) is where; `whole` says that values are whole numbers from 0 to `white`; their changes are
    listed in `largest` and entered in `mask`, `effect` and `instances` (H, W).
    """
    count, channels, zero = 0, after.shape[2], np.float32(0)
    new, limited = np.zeros(channels, np.float32), inside.shape[0] > 0
    for i in range(alpha.shape[0]):
        for j in range(alpha.shape[1]):
            weight, most = alpha[i, j], zero
            if not weight > zero or (limited and not inside[i, j]):
                continue
            for channel in range(channels):
                old = np.float32(after[top + i, left + j, channel])
                value = (pixels[i, j, channel] * white - old) * weight + old
                if whole:
                    value = np.rint(min(max(value, zero), white))
                new[channel] = value
                change = (value - old) / white
                if channel == 0 or abs(change) > abs(most):
                    most = change
            if abs(most) >= floor:
                for channel in range(channels):
                    after[top + i, left + j, channel] = new[channel]
                mask[top + i, left + j] = True
                effect[top + i, left + j] = most
                instances[top + i, left + j] = number
                largest[count] = most
                count += 1
    return count


@kernel
def blend_places(
    after: Any,
    places: Any,
    pixels: Any,
    alpha: Any,
    white: Any,
    floor: Any,
    whole: bool,
    number: int,
    mask: Any,
    effect: Any,
    instances: Any,
    largest: Any,
) -> int:
    """Do the same for (C, K) `pixels` at `places` (K,) in the flattened arrays, `after` being (H * W, C)."""
    count, channels, zero = 0, after.shape[1], np.float32(0)
    new = np.zeros(channels, np.float32)
    for k in range(len(places)):
        place, weight, most = places[k], alpha[k], zero
        for channel in range(channels):
            old = np.float32(after[place, channel])
            value = (pixels[channel, k] * white - old) * weight + old
            if whole:
                value = np.rint(min(max(value, zero), white))
            new[channel] = value
            change = (value - old) / white
            if channel == 0 or abs(change) > abs(most):
                most = change
        if abs(most) >= floor:
            for channel in range(channels):
                after[place, channel] = new[channel]
            mask[place], effect[place], instances[place] = True, most, number
            largest[count] = most
            count += 1
    return count


@kernel
def seen(new: Any, old: Any, alpha: Any, floor: Any) -> Any:
    """Return on how many pixels (h, w, C) `new` is seen over `old`."""
    count = 0
    for i in range(alpha.shape[0]):
        for j in range(alpha.shape[1]):
            largest = np.float32(0)
            for channel in range(new.shape[2]):
                largest = max(largest, abs(new[i, j, channel] - old[i, j, channel]))
            count += int(largest * alpha[i, j] >= floor)
    return count


@kernel
def sums(pixels: Any, out: Any) -> None:
    """Add the pixels (h, w, C) up, one after the other, in `out` (C,) float64."""
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            for channel in range(pixels.shape[2]):
                out[channel] += pixels[i, j, channel]


@kernel
def recoloured(pixels: Any, matrix: Any, offset: Any, out: Any) -> None:
    """Fill `out` with (h, w, 3) `pixels` times a (3, 3) matrix, plus `offset`, from 0 to 1; it may be `pixels`."""
    for i in range(pixels.shape[0]):
        for j in range(pixels.shape[1]):
            red, green, blue = pixels[i, j, 0], pixels[i, j, 1], pixels[i, j, 2]
            for channel in range(3):
                value = matrix[channel, 0] * red + matrix[channel, 1] * green + matrix[channel, 2] * blue + offset
                out[i, j, channel] = min(max(value, np.float32(0)), np.float32(1))


@kernel
def turn_piece(piece: Any, sine: float, cosine: float, out: Any, alpha: Any) -> None:
    """Fill `out` (H, W, C) with a piece (h, w, C) turned about its centre, and `alpha` (H, W), as `turned` does."""
    h, w, channels = piece.shape
    tall, wide = alpha.shape
    for i in range(tall):
        y = i - 0.5 * (tall - 1)
        for j in range(wide):
            x = j - 0.5 * (wide - 1)
            v, u = y * cosine - x * sine + 0.5 * (h - 1), x * cosine + y * sine + 0.5 * (w - 1)
            rows = min(max(min(v + 1, h - v), 0.0), 1.0)
            alpha[i, j] = np.float32(rows * min(max(min(u + 1, w - u), 0.0), 1.0))
            v, u = min(max(v, 0.0), h - 1.0), min(max(u, 0.0), w - 1.0)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
            down, across = np.float32(v - top), np.float32(u - left)
            for channel in range(channels):
                first, last = piece[top, left, channel], piece[bottom, left, channel]
                upper = first + across * (piece[top, right, channel] - first)
                lower = last + across * (piece[bottom, right, channel] - last)
                out[i, j, channel] = upper + down * (lower - upper)
