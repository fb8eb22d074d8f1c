"""Kernels of Poisson blending for numba, which do what numpy does elsewhere, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from anosynth.noise._fast import kernel


@kernel
def dropped(old: Any, new: Any, down: int, right: int, mixed: bool, some: Any) -> Any:
    """Return where, between pixels and their neighbours, the destination's own difference is kept."""
    h, w, channels = old.shape
    drop = np.zeros((h - down, w - right), np.bool_)
    if not mixed and some.shape[0] == 0:
        return drop
    for i in range(h - down):
        for j in range(w - right):
            strong, own = 0.0, 0.0
            for channel in range(channels):
                guidance = np.float64(new[i + down, j + right, channel]) - np.float64(new[i, j, channel])
                there = np.float64(old[i + down, j + right, channel]) - np.float64(old[i, j, channel])
                strong += guidance * guidance
                own += there * there
            outside = some.shape[0] > 0 and not (some[i + down, j + right] and some[i, j])
            drop[i, j] = (mixed and strong <= own) or outside
    return drop


@kernel
def excess(old: Any, new: Any, mixed: bool, some: Any, out: Any) -> None:
    """Fill `out` (C, h - 2, w - 2) with the divergence of guidance beyond that of `old`; `some` may be (0, 0)."""
    h, w, channels = old.shape
    below, beside = dropped(old, new, 1, 0, mixed, some), dropped(old, new, 0, 1, mixed, some)
    ours, theirs = np.zeros((3, w)), np.zeros((3, w))
    for channel in range(channels):
        for i in range(1, h - 1):
            for k in range(3):
                for j in range(w):
                    ours[k, j], theirs[k, j] = new[i - 1 + k, j, channel], old[i - 1 + k, j, channel]
            for j in range(1, w - 1):
                lower = (ours[2, j] - ours[1, j]) - (theirs[2, j] - theirs[1, j])
                upper = (ours[1, j] - ours[0, j]) - (theirs[1, j] - theirs[0, j])
                right = (ours[1, j + 1] - ours[1, j]) - (theirs[1, j + 1] - theirs[1, j])
                left = (ours[1, j] - ours[1, j - 1]) - (theirs[1, j] - theirs[1, j - 1])
                lower, upper = 0.0 if below[i, j] else lower, 0.0 if below[i - 1, j] else upper
                right, left = 0.0 if beside[i, j] else right, 0.0 if beside[i, j - 1] else left
                out[channel, i - 1, j - 1] = (0.0 + (lower - upper)) + (right - left)


@kernel
def add(pixels: Any, solution: Any) -> None:
    """Add `solution` (C, h - 2, w - 2) to the inner `pixels` (h, w, C)."""
    for i in range(1, pixels.shape[0] - 1):
        for j in range(1, pixels.shape[1] - 1):
            for channel in range(pixels.shape[2]):
                pixels[i, j, channel] = np.float32(np.float64(pixels[i, j, channel]) + solution[channel, i - 1, j - 1])
