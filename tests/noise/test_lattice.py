"""lattice against its definition, pixel by pixel, and the properties that the definition implies."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anosynth.errors import ParameterError
from anosynth.noise import lattice
from anosynth.seeding import as_rng


def slow_lattice(
    shape: tuple[int, int],
    cells: tuple[float, float],
    seed: int,
    octaves: int = 1,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
    repeat: bool = False,
    shift: tuple[int, int] = (0, 0),
) -> NDArray[np.float64]:
    """The definition in float64; `shift` moves the window by whole pixels, with `repeat` also beyond the image."""
    out = np.zeros(shape)
    for octave in range(octaves):
        cy, cx = (count * lacunarity**octave for count in cells)
        rows, columns = math.ceil(cy) + 1, math.ceil(cx) + 1
        angles = as_rng(seed).child("octave", octave).random(rows * columns).reshape(rows, columns) * 2 * math.pi
        for i in range(shape[0]):
            for j in range(shape[1]):
                y, x = (i + shift[0]) * cy / shape[0], (j + shift[1]) * cx / shape[1]
                value = 0.0
                for node_y in (math.floor(y), math.floor(y) + 1):
                    for node_x in (math.floor(x), math.floor(x) + 1):
                        place = (node_y % round(cy), node_x % round(cx)) if repeat else (node_y, node_x)
                        dy, dx = y - node_y, x - node_x
                        ramp = math.cos(angles[place]) * dx + math.sin(angles[place]) * dy
                        value += ramp * falloff(dy) * falloff(dx)
                out[i, j] += math.sqrt(2) * persistence**octave * value
    return out / sum(persistence**octave for octave in range(octaves))


def falloff(distance: float) -> float:
    t = 1 - abs(distance)
    return t * t * t * (t * (t * 6 - 15) + 10)


def bits(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.ascontiguousarray(values).view(np.int32)


SIZES = [(1, 1), (1, 7), (5, 1), (8, 8), (13, 9), (10, 31), (32, 17), (7, 7)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("cells", [(1, 1), (2, 5), (3, 3), (16, 4), (2.5, 1.25)])
@pytest.mark.parametrize("octaves", [1, 3])
def test_equals_its_definition(shape: tuple[int, int], cells: tuple[float, float], octaves: int) -> None:
    got = lattice(shape, cells, 7, octaves=octaves, persistence=0.6)
    assert got.shape == shape
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, slow_lattice(shape, cells, 7, octaves, 0.6), rtol=0, atol=3e-6)


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.tuples(st.floats(1, 40), st.floats(1, 40)),
    st.integers(0, 2**64),
    st.floats(1, 2.5),
)
def test_any_size_and_any_cells(
    shape: tuple[int, int], cells: tuple[float, float], seed: int, lacunarity: float
) -> None:
    got = lattice(shape, cells, seed, octaves=2, lacunarity=lacunarity)
    np.testing.assert_allclose(got, slow_lattice(shape, cells, seed, 2, lacunarity=lacunarity), rtol=0, atol=3e-6)
    assert np.abs(got).max() <= 1 + 1e-5


@pytest.mark.parametrize("shift", [(0, 0), (12, 0), (0, 10), (5, 17), (24, 20)])
def test_repeat_makes_a_tile(shift: tuple[int, int]) -> None:
    shape, cells = (12, 10), (3, 2)
    tiled = np.tile(lattice(shape, cells, 4, octaves=2, repeat=True), (4, 4))
    window = tiled[shift[0] :, shift[1] :][: shape[0], : shape[1]]
    np.testing.assert_allclose(window, slow_lattice(shape, cells, 4, 2, repeat=True, shift=shift), rtol=0, atol=3e-6)


def test_repeat_has_no_seam_and_the_default_has_one() -> None:
    def seam(image: NDArray[np.float32]) -> float:
        steps = np.abs(np.diff(image, axis=0)).max()
        return float(np.abs(image[0] - image[-1]).max() / steps)

    smooth = lattice((120, 90), (4, 3), 1, repeat=True)
    assert seam(smooth) <= 1.05
    assert seam(smooth.T) <= 1.05
    assert seam(lattice((120, 90), (4, 3), 1)) > 3


@pytest.mark.parametrize(("shape", "cells"), [((1024, 40), (5, 2)), ((40, 1024), (2, 5)), ((700, 90), (7.3, 1))])
def test_bands_join(shape: tuple[int, int], cells: tuple[float, float]) -> None:
    image = lattice(shape, cells, 3)
    for axis in (0, 1):
        # Unit ramps, the slope of the quintic (at most 15/8) and the distance of two ramps (at most 2), times sqrt 2.
        slope = math.sqrt(2) * (1 + 1.875 * 2)
        assert np.abs(np.diff(image, axis=axis)).max() <= slope * cells[axis] / shape[axis]


@pytest.mark.parametrize(("shape", "cells"), [((60, 50), (7, 3)), ((33, 21), (2.5, 4)), ((300, 400), (3, 3))])
def test_a_field_is_the_same_at_every_size(shape: tuple[int, int], cells: tuple[float, float]) -> None:
    double = lattice((2 * shape[0], 2 * shape[1]), cells, 8, octaves=2)
    np.testing.assert_array_equal(bits(double[::2, ::2]), bits(lattice(shape, cells, 8, octaves=2)))


def test_is_zero_at_the_nodes_and_nowhere_else() -> None:
    image = lattice((64, 96), (8, 8), 0)
    assert not image[::8, ::12].any()
    assert (image == 0).mean() < 0.02


def test_spans_the_stated_range() -> None:
    image = np.concatenate([lattice((256, 256), (32, 32), seed) for seed in range(8)])
    assert float(image.std()) == pytest.approx(0.3, rel=0.05)
    assert 0.85 < float(image.max()) <= 1
    assert -1 <= float(image.min()) < -0.85


def test_seeds_and_octaves_are_independent() -> None:
    first = lattice((128, 128), (16, 16), 0)
    np.testing.assert_array_equal(first, lattice((128, 128), (16, 16), as_rng(0)))
    for seed in (1, 2, None, np.random.default_rng(0)):
        assert abs(np.corrcoef(first.ravel(), lattice((128, 128), (16, 16), seed).ravel())[0, 1]) < 0.15
    generator = np.random.default_rng(0)
    assert not np.array_equal(lattice((9, 9), (3, 3), generator), lattice((9, 9), (3, 3), generator))
    # With lacunarity 1 both octaves have the same lattice: the second must not be the first again.
    both = lattice((128, 128), (16, 16), 0, octaves=2, persistence=1, lacunarity=1)
    second = 2 * both - first
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"shape": (0, 5)}, "shape: 0 x 5: expected at least 1 x 1"),
        ({"shape": (5,)}, r"shape: \(5,\): expected two numbers, down and across"),
        ({"shape": (5.5, 5)}, "shape: 5.5: expected a whole number"),
        ({"cells": 3}, "cells: 3: expected two numbers, down and across"),
        ({"cells": (0.5, 2)}, "cells: 0.5 in one of the octaves: expected 1 to"),
        ({"cells": (2, float("nan"))}, "cells: nan in one of the octaves"),
        ({"cells": (2, float("inf"))}, "cells: inf in one of the octaves"),
        ({"cells": (8192, 8192)}, r"cells: 8192 x 8192 in one of the octaves: expected up to 2\*\*24 nodes"),
        ({"cells": (2.5, 2), "repeat": True}, "cells: 2.5 in one of the octaves: expected whole numbers for `repeat`"),
        ({"octaves": 2, "lacunarity": 1.5, "cells": (3, 2), "repeat": True}, "cells: 4.5 in one of the octaves"),
        ({"octaves": 3, "lacunarity": 0.5}, "cells: 0.75 in one of the octaves"),
        ({"octaves": -1}, "octaves: -1: expected 1 to 32"),
        ({"persistence": None}, "persistence: None: expected a number"),
    ],
)
def test_refuses_what_has_no_meaning(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        lattice(**({"shape": (8, 8), "cells": (3, 3), "rng": 0} | arguments))


def test_bytes_are_as_ever() -> None:
    image = lattice((75, 130), (5, 9), 2024, octaves=3, persistence=0.55)
    assert (
        hashlib.sha256(image.astype("<f4").tobytes()).hexdigest()
        == "2cfbf40700de6025fc268f8d2c57f497726c0da7f2fe779b46d868e63ef08adc"
    )
