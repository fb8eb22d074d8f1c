"""The files that `make_toy` writes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from anosynth.errors import ParameterError, UnknownGenerator, WriteError
from anosynth.io.clouds import read_cloud
from anosynth.toy import KINDS, MAKERS, make_toy
from anosynth.toy.layouts import LAYOUTS
from anosynth.toy.meshes import PARTS
from anosynth.toy.photo_sets import PHOTO_SETS

SCAN = 700


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_kind_has_a_line():
    assert set(KINDS) == set(MAKERS) == {*PARTS, "depth-map", "parts", *LAYOUTS, *PHOTO_SETS}
    assert all(text and "\n" not in text for text in KINDS.values())


@pytest.mark.parametrize("part", PARTS)
def test_a_part(tmp_path, part):
    paths = make_toy(part, tmp_path / "new" / "folder", count=2, points=SCAN)
    assert [path.name for path in paths] == [f"{part}_000.ply", f"{part}_001.ply", f"{part}_nominal.stl"]
    first, second = (read_cloud(path) for path in paths[:2])
    for cloud in (first, second):
        assert cloud.points.shape == (SCAN, 3)
        assert cloud.normals is not None
        assert cloud.attributes["intensity"].dtype == np.float32
        assert cloud.unit == "mm"
    assert not np.any(np.all(first.points == second.points, axis=1))
    assert b"comment unit mm\n" in paths[0].read_bytes()[:600]

    nominal = trimesh.load(paths[2])
    assert nominal.is_watertight
    assert nominal.volume == pytest.approx(trimesh.Trimesh(*_nominal(part), process=False).volume, rel=1e-5)
    _, distance, _ = trimesh.proximity.closest_point_naive(nominal, first.points[:60].astype(np.float64))
    assert distance.max() < 2.0


def _nominal(part):
    cloud = PARTS[part](0, variation=0.0)
    return cloud.points, cloud.faces


def test_all_parts(tmp_path):
    paths = make_toy("parts", tmp_path, count=1, points=50)
    assert [path.name for path in paths] == sorted(
        f"{part}_{end}" for part in PARTS for end in ("000.ply", "nominal.stl")
    )


def test_depth_maps(tmp_path):
    paths = make_toy("depth-map", tmp_path, count=2)
    assert [path.name for path in paths] == [
        *["depth_000.tiff", "depth_000_rgb.png", "depth_001.tiff", "depth_001_rgb.png"]
    ]
    cloud = read_cloud(paths[0])
    assert cloud.grid == (240, 320)
    assert 0.1 <= 1 - cloud.valid.mean() <= 0.25
    with Image.open(paths[1]) as picture:
        assert picture.mode == "RGB"
        assert picture.size == (320, 240)


@pytest.mark.parametrize("kind", ["plate", "depth-map"])
def test_a_file_depends_on_seed_and_name_alone(tmp_path, kind):
    for name, seed, count in [("a", 0, 2), ("b", 0, 1), ("c", 1, 1)]:
        make_toy(kind, tmp_path / name, seed=seed, count=count, points=SCAN)
    a, b, c = (content(tmp_path / name) for name in "abc")
    assert b.items() <= a.items()
    assert len(b) < len(a)
    for name in b:
        assert (b[name] == c[name]) == name.endswith("_nominal.stl")


def test_a_part_is_the_same_among_others(tmp_path):
    make_toy("gear", tmp_path / "one", count=1, points=40)
    make_toy("parts", tmp_path / "all", count=1, points=40)
    assert content(tmp_path / "one").items() <= content(tmp_path / "all").items()


def test_unknown_kind_says_what_is_near(tmp_path):
    with pytest.raises(UnknownGenerator, match="no toy `plat`; did you mean `plate`"):
        make_toy("plat", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"count": 0}, {"points": 0}])
def test_wrong_numbers_are_named(tmp_path, wrong):
    (name,) = wrong
    with pytest.raises(ParameterError, match=f"{name}: 0: expected at least 1"):
        make_toy("plate", tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(WriteError, match=r"out: .*: expected a folder or a place for one"):
        make_toy("plate", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_list_of_kinds_is_light():
    code = "import sys, anosynth.toy; print([m for m in ('scipy', 'trimesh', 'PIL', 'tifffile') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("kind", "file"), [("washer", "good/001.png"), ("gear", "gear_000.ply")])
def test_files_of_yours_are_never_overwritten(tmp_path, kind, file):
    mine = tmp_path / file
    mine.parent.mkdir(exist_ok=True)
    mine.write_bytes(b"mine")
    with pytest.raises(WriteError, match=r"is there already, and is another file\nhint: "):
        make_toy(kind, tmp_path, count=2, points=SCAN)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {mine: b"mine"}


@pytest.mark.parametrize("kind", ["mvtec", "visa", "mulsen", "gear"])
def test_more_of_the_same_can_be_added(tmp_path, kind):
    few = {path: path.read_bytes() for path in make_toy(kind, tmp_path, count=1, points=SCAN)}
    assert set(few) <= set(make_toy(kind, tmp_path, count=2, points=SCAN))
    assert [path for path, data in few.items() if path.read_bytes() != data and path.suffix != ".csv"] == []
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
