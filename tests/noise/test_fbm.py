"""fbm: its formula, its seeds, its precision and its independence of everything else."""

from __future__ import annotations

import hashlib
import itertools
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.noise import fbm
from anosynth.noise._tables import GRADIENTS, PERMUTATION
from anosynth.seeding import as_rng

BOUND = {2: 1.0, 3: 1.0364}


def scattered(dims: int, reach: float, count: int, seed: int = 0) -> NDArray[np.float64]:
    return (as_rng(seed).random(dims * count).reshape(count, dims) * 2 - 1) * reach


def bits(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.ascontiguousarray(values).view(np.int32)


def slow_noise(point: NDArray[np.float64]) -> float:
    """Improved Perlin noise by its definition, in float64: corners weighted by products of quintics."""
    cell = np.floor(point)
    total = 0.0
    for corner in itertools.product((0, 1), repeat=len(point)):
        node = 0
        for index in (cell + corner).astype(int) & 255:
            node = PERMUTATION[(node + index) & 255]
        # In the plane the last of the three permutations has no coordinate of its own.
        gradient = GRADIENTS[(node if len(point) == 3 else PERMUTATION[node]) & 15]
        way = point - cell - corner
        t = 1 - np.abs(way)
        total += float(
            (t**3 * (t * (t * 6 - 15) + 10)).prod() * sum(g * w for g, w in zip(gradient, way, strict=False))
        )
    return total


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("octaves", "persistence", "lacunarity"), [(1, 0.5, 2.0), (3, 0.6, 2.17), (5, 0.5, 2.0)])
def test_is_the_sum_in_its_docstring(dims: int, octaves: int, persistence: float, lacunarity: float) -> None:
    points = scattered(dims, 40, 150)
    total = np.zeros(len(points))
    for octave in range(octaves):
        offset = as_rng(5).child("octave", octave).random(dims) * 256
        moved = (points * lacunarity**octave + offset) % 256
        total += persistence**octave * np.array([slow_noise(point) for point in moved])
    total /= sum(persistence**octave for octave in range(octaves))
    got = fbm(points, 5, octaves=octaves, persistence=persistence, lacunarity=lacunarity)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, total, rtol=0, atol=4e-5)


@pytest.mark.parametrize("dims", [2, 3])
def test_backends_give_the_same_bits(dims: int) -> None:
    pytest.importorskip("noise")
    points = scattered(dims, 300, 20_000)
    for options in ({}, {"octaves": 1}, {"octaves": 3, "lacunarity": 2.17, "persistence": 0.7}):
        expected = fbm(points, 11, backend="noise", **options)  # type: ignore[arg-type]
        np.testing.assert_array_equal(bits(fbm(points, 11, **options)), bits(expected))  # type: ignore[arg-type]


coordinate = st.floats(-1e4, 1e4, allow_nan=False, width=32)


@st.composite
def clouds(draw: st.DrawFn) -> NDArray[np.float64]:
    dims = draw(st.sampled_from([2, 3]))
    rows = draw(st.lists(st.lists(coordinate, min_size=dims, max_size=dims), max_size=30))
    return np.array(rows, dtype=np.float64).reshape(-1, dims)


@settings(max_examples=80)
@given(clouds(), st.integers(0, 2**32), st.integers(1, 12), st.floats(0, 2), st.floats(0.5, 4))
def test_is_finite_and_bounded(
    points: NDArray[np.float64], seed: int, octaves: int, persistence: float, lacunarity: float
) -> None:
    values = fbm(points, seed, octaves=octaves, persistence=persistence, lacunarity=lacunarity)
    assert values.shape == (len(points),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert np.abs(values).max(initial=0) <= BOUND[points.shape[1]] + 1e-5


@settings(max_examples=60)
@given(clouds(), st.integers(0, 100), st.data())
def test_a_value_depends_on_its_point_alone(points: NDArray[np.float64], seed: int, data: st.DataObject) -> None:
    values = fbm(points, seed)
    cut = data.draw(st.integers(0, len(points)))
    np.testing.assert_array_equal(
        bits(values), bits(np.concatenate([fbm(points[:cut], seed), fbm(points[cut:], seed)]))
    )
    order = data.draw(st.permutations(range(len(points))))
    np.testing.assert_array_equal(bits(fbm(points[order], seed)), bits(values[order]))
    # The coordinates are float32 numbers, so the dtype that holds them says nothing new.
    np.testing.assert_array_equal(bits(fbm(points.astype(np.float32), seed)), bits(values))


@pytest.mark.parametrize("count", [1, 15, 16, 17, 16_383, 16_384, 16_385, 40_001])
def test_blocks_leave_no_seam(count: int) -> None:
    points = scattered(3, 50, 40_001)
    reference = np.concatenate([fbm(part, 3, octaves=2) for part in np.array_split(points, 7)])
    np.testing.assert_array_equal(bits(fbm(points[:count], 3, octaves=2)), bits(reference[:count]))


def test_strided_and_read_only_points() -> None:
    points = np.asfortranarray(scattered(3, 9, 64))
    points.setflags(write=False)
    before = points.copy()
    np.testing.assert_array_equal(fbm(points, 1), fbm(np.ascontiguousarray(points), 1))
    np.testing.assert_array_equal(fbm(points[::-2, 1:], 1), fbm(points[:, 1:].copy(), 1)[::-2])
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(fbm(np.arange(6).reshape(3, 2), 1), fbm(np.arange(6.0).reshape(3, 2), 1))


def test_far_points_keep_their_precision() -> None:
    points = np.round(scattered(2, 20, 500) * 1024) / 1024
    near, far = fbm(points, 2), fbm(points + 256.0 * 2**20, 2)
    np.testing.assert_allclose(far, near, rtol=0, atol=1e-4)


def test_octaves_do_not_vanish_together() -> None:
    lattice_points = np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0)), axis=-1).reshape(-1, 2)
    for octaves in (1, 4):
        values = fbm(lattice_points, 0, octaves=octaves)
        assert values.std() > 0.05
        assert (np.abs(values) < 1e-6).mean() < 0.02


def test_seeds() -> None:
    points = scattered(2, 100, 4000)
    first = fbm(points, 0)
    np.testing.assert_array_equal(first, fbm(points, 0))
    np.testing.assert_array_equal(first, fbm(points, as_rng(0)))
    others = [fbm(points, seed) for seed in (1, 2, as_rng(0).child("x"))]
    for other in [*others, fbm(points, None)]:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.1
    generator = np.random.default_rng(0)
    assert not np.array_equal(fbm(points, generator), fbm(points, generator))
    np.testing.assert_array_equal(fbm(points, np.random.default_rng(0)), fbm(points, np.random.default_rng(0)))


@pytest.mark.parametrize(("dims", "deviation", "extreme"), [(2, 0.149, 0.62), (3, 0.167, 0.69)])
def test_statistics_are_as_stated(dims: int, deviation: float, extreme: float) -> None:
    values = fbm(scattered(dims, 120, 100_000), 9)
    assert abs(float(values.mean())) < 0.01
    assert float(values.std()) == pytest.approx(deviation, rel=0.05)
    assert 0.4 < float(np.abs(values).max()) < extreme


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros(3), r"points: float64 \(3,\): expected real numbers of shape \(N, 2\) or \(N, 3\)"),
        (np.zeros((5, 4)), r"points: float64 \(5, 4\): expected"),
        (np.zeros((5, 3), complex), r"points: complex128 \(5, 3\): expected"),
        (np.array([[0, 1], [np.nan, 1], [2, np.inf]]), "points: 2 of 3 are not finite: expected finite coordinates"),
        (np.array([[0, 1e300]]), "points: too large: expected finite coordinates"),
    ],
)
def test_refuses_unusable_points(points: NDArray[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fbm(points, 0)


def test_refuses_what_has_no_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.zeros((2, 2))
    for options, message in (
        ({"octaves": 0}, "octaves: 0: expected 1 to 32"),
        ({"persistence": -0.1}, "persistence: -0.1: expected 0 to 16"),
        ({"lacunarity": float("inf")}, "lacunarity: inf: expected more than 0 and up to 16"),
        ({"backend": "numpi"}, "backend: numpi; did you mean `numpy`?"),
    ):
        with pytest.raises(ParameterError, match=message):
            fbm(points, 0, **options)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "noise", None)
    with pytest.raises(ParameterError, match=r"`noise` is not there\nhint: pip install 'anosynth\[noise\]'"):
        fbm(points, 0, backend="noise")


@pytest.mark.parametrize(
    ("dims", "golden"),
    [
        (2, "001625e31a6fac0e462635c1a1832421722e1d2c9d2e5d47dfb70954c676dd94"),
        (3, "fa4eaf42eefffdbd978bb308033618b54da7157358e8cae0cb31f2085b4cb570"),
    ],
)
def test_bytes_are_as_ever(dims: int, golden: str) -> None:
    steps = np.arange(600 * dims, dtype=np.float64).reshape(600, dims)
    values = fbm(steps * 0.173 - 40, 2024, octaves=5, persistence=0.55, lacunarity=2.1)
    assert hashlib.sha256(values.astype("<f4").tobytes()).hexdigest() == golden
