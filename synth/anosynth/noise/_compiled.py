"""Kernels of noise for numba, which do what numpy does elsewhere, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from anosynth.noise._fast import kernel


@kernel
def direction(angle: float, sines: Any, cosines: Any, half_pi: Any) -> Any:
    """Return sine and cosine as `steady` has them, of its coefficients."""
    number = np.rint(angle * 0.6366197723675814)
    rest = ((angle - number * half_pi[0]) - number * half_pi[1]) - number * half_pi[2]
    square = rest * rest
    even, odd = cosines[-1], sines[-1]
    for k in range(len(cosines) - 2, -1, -1):
        even = even * square + cosines[k]
    for k in range(len(sines) - 2, -1, -1):
        odd = odd * square + sines[k]
    odd, quarter = rest * odd, int(number) & 3
    sine, cosine = (even, odd) if quarter & 1 else (odd, even)
    return (-sine if quarter & 2 else sine), (-cosine if (quarter + 1) & 2 else cosine)


@kernel
def directions(angles: Any, sines: Any, cosines: Any, half_pi: Any, out: Any) -> None:
    """Fill `out` (2, rows, columns) with sines and cosines of `angles`."""
    for row in range(angles.shape[0]):
        for column in range(angles.shape[1]):
            sine, cosine = direction(angles[row, column], sines, cosines, half_pi)
            out[0, row, column], out[1, row, column] = np.float32(sine), np.float32(cosine)


@kernel
def add_octave(out: Any, gradients: Any, cy: float, cx: float, scale: float) -> None:
    """Add one octave times `scale` to `out` (H, W), as `_add` does."""
    height, width = out.shape
    column, near, far = np.zeros(width, np.intp), np.zeros(width, np.float32), np.zeros(width, np.float32)
    weight = np.zeros(width, np.float32)
    for x in range(width):
        place = np.float64(x) * cx / width
        cell = np.floor(place)
        right = place - cell
        column[x], near[x], far[x] = int(cell), np.float32(right), np.float32(right - 1.0)
        weight[x] = np.float32(right * right * right * (right * (right * 6.0 - 15.0) + 10.0))
    blends = np.zeros((2, 2, width), np.float32)
    last = -2
    for y in range(height):
        place = np.float64(y) * cy / height
        cell = np.floor(place)
        below, band = place - cell, int(cell)
        if band != last:
            for side in range(2):
                if side == 0 and band == last + 1:
                    blends[0] = blends[1]
                    continue
                for x in range(width):
                    at = column[x]
                    q, p = gradients[0, band + side, at], gradients[1, band + side, at] * near[x]
                    q_end = gradients[0, band + side, at + 1]
                    p_end = gradients[1, band + side, at + 1] * far[x]
                    blends[side, 0, x] = q + (q_end - q) * weight[x]
                    blends[side, 1, x] = p + (p_end - p) * weight[x]
            last = band
        fade = below * below * below * (below * (below * 6.0 - 15.0) + 10.0)
        first, second = np.float32((1.0 - fade) * below * scale), np.float32((1.0 - fade) * scale)
        third, fourth = np.float32(fade * (below - 1.0) * scale), np.float32(fade * scale)
        line, upper_q, upper_p, lower_q, lower_p = out[y], blends[0, 0], blends[0, 1], blends[1, 0], blends[1, 1]
        for x in range(width):
            value = line[x] + first * upper_q[x]
            value += second * upper_p[x]
            value += third * lower_q[x]
            value += fourth * lower_p[x]
            line[x] = value
