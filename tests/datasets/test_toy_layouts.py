"""The toy data sets: small, alike for one seed, and true to their ground truth."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image

from anosynth.errors import UnknownGenerator
from anosynth.io.clouds import read_cloud
from anosynth.toy import make_toy
from anosynth.toy.layouts import LAYOUTS, make_layout

NAMES = ("anomaly-shapenet", "minishift", "mulsen", "mvtec3d", "real3d")


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_depends_on_seed_and_path_alone(tmp_path, name):
    for folder, seed, count in [("a", 0, 4), ("b", 0, 1), ("c", 1, 1)]:
        written = make_toy(name, tmp_path / folder, seed=seed, count=count, points=300)
        assert written == sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file())
    a, b, c = (content(tmp_path / folder) for folder in "abc")
    assert b.keys() == c.keys() < a.keys()
    for path, data in b.items():
        if not path.endswith(".csv"):
            assert data == a[path]
            assert data != c[path] or "/gt/" in path


def test_names():
    assert sorted(LAYOUTS) == list(NAMES)


def test_unknown(tmp_path):
    with pytest.raises(UnknownGenerator, match="did you mean `real3d`"):
        make_layout("real-3d", tmp_path, seed=0, count=1, points=10)


def test_maps(toys):
    root = toys["mvtec3d"] / "cookie/test"
    for gt in sorted(root.rglob("gt/*.png")):
        points = tifffile.imread(gt.parents[1] / "xyz" / f"{gt.stem}.tiff")
        with Image.open(gt) as picture:
            mask = np.asarray(picture)
        assert mask.shape == points.shape[:2]
        kind = gt.parents[1].name
        assert (mask.max() == 255) == (kind != "good")
        if kind == "hole":
            assert not points[mask == 255].any()
            assert 5 < (mask == 255).sum() < 0.1 * mask.size
        elif kind == "contamination":
            assert points[mask == 255].all()


@pytest.mark.parametrize(
    ("name", "pattern", "delimiter"), [("real3d", "*/gt/*.txt", " "), ("anomaly-shapenet", "pcd/*/GT/*.txt", ",")]
)
def test_scans(toys, name, pattern, delimiter):
    found = sorted(toys[name].glob(pattern))
    assert len(found) == 8
    for gt in found:
        rows = np.loadtxt(gt, delimiter=delimiter)
        cloud = read_cloud(gt.parents[1] / "test" / f"{gt.stem}.pcd")
        assert np.array_equal(rows[:, :3].astype(np.float32), cloud.points)
        assert cloud.normals is None
        assert not cloud.attributes
        assert 0.002 < rows[:, 3].mean() < 0.2


def test_meshes(toys):
    for name in ("bracket", "torus"):
        for defect in ("foreign_body", "squeeze"):
            with (toys["mulsen"] / name / "RGB/GT" / defect / "data.csv").open() as file:
                assert [row[0] for row in csv.reader(file)] == ["object", "1", "2"]
            for number in (1, 2):
                listed = np.loadtxt(toys["mulsen"] / name / f"Pointcloud/GT/{defect}/{number}.txt", delimiter=",")
                mesh = read_cloud(toys["mulsen"] / name / f"Pointcloud/test/{defect}/{number}.stl")
                vertices = {tuple(point) for point in mesh.points}
                assert len(listed) > 3
                assert {tuple(point) for point in listed.astype(np.float32)} <= vertices


def test_levels(toys):
    for gt in sorted(toys["minishift"].glob("*/gt/*/*/*.txt")):
        labels = np.loadtxt(gt)
        points = np.loadtxt(gt.parents[3] / "test" / gt.relative_to(gt.parents[2]))
        assert points.shape == (600, 3)
        assert labels.shape == (600,)
        assert 0 < labels.sum() < 120
