"""Text files of points: what is in them is understood and written back as it was."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from io_kit import assert_same, floats, joined

from anosynth.errors import DataError
from anosynth.io.text import parse_text, text_chunks
from anosynth.pointclouds._cloud import PointCloud

KEPT = [
    b"1.5 2.0 3.0\n4.0 5.0 6.25\n",
    b"1.5 2 3\n4 5 6.25\n",
    b"1 2 3\n4 5 6\n",
    b"1 2 3\n4 5 6",
    b"1.5,2.0,3.0,0\r\n4.0,5.0,6.0,1\r\n",
    b"1.5, 2, 3\n4, 5, 6\n",
    b"1.5; 2; 3; -7\n4; 5; 6; 8\n",
    b"1.5\t2\t3\n4\t5\t6\n",
    b"x,y,z,label\n1.5,2,3,0\n4,5,6,1\n",
    b"\xef\xbb\xbfx;y;z\n1.5;2;3\n",
    b"\xef\xbb\xbf1.5 2 3\n",
    b"# made by hand\n\n// twice\n1.5 2 3\n# between\n4 5 6\n7 8 9\n//after\n",
    b"//X Y Z R G B Nx Ny Nz\n1.5 2 3 10 20 30 0 0 1\n4 5 6 40 50 60 0 1 0\n",
    b"id x y z\n9007199254740993 1.5 2 3\n-5 4 5 6\n",
    b"1e-07 -0 0.1\nnan inf -inf\n",
    b"x y z i\n1.0 2.0 3.0 4.0\n",
    b"1 2 3 0.5 7\n4 5 6 1e-09 8\n# end",
]


def write(cloud, suffix=".txt"):
    return joined(text_chunks(cloud, suffix))


@pytest.mark.parametrize("data", KEPT)
def test_files_are_written_back_to_the_byte(data):
    assert write(parse_text(data)) == data


@pytest.mark.parametrize("data", [data for data in KEPT if data.count(b"\n") > 1])
def test_a_moved_point_changes_its_own_line_only(data):
    cloud = parse_text(data)
    after = write(cloud.moved(np.array([0]), np.array([[0.125, -0.5, 17.75]]))).splitlines()
    before = data.splitlines()
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert len(changed) == 1
    assert b"0.125" in after[changed[0]]


def test_columns_by_place():
    cloud = parse_text(b"1 2 3 0.5 7\n4 5 6 1 8\n")
    assert cloud.points.dtype == np.float64
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.attributes["c4"].tolist() == [0.5, 1]
    assert cloud.attributes["c4"].dtype == np.float64
    assert cloud.attributes["c5"].dtype == np.int64


@pytest.mark.parametrize(
    "head", [b"Id, Z ,Nx,Ny,Nz,X,Y,My Col", b'"Id","Z","Nx","Ny","Nz","X","Y","My Col"', b"# id,z,nx,ny,nz,x,y,My Col"]
)
def test_columns_by_name(head):
    data = head + b"\n7,3,0.5,0,1,1,2,9.5\n8,6,0,1,0,4,5,10.5\n"
    cloud = parse_text(data)
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.normals.tolist() == [[0.5, 0, 1], [0, 1, 0]]
    assert [name.lower() for name in cloud.attributes] == ["id", "my_col"]
    assert write(cloud) == data


@pytest.mark.parametrize("head", [b"a b c d", b"x y z", b"x y z z", b"x y z w v", b"# x y z"])
def test_names_that_do_not_fit_are_not_used(head):
    data = head + b"\n1.5 2 3 4\n"
    cloud = parse_text(data)
    assert list(cloud.attributes) == ["c4"]
    assert write(cloud) == data


@given(
    points=hnp.array_shapes(min_dims=1, max_dims=1, max_side=6).flatmap(
        lambda shape: floats("f8", (*shape, 3), nan_payload=False)
    ),
    delimiter=st.sampled_from([" ", "\t", ",", "; "]),
    more=st.data(),
)
def test_any_numbers_there_and_back(points, delimiter, more):
    rows = len(points)
    real = more.draw(floats("f8", rows, nan_payload=False))
    whole = more.draw(hnp.arrays("i8", rows))
    rows = zip(points.tolist(), real.tolist(), whole.tolist(), strict=True)
    lines = [delimiter.join(map(repr, [*p, r, w])) for p, r, w in rows]
    cloud = parse_text("\n".join(lines).encode())
    assert_same(cloud, PointCloud(points, attributes={"c4": real, "c5": whole}))
    again = parse_text(write(cloud))
    assert_same(again, cloud)
    assert write(again) == write(cloud)


@given(points=floats("f4", (4, 3), nan_payload=False))
def test_singles_come_back_as_the_same_singles(points):
    with np.errstate(over="ignore"):
        assert parse_text(write(PointCloud(points))).points.astype(np.float32).tobytes() == points.tobytes()


def test_whole_floats_stay_floats():
    # Without their points they would come back as integers.
    cloud = parse_text(b"0.5 2 3 1e3\n0.25 2 3 2e3\n")
    assert cloud.document.trim
    assert_same(parse_text(write(cloud)), cloud)


def test_only_known_columns_are_written():
    cloud = parse_text(b"1.5 2 3 4\n")
    label = np.ones(1, np.uint8)
    assert write(replace(cloud, attributes={**cloud.attributes, "label": label})) == b"1.5 2 3 4\n"
    assert write(PointCloud(np.ones((1, 3)), attributes={"label": label})) == b"1.0 1.0 1.0\n"


def test_csv_has_commas_and_names():
    assert write(PointCloud(np.array([[1.5, 2, 3]])), ".csv") == b"x,y,z\n1.5,2.0,3.0\n"
    assert write(parse_text(b"1.5 2 3 4\n"), ".csv") == b"x,y,z,c4\n1.5,2,3,4\n"
    assert write(parse_text(b"1.5;2;3;4\n"), ".csv") == b"1.5;2;3;4\n"


def test_fewer_rows_keep_their_comments():
    cloud = parse_text(b"# one\n1.5 2 3\n4 5 6\n# two\n7 8 9\n")
    assert write(cloud.taken(np.array([2]), None)) == b"# one\n# two\n7 8 9\n"


def test_unit():
    assert parse_text(b"# unit: mm\n1.5 2 3\n").unit == "mm"
    assert parse_text(b"1.5 2 3\n").unit is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1 2 3\n4 5\n", "row 2: 2 fields: expected 3"),
        (b"1,2,3\n4,,6\n", "row 2: an empty field"),
        (b"x,y,z,a\n1,2,,3\n4,5,,6\n", "row 1: an empty field"),
        (b"1, 2, , 3\n", "row 1: an empty field"),
        (b",1,2,3\n,4,5,6\n", "row 1: an empty field"),
        (b"1;2;3\n;5;6\n", "row 2: an empty field"),
        (b"1 2 3\n4 5 x\n", "row 2: `x`: expected a number"),
        (b"1 2\n3 4\n", "first row is `1 2`: expected at least three columns"),
        (b"3\n1 2 3\n4 5 6\n", "first row is `3`: expected at least three columns"),
        (b"a b c\nd e f\n1 2 3\n", "no row of numbers"),
        (b"# nothing\n", "no row of numbers"),
        (b"id,x,y,z\n1,2,3\n", "`id,x,y,z`: expected the names of 3 columns"),
        (b"id,id,x,y,z\n1,1,2,3,4\n", "expected the names of 5 columns, each once"),
        (b"id x y z\n1 2 3 4 5\n", "expected the names of 5 columns"),
        (b"1,5;2,5;3,5\n", "`1,5;2,5;3,5`: expected one kind of delimiter\nhint: .* 1.5 rather than 1,5"),
        (b"1,5 2,5 3,5\n", "expected one kind of delimiter"),
        (b"1,5\t2,5\t3,5\n", "expected one kind of delimiter"),
        (b"1 2 3\n\0\0\0", "a zero byte"),
    ],
)
def test_bad_files_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        parse_text(data)


@given(data=st.binary(max_size=40) | st.text("0123456789.,; \t\n#/xyze+-", max_size=60).map(str.encode))
def test_any_bytes_are_refused_or_read(data):
    with suppress(DataError):
        parse_text(data)


def test_a_comma_at_the_end_of_all_lines_is_no_column():
    cloud = parse_text(b"id,x,y,z,\n7,1.5,2.5,3.5,\n")
    assert cloud.points.tolist() == [[1.5, 2.5, 3.5]]
    assert cloud.attributes["id"].tolist() == [7]


def test_a_column_without_a_name_is_not_a_coordinate():
    cloud = parse_text(b",x,y,z\n0,1.0,2.0,3.0\n1,4.0,5.0,6.0\n")
    assert cloud.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert cloud.attributes["c1"].tolist() == [0, 1]
    assert b"".join(text_chunks(cloud, ".csv")) == b",x,y,z\n0,1.0,2.0,3.0\n1,4.0,5.0,6.0\n"
