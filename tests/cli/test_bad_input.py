"""What users really have: each bad file costs one clear line that names it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_kit import fails_alone, ply, wave

from anosynth.io.clouds import read_cloud
from anosynth.pointclouds import PointCloud

WAVE = wave()
XY = WAVE[:, :2].astype(np.float64)


def text(*lines: str) -> bytes:
    return "\n".join(lines).encode() + b"\n"


HEAD = ("ply", "format ascii 1.0")
FACES = "property list uchar int vertex_indices"
XYZ = ("property float x", "property float y", "property float z")
GOOD = ply(WAVE)

PCD = ("VERSION .7", "FIELDS x y z", "SIZE 4 4 4", "TYPE F F F", "COUNT 1 1 1", "WIDTH 9", "HEIGHT 1")


def npy(header: str, data: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00\x76\x00" + header.encode().ljust(117) + b"\n" + data


# name: (bytes, what the line must say)
BAD = {
    "empty-cloud.ply": (text(*HEAD, "element vertex 0", *XYZ, "end_header"), "no points"),
    "no-vertices.ply": (text(*HEAD, "element face 0", FACES, "end_header"), "vertex"),
    "faces-only.ply": (text(*HEAD, "element vertex 0", *XYZ, "element face 1", FACES, "end_header", "3 0 1 2"), ""),
    "no-z.ply": (text(*HEAD, "element vertex 1", *XYZ[:2], "end_header", "1 2"), "z"),
    "one-point.ply": (ply(WAVE[:1]), "at least 12"),
    "eleven-points.ply": (ply(WAVE[:11]), "11 valid points: a surface needs at least 12"),
    "line.ply": (ply(np.arange(600)[:, None] * [1, 2, 3]), "on one line"),
    "one-place.ply": (ply(np.ones((600, 3))), "all points coincide"),
    "all-nan.ply": (ply(np.full((600, 3), np.nan)), "0 valid points"),
    "all-inf.ply": (ply(np.full((600, 3), np.inf)), "0 valid points"),
    "too-sparse.ply": (ply(WAVE[:20]), "hint: use a denser cloud"),
    "cut-off.ply": (GOOD[: len(GOOD) // 2], "fewer rows than the 800 of the header"),
    "cut-in-header.ply": (GOOD[:40], "header"),
    "more-than-it-says.ply": (GOOD.replace(b"vertex 800", b"vertex 300"), "more bytes than the header says"),
    "a-billion.ply": (GOOD.replace(b"vertex 800", b"vertex 999999999999"), "fewer rows than the 999999999999"),
    "negative.ply": (GOOD.replace(b"vertex 800", b"vertex -5"), "-5"),
    "many.ply": (GOOD.replace(b"vertex 800", b"vertex many"), "many"),
    "middle-endian.ply": (GOOD.replace(b"binary_little_endian", b"binary_middle_endian"), "binary_middle_endian"),
    "words.ply": (text(*HEAD, "element vertex 1", *XYZ, "end_header", "one two three"), ""),
    "no-bytes.ply": (b"", "an empty file (0 bytes)"),
    "prose.ply": (b"Dear Sir or Madam,\n", "expected PLY by its name"),
    "noise.ply": (bytes(np.random.default_rng(5).integers(128, 256, 4000, dtype=np.uint8)), "expected PLY by its name"),
    "zeros.ply": (b"\0" * 5000, ""),
    "picture.tiff": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, ""),
    "no-bytes.pcd": (b"", "an empty file (0 bytes)"),
    "noise.pcd": (b"\xfe" * 3000, ""),
    "header-alone.pcd": (text(*PCD, "POINTS 9", "DATA ascii"), ""),
    "two-columns.xyz": (b"1 2\n3 4\n" * 50, ""),
    "words.csv": (b"name,age\nann,3\nbob,4\n", ""),
    "pickle.npy": (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\x80\x04N."), ""),
    "flat.npy": (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (12,), }", b"\0" * 48), ""),
    "noise.npz": (b"PK\x03\x04" + b"\0" * 90, ""),
    "noise.stl": (b"\x01" * 500, ""),
    "no-triangles.stl": (b"\0" * 84, ""),
    "noise.obj": (b"v 1 2\nf 1 2 3\n", ""),
    "faces-of-nothing.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", ""),
    "faces-of-nothing.off": (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 9\n", ""),
    "noise.glb": (b"glTF" + b"\xff" * 60, ""),
}  # fmt: skip


@pytest.fixture
def home(here) -> Path:
    (here / "parts").mkdir()
    return here


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_alone_fails_in_one_clear_line(home, call, name):
    fails_alone(call, "pointcloud --no-report", home / "parts" / name, *BAD[name])


def test_bad_files_cost_the_good_ones_nothing(home, call):
    for name, (data, _) in BAD.items():
        (home / "parts" / name).write_bytes(data)
    (home / "parts" / "good.ply").write_bytes(GOOD)
    code, out, err = call("pointcloud --no-report parts out")
    assert code == 3
    assert out == f"out: 1 anomalous sample, {len(BAD)} skipped\n"
    assert [line.split(": ")[1] for line in err.splitlines() if line.startswith("skipped")] == sorted(BAD)
    (home / "alone").mkdir()
    (home / "alone" / "good.ply").write_bytes(GOOD)
    call("pointcloud --no-report alone other")
    assert (home / "out" / "good_000.ply").read_bytes() == (home / "other" / "good_000.ply").read_bytes()
    assert call("verify out") == (0, f"{len(BAD) + 1} ok, 0 bad\n", "")


# What works although it looks bad.


def made(home: Path, call, name: str, data: bytes, line: str = "--strength 0.02") -> PointCloud:
    (home / "parts" / name).write_bytes(data)
    code, _, err = call(f"pointcloud --no-report {line} parts/{name} out")
    assert code == 0, err
    assert call("verify out") == (0, "1 ok, 0 bad\n", "")
    stem, _, suffix = name.rpartition(".")
    return read_cloud(home / "out" / f"{stem}_000.{suffix}")


def test_a_plane(home, call):
    flat = np.column_stack([XY, np.zeros(800)])
    cloud = made(home, call, "plane.ply", ply(flat))
    moved = cloud.attributes["label"] == 1
    assert moved.any()
    assert (cloud.points[~moved, 2] == 0).all()
    assert np.abs(cloud.points[moved, :2] - flat[moved, :2]).max() < 0.2, "a plane's normals are along z"


def test_a_tilted_plane(home, call):
    flat = np.column_stack([XY, 0.5 * XY[:, 0] + 0.25 * XY[:, 1]])
    assert made(home, call, "plane.ply", ply(flat)).attributes["label"].any()


def test_invalid_rows_stay_where_they_were_bit_for_bit(home, call):
    points = WAVE.copy()
    points[[0, 17, 799], 0] = np.nan
    points[[18, 400]] = np.inf
    points[19, 2] = -np.inf
    data = np.uint32(0x7FC12345)  # a NaN with a payload
    points[20, 1] = data.view(np.float32)
    cloud = made(home, call, "holes.ply", ply(points))
    rows = ~np.isfinite(points).all(axis=1)
    assert rows.sum() == 7
    assert cloud.points[rows].tobytes() == points[rows].tobytes()
    assert not cloud.attributes["label"][rows].any()
    assert not cloud.attributes["height"][rows].any()
    assert cloud.attributes["label"].any()


def test_every_point_twice(home, call):
    assert made(home, call, "twice.ply", ply(np.repeat(WAVE, 2, axis=0))).attributes["label"].any()


@pytest.mark.parametrize(
    "normals", [None, np.zeros_like(WAVE), np.full_like(WAVE, np.nan), np.tile(np.float32([0, 0, 1e-30]), (800, 1))]
)
def test_no_normals_or_useless_ones(home, call, normals):
    cloud = made(home, call, "x.ply", ply(WAVE, normals=normals))
    assert cloud.attributes["label"].any()
    moved = cloud.points[cloud.attributes["label"] == 1] - WAVE[cloud.attributes["label"] == 1]
    assert np.abs(moved[:, 2]).max() == pytest.approx(np.abs(moved).max())


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1e6, 1e18])
def test_any_scale(home, call, scale):
    assert made(home, call, "x.ply", ply(WAVE * np.float32(scale))).attributes["label"].any()


@pytest.mark.parametrize(
    ("data", "name"), [(GOOD, "really-a-ply.pcd"), (GOOD, "really-a-ply.xyz"), (GOOD, "UPPER.PLY")]
)
def test_a_wrong_extension_is_no_matter(home, call, data, name):
    (home / "parts" / name).write_bytes(data)
    code, _, err = call(f"pointcloud --no-report --strength 0.02 parts/{name} out")
    assert code == 0, err
    assert call("verify out") == (0, "1 ok, 0 bad\n", "")


NAMES = ["größe.ply", "gro\u0308ße.ply", "名前.ply", "🙂.ply", "with space.ply", "-dash.ply", "new\nline.ply"]
NAMES += ["a'b\"c.ply", "[a].ply", "$HOME.ply", "a\\b.ply"]


# What is no file.


# Recipes.


@pytest.mark.parametrize(
    ("recipe", "code", "says"),
    [
        ("generators: !!python/object/apply:os.mkdir ['TARGET']", 1, "could not determine a constructor for the tag"),
        ("!!python/object/new:os.mkdir ['TARGET']", 1, "could not determine a constructor for the tag"),
        ("generators: [{generator: dent, strength: !!python/name:os.mkdir }]", 1, "could not determine a constructor"),
        ("generators: [", 1, "not a recipe in plain YAML"),
        ("\x00", 1, "not a recipe in plain YAML"),
        ("generators: [{generator: dent, strength: 09}]", 2, "`strength`: 9.0: must be <= 0.2"),
        ("generators: [{generator: dent, strength: 0.1, strength: 0.2}]", 1, "`strength` is given twice"),
        ("", 2, "expected a mapping with `family` and a list of `generators`"),
        ("generators: dent", 2, "entry 1: expected a mapping with `generator`"),
        ("generators: [{generator: dnet}]", 2, "did you mean `dent`?"),
        ("generators: [{generator: os.path}]", 2, "no generator `os.path`"),
        ("generators: [{generator: dent, strenth: 1}]", 2, "did you mean `strength`?"),
        ("generators: [{generator: dent, strength: [0.1, 0.15, 0.2]}]", 2, "a list is a range of two ends"),
        ("generators: [{generator: dent, strength: 3:6}]", 2, "`strength`: 3.0: must be <= 0.2"),
        ("generators: [{generator: dent, weight: 0}]", 2, "`weight` of `dent`: 0: must be a number > 0"),
        ("a: &a [1,2,3]\nb: &b [*a,*a,*a]\ngenerators: [{generator: dent, strength: [*b,*b,*b]}]", 2, "unknown key"),
    ],
)  # fmt: skip
def test_a_bad_recipe(home, call, recipe, code, says):
    target = home / "ran"
    (home / "parts" / "good.ply").write_bytes(GOOD)
    (home / "mix.yaml").write_text(recipe.replace("TARGET", str(target)))
    found, out, err = call("pointcloud --no-report --recipe mix.yaml parts out")
    assert (found, out) == (code, "")
    assert says in err
    first, *rest = err.splitlines()
    assert first.startswith("error: ")
    assert all(line.startswith("hint: ") for line in rest)
    assert not target.exists()
    assert not (home / "out").exists()


def test_a_cloud_too_small_for_the_defect_says_what_would_help(home, call):
    (home / "parts" / "small.ply").write_bytes(ply(WAVE[:150]))
    code, _, err = call("pointcloud --no-report -g dent --area 0.001 parts out")
    assert code == 1
    first, hint = err.splitlines()
    assert first.startswith("skipped: small.ply: no `dent` could be made of it in 8 draws: ")
    assert hint.startswith("hint: use a denser cloud")


def test_a_defect_too_weak_to_be_seen_says_so(home, call):
    (home / "parts" / "x.ply").write_bytes(GOOD)
    code, _, err = call("pointcloud --no-report -g dent --strength 1e-6 --area 0.05 parts out")
    assert code == 1
    assert "under the visible" in err
    assert err.splitlines()[-1] == "hint: raise the strength"
