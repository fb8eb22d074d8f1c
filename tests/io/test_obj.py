"""OBJ: points in order, everything else kept as it was."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_same, drawn_clouds, joined

from anosynth.errors import DataError
from anosynth.io.obj import obj_chunks, parse_obj
from anosynth.pointclouds._cloud import PointCloud

PLAIN = b"v 0.5 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 2 3\nf 1 3 4\n"
WITH_NORMALS = b"v 0.5 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nvn 0 1 0\nvn 1 0 0\nf 1//1 2//2 3//3\n"
TEXTURED = b"""# made by hand, unit: cm
mtllib part.mtl
o part
v 0.5 0.0 0.0
v 1.0 0.0 0.0
v 1.0 1.0 0.0
v 0.0 1.0 0.0
vt 0 0
vt 1 0
vt 1 1
vn 0 0 1
g side
usemtl steel
s off
f 1/1/1 2/2/1 3/3/1
f 1/1/1 3/3/1 4/2/1
"""
SEVERAL = b"""o one
v 0 0 0
v 1 0 0
v 0 1 0
f -3 -2 -1
o two
v 0 0 1.5
v 1 0 1
v 1 1 1
v 0 1 1
f -4 -3 -2 -1
l 1 2
"""
KEPT = [
    PLAIN,
    WITH_NORMALS,
    TEXTURED,
    SEVERAL,
    PLAIN.replace(b"\n", b"\r\n"),
    b"v 1.5 2 3\nv 4 5 6\n",
    b"v 1.5 2 3\nvn 0 0 1\nv 4 5 6\nvn 0 1 0\n",
    b"v 1.5 2 3 0.5 0.25 1\nv 4 5 6 1 1 1\nv 4 5 7 1 1 1\nf 1 2 3\n",
    b"v 1.5 2 3 1\nv 4 5 6 1\n",
    b"v 0 0 0.5\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1 2 3 4\nf 1 2 3\n",
    b"f 1 2 3\nv 0 0 0.5\nv 1 0 0\nv 1 1 0\n",
    b"v 0 0 0.5\nv 1 0 0\nv 1 1 0\nvn 0 0 1\nvn 0 1 0\nf 1//2 2//1 3//2\n",
    b"v 0 0 0.5\nv 1 0 0\nv 1 1 0\nvn 0 0 1\nvn 0 1 0\nf 1//2 2//1 3//2\nf 1//1 2//1 3//2\n",
]


def write(cloud):
    return joined(obj_chunks(cloud))


@pytest.mark.parametrize("data", KEPT)
def test_files_are_written_back_to_the_byte(data):
    assert write(parse_obj(data)) == data


@pytest.mark.parametrize("data", KEPT)
def test_a_moved_point_changes_its_own_line_only(data):
    cloud = parse_obj(data)
    after = write(cloud.moved(np.array([0]), np.array([[0.125, -0.5, 17.75]]))).splitlines()
    changed = [b for a, b in zip(data.splitlines(), after, strict=True) if a != b]
    assert len(changed) == 1
    assert changed[0].startswith(b"v 0.125 -0.5 17.75")


def test_meshes_are_understood():
    cloud = parse_obj(WITH_NORMALS)
    assert cloud.points.dtype == np.float64
    assert cloud.points.tolist() == [[0.5, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert cloud.normals.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert cloud.faces.tolist() == [[0, 1, 2]]
    assert cloud.document.note == ""
    several = parse_obj(SEVERAL)
    assert several.faces.tolist() == [[0, 1, 2], [3, 4, 5], [3, 5, 6]]
    assert parse_obj(KEPT[7]).attributes["g"].tolist() == [0.25, 1, 1]
    assert parse_obj(KEPT[11]).normals.tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0]]
    assert parse_obj(KEPT[12]).normals is None


def test_normals_of_some_corners_are_not_used():
    data = b"v 0 0 0.5\nv 1 0 0\nv 1 1 0\nvn 0 0 1\nvn 0 1 0\nvn 1 0 0\nf 1//1 2//2 3//3\nf 1/1 2/2 3/3\n"
    cloud = parse_obj(data)
    assert cloud.normals is None
    assert cloud.faces.tolist() == [[0, 1, 2]] * 2
    assert write(cloud) == data


def test_notes_say_what_may_be_lost():
    cloud = parse_obj(TEXTURED)
    assert cloud.unit == "cm"
    assert cloud.document.note == (
        "g, mtllib, o, s, usemtl, vt: kept only while no point or face is removed; files named by mtllib are not copied"
    )
    assert "several normals for a point" in parse_obj(KEPT[12]).document.note


def test_removed_points_leave_a_plain_mesh():
    cloud = parse_obj(TEXTURED)
    # All points of this flat part have the same normal, so it is that of each.
    assert cloud.normals.tolist() == [[0, 0, 1]] * 4
    fewer = cloud.taken(np.array([0, 1, 2]), np.array([[0, 1, 2]]))
    data = write(fewer)
    points = b"v 0.5 0.0 0.0\nv 1.0 0.0 0.0\nv 1.0 1.0 0.0\n"
    assert data == points + b"vn 0.0 0.0 1.0\n" * 3 + b"f 1//1 2//2 3//3\n"
    assert_same(parse_obj(data), fewer)


def test_new_normals_are_written():
    for data in (TEXTURED, WITH_NORMALS, KEPT[11]):
        cloud = parse_obj(data)
        turned = replace(cloud, normals=cloud.normals * np.arange(1.0, len(cloud) + 1)[:, None])
        assert_same(parse_obj(write(turned)), turned)


@given(cloud=drawn_clouds(["u1"], nan_payload=False))
def test_any_cloud_there_and_back(cloud):
    wide = replace(
        cloud,
        points=cloud.points.astype(np.float64),
        normals=None if cloud.normals is None else cloud.normals.astype(np.float64),
        attributes={},
    )
    again = parse_obj(write(wide))
    assert_same(again, wide)
    assert write(again) == write(wide)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"v 1 2\n", "v line of 2 numbers: expected three"),
        (b"v 1 2 3\nv 1 2\n", "v line 2: 2 fields: expected 3"),
        (b"v 1 2 x\n", "`x`: expected a number"),
        (b"v 1 2 3\nf 1 1 2\n", "faces: vertex 2: expected an index from 1 to 1"),
        (b"v 1 2 3\nf 1 1 0\n", "faces: vertex 0"),
        (b"v 1 2 3\nf 1 1 -2\n", "faces: vertex 0"),
        (b"v 1 2 3\nf 1 1 a\n", "`f 1 1 a`: expected corners like"),
        (b"v 1 2 3\nf 1 1.5 1\n", "expected"),
        (b"v 1 2 3\nvn 0 0 1\nf 1//1 1//1 1//2\n", "a face with normal 2: expected 1 to 1"),
        (b"vn 0 0 1\n", "no points"),
        (b"# nothing\n", "no points"),
    ],
)
def test_bad_files_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        parse_obj(data)


@given(
    data=st.lists(
        st.sampled_from(
            ["v 1 2 3", "v 0 0 1", "f 1 2 3", "f 1/1 2/2 1/1", "f -1 -2 -1", "vn 0 0 1", "f 1//1 2//1 1//1"]
        )
        | st.text("vnft 123/-.#\\\n", max_size=12),
        max_size=8,
    )
)
def test_any_text_is_refused_or_read(data):
    with suppress(DataError):
        cloud = parse_obj("\n".join(data).encode())
        assert_same(parse_obj(write(cloud)), cloud)


# trimesh takes negative indices from the end of the whole file, so SEVERAL is none of its cases.
@pytest.mark.parametrize("data", [PLAIN, WITH_NORMALS])
def test_trimesh_reads_the_same(data):
    trimesh = pytest.importorskip("trimesh")
    cloud = parse_obj(data)
    theirs = trimesh.load(io.BytesIO(write(cloud)), file_type="obj", process=False, maintain_order=True)
    assert np.array_equal(theirs.triangles, cloud.points[cloud.faces])


def test_a_new_file_for_trimesh():
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.icosphere(1)
    cloud = PointCloud(np.asarray(mesh.vertices), np.asarray(mesh.vertex_normals), mesh.faces.astype(np.int64))
    theirs = trimesh.load(io.BytesIO(write(cloud)), file_type="obj", process=False, maintain_order=True)
    assert np.array_equal(theirs.vertices, cloud.points)
    assert np.array_equal(theirs.faces, cloud.faces)
