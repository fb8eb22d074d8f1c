"""Seeded fractal Perlin noise at scattered points."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError, did_you_mean
from anosynth.noise._check import check_fractal, powers
from anosynth.noise._kernel import BLOCK, Floats, Work, make_work, simple_noise
from anosynth.seeding import Rng, RngLike, as_rng

_PERIOD = 256.0
_MAX_COORDINATE = 1e300
_PACKAGE_HINT = "hint: pip install 'anosynth[noise]', or take backend `numpy`, which gives the same numbers"


def fbm(
    points: NDArray[np.floating],
    rng: RngLike,
    *,
    octaves: int = 4,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
    backend: Literal["numpy", "noise"] = "numpy",
) -> NDArray[np.float32]:
    """Fractal Perlin noise (fractional Brownian motion) at points of the plane or of space.

    The sum over octaves k of persistence**k * n(lacunarity**k * p + o_k), divided by the sum of persistence**k, where
    n is improved Perlin noise (K. Perlin, SIGGRAPH 2002) with the tables of the `noise` package. The offset o_k is
    drawn for every octave and axis from 0 to 256 cells, so that seeds differ and no point is a zero of all octaves.
    The argument of n is reduced modulo 256, its period, in float64 and only then rounded to float32: what is lost
    depends on the precision of the points, not on how far from the origin they are.

    A value depends on its point, the stream and the parameters alone: not on the other points, their order or number.

    Args:
        points: (N, 2) or (N, 3), in cells of the first octave (one cell is about one bump or dent), finite.
        rng: stream of the offsets. A numpy Generator is advanced by it, a seed or `Rng` is not.
        octaves: number of terms, 1 to 32.
        persistence: amplitude of a term relative to the one before, 0 to 16.
        lacunarity: frequency of a term relative to the one before, > 0 and up to 16.
        backend: "numpy", or "noise" for the package of that name: the same bits, several times slower. (A build of
            the package with fused multiply-add, as is usual on ARM, may differ in the last bit.)

    Returns:
        (N,) float32. Bounded by 1 in the plane and by 1.04 in space; 4 octaves keep within about 0.6 and 0.67 with
        a standard deviation of 0.15 and 0.17.

    Raises:
        ParameterError: a parameter is outside of what is said above, or the package `noise` is not installed.
        DataError: the points have another shape or dtype, or are not finite at the frequency of the last octave.
    """
    check_fractal(octaves, persistence, lacunarity)
    frequencies, amplitudes = powers(lacunarity, octaves), powers(persistence, octaves)
    weights = [np.float32(amplitude / math.fsum(amplitudes)) for amplitude in amplitudes]
    p = _checked(points)
    limit = _MAX_COORDINATE / max(frequencies)
    count, dims = p.shape
    offsets = _offsets(as_rng(rng), octaves, dims)
    size = _block_size(count)
    work = make_work(dims, size)
    evaluate = _evaluator(backend, dims)
    axes = np.zeros((dims, size))
    (turns, whole), reduced = work.lend(), work.ways[0]
    out = np.zeros(count, np.float32)
    for start in range(0, count, size):
        part = out[start : start + size]
        here = axes[:, : len(part)]
        np.copyto(here, p[start : start + size].T)
        # In this form because NaN is neither above nor below anything.
        if not (here.min() > -limit and here.max() < limit):
            raise DataError(_not_finite(p))
        for frequency, offset, weight in zip(frequencies, offsets, weights, strict=True):
            # In turns of 256 cells: scaling by a power of two is exact.
            np.multiply(axes, frequency / _PERIOD, out=turns)
            turns += offset
            np.floor(turns, out=whole)
            turns -= whole
            np.copyto(reduced, turns, casting="same_kind")
            reduced *= np.float32(_PERIOD)
            value = evaluate(work)
            value *= weight
            part += value[: len(part)]
    return out


def _offsets(rng: Rng, octaves: int, dims: int) -> list[NDArray[np.float64]]:
    """Return for every octave (dims, 1) float64 in 0..1, in turns of 256 cells."""
    return [rng.child("octave", octave).random(dims)[:, None] for octave in range(octaves)]


def _block_size(count: int) -> int:
    """Return a size of which few blocks cover `count` points with few columns left over: one work then fits all."""
    blocks = max(1, math.ceil(count / BLOCK))
    # Whole cache lines, for the sake of vector loads.
    return 16 * math.ceil(max(1, count) / blocks / 16)


def _checked(points: NDArray[np.floating]) -> NDArray[np.floating]:
    p = np.asarray(points)
    if p.ndim != 2 or p.shape[1] not in (2, 3) or p.dtype.kind not in "iuf":
        raise DataError(f"points: {p.dtype} {p.shape}: expected real numbers of shape (N, 2) or (N, 3)")
    return p


def _not_finite(points: NDArray[np.floating]) -> str:
    bad = int((~np.isfinite(points).all(axis=1)).sum())
    what = f"{bad} of {len(points)} are not finite" if bad else "too large"
    return f"points: {what}: expected finite coordinates\nhint: leave invalid points out"


def _evaluator(backend: str, dims: int) -> Callable[[Work], Floats]:
    """Return what gives the noise at the coordinates of a block, in a buffer that may be overwritten."""
    if backend == "numpy":
        return simple_noise
    if backend != "noise":
        raise ParameterError(f"backend: {backend}{did_you_mean(str(backend), ['noise', 'numpy'])}")
    try:
        one = getattr(import_module("noise"), f"pnoise{dims}")
    except (ImportError, AttributeError) as error:
        raise ParameterError(f"backend: noise: the package `noise` is not there\n{_PACKAGE_HINT}") from error
    return lambda work: np.fromiter(map(one, *work.ways[0].tolist()), np.float32)
