"""The `noise` package's `pnoise2` and `pnoise3` for whole arrays, equal bit by bit."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import check_fractal, real, whole
from anosynth.noise._kernel import BLOCK, make_work, periodic_noise

_MAX_PERIOD = 2.0**30
_MAX_COORDINATE = float(np.finfo(np.float32).max)


def pnoise2(
    x: ArrayLike,
    y: ArrayLike,
    *,
    octaves: int = 1,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
    repeatx: float = 1024,
    repeaty: float = 1024,
    base: int = 0,
) -> NDArray[np.float32]:
    """Fractal Perlin noise in the plane, as `noise.pnoise2` gives it for one point.

    The sum over octaves k of persistence**k * n(lacunarity**k * (x, y)), divided by the sum of persistence**k, where
    n is improved Perlin noise (K. Perlin, SIGGRAPH 2002) on a fixed table. All arithmetic is float32, the arguments
    are rounded to it first: beyond a few thousand cells the fraction gets coarse. The value is 0 at all whole
    coordinates (of all octaves at once if lacunarity is whole), and the lattice repeats after 256 cells.

    Args:
        x, y: real coordinates in cells, any shapes that broadcast.
        octaves: number of terms, 1 to 32.
        persistence: amplitude of a term relative to the one before, 0 to 16.
        lacunarity: frequency of a term relative to the one before, > 0 and up to 16.
        repeatx, repeaty: cells after which the lattice repeats, >= 1; octave k has repeat * lacunarity**k, which may
            not exceed 2**30. Multiples of 256 in all octaves are twice as fast as others.
        base: 0 or 1, a shift of the table. The package reads past the end of its table for any other value. It is
            no seed: for seeded noise see `fbm`.

    Returns:
        Noise of the broadcast shape, float32, from -1 to 1; with 4 octaves the standard deviation is 0.15.

    Raises:
        ParameterError: a parameter is outside of what is said above.
        DataError: coordinates are not real numbers, not finite in float32 at the last octave, or do not broadcast.
    """
    repeats = {"repeatx": real("repeatx", repeatx), "repeaty": real("repeaty", repeaty)}
    return _pnoise({"x": x, "y": y}, repeats, octaves, persistence, lacunarity, base)


def pnoise3(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike,
    *,
    octaves: int = 1,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
    repeatx: int = 1024,
    repeaty: int = 1024,
    repeatz: int = 1024,
    base: int = 0,
) -> NDArray[np.float32]:
    """Fractal Perlin noise in space, as `noise.pnoise3` gives it for one point.

    Like `pnoise2` with a third coordinate, but the repeats are whole numbers, also those of the octaves, which are
    rounded down and must not come to 0. Values are from -1.04 to 1.04; with 4 octaves the standard deviation is 0.17.

    Raises:
        ParameterError: a parameter is outside of what is said here and in `pnoise2`.
        DataError: coordinates are not real numbers, not finite in float32 at the last octave, or do not broadcast.
    """
    given = {"repeatx": repeatx, "repeaty": repeaty, "repeatz": repeatz}
    repeats = {name: whole(name, value) for name, value in given.items()}
    return _pnoise({"x": x, "y": y, "z": z}, repeats, octaves, persistence, lacunarity, base)


def _pnoise(
    coordinates: Mapping[str, ArrayLike],
    repeats: Mapping[str, float],
    octaves: int,
    persistence: float,
    lacunarity: float,
    base: int,
) -> NDArray[np.float32]:
    check_fractal(octaves, persistence, lacunarity)
    if whole("base", base) not in (0, 1):
        raise ParameterError(f"base: {base}: expected 0 or 1\nhint: base is no seed; `fbm` takes one")
    frequencies, amplitudes = _powers(lacunarity, octaves), _powers(persistence, octaves)
    total = list(accumulate(amplitudes))[-1]
    periods = [
        _octave_periods(name, repeat, frequencies, rounded=len(coordinates) == 3) for name, repeat in repeats.items()
    ]
    arrays = [_real_array(name, value, max(frequencies)) for name, value in coordinates.items()]
    with _blocks(arrays) as blocks:
        work = make_work(len(arrays), min(BLOCK, max(1, blocks.itersize)))
        for *axes, out in blocks:
            if len(out) != work.ways.shape[2]:
                work = make_work(len(arrays), len(out))
            for octave, (frequency, amplitude) in enumerate(zip(frequencies, amplitudes, strict=True)):
                for axis, scaled in zip(axes, work.ways[0], strict=True):
                    np.multiply(axis, frequency, out=scaled)
                value = periodic_noise(work, [period[octave] for period in periods], base)
                if octaves == 1:
                    out[:] = value
                    continue
                value *= amplitude
                # The package adds the first of several terms to 0, which makes 0 of -0.
                np.add(value, out if octave else 0.0, out=out)
            out /= total
        result: NDArray[np.float32] = blocks.operands[-1]
    return result


def _powers(factor: float, count: int) -> list[np.float32]:
    """Return factor**0 .. factor**(count - 1), rounded to float32 after every step."""
    return list(accumulate([np.float32(1)] + [np.float32(factor)] * (count - 1), operator.mul))


def _octave_periods(name: str, repeat: float, frequencies: Sequence[np.float32], rounded: bool) -> list[float]:
    if not 1 <= repeat <= _MAX_PERIOD:
        raise ParameterError(f"{name}: {repeat}: expected 1 to 2**30")
    periods = [float(np.float32(repeat) * frequency) for frequency in frequencies]
    if rounded:
        periods = [float(math.floor(period)) for period in periods]
    if min(periods) <= 0 or max(periods) > _MAX_PERIOD:
        worst = min(periods) if min(periods) <= 0 else max(periods)
        raise ParameterError(
            f"{name}: {repeat}: {worst:g} in one of the octaves: expected more than 0 and up to 2**30 in all of them"
        )
    return periods


def _real_array(name: str, value: ArrayLike, frequency: np.float32) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name}: {array.dtype}: expected real numbers")
    if array.size:
        reach = max(abs(float(array.min())), abs(float(array.max())))
        # In this form because NaN is not below anything.
        if not reach * float(frequency) < _MAX_COORDINATE:
            raise DataError(f"{name}: up to {reach:g}: expected finite coordinates")
    return array


def _blocks(arrays: list[NDArray[Any]]) -> np.nditer:
    """Return an iterator over the broadcast arrays in float32 blocks, with a new contiguous array to write to."""
    flags: list[Any] = [["readonly"] for _ in arrays] + [["writeonly", "allocate"]]
    try:
        return np.nditer(
            [*arrays, None],
            flags=["external_loop", "buffered", "zerosize_ok"],
            op_flags=flags,
            op_dtypes=[np.float32] * len(flags),
            casting="same_kind",
            order="C",
            buffersize=BLOCK,
        )
    except ValueError:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise DataError(f"coordinates: shapes {shapes}: expected shapes that broadcast") from None
