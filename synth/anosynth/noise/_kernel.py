"""One octave of Perlin noise over a block of points, in the arithmetic of the `noise` package.

Every step is one float32 operation of numpy into a buffer that is there already, in the order in which the package's
C code rounds; therefore the results are equal bit by bit, on every CPU and with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.noise import _tables

BLOCK = 16384
"""Points that are worked on at once: few calls, and the buffers stay in a core's cache."""

Floats = NDArray[np.float32]


class Work(NamedTuple):
    """Buffers for one block of points, one column for each point; the memory is shared wherever it can be.

    The time of an octave is that of moving these buffers through the cache, so fewer of them are faster.
    """

    ways: Floats
    """(2, dims, size) way to the point from the lower cell, 0 to 1, and from the upper cell, -1 to 0; `ways[0]` is
    where the caller puts the coordinates in cells."""
    cells: Floats
    """(2, dims, size) lattice cell below and above the point along each axis."""
    fades: Floats
    """(dims, size) quintic weight of the upper cell."""
    parts: Floats
    """(dims, 2, 2, size) or (dims, 2, 2, 2, size) what each axis adds to the corners of the cell, by z, y, x."""
    nodes: NDArray[np.intp]
    """(2, 2, 2, size) places in the table of gradients, by z, y, x."""
    place: NDArray[np.intp]
    """(2, 2, size) places in a table over the plane, by y, x."""

    def lend(self) -> NDArray[np.float64]:
        """Return (2, dims, size) float64 to be used before the noise is asked for: it is the memory of `parts`."""
        dims, size = self.fades.shape
        wide: NDArray[np.float64] = self.parts.reshape(-1).view(np.float64)
        return wide[: 2 * dims * size].reshape(2, dims, size)


def make_work(dims: int, size: int) -> Work:
    """Return buffers for blocks of `size` points of `dims` coordinates."""
    return Work(
        ways=_floats(2, dims, size),
        cells=_floats(2, dims, size),
        fades=_floats(dims, size),
        parts=_floats(dims, *[2] * dims, size),
        nodes=np.zeros((2, 2, 2, size), np.intp),
        place=np.zeros((2, 2, size), np.intp),
    )


def _floats(*shape: int) -> Floats:
    # numpy aligns to 16 bytes, where wide vector loads that straddle cache lines take twice the time.
    count = math.prod(shape)
    memory = np.zeros(count + 16, np.float32)
    first = -memory.ctypes.data % 64 // 4
    return memory[first : first + count].reshape(shape)


def simple_noise(work: Work) -> Floats:
    """Return the noise with base 0 at the coordinates `work.ways[0]`, which are in 0..256.

    The result, (size,) float32, lies in `work`; the coordinates are overwritten.
    """
    x, low = work.ways[0], work.cells[0]
    np.floor(x, out=low)
    x -= low
    _gather_neighbours(work, 0)
    return _blend(work)


def periodic_noise(work: Work, periods: Sequence[float], base: int) -> Floats:
    """Return the noise at the coordinates `work.ways[0]`, which are any finite numbers.

    The result, (size,) float32, lies in `work`; the coordinates are overwritten. The lattice repeats along each axis
    after its period and after 256 cells; `base`, 0 or 1, is added to every cell.
    """
    x, low = work.ways[0], work.cells[0]
    if all(period % 256 == 0 and period <= 2**24 for period in periods):
        np.floor(x, out=low)
        x -= low
        _modulo_256(low, spare=work.fades)
        _gather_neighbours(work, base)
        return _blend(work)
    for axis, period, below, above in zip(x, periods, *work.cells, strict=True):
        np.fmod(axis, np.float32(period), out=below)
        np.floor(below, out=below)
        np.add(below, 1.0, out=above)
        np.fmod(above, np.float32(period), out=above)
        np.trunc(above, out=above)
    for cells in work.cells:
        _modulo_256(cells, spare=work.fades)
    x -= np.floor(x, out=work.fades)
    _gather_corners(work, base)
    return _blend(work)


def _modulo_256(cells: Floats, spare: Floats) -> None:
    # Exact for whole numbers of either sign, and the same as `& 255` on two's complement integers.
    np.multiply(cells, 1.0 / 256.0, out=spare)
    np.floor(spare, out=spare)
    spare *= 256.0
    cells -= spare


def _gather_neighbours(work: Work, base: int) -> None:
    """Write the gradients at the corners to `parts`, where the upper cell is the one after the lower one.

    The tables hold the neighbours beside every node, so that one place serves all corners.
    """
    low, place = work.cells[0], work.place[0, 0]
    if len(low) == 2:
        _to_places(low[0], low[1], work.fades[0], place)
        np.take(_tables.plane_neighbours(base), place, axis=3, out=work.parts, mode="clip")
        return
    columns, height = work.nodes[0], work.place[0, 1]
    _to_places(low[0], low[1], work.fades[0], place)
    np.take(_tables.column_neighbours(base), place, axis=2, out=columns, mode="clip")
    np.copyto(height, low[2], casting="unsafe")
    columns += height
    np.take(_tables.height_neighbours(base), columns, axis=2, out=work.parts, mode="clip")


def _gather_corners(work: Work, base: int) -> None:
    """The same for upper cells of their own; the price is four conversions, and the remainders before."""
    x, y = work.cells[:, 0], work.cells[:, 1]
    for below, row in enumerate(work.place):
        for right, place in enumerate(row):
            _to_places(x[right], y[below], work.fades[0], place)
    if len(work.fades) == 2:
        np.take(_tables.plane_neighbours(base)[:, 0, 0], work.place, axis=1, out=work.parts, mode="clip")
        return
    np.take(_tables.column_neighbours(base)[0, 0], work.place, out=work.nodes[0], mode="clip")
    heights = work.place[0]
    np.copyto(heights, work.cells[:, 2], casting="unsafe")
    np.add(work.nodes[0], heights[1], out=work.nodes[1])
    work.nodes[0] += heights[0]
    np.take(_tables.height_neighbours(base)[:, 0], work.nodes, axis=1, out=work.parts, mode="clip")


def _to_places(x: Floats, y: Floats, spare: Floats, out: NDArray[np.intp]) -> None:
    # Whole numbers below 2**24 are exact in float32: one conversion, of the sum, is enough.
    np.multiply(x, float(_tables.SIDE), out=spare)
    np.add(spare, y, out=spare)
    np.copyto(out, spare, casting="unsafe")


def _blend(work: Work) -> Floats:
    """Return the sum of `parts` over the axes, each times its way, interpolated between the corners."""
    near, far = work.ways
    np.subtract(near, 1.0, out=far)
    _quintic(near, out=work.fades, spare=work.cells[0])
    total: Floats = work.parts[0]
    for axis, part in enumerate(work.parts):
        part *= work.ways[:, axis].reshape(2, *[1] * axis, -1)
        if axis:
            total += part
    for fade in work.fades:
        low, high = total[..., 0, :], total[..., 1, :]
        high -= low
        high *= fade
        low += high
        total = low
    return total


def _quintic(t: Floats, out: Floats, spare: Floats) -> None:
    np.multiply(t, 6.0, out=out)
    out -= 15.0
    out *= t
    out += 10.0
    np.multiply(t, t, out=spare)
    spare *= t
    out *= spare
