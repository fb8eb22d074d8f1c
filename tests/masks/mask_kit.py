"""What the tests of masks share."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from hypothesis import strategies as st

SHAPES = st.one_of(
    st.tuples(st.integers(1, 60)),
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
)


@st.composite
def cut_shapes(draw) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape of one to three axes, and segments that fit into it, most of which do not divide it."""
    shape = draw(SHAPES)
    return shape, tuple(draw(st.integers(1, min(size, 5))) for size in shape)


def signals(batch: int = 3, length: int = 200, leads: int = 4, dtype: type = np.float32) -> np.ndarray:
    """(B, L, leads): waves of another frequency in each lead, with noise."""
    draw = np.random.default_rng(4)
    time = np.arange(length)[None, :, None] / 17.0
    wave = np.sin(time * np.arange(1, leads + 1)) * 3 + 5
    return (wave + draw.normal(size=(batch, length, leads))).astype(dtype)


def blocks(shape: tuple[int, ...], segment: tuple[int, ...]):
    """Yield the index of each segment in the grid, and the slices of its samples."""
    grid = [math.ceil(size / step) for size, step in zip(shape, segment, strict=True)]
    for place in np.ndindex(*grid):
        yield place, tuple(slice(i * s, (i + 1) * s) for i, s in zip(place, segment, strict=True))


def digest(*arrays: np.ndarray) -> str:
    total = hashlib.sha256()
    for array in arrays:
        total.update(str((array.shape, array.dtype.str)).encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
