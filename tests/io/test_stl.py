"""STL: one mesh out of a soup, and the same soup again."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from io_kit import assert_every_cut_is_refused, assert_same, floats, joined

from anosynth.errors import DataError, WriteError
from anosynth.io.stl import merged, parse_stl, stl_chunks
from anosynth.pointclouds._cloud import PointCloud

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
TETRA = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])

TEXT = b"""solid one part
  facet normal 0.0 0.0 1.0
    outer loop
      vertex 0.0 0.0 0.0
      vertex 1.5 0.0 0.0
      vertex 0.0 1e-05 0.0
    endloop
  endfacet
endsolid one part
solid
  facet normal 0.0 0.0 0.0
    outer loop
      vertex 0.0 0.0 0.0
      vertex 1.5 0.0 0.0
      vertex 0.1 0.2 0.3
    endloop
  endfacet
endsolid
"""


def binary(soup, normals=None, extra=None, header=b"by hand"):
    """A binary STL of a (F, 9) soup, written by struct alone."""
    out = header.ljust(80) + struct.pack("<I", len(soup))
    for i, row in enumerate(soup):
        normal = normals[i] if normals is not None else (0, 0, 0)
        out += np.asarray(normal, "<f4").tobytes() + np.asarray(row, "<f4").tobytes()
        out += struct.pack("<H", 0 if extra is None else extra[i])
    return out


def tetra():
    return binary(CORNERS[TETRA].reshape(-1, 9), np.ones((4, 3)), [1, 2, 3, 4])


SIGNED = np.where(CORNERS[TETRA] == 0, np.float32(-0.0), CORNERS[TETRA]).reshape(-1, 9)
SIGNED[::2] = CORNERS[TETRA].reshape(-1, 9)[::2]
SOLID = binary(np.zeros((1, 9)), header=b"solid")


@pytest.mark.parametrize("data", [tetra(), binary(SIGNED), TEXT, TEXT.replace(b"\n", b"\r\n"), SOLID])
def test_files_are_written_back_to_the_byte(data):
    assert joined(stl_chunks(parse_stl(data))) == data


@given(
    soup=hnp.array_shapes(min_dims=1, max_dims=1, max_side=6).flatmap(lambda s: floats("f4", (*s, 9))),
    data=st.data(),
)
def test_any_bits_are_written_back(soup, data):
    normals = data.draw(floats("f4", (len(soup), 3)))
    extra = data.draw(hnp.arrays("u2", len(soup)))
    whole = binary(soup, normals, extra)
    assert joined(stl_chunks(parse_stl(whole))) == whole
    assert_every_cut_is_refused(parse_stl, whole, DataError)


@given(
    values=hnp.arrays(
        "f4", st.tuples(st.integers(1, 8), st.just(9)), elements=st.sampled_from([0.0, -0.0, 1.0, np.nan])
    )
)
def test_shared_corners_are_merged_in_order_of_appearance(values):
    points, faces = merged(values)
    seen = dict[tuple, int]()
    corners = [tuple("nan" if v != v else v for v in corner) for corner in values.reshape(-1, 3).tolist()]
    expected = [seen.setdefault(corner, len(seen)) for corner in corners]
    assert faces.reshape(-1).tolist() == expected
    assert np.array_equal(points[faces].reshape(-1, 9), values, equal_nan=True)
    assert np.array_equal(points, values.reshape(-1, 3)[np.unique(faces, return_index=True)[1]], equal_nan=True)


def test_signs_of_zero_do_not_tear_a_mesh():
    assert len(parse_stl(binary(SIGNED))) == 4


def test_a_mesh_is_understood():
    cloud = parse_stl(tetra())
    assert cloud.points.dtype == np.float32
    assert len(cloud) == 4
    assert cloud.points[cloud.faces].tolist() == CORNERS[TETRA].tolist()
    text = parse_stl(TEXT)
    assert text.points.tolist() == np.array([[0, 0, 0], [1.5, 0, 0], [0, 1e-5, 0], [0.1, 0.2, 0.3]], "f4").tolist()
    assert text.faces.tolist() == [[0, 1, 2], [0, 1, 3]]


def test_moved_corners_get_new_normals_and_others_keep_theirs():
    cloud = parse_stl(tetra())
    tip = int(cloud.faces[1, 2])
    data = joined(stl_chunks(cloud.moved(np.array([tip]), np.array([[0.0, 0, -2]]))))
    table = np.frombuffer(data, [("n", "<f4", 3), ("c", "<f4", 9), ("e", "<u2")], offset=84)
    assert table["n"][0].tolist() == [1, 1, 1]
    assert table["n"][1].tolist() == [0, 1, 0]
    assert table["e"].tolist() == [1, 2, 3, 4]
    assert data[:80] == tetra()[:80]


def test_changed_faces_are_written():
    for data in (tetra(), TEXT):
        cloud = parse_stl(data)
        again = parse_stl(joined(stl_chunks(replace(cloud, faces=cloud.faces[:1]))))
        assert again.points[again.faces].tolist() == cloud.points[cloud.faces[:1]].tolist()
        assert bool(again.document.header) == bool(cloud.document.header)


def test_new_files_are_binary_and_have_normals():
    data = joined(stl_chunks(PointCloud(CORNERS.astype(np.float64), faces=TETRA)))
    table = np.frombuffer(data, [("n", "<f4", 3), ("c", "<f4", 9), ("e", "<u2")], offset=84)
    assert table["n"][[0, 1, 3]].tolist() == [[0, 0, -1], [0, -1, 0], [-1, 0, 0]]
    assert np.allclose(table["n"][2], 3**-0.5)
    assert not data.startswith(b"solid")


def test_facets_without_an_area_have_no_normal():
    data = joined(stl_chunks(PointCloud(np.full((3, 3), np.inf), faces=np.array([[0, 1, 2], [0, 0, 0]]))))
    assert np.frombuffer(data, "<f4", 3, 84).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tetra()[:-1], "283 bytes: expected 284 for 4 facets"),
        (tetra() + b"\0", "285 bytes: expected 284 for 4 facets"),
        (bytes(84), "no facets"),
        (b"solid x\nendsolid x\n", "no facets"),
        (TEXT[:-10], "is the file cut off"),
        (TEXT.replace(b"endloop", b"", 1), "expected a facet"),
        (TEXT.replace(b"1.5", b"one", 1), "one.*: expected numbers"),
        (TEXT + b"more", "`more`: expected `solid`"),
    ],
)
def test_bad_files_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        parse_stl(data)


def test_every_cut_of_a_text_is_refused():
    # Behind the last `endsolid` there is only a name to lose; the first solid alone is a whole file too.
    second = TEXT.index(b"solid\n  facet")
    for start, stop in ((0, TEXT.index(b"endsolid") + 8), (second, TEXT.rindex(b"endsolid") + 8)):
        assert_every_cut_is_refused(parse_stl, TEXT[start:stop], DataError, step=1)


def test_a_cloud_without_faces_is_refused():
    with pytest.raises(WriteError, match=r"expected a mesh\nhint: write"):
        joined(stl_chunks(PointCloud(CORNERS)))


def test_trimesh_reads_the_same():
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.icosphere(2)
    cloud = PointCloud(mesh.vertices.astype(np.float32), faces=mesh.faces.astype(np.int64))
    data = joined(stl_chunks(cloud))
    theirs = trimesh.load(io.BytesIO(data), file_type="stl", process=False)
    assert np.array_equal(theirs.triangles, cloud.points[cloud.faces])
    assert np.allclose(theirs.face_normals, mesh.face_normals, atol=1e-6)
    text = parse_stl(trimesh.exchange.stl.export_stl_ascii(mesh).encode())
    assert np.allclose(text.points[text.faces], cloud.points[cloud.faces], atol=1e-6)
    assert_same(parse_stl(trimesh.exchange.stl.export_stl(mesh)), parse_stl(data))


def test_what_follows_the_facets_is_no_sign_of_a_cut():
    with pytest.raises(DataError, match=r"STL: \d+ bytes: expected \d+ for 1 facets$"):
        parse_stl(bytes(80) + b"\1\0\0\0" + bytes(52))
