"""From samples to segments and back: the grid of equal boxes that a mask is made on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import real, whole

from ._arrays import as_bool, kind_of

Sizes = Union[int, Sequence[int]]
Shape = tuple[int, ...]
T = TypeVar("T", bound=np.generic)


def expand(mask: Any, shape: Sequence[int], segment: Sizes) -> Any:
    """Return a mask of segments as one of samples.

    Args:
        mask: (..., *grid) bool, array or tensor; the grid is shape / segment, rounded up.
        shape: size of the sample along each axis of space.
        segment: size of a segment, one number or one for each axis. The last one of an axis may stick out of the
            sample.

    Returns:
        (..., *shape) bool, of the kind that went in.

    Raises:
        DataError: the mask is not bool, or is of another grid.
        ParameterError: a segment is larger than the sample, or no whole number of samples.
    """
    sizes = tuple(whole("shape", size) for size in shape)
    steps = steps_of("segment", segment, sizes)
    bits, grid = as_bool("mask", mask), grid_of(sizes, steps)
    if bits.shape[bits.ndim - len(grid) :] != grid or bits.ndim < len(grid):
        raise DataError(f"mask: {bits.shape}: expected (..., {', '.join(map(str, grid))}) for samples of {sizes}")
    return kind_of(mask).give(spread(bits, sizes, steps))


def patches(mask: Any, segment: Sizes, *, dims: int | None = None) -> Any:
    """Return a mask of samples as one of segments: a segment is inside if any of its samples is.

    Args:
        mask: (..., *shape) bool, array or tensor.
        segment: size of a segment, one number or one for each axis of space.
        dims: number of axes of space, the last ones; as many as `segment` has numbers, for one number all.

    Returns:
        (..., *grid) bool, of the kind that went in.

    Raises:
        DataError: the mask is not bool.
        ParameterError: a segment is larger than the sample, or no whole number of samples.
    """
    bits = as_bool("mask", mask)
    number = dims if dims is not None else bits.ndim if np.ndim(segment) == 0 else len(np.atleast_1d(segment))
    if not 1 <= whole("dims", number) <= bits.ndim:
        raise ParameterError(f"dims: {number}: a mask of {bits.shape} has 1 to {bits.ndim}")
    steps = steps_of("segment", segment, bits.shape[bits.ndim - number :])
    for axis, step in enumerate(steps, bits.ndim - number):
        bits = np.logical_or.reduceat(bits, np.arange(0, bits.shape[axis], step), axis=axis)
    return kind_of(mask).give(bits)


def spread(bits: NDArray[T], shape: Shape, steps: Shape) -> NDArray[T]:
    """Return (..., *grid) repeated and cut to (..., *shape)."""
    for axis, (size, step) in enumerate(zip(shape, steps, strict=True), bits.ndim - len(shape)):
        bits = np.repeat(bits, step, axis=axis)
        bits = bits[(slice(None),) * axis + (slice(size),)]
    return np.ascontiguousarray(bits)


def grid_of(shape: Shape, steps: Shape) -> Shape:
    """Return how many segments there are along each axis, the one that sticks out included."""
    return tuple(-(-size // step) for size, step in zip(shape, steps, strict=True))


def steps_of(name: str, value: Sizes, shape: Shape, *, cut: bool = False) -> Shape:
    """Return a size for each axis of `shape`.

    Args:
        cut: take the whole axis where the size is larger, instead of refusing it.

    Raises:
        ParameterError: there is not one number for each axis, or one of them is below 1 or beyond the shape.
    """
    given = list(value) if isinstance(value, (list, tuple)) else [value] * len(shape)
    if len(given) != len(shape):
        raise ParameterError(f"{name}: {tuple(given)}: expected one number, or one for each of {len(shape)} axes")
    sizes = tuple(whole(name, size) for size in given)
    if min(sizes) < 1:
        raise ParameterError(f"{name}: {_short(sizes)}: expected at least 1")
    if cut:
        return tuple(min(pair) for pair in zip(sizes, shape, strict=True))
    if any(step > size for step, size in zip(sizes, shape, strict=True)):
        raise ParameterError(f"{name}: {_short(sizes)}: larger than the sample of {_short(shape)}")
    return sizes


def frozen(value: Sizes) -> Sizes:
    """Return sizes that nobody can change afterwards; what they are is checked when the sample is known."""
    return tuple(value) if isinstance(value, (list, tuple)) else value


def count_of(ratio: float, number: int) -> int:
    """Return `ratio` of `number`, rounded half up, but at least 1."""
    return min(number, max(1, math.floor(ratio * number + 0.5)))


def check_ratio(name: str, value: Any) -> float:
    """Return a share above 0 and up to 1, or raise ParameterError."""
    ratio = real(name, value)
    if not 0 < ratio <= 1:
        raise ParameterError(f"{name}: {value}: expected more than 0 and up to 1")
    return ratio


def block_means(values: NDArray[np.float64], steps: Shape) -> NDArray[np.float64]:
    """Return (..., *grid): the mean of every segment over the samples that it has."""
    counts = np.ones((), dtype=np.int64)
    for axis, step in enumerate(steps, values.ndim - len(steps)):
        size = values.shape[axis]
        starts = np.arange(0, size, step)
        values = np.add.reduceat(values, starts, axis=axis)
        counts = counts[..., None] * np.minimum(step, size - starts)
    return values / counts


def boxes(grid: Shape, size: Shape) -> list[NDArray[np.int64]]:
    """Return the segments of each box of up to `size` segments, by their row-major number.

    They are in the order of a path from neighbour to neighbour, so that any run of it is connected.
    """
    numbers = np.arange(math.prod(grid)).reshape(grid)
    corners = np.stack(np.meshgrid(*(range(0, n, s) for n, s in zip(grid, size, strict=True)), indexing="ij"), axis=-1)
    found = []
    for corner in corners.reshape(-1, len(grid)):
        found.append(_path(numbers[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))]))
    return found


def _path(box: NDArray[np.int64]) -> NDArray[np.int64]:
    if box.ndim == 1:
        return box
    return np.concatenate([_path(part)[:: -1 if i % 2 else 1] for i, part in enumerate(box)])


def _short(sizes: Shape) -> str:
    return str(sizes[0]) if len(sizes) == 1 else str(sizes)
