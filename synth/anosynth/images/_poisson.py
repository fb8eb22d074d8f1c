"""Poisson blending on a rectangle by sine transforms.

Formulas: P. Perez, M. Gangnet, A. Blake, "Poisson image editing", SIGGRAPH 2003; the discrete sine transform of the
first kind is diagonal for the five-point Laplacian with fixed values on a rectangle's border, so the solution is exact.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.noise import _fast

from ._sample import Mask

Pixels = NDArray[np.float32]
Floats = NDArray[np.float64]


def clone(source: Pixels, destination: Pixels, *, mixed: bool = False, mask: Mask | None = None) -> Pixels:
    """Return `source` moved seamlessly into `destination`, (h, w, C) float32; not clipped.

    Solves lap f = div v inside the rectangle, f = destination on its border, for each channel. The guidance v lives
    between neighbouring pixels: the difference of the source or, if `mixed`, whichever of the differences of source
    and destination is the larger one over all channels (one decision for all of them, so that no colours arise which
    neither image has). A source that differs from the destination by a constant gives the destination back.

    Where a neighbour lies outside `mask`, v is the destination's own difference. f - destination is then harmonic
    outside the mask, not zero: the caller's alpha has to end with the mask. For a rectangle leave the mask out.

    Args:
        source, destination: (h, w, C) float32 of one shape, any range.
        mixed: keep what is stronger instead of the source's structure alone.
        mask: (h, w) bool where the source counts; None for everywhere.
    """
    if min(destination.shape[:2]) < 3:
        return destination.copy()
    kernels = _fast.compiled("anosynth.images._compiled_poisson")
    if kernels is not None:
        pair = [np.ascontiguousarray(pixels) for pixels in (destination, source)]
        some = np.zeros((0, 0), np.bool_) if mask is None else np.array(mask)
        excess = np.zeros((pair[0].shape[2], pair[0].shape[0] - 2, pair[0].shape[1] - 2))
        kernels.excess(*pair, mixed, some, excess)
        made = pair[0].copy()
        kernels.add(made, _solved(excess))
        return made
    # Channels first: sums over three neighbours in memory and transforms with strides take several times as long.
    old, new = (np.moveaxis(pixels, 2, 0).astype(np.float64, order="C") for pixels in (destination, source))
    excess = np.zeros(old[:, 1:-1, 1:-1].shape)
    for lower, upper in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        more, own = new[lower] - new[upper], old[lower] - old[upper]
        drop = _energy(more) <= _energy(own) if mixed else None
        more -= own
        if mask is not None:
            outside = ~(mask[lower[1:]] & mask[upper[1:]])
            drop = outside if drop is None else drop | outside
        if drop is not None:
            more[:, drop] = 0
        inner = more[:, :, 1:-1] if len(lower) == 2 else more[:, 1:-1]
        excess += inner[lower] - inner[upper]
    old[:, 1:-1, 1:-1] += _solved(excess)
    return np.ascontiguousarray(np.moveaxis(old, 0, 2), dtype=np.float32)


def _energy(difference: Floats) -> Floats:
    """Return the sum of squares over the channels of (C, h, w)."""
    total: Floats = np.zeros(difference.shape[1:])
    for part in difference:
        total += part * part
    return total


def solve(right: Floats) -> Floats:
    """Return u (h, w, C) float64 with lap u = `right` (h, w, C) and zeros all round, exact up to rounding.

    lap u is the sum of the four neighbours minus 4 u; cost O(h w log(h w)).
    """
    return np.moveaxis(_solved(np.ascontiguousarray(np.moveaxis(right, 2, 0))), 0, 2)


def _solved(right: Floats) -> Floats:
    """Return what `solve` does, with the channels first: (C, h, w)."""
    from scipy.fft import dstn, idstn

    h, w = right.shape[1:]
    waves = dstn(right, type=1, axes=(1, 2))
    waves /= _eigenvalues(h)[:, None] + _eigenvalues(w)
    return np.asarray(idstn(waves, type=1, axes=(1, 2), overwrite_x=True), dtype=np.float64)


def fast_side(side: int) -> int:
    """Return the largest side <= `side` on which `clone` is fast: side - 1 has no prime factor above 5."""
    while side > 3 and not _smooth(side - 1):
        side -= 1
    return side


@lru_cache(maxsize=256)
def _eigenvalues(size: int) -> Floats:
    return np.asarray(2.0 * steady.cos(math.pi * np.arange(1, size + 1) / (size + 1)) - 2.0, dtype=np.float64)


def _smooth(number: int) -> bool:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1
