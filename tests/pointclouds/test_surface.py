from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from anosynth.errors import DataError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.cells import bin_points, eigen, principal
from anosynth.pointclouds._geometry.normals import Pieces
from anosynth.pointclouds._geometry.orientation import _cavities, agreement

Shape = tuple[np.ndarray, np.ndarray]
BORES = ((20, 20, 6), (80, 20, 6), (50, 40, 10), (20, 45, 3))


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def torus(n: int) -> Shape:
    u, v, keep = draw().random((3, 3 * n))
    u, v = 2 * np.pi * u, 2 * np.pi * v
    kept = np.flatnonzero(keep * 1.4 < 1 + 0.4 * np.cos(v))[:n]
    u, v = u[kept], v[kept]
    out = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], axis=1)
    return np.stack([np.cos(u), np.sin(u), 0 * u], axis=1) + 0.4 * out, out


def ball(n: int) -> Shape:
    out = draw().normal(size=(n, 3))
    out /= np.sqrt((out * out).sum(axis=1, keepdims=True))
    return out.copy(), out


def hollow_ball(n: int) -> Shape:
    points, out = ball(n)
    inner = np.arange(n) % 5 == 0
    return np.where(inner[:, None], 0.5 * points, points), np.where(inner[:, None], -out, out)


def cube(n: int) -> Shape:
    points, face = draw().random((n, 3)), draw(1).integers(0, 6, n)
    out = np.zeros((n, 3))
    out[np.arange(n), face // 2] = 2 * (face % 2) - 1
    points[np.arange(n), face // 2] = face % 2
    return points, out


def shell(n: int, parts: list[tuple[float, Callable[[int, np.random.Generator], Shape]]]) -> Shape:
    total, rng = sum(area for area, _ in parts), draw()
    made = [part(round(n * area / total), rng) for area, part in parts]
    order = rng.permutation(sum(len(p) for p, _ in made))
    return np.concatenate([p for p, _ in made])[order], np.concatenate([m for _, m in made])[order]


def wall(radius: float, height: float, sign: float, centre: tuple[float, float] = (0, 0)):
    def make(n: int, rng: np.random.Generator) -> Shape:
        turn = 2 * np.pi * rng.random(n)
        way = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
        return np.array([*centre, 0]) + radius * way + height * rng.random((n, 1)) * [0, 0, 1], sign * way

    return 2 * np.pi * radius * height, make


def rim(inner: float, outer: float, level: float, sign: float):
    def make(n: int, rng: np.random.Generator) -> Shape:
        turn, far = 2 * np.pi * rng.random(n), np.sqrt(inner**2 + rng.random(n) * (outer**2 - inner**2))
        return np.stack([far * np.cos(turn), far * np.sin(turn), 0 * far + level], axis=1), np.tile(
            [0, 0, sign], (n, 1)
        )

    return np.pi * (outer**2 - inner**2), make


def side(axis: int, level: int):
    size = np.array([100.0, 60.0, 5.0])

    def make(n: int, rng: np.random.Generator) -> Shape:
        p = rng.random((n, 3)) * size
        p[:, axis] = level * size[axis]
        if axis == 2:
            p = p[np.all([np.hypot(p[:, 0] - x, p[:, 1] - y) > r for x, y, r in BORES], axis=0)]
        return p, np.tile((2.0 * level - 1) * np.eye(3)[axis], (len(p), 1))

    return float(np.prod(np.delete(size, axis))), make


def plate(n: int) -> Shape:
    """A plate of 100 x 60 x 5 with four bores through it."""
    return shell(n, [side(a, b) for a in range(3) for b in (0, 1)] + [wall(r, 5, -1, (x, y)) for x, y, r in BORES])


def tube(n: int) -> Shape:
    """A tube of radii 9 and 10: both sheets and the rims between them."""
    return shell(n, [wall(10, 30, 1), wall(9, 30, -1), rim(9, 10, 0, -1), rim(9, 10, 30, 1)])


def rimless_tube(n: int) -> Shape:
    return shell(n, [wall(10, 30, 1), wall(8, 30, -1)])


def share_right(found: np.ndarray, out: np.ndarray) -> float:
    return float(((found * out).sum(axis=1) > 0).mean())


def at_random(out: np.ndarray) -> np.ndarray:
    return out * np.where(draw(7).random(len(out)) < 0.5, -1.0, 1.0)[:, None]


def brute_spacing(points: np.ndarray) -> float:
    distinct = np.unique(points.astype(np.float64), axis=0)
    gap = cdist(distinct, distinct)
    np.fill_diagonal(gap, np.inf)
    return float(gap.min(axis=1).mean())


class TestSpacing:
    @pytest.mark.parametrize("shape", [torus, plate, cube])
    def test_is_the_mean_distance_to_the_nearest(self, shape: Callable[[int], Shape]) -> None:
        points = shape(1500)[0].astype(np.float32)
        assert PointCloud(points).surface.spacing == pytest.approx(brute_spacing(points), rel=1e-12)

    def test_passes_over_doubles_and_invalid_points(self) -> None:
        points = torus(800)[0]
        more = np.concatenate([points, points[:300], np.full((5, 3), np.nan), [[np.inf, 0, 0]]])
        assert PointCloud(more).surface.spacing == pytest.approx(brute_spacing(points), rel=1e-12)

    @pytest.mark.parametrize("shape", [torus, plate, hollow_ball])
    def test_of_many_points_is_close(self, shape: Callable[[int], Shape]) -> None:
        points = shape(60_000)[0]
        exact = np.asarray(cKDTree(points).query(points, 2)[0])[:, 1].mean()
        assert PointCloud(points).surface.spacing == pytest.approx(exact, rel=0.1)

    def test_of_many_points_with_many_doubles(self) -> None:
        points = np.repeat(torus(600)[0], 50, axis=0)
        assert PointCloud(points).surface.spacing == pytest.approx(brute_spacing(points), rel=0.25)

    @pytest.mark.parametrize("n", [3000, 30_000])
    def test_scales_and_does_not_shift(self, n: int) -> None:
        points = torus(n)[0]
        base = PointCloud(points).surface.spacing
        assert PointCloud(points * 1024).surface.spacing == pytest.approx(1024 * base, rel=1e-9)
        assert PointCloud(points + 1e5).surface.spacing == pytest.approx(base, rel=1e-6)

    def test_of_a_mesh_is_its_mean_edge(self) -> None:
        points = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [9, 9, 9]], dtype=np.float64)
        assert PointCloud(points, faces=np.array([[0, 1, 2]])).surface.spacing == pytest.approx(4.0)

    def test_of_a_map_is_the_nearest_pixel(self) -> None:
        i, j = np.mgrid[0:30, 0:40]
        points = np.stack([j * 2.0, i * 3.0, 50 + 0.0 * i], axis=2).reshape(-1, 3)
        points[::11] = 0
        cloud = PointCloud(points, grid=(30, 40))
        exact = cdist(points[cloud.valid], points[cloud.valid])
        np.fill_diagonal(exact, np.inf)
        nearest = np.where(exact.min(axis=1) <= 3, exact.min(axis=1), np.nan)
        assert cloud.surface.spacing == pytest.approx(np.nanmean(nearest), rel=1e-3)

    @pytest.mark.parametrize("n", [1, 50, 30_000])
    def test_needs_two_places(self, n: int) -> None:
        with pytest.raises(DataError, match="in one place: expected a surface"):
            _ = PointCloud(np.ones((n, 3))).surface.spacing


class TestWeights:
    def test_of_a_mesh_are_thirds_of_areas(self) -> None:
        points = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0], [2, 2, 0], [5, 5, 5], [np.nan, 0, 0]])
        faces = np.array([[0, 1, 2], [1, 3, 2], [0, 1, 5]])
        expected = np.array([1, 2, 2, 1, 0, 0]) / 6
        assert PointCloud(points, faces=faces).surface.weights == pytest.approx(expected)

    def test_of_points_are_alike(self) -> None:
        points = torus(100)[0]
        points[::10] = np.nan
        weights = PointCloud(points).surface.weights
        assert weights.sum() == pytest.approx(1)
        assert set(np.round(weights * 90, 12)) == {0, 1}
        assert (weights[::10] == 0).all()

    def test_need_a_valid_point(self) -> None:
        with pytest.raises(DataError, match="no valid point among 3"):
            _ = PointCloud(np.full((3, 3), np.nan)).surface.weights


class TestOutward:
    @pytest.mark.parametrize("noise", [0.0, 0.2])
    @pytest.mark.parametrize(
        ("shape", "n"),
        [
            *itertools.product([torus, ball, cube, hollow_ball], [3000, 21_000]),
            *itertools.product([plate, tube, rimless_tube], [16_000, 22_000]),
        ],
    )
    def test_is_right_almost_everywhere(self, shape: Callable[[int], Shape], n: int, noise: float) -> None:
        points, out = shape(n)
        points = points + noise * PointCloud(points).surface.spacing * draw(3).normal(size=points.shape)
        surface = PointCloud(points.astype(np.float32)).surface
        assert surface.oriented_by == "propagation"
        found = surface.outward(np.arange(len(points)), at_random(out))
        assert share_right(found, out) >= 0.999
        assert share_right(surface.normals, out) >= 0.995

    @settings(max_examples=25)
    @given(seed=st.integers(0, 2**32 - 1))
    def test_only_turns_and_does_not_ask_what_sign_came_in(self, seed: int) -> None:
        rng = draw(seed)
        index = rng.integers(0, len(TORUS), 50)
        lines = rng.normal(size=(50, 3))
        lines /= np.sqrt((lines * lines).sum(axis=1, keepdims=True))
        before = lines.copy()
        found = TORUS.surface.outward(index, lines)
        assert np.array_equal(lines, before)
        assert np.array_equal(np.abs(found), np.abs(lines))
        assert (np.abs((found * lines).sum(axis=1)) > 0.999).all()
        assert np.array_equal(found, TORUS.surface.outward(index, -lines))

    @pytest.mark.parametrize("n", [4000, 21_000])
    def test_does_not_hang_on_the_order_of_points(self, n: int) -> None:
        points, out = plate(n)
        order = draw(5).permutation(len(points))
        lines = at_random(out)
        one = PointCloud(points).surface.outward(np.arange(len(points)), lines)
        two = PointCloud(points[order]).surface.outward(np.arange(len(points)), lines[order])
        assert (one[order] * two).sum(axis=1).mean() > 0.999

    @pytest.mark.parametrize("n", [4000, 21_000])
    def test_does_not_hang_on_place_and_size(self, n: int) -> None:
        points, out = torus(n)
        for moved in (points + 1e5, points * 2.0**-20, points * 2.0**20 - 3e6, points[:, [1, 2, 0]]):
            turned = out if moved[0, 0] != points[0, 1] else out[:, [1, 2, 0]]
            surface = PointCloud(moved).surface
            assert share_right(surface.outward(np.arange(len(points)), at_random(turned)), turned) >= 0.999
            assert np.degrees(np.arccos(np.clip((surface.normals * turned).sum(axis=1), -1, 1))).mean() < 2.5

    @pytest.mark.parametrize("n", [900, 40_000])
    def test_of_a_flat_sheet_is_all_one_side(self, n: int) -> None:
        i, j = np.divmod(np.arange(n), 30)
        surface = PointCloud(np.stack([i * 0.5, j * 0.5, 0.0 * i + 7], axis=1)).surface
        normals = surface.normals
        assert np.ptp(normals, axis=0) == pytest.approx(0, abs=1e-6)
        assert np.abs(normals[0, 2]) == pytest.approx(1)
        assert surface.components == 1

    def test_of_two_faces_without_a_rim_is_away_from_each_other(self) -> None:
        i, j = np.mgrid[0:80, 0:90].reshape(2, -1)
        points = np.concatenate([np.stack([i, j, 0.0 * i + level], axis=1) for level in (0.0, 15.0)])
        normals = PointCloud(points).surface.normals
        assert np.array_equal(np.sign(normals[:, 2]), np.where(points[:, 2] > 1, 1.0, -1.0))

    @pytest.mark.parametrize("n", [2000, 12_000])
    def test_tells_bodies_apart(self, n: int) -> None:
        points, out = ball(n)
        many = np.concatenate([(0.4 + 0.1 * k) * points + [3 * k, 0, 0] for k in range(5)])
        surface = PointCloud(many).surface
        assert surface.components == 5
        assert share_right(surface.outward(np.arange(len(many)), np.tile(out, (5, 1))), np.tile(out, (5, 1))) == 1

    def test_of_something_beside_a_sheet_is_not_a_cavity(self) -> None:
        """Whichever way the sheet is signed."""
        points, out = ball(3000)
        i, j = np.mgrid[-25:25, -25:25].reshape(2, -1)
        sheet = np.stack([i * 0.1, j * 0.1, 0.0 * i + 1.1], axis=1)
        place, label = np.concatenate([points, sheet]), np.repeat([0, 1], [3000, 2500])
        for side in (-1.0, 1.0):
            normal = np.concatenate([out, np.tile([0, 0, side], (2500, 1))])
            pieces = Pieces(place, normal, np.zeros(5500), np.full(5500, 0.1), np.arange(5500, dtype=np.int32))
            assert (_cavities(pieces, label, np.ones(5500)) == 1).all()

    def test_of_a_lattice_with_all_its_ties(self) -> None:
        points = np.stack(np.mgrid[0:25, 0:25, 0:25], axis=-1).reshape(-1, 3).astype(np.float64)
        points = points[((points == 0) | (points == 24)).sum(axis=1) == 1]
        out = (points == 24).astype(np.float64) - (points == 0)
        assert share_right(PointCloud(points).surface.outward(np.arange(len(points)), at_random(out)), out) == 1

    def test_of_uneven_scan_lines(self) -> None:
        level, turn = np.meshgrid(np.linspace(-0.99, 0.99, 40), np.linspace(0, 2 * np.pi, 900, endpoint=False))
        ring = np.sqrt(1 - level**2)
        points = np.stack([ring * np.cos(turn), ring * np.sin(turn), level], axis=2).reshape(-1, 3)
        assert share_right(PointCloud(points).surface.normals, points) >= 0.999

    def test_keeps_the_sign_of_invalid_points(self) -> None:
        points, out = torus(3000)
        points[::9] = np.nan
        surface = PointCloud(points).surface
        found = surface.outward(np.arange(3000), -out)
        assert np.array_equal(found[::9], -out[::9])
        kept = np.arange(3000) % 9 != 0
        assert share_right(found[kept], out[kept]) == 1
        assert (surface.normals[::9] == 0).all()


class TestNormals:
    @pytest.mark.parametrize(("n", "degrees"), [(12_000, 1.5), (40_000, 1.0)])
    def test_are_exact_to_a_degree(self, n: int, degrees: float) -> None:
        points, out = torus(n)
        normals = PointCloud(points.astype(np.float32)).surface.normals
        assert (normals * normals).sum(axis=1) == pytest.approx(1)
        assert np.degrees(np.arccos(np.clip((normals * out).sum(axis=1), -1, 1))).mean() < degrees

    def test_see_through_doubles(self) -> None:
        points, out = torus(1500)
        normals = PointCloud(np.repeat(points, 12, axis=0)).surface.normals
        assert share_right(normals, np.repeat(out, 12, axis=0)) == 1


class TestSources:
    def test_file_normals_come_first(self) -> None:
        points, out = torus(2000)
        for given_ in (3 * out, -out):  # a file may have meant inward
            surface = PointCloud(points, normals=given_.astype(np.float32)).surface
            assert surface.oriented_by == "file normals"
            assert surface.components == 1
            assert share_right(surface.outward(np.arange(2000), at_random(out)), given_) == 1
            assert share_right(surface.normals, given_) == 1

    def test_missing_file_normals_are_filled(self) -> None:
        points, out = torus(3000)
        given_ = out.copy()
        given_[:900], given_[900:910] = 0, np.nan
        surface = PointCloud(points, normals=given_).surface
        assert surface.oriented_by == "file normals"
        assert share_right(surface.normals, out) == 1
        assert share_right(surface.outward(np.arange(3000), at_random(out)), out) == 1

    def test_file_normals_without_orientation_are_passed_over(self) -> None:
        points, out = torus(3000)
        surface = PointCloud(points, normals=at_random(out)).surface
        assert surface.oriented_by == "propagation"
        assert share_right(surface.normals, out) == 1

    def test_one_view_is_signed_towards_the_sensor(self) -> None:
        points, out = ball(6000)
        seen = out[:, 2] < -0.3
        surface = PointCloud(points[seen], viewpoint=np.array([0.0, 0.0, -9.0])).surface
        assert surface.oriented_by == "sensor"
        assert share_right(surface.normals, out[seen]) == 1

    @pytest.mark.parametrize("eye", [[0.0, 0.0, 9.0], [0.0, 0.1, 0.0]])
    def test_a_viewpoint_that_saw_no_such_thing_is_passed_over(self, eye: list[float]) -> None:
        points, out = ball(4000)
        surface = PointCloud(points, viewpoint=np.array(eye)).surface
        assert surface.oriented_by == "propagation"
        assert share_right(surface.normals, out) == 1


class TestMeshes:
    CORNERS = np.array(list(itertools.product((0.0, 1.0), repeat=3))) * np.array([10, 6, 0.5])
    ROUND = ("013", "032", "467", "475", "045", "051", "237", "276", "026", "064", "157", "173")
    FACES = np.array([[int(corner) for corner in face] for face in ROUND])

    def test_corners_look_diagonally_whatever_the_diagonals(self) -> None:
        surface = PointCloud(self.CORNERS, faces=self.FACES).surface
        assert surface.oriented_by == "winding"
        assert surface.normals == pytest.approx((np.sign(self.CORNERS) * 2 - 1) / np.sqrt(3), abs=1e-6)

    def test_inside_out_is_turned(self) -> None:
        normals = PointCloud(self.CORNERS, faces=self.FACES[:, ::-1]).surface.normals
        assert normals == pytest.approx((np.sign(self.CORNERS) * 2 - 1) / np.sqrt(3), abs=1e-6)

    def test_a_soup_shares_normals_at_one_place(self) -> None:
        soup = PointCloud(self.CORNERS[self.FACES].reshape(-1, 3), faces=np.arange(36).reshape(-1, 3))
        whole = PointCloud(self.CORNERS, faces=self.FACES).surface.normals
        assert soup.surface.normals == pytest.approx(whole[self.FACES.ravel()], abs=1e-12)

    def test_an_open_mesh_keeps_its_winding(self) -> None:
        lid = PointCloud(self.CORNERS, faces=self.FACES[-2:, ::-1])
        normals = lid.surface.normals
        used = np.unique(self.FACES[-2:])
        assert normals[used] == pytest.approx(np.tile([0, 0, -1], (4, 1)))
        assert (np.delete(normals, used, axis=0) == 0).all()

    def test_part_of_a_mesh_costs_no_more_and_says_the_same(self) -> None:
        surface = PointCloud(self.CORNERS, faces=self.FACES).surface
        index = np.array([5, 2, 5])
        assert surface.outward(index, -surface.normals[index]) == pytest.approx(surface.normals[index])

    def test_mixed_winding_is_passed_over(self) -> None:
        turn, level = np.meshgrid(np.linspace(0, 2 * np.pi, 60, endpoint=False), np.linspace(0, np.pi, 31)[1:-1])
        points = np.stack([np.sin(level) * np.cos(turn), np.sin(level) * np.sin(turn), np.cos(level)], -1).reshape(
            -1, 3
        )
        a = np.arange(60 * 28)
        b = a - a % 60 + (a + 1) % 60
        faces = np.concatenate([np.stack([a, a + 60, b], 1), np.stack([b, a + 60, b + 60], 1)])
        assert PointCloud(points, faces=faces).surface.oriented_by == "winding"
        faces[::2] = faces[::2, ::-1]
        surface = PointCloud(points, faces=faces).surface
        assert surface.oriented_by == "propagation"
        assert share_right(surface.normals, points) == 1


def view(depth: np.ndarray) -> PointCloud:
    height, width = depth.shape
    i, j = np.mgrid[0:height, 0:width]
    ray = np.stack([(j - width / 2) / width, (i - height / 2) / width, np.ones(depth.shape)], axis=2)
    return PointCloud((ray * depth[:, :, None]).reshape(-1, 3), grid=depth.shape, viewpoint=np.zeros(3))


class TestMaps:
    def test_plane_is_exact_and_faces_the_sensor(self) -> None:
        i, j = np.mgrid[0:40, 0:60]
        normal = np.array([0.3, -0.2, -1.0]) / np.sqrt(1.13)
        ray = np.stack([(j - 30) / 60, (i - 20) / 60, np.ones(i.shape)], axis=2)
        cloud = view(5 * normal[2] / (ray * normal).sum(axis=2))
        assert cloud.surface.oriented_by == "sensor"
        assert cloud.surface.normals == pytest.approx(np.tile(normal, (2400, 1)), abs=1e-9)

    def test_steps_and_holes_leave_no_trace(self) -> None:
        depth = np.where(np.mgrid[0:40, 0:60][1] < 25, 2.0, 3.0)
        depth[10:14, 30:33] = 0
        cloud = view(depth)
        normals = cloud.surface.normals
        assert normals[cloud.valid] == pytest.approx(np.tile([0, 0, -1], (cloud.valid.sum(), 1)), abs=1e-9)
        assert (normals[~cloud.valid] == 0).all()

    def test_a_lone_pixel_faces_the_sensor(self) -> None:
        depth = np.full((20, 20), 2.0)
        depth[4:9, 4:9] = 0
        depth[6, 6] = 2.0
        cloud = view(depth)
        row = 6 * 20 + 6
        way = -cloud.points[row] / np.sqrt((cloud.points[row] ** 2).sum())
        assert cloud.surface.normals[row] == pytest.approx(way)

    def test_invalid_in_every_manner(self) -> None:
        cloud = view(np.full((30, 30), 1.5))
        for bad in (np.nan, np.inf, 0.0):
            points = cloud.points.copy()
            points[::7] = bad
            normals = PointCloud(points, grid=(30, 30)).surface.normals
            assert (normals[::7] == 0).all()
            assert np.isfinite(normals).all()


class TestNoSurface:
    @pytest.mark.parametrize(
        ("points", "message"),
        [
            (np.eye(3), "3 valid among 3: expected at least 4"),
            (np.r_[np.eye(3), np.full((5, 3), np.nan)], "3 valid among 8: expected at least 4"),
            (np.linspace(0, 1, 50)[:, None] * [1.0, 2.0, 3.0] + 1e5, "all 50 valid ones lie on one line"),
            (np.linspace(0, 1, 30_000)[:, None] * [1.0, 2.0, 3.0], "all 30000 valid ones lie on one line"),
            (np.ones((9, 3)), "all 9 valid ones lie in one place"),
        ],
    )
    def test_is_said(self, points: np.ndarray, message: str) -> None:
        for dtype in (np.float32, np.float64):
            surface = PointCloud(points.astype(dtype)).surface
            for ask in (lambda s: s.normals, lambda s: s.oriented_by, lambda s: s.outward(np.arange(1), np.eye(3)[:1])):
                with pytest.raises(DataError, match=message):
                    ask(surface)

    @pytest.mark.parametrize("n", [4, 5, 11, 30])
    def test_few_points_are_enough(self, n: int) -> None:
        normals = PointCloud(draw(n).random((n, 3))).surface.normals
        assert (normals * normals).sum(axis=1) == pytest.approx(1)

    def test_heaps_of_doubles_do_not_break_it(self) -> None:
        surface = PointCloud(np.repeat(np.eye(4, 3), 5100, axis=0)).surface
        assert np.isfinite(surface.normals).all()

    def test_a_volume_has_some_normals(self) -> None:
        normals = PointCloud(draw().random((21_000, 3))).surface.normals
        assert (normals * normals).sum(axis=1) == pytest.approx(1)


class TestParts:
    @given(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1), st.floats(0.1, 100))
    def test_agreement_is_whole_on_a_circle(self, one: float, two: float, radius: float) -> None:
        n, m = (np.array([np.cos(turn), np.sin(turn), 0.0]) for turn in (one, two))
        if np.abs(n - m).max() > 1e-3:
            assert agreement(n, m, radius * (m - n)) == pytest.approx(1)
            assert agreement(n, -m, radius * (m - n)) == pytest.approx(-1)

    def test_eigen_solves(self) -> None:
        some = draw().normal(size=(300, 4, 3))
        matrices = np.einsum("nki,nkj->nij", some, some)
        matrices[:5], matrices[5:10] = 0, np.eye(3)
        values, least = eigen(matrices)
        assert values == pytest.approx(np.linalg.eigvalsh(matrices), abs=1e-12)
        assert np.einsum("nij,nj->ni", matrices, least) == pytest.approx(values[:, :1] * least, abs=1e-12)

    @pytest.mark.parametrize("edge", [0.3, 0.003])  # with a table, and on a lattice too large for one
    def test_cells_hold_what_lies_in_them(self, edge: float) -> None:
        points = draw().random((500, 3))
        cells = bin_points(points.T.copy(), edge)
        assert cells.moments[0].sum() == 500
        mean, values, _ = principal(cells.moments)
        place = cells.centres + mean * cells.edge
        for row in range(0, len(cells.keys), 17):
            mine = points[cells.of_point == row]
            assert place[row] == pytest.approx(mine.mean(axis=0))
            assert (np.floor(mine / edge) == np.floor(mine[0] / edge)).all()
            assert values[row] == pytest.approx(
                np.linalg.eigvalsh(np.cov(mine.T, bias=True) if len(mine) > 1 else np.zeros((3, 3))) / edge**2, abs=1e-9
            )

    @pytest.mark.parametrize("edge", [0.25, 0.003])
    def test_pooled_cells_hold_their_neighbours(self, edge: float) -> None:
        points = draw().random((400, 3))
        cells = bin_points(points.T.copy(), edge)
        pooled = cells.pooled()
        index = np.floor(points / edge)
        for row in range(0, len(cells.keys), 13):
            own = index[cells.of_point == row][0]
            near = points[(np.abs(index - own) <= 1).all(axis=1)]
            assert pooled[0, row] == len(near)
            assert pooled[1:4, row] / len(near) == pytest.approx((near.mean(axis=0) - cells.centres[row]) / edge)


TORUS = PointCloud(torus(4000)[0])
