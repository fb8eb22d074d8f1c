"""Scans of toy meshes: on the surface, evenly spread, with the right normals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.toy.clouds import scan
from anosynth.toy.meshes import NOMINAL, PARTS

RING, TUBE = NOMINAL["torus"]["ring"] / 2, NOMINAL["torus"]["tube"] / 2


@pytest.fixture(scope="module")
def torus():
    return PARTS["torus"](0, fine=1.0, variation=0.0)


def outward(points):
    """Distance from the torus's centre line and the unit normals of the exact surface."""
    rho = np.hypot(points[:, 0], points[:, 1])
    ring = points * [[1, 1, 0]] / rho[:, None] * RING
    away = points - ring
    length = np.linalg.norm(away, axis=1)
    return length, away / length[:, None]


@pytest.mark.parametrize("part", PARTS)
def test_points_lie_on_the_mesh_with_its_normals(part):
    cloud = PARTS[part](1, fine=4.0)
    points = scan(cloud, 150, 2)
    mesh = trimesh.Trimesh(cloud.points, cloud.faces, process=False)
    _, distance, face = trimesh.proximity.closest_point_naive(mesh, points.points.astype(np.float64))
    assert distance.max() < 2e-5
    agreement = (mesh.face_normals[face] * points.normals).sum(axis=1)
    # A point within rounding of an edge may be given to the neighbour.
    assert np.mean(agreement > 1 - 1e-5) > 0.97


def test_what_a_scan_carries(torus):
    cloud = scan(torus, 500, 0)
    assert cloud.points.dtype == np.float32
    assert cloud.points.shape == (500, 3)
    assert cloud.normals.dtype == np.float32
    assert np.linalg.norm(cloud.normals, axis=1) == pytest.approx(1, abs=1e-6)
    assert cloud.unit == "mm"
    assert cloud.faces is None
    assert cloud.attributes["intensity"].dtype == np.float32
    assert scan(torus, 500, 0, normals=False).normals is None


def test_normals_agree_with_the_exact_ones(torus):
    cloud = scan(torus, 4000, 1)
    length, normals = outward(cloud.points.astype(np.float64))
    assert length == pytest.approx(TUBE, abs=0.02)
    assert (cloud.normals * normals).sum(axis=1).min() > math.cos(math.radians(4))


def test_as_dense_as_the_area_asks(torus):
    cloud = scan(torus, 20_000, 1)
    outside = np.mean(np.hypot(cloud.points[:, 0], cloud.points[:, 1]) > RING)
    # The outer half has the area 2 pi r (pi R + 2 r) of 4 pi^2 R r.
    assert outside == pytest.approx(0.5 + TUBE / (math.pi * RING), abs=0.005)
    turn = np.arctan2(cloud.points[:, 1], cloud.points[:, 0])
    assert np.histogram(turn, 12)[0] == pytest.approx(20_000 / 12, rel=0.05)


def test_points_are_spread_within_their_triangle():
    corner = PointCloud(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), faces=np.array([[0, 1, 2]]))
    points = scan(corner, 20_000, 3).points
    assert points.min() >= 0
    assert points[:, :2].sum(axis=1).max() <= 1 + 1e-6
    assert points.mean(axis=0) == pytest.approx([1 / 3, 1 / 3, 0], abs=0.01)
    # The middle triangle of four equal ones.
    middle = (points[:, :2].max(axis=1) < 0.5) & (points[:, :2].sum(axis=1) > 0.5)
    assert middle.mean() == pytest.approx(0.25, abs=0.015)


def test_noise_goes_along_the_normal(torus):
    clean, noisy = scan(torus, 5000, 4), scan(torus, 5000, 4, noise=0.1)
    move = noisy.points.astype(np.float64) - clean.points
    along = (move * clean.normals).sum(axis=1)
    assert along.std() == pytest.approx(0.1, rel=0.05)
    assert abs(along.mean()) < 0.006
    assert np.abs(move - along[:, None] * clean.normals).max() < 2e-5


def test_intensity_is_light(torus):
    cloud = scan(torus, 5000, 4)
    intensity = cloud.attributes["intensity"]
    assert intensity.min() >= 0
    assert intensity.max() <= 1
    assert np.corrcoef(intensity, cloud.normals @ [0.36, 0.48, 0.8])[0, 1] > 0.9
    assert len(np.unique(intensity)) > 4000


def test_order_says_nothing(torus):
    cloud = scan(torus, 5000, 5)
    for axis in range(3):
        assert abs(np.corrcoef(np.arange(5000), cloud.points[:, axis])[0, 1]) < 0.06


def test_a_seed_is_a_scan(torus):
    first, again, other = (scan(torus, 300, seed, noise=0.01) for seed in (7, 7, 8))
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.attributes["intensity"], again.attributes["intensity"])
    assert not np.any(np.all(first.points == other.points, axis=1))


def test_triangles_without_area_are_never_hit():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 2, 2]])
    faces = np.array([[3, 3, 3], [0, 1, 2], [0, 0, 3], [1, 2, 2]])
    cloud = scan(PointCloud(points, faces=faces), 1000, 0)
    assert np.array_equal(cloud.normals, np.tile(np.float32([0, 0, 1]), (1000, 1)))


@pytest.mark.parametrize("faces", [None, np.zeros((0, 3), dtype=np.int64), np.zeros((2, 3), dtype=np.int64)])
def test_nothing_to_scan(faces):
    with pytest.raises(DataError, match="mesh: no triangle"):
        scan(PointCloud(np.zeros((1, 3)), faces=faces), 10, 0)


def test_wrong_parameters_are_named(torus):
    with pytest.raises(ParameterError, match="count: 0: expected at least 1 point"):
        scan(torus, 0, 0)
    with pytest.raises(ParameterError, match="noise: -1: expected a length of at least 0"):
        scan(torus, 1, 0, noise=-1)
