"""Clouds as they come: with holes, doubles, other units and origins, broken normals and broken faces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.generator import find, names
from anosynth.pointclouds import Bend, Bulge, Burr, Chip, Dent, Hole, PatchGen, PerlinSurface, PointCloud, Scratch
from anosynth.pointclouds._edges import _crease_ends
from anosynth.toy.depth import depth_map
from anosynth.toy.meshes import bracket, gear
from clouds_kit import box_mesh, torus
from test_contract import check_labels

ALL = names("pointclouds")


def ring(**more: object) -> PointCloud:
    return torus(3000, dtype=np.float64, **more)


def true_normals(cloud: PointCloud) -> np.ndarray:
    """Outward unit normals of the torus."""
    across = np.hypot(cloud.points[:, 0], cloud.points[:, 1])[:, None]
    out = cloud.points - 30 * cloud.points * [1, 1, 0] / across
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def with_gaps() -> PointCloud:
    cloud = ring()
    points, normals = cloud.points.copy(), true_normals(cloud)
    points[::37], points[5::41] = np.nan, np.inf
    normals[::3], normals[1::7], normals[2::11] = 0, np.nan, np.inf
    return PointCloud(points, normals=normals)


def map_with_gaps() -> PointCloud:
    cloud = depth_map(3, shape=(60, 80))[0]
    points = cloud.points.copy()
    points[np.random.default_rng(0).random(len(points)) < 0.2] = np.nan
    return PointCloud(points, grid=cloud.grid)


ODD: dict[str, Callable[[], PointCloud]] = {
    "gaps": with_gaps,
    "map": map_with_gaps,
    "doubles": lambda: PointCloud(np.repeat(ring().points[:900], 14, axis=0)),
    "far float32": lambda: PointCloud((ring().points + np.array([4e5, 5e6, 1e2])).astype(np.float32)),
    "far float64": lambda: PointCloud(ring().points + 1e9),
    "tiny": lambda: PointCloud((ring().points * 1e-6).astype(np.float32)),
    "random signs": lambda: PointCloud(
        ring().points, normals=true_normals(ring()) * np.where(np.arange(3000) % 2, 1, -1)[:, None]
    ),
    "few": lambda: PointCloud(np.random.default_rng(1).normal(size=(13, 3))),
    "line": lambda: PointCloud(np.linspace(0, 1, 60)[:, None] * [1.0, 2.0, 3.0]),
    "flat grid": lambda: PointCloud(np.stack([*np.divmod(np.arange(1600.0), 40), np.zeros(1600)], axis=1)),
}


@pytest.mark.parametrize("odd", ODD)
def test_every_defect_is_honest_or_refused_on_odd_clouds(odd):
    cloud = ODD[odd]()
    made = 0
    for name in ALL:
        try:
            anomaly = find("pointclouds", name)()(cloud, rng=1)
        except NotMade:
            continue
        check_labels(anomaly)
        old = anomaly.origin >= 0
        lost = ~cloud.valid[anomaly.origin[old]]
        kept = anomaly.sample.points[old][lost]
        assert kept.tobytes() == cloud.points[anomaly.origin[old]][lost].tobytes(), name
        made += 1
    assert made >= {"few": 1, "line": 0}.get(odd, 13)


def broken(mesh: PointCloud, value: float) -> PointCloud:
    points = mesh.points.copy()
    points[3] = value
    return PointCloud(points, faces=mesh.faces)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("generator", [Dent(), Hole(roughness=0), Bend(), Chip()])
def test_a_mesh_with_an_invalid_vertex_takes_defects_elsewhere(generator, value):
    cloud = broken(bracket(0, fine=12.0), value)
    anomaly = generator(cloud, rng=0)
    check_labels(anomaly)
    assert not anomaly.mask[~anomaly.sample.valid].any()
    assert np.isfinite(anomaly.sample.points[anomaly.mask]).all()


def test_a_mesh_without_faces_is_a_cloud():
    bare = ring()
    cloud = PointCloud(bare.points, faces=np.zeros((0, 3), dtype=np.int64))
    for generator in (Dent(), Scratch(width=0.05), Hole(), PerlinSurface(mode="solid")):
        anomaly, same = generator(cloud, rng=2), generator(bare, rng=2)
        assert anomaly.sample.points.tobytes() == same.sample.points.tobytes()
        assert (anomaly.mask == same.mask).all()
        assert anomaly.sample.faces.shape == (0, 3)


def test_vertices_that_no_face_refers_to_are_no_surface():
    mesh = bracket(0, fine=2.0)
    doubled = PointCloud(np.concatenate([mesh.points, mesh.points]), faces=mesh.faces + len(mesh))
    generator = Bulge(area=0.3, strength=0.01)
    anomaly, same = generator(doubled, rng=0), generator(mesh, rng=0)
    assert anomaly.stats["attempts"] == same.stats["attempts"] == 1
    assert (anomaly.mask[len(mesh) : len(doubled)] == same.mask[: len(mesh)]).all()
    assert not anomaly.mask[: len(mesh)].any()


@pytest.mark.parametrize("make", [box_mesh, lambda: bracket(0, fine=12.0), lambda: gear(1)])
def test_convex_edges_do_not_depend_on_the_winding(make):
    mesh = make()
    inward = PointCloud(mesh.points, faces=mesh.faces[:, ::-1])
    assert (_crease_ends(inward, inward.triangles) == _crease_ends(mesh, mesh.triangles)).all()


def test_chips_go_in_and_burrs_stand_out_on_a_mesh_wound_inward():
    mesh = gear(1)
    inward = PointCloud(mesh.points, faces=mesh.faces[:, ::-1])
    for seed in range(3):
        assert Chip()(inward, rng=seed).stats["peak"] < 0
        assert Burr()(inward, rng=seed).stats["peak"] > 0


def lying(rows: int, columns: int) -> PointCloud:
    """A map of a table with a part of rows x columns pixels on it, seen from above its middle."""
    y, x = np.mgrid[:30, :30].astype(np.float64)
    points = np.stack([x, y, np.zeros((30, 30))], axis=2)
    points[6 : 6 + rows, 8 : 8 + columns, 2] = 5
    return PointCloud(points.reshape(-1, 3), grid=(30, 30), viewpoint=np.array([15.0, 15.0, 100.0]))


def test_a_part_of_a_few_pixels_moves_whole():
    cloud = lying(2, 5)
    assert cloud.foreground.sum() == 10
    anomaly = PatchGen(area=0.5)(cloud, rng=0)
    check_labels(anomaly)
    assert 5 <= anomaly.mask.sum() <= 10


def test_a_map_that_does_not_say_its_viewpoint_keeps_its_rays_from_the_origin():
    cloud = depth_map(3, shape=(60, 80))[0]
    unsaid = PointCloud(cloud.points, grid=cloud.grid)
    anomaly = PatchGen(strength=0.05)(unsaid, rng=0)
    before, after = (points[anomaly.mask].astype(np.float64) for points in (cloud.points, anomaly.sample.points))
    assert np.abs(np.cross(before, after)).max() < 1e-6 * np.abs(before).max() ** 2


def test_a_part_that_ends_in_a_face_has_no_hinge_before_it():
    face = np.stack([np.zeros(400), *np.divmod(np.arange(400.0), 20)], axis=1)
    with pytest.raises(NotMade, match="ends in a face larger than the area"):
        Bend()(PointCloud(np.concatenate([face, face + np.array([100, 0, 0])])), rng=0)


def test_normals_of_doubled_points_follow_the_surface_too():
    cloud = ring()
    normals = true_normals(cloud)
    many = PointCloud(np.repeat(cloud.points, 14, axis=0), normals=np.repeat(normals, 14, axis=0))
    anomaly = Bulge(strength=0.01, area=0.05)(many, rng=0)
    tilt = (anomaly.sample.normals * many.normals).sum(axis=1)[anomaly.mask]
    assert tilt.min() > 0.94
    assert tilt.max() < 1, "none was fitted anew"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"normals": np.zeros((60, 2))}, r"normals: \(60, 2\): expected shape \(60, 3\)"),
        ({"viewpoint": np.zeros(2)}, r"viewpoint: \(2,\): expected shape \(3,\)"),
        ({"faces": np.array([[0, 1, 60]])}, "faces: vertex 60: expected an index from 0 to 59"),
        ({"faces": np.array([[0, 1, -1]])}, "faces: vertex -1: expected an index from 0 to 59"),
        ({"faces": np.array([[0, 1, 2, 3]])}, r"faces: int64 \(1, 4\): expected whole numbers of shape \(F, 3\)"),
        ({"faces": np.array([[0.0, 1.0, 2.0]])}, r"faces: float64 \(1, 3\): expected whole numbers"),
    ],
)
def test_what_no_cloud_can_have_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        PointCloud(ring().points[:60], **given)


def test_an_unknown_unit_is_named():
    with pytest.raises(ParameterError, match="unit: furlong: must be one of um, mm"):
        Dent(strength="1mm")(ring(unit="furlong"), rng=0)
