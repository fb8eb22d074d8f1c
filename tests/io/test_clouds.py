"""Reading and writing by path: which format, which errors, what is kept."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anosynth.errors import DataError, ParameterError, WriteError
from anosynth.io.clouds import SUFFIXES, can_hold, cloud_digest, read_cloud, write_cloud
from anosynth.pointclouds._cloud import PointCloud

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.5]], np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
MESH = PointCloud(POINTS, faces=FACES)
GRID = PointCloud(POINTS, grid=(2, 2), viewpoint=np.zeros(3))


def sample(suffix):
    return GRID if suffix in (".tif", ".tiff") else MESH


def message(path):
    with pytest.raises(DataError) as caught:
        read_cloud(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_there_and_back(tmp_path, suffix):
    for name in (f"a{suffix}", f"A.B{suffix.upper()}", f"{os.fsdecode(bytes([255]))}{suffix}"):
        write_cloud(tmp_path / name, sample(suffix))
        cloud = read_cloud(str(tmp_path / name))
        if suffix in (".stl",):
            assert cloud.points[cloud.faces].tolist() == POINTS[FACES].tolist()
        else:
            assert cloud.points.tolist() == POINTS.tolist()
        before = (tmp_path / name).read_bytes()
        write_cloud(tmp_path / name, cloud)
        assert (tmp_path / name).read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("wrong", SUFFIXES)
def test_the_content_counts_more_than_the_suffix(tmp_path, suffix, wrong):
    write_cloud(tmp_path / f"a{suffix}", sample(suffix))
    (tmp_path / f"a{suffix}").rename(tmp_path / f"b{wrong}")
    if suffix == ".csv" and SUFFIXES[wrong] not in ("text", "stl", "obj"):
        # A line of words is no sign of any format.
        assert "`x,y,z" in message(tmp_path / f"b{wrong}")
    elif suffix == ".obj" and SUFFIXES[wrong] == "text":
        assert "row of numbers" in message(tmp_path / f"b{wrong}")
    elif suffix == ".csv" and SUFFIXES[wrong] in ("stl", "obj"):
        assert message(tmp_path / f"b{wrong}").startswith(SUFFIXES[wrong].upper())
    else:
        assert len(read_cloud(tmp_path / f"b{wrong}")) == 4


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "raw", [b"\x00", b"\xff" * 100, bytes(200), b"{}", b"hello\n", b"\n\n", b"PK\x03\x04", b"ply\n"]
)
def test_other_files_are_refused(tmp_path, suffix, raw):
    (tmp_path / f"a{suffix}").write_bytes(raw)
    assert message(tmp_path / f"a{suffix}")


def test_nothing_to_read(tmp_path):
    (tmp_path / "empty.ply").touch()
    assert message(tmp_path / "empty.ply") == "an empty file (0 bytes): expected a point cloud or mesh"
    assert message(tmp_path / "missing.ply") == "no such file: expected a point cloud or mesh"
    assert message(tmp_path) == "a folder: expected a file"
    (tmp_path / "dead.ply").symlink_to(tmp_path / "missing.ply")
    assert message(tmp_path / "dead.ply").startswith("no such file")
    (tmp_path / "round.ply").symlink_to(tmp_path / "round.ply")
    assert message(tmp_path / "round.ply").startswith("cannot be read: ")
    assert message(tmp_path / ("n" * 300)).startswith("cannot be read: ")
    assert message(tmp_path / "empty.ply" / "x").startswith("cannot be read: ")
    assert message("a\0b.ply").startswith("cannot be read: ")
    assert message("/dev/null") == "a device: expected a file"


def test_pipes_and_sockets_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.ply")
    assert message(tmp_path / "a.ply") == "a pipe: expected a file"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "s.ply"))
        assert message(tmp_path / "s.ply") == "a socket: expected a file"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.xyz", b"1 2 3\r4 5 6\r"),
        ("a.obj", b"v 0 0 0\rv 1 0 0\rv 0 1 0\r"),
        ("a.off", b"OFF\r1 0 0\r1 2 3\r"),
        ("a.ply", b"ply\rformat ascii 1.0\r"),
    ],
)
def test_lines_that_end_in_cr_alone(tmp_path, name, text):
    (tmp_path / name).write_bytes(text)
    assert message(tmp_path / name).startswith("its lines end in CR alone")


def test_the_beginning_of_what_is_no_cloud_is_shown_as_it_is(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"\x89PNG\r\n" + bytes(40))
    assert message(tmp_path / "a.ply").startswith(r"begins with `\x89PNG\r\n\x00")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write anything")
def test_permissions(tmp_path):
    write_cloud(tmp_path / "a.ply", MESH)
    (tmp_path / "a.ply").chmod(0)
    assert message(tmp_path / "a.ply").startswith("cannot be read: no permission\nhint: ")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(WriteError, match="hint: no permission"):
        write_cloud(tmp_path / "b.ply", MESH)


def test_unknown_formats_are_named(tmp_path):
    (tmp_path / "a.las").write_bytes(b"LASF\0\0")
    assert message(tmp_path / "a.las").startswith("begins with `LASF\\x00\\x00`: no known format: expected one of .ply")
    (tmp_path / "a.ply").write_bytes(b"LASF\0\0")
    assert message(tmp_path / "a.ply") == "begins with `LASF\\x00\\x00`: expected PLY by its name\nhint: is it damaged?"
    (tmp_path / "a.gltf").write_bytes(b'{"asset": {}}')
    assert message(tmp_path / "a.gltf").endswith("hint: convert a .gltf file to .glb")


def test_errors_of_a_format_name_the_file(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"ply\nformat ascii 1.0\n")
    assert message(tmp_path / "a.ply") == "PLY header: expected a line `end_header` (is the file cut off?)"


@pytest.mark.parametrize("name", ["a.xyzw", "a", "a.gltf", ".ply"])
def test_unknown_suffixes_are_refused(tmp_path, name):
    with pytest.raises(WriteError, match=r"suffix `.*`: expected one of \.ply"):
        write_cloud(tmp_path / name, MESH)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".stl", ".glb", ".tiff"])
def test_clouds_that_do_not_fit_are_refused(tmp_path, suffix):
    with pytest.raises(WriteError) as caught:
        write_cloud(tmp_path / f"a{suffix}", PointCloud(POINTS))
    assert str(caught.value).startswith(f"{tmp_path}/a{suffix}: {suffix[1:].upper()}: ")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_explained(tmp_path):
    with pytest.raises(WriteError, match="hint: the folder does not exist"):
        write_cloud(tmp_path / "no" / "a.ply", MESH)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_can_hold_tells_whether_fields_come_back(tmp_path, suffix):
    label = np.array([0, 1, 1, 0], np.uint8)
    write_cloud(tmp_path / f"a{suffix}", replace(sample(suffix), attributes={"label": label}))
    again = read_cloud(tmp_path / f"a{suffix}").attributes
    assert (
        ("label" in again) == can_hold(suffix) == can_hold(tmp_path / f"a{suffix.upper()}") == can_hold(f"./a{suffix}")
    )
    if "label" in again:
        assert again["label"].tobytes() == label.tobytes()


def test_can_hold_knows_only_its_formats():
    assert not can_hold("a.gltf")
    assert not can_hold("ply")
    assert can_hold("a.b.PLY")


def test_the_unit_of_the_caller_is_for_files_that_do_not_say_it(tmp_path):
    write_cloud(tmp_path / "a.ply", replace(MESH, unit="cm"))
    write_cloud(tmp_path / "b.ply", replace(MESH, unit=None))
    assert read_cloud(tmp_path / "a.ply").unit == "cm"
    assert read_cloud(tmp_path / "a.ply", unit="cm").unit == "cm"
    assert read_cloud(tmp_path / "b.ply", unit="mm").unit == "mm"
    with pytest.raises(DataError, match=r"a\.ply: says its unit is cm, --unit says mm\nhint: leave --unit out"):
        read_cloud(tmp_path / "a.ply", unit="mm")
    with pytest.raises(ParameterError, match="unit: `km`: expected one of um, mm, cm, m, inch"):
        read_cloud(tmp_path / "a.ply", unit="km")


RICH = PointCloud(
    POINTS,
    normals=POINTS.astype(np.float64),
    faces=FACES,
    attributes={"b": np.arange(4, dtype=np.uint8), "a": np.arange(8, dtype=np.int16).reshape(4, 2)},
)


def test_digest_is_the_same_in_every_file(tmp_path):
    plain = replace(RICH, faces=None)
    digests = {cloud_digest(plain)}
    for name in ("a.pcd", "a.npz"):
        write_cloud(tmp_path / name, plain)
        digests.add(cloud_digest(read_cloud(tmp_path / name)))
    big = {name: value.astype(value.dtype.newbyteorder(">")) for name, value in plain.attributes.items()}
    digests.add(cloud_digest(replace(plain, attributes=big)))
    digests.add(cloud_digest(replace(plain, attributes=dict(reversed(plain.attributes.items())))))
    digests.add(cloud_digest(replace(plain, points=np.asfortranarray(POINTS), unit="mm")))
    assert len(digests) == 1


def test_digest_is_that_of_plain_bytes():
    text = (
        b'["points", "<f4", [4, 3]]\n%b["normals", "<f8", [4, 3]]\n%b["faces", "<i8", [4, 3]]\n%b'
        b'["attribute a", "<i2", [4, 2]]\n%b["attribute b", "|u1", [4]]\n%b'
    )
    arrays = (RICH.points, RICH.normals, RICH.faces, RICH.attributes["a"], RICH.attributes["b"])
    digest = hashlib.sha256(text % tuple(array.tobytes() for array in arrays)).hexdigest()
    assert cloud_digest(RICH) == digest
    assert digest == "88050f2cc744e34014f411b81c13d5639bbe54ad6f071e6be7185ac464a4e69a"


@pytest.mark.parametrize(
    "other",
    [
        replace(RICH, points=POINTS.astype(np.float64)),
        replace(RICH, points=POINTS[::-1]),
        replace(RICH, points=np.where(POINTS == 0, np.float32(-0.0), POINTS)),
        replace(RICH, normals=None),
        replace(RICH, faces=None),
        replace(RICH, faces=FACES[:3]),
        replace(RICH, attributes={}),
        replace(RICH, attributes={"c": RICH.attributes["b"], "a": RICH.attributes["a"]}),
        replace(RICH, attributes={"b": RICH.attributes["b"], "a": RICH.attributes["a"].astype(np.uint16)}),
        replace(RICH, attributes={"b": RICH.attributes["b"], "a": RICH.attributes["a"].reshape(4, 2, 1)}),
    ],
)
def test_digest_sees_every_difference(other):
    assert cloud_digest(other) != cloud_digest(RICH)


def test_heavy_modules_stay_outside(tmp_path):
    write_cloud(tmp_path / "a.ply", MESH)
    program = (
        "import sys; from anosynth.io.clouds import read_cloud, write_cloud\n"
        "cloud = read_cloud(sys.argv[1])\n"
        "for s in ('ply', 'pcd', 'txt', 'npz', 'stl', 'obj', 'off'): write_cloud(f'{sys.argv[1]}.{s}', cloud)\n"
        "assert not {'trimesh', 'tifffile', 'scipy', 'open3d', 'torch', 'pydantic'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.ply")], check=True)


def test_a_command_skips_the_cloud_that_says_another_unit_and_makes_the_others(tmp_path, capsys, monkeypatch):
    from anosynth_cli.main import run

    monkeypatch.chdir(tmp_path)
    xy = np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0)), -1).reshape(-1, 2)
    points = np.column_stack([xy, np.sin(xy[:, 0] / 9)])
    for name, unit in (("mm", "mm"), ("inch", "inch"), ("none", None)):
        write_cloud(f"{name}.ply", PointCloud(points, unit=unit))
    line = ["pointcloud", "--no-report", "--strength", "0.5inch", "--unit", "inch"]
    assert run([*line, "mm.ply", "inch.ply", "none.ply", "out"]) == 3
    err = capsys.readouterr().err
    assert "skipped: mm.ply: says its unit is mm, --unit says inch\nhint: leave --unit out" in err
    records = [json.loads(row) for row in Path("out/manifest.jsonl").read_text().splitlines()[1:]]
    assert [(row["status"], row.get("effect", {}).get("unit")) for row in records if "status" in row] == [
        ("made", "inch"),
        ("skipped", None),
        ("made", "inch"),
    ]
    assert not Path("out/mm_000.ply").exists()
