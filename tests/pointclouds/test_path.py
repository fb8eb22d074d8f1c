from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import ParameterError
from anosynth.pointclouds._geometry.path import branching, curve, distance_to_polyline
from anosynth.seeding import Rng

seeds = st.integers(0, 2**32)
coordinates = st.floats(-10, 10).map(lambda x: round(x, 3))
vertices = st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=7).map(np.array)


@settings(max_examples=60)
@given(vertices, seeds)
def test_polyline_distances_are_those_of_dense_sampling(line: np.ndarray, seed: int) -> None:
    uv = (Rng(seed).random(40).reshape(20, 2) - 0.5) * 30
    distance, along = distance_to_polyline(uv, line)
    t = np.linspace(0, 1, 400)[:, None]
    dense = np.concatenate([line[:1], *((1 - t) * a + t * b for a, b in pairwise(line))])
    gaps = np.linalg.norm(uv[:, None] - dense, axis=2)
    steps = np.linalg.norm(np.diff(dense, axis=0), axis=1)
    assert (distance <= gaps.min(axis=1) + 1e-9).all()
    np.testing.assert_allclose(distance, gaps.min(axis=1), atol=float(steps.max(initial=0.0)) + 1e-9)
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    assert ((along >= 0) & (along <= lengths[-1] + 1e-9)).all()
    # The point of the line that `along` names is as near as the distance says.
    foot = np.column_stack([np.interp(along, lengths, dense[:, axis]) for axis in (0, 1)])
    np.testing.assert_allclose(np.linalg.norm(uv - foot, axis=1), distance, atol=1e-6)


def test_degenerate_lines() -> None:
    point = np.array([[3.0, 4.0]])
    for line in (point, np.repeat(point, 4, axis=0)):
        distance, along = distance_to_polyline(np.zeros((2, 2)), line)
        assert (distance.tolist(), along.tolist()) == ([5, 5], [0, 0])
    # There and straight back.
    back = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    assert distance_to_polyline(np.array([[2.0, 0.0], [0.5, 1.0]]), back)[0].tolist() == [1, 1]
    doubled = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert distance_to_polyline(np.array([[2.0, 0.5]]), doubled)[1].tolist() == [1.5]
    with pytest.raises(ParameterError, match="vertices: none"):
        distance_to_polyline(np.zeros((1, 2)), np.zeros((0, 2)))


@given(seeds, st.floats(0.01, 100), st.floats(0, 3), st.integers(1, 60))
@settings(max_examples=60)
def test_curves_have_their_length_their_bend_and_their_middle_at_the_origin(
    seed: int, length: float, bend: float, steps: int
) -> None:
    line = curve(Rng(seed), length, bend=bend, steps=steps)
    assert line.shape == (steps + 1, 2)
    assert line.dtype == np.float64
    parts = np.diff(line, axis=0)
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), length / steps, rtol=1e-9)
    distance, along = distance_to_polyline(np.zeros((1, 2)), line)
    assert distance[0] < 1e-9 * length
    if bend < math.pi / 2:
        assert along[0] == pytest.approx(length / 2, abs=1e-6 * length)
    heading = np.unwrap(np.arctan2(parts[:, 1], parts[:, 0]))
    if steps > 15:
        assert np.abs(heading - heading.mean()).max() == pytest.approx(bend, abs=1e-9)
        # Smooth: no corner turns by more than a few times the even share of what there is to turn.
        assert np.abs(np.diff(heading)).max(initial=0) <= 16 * bend / steps + 1e-9


def test_curves_point_everywhere() -> None:
    headings = []
    for seed in range(400):
        line = curve(Rng(seed), 1.0, bend=0.5, steps=10)
        headings.append(math.atan2(*(line[-1] - line[0])[::-1]))
    counts = np.histogram(headings, bins=8, range=(-math.pi, math.pi))[0]
    assert (((counts - 50) ** 2) / 50).sum() < 26  # chi-square, 7 dof, p = 0.0005


@given(seeds, st.integers(0, 8), st.floats(0, 1))
@settings(max_examples=60)
def test_branches_start_on_the_lines_before_them(seed: int, branches: int, jitter: float) -> None:
    lines = branching(Rng(seed), 2.5, branches=branches, jitter=jitter)
    assert len(lines) == branches + 1
    lengths = [float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) for line in lines]
    assert lengths[0] == pytest.approx(2.5)
    assert (lines[0] == 0).all(axis=1).any()
    for number in range(1, branches + 1):
        parents = [k for k in range(number) if (lines[k][1:-1] == lines[number][0]).all(axis=1).any()]
        assert parents
        assert any(0.2 <= lengths[number] / lengths[k] * (1 + 1e-9) <= 0.5 + 1e-6 for k in parents)
    for line in lines:
        assert np.isfinite(line).all()
        assert len(line) >= 5


def test_jitter_makes_the_zigzag() -> None:
    straight = branching(Rng(4), 1.0, branches=0, jitter=0.0)[0]
    assert np.linalg.norm(straight[-1] - straight[0]) == pytest.approx(1.0)
    lines = [branching(Rng(seed), 1.0, branches=0, jitter=0.5)[0] for seed in range(40)]
    assert 0.6 < np.mean([np.linalg.norm(line[-1] - line[0]) for line in lines]) < 0.97


def test_lines_keep_their_bytes() -> None:
    line = curve(Rng(3), 2.0, bend=0.8, steps=12)
    crack = branching(Rng(3), 2.0, branches=3, jitter=0.3)
    np.testing.assert_allclose(line[0], [-0.6553930399278047, 0.6564764567241395], rtol=1e-12)
    np.testing.assert_allclose(crack[3][-1], [-0.5342224808575882, -0.697279627305152], rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: curve(Rng(1), 0.0, bend=0.1, steps=4), "length: 0.0: expected a length > 0"),
        (lambda: curve(Rng(1), math.nan, bend=0.1, steps=4), "length: nan"),
        (lambda: curve(Rng(1), 1.0, bend=-0.1, steps=4), "steps, bend: 4, -0.1"),
        (lambda: curve(Rng(1), 1.0, bend=0.1, steps=0), "steps, bend: 0, 0.1"),
        (lambda: branching(Rng(1), -1.0, branches=1, jitter=0.1), "length: -1.0"),
        (lambda: branching(Rng(1), 1.0, branches=-1, jitter=0.1), "branches, jitter: -1, 0.1"),
        (lambda: branching(Rng(1), 1.0, branches=1, jitter=math.inf), "branches, jitter: 1, inf"),
    ],
)
def test_impossible_lines_are_refused(call: object, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        call()  # type: ignore[operator]
