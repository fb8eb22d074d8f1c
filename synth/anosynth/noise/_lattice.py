"""Seeded gradient noise on the pixels of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import ParameterError
from anosynth.noise import _fast
from anosynth.noise._check import check_fractal, powers, real, whole
from anosynth.noise._kernel import Floats
from anosynth.seeding import Rng, RngLike, as_rng

Ints = NDArray[np.intp]

_MAX_NODES = 2**24
_BLOCK = 32768


def lattice(
    shape: tuple[int, int],
    cells: tuple[float, float],
    rng: RngLike,
    *,
    octaves: int = 1,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
    repeat: bool = False,
) -> NDArray[np.float32]:
    """Perlin noise on an image: random unit gradients at the nodes of a lattice, blended by quintics.

    The definition is that of K. Perlin, "An image synthesizer", SIGGRAPH 1985, with the weights of 2002, in the form
    in which perlin-numpy and DRAEM use it: pixel (y, x) lies at (y * cy / H, x * cx / W) in cells, the gradient of a
    node has a uniform angle, and the blend is multiplied by sqrt(2), because without that a single octave only
    spans ±sqrt(1/2). Unlike there, the size need not be divisible by the number of cells, and several octaves are
    divided by the sum of their amplitudes, so that the range stays the same (multiply by that sum to undo it).

    Within a row of cells the noise is a sum of four products, each of a function of y and a function of x; only the
    latter need interpolation, once for every row of nodes.

    Args:
        shape: height and width in pixels, each >= 1.
        cells: number of cells (cy, cx) down and across in the first octave, each >= 1 and not necessarily whole. For
            the same stream and cells the field is the same at every size, only sampled elsewhere.
        rng: stream of the gradients. A numpy Generator is advanced by it, a seed or `Rng` is not.
        octaves: number of terms, 1 to 32; octave k has cells * lacunarity**k cells.
        persistence: amplitude of a term relative to the one before, 0 to 16.
        lacunarity: frequency of a term relative to the one before, > 0 and up to 16.
        repeat: make the image fit itself at opposite borders; cells must be whole numbers in all octaves.

    Returns:
        (H, W) float32 from -1 to 1. A single octave has a standard deviation of about 0.3.

    Raises:
        ParameterError: a parameter is outside of what is said above, or an octave has over 2**24 nodes.
    """
    check_fractal(octaves, persistence, lacunarity)
    height, width = (whole("shape", size) for size in _pair("shape", shape))
    if min(height, width) < 1:
        raise ParameterError(f"shape: {height} x {width}: expected at least 1 x 1")
    counts = [real("cells", count) for count in _pair("cells", cells)]
    frequencies, amplitudes = powers(lacunarity, octaves), powers(persistence, octaves)
    scale = math.sqrt(2.0) / math.fsum(amplitudes)
    stream = as_rng(rng)
    out = np.zeros((height, width), np.float32)
    for octave, (frequency, amplitude) in enumerate(zip(frequencies, amplitudes, strict=True)):
        cy, cx = (_octave_cells(count * frequency, repeat) for count in counts)
        gradients = _gradients(stream.child("octave", octave), cy, cx, repeat)
        _add(out, gradients, cy, cx, scale * amplitude)
    return out


def _pair(name: str, value: Sequence[float]) -> Sequence[float]:
    try:
        first, second = value
    except (TypeError, ValueError):
        raise ParameterError(f"{name}: {value!r}: expected two numbers, down and across") from None
    return first, second


def _octave_cells(count: float, repeat: bool) -> float:
    if not 1 <= count < _MAX_NODES:
        raise ParameterError(f"cells: {count:g} in one of the octaves: expected 1 to 2**24 in all of them")
    if repeat and count != math.floor(count):
        raise ParameterError(f"cells: {count:g} in one of the octaves: expected whole numbers for `repeat`")
    return count


def _gradients(rng: Rng, cy: float, cx: float, repeat: bool) -> Floats:
    """Return (2, rows, columns) float32: the y and the x component of the unit gradient at every node."""
    rows, columns = math.ceil(cy) + 1, math.ceil(cx) + 1
    if rows * columns > _MAX_NODES:
        raise ParameterError(f"cells: {cy:g} x {cx:g} in one of the octaves: expected up to 2**24 nodes")
    angles = (rng.random(rows * columns) * (2.0 * math.pi)).reshape(rows, columns)
    if repeat:
        angles[-1] = angles[0]
        angles[:, -1] = angles[:, 0]
    kernels = _fast.compiled("anosynth.noise._compiled")
    if kernels is None:
        return np.stack([steady.sin(angles), steady.cos(angles)]).astype(np.float32)
    made = np.zeros((2, rows, columns), np.float32)
    kernels.directions(angles, *_fast.SERIES, made)
    return made


def _add(out: Floats, gradients: Floats, cy: float, cx: float, scale: float) -> None:
    """Add one octave times `scale` to `out`."""
    kernels = _fast.compiled("anosynth.noise._compiled")
    if kernels is not None:
        kernels.add_octave(out, gradients, cy, cx, scale)
        return
    height, width = out.shape
    row, below = _positions(height, cy)
    weight = below * below * below * (below * (below * 6.0 - 15.0) + 10.0)
    # With P(x) the blend of the x components times their offsets, and Q(x) that of the y components, an upper node
    # row adds (1 - weight) (Q below + P), the lower one weight (Q (below - 1) + P).
    factors = np.stack([(1.0 - weight) * below, 1.0 - weight, weight * (below - 1.0), weight]) * scale
    by_row = factors.astype(np.float32)
    if cy > height:
        bands = np.unique(row)
        nodes = np.union1d(bands, bands + 1)
    else:
        # No band is without a pixel.
        nodes = np.arange(row[-1] + 2)
        bands = nodes[:-1]
    starts, upper, lower = (np.searchsorted(*pair) for pair in ((row, bands), (nodes, bands), (nodes, bands + 1)))
    q, p = _along_x(gradients[:, nodes], width, cx)
    tall = height // len(bands)
    if tall * len(bands) == height and (starts == np.arange(len(bands)) * tall).all():
        _add_even(out.reshape(len(bands), tall, width), by_row.reshape(4, len(bands), tall, 1), q, p, upper, lower)
        return
    spare = np.zeros((min(max(1, _BLOCK // width), height), width), np.float32)
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], height], strict=True)):
        by_column = (q[upper[number]], p[upper[number]], q[lower[number]], p[lower[number]])
        for first in range(start, stop, len(spare)):
            part = out[first : min(first + len(spare), stop)]
            product = spare[: len(part)]
            for down, across in zip(by_row, by_column, strict=True):
                np.multiply(down[first : first + len(part), None], across, out=product)
                part += product


def _add_even(out: Floats, by_row: Floats, q: Floats, p: Floats, upper: Ints, lower: Ints) -> None:
    """Add to `out` (bands, rows, width), which is cut in pieces that stay in the cache."""
    number, tall, width = out.shape
    most = max(1, _BLOCK // width)
    bands, rows = max(1, most // tall), min(tall, most)
    spare = np.zeros((bands, rows, width), np.float32)
    for first in range(0, number, bands):
        some = slice(first, first + bands)
        columns = [values[at[some], None] for values, at in ((q, upper), (p, upper), (q, lower), (p, lower))]
        for top in range(0, tall, rows):
            part = out[some, top : top + rows]
            product = spare[: part.shape[0], : part.shape[1]]
            for down, across in zip(by_row[:, some, top : top + rows], columns, strict=True):
                np.multiply(down, across, out=product)
                part += product


def _along_x(gradients: Floats, width: int, cx: float) -> tuple[Floats, Floats]:
    """Return Q and P of node rows, each (rows, width), from their gradients (2, rows, columns)."""
    column, right = _positions(width, cx)
    weight = (right * right * right * (right * (right * 6.0 - 15.0) + 10.0)).astype(np.float32)
    near, far = right.astype(np.float32), (right - 1.0).astype(np.float32)
    down, across = gradients
    q, p, q_end, p_end = (np.take(part, at, axis=1) for at in (column, column + 1) for part in (down, across))
    p *= near
    p_end *= far
    for start, end in ((q, q_end), (p, p_end)):
        end -= start
        end *= weight
        start += end
    return q, p


def _positions(size: int, cells: float) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the cell of each of `size` pixels and the way from its lower node, 0 to 1."""
    place = np.arange(size, dtype=np.float64) * cells / size
    cell = np.floor(place)
    return cell.astype(np.intp), place - cell
