from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry import patch as _patch
from anosynth.pointclouds._geometry.eigen import least_axes
from anosynth.pointclouds._geometry.knn import ball, nearest, pca_normals, shortest_paths, squared_distances
from anosynth.pointclouds._geometry.patch import grow, pick_centre
from anosynth.seeding import Rng

UP = np.array([0.0, 0.0, 1.0])


def surfaced(
    cloud: PointCloud, toward: Callable[[np.ndarray], np.ndarray], weights: np.ndarray | None = None
) -> PointCloud:
    """Give the cloud a surface that knows the true outside, so that these tests are about patches alone."""

    def outward(index: np.ndarray, normals: np.ndarray) -> np.ndarray:
        agree = (toward(cloud.points[index].astype(np.float64)) * normals).sum(axis=1)
        return np.where(agree[:, None] < 0, -normals, normals)

    if weights is None:
        weights = cloud.valid / cloud.valid.sum()
    points = cloud.points[cloud.valid].astype(np.float64)
    spacing = float(np.asarray(cKDTree(points).query(points, 2)[0])[:, 1].mean())
    cloud.__dict__["surface"] = SimpleNamespace(spacing=spacing, weights=weights, outward=outward)
    return cloud


def upwards(points: np.ndarray) -> np.ndarray:
    return np.broadcast_to(UP, points.shape)


def plane(count: int = 4000, seed: int = 1, dtype: type = np.float64) -> PointCloud:
    xy = Rng(seed).random(2 * count).reshape(count, 2)
    xy[0] = 0.5
    return surfaced(PointCloud(np.column_stack([xy, np.zeros(count)]).astype(dtype)), upwards)


def sphere(count: int = 6000, seed: int = 2) -> PointCloud:
    points = Rng(seed).normal(3 * count).reshape(count, 3)
    points /= np.linalg.norm(points, axis=1)[:, None]
    return surfaced(PointCloud(points), lambda p: p)


def cylinder(count: int = 6000, seed: int = 3) -> tuple[PointCloud, np.ndarray]:
    """Return a cylinder of radius 1 around z and the flat coordinates of its points."""
    flat = Rng(seed).random(2 * count).reshape(count, 2) * [2 * math.pi, 4.0]
    flat[0] = math.pi, 2.0
    points = np.column_stack([np.cos(flat[:, 0]), np.sin(flat[:, 0]), flat[:, 1]])
    return surfaced(PointCloud(points), lambda p: p * [1, 1, 0]), flat


def grid_mesh(side: int = 41) -> PointCloud:
    line = np.linspace(-1, 1, side)
    x, y = np.meshgrid(line, line)
    start = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    halves = [(start, start + 1, start + side + 1), (start, start + side + 1, start + side)]
    faces = np.concatenate([np.column_stack(half) for half in halves])
    return surfaced(PointCloud(np.column_stack([x.ravel(), y.ravel(), 0 * x.ravel()]), faces=faces), upwards)


def check_invariants(patch: _patch.Patch) -> None:
    count = len(patch)
    assert patch.index[0] == patch.centre
    assert patch.distance[0] == 0
    assert len(np.unique(patch.index)) == count
    assert patch.index.dtype == np.int64
    assert (np.diff(patch.distance) >= 0).all()
    assert patch.radius == patch.distance[-1]
    np.testing.assert_allclose(np.linalg.norm(patch.uv, axis=1), patch.distance, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(patch.normals, axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(patch.frame @ patch.frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(patch.frame[0], patch.frame[1]), patch.frame[2], atol=1e-12)
    np.testing.assert_array_equal(patch.frame[2], patch.normals[0])
    middle = patch.cloud.points[patch.centre]
    around = ball(patch.cloud, middle, squared_distances(patch.cloud, middle), math.inf, 12)
    assert abs(around.graph - around.graph.T).max() == 0
    place = np.searchsorted(around.index, patch.index)
    assert connected_components(around.graph[place][:, place])[0] == 1
    straight = np.linalg.norm(patch.cloud.points[patch.index] - patch.cloud.points[patch.centre], axis=1)
    assert (patch.distance >= straight / 1.15 - 1e-12).all()
    assert patch.cloud.valid[patch.index].all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_on_a_plane_the_patch_is_a_disc_and_uv_are_its_coordinates(dtype: type) -> None:
    cloud = plane(dtype=dtype)
    patch = grow(cloud, 0, radius=0.3)
    check_invariants(patch)
    relative = cloud.points.astype(np.float64) - cloud.points[0]
    true = np.linalg.norm(relative, axis=1)
    far = true[patch.index] > 5 * patch.spacing
    assert np.abs(patch.distance / true[patch.index].clip(1e-12) - 1)[far].max() < 0.06
    assert np.abs(patch.distance / true[patch.index].clip(1e-12) - 1)[far].mean() < 1e-4
    assert set(np.flatnonzero(true < 0.98 * 0.3)) <= set(patch.index)
    assert true[patch.index].max() <= 0.3 * 1.0001
    np.testing.assert_allclose(patch.uv[far], (relative[patch.index] @ patch.frame[:2].T)[far], atol=0.3 * 0.06)
    np.testing.assert_allclose(patch.normals, upwards(patch.normals), atol=1e-6)


def test_angle_turns_the_frame_and_nothing_else() -> None:
    cloud = plane()
    still, turned = grow(cloud, 0, radius=0.2), grow(cloud, 0, radius=0.2, angle=0.7)
    np.testing.assert_array_equal(still.index, turned.index)
    c, s = math.cos(0.7), math.sin(0.7)
    np.testing.assert_allclose(turned.frame[0], c * still.frame[0] + s * still.frame[1], atol=1e-15)
    np.testing.assert_allclose(still.uv, turned.uv @ np.array([[c, s], [-s, c]]), atol=1e-12)
    check_invariants(turned)


@pytest.mark.parametrize("radius", [0.4, 1.5, 2.8])
def test_on_a_sphere_distances_are_arcs_and_directions_great_circles(radius: float) -> None:
    cloud = sphere()
    patch = grow(cloud, 0, radius=radius)
    check_invariants(patch)
    points, pole = cloud.points[patch.index], cloud.points[0]
    cosine = np.clip(points @ pole, -1, 1)
    np.testing.assert_allclose(patch.distance, np.arccos(cosine), rtol=0.04, atol=0.02)
    tangent = (points - cosine[:, None] * pole) @ patch.frame[:2].T
    off = np.angle(np.exp(1j * (np.arctan2(*tangent.T[::-1]) - np.arctan2(*patch.uv.T[::-1]))))
    ring = (patch.distance > 5 * patch.spacing) & (patch.distance < 2)
    assert np.abs(off[ring]).mean() < 0.03
    assert np.abs(off[ring]).max() < 0.2
    assert (patch.normals * points).sum(axis=1).min() > 0.98


def test_on_a_cylinder_the_log_map_unrolls_it() -> None:
    cloud, flat = cylinder()
    patch = grow(cloud, 0, radius=1.4)
    check_invariants(patch)
    tangent = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    assert np.abs(patch.frame[2] @ [-1, 0, 0]) > 0.999
    true = ((flat[patch.index] - flat[0]) @ tangent) @ patch.frame[:2].T
    away = np.linalg.norm(true, axis=1) > 0.2
    assert np.abs(patch.uv - true)[away].max() < 0.03


@pytest.mark.parametrize("spacings", [0.5, 2.0, 5.0])
def test_a_patch_stays_on_its_side_of_a_thin_wall(spacings: float) -> None:
    side = 0.05
    line = np.arange(-1, 1.001, side)
    x, y = np.meshgrid(line, line)
    z = np.full(x.size, spacings * side / 2)
    sheets = [np.column_stack([x.ravel() + shift, y.ravel() + shift, sign * z]) for sign, shift in ((1, 0), (-1, 0.02))]
    points = np.concatenate(sheets)
    normals = np.sign(points[:, 2:]) * UP
    cloud = surfaced(PointCloud(points, normals=normals), lambda p: p * UP)
    patch = grow(cloud, x.size // 2, radius=0.61)
    check_invariants(patch)
    assert (patch.index < x.size).all()
    assert len(patch) == (np.hypot(points[: x.size, 0], points[: x.size, 1]) <= 0.61).sum()
    if spacings >= 2.5:
        bare = grow(surfaced(PointCloud(points), lambda p: p * UP), x.size // 2, radius=0.61)
        np.testing.assert_array_equal(np.sort(bare.index), np.sort(patch.index))


def test_a_patch_does_not_jump_to_another_plate() -> None:
    left = plane(1000).points
    gap = 6 * plane(1000).surface.spacing
    cloud = surfaced(PointCloud(np.concatenate([left, left + np.array([1 + gap, 0, 0]), left + 0.4 * UP])), upwards)
    patch = grow(cloud, 0, radius=5.0)
    np.testing.assert_array_equal(np.sort(patch.index), np.arange(1000))
    assert len(grow(cloud, 0, share=0.3333)) == 1000
    with pytest.raises(DataError, match=r"has 1000 of 3000 points, 0\.3333 of the surface: too little for area 0\.5"):
        grow(cloud, 0, share=0.5)


def test_a_patch_goes_round_a_corner_and_not_through_it() -> None:
    side = 0.04
    line = np.arange(side / 2, 1, side)
    x, y = (a.ravel() for a in np.meshgrid(line, line))
    points = np.concatenate([np.column_stack([x, y, 0 * x]), np.column_stack([0 * x, y, -x])])
    cloud = surfaced(PointCloud(points), lambda p: np.broadcast_to([-1.0, 0.0, 1.0], p.shape))
    start = int(np.linalg.norm(points - [0.5, 0.5, 0], axis=1).argmin())
    patch = grow(cloud, start, radius=0.9)
    unrolled = np.concatenate([np.column_stack([x, y]), np.column_stack([-x, y])])
    true = np.linalg.norm(unrolled - unrolled[start], axis=1)[patch.index]
    assert (patch.index >= len(x)).sum() > 50
    assert np.abs(patch.distance - true).max() < 0.06


@settings(max_examples=12)
@given(share=st.floats(0.01, 0.6), seed=st.integers(0, 5))
def test_a_share_is_the_smallest_set_of_nearest_points_that_reaches_it(share: float, seed: int) -> None:
    base = sphere(1500)
    raw = Rng(seed).random(1500) + 0.1
    cloud = surfaced(PointCloud(base.points), lambda p: p, raw / raw.sum())
    centre = Rng(seed).integer(0, 1499)
    patch = grow(cloud, centre, share=share)
    weights = cloud.surface.weights
    assert weights[patch.index].sum() >= share * (1 - 1e-9)
    assert weights[patch.index[:-1]].sum() < share
    # Brute force: all points sorted by their distances in a patch of everything.
    everything = grow(cloud, centre, radius=4.0)
    assert len(everything) == 1500
    running = np.cumsum(weights[everything.index])
    np.testing.assert_array_equal(patch.index, everything.index[: int((running < share).sum()) + 1])


def test_the_whole_surface_is_a_share_too() -> None:
    assert len(grow(sphere(800), 5, share=1.0)) == 800


@pytest.mark.parametrize("make", [lambda: sphere(3000), grid_mesh])
def test_how_much_of_the_cloud_was_looked_at_does_not_show(make: Callable[[], PointCloud]) -> None:
    cloud = make()
    near = grow(cloud, 800, radius=0.3)
    far = grow(cloud, 800, radius=0.9)
    inner = slice(len(near))
    assert near.radius <= 0.3 < far.distance[len(near)]
    np.testing.assert_array_equal(near.index, far.index[inner])
    np.testing.assert_allclose(near.uv, far.uv[inner], atol=1e-12)
    np.testing.assert_allclose(near.normals, far.normals[inner], atol=1e-12)


@pytest.mark.parametrize("mesh", [False, True])
def test_the_order_of_the_points_does_not_matter(mesh: bool) -> None:
    if mesh:
        ball = trimesh.creation.icosphere(subdivisions=4)
        shaken = ball.vertices * (1 + 0.01 * Rng(5).random(len(ball.vertices))[:, None])
        cloud = surfaced(PointCloud(shaken, faces=np.asarray(ball.faces, dtype=np.int64)), lambda p: p)
    else:
        cloud = sphere(2500)
    order = Rng(7).permutation(len(cloud))
    place = np.argsort(order)
    faces = None if cloud.faces is None else place[cloud.faces]
    shuffled = surfaced(PointCloud(cloud.points[order], faces=faces), lambda p: p)
    a, b = grow(cloud, 17, share=0.1), grow(shuffled, int(place[17]), share=0.1)
    np.testing.assert_array_equal(a.index, order[b.index])
    np.testing.assert_allclose(a.uv, b.uv, atol=1e-9)


def test_moving_and_scaling_the_cloud_moves_and_scales_the_patch() -> None:
    cloud = sphere(2500)
    moved = surfaced(PointCloud(cloud.points * 1000 + [5e4, -2e4, 1e3]), lambda p: p - [5e4, -2e4, 1e3])
    a, b = grow(cloud, 3, share=0.1), grow(moved, 3, share=0.1)
    np.testing.assert_array_equal(a.index, b.index)
    np.testing.assert_allclose(a.uv * 1000, b.uv, atol=1e-5)


def test_mesh_edges_rule_where_points_are_close() -> None:
    """Two faces of a folded sheet nearly touch; only the fold joins them."""
    flat = grid_mesh(41)
    u = flat.points[:, 0]
    folded = np.column_stack([np.abs(u), flat.points[:, 1], np.where(u < 0, 0.001, 0.0)])
    cloud = surfaced(PointCloud(folded, faces=flat.faces), lambda p: np.where(p[:, 2:] > 0, UP, -UP))
    start = int(np.linalg.norm(flat.points - [0.5, 0, 0], axis=1).argmin())
    patch = grow(cloud, start, radius=0.45)
    check_invariants(patch)
    assert (u[patch.index] > 0).all()
    assert len(patch) == len(grow(flat, start, radius=0.45))


@pytest.mark.parametrize(("apex", "length"), [(0.4, 2.0), (3.0, 2 * math.sqrt(5.0))])
def test_lines_over_an_edge_stay_on_its_two_faces(apex: float, length: float) -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [apex, 1, 0], [apex, 0, -1]])
    cloud = surfaced(PointCloud(points, faces=np.array([[0, 1, 2], [1, 0, 3]])), upwards)
    around = ball(cloud, points[2], squared_distances(cloud, points[2]), math.inf, 12)
    path = shortest_paths(around.graph, np.array([2]))[0]
    # Unfolded about the edge the apexes face each other: at 0.4 across it, at 3 only round its end.
    assert path[3] == pytest.approx(length)


def test_on_a_grid_mesh_distances_are_straight_in_all_directions() -> None:
    cloud = grid_mesh()
    middle = len(cloud) // 2
    patch = grow(cloud, middle, radius=0.8)
    check_invariants(patch)
    true = np.linalg.norm(cloud.points - cloud.points[middle], axis=1)
    np.testing.assert_allclose(patch.distance, true[patch.index], atol=1e-12)
    np.testing.assert_array_equal(np.sort(patch.index), np.flatnonzero(true <= 0.8))


def test_closed_mesh_agrees_with_the_sphere() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    cloud = surfaced(PointCloud(ball.vertices.astype(np.float32), faces=np.asarray(ball.faces, np.int64)), lambda p: p)
    patch = grow(cloud, 40, radius=1.2)
    check_invariants(patch)
    true = np.arccos(np.clip(ball.vertices @ ball.vertices[40], -1, 1))
    np.testing.assert_allclose(patch.distance, true[patch.index], atol=0.005)
    assert (patch.normals * ball.vertices[patch.index]).sum(axis=1).min() > 0.999


def tilted_map(degrees: float, dtype: type = np.float32) -> PointCloud:
    """Return an organised map of a plane that the camera sees at an angle, with some pixels missing."""
    u, v = np.meshgrid(np.linspace(-0.2, 0.2, 61), np.linspace(-0.2, 0.2, 51))
    ray = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
    normal = np.array([math.sin(math.radians(degrees)), 0, -math.cos(math.radians(degrees))])
    points = ray * (normal[2] / (ray @ normal))[:, None]
    points[Rng(3).random(len(points)) < 0.1] = 0
    points[1555] = (0.0, 0.0, 1.0)
    return surfaced(PointCloud(points.astype(dtype), grid=(51, 61)), lambda p: np.broadcast_to(normal, p.shape))


@pytest.mark.parametrize("degrees", [0, 60, 75])
def test_organised_maps_are_joined_by_pixels_and_invalid_ones_stay_out(degrees: float) -> None:
    cloud = tilted_map(degrees)
    patch = grow(cloud, 1555, radius=0.1)
    check_invariants(patch)
    true = np.linalg.norm(cloud.points.astype(np.float64) - cloud.points[1555], axis=1)
    inside = np.flatnonzero((true <= 0.1) & cloud.valid)
    assert len(np.setxor1d(inside, patch.index)) <= 0.03 * len(inside)
    np.testing.assert_allclose(patch.distance, true[patch.index], rtol=0.06, atol=1e-4)


def test_a_depth_step_ends_the_patch() -> None:
    x, y = np.meshgrid(np.arange(40.0), np.arange(30.0))
    depth = np.where(x < 20, 100.0, 108.0)
    cloud = surfaced(PointCloud(np.stack([x, y, depth], axis=-1).reshape(-1, 3), grid=(30, 40)), lambda p: -upwards(p))
    patch = grow(cloud, 15 * 40 + 12, radius=15.0)
    assert (cloud.points[patch.index, 2] == 100).all()
    assert cloud.points[patch.index, 0].max() == 19


def test_a_map_with_scattered_pixels_falls_back_to_neighbours() -> None:
    x, y = np.meshgrid(np.arange(1.0, 121.0), np.arange(1.0, 121.0))
    points = np.stack([x, y, 0 * x], axis=-1)
    keep = np.zeros((120, 120), dtype=bool)
    keep[::3, ::3] = True
    points[~keep] = 0
    cloud = surfaced(PointCloud(points.reshape(-1, 3), grid=(120, 120)), upwards)
    patch = grow(cloud, 60 * 120 + 60, radius=30.0)
    true = np.hypot(x - x[60, 60], y - y[60, 60])
    assert len(patch) == ((true <= 30 + 1e-9) & keep).sum()


def test_points_at_nan_are_never_in_a_patch() -> None:
    clean = sphere(2000)
    points = np.concatenate([clean.points, np.full((50, 3), np.nan), np.full((1, 3), np.inf)])
    order = Rng(4).permutation(len(points))
    cloud = surfaced(PointCloud(points[order]), lambda p: p)
    centre = int(np.flatnonzero(order == 5)[0])
    patch = grow(cloud, centre, share=0.2)
    check_invariants(patch)
    assert set(order[patch.index]) == set(grow(clean, 5, share=0.2).index)


def test_file_normals_are_used_at_unit_length() -> None:
    base = sphere(1500)
    tilted = base.points + 0.2 * UP
    cloud = surfaced(PointCloud(base.points, normals=(3 * tilted).astype(np.float32)), lambda p: p)
    patch = grow(cloud, 0, share=0.1)
    expected = tilted / np.linalg.norm(tilted, axis=1)[:, None]
    np.testing.assert_allclose(patch.normals, expected[patch.index], atol=1e-6)
    broken = surfaced(PointCloud(base.points, normals=np.zeros((1500, 3))), lambda p: p)
    np.testing.assert_array_equal(grow(broken, 0, share=0.1).normals, grow(base, 0, share=0.1).normals)


def test_noise_on_the_surface_bends_the_map_only_a_little() -> None:
    flat = plane(4000)
    rough = flat.points + 0.15 * math.sqrt(1 / 4000) * Rng(9).normal(4000)[:, None] * UP
    patch = grow(surfaced(PointCloud(rough), upwards), 0, radius=0.35)
    true = (rough - rough[0])[patch.index] @ patch.frame[:2].T
    assert np.linalg.norm(patch.uv - true, axis=1).max() < 0.35 * 0.08
    assert patch.normals[:, 2].mean() > 0.998


@pytest.mark.parametrize("times", [2, 4, 7])
def test_coinciding_points_change_nothing_but_their_number(times: int) -> None:
    base = plane(1500)
    cloud = surfaced(PointCloud(np.tile(base.points, (times, 1))), upwards)
    cloud.surface.spacing = base.surface.spacing
    patch = grow(cloud, 0, radius=0.3)
    check_invariants(patch)
    single = grow(base, 0, radius=0.3)
    # Twins of the centre are its neighbours' neighbours only, so they stand a step away from it.
    assert set(single.index) <= set(patch.index % 1500)
    assert len(patch) == times * len(single)


def test_nearest_is_brute_force_with_coinciding_points_as_one() -> None:
    points = Rng(1).random(120).reshape(40, 3)
    points[10:30] = points[10]
    distance, neighbour = nearest(points, 5)
    true = np.linalg.norm(points[:, None] - points, axis=2)
    true[:, 11:30] = np.inf
    true[true == 0] = np.inf
    np.testing.assert_allclose(distance, np.sort(true, axis=1)[:, :5], atol=1e-15)
    np.testing.assert_allclose(np.take_along_axis(true, neighbour, axis=1), distance, atol=1e-15)
    alone = nearest(np.ones((3, 3)), 5)
    assert np.isinf(alone[0]).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), flat=st.sampled_from([1.0, 0.3, 1e-3, 1e-8, 0.0]), power=st.integers(-20, 20))
def test_least_axes_are_those_of_lapack(seed: int, flat: float, power: int) -> None:
    draws = Rng(seed).normal(20 * 9 * 3).reshape(20, 9, 3) * [1.0, 0.7, flat] * 10.0**power
    turned = np.stack([draws[..., 0] - draws[..., 2], draws.sum(axis=2), draws[..., 1] + 2 * draws[..., 2]], axis=-1)
    matrices = np.einsum("nki,nkj->nij", turned, turned)
    axes = least_axes([[matrices[:, i, j] for j in range(3)] for i in range(3)])
    values = np.linalg.eigvalsh(matrices)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1, atol=1e-14)
    found = np.einsum("ni,nij,nj->n", axes, matrices, axes)
    assert (np.abs(found - values[:, 0]) <= 1e-14 * values[:, 2]).all()
    # Where the least value stands alone, the axis is the same line.
    clear = values[:, 1] - values[:, 0] > 0.05 * values[:, 2]
    along = np.abs((axes * np.linalg.eigh(matrices)[1][:, :, 0]).sum(axis=1))
    np.testing.assert_allclose(along[clear], 1, atol=1e-12)


def test_fitted_normals_are_those_of_the_plane() -> None:
    normal = np.array([2.0, -1.0, 2.0]) / 3
    flat = Rng(6).normal(300).reshape(100, 3) * 50
    flat -= (flat @ normal)[:, None] * normal
    found = pca_normals(flat + 1000.0, nearest(flat, 12)[1])
    np.testing.assert_allclose(np.abs(found @ normal), 1, atol=1e-12)
    assert np.isfinite(least_axes([[np.zeros(2)] * 3] * 3)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "share, radius: None, None: expected exactly one"),
        ({"share": 0.1, "radius": 1.0}, "expected exactly one"),
        ({"share": 0.0}, r"share: 0.0: expected a fraction in \(0, 1\]"),
        ({"share": 1.1}, "share: 1.1"),
        ({"share": math.nan}, "share: nan"),
        ({"radius": -1.0}, "radius: -1.0: expected a length > 0"),
        ({"radius": math.inf}, "radius: inf"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        grow(plane(50), 0, **arguments)  # type: ignore[arg-type]


def test_what_cannot_be_grown_is_said_with_numbers() -> None:
    cloud = plane(1000)
    with pytest.raises(DataError, match=r"cloud: 5 points within area 0\.005 of the surface around point 0"):
        grow(cloud, 0, share=0.005)
    with pytest.raises(DataError, match=r"within radius 0\.01 around point 0 .*: expected at least 12"):
        grow(cloud, 0, radius=0.01)
    points = cloud.points.copy()
    points[7] = np.nan
    for centre in (7, -1, 1000):
        with pytest.raises(DataError, match=f"centre: {centre}: not a valid point"):
            grow(surfaced(PointCloud(points), upwards), centre, share=0.1)
    lonely = surfaced(PointCloud(np.concatenate([points, [[9.0, 9.0, 9.0]]])), upwards)
    with pytest.raises(DataError, match=r"has 1 of 1000 points"):
        grow(lonely, 1000, share=0.1)


def test_nothing_that_came_in_is_written_to() -> None:
    cloud = sphere(1000)
    cloud.points.setflags(write=False)
    cloud.surface.weights.setflags(write=False)
    before = cloud.points.copy()
    grow(cloud, 0, share=0.2, angle=1.0)
    pick_centre(cloud, Rng(1), allowed=np.ones(1000, dtype=bool))
    np.testing.assert_array_equal(cloud.points, before)


def test_centres_are_drawn_by_weight_among_the_allowed() -> None:
    raw = np.arange(1.0, 11.0)
    points = np.arange(30.0).reshape(10, 3)
    points[4] = np.nan
    cloud = surfaced(PointCloud(points), upwards, raw / raw.sum())
    allowed = np.ones(10, dtype=bool)
    allowed[[8, 9]] = False
    rng = Rng(11)
    drawn = np.bincount([pick_centre(cloud, rng, allowed=allowed) for _ in range(8000)], minlength=10)
    chance = np.where(allowed, raw, 0)
    chance[4] = 0
    assert (drawn[chance == 0] == 0).all()
    expected = 8000 * chance / chance.sum()
    assert (((drawn - expected) ** 2)[chance > 0] / expected[chance > 0]).sum() < 24.3  # chi-square, 6 dof, p = 0.0005
    with pytest.raises(DataError, match="no valid point among the 1 allowed"):
        pick_centre(cloud, rng, allowed=np.arange(10) == 4)


@pytest.mark.parametrize("mesh", [False, True])
def test_with_the_surface_that_clouds_have(mesh: bool) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    faces = np.asarray(ball.faces, dtype=np.int64) if mesh else None
    cloud = PointCloud(ball.vertices.astype(np.float32), faces=faces)
    patch = grow(cloud, pick_centre(cloud, Rng(1)), share=0.1)
    check_invariants(patch)
    # A cap of a tenth of the sphere has an angle of arccos(0.8).
    assert patch.radius == pytest.approx(math.acos(0.8), rel=0.03)
    assert (patch.normals * cloud.points[patch.index]).sum(axis=1).min() > 0.99


def test_normals_of_mesh_corners_do_not_depend_on_diagonals() -> None:
    box = trimesh.creation.box()
    fine = box.subdivide().subdivide()
    cloud = surfaced(PointCloud(fine.vertices, faces=np.asarray(fine.faces, dtype=np.int64)), lambda p: p)
    corner = int((fine.vertices.sum(axis=1)).argmax())
    np.testing.assert_allclose(grow(cloud, corner, radius=0.6).normals[0], np.full(3, 3**-0.5), atol=1e-12)


def test_patches_keep_their_bytes() -> None:
    patch = grow(sphere(3000), 100, share=0.02)
    assert patch.index[:8].tolist() == [100, 1912, 2514, 2806, 1281, 2115, 610, 2569]
    np.testing.assert_allclose(patch.uv[7], [-0.09286313570815499, -0.02152000926193499], rtol=1e-9)
    assert pick_centre(sphere(3000), Rng(2)) == 1466
