from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds import Dent, PointCloud
from anosynth.report import cloud_view
from anosynth.report._facing import basis
from anosynth.report._thin import thin, unmatched
from anosynth.report.clouds import anomaly_view

LIMIT = 6000
KB = 1000


def stored(view: dict[str, Any]) -> int:
    return len(json.dumps(view))


def test_a_small_cloud_comes_back_within_half_a_step(torus, bump, decode):
    case = bump(torus(900), (40.0, 0.0, 0.0), 9.0, 2.5)
    view = cloud_view(**case)
    got, label = decode(view), case["label"]
    assert 5 < label.sum() < 300
    tolerance = 0.5 * view["step"] * (1 + 1e-9)
    assert np.abs(got["plain"] - case["after"][~label]).max() <= tolerance
    assert np.abs(got["marked"] - case["after"][label]).max() <= tolerance
    assert np.abs(got["origin"] - case["before"][label]).max() <= tolerance
    assert np.abs(got["height"] - case["height"][label]).max() <= 0.5 * view["height_step"] * (1 + 1e-9)
    assert (got["flags"] == 3).all()
    assert len(got["removed"]) == 0
    assert view["count"] == {"before": 900, "after": 900, "label": int(label.sum())}
    assert view["peak"] == pytest.approx(float(np.abs(case["height"]).max()))


def test_the_step_is_the_extent_over_sixteen_bits(plate, bump):
    case = bump(plate(4000), (60.0, 40.0, 0.0), 10.0, 1.0)
    extent = max(np.ptp(np.vstack([case["before"], case["after"]]), axis=0))
    assert cloud_view(**case)["step"] == pytest.approx(extent / 65535, rel=1e-6)


def test_a_tiny_height_is_not_rounded_to_none(torus, decode):
    points, _ = torus(400)
    height = np.zeros(400)
    height[:3] = [5.0, 1e-9, -1e-9]
    label = height != 0
    got = decode(cloud_view(points, points, height, label))["height"]
    assert np.sign(got).tolist() == [1.0, 1.0, -1.0]
    assert abs(got[1]) <= 5.0 / 32767 * (1 + 1e-9)


def test_few_labels_are_all_kept(torus, bump, decode):
    case = bump(torus(50_000), (40.0, 0.0, 0.0), 2.0, 0.5)
    kept = int(case["label"].sum())
    assert 10 < kept < 600
    got = decode(cloud_view(**case))
    assert (got["flags"] & 1).sum() == kept
    assert 0.85 * LIMIT < len(got["plain"]) + kept <= LIMIT


def test_a_small_defect_gets_forty_percent_at_most(torus, bump, decode):
    case = bump(torus(60_000), (40.0, 0.0, 0.0), 16.0, 3.0)
    share = case["label"].mean()
    got = decode(cloud_view(**case))
    density = len(got["marked"]) / LIMIT
    assert share < 0.2
    assert 0.9 * 0.4 <= density <= 0.4


def test_a_large_defect_gets_its_share_at_least(torus, decode):
    points, _ = torus(40_000)
    label = np.arange(len(points)) % 10 != 0
    got = decode(cloud_view(points, points + label[:, None], label * 1.0, label))
    marked, plain = len(got["marked"]), len(got["plain"])
    assert marked / (marked + plain) > 0.8
    assert marked + len(got["origin"]) + plain <= 1.4 * LIMIT


@pytest.mark.parametrize("kind", ["bump", "all", "hole", "added", "other"])
def test_size_is_bounded(kind, torus, bump):
    case = dict(bump(torus(120_000), (40.0, 0.0, 0.0), 14.0, 3.0))
    points, inside = case["before"], case["label"]
    if kind == "all":
        case.update(after=points * 1.1, height=np.ones(len(points)), label=np.ones(len(points), bool))
    elif kind == "hole":
        rest = int((~inside).sum())
        case.update(after=points[~inside], height=np.zeros(rest), label=np.zeros(rest, bool))
    elif kind == "added":
        many = np.vstack([points, points[inside] + 3])
        new = np.arange(len(many)) >= len(points)
        case.update(after=many, height=np.zeros(len(many)), label=new)
    elif kind == "other":
        case.update(after=points[1:] + 0.5, height=np.zeros(len(points) - 1), label=np.ones(len(points) - 1, bool))
    assert 20 * KB < stored(cloud_view(**case)) < 90 * KB


def test_the_same_input_gives_the_same_bytes_and_is_left_alone(torus, bump):
    case = bump(torus(30_000), (40.0, 0.0, 0.0), 9.0, 2.5)
    copies = {name: value.copy() for name, value in case.items()}
    assert json.dumps(cloud_view(**case)) == json.dumps(cloud_view(**copies))
    assert all(np.array_equal(case[name], copies[name]) for name in case)


def test_scaling_by_a_power_of_two_changes_no_packed_byte(torus, bump):
    case = bump(torus(20_000), (40.0, 0.0, 0.0), 9.0, 2.5)
    large = {name: value if name == "label" else value * np.float32(1024) for name, value in case.items()}
    small, large = cloud_view(**case), cloud_view(**large)
    for name in ("plain", "marked", "origin", "height", "flags", "look"):
        assert small[name] == large[name], name
    assert large["step"] == 1024 * small["step"]


def test_points_that_are_not_finite_are_dropped(torus, decode):
    points = torus(600)[0].copy()
    points[5] = np.nan
    points[17, 2] = -np.inf
    points[18, 2] = np.inf
    height = np.full(600, np.nan)
    got = decode(view := cloud_view(points, points, height, np.zeros(600, bool)))
    assert view["count"]["after"] == len(got["plain"]) == 597
    assert np.isfinite(got["plain"]).all()
    assert view["peak"] == 0


def test_zeros_are_points_unless_told_otherwise(torus, decode):
    points = torus(600)[0].copy()
    points[:50] = 0
    args = (points, points, np.zeros(600), np.zeros(600, bool))
    assert len(decode(cloud_view(*args))["plain"]) == 600
    got = decode(view := cloud_view(*args, valid=(points != 0).any(axis=1)))
    assert len(got["plain"]) == 550
    assert view["count"] == {"before": 550, "after": 550, "label": 0}
    assert np.linalg.norm(got["plain"], axis=1).min() > 10


def test_a_hole_in_an_organised_map_shows_what_it_removed(plate, decode):
    points = plate(800)[0] + 5
    hole = np.linalg.norm(points[:, :2] - [60, 40], axis=1) < 15
    after = np.where(hole[:, None], 0, points).astype(np.float32)
    got = decode(cloud_view(points, after, np.zeros(800), hole, valid=~hole))
    assert np.abs(got["removed"] - points[hole]).max() < 0.01
    assert len(got["marked"]) == 0


def test_a_hole_is_found_without_pairs(plate, decode):
    points = plate(4000)[0]
    away = np.linalg.norm(points[:, :2] - [60, 40], axis=1)
    keep = away > 15
    rim = (away < 18)[keep]
    got = decode(view := cloud_view(points, points[keep], np.zeros(keep.sum()), rim))
    assert 0.85 * (~keep).sum() <= len(got["removed"]) <= (~keep).sum()
    assert (np.linalg.norm(got["removed"][:, :2] - [60, 40], axis=1) < 15.01).all()
    assert len(got["marked"]) == rim.sum()
    assert set(got["flags"]) == {1}
    assert view["peak"] == 0
    assert view["count"] == {"before": 4000, "after": int(keep.sum()), "label": int(rim.sum())}


def test_added_points_are_told_from_old_ones(torus, decode):
    points, normal = torus(3000)
    added = (points[:200] + 2 * normal[:200]).astype(np.float32)
    many = np.vstack([added[:100], points, added[100:]])
    label = np.r_[np.ones(100, bool), np.zeros(3000, bool), np.ones(100, bool)]
    got = decode(cloud_view(points, many, np.zeros(3200), label))
    assert len(got["marked"]) == 200
    assert (got["flags"] & 1).all()
    assert (got["flags"] & 2).astype(bool).sum() > 170
    assert len(got["removed"]) == len(got["origin"]) == 0


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_unmatched_is_never_wrong_about_what_it_reports(first, second, seed):
    rng = np.random.default_rng(seed)
    before, after = rng.integers(-2, 3, (first, 3)) * 1.0, rng.integers(-2, 3, (second, 3)) * -1.0
    ok_before, ok_after = rng.random(first) < 0.7, rng.random(second) < 0.7
    new, gone = unmatched(before, ok_before, after.astype(np.float32), ok_after)
    old = {tuple(p) for p in before[ok_before] + 0.0}
    now = {tuple(p) for p in after[ok_after] + 0.0}
    assert all(tuple(p) not in old for p in after[new] + 0.0)
    assert all(tuple(p) not in now for p in before[gone] + 0.0)
    assert not (new & ~ok_after).any()
    assert not (gone & ~ok_before).any()
    truth = sum(tuple(p) not in old for p in after[ok_after] + 0.0)
    assert new.sum() >= 0.6 * truth - 3


@example(total=72, count=11, shape="volume")
@given(
    total=st.integers(0, 4000),
    count=st.integers(0, 500),
    shape=st.sampled_from(["line", "plane", "volume", "few places"]),
)
@settings(max_examples=60)
def test_thin_returns_distinct_rows_and_no_more_than_asked(total, count, shape):
    points = (
        np.random.default_rng(total).random((total, 3))
        * {
            "line": [1, 0, 0],
            "plane": [1, 1, 0],
            "volume": [1, 1, 1],
            "few places": [1, 1, 1],
        }[shape]
    )
    if shape == "few places":
        points = np.round(points * 2)
    rows = np.flatnonzero(np.arange(total) % 3 != 1)
    chosen = thin(points, rows, count)
    assert len(chosen) <= count or len(chosen) == len(rows)
    assert (np.diff(chosen) > 0).all()
    assert np.isin(chosen, rows).all()
    if len(rows) <= count:
        assert np.array_equal(chosen, rows)
    elif shape != "few places":
        assert len(chosen) >= 0.6 * count


@pytest.mark.parametrize("order", ["random", "rows"])
def test_thinning_is_more_even_than_chance(order):
    if order == "random":
        flat = np.random.default_rng(1).random((40_000, 2))
    else:
        flat = np.stack(np.meshgrid(np.arange(200), np.arange(200), indexing="ij"), -1).reshape(-1, 2) / 200
    points = np.column_stack([flat, np.zeros(len(flat))])
    chosen = points[thin(points, np.arange(len(points)), 3600)]
    spacing = 1 / math.sqrt(len(chosen))
    tree = cKDTree(chosen)
    nearest = tree.query(chosen, k=2)[0][:, 1]
    gap = tree.query(points)[0].max()
    # A random choice of as many has a mean distance of half the spacing, a scatter of 0.52, and gaps of 1.6 spacings.
    assert nearest.mean() > 0.7 * spacing
    assert nearest.std() / nearest.mean() < 0.35
    assert gap < 1.2 * spacing


def test_a_far_outlier_leaves_the_part_in_the_picture(torus, bump, decode):
    case = dict(bump(torus(30_000), (40.0, 0.0, 0.0), 9.0, 2.5))
    case["before"], case["after"] = case["before"].astype(float), case["after"].astype(float)
    case["before"][0] = case["after"][0] = [1e5, 0, 0]
    assert len(decode(cloud_view(**case))["plain"]) > 2000


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("place", [0.0, 7.0, np.nan])
def test_almost_nothing_can_be_viewed(count, place):
    points = np.full((count, 3), place, dtype=np.float32)
    view = cloud_view(points, points, np.zeros(count), np.ones(count, bool))
    assert view["count"]["label"] == (0 if np.isnan(place) else count)
    json.dumps(view, allow_nan=False)


def hidden(start: np.ndarray, towards: np.ndarray) -> bool:
    """Whether the torus stands between a point outside it and the viewer, by marching along the ray."""
    at = start + np.linspace(0.5, 120, 4000)[:, None] * towards
    ring = np.hypot(at[:, 0], at[:, 1]) - 30.0
    return bool((ring**2 + at[:, 2] ** 2 < 9.9**2).any())


@pytest.mark.parametrize("turn", [0.0, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("tube", [0.0, 1.2, 2.3, 3.0, -2.0])
@pytest.mark.parametrize("height", [1.5, -1.5])
def test_the_defect_faces_the_viewer(turn, tube, height, torus, bump):
    normal = np.array([math.cos(tube) * math.cos(turn), math.cos(tube) * math.sin(turn), math.sin(tube)])
    centre = 30.0 * np.array([math.cos(turn), math.sin(turn), 0.0]) + 10.0 * normal
    look = np.array(cloud_view(**bump(torus(20_000), centre, 5.0, height))["look"])
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
    assert not hidden(centre + normal, look)
    assert (look * normal).sum() > 0.4


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("height", [2.0, -2.0])
def test_a_plate_is_seen_from_the_side_of_its_defect(side, height, plate, bump):
    points, normal = plate(5000)
    look = cloud_view(**bump((points, normal * side), (20.0, 20.0, 0.0), 10.0, height))["look"]
    assert look[2] * side > 0.75


@pytest.mark.parametrize("towards", [(0, 0, 1), (0, 0, -1), (1, 0, 0), (0.1, 0.2, -0.97), (3, -4, 5)])
def test_the_basis_of_a_picture_is_right_handed(towards):
    unit = np.array(towards) / np.linalg.norm(towards)
    right, up = basis(np.array(towards, float))
    assert np.abs(np.stack([right, up, unit]) @ np.stack([right, up, unit]).T - np.eye(3)).max() < 1e-12
    assert np.abs(np.cross(right, up) - unit).max() < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"before": np.zeros((5, 2))}, r"^before: shape \(5, 2\): expected \(N, 3\)$"),
        ({"after": np.zeros(5)}, r"^after: shape \(5,\): expected \(N, 3\)$"),
        ({"height": np.zeros(4)}, r"^height: shape \(4,\): expected one value for each of the 5 points$"),
        ({"label": np.zeros((5, 1))}, r"^label: shape \(5, 1\): expected one value for each of the 5 points$"),
        ({"valid": np.zeros(2)}, r"^valid: shape \(2,\): expected one value for each of the 5 points$"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(change, message):
    case = {"before": np.zeros((5, 3)), "after": np.zeros((5, 3)), "height": np.zeros(5), "label": np.zeros(5, bool)}
    with pytest.raises(DataError, match=message):
        cloud_view(**{**case, **change})


def test_a_limit_too_small_is_refused():
    points = np.zeros((5, 3))
    with pytest.raises(ParameterError, match=r"^limit: 3: expected at least 16 points$"):
        cloud_view(points, points, np.zeros(5), np.zeros(5, bool), limit=3)


def test_the_scale_of_a_mesh_ends_at_its_highest_vertex():
    ball = trimesh.creation.icosphere(3, 20.0)
    mesh = PointCloud(np.asarray(ball.vertices), faces=np.asarray(ball.faces, dtype=np.int64), unit="mm")
    for seed in range(4):
        anomaly = Dent(strength=0.03, area=0.02)(mesh, rng=seed)
        view = anomaly_view(anomaly)
        assert view["peak"] == pytest.approx(float(np.abs(anomaly.effect[anomaly.mask]).max()), rel=1e-6)
