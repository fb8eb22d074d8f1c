from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry import refine as _refine
from anosynth.pointclouds._geometry.refine import refine, sample
from anosynth.seeding import Rng

SHAPES = {
    "box": trimesh.creation.box(extents=(1.0, 2.0, 0.5)),
    "cylinder": trimesh.creation.cylinder(radius=0.7, height=2.0, sections=17),
    "torus": trimesh.creation.torus(1.0, 0.3, major_sections=12, minor_sections=7),
}


def cloud_of(name: str, dtype: type = np.float64) -> PointCloud:
    mesh = SHAPES[name]
    return PointCloud(mesh.vertices.astype(dtype), faces=np.asarray(mesh.faces, dtype=np.int64))


def mesh_of(cloud: PointCloud) -> trimesh.Trimesh:
    return trimesh.Trimesh(cloud.points.astype(np.float64), cloud.faces, process=False)


def edges_near(cloud: PointCloud, centre: np.ndarray, radius: float) -> np.ndarray:
    """Return the lengths of the edges that come within `radius`, by sampling them densely."""
    ends = cloud.points[mesh_of(cloud).edges_unique].astype(np.float64)
    t = np.linspace(0, 1, 65)[:, None, None]
    on = (1 - t) * ends[None, :, 0] + t * ends[None, :, 1]
    near = np.linalg.norm(on - centre, axis=2).min(axis=0) <= radius
    return np.asarray(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1)[near])


@settings(max_examples=25)
@given(
    name=st.sampled_from(sorted(SHAPES)),
    seed=st.integers(0, 1000),
    radius=st.floats(0.0, 0.6),
    edge=st.floats(0.06, 0.6),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_refined_solids_stay_closed_and_keep_their_shape(
    name: str, seed: int, radius: float, edge: float, dtype: type
) -> None:
    cloud = cloud_of(name, dtype)
    centre = cloud.points[Rng(seed).integer(0, len(cloud) - 1)].astype(np.float64)
    fine = refine(cloud, centre, radius, edge)
    before, after = mesh_of(cloud), mesh_of(fine)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert after.is_watertight
    assert after.is_winding_consistent
    assert after.euler_number == before.euler_number
    assert after.area == pytest.approx(before.area, rel=tolerance)
    assert after.volume == pytest.approx(before.volume, rel=tolerance)
    assert after.volume > 0
    assert edges_near(fine, centre, radius).max(initial=0.0) <= edge * (1 + 1e-9)
    np.testing.assert_array_equal(fine.points[: len(cloud)], cloud.points)
    assert fine.points.dtype == dtype
    assert fine.faces is not None
    assert fine.faces.dtype == np.int64
    assert len(np.unique(fine.faces)) == len(fine)


def test_only_the_neighbourhood_is_refined() -> None:
    ball = trimesh.creation.icosphere(subdivisions=3)
    cloud = PointCloud(ball.vertices, faces=np.asarray(ball.faces, dtype=np.int64))
    fine = refine(cloud, ball.vertices[0], 0.3, 0.02)
    assert fine.faces is not None
    far = np.linalg.norm(ball.triangles_center - ball.vertices[0], axis=1) > 0.3 + 3 * ball.edges_unique_length.max()
    kept = {tuple(face) for face in fine.faces}
    assert all(tuple(face) in kept for face in ball.faces[far])
    assert len(fine.faces) < 0.5 * refine(cloud, np.zeros(3), 2.0, 0.02).faces.shape[0]  # type: ignore[union-attr]


def test_faces_stand_where_the_face_they_are_part_of_stood() -> None:
    cloud = cloud_of("cylinder")
    fine = refine(cloud, cloud.points[3], 0.4, 0.2)
    assert cloud.faces is not None
    assert fine.faces is not None
    corners = fine.points[fine.faces]
    areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    # Walking through both lists, the parts add up to one old face after the other.
    old = np.cumsum(mesh_of(cloud).area_faces)
    assert all(np.abs(np.cumsum(areas) - total).min() < 1e-12 for total in old)


def test_a_mesh_that_is_fine_enough_comes_back_as_it_was() -> None:
    cloud = cloud_of("torus")
    same = refine(cloud, np.zeros(3), 5.0, 10.0)
    np.testing.assert_array_equal(same.faces, cloud.faces)
    assert same.points is cloud.points
    away = refine(cloud, np.array([50.0, 0.0, 0.0]), 5.0, 0.01)
    np.testing.assert_array_equal(away.faces, cloud.faces)


def test_a_ball_inside_a_large_face_is_refined_with_edges_that_grow_away_from_it() -> None:
    triangle = PointCloud(np.array([[0.0, 0, 0], [90, 0, 0], [0, 90, 0]]), faces=np.array([[0, 1, 2]]))
    centre = np.array([25.0, 25.0, 0.0])
    fine = refine(triangle, centre, 1.0, 0.5)
    ends = np.concatenate([fine.faces[:, [0, 1]], fine.faces[:, [1, 2]], fine.faces[:, [2, 0]]])
    start, along = fine.points[ends[:, 0]], fine.points[ends[:, 1]] - fine.points[ends[:, 0]]
    length = np.sqrt((along * along).sum(axis=1))
    place = np.clip(((centre - start) * along).sum(axis=1) / length**2, 0, 1)
    beyond = np.linalg.norm(start + place[:, None] * along - centre, axis=1) - 1.0
    assert (length <= np.maximum(0.5, 0.5 * beyond) + 1e-9).all()
    assert (beyond < 0).any()
    assert len(fine) < 2000


@pytest.mark.parametrize("touching", [1, 2, 3])
def test_each_template_splits_one_triangle(touching: int) -> None:
    points = np.array([[0.0, 0, 0], [2, 0, 0], [0.3, 1.5, 0]])
    marks = np.zeros((1, 3), dtype=bool)
    for first in range(3):
        marks[:] = False
        marks[0, [(first + k) % 3 for k in range(touching)]] = True
        cloud, middle = _refine._halved(PointCloud(points), np.array([[0, 1, 2]]), marks, 1.0)
        faces, parent = _refine._split(cloud.points, np.array([[0, 1, 2]]), marks, middle)
        assert len(faces) == touching + 1 == len(parent)
        a, b, c = (cloud.points[faces[:, k]] for k in range(3))
        areas = 0.5 * np.cross((b - a), (c - a))[:, 2]
        assert (areas > 0.1).all()
        assert areas.sum() == pytest.approx(1.5)
        assert mesh_of(PointCloud(cloud.points, faces=faces)).euler_number == 1


def test_open_and_non_manifold_meshes_have_no_cracks_either() -> None:
    # Three fins on a common edge.
    points = np.array([[0.0, 0, 0], [0, 0, 4], [3, 0, 2], [-2, 2, 2], [-2, -2, 2]])
    cloud = PointCloud(points, faces=np.array([[0, 1, 2], [0, 1, 3], [1, 0, 4]]))
    fine = refine(cloud, np.array([0.0, 0.0, 2.0]), 1.0, 0.3)
    assert fine.faces is not None
    # Halves of the common edge belong to three faces each, other edges to one or two.
    ends = np.sort(np.concatenate([fine.faces[:, [0, 1]], fine.faces[:, [1, 2]], fine.faces[:, [2, 0]]]), axis=1)
    edge, times = np.unique(ends, axis=0, return_counts=True)
    on_axis = (np.abs(fine.points[edge][:, :, :2]) < 1e-12).all(axis=(1, 2))
    assert (times[on_axis] == 3).all()
    lengths = np.linalg.norm(fine.points[edge[on_axis, 0]] - fine.points[edge[on_axis, 1]], axis=1)
    assert lengths.sum() == pytest.approx(4.0)
    assert times.max() == 3
    assert mesh_of(fine).area == pytest.approx(mesh_of(cloud).area)


def test_new_vertices_take_what_lies_between_the_ends() -> None:
    base = cloud_of("box")
    normals = (2 * base.points / np.linalg.norm(base.points, axis=1)[:, None]).astype(np.float32)
    attributes = {
        "x": base.points[:, 0].astype(np.float32),
        "both": base.points[:, :2].copy(),
        "half": base.points[:, 0].astype(np.float16),
        "label": np.arange(8, dtype=np.uint8),
        "flag": np.arange(8) % 2 == 0,
    }
    cloud = PointCloud(base.points, normals=normals, faces=base.faces, attributes=attributes, unit="mm")
    copies = {name: value.copy() for name, value in attributes.items()}
    fine = refine(cloud, np.zeros(3), 3.0, 0.3)
    assert fine.unit == "mm"
    assert fine.normals is not None
    assert {name: value.dtype for name, value in fine.attributes.items()} == {k: v.dtype for k, v in attributes.items()}
    np.testing.assert_allclose(fine.attributes["x"], fine.points[:, 0], atol=1e-6)
    np.testing.assert_allclose(fine.attributes["both"], fine.points[:, :2], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(fine.normals, axis=1), 2, rtol=1e-5)
    assert (fine.normals * fine.points).sum(axis=1).min() > 0
    assert set(fine.attributes["label"]) <= set(range(8))
    assert fine.attributes["flag"].dtype == np.bool_
    np.testing.assert_array_equal(fine.attributes["label"] % 2 == 0, fine.attributes["flag"])
    for name, value in copies.items():
        np.testing.assert_array_equal(attributes[name], value)


def test_opposite_normals_do_not_cancel_to_nothing() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    normals = np.array([[0.0, 0, 1], [0, 0, -1], [0, 0, 1]])
    fine = refine(PointCloud(points, normals=normals, faces=np.array([[0, 1, 2]])), np.zeros(3), 2.0, 0.4)
    assert fine.normals is not None
    np.testing.assert_allclose(np.linalg.norm(fine.normals, axis=1), 1)


def test_what_cannot_be_refined_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = cloud_of("box")
    with pytest.raises(DataError, match="no faces: only a mesh can be refined"):
        refine(PointCloud(cloud.points), np.zeros(3), 1.0, 0.1)
    for radius, edge in [(-1.0, 0.1), (1.0, 0.0), (math.nan, 0.1), (1.0, math.inf)]:
        with pytest.raises(ParameterError, match="radius, edge"):
            refine(cloud, np.zeros(3), radius, edge)
    with pytest.raises(DataError, match="edges over 1e-06 after 12 halvings"):
        refine(cloud, cloud.points[0], 1e-9, 1e-6)
    monkeypatch.setattr(_refine, "MOST_POINTS", 1000)
    with pytest.raises(DataError, match=r"over 1000 points for edges of 0\.01"):
        refine(cloud, cloud.points[0], 3.0, 0.01)


def test_samples_lie_on_the_faces_with_their_normals() -> None:
    cloud = cloud_of("box", np.float32)
    taken = sample(cloud, 2000, Rng(1))
    assert taken.points.shape == (2000, 3)
    assert taken.points.dtype == np.float32
    assert taken.faces is None
    assert taken.normals is not None
    half = np.array([0.5, 1.0, 0.25])
    axis = np.abs(taken.normals).argmax(axis=1)
    rows = np.arange(2000)
    # On the face that the normal names, on its outside, and within the box.
    np.testing.assert_allclose(taken.points[rows, axis], half[axis] * taken.normals[rows, axis], atol=1e-6)
    assert (np.abs(taken.points) <= half + 1e-6).all()
    np.testing.assert_allclose(np.linalg.norm(taken.normals, axis=1), 1, atol=1e-6)


def test_samples_are_even_over_the_area() -> None:
    # One triangle of 9/10 of the area, one of 1/10, and a flat one that must never be hit.
    points = np.array([[0.0, 0, 0], [9, 0, 0], [0, 2, 0], [0, 0, 5], [1, 0, 5], [0, 2, 5]])
    cloud = PointCloud(points, faces=np.array([[1, 1, 2], [0, 1, 2], [3, 4, 5], [3, 3, 3]]), unit="cm")
    taken = sample(cloud, 20000, Rng(2))
    assert taken.unit == "cm"
    low = taken.points[:, 2] == 0
    assert low.mean() == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / 20000))
    # Uniform over a triangle: its centroid, and a quarter of the points in each of the four triangles of its midlines.
    np.testing.assert_allclose(taken.points[low].mean(axis=0), [3, 2 / 3, 0], atol=0.06)
    s = np.column_stack([taken.points[low, 0] / 9, taken.points[low, 1] / 2])
    quarters = [(s[:, 0] > 0.5).mean(), (s[:, 1] > 0.5).mean(), (s.sum(axis=1) < 0.5).mean()]
    np.testing.assert_allclose(quarters, 0.25, atol=0.015)
    np.testing.assert_array_equal(taken.points, sample(cloud, 20000, Rng(2)).points)


def test_what_cannot_be_sampled_is_said() -> None:
    points = np.zeros((3, 3))
    with pytest.raises(DataError, match="no faces: only a mesh can be sampled"):
        sample(PointCloud(points), 10, Rng(1))
    with pytest.raises(DataError, match="1 faces of total area 0: there is nothing to sample"):
        sample(PointCloud(points, faces=np.array([[0, 1, 2]])), 10, Rng(1))
    with pytest.raises(ParameterError, match="count: 0"):
        sample(cloud_of("box"), 0, Rng(1))
