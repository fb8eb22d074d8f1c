from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.clearance import _first_hit, _sheets, clearance, pierces

UP = np.array([0.0, 0.0, 1.0])


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shaken(points: np.ndarray, noise: float) -> np.ndarray:
    spacing = PointCloud(points).surface.spacing
    return points + noise * spacing * draw(9).normal(size=points.shape)


def box(size: tuple[float, float, float], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Random points on a box from the origin, and their outward normals."""
    rng, edge = draw(), np.array(size)
    area = np.repeat([edge[1] * edge[2], edge[0] * edge[2], edge[0] * edge[1]], 2)
    face = rng.choice(6, n, p=area / area.sum())
    points, out, rows = rng.random((n, 3)) * edge, np.zeros((n, 3)), np.arange(n)
    points[rows, face // 2] = (face % 2) * edge[face // 2]
    out[rows, face // 2] = 2 * (face % 2) - 1
    return points, out


def ball(n: int) -> np.ndarray:
    points = draw().normal(size=(n, 3))
    return points / np.sqrt((points * points).sum(axis=1, keepdims=True))


def tube(n: int, outer: float = 10, inner: float = 9, height: float = 20) -> tuple[np.ndarray, np.ndarray]:
    """Random points on the two sheets of a tube, and their outward normals."""
    rng = draw()
    radius = np.where(rng.random(n) < outer / (outer + inner), outer, inner)
    turn = 2 * np.pi * rng.random(n)
    way = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    return radius[:, None] * way + height * rng.random((n, 1)) * UP, way * np.where(radius == outer, 1, -1)[:, None]


def box_mesh(size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    faces = ("013", "032", "467", "475", "045", "051", "237", "276", "026", "064", "157", "173")
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3))) * size
    return corners, np.array([[int(corner) for corner in face] for face in faces])


class TestSlab:
    SIZE = (60.0, 40.0, 5.0)

    @pytest.mark.parametrize("noise", [0.0, 0.2])
    @pytest.mark.parametrize("n", [5000, 25_000])
    def test_thickness_is_found(self, n: int, noise: float) -> None:
        points, out = box(self.SIZE, n)
        cloud = PointCloud(shaken(points, noise).astype(np.float32))
        spacing = cloud.surface.spacing
        top = np.flatnonzero((out[:, 2] > 0) & (np.abs(points[:, :2] - [30, 20]) < [25, 15]).all(axis=1))
        room = clearance(cloud, top, -out[top], 20.0, spacing)
        assert room.dtype == np.float64
        assert (np.abs(room - 5) <= 1.5 * spacing).all()
        assert clearance(cloud, top, out[top], 20.0, spacing) == pytest.approx(20)

    def test_rays_along_its_sides_are_no_hits(self) -> None:
        for noise in (0.0, 0.2):
            points, out = box((20.0, 20.0, 20.0), 12_000)
            cloud = PointCloud(shaken(points, noise))
            room = clearance(cloud, np.arange(12_000), -out, 10.0, cloud.surface.spacing)
            assert (room == 10).mean() > 0.999
            assert room.min() > 5 * cloud.surface.spacing

    def test_rays_from_blurred_edges_are_no_hits(self) -> None:
        points, _ = box((20.0, 20.0, 20.0), 12_000)
        cloud = PointCloud(points)
        for sign in (-1, 1):
            room = clearance(cloud, np.arange(12_000), sign * cloud.surface.normals, 6.0, cloud.surface.spacing)
            assert room == pytest.approx(6)

    def test_hardly_a_single_ray_is_fooled_by_edges(self) -> None:
        points, out = box((20.0, 20.0, 20.0), 16_000)
        for noise, ways, most in ((0.0, -out, 5), (0.2, -out, 5), (0.2, None, 24)):
            cloud = PointCloud(shaken(points, noise))
            spacing = cloud.surface.spacing
            gaps = np.sort(np.minimum(points, 20 - points), axis=1)
            rows = np.flatnonzero(gaps[:, 1] < 4 * spacing)
            sheets = _sheets(cloud, np.full(3, -10.0), np.full(3, 30.0), 8.0, spacing)
            assert sheets is not None
            inward = -cloud.surface.normals if ways is None else ways
            found = _first_hit(sheets, cloud.points[rows], inward[rows], np.full(len(rows), 8.0), None)
            assert np.count_nonzero(found < 8) <= most

    @pytest.mark.parametrize("noise", [0.0, 0.2])
    def test_a_wall_of_three_spacings_is_thick_enough(self, noise: float) -> None:
        points, out = box((60.0, 40.0, 1.6), 5000)
        cloud = PointCloud(shaken(points, noise))
        top = np.flatnonzero((out[:, 2] > 0) & (np.abs(points[:, :2] - [30, 20]) < [25, 15]).all(axis=1))
        room = clearance(cloud, top, -out[top], 20.0, cloud.surface.spacing)
        assert (np.abs(room - 1.6) <= 1.5 * cloud.surface.spacing).mean() >= 0.99

    def test_nothing_beyond_reach(self) -> None:
        points, out = box(self.SIZE, 8000)
        cloud, top = PointCloud(points), np.flatnonzero(out[:, 2] > 0)
        assert (clearance(cloud, top, -out[top], 4.0, 0.5) == 4.0).all()
        assert clearance(cloud, top, -out[top], 0.0, 0.5).shape == top.shape
        assert clearance(cloud, top[:0], out[:0], 3.0, 0.5).shape == (0,)

    def test_one_point_is_enough(self) -> None:
        points, out = box(self.SIZE, 8000)
        middle = np.argmin(np.abs(points - [30, 20, 5]).sum(axis=1))
        room = clearance(PointCloud(points), np.array([middle]), -UP[None], 9.0, 0.5)
        assert out[middle] @ UP == 1
        assert room == pytest.approx([5.0], abs=0.1)

    def test_invalid_points_are_no_wall(self) -> None:
        points, out = box(self.SIZE, 8000)
        gone = np.flatnonzero(out[:, 2] < 0)
        points[gone] = np.nan
        top = np.flatnonzero((out[:, 2] > 0) & (np.abs(points[:, :2] - [30, 20]) < [15, 10]).all(axis=1))
        assert (clearance(PointCloud(points), top, -out[top], 9.0, 0.5) == 9.0).all()

    @pytest.mark.parametrize("n", [4000, 40_000])  # with all rays cast, and with one in many
    def test_scales_shifts_and_keeps_its_input(self, n: int) -> None:
        points, out = box(self.SIZE, n)
        top, spacing = np.flatnonzero(out[:, 2] > 0), PointCloud(points).surface.spacing
        before = points.copy(), out.copy()
        base = clearance(PointCloud(points), top, -out[top], 20.0, spacing)
        more = clearance(PointCloud(points * 64), top, -out[top], 20.0 * 64, spacing * 64)
        assert more == pytest.approx(base * 64, rel=1e-9)
        far = clearance(PointCloud(points + 1e5), top, -out[top], 20.0, spacing)
        assert far == pytest.approx(base, abs=1e-6)
        assert np.array_equal(points, before[0])
        assert np.array_equal(out, before[1])


class TestCurved:
    @settings(max_examples=30)
    @given(
        st.integers(0, 7999),
        st.floats(-1, 1, allow_subnormal=False),
        st.floats(-1, 1, allow_subnormal=False),
        st.sampled_from([0.02, 0.2, 1.0, 3.0]),
    )
    def test_chords_of_a_ball(self, row: int, u: float, v: float, reach: float) -> None:
        point = BALL.points[row]
        aside = np.cross(point, [u, v, 0.3])
        way = -point + 0.7 * aside  # up to 35 degrees off the radius
        way /= np.sqrt((way * way).sum())
        truth = min(reach, -2 * point @ way)
        spacing = BALL.surface.spacing
        found = clearance(BALL, np.array([row]), way[None], reach, spacing)[0]
        assert truth - 3 * spacing <= found <= truth + 2 * spacing

    def test_outside_of_a_ball_is_free(self) -> None:
        rows = np.arange(0, 8000, 3)
        assert (clearance(BALL, rows, BALL.points[rows], 5.0, BALL.surface.spacing) == 5.0).all()

    @pytest.mark.parametrize("noise", [0.0, 0.2])
    def test_a_tube_has_a_wall_and_a_bore(self, noise: float) -> None:
        points, out = tube(25_000)
        cloud = PointCloud(shaken(points, noise))
        spacing, radius = cloud.surface.spacing, np.hypot(points[:, 0], points[:, 1])
        middle = (np.abs(points[:, 2] - 10) < 4) & (points[:, 0] > 3)
        for rows, way, truth in (
            (np.flatnonzero(middle & (radius > 9.5)), -1, 1.0),
            (np.flatnonzero(middle & (radius < 9.5)), -1, 1.0),
            (np.flatnonzero(middle & (radius < 9.5)), 1, 18.0),
            (np.flatnonzero(middle & (radius > 9.5)), 1, 25.0),
        ):
            room = clearance(cloud, rows, way * out[rows], 25.0, spacing)
            assert (np.abs(room - truth) <= 1.5 * spacing).mean() >= 0.99
            assert room.max() <= truth + 2 * spacing

    def test_a_sheet_thinned_out_is_still_met(self) -> None:
        i, j = np.mgrid[0:60, 0:60].reshape(2, -1) * 0.25
        dense = np.stack([i, j, 0 * i], axis=1)
        k, m = np.mgrid[0:11, 0:11].reshape(2, -1) * 1.6
        cloud = PointCloud(np.concatenate([dense, np.stack([k, m, 0 * k + 4], axis=1)]))
        rows = np.flatnonzero((np.abs(dense[:, :2] - 7.5) < 4).all(axis=1))
        room = clearance(cloud, rows, np.tile(UP, (len(rows), 1)), 10.0, 0.25)
        assert room == pytest.approx(np.full(len(rows), 4.0), abs=0.01)


class TestMesh:
    def test_faces_stand_in_the_way_however_coarse(self) -> None:
        corners, faces = box_mesh((60, 40, 5))
        i, j = np.mgrid[10:50:2, 10:30:2].reshape(2, -1)
        patch = np.stack([i, j, 0 * i + 5.0], axis=1)
        cloud = PointCloud(np.concatenate([corners, patch]), faces=faces)
        rows = np.arange(8, len(cloud))
        down = np.tile(-UP, (len(rows), 1))
        assert clearance(cloud, rows, down, 12.0, 2.0) == pytest.approx(np.full(len(rows), 5.0))
        assert clearance(cloud, rows, -down, 12.0, 2.0) == pytest.approx(np.full(len(rows), 12.0))
        assert clearance(cloud, rows, down, 3.0, 2.0) == pytest.approx(np.full(len(rows), 3.0))
        for depth in (4.8, 5.2):
            crossed = pierces(cloud, rows, patch + depth * down, -down, 2.0)
            assert (crossed == (depth > 5)).all()


class TestPierces:
    def test_what_goes_through_the_wall_and_what_does_not(self) -> None:
        points, out = tube(25_000)
        cloud = PointCloud(points)
        spacing, radius = cloud.surface.spacing, np.hypot(points[:, 0], points[:, 1])
        rows = np.flatnonzero((radius > 9.5) & (np.abs(points[:, 2] - 10) < 4) & (points[:, 0] > 8))
        for depth in (-3.0, 0.0, 0.5, 0.9, 1.1, 1.5, 4.0):
            crossed = pierces(cloud, rows, points[rows] - depth * out[rows], out[rows], spacing)
            assert crossed.dtype == bool
            assert (crossed == (depth > 1)).mean() >= 0.99

    def test_both_sides_may_move(self) -> None:
        points, out = tube(15_000)
        cloud, rows = PointCloud(points), np.arange(15_000)
        inner = (points[:, 2] > 2) & (points[:, 2] < 18)
        for depth in (-1.0, 0.4, 0.6, 1.4):
            crossed = pierces(cloud, rows, points - depth * out, out, cloud.surface.spacing)
            assert (crossed == (depth > 0.5))[inner].mean() >= 0.99

    def test_only_some_go_too_far(self) -> None:
        points, out = box((60.0, 40.0, 5.0), 20_000)
        cloud = PointCloud(points)
        rows = np.flatnonzero((out[:, 2] > 0) & (np.abs(points[:, :2] - [30, 20]) < [20, 12]).all(axis=1))
        depth = 8 * np.exp(-((points[rows, 0] - 30) ** 2 + (points[rows, 1] - 20) ** 2) / 50)
        crossed = pierces(cloud, rows, points[rows] - depth[:, None] * out[rows], out[rows], cloud.surface.spacing)
        clear = np.abs(depth - 5) > 0.5
        assert np.array_equal(crossed[clear], depth[clear] > 5)

    def test_what_stays_crosses_nothing(self) -> None:
        points, out = box((60.0, 40.0, 5.0), 3000)
        crossed = pierces(PointCloud(points), np.arange(3000), points, out, 1.0)
        assert not crossed.any()
        assert pierces(PointCloud(points), np.arange(0), points[:0], out[:0], 1.0).shape == (0,)


BALL = PointCloud(ball(8000))
