"""PLY files survive reading and writing, and files that lie are refused."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_kit import assert_every_cut_is_refused, assert_same, drawn_clouds, joined

from anosynth.errors import DataError, WriteError
from anosynth.io.ply import PlyDocument, parse_ply, ply_chunks
from anosynth.pointclouds._cloud import PointCloud

CODES = {"char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d"}
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
FLAVOURS = ["ascii", "binary_little_endian", "binary_big_endian"]

VERTICES = [("uchar", "red"), ("float", "z"), ("double", "time"), ("float", "y"), ("short", "nx"), ("float", "x")]
ROWS = [(i, 3 * i, 1.5 * i, 2 * i, -i, i) for i in range(5)]
FACES = [([0, 1, 2], 7, [0.5] * 6), ([1, 2, 3, 4], 8, [1.5]), ([4], 9, []), ([], 1, []), ([0, 2, 4], 3, [2.0] * 6)]
HEADER = [
    "comment made by hand",
    "obj_info kept too",
    "element camera 1",
    "property float focal",
    "property list uchar char name",
    "comment before the vertices",
    "element vertex 00005",
    *(f"property {kind} {name}" for kind, name in VERTICES),
    "comment before the faces",
    "element face 5",
    "property list uint8 int32 vertex_indices",
    "property   uchar   flag",
    "property list ushort float32 texcoord",
    "element edge 2",
    "property int vertex1",
    "property int vertex2",
    "comment the end",
]


def file_of(header, body, flavour, newline="\n"):
    lines = ["ply", f"format {flavour} 1.0", *header, "end_header", ""]
    return newline.join(lines).encode() + body


def rich_body(flavour):
    """The rows of HEADER, written by struct or str alone."""
    rows = [[("float", 50)], [("list uchar char", (104, 105))]]
    camera = [rows[0][0], rows[1][0]]
    table = [camera]
    table += [[(kind, value) for (kind, _), value in zip(VERTICES, row, strict=True)] for row in ROWS]
    table += [[("list uchar int", a), ("uchar", b), ("list ushort float", c)] for a, b, c in FACES]
    table += [[("int", 0), ("int", 1)], [("int", 3), ("int", 4)]]
    if flavour == "ascii":
        return "".join(" ".join(words_of(row)) + "\n" for row in table).encode()
    order = "<" if flavour == "binary_little_endian" else ">"
    out = b""
    for kind, value in (cell for row in table for cell in row):
        if kind.startswith("list"):
            _, counter, item = kind.split()
            out += struct.pack(f"{order}{CODES[counter]}{len(value)}{CODES[item]}", len(value), *value)
        else:
            out += struct.pack(order + CODES[kind], value)
    return out


def words_of(row):
    for kind, value in row:
        values = [len(value), *value] if kind.startswith("list") else [value]
        yield from (f"{v:g}" for v in values)


def rich(flavour):
    return file_of(HEADER, rich_body(flavour), flavour)


def mesh(flavour="binary_little_endian", faces=((0, 1, 2), (0, 2, 3))):
    cloud = PointCloud(np.eye(4, 3, dtype=np.float32), faces=np.array(faces))
    lines = (b"ply", f"format {flavour} 1.0".encode(), b"end_header")
    return parse_ply(joined(ply_chunks(replace(cloud, document=PlyDocument(flavour, lines)))))


@pytest.mark.parametrize("flavour", FLAVOURS)
class TestOneRichFile:
    def test_is_understood(self, flavour):
        cloud = parse_ply(rich(flavour))
        assert cloud.points.dtype == np.float32
        assert cloud.points.tolist() == [[i, 2 * i, 3 * i] for i in range(5)]
        assert cloud.normals is None
        assert [(name, value.dtype.str) for name, value in cloud.attributes.items()] == [
            ("red", "|u1"),
            ("time", "<f8"),
            ("nx", "<i2"),
        ]
        assert cloud.attributes["time"].tolist() == [0, 1.5, 3, 4.5, 6]
        assert cloud.faces.dtype == np.int64
        assert cloud.faces.tolist() == [[0, 1, 2], [1, 2, 3], [1, 3, 4], [0, 2, 4]]

    def test_is_written_back_to_the_byte(self, flavour):
        data = rich(flavour)
        assert joined(ply_chunks(parse_ply(data))) == data

    def test_moved_points_change_nothing_else(self, flavour):
        cloud = parse_ply(rich(flavour))
        moved = cloud.moved(np.array([2]), np.array([[9, 8, 7]]))
        again = parse_ply(joined(ply_chunks(moved)))
        assert_same(again, moved)
        assert again.document.lines == cloud.document.lines
        assert again.document.bodies == cloud.document.bodies

    def test_new_fields_follow_the_old_ones(self, flavour):
        cloud = parse_ply(rich(flavour))
        label = np.array([0, 1, 0, 1, 0], np.uint8)
        height = np.array([0, 0.1, 0, -2, 0], np.float32)
        more = replace(cloud, attributes={"instance": label.astype(np.uint16), **cloud.attributes, "height": height})
        data = joined(ply_chunks(more))
        assert b"property float x\nproperty ushort instance\nproperty float height\ncomment before the faces\n" in data
        again = parse_ply(data)
        assert again.attributes["height"].tobytes() == height.tobytes()
        assert again.attributes["instance"].tolist() == label.tolist()
        assert again.document.bodies == cloud.document.bodies

    def test_a_field_of_the_file_is_replaced_in_its_place(self, flavour):
        cloud = parse_ply(rich(flavour))
        new = replace(cloud, attributes={**cloud.attributes, "time": np.arange(5, dtype=np.uint8)})
        data = joined(ply_chunks(new))
        assert b"property float z\nproperty uchar time\nproperty float y\n" in data
        assert_same(parse_ply(data), new)

    def test_removed_points_void_what_counts_vertices(self, flavour):
        cloud = parse_ply(rich(flavour))
        fewer = cloud.taken(np.array([0, 1, 2]), np.array([[0, 1, 2]]))
        data = joined(ply_chunks(fewer))
        assert b"comment before the vertices\nelement vertex 3\nproperty uchar red\n" in data
        assert b"element face 1\nproperty list uint8 int32 vertex_indices\ncomment the end\n" in data
        assert b"edge" not in data
        assert_same(parse_ply(data), fewer)

    def test_every_cut_is_refused(self, flavour):
        # The last number of an ascii file may lose digits unseen, so that is cut off to begin with.
        data = rich(flavour)
        assert_every_cut_is_refused(parse_ply, data[:-3] if flavour == "ascii" else data, DataError, step=1)

    def test_surplus_is_refused(self, flavour):
        with pytest.raises(DataError, match=r"more (bytes|lines) than the header says"):
            parse_ply(rich(flavour) + b"1 2\n")


@pytest.mark.parametrize("flavour", FLAVOURS)
@given(data=st.data())
def test_any_cloud_there_and_back(flavour, data):
    drawn = data.draw(drawn_clouds(DTYPES, nan_payload=flavour != "ascii"))
    lines = (b"ply", f"format {flavour} 1.0".encode(), b"comment x", b"end_header")
    cloud = replace(drawn, document=PlyDocument(flavour, lines))
    written = joined(ply_chunks(cloud))
    again = parse_ply(written)
    assert_same(again, cloud)
    assert joined(ply_chunks(again)) == written


@given(data=st.data())
def test_cut_binary_files_are_refused(data):
    cloud = data.draw(drawn_clouds(DTYPES))
    written = joined(ply_chunks(cloud))
    assert_every_cut_is_refused(parse_ply, written, DataError)


@given(junk=st.binary(max_size=60), at=st.integers(0, 500))
def test_damage_is_refused_or_read_but_never_crashes(junk, at):
    data = rich("binary_little_endian")
    for damaged in (data[:at] + junk + data[at:], data[:at] + junk + data[at + len(junk) :]):
        with suppress(DataError):
            parse_ply(damaged)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("trail", ["", " "])
@pytest.mark.parametrize("dot", ["", ".0"])
def test_manners_of_ascii_files_are_kept(newline, trail, dot):
    header = ["element vertex 2", "property float x", "property float y", "property float z", "property uchar red"]
    header += ["element face 1", "property list uchar int vertex_index"]
    rows = [f"1{dot} 2{dot} 0.25 255", f"-4{dot} 5e-07 0.1 0", "3 0 1 1"]
    body = "".join(f"{row}{trail}{newline}" for row in rows)
    data = file_of(header, body.encode(), "ascii", newline)
    assert joined(ply_chunks(parse_ply(data))) == data


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_changed_faces_are_written_as_triangles(flavour):
    cloud = mesh(flavour)
    split = replace(cloud, faces=np.array([[0, 1, 2], [0, 2, 3], [1, 3, 2]]))
    assert_same(parse_ply(joined(ply_chunks(split))), split)
    none = parse_ply(joined(ply_chunks(replace(cloud, faces=None))))
    assert none.faces is None


def test_indices_that_outgrow_their_type_get_a_larger_one():
    header = ["element vertex 3", *(f"property float {name}" for name in "xyz")]
    header += ["element face 1", "property list uchar uchar vertex_indices"]
    data = file_of(header, struct.pack("<9f4B", *range(9), 3, 0, 1, 2), "binary_little_endian")
    cloud = parse_ply(data)
    assert joined(ply_chunks(cloud)) == data
    points = np.arange(900, dtype=np.float32).reshape(-1, 3)
    larger = replace(cloud, points=points, faces=np.array([[0, 1, 299]]))
    assert_same(parse_ply(joined(ply_chunks(larger))), larger)


def test_empty_face_element_is_kept():
    header = ["element vertex 1", *(f"property double {name}" for name in "xyz")]
    header += ["element face 0", "property list uchar int vertex_indices"]
    for flavour in FLAVOURS:
        body = b"1 2 3.5\n" if flavour == "ascii" else struct.pack(("<", ">")["big" in flavour] + "3d", 1, 2, 3.5)
        data = file_of(header, body, flavour)
        cloud = parse_ply(data)
        assert cloud.faces is None
        assert joined(ply_chunks(cloud)) == data


def test_normals_keep_their_place():
    names = ["nz", "x", "nx", "y", "ny", "z"]
    header = ["element vertex 1", *(f"property float {name}" for name in names)]
    data = file_of(header, struct.pack("<6f", 3, 10, 1, 20, 2, 30), "binary_little_endian")
    cloud = parse_ply(data)
    assert cloud.normals.tolist() == [[1, 2, 3]]
    assert cloud.points.tolist() == [[10, 20, 30]]
    assert not cloud.attributes
    assert joined(ply_chunks(cloud)) == data


def test_normals_of_mixed_types_stay_attributes():
    header = ["element vertex 1", *(f"property float {name}" for name in "xyz")]
    header += ["property float nx", "property double ny", "property float nz"]
    data = file_of(header, struct.pack("<4fdf", 1, 2, 3, 4, 0.1, 6), "binary_little_endian")
    cloud = parse_ply(data)
    assert cloud.normals is None
    assert list(cloud.attributes) == ["nx", "ny", "nz"]
    assert joined(ply_chunks(cloud)) == data


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("faces", [[[0, 1, 2], [0, 1, 2, 3], [1, 2, 3]], [[0, 1, 2, 3], [1, 2, 3]], [[0, 1, 2, 3]] * 2])
def test_polygons_are_fanned_out_and_kept(flavour, faces):
    order = ">" if "big" in flavour else "<"
    header = ["element vertex 4", *(f"property float {name}" for name in "xyz")]
    header += [f"element face {len(faces)}", "property list uchar short vertex_index"]
    if flavour == "ascii":
        rows = ["0.5 0 0"] * 4 + [" ".join(map(str, [len(face), *face])) for face in faces]
        body = "".join(f"{row}\n" for row in rows).encode()
    else:
        body = bytes(48) + b"".join(struct.pack(f"{order}B{len(face)}h", len(face), *face) for face in faces)
    data = file_of(header, body, flavour)
    cloud = parse_ply(data)
    assert cloud.faces.tolist() == [[face[0], face[i], face[i + 1]] for face in faces for i in range(1, len(face) - 1)]
    assert joined(ply_chunks(cloud)) == data


def test_lists_of_negative_length_are_refused():
    header = [*XYZ.splitlines(), "element face 1", "property list char int vertex_index", "property char flag"]
    with pytest.raises(DataError, match="face 1: expected list lengths"):
        parse_ply(file_of(header, b"1 2 3\n4 5 6\n-1\n", "ascii"))
    for rest in (b"\xff\0", b"\xff"):
        with pytest.raises(DataError, match=r"face: .*a list of length -1"):
            parse_ply(file_of(header, bytes(24) + rest + bytes(1), "binary_little_endian"))


def test_mixed_coordinates_become_double():
    header = ["element vertex 1", "property float x", "property double y", "property float z"]
    cloud = parse_ply(file_of(header, struct.pack("<fdf", 1, 0.1, 3), "binary_little_endian"))
    assert cloud.points.tolist() == [[1, 0.1, 3]]
    assert_same(parse_ply(joined(ply_chunks(cloud))), cloud)


@pytest.mark.parametrize(
    ("comment", "unit"),
    [
        ("comment unit mm", "mm"),
        ("comment units: MM", "mm"),
        ("comment unit=um", "um"),
        ("obj_info unit = inches", "inch"),
        ("comment Units: metres ", "m"),
        ("comment unit mmm", None),
        ("comment subunit mm", None),
        ("comment unit mm or so", None),
    ],
)
def test_unit(comment, unit):
    header = [comment, "element vertex 1", *(f"property float {name}" for name in "xyz")]
    data = file_of(header, struct.pack("<3f", 1, 2, 3), "binary_little_endian")
    assert parse_ply(data).unit == unit


def test_a_new_file_states_its_unit():
    cloud = PointCloud(np.zeros((1, 3)), unit="cm")
    assert parse_ply(joined(ply_chunks(cloud))).unit == "cm"


XYZ = "element vertex 2\nproperty float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("element vertex 2\nproperty float x\nproperty float y\n", "vertex property z: missing: expected float"),
        (XYZ.replace("float z", "int z"), "vertex property z: int: expected float or double"),
        (XYZ + "property list uchar int parts\n", "vertex property parts: a list: expected a scalar"),
        (XYZ + "property float x\n", "property x of vertex: expected once"),
        (XYZ + "element vertex 2\n", "element vertex: expected once"),
        (XYZ.replace("2", "0"), "no points"),
        (XYZ.replace("2", "-2"), "`element vertex -2`"),
        (XYZ.replace("2", "9" * 30), "`element vertex 99"),
        (XYZ.replace("2", "1000000000000"), "vertex"),
        (XYZ.replace("2", "3"), "vertex"),
        (XYZ.replace("2", "1"), "more (bytes|lines)"),
        (XYZ.replace("float x", "half x"), "of a type PLY 1.0 knows"),
        (XYZ + "property list float int a\n", "of a type PLY 1.0 knows"),
        ("property float x\n" + XYZ, "expected format, element"),
        ("element face 1\nproperty list uchar int vertex_indices\n", "no element `vertex`"),
        (XYZ + "element face 1\nproperty list uchar int vertex_indices\n", "face"),
        (XYZ + "nonsense\n", "`nonsense`: expected"),
    ],
)
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_headers_that_lie_are_refused(header, message, flavour):
    body = b"1 2 3\n4 5 6\n" if flavour == "ascii" else bytes(24)
    with pytest.raises(DataError, match=message):
        parse_ply(file_of(header.splitlines(), body, flavour))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"1 2 3\n4 5 six\n3 0 1 1\n", "vertex 2: `six`: expected a number"),
        (b"1 2\n3 4 5 6\n3 0 1 1\n", "vertex 1: 2 fields: expected 3"),
        (b"1 2 3\n4 5 6\n3 0 1\n", "face 1: `3 0 1`"),
        (b"1 2 3\n4 5 6\n3 0 1 2\n", "faces: vertex 2: expected an index from 0 to 1"),
        (b"1 2 3\n4 5 6\n3 0 1 -1\n", "faces: vertex -1"),
        (b"1 2 3\n4 5 6\n3 0 1 0.5\n", "expected a whole number"),
        (b"1 2 3\n4 5 6\n-1\n", "face 1"),
        (b"1 2 3\n\n4 5 6\n3 0 1 1\n", "more lines|vertex"),
    ],
)
def test_ascii_rows_that_lie_are_refused(body, message):
    header = [*XYZ.splitlines(), "element face 1", "property list uchar int vertex_indices"]
    with pytest.raises(DataError, match=message):
        parse_ply(file_of(header, body, "ascii"))


def test_wrong_encodings_are_refused():
    for line in ("format ascii 1.0 x", "format binary 1.0", ""):
        data = f"ply\n{line}\n{XYZ}end_header\n1 2 3\n4 5 6\n".encode()
        with pytest.raises(DataError, match="PLY header"):
            parse_ply(data)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, -5], "int"),
        ([1, 2**32 - 1], "uint"),
        ([1, 2**40], "double"),
        ([True, False], "uchar"),
        ([1, 2**63 - 1], ""),
    ],
)
def test_types_that_ply_lacks(values, kind):
    cloud = PointCloud(np.zeros((2, 3)), attributes={"a b": np.array(values)})
    if not kind:
        with pytest.raises(WriteError, match="a_b: int64: PLY has no type"):
            joined(ply_chunks(cloud))
        return
    data = joined(ply_chunks(cloud))
    assert f"property {kind} a_b\n".encode() in data
    assert parse_ply(data).attributes["a_b"].tolist() == values


def test_fields_of_several_values_become_several_fields():
    cloud = PointCloud(np.zeros((2, 3)), attributes={"hist": np.arange(6, dtype=np.uint8).reshape(2, 3)})
    again = parse_ply(joined(ply_chunks(cloud)))
    assert {name: value.tolist() for name, value in again.attributes.items()} == {
        "hist_0": [0, 3],
        "hist_1": [1, 4],
        "hist_2": [2, 5],
    }


@pytest.mark.parametrize("value", [np.array(["a", "b"]), np.array([1j, 2]), np.zeros(2, np.longdouble)])
def test_fields_that_are_no_numbers_are_refused(value):
    with pytest.raises(WriteError, match=r"odd: .*: expected numbers of at most 64 bits"):
        joined(ply_chunks(PointCloud(np.zeros((2, 3)), attributes={"odd": value})))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_trimesh_reads_the_same(flavour):
    trimesh = pytest.importorskip("trimesh")
    cloud = mesh(flavour)
    theirs = trimesh.load(io.BytesIO(joined(ply_chunks(cloud))), file_type="ply", process=False)
    assert np.array_equal(theirs.vertices, cloud.points)
    assert np.array_equal(theirs.faces, cloud.faces)


@pytest.mark.slow
@pytest.mark.parametrize("flavour", FLAVOURS)
def test_open3d_reads_the_same(flavour, tmp_path):
    open3d = pytest.importorskip("open3d", exc_type=ImportError)
    rng = np.random.default_rng(1)
    cloud = PointCloud(
        rng.normal(size=(50, 3)).astype(np.float32),
        normals=rng.normal(size=(50, 3)).astype(np.float32),
        attributes={"label": rng.integers(0, 2, 50).astype(np.uint8), "height": rng.normal(size=50)},
        document=PlyDocument(flavour, (b"ply", f"format {flavour} 1.0".encode(), b"end_header")),
    )
    (tmp_path / "x.ply").write_bytes(joined(ply_chunks(cloud)))
    theirs = open3d.t.io.read_point_cloud(str(tmp_path / "x.ply")).point
    assert np.array_equal(theirs.positions.numpy(), cloud.points)
    assert np.array_equal(theirs.normals.numpy(), cloud.normals)
    assert np.array_equal(theirs.label.numpy()[:, 0], cloud.attributes["label"])
    assert np.array_equal(theirs.height.numpy()[:, 0], cloud.attributes["height"])
