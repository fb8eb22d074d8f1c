"""pnoise2 and pnoise3 against the package whose numbers they promise."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.noise import pnoise2, pnoise3
from anosynth.noise._kernel import make_work, simple_noise
from anosynth.seeding import as_rng

OURS = {2: pnoise2, 3: pnoise3}
GRADIENT_BOUND = {2: 1.0, 3: 1.0364}


def package(points: NDArray[Any], **options: Any) -> NDArray[np.float32]:
    noise = pytest.importorskip("noise")
    function = {2: noise.pnoise2, 3: noise.pnoise3}[points.shape[1]]
    return np.array([function(*point, **options) for point in points.tolist()], dtype=np.float32)


def bits(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.ascontiguousarray(values).view(np.int32)


def scattered(dims: int, reach: float, count: int, seed: int = 0) -> NDArray[np.float64]:
    return (as_rng(seed).random(dims * count).reshape(count, dims) * 2 - 1) * reach


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("reach", [3, 500, 5000])
@pytest.mark.parametrize("octaves", [1, 4, 6])
def test_equals_the_package_bit_by_bit(dims: int, reach: float, octaves: int) -> None:
    points = scattered(dims, reach, 400)
    for lacunarity, repeat, base in itertools.product((2.0, 2.17), (1024, 37, 16), (0, 1)):
        options = {f"repeat{axis}": repeat for axis in "xyz"[:dims]}
        options |= {"octaves": octaves, "lacunarity": lacunarity, "base": base}
        np.testing.assert_array_equal(bits(OURS[dims](*points.T, **options)), bits(package(points, **options)))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("octaves", [1, 3])
def test_equals_the_package_on_the_lattice_with_the_sign_of_zero(dims: int, octaves: int) -> None:
    axis = [-512.0, -257.0, -256.5, -256.0, -1.0, -0.5, -0.0, 0.0, 1e-30, 0.25, 1.0, 255.0, 255.5, 256.0, 1023.75, 1024]
    points = np.array(list(itertools.product(axis, repeat=dims)))
    for base in (0, 1):
        expected = package(points, octaves=octaves, base=base)
        np.testing.assert_array_equal(bits(OURS[dims](*points.T, octaves=octaves, base=base)), bits(expected))


def test_equals_the_package_where_all_octaves_are_minus_zero() -> None:
    points = np.array(list(itertools.product(range(64), repeat=2)), dtype=np.float64)
    single, double = (package(points, octaves=octaves) for octaves in (1, 2))
    assert np.signbit(single).any()
    assert not np.signbit(double).any()
    np.testing.assert_array_equal(bits(pnoise2(*points.T)), bits(single))
    np.testing.assert_array_equal(bits(pnoise2(*points.T, octaves=2)), bits(double))


@pytest.mark.parametrize("dims", [2, 3])
def test_the_last_cell_of_a_turn_is_the_first(dims: int) -> None:
    # Coordinates just below 256 round to 256 in float32.
    points = np.array(list(itertools.product([0.0, 0.25, 255.75, 256.0], repeat=dims)), dtype=np.float32)
    work = make_work(dims, len(points))
    work.ways[0][:] = points.T
    np.testing.assert_array_equal(bits(simple_noise(work)), bits(OURS[dims](*points.T)))


@pytest.mark.parametrize(
    "options",
    [
        {"repeatx": 3.5, "repeaty": 700.25},
        {"repeatx": 1, "repeaty": 256},
        {"octaves": 5, "lacunarity": 0.7, "repeatx": 9, "repeaty": 300},
        {"octaves": 3, "persistence": 0.0},
        {"octaves": 3, "persistence": 1.7, "lacunarity": 3.0},
        {"octaves": 12},
        {"octaves": 2, "repeatx": 2**29, "repeaty": 768},
    ],
)
def test_equals_the_package_in_the_plane_for_odd_options(options: dict[str, Any]) -> None:
    points = scattered(2, 2000, 500)
    np.testing.assert_array_equal(bits(pnoise2(*points.T, **options)), bits(package(points, **options)))


@pytest.mark.parametrize(
    "options",
    [
        {"repeatx": 5, "repeaty": 256, "repeatz": 1000},
        {"octaves": 4, "lacunarity": 0.6, "repeatx": 9, "repeaty": 300, "repeatz": 31},
        {"octaves": 12},
    ],
)
def test_equals_the_package_in_space_for_odd_options(options: dict[str, Any]) -> None:
    points = scattered(3, 2000, 500)
    np.testing.assert_array_equal(bits(pnoise3(*points.T, **options)), bits(package(points, **options)))


def test_equals_the_package_far_out() -> None:
    points = scattered(2, 1e12, 500)
    for repeat in (1024, 37):
        options = {"octaves": 3, "repeatx": repeat, "repeaty": repeat}
        np.testing.assert_array_equal(bits(pnoise2(*points.T, **options)), bits(package(points, **options)))


def test_broadcasts_any_shapes_dtypes_and_orders() -> None:
    x = np.arange(-60, 60, dtype=np.int16) / np.float32(8)
    y, z = scattered(2, 30, 333).T
    field = pnoise2(x[:, None], y, octaves=2)
    assert field.shape == (120, 333)
    assert field.dtype == np.float32
    assert field.flags.c_contiguous
    for row, column in ((0, 0), (7, 300), (119, 332)):
        assert field[row, column] == pnoise2(x[row], y[column], octaves=2)
    np.testing.assert_array_equal(pnoise2(y, x[:, None]).T, pnoise2(y[:, None], x))
    np.testing.assert_array_equal(pnoise3(x[:, None], y, z), pnoise3(*np.broadcast_arrays(x[:, None], y, z)))
    big = np.asfortranarray(scattered(300, 9, 200))
    np.testing.assert_array_equal(
        pnoise2(big, big.T[:1].T), pnoise2(big.copy(order="C"), np.repeat(big[:, :1], 300, 1))
    )
    assert pnoise2(np.arange(5), 0).tolist() == [0] * 5
    assert pnoise2(0.5, 0.25).shape == ()
    assert pnoise3(np.zeros((0, 4)), 0.5, np.zeros(4)).shape == (0, 4)


def test_blocks_leave_no_seam() -> None:
    points = scattered(2, 50, 40_000)
    whole = pnoise2(*points.T, octaves=2)
    pieces = [pnoise2(*part.T, octaves=2) for part in np.array_split(points, [1, 2, 17, 16_384, 16_390, 32_769])]
    np.testing.assert_array_equal(bits(whole), bits(np.concatenate(pieces)))


def test_inputs_are_only_read() -> None:
    x = scattered(2, 5, 100).astype(np.float32)
    before = x.copy()
    x.setflags(write=False)
    pnoise2(x[:, 0], x[:, 1], octaves=3, repeatx=7)
    np.testing.assert_array_equal(x, before)


finite = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=20),
    st.integers(1, 8),
    st.floats(0, 2),
    st.floats(1, 3),
    st.integers(1, 2000),
    st.integers(0, 1),
)
def test_is_bounded_by_its_gradients(
    points: list[tuple[float, float, float]],
    octaves: int,
    persistence: float,
    lacunarity: float,
    repeat: int,
    base: int,
) -> None:
    options: dict[str, Any] = {"octaves": octaves, "persistence": persistence, "lacunarity": lacunarity, "base": base}
    x, y, z = np.array(points).T
    assert np.abs(pnoise2(x, y, repeatx=repeat, **options)).max() <= GRADIENT_BOUND[2] + 1e-5
    assert np.abs(pnoise3(x, y, z, repeatz=repeat, **options)).max() <= GRADIENT_BOUND[3] + 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": 2}, "base: 2: expected 0 or 1"),
        ({"base": -1}, "base: -1: expected 0 or 1"),
        ({"base": 0.0}, "base: 0.0: expected a whole number"),
        ({"octaves": 0}, "octaves: 0: expected 1 to 32"),
        ({"octaves": 33}, "octaves: 33: expected 1 to 32"),
        ({"octaves": True}, "octaves: True: expected a whole number"),
        ({"octaves": 2.5}, "octaves: 2.5: expected a whole number"),
        ({"persistence": float("nan")}, "persistence: nan: expected 0 to 16"),
        ({"persistence": "0.5"}, "persistence: '0.5': expected a number"),
        ({"lacunarity": 0}, "lacunarity: 0: expected more than 0 and up to 16"),
        ({"repeatx": 0}, "repeatx: 0.0: expected 1 to 2\\*\\*30"),
        ({"repeaty": float("inf")}, "repeaty: inf: expected 1 to"),
        ({"octaves": 22}, "repeatx: 1024.0: 2.14748e\\+09 in one of the octaves"),
    ],
)
def test_refuses_what_has_no_meaning(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        pnoise2(0.5, 0.5, **options)


def test_refuses_repeats_in_space_that_are_not_whole_or_come_to_nothing() -> None:
    with pytest.raises(ParameterError, match=r"repeaty: 3\.5: expected a whole number"):
        pnoise3(0.5, 0.5, 0.5, repeaty=3.5)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="repeatz: 3: 0 in one of the octaves"):
        pnoise3(0.5, 0.5, 0.5, repeatz=3, octaves=3, lacunarity=0.5)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([0.5, float("nan")], "x: up to nan: expected finite coordinates"),
        ([0.5, float("-inf")], "x: up to inf: expected finite coordinates"),
        ([1e38, 0.5], "x: up to 1e\\+38: expected finite coordinates"),
        ([1j, 2], "x: complex128: expected real numbers"),
        ([True, False], "x: bool: expected real numbers"),
        ([1.0, 2.0, 3.0], r"coordinates: shapes \(3,\), \(2,\): expected shapes that broadcast"),
    ],
)
def test_refuses_unusable_coordinates(x: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        pnoise2(x, [0.5, 0.5], octaves=4)


def test_import_is_light() -> None:
    heavy = "{'scipy', 'torch', 'noise', 'pydantic', 'trimesh'}"
    code = f"import sys, anosynth.noise; print(*sorted({heavy} & set(sys.modules)), *sorted(anosynth.noise.__all__))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["fbm", "lattice", "pnoise2", "pnoise3"]
