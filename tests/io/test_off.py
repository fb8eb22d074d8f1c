"""OFF meshes."""

from __future__ import annotations

import io
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_every_cut_is_refused, assert_same, drawn_clouds, joined

from anosynth.errors import DataError
from anosynth.io.off import off_chunks, parse_off

PLAIN = b"OFF\n4 2 0\n0.5 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 2 3\n"
KEPT = [
    PLAIN,
    PLAIN.replace(b"\n", b"\r\n"),
    b"OFF\n2 0 0\n1.5 2 3\n4 5 6\n",
    b"OFF\n4 2 0\n0.5 0 0\n1 0 0\n0 1 0\n0 0 1\n4 0 1 2 3\n3 0 2 3\n",
    b"OFF\n4 2 0\n0.5 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2 255 0 0\n3 0 2 3 0 0 255\n",
    b"COFF\n3 1 0\n0.5 0 0 255 0 0 255\n1 0 0 0 1 2 3\n0 1 0 0 0 0 255\n3 0 1 2\n",
    b"NOFF\n3 1 0\n0.5 0 0 0 0 1\n1 0 0 0 1 0\n0 1 0 1 0 0\n3 0 1 2\n",
    b"CNOFF\n3 1 0\n0.5 0 0 0 0 1 7\n1 0 0 0 1 0 8\n0 1 0 1 0 0 9\n3 0 1 2\n",
    b"OFF\n# units: mm\n3 1 0\n0.5 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
]


def write(cloud):
    return joined(off_chunks(cloud))


@pytest.mark.parametrize("data", KEPT)
def test_files_are_written_back_to_the_byte(data):
    assert write(parse_off(data)) == data


@pytest.mark.parametrize("data", KEPT)
def test_a_moved_point_changes_its_own_line_only(data):
    cloud = parse_off(data)
    after = write(cloud.moved(np.array([0]), np.array([[0.125, -0.5, 17.75]]))).splitlines()
    changed = [b for a, b in zip(data.splitlines(), after, strict=True) if a != b]
    assert len(changed) == 1
    assert changed[0].startswith(b"0.125 -0.5 17.75")


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.replace(b"OFF\n", b"OFF"),
        PLAIN.replace(b"OFF\n", b"OFF "),
        PLAIN.replace(b"2 0\n", b"2\n", 1),
        PLAIN.replace(b"OFF\n", b"OFF # part\n# one\n\n"),
        PLAIN.replace(b"0 0 1\n", b"0 0 1 # last\n\n# faces\n"),
        PLAIN[:-1],
        PLAIN.replace(b" ", b"  "),
    ],
)
def test_spellings_of_the_same_mesh(data):
    cloud = parse_off(data)
    assert cloud.points.tolist() == [[0.5, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert cloud.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert_same(parse_off(write(cloud)), cloud)


def test_further_columns_are_understood():
    assert parse_off(KEPT[3]).faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 2, 3]]
    assert parse_off(KEPT[5]).attributes["c5"].tolist() == [0, 1, 0]
    assert parse_off(KEPT[6]).normals.tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert parse_off(KEPT[7]).attributes["c7"].tolist() == [7, 8, 9]
    assert parse_off(KEPT[8]).unit == "mm"


def test_changed_faces_are_written_as_triangles():
    for data in KEPT[3:5]:
        cloud = parse_off(data)
        fewer = replace(cloud, faces=cloud.faces[:1])
        assert_same(parse_off(write(fewer)), fewer)
        assert parse_off(write(replace(cloud, faces=None))).faces is None


@given(cloud=drawn_clouds(["u1"], nan_payload=False))
def test_any_cloud_there_and_back(cloud):
    wide = replace(
        cloud,
        points=cloud.points.astype(np.float64),
        normals=None if cloud.normals is None else cloud.normals.astype(np.float64),
        attributes={},
    )
    again = parse_off(write(wide))
    assert_same(again, wide)
    assert write(again) == write(wide)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (PLAIN.replace(b"4 2", b"5 2"), "vertex|vertices|faces"),
        (PLAIN.replace(b"4 2", b"3 2"), "face|more lines"),
        (PLAIN.replace(b"4 2", b"4 3"), "faces: 2 lines: expected 3"),
        (PLAIN.replace(b"4 2", b"4 1"), "1 more lines than the header says"),
        (PLAIN.replace(b"4 2", b"0 0"), "no points"),
        (PLAIN.replace(b"4 2 0", b"many"), "expected the numbers of vertices"),
        (PLAIN.replace(b"3 0 2 3", b"3 0 2 4"), "faces: vertex 4"),
        (PLAIN.replace(b"3 0 2 3", b"3 0 2"), "face 2: `3 0 2`"),
        (PLAIN.replace(b"3 0 2 3", b"-3 0 2 3"), "face 2: `-3 0 2 3`"),
        (PLAIN.replace(b"OFF", b"4OFF"), "begins with OFF, NOFF"),
        (PLAIN.replace(b"OFF", b"OFF BINARY"), "expected an ascii file"),
        (PLAIN.replace(b"OFF", b"NOFF"), "expected 4 of 6 or more"),
    ],
)
def test_bad_files_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        parse_off(data)


def test_every_cut_is_refused():
    assert_every_cut_is_refused(parse_off, PLAIN[:-2], DataError, step=1)


@given(junk=st.binary(max_size=20), at=st.integers(0, 60))
def test_damage_is_refused_or_read_but_never_crashes(junk, at):
    with suppress(DataError):
        parse_off(PLAIN[:at] + junk + PLAIN[at + len(junk) :])


@pytest.mark.parametrize("data", [KEPT[0], KEPT[3]])
def test_trimesh_reads_the_same(data):
    trimesh = pytest.importorskip("trimesh")
    cloud = parse_off(data)
    theirs = trimesh.load(io.BytesIO(write(cloud)), file_type="off", process=False)
    assert np.array_equal(theirs.vertices, cloud.points)
    assert sorted(map(sorted, theirs.faces.tolist())) == sorted(map(sorted, cloud.faces.tolist()))
