"""Features of points: what they depend on, what not, and the definition written down the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import DataError, ParameterError
from anosynth.metrics import auroc
from anosynth.pointclouds import Dent, PointCloud
from anosynth.rank.clouds import PER_SCALE, STEPS, cells_of, names, thinned
from anosynth.seeding import as_rng


def torus(count: int, seed: int = 0) -> np.ndarray:
    """(count, 3) float64 points, evenly at random on a torus."""
    u, v, keep = as_rng(seed).random(9 * count).reshape(3, -1)
    u, v = 2 * np.pi * u, 2 * np.pi * v
    kept = np.flatnonzero(keep * 1.4 < 1 + 0.4 * np.cos(v))[:count]
    u, v = u[kept], v[kept]
    ring = 1 + 0.4 * np.cos(v)
    return np.stack([ring * np.cos(u), ring * np.sin(u), 0.4 * np.sin(v)], axis=1)


def ball(count: int, seed: int = 0) -> np.ndarray:
    way = as_rng(seed).normal(3 * count).reshape(-1, 3)
    return way / np.linalg.norm(way, axis=1, keepdims=True)


def turned(points: np.ndarray, seed: int) -> np.ndarray:
    q, _ = np.linalg.qr(as_rng(seed).normal(9).reshape(3, 3))
    return points @ (q * np.sign(np.linalg.det(q))).T


def column(cells: np.ndarray, name: str) -> np.ndarray:
    return cells[:, names().index(name)]


POINTS = torus(1500)
CELLS = cells_of(POINTS)


def test_one_row_a_point_and_one_name_a_column():
    assert CELLS.shape == (1500, len(STEPS) * len(PER_SCALE))
    assert CELLS.dtype == np.float32
    assert len(names()) == len(set(names())) == CELLS.shape[1]
    assert np.isfinite(CELLS).all()
    # Every column tells points apart.
    assert (CELLS.std(axis=0) > 1e-4).all()


@given(st.integers(0, 10_000))
@settings(max_examples=5)
def test_turning_changes_nothing(seed):
    assert cells_of(turned(POINTS, seed)) == pytest.approx(CELLS, abs=2e-4)


@pytest.mark.parametrize("scale", [1e-4, 3.0, 2.0**20])
def test_neither_size_nor_place_changes_anything(scale):
    assert cells_of(POINTS * scale + [5 * scale, -3 * scale, 40 * scale]) == pytest.approx(CELLS, abs=2e-4)


def test_rows_go_with_their_points():
    order = as_rng(1).permutation(len(POINTS))
    assert cells_of(POINTS[order]) == pytest.approx(CELLS[order], abs=2e-4)


def test_float32_will_do():
    assert cells_of(POINTS.astype(np.float32)) == pytest.approx(CELLS, abs=1e-2)


def test_the_features_are_those_of_the_definition():
    points = torus(160, 3)
    cloud = PointCloud(points)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    near = np.argsort(apart, axis=1, kind="stable")[:, :9]
    step = np.zeros(apart.shape)
    np.put_along_axis(step, near, 1 / 9, axis=1)
    outermost = np.sort(apart, axis=1)[:, 8]
    expected, fine = {}, None
    means = [points]
    for count in (1, 4):
        weight = np.linalg.matrix_power(step, count)
        mean = weight @ points
        spread = np.einsum("pq,qi,qj->pij", weight, points, points) - mean[:, :, None] * mean[:, None, :]
        values, vectors = np.linalg.eigh(spread)
        c, b, a = np.maximum(values, 0).T
        if fine is None:
            fine = np.asarray(cloud.surface.outward(np.arange(160), vectors[:, :, 0]))
            heights = ((points - mean) * fine).sum(axis=1)
        around = weight @ fine if count > 1 else fine
        least = vectors[:, :, 0] * np.where((vectors[:, :, 0] * around).sum(axis=1) < 0, -1, 1)[:, None]
        radius = np.median(np.sqrt((a + b) / 2))
        # What is carried starts at the finest scale and goes on from there.
        later = np.linalg.matrix_power(step, count)
        height = ((points - mean) * least).sum(axis=1)
        expected[count] = {
            "variation": c / (a + b + c),
            "linearity": (a - b) / a,
            "planarity": (b - c) / a,
            "height size": np.abs(height) / radius,
            "band size": np.abs(((means[-1] - mean) * least).sum(axis=1)) / radius,
            "normal spread": 1 - np.linalg.norm(later @ fine, axis=1),
            "off centre": np.linalg.norm(points - mean - height[:, None] * least, axis=1) / radius,
            "roughness": np.sqrt(later @ (heights**2)) / np.median(np.abs(heights)),
            "density": np.log(later @ outermost / np.median(later @ outermost)),
        }
        means.append(mean)
    found = cells_of(cloud, steps=(1, 4), knn=8)
    for place, count in enumerate((1, 4)):
        block = dict(zip(PER_SCALE, found.T[10 * place :], strict=False))
        block["band size"] = np.abs(block["band"])
        for name, value in expected[count].items():
            assert block[name] == pytest.approx(value, abs=1e-5), (name, count)


def test_heights_are_positive_where_the_surface_bulges_outward():
    cells = cells_of(ball(2000))
    for step in STEPS:
        assert (column(cells, f"height at {step} steps") > 0).mean() > 0.97
    # On the inner side of a torus the surface bends both ways; on its outer side it bulges.
    outer = np.hypot(POINTS[:, 0], POINTS[:, 1]) > 1.25
    assert (column(CELLS, "height at 32 steps")[outer] > 0).mean() > 0.97


def test_a_smaller_ball_is_as_flat_as_a_larger_one_but_a_coarser_one_is_not():
    fine, coarse = cells_of(ball(4000)), cells_of(ball(1000))
    medians = [np.median(column(cells, "height at 8 steps")) for cells in (fine, coarse)]
    # Height over radius goes with radius times curvature, and a quarter of the points doubles the radius.
    assert medians[1] / medians[0] == pytest.approx(2, rel=0.1)


def test_an_open_border_is_off_centre():
    x, y = as_rng(2).random(4000).reshape(2, -1)
    plate = np.stack([x, y, 1e-3 * as_rng(3).normal(2000)], axis=1)
    border = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y)) < 0.01
    cells = cells_of(plate)
    assert auroc(column(cells, "off centre at 32 steps"), border) > 0.93
    assert np.median(column(cells, "variation at 8 steps")) < 0.01


def test_a_dent_stands_out_from_what_is_normal():
    good = np.concatenate([cells_of(torus(3000, seed)) for seed in (1, 2)])
    made = Dent(area=0.04, strength=0.05)(PointCloud(torus(3000, 5)), 1)
    z = (cells_of(made.sample) - good.mean(axis=0)) / good.std(axis=0)
    assert auroc((z * z).sum(axis=1), made.mask) > 0.8


def test_normals_of_the_file_say_which_side_is_out_and_nothing_more():
    out = ball(1500)
    tilted = out + 0.1 * as_rng(4).normal(out.size).reshape(-1, 3)
    plain = cells_of(PointCloud(out, normals=out))
    assert np.array_equal(cells_of(PointCloud(out, normals=tilted)), plain)
    inward = cells_of(PointCloud(out, normals=-out))
    signed = [place for place, name in enumerate(names()) if name.startswith(("height at", "band"))]
    assert inward[:, signed] == pytest.approx(-plain[:, signed], abs=1e-5)
    rest = np.setdiff1d(np.arange(len(names())), signed)
    assert inward[:, rest] == pytest.approx(plain[:, rest], abs=1e-5)


def test_points_in_one_place_and_flat_sheets_have_features():
    twice = np.concatenate([POINTS, POINTS[:200]])
    assert cells_of(twice)[:1500] == pytest.approx(CELLS, abs=0.5)
    grid = np.stack([*np.meshgrid(np.arange(20.0), np.arange(20.0)), np.zeros((20, 20))], axis=2).reshape(-1, 3)
    assert np.isfinite(cells_of(grid)).all()


def test_points_that_are_not_valid_have_zeros_and_no_say():
    holed = np.concatenate([POINTS, np.full((5, 3), np.nan)])
    cells = cells_of(PointCloud(holed))
    assert (cells[1500:] == 0).all()
    assert cells[:1500] == pytest.approx(CELLS, abs=1e-6)


def test_a_few_points_carry_their_values_to_all():
    cloud = PointCloud(np.concatenate([POINTS, [[np.nan] * 3]]))
    rows, place = thinned(cloud, 300)
    assert len(rows) == 300
    assert len(np.unique(rows)) == 300
    assert place.shape == (1501,)
    apart = np.linalg.norm(POINTS[:, None] - POINTS[rows][None], axis=2)
    assert np.array_equal(place[:1500], apart.argmin(axis=1))
    assert np.array_equal(rows, thinned(cloud, 300)[0])
    assert not np.array_equal(rows, thinned(cloud, 300, rng=1)[0])
    every, same = thinned(cloud, 5000)
    assert np.array_equal(every, np.arange(1500))
    assert np.array_equal(same[:1500], np.arange(1500))


def test_the_points_are_not_written_to():
    points = POINTS.copy()
    cells_of(points)
    assert np.array_equal(points, POINTS)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: cells_of(POINTS, steps=()), ParameterError, "`steps`"),
        (lambda: cells_of(POINTS, steps=(4, 2)), ParameterError, "`steps`"),
        (lambda: cells_of(POINTS, knn=3), ParameterError, "`knn`: 3"),
        (lambda: cells_of(np.zeros((5, 3))), DataError, "points: 5 valid among 5"),
        (lambda: cells_of(np.zeros((9, 3))), DataError, "one place"),
        (lambda: cells_of(np.outer(np.arange(50.0), [1, 2, 3])), DataError, "one line"),
        (lambda: cells_of(np.zeros((9, 2))), DataError, "expected float32 or float64"),
        (lambda: thinned(PointCloud(POINTS), 0), ParameterError, "`most`: 0"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
