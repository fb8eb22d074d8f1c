"""Continuing what lies around a hole: a harmonic filling with grain like the surroundings'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._sample import Mask

Pixels = NDArray[np.float32]

_SWEEPS, _OVERSHOOT = 24, 1.8
_MANY_PIXELS = 2**17
"""Above this the coarser solution is smooth enough for a few plain sweeps."""

_BANDS = (0.8, 1.6, 3.2, 6.4)
"""Widths of the Gaussians, in pixels, whose differences are the bands of the grain."""


def continued(pixels: Pixels, hole: Mask, rng: Rng) -> Pixels:
    """Return `pixels` (h, w, C) float32 with the `hole` (h, w) bool filled as if its surroundings went on.

    Raises:
        DataError: nothing is known.
    """
    known = ~hole
    # One rim pixel decides over a whole sector of the filling: its noise would show as a streak.
    calm = np.where(hole[:, :, None], pixels, _known_mean(pixels, known, 1.5))
    filled = membrane(calm, hole) + grain(pixels, known, rng)
    return np.where(hole[:, :, None], filled, pixels)


def grain(pixels: Pixels, known: Mask, rng: Rng) -> Pixels:
    """Return noise (h, w, C) float32 with the strength, band by band and channel by channel, of the `known` pixels.

    A band's variance is what the deviation from a Gaussian mean gains over the one from the next narrower mean; the
    deviations are 1.48 times the median of their amounts (the standard deviation of a normal law), which a few edges
    among the known pixels do not change. The noise is gradient noise of a matching wavelength, one pattern for all
    channels.
    """
    h, w = pixels.shape[:2]
    total = np.zeros(pixels.shape, np.float32)
    narrower = np.zeros(pixels.shape[2])
    for number, width in enumerate(_BANDS):
        if 4 * width > min(h, w):
            break
        away = np.abs(pixels - _known_mean(pixels, known, width))[known]
        variance = (1.4826 * np.median(away, axis=0).astype(np.float64)) ** 2
        spread = np.sqrt(np.maximum(variance - narrower, 0))
        narrower = np.maximum(variance, narrower)
        # A wavelength of whole pixels would put the zeros of the noise onto the pixels.
        cells = (max(1.0, h / (2.37 * width)), max(1.0, w / (2.37 * width)))
        noise = lattice((h, w), cells, rng.child("band", number))
        total += noise[:, :, None] * (spread / max(float(noise.std()), 1e-6)).astype(np.float32)
    return total


def membrane(pixels: Pixels, hole: Mask) -> Pixels:
    """Return `pixels` (h, w, C) float32 with the `hole` (h, w) bool filled by the harmonic function of its rim.

    Coarse to fine: a block of 2 x 2 is known by the mean of its known pixels, until nothing is unknown; on the way back
    the coarser filling is the start of over-relaxed sweeps in checkerboard order. What is left of the error is smooth:
    up to 1 % of the rim's range for smooth rims and 5 % for white noise (sparse direct solvers end in BLAS, whose last
    bits depend on the processor). Across the box's border, an unknown pixel has no slope.

    Raises:
        DataError: nothing is known.
    """
    if not hole.any():
        return pixels.copy()
    if hole.all():
        raise DataError("nothing around the hole is known")
    start = _upsampled(membrane(*_halved(pixels, hole)), hole.shape)
    return _relaxed(np.where(hole[:, :, None], start, pixels), hole)


def _known_mean(pixels: Pixels, known: Mask, width: float) -> Pixels:
    """Return the Gaussian mean of the known pixels around each one; far from all of them, 0."""
    from scipy.ndimage import gaussian_filter

    weight = known.astype(np.float32)
    blurred = np.asarray(gaussian_filter(pixels * weight[:, :, None], (width, width, 0), truncate=3.0))
    share = np.asarray(gaussian_filter(weight, width, truncate=3.0))
    return (blurred / np.maximum(share, np.float32(1e-6))[:, :, None]).astype(np.float32, copy=False)


def _halved(pixels: Pixels, hole: Mask) -> tuple[Pixels, Mask]:
    h, w, channels = pixels.shape
    even = ((0, h % 2), (0, w % 2))
    known = np.pad((~hole).astype(np.float32), even)
    weighted = np.pad(pixels, (*even, (0, 0))) * known[:, :, None]
    blocks = ((h + 1) // 2, 2, (w + 1) // 2, 2)
    count = known.reshape(blocks).sum(axis=(1, 3))
    total = weighted.reshape(*blocks, channels).sum(axis=(1, 3))
    mean: Pixels = total / np.maximum(count, np.float32(1))[:, :, None]
    return mean, count == 0


def _upsampled(coarse: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return the coarse pixels interpolated linearly at the centres of a grid twice as fine, cut to `shape`."""
    for axis in (0, 1):
        size = shape[axis]
        place = np.clip((np.arange(size) - 0.5) / 2, 0, coarse.shape[axis] - 1)
        low = np.minimum(place.astype(np.intp), max(coarse.shape[axis] - 2, 0))
        high = np.minimum(low + 1, coarse.shape[axis] - 1)
        weight = (place - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        coarse = coarse.take(low, axis) * (np.float32(1) - weight) + coarse.take(high, axis) * weight
    return coarse


def _relaxed(pixels: Pixels, hole: Mask) -> Pixels:
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
    inner = padded[1:-1, 1:-1]
    parity = (np.arange(hole.shape[0])[:, None] + np.arange(hole.shape[1])[None, :]) % 2
    colours = [(hole & (parity == colour))[:, :, None] for colour in (0, 1)]
    few = hole.size > _MANY_PIXELS
    overshoot = np.float32(1 if few else _OVERSHOOT)
    for _ in range(4 if few else _SWEEPS):
        for colour in colours:
            mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) * np.float32(0.25)
            mean -= inner
            mean *= overshoot
            mean += inner
            np.copyto(inner, mean, where=colour)
            padded[0], padded[-1] = padded[1], padded[-2]
            padded[:, 0], padded[:, -1] = padded[:, 1], padded[:, -2]
    result: Pixels = inner.copy()
    return result
