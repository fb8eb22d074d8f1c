"""PCD files survive reading and writing in all three encodings, and files that lie are refused."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_every_cut_is_refused, assert_same, drawn_clouds, joined

from anosynth.errors import DataError
from anosynth.io._lzf import compress
from anosynth.io.pcd import PcdDocument, parse_pcd, pcd_chunks
from anosynth.pointclouds._cloud import PointCloud

DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]
ENCODINGS = ["ascii", "binary", "binary_compressed"]

HEADER = """# .PCD v.7 - by hand
VERSION .7
FIELDS  x y z _ rgb normal_x normal_y normal_z stamp _ hist
SIZE 4 4 4 1 4 4 4 4 8 2 2
TYPE F F F U F F F F U I I
COUNT 1 1 1 4 1 1 1 1 1 1 3
# unit: mm
WIDTH 3
HEIGHT 2
VIEWPOINT 0.5 -1 2 0 1 0 0
POINTS 6
DATA {}
"""
POINT = "<3f4B4fQh3h"
ROWS = [(i, -i, i / 4, 1, 2, 3, i, i / 2, 0, 0, 1, 2**60 + i, -9, i, i + 1, i + 2) for i in range(6)]


def rich(encoding):
    """HEADER and ROWS, written by struct or str alone."""
    head = HEADER.format(encoding).encode()
    if encoding == "ascii":
        return (
            head
            + "".join(
                " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in row) + "\n" for row in ROWS
            ).encode()
        )
    if encoding == "binary":
        return head + b"".join(struct.pack(POINT, *row) for row in ROWS)
    fields, at = b"", 0
    for code, count in zip("fffBffffQhh", [1, 1, 1, 4, 1, 1, 1, 1, 1, 1, 3], strict=True):
        fields += b"".join(struct.pack(f"<{count}{code}", *row[at : at + count]) for row in ROWS)
        at += count
    packed = compress(fields)
    return head + struct.pack("<II", len(packed), len(fields)) + packed


def with_encoding(cloud, encoding):
    lines = (*PcdDocument().lines[:-1], f"DATA {encoding}".encode())
    return replace(cloud, document=PcdDocument(lines))


@pytest.mark.parametrize("encoding", ENCODINGS)
class TestOneRichFile:
    def test_is_understood(self, encoding):
        cloud = parse_pcd(rich(encoding))
        assert cloud.points.dtype == np.float32
        assert cloud.points.tolist() == [[i, -i, i / 4] for i in range(6)]
        assert cloud.normals.tolist() == [[0, 0, 1]] * 6
        assert [(name, v.dtype.str, v.shape) for name, v in cloud.attributes.items()] == [
            ("rgb", "<f4", (6,)),
            ("stamp", "<u8", (6,)),
            ("hist", "<i2", (6, 3)),
        ]
        assert cloud.attributes["stamp"].tolist() == [2**60 + i for i in range(6)]
        assert cloud.attributes["hist"][2].tolist() == [2, 3, 4]
        assert cloud.grid == (2, 3)
        assert cloud.viewpoint.tolist() == [0.5, -1, 2]
        assert cloud.unit == "mm"

    def test_is_written_back_to_the_byte(self, encoding):
        data = rich(encoding)
        assert joined(pcd_chunks(parse_pcd(data))) == data

    def test_new_fields_follow_the_old_ones(self, encoding):
        cloud = parse_pcd(rich(encoding))
        label = np.arange(6, dtype=np.uint8)
        more = replace(cloud, attributes={**cloud.attributes, "label": label, "height": label.astype(np.float32)})
        data = joined(pcd_chunks(more))
        assert b"FIELDS x y z _ rgb normal_x normal_y normal_z stamp _ hist label height\n" in data
        assert b"\nCOUNT 1 1 1 4 1 1 1 1 1 1 3 1 1\n# unit: mm\n" in data
        again = parse_pcd(data)
        assert_same(again, more)
        for before, after in zip(cloud.document.padding, again.document.padding, strict=True):
            assert np.array_equal(before, after)

    def test_a_field_of_the_file_is_replaced_in_its_place(self, encoding):
        cloud = parse_pcd(rich(encoding))
        new = replace(cloud, attributes={**cloud.attributes, "stamp": np.arange(6, dtype=np.uint8)})
        data = joined(pcd_chunks(new))
        assert b"\nSIZE 4 4 4 1 4 4 4 4 1 2 2\n" in data
        assert_same(parse_pcd(data), new)

    def test_fewer_points_have_no_grid(self, encoding):
        cloud = parse_pcd(rich(encoding)).taken(np.array([5, 1]), None)
        data = joined(pcd_chunks(cloud))
        assert b"\nWIDTH 2\nHEIGHT 1\n" in data
        assert b"\nPOINTS 2\n" in data
        assert_same(parse_pcd(data), cloud)

    def test_a_moved_sensor_keeps_its_attitude(self, encoding):
        cloud = replace(parse_pcd(rich(encoding)), viewpoint=np.array([1, 2.5, 0]))
        data = joined(pcd_chunks(cloud))
        assert b"\nVIEWPOINT 1 2.5 0 0 1 0 0\n" in data
        assert parse_pcd(data).viewpoint.tolist() == [1, 2.5, 0]

    def test_every_cut_is_refused(self, encoding):
        # The last number of an ascii file may lose digits unseen, so that is cut off to begin with.
        data = rich(encoding)
        assert_every_cut_is_refused(parse_pcd, data[:-2] if encoding == "ascii" else data, DataError, step=1)

    def test_surplus_is_refused(self, encoding):
        with pytest.raises(DataError, match=r"more|bytes of points: expected"):
            parse_pcd(rich(encoding) + b"1 2\n")


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(data=st.data())
def test_any_cloud_there_and_back(encoding, data):
    text = encoding == "ascii"
    cloud = with_encoding(data.draw(drawn_clouds(DTYPES, faces=False, nan_payload=not text, widths=(1, 3))), encoding)
    written = joined(pcd_chunks(cloud))
    again = parse_pcd(written)
    assert_same(again, cloud)
    assert joined(pcd_chunks(again)) == written
    if not text:
        assert_every_cut_is_refused(parse_pcd, written, DataError)


@given(junk=st.binary(max_size=60), at=st.integers(0, 400), encoding=st.sampled_from(ENCODINGS))
def test_damage_is_refused_or_read_but_never_crashes(junk, at, encoding):
    data = rich(encoding)
    for damaged in (data[:at] + junk + data[at:], data[:at] + junk + data[at + len(junk) :]):
        with suppress(DataError):
            parse_pcd(damaged)


def test_the_zeros_that_pcl_leaves_behind_are_no_surplus():
    data = rich("binary_compressed")
    assert_same(parse_pcd(data + bytes(3912)), parse_pcd(data))


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("trail", [b"", b" "])
def test_manners_of_ascii_files_are_kept(newline, trail):
    head = HEADER.format("ascii").replace("3\nHEIGHT 2", "1\nHEIGHT 6").encode()
    row = b"1 0.25 nan 0 0 128 63 5e-07 0 0 1 12 -9 1 2 3" + trail + b"\n"
    data = (head + row * 6).replace(b"\n", newline)
    assert joined(pcd_chunks(parse_pcd(data))) == data


@pytest.mark.parametrize(
    ("width", "height", "viewpoint", "grid", "sensor"),
    [
        (2, 3, "0 0 0 0 1 0 0", (3, 2), [0, 0, 0]),
        (6, 1, "0 0 0 1 0 0 0", None, None),
        (6, 1, "0 0 7 1 0 0 0", None, [0, 0, 7]),
        (1, 6, "0 0 0 1 0 0 0", None, None),
    ],
)
def test_grid_and_sensor(width, height, viewpoint, grid, sensor):
    head = HEADER.replace("WIDTH 3", f"WIDTH {width}").replace("HEIGHT 2", f"HEIGHT {height}")
    data = rich("binary").replace(
        HEADER.format("binary").encode(), head.replace("0.5 -1 2 0 1 0 0", viewpoint).format("binary").encode()
    )
    cloud = parse_pcd(data)
    assert cloud.grid == grid
    assert (None if cloud.viewpoint is None else cloud.viewpoint.tolist()) == sensor
    assert joined(pcd_chunks(cloud)) == data


def test_an_old_header_says_less():
    head = b"VERSION .5\nCOLUMNS x y z\nSIZE 8 8 8\nTYPE F F F\nWIDTH 1\nDATA ascii\n"
    cloud = parse_pcd(head + b"1 2 3\n")
    assert cloud.points.dtype == np.float64
    assert cloud.viewpoint is None
    assert joined(pcd_chunks(cloud)) == head + b"1 2 3\n"


def test_a_new_organised_file_tells_grid_sensor_and_unit():
    cloud = PointCloud(np.eye(6, 3), grid=(2, 3), viewpoint=np.array([0.0, 0, -4]), unit="cm")
    again = parse_pcd(joined(pcd_chunks(cloud)))
    assert_same(again, cloud)
    assert again.viewpoint.tolist() == [0, 0, -4]
    assert again.unit == "cm"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("POINTS 6", "POINTS 7", "POINTS 7: expected WIDTH x HEIGHT = 3 x 2"),
        ("WIDTH 3", "WIDTH 4", "POINTS 6: expected WIDTH x HEIGHT = 4 x 2"),
        ("WIDTH 3", "WIDTH -3", "WIDTH -3: expected a whole number"),
        ("WIDTH 3", "WIDTH " + "9" * 5000, "WIDTH 99"),
        ("WIDTH 3\nHEIGHT 2", "WIDTH 0\nHEIGHT 2", "expected WIDTH x HEIGHT"),
        ("WIDTH 3", "WIDTH 3\nWIDTH 3", "once"),
        ("SIZE 4", "SIZE 3", "field x: TYPE F SIZE 3"),
        ("TYPE F", "TYPE I", "field x: expected TYPE F"),
        ("TYPE F", "TYPE Q", "field x: TYPE Q"),
        ("TYPE F F", "TYPE F", "11 FIELDS, 11 SIZE, 10 TYPE, 11 COUNT"),
        ("COUNT 1 1 1 4", "COUNT 1 1 1 0", "field _: TYPE U SIZE 1 COUNT 0"),
        ("COUNT 1 1 1 4", "COUNT 1 1 1 99999999999999999999", "field _"),
        ("COUNT 1 1 1 4", "COUNT 1 1 1 5", "bytes|points: |fields"),
        ("FIELDS  x y z", "FIELDS  x y y", "expected each once"),
        ("FIELDS  x y z", "FIELDS  x y w", "field z: expected TYPE F"),
        ("VIEWPOINT 0.5", "VIEWPOINT half", "expected seven numbers"),
        ("VIEWPOINT 0.5", "VIEWPOINT", "expected seven numbers"),
        ("DATA ", "DATA raw_", "DATA raw_"),
        ("VERSION", "VERSIONS", "`VERSIONS .7`"),
        ("WIDTH 3\nHEIGHT 2", "WIDTH 1000000\nHEIGHT 1000000", "POINTS 6"),
        ("3\nHEIGHT 2\nVIEWPOINT 0.5 -1 2 0 1 0 0\nPOINTS 6", "1000000\nHEIGHT 1000000", "bytes|points: "),
        ("3\nHEIGHT 2\nVIEWPOINT 0.5 -1 2 0 1 0 0\nPOINTS 6", "0\nHEIGHT 2", "no points"),
    ],
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_headers_that_lie_are_refused(old, new, message, encoding):
    head = HEADER.format(encoding)
    assert old in head
    data = rich(encoding).replace(head.encode(), head.replace(old, new, 1).encode())
    with pytest.raises(DataError, match=message):
        parse_pcd(data)


@pytest.mark.parametrize(("place", "value"), [(0, 1), (4, 1), (0, 10**6), (4, 0)])
def test_compressed_sizes_that_lie_are_refused(place, value):
    data = bytearray(rich("binary_compressed"))
    place += data.index(b"DATA binary_compressed\n") + 23
    data[place : place + 4] = struct.pack("<I", value)
    with pytest.raises(DataError, match="bytes"):
        parse_pcd(bytes(data))


def test_bits_of_packed_colours_and_invalid_points_are_kept():
    # Alpha 255 makes a packed colour a not-a-number with the colour in its payload, here a signalling one too.
    bits = np.array([0xFF102030, 0x7F801234, 0x00102030], np.uint32)
    points = np.array([[0x7FC00001, 0xFFC12345, 0x7F800001]] * 3, np.uint32).view(np.float32)
    cloud = PointCloud(points, attributes={"rgb": bits.view(np.float32)})
    for encoding in ENCODINGS[1:]:
        again = parse_pcd(joined(pcd_chunks(with_encoding(cloud, encoding))))
        assert again.attributes["rgb"].view(np.uint32).tolist() == bits.tolist()
        assert again.points.tobytes() == points.tobytes()


def test_labels_and_gaps_of_a_scan_compress():
    points = np.full((20000, 3), np.nan, np.float32)
    points[:100] = np.random.default_rng(0).normal(size=(100, 3))
    cloud = with_encoding(PointCloud(points, attributes={"label": np.zeros(20000, np.uint8)}), "binary_compressed")
    data = joined(pcd_chunks(cloud))
    assert len(data) < 6000
    assert_same(parse_pcd(data), cloud)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_open3d_reads_the_same(encoding, tmp_path):
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    rng = np.random.default_rng(1)
    points = rng.normal(size=(600, 3)).astype(np.float32)
    points[::7] = np.nan
    fields = {"label": rng.integers(0, 2, 600).astype(np.uint8), "height": rng.normal(size=600).astype(np.float32)}
    cloud = with_encoding(PointCloud(points, attributes=fields, grid=(20, 30)), encoding)
    (tmp_path / "x.pcd").write_bytes(joined(pcd_chunks(cloud)))
    theirs = open3d.t.io.read_point_cloud(str(tmp_path / "x.pcd")).point
    assert np.array_equal(theirs.positions.numpy(), points, equal_nan=True)
    for name, value in fields.items():
        assert np.array_equal(theirs[name].numpy()[:, 0], value)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_open3d_writes_what_we_read(encoding, tmp_path):
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    points = np.random.default_rng(1).integers(0, 40, (3000, 3)).astype(np.float32)
    theirs = open3d.t.geometry.PointCloud(open3d.core.Tensor(points))
    path = str(tmp_path / "x.pcd")
    text, packed = encoding == "ascii", encoding == "binary_compressed"
    assert open3d.t.io.write_point_cloud(path, theirs, write_ascii=text, compressed=packed)
    data = (tmp_path / "x.pcd").read_bytes()
    assert f"DATA {encoding}\n".encode() in data
    assert np.array_equal(parse_pcd(data).points, points)
