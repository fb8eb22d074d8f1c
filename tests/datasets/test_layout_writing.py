"""What the layouts write, read back the way that the public readers of each set do, without our own code."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.spatial import KDTree

from anosynth.datasets.layout import Source
from anosynth.datasets.minishift import level
from anosynth.errors import DataError, WriteError
from anosynth.generator import Anomaly
from anosynth.io.clouds import read_cloud
from anosynth.labels import changed_rows
from anosynth.pointclouds import PointCloud

NAMES = ("anomaly-shapenet", "minishift", "mulsen", "mvtec3d", "real3d")


def soup(path):
    """Return the corners (F * 3, 3) float32 of a binary STL."""
    data = path.read_bytes()
    [count] = struct.unpack("<I", data[80:84])
    return np.frombuffer(data[84:], [("n", "<f4", 3), ("v", "<f4", (3, 3)), ("x", "<u2")])[:count]["v"].reshape(-1, 3)


def by_number(paths):
    """The order of MulSen-AD's readers: the digits before the suffix, as a number."""
    return sorted(paths, key=lambda path: int(re.search(r"(\d+)\.(png|stl)$", str(path))[1]))


# --- MVTec 3D-AD


@pytest.mark.parametrize("remove", [False, True])
def test_mvtec3d(write, remove):
    made = write("mvtec3d", variant=3, remove=remove)
    folder = made.out / "cookie/test/hand-made"
    paths = [
        sorted((folder / name).glob(f"*{suffix}"))
        for name, suffix in [("xyz", ".tiff"), ("rgb", ".png"), ("gt", ".png")]
    ]
    for triple in zip(*paths, strict=True):
        assert {path.name.split(".")[0] for path in triple} == {"000_003"}
    [[xyz], [rgb], [gt]] = paths

    points = tifffile.imread(xyz)
    assert points.dtype == np.float32
    assert points.ndim == 3
    assert np.array_equal(points.reshape(-1, 3), made.anomaly.sample.points)
    with Image.open(gt) as picture:
        assert picture.mode == "L"
        mask = np.asarray(picture)
    assert mask.shape == points.shape[:2]
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(mask.reshape(-1) / 255 > 0.5, made.anomaly.mask)
    # A point is there if none of its coordinates is 0.
    there = np.all(points != 0, axis=2).reshape(-1)
    gone = made.before.valid & ~there
    assert gone.sum() == (3 if remove else 0)
    assert made.anomaly.mask[gone].all()
    assert np.array_equal(there | gone, made.before.valid)
    assert rgb.read_bytes() == (made.root / "cookie/train/good/rgb/000.png").read_bytes()
    with Image.open(rgb) as picture:
        assert picture.size == (points.shape[1], points.shape[0])


def test_mvtec3d_gives_the_mask_by_what_it_decodes_to(write):
    made = write("mvtec3d")
    with Image.open(made.path("labels")) as picture:
        digest = hashlib.sha256(np.asarray(picture).tobytes()).hexdigest()
    assert [output.data_sha256 for output in made.outputs if output.role == "labels"] == [digest]


def test_mvtec3d_needs_a_map_and_its_photo(write, toys, tmp_path):
    made = write("mvtec3d")
    flat = write("minishift", out=tmp_path / "other")
    with pytest.raises(DataError, match=r"cookie/train/good/xyz/000\.tiff: expected an organised map"):
        made.layout.write(made.root, made.out, made.source, made.target, flat.anomaly)
    lost = Source(Path("cookie/train/good/xyz/099.tiff"), "cookie")
    with pytest.raises(DataError, match=r"cookie/train/good/rgb/099\.png: no such file"):
        made.layout.write(made.root, tmp_path / "new", lost, made.target, made.anomaly)


# --- Real3D-AD and Anomaly-ShapeNet


def read_points_and_labels(root, category, delimiter, normal, gt):
    """Yield (path, points, mask, label) of a test folder as the readers of both sets do."""
    for path in sorted((root / category / "test").glob("*.pcd")):
        if "temp" in path.name:
            continue
        if normal in path.name:
            yield path, None, None, 0
        else:
            rows = np.genfromtxt(root / category / gt / f"{path.stem}.txt", delimiter=delimiter)
            yield path, rows[:, :3], rows[:, 3], 1


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize(
    ("name", "prefix", "category", "delimiter", "normal", "gt"),
    [("real3d", "", "torus", " ", "good", "gt"), ("anomaly-shapenet", "pcd", "torus0", ",", "positive", "GT")],
)
def test_points_come_from_the_ground_truth(write, name, prefix, category, delimiter, normal, gt, remove):
    made = write(name, at=5, variant=12, remove=remove)
    found = list(read_points_and_labels(made.out / prefix, category, delimiter, normal, gt))
    [(path, points, mask, label)] = found
    assert path == made.path("sample")
    assert label == 1
    assert np.array_equal(points.astype(np.float32), made.anomaly.sample.points)
    assert np.array_equal(mask == 1, made.anomaly.mask)
    assert set(mask) == {0.0, 1.0}
    assert sorted(folder.name for folder in (made.out / prefix / category).iterdir()) == sorted([gt, "test"])
    raw = np.loadtxt(made.path("labels"), delimiter=delimiter, dtype=str)
    assert set(raw[:, 3]) == {"0", "1"}


@pytest.mark.parametrize("name", ["real3d", "anomaly-shapenet"])
def test_pcd_holds_what_its_source_holds(write, name):
    made = write(name)
    text = [path.read_bytes().split(b"DATA")[0] for path in (made.root / made.source.path, made.path("sample"))]
    assert [re.search(rb"FIELDS (.*)", header)[1] for header in text] == [b"x y z", b"x y z"]


@pytest.mark.parametrize("name", ["real3d", "anomaly-shapenet"])
def test_open3d_reads_the_pcd(write, name):
    open3d = pytest.importorskip("open3d")
    made = write(name, remove=True)
    points = np.asarray(open3d.io.read_point_cloud(str(made.path("sample"))).points)
    assert np.array_equal(points.astype(np.float32), made.anomaly.sample.points)


# --- MulSen-AD


@pytest.mark.parametrize("remove", [False, True])
def test_mulsen(write, remove):
    made = write("mulsen", at=6, variant=2, remove=remove)
    category = made.out / "torus"
    [stl] = (category / "Pointcloud/test/hand-made").glob("*.stl")
    assert stl == made.path("sample")
    # Merge equal corners, then label the vertex nearest to each listed point.
    vertices = np.unique(soup(stl), axis=0).astype(np.float64)
    listed = np.genfromtxt(category / "Pointcloud/GT/hand-made" / f"{stl.stem}.txt", delimiter=",")[:, :3]
    labels = np.zeros(len(vertices), dtype=int)
    distance, nearest = KDTree(vertices).query(listed)
    labels[nearest] = 1
    assert distance.max() < 1e-5
    expected = {tuple(point) for point in made.anomaly.sample.points[made.anomaly.mask]}
    assert {tuple(vertex) for vertex in vertices[labels == 1].astype(np.float32)} == expected
    assert len(listed) == len(expected) == 5
    for sensor in ("RGB", "Infrared"):
        [photo] = (category / sensor / "test/hand-made").glob("*.png")
        assert photo.stem == stl.stem
        assert photo.read_bytes() == (made.root / "torus" / sensor / "train/3.png").read_bytes()


def test_mulsen_without_pictures(write, toys, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(toys["mulsen"] / "torus/Pointcloud", root / "torus/Pointcloud")
    made = write("mulsen", root=root)
    assert {output.role for output in made.outputs} == {"sample", "labels", "details"}


def test_mulsen_lists_a_single_point_twice(write):
    made = write("mulsen")
    one = np.flatnonzero(made.anomaly.mask)[:1]
    for array in (made.anomaly.mask, made.anomaly.effect, made.anomaly.instances):
        kept = array[one].copy()
        array[:] = 0
        array[one] = kept
    made.layout.write(made.root, made.out, made.source, made.target, made.anomaly)
    listed = np.genfromtxt(made.path("labels"), delimiter=",")
    assert listed[:, :3].shape == (2, 3)
    assert np.array_equal(made.truth().mask, made.anomaly.mask)


def test_mulsen_needs_a_mesh_with_labelled_vertices(write):
    made = write("mulsen")
    bare = replace(made.anomaly, sample=replace(made.anomaly.sample, faces=None))
    with pytest.raises(DataError, match=r"bracket/Pointcloud/train/1\.stl: expected a mesh, found points"):
        made.layout.write(made.root, made.out, made.source, made.target, bare)
    labelled = np.flatnonzero(made.anomaly.mask)
    faces = made.anomaly.sample.faces
    loose = replace(made.anomaly.sample, faces=faces[~np.isin(faces, labelled).any(axis=1)])
    with pytest.raises(DataError, match="no labelled vertex belongs to a face"):
        made.layout.write(made.root, made.out, made.source, made.target, replace(made.anomaly, sample=loose))


def test_open3d_maps_mulsen_labels(write):
    open3d = pytest.importorskip("open3d")
    made = write("mulsen")
    mesh = open3d.io.read_triangle_mesh(str(made.path("sample"))).remove_duplicated_vertices()
    vertices = np.asarray(mesh.vertices)
    _, nearest = KDTree(vertices).query(np.genfromtxt(made.path("labels"), delimiter=",")[:, :3])
    expected = {tuple(point) for point in made.anomaly.sample.points[made.anomaly.mask]}
    assert {tuple(point) for point in vertices[nearest].astype(np.float32)} == expected


def read_objects(root, category):
    """Return [(stem, label of the cloud)] of all test samples as MulSen-AD's readers pair them."""
    pairs = []
    for defect in sorted(path.name for path in (root / category / "Pointcloud/test").iterdir()):
        stems = [path.stem for path in by_number((root / category / "Pointcloud/test" / defect).glob("*.stl"))]
        labels = [0] * len(stems)
        if defect != "good":
            with (root / category / "RGB/GT" / defect / "data.csv").open() as file:
                rows = csv.reader(file)
                assert next(rows) == ["object", "rgb", "infrared", "pointcloud"]
                objects, labels = [], []
                for name, rgb, infrared, cloud in rows:
                    objects.append(name)
                    labels.append(int(cloud))
                    assert (int(rgb), int(infrared)) == (0, 0)
            assert objects == stems
        pairs += zip(stems, labels, strict=True)
    return pairs


def test_mulsen_tables_of_objects(write, tmp_path):
    orders, texts = [[(4, 0), (5, 1), (4, 2)], [(4, 2), (4, 0), (5, 1)]], []
    for order, name in zip(orders, "ab", strict=True):
        out = tmp_path / name
        for at, variant in order:
            layout = write("mulsen", at=at, variant=variant, out=out).layout
            layout.finish(out)
        outputs = layout.finish(out)
        assert [output.path for output in outputs] == ["torus/RGB/GT/hand-made/data.csv"]
        texts.append((out / outputs[0].path).read_bytes())
    assert texts[0] == texts[1]
    assert read_objects(out, "torus") == [("00010000", 1), ("00010002", 1), ("00020001", 1)]


def test_mulsen_tables_go_by_number_and_list_what_is_there(write, toys, tmp_path):
    made = write("mulsen", at=4)
    folder, good = made.path("sample").parent, made.out / "torus/Pointcloud/test/good"
    shutil.copy(made.path("sample"), folder / "100000000.stl")
    shutil.copy(made.path("sample"), folder / "99990000.stl")
    shutil.copytree(toys["mulsen"] / "torus/Pointcloud/test/good", good)
    made.layout.finish(made.out)
    assert read_objects(made.out, "torus") == [("1", 0), ("2", 0), ("00010000", 1), ("99990000", 1), ("100000000", 1)]
    assert (made.out / "torus/RGB/GT/good/data.csv").read_text().splitlines()[1:] == ["1,0,0,0", "2,0,0,0"]
    for path in folder.iterdir():
        path.unlink()
    made.layout.finish(made.out)
    assert read_objects(made.out, "torus") == [("1", 0), ("2", 0)]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mulsen"])
def test_other_sets_have_no_file_of_their_own(write, name):
    made = write(name)
    before = sorted(made.out.rglob("*"))
    assert made.layout.finish(made.out) == []
    assert sorted(made.out.rglob("*")) == before


# --- MiniShift


@pytest.mark.parametrize(
    ("how", "level"),
    [
        ({"lift": 0.03}, "easy"),
        ({"lift": 0.015}, "medium"),
        ({"lift": 0.007}, "hard"),
        ({"lift": 0.007, "remove": True}, "easy"),
    ],
)
def test_minishift(write, monkeypatch, how, level):
    made = write("minishift", at=4, variant=1, **how)
    assert made.target == "torus/test/hand-made/000_001.txt"
    # Readers change every `test` of a path, so the path had better have but one.
    monkeypatch.chdir(made.out)
    [path] = Path("torus/test/hand-made", level).glob("*.txt")
    assert path == made.path("sample").relative_to(made.out)
    points = np.loadtxt(path, dtype=np.float32)
    mask = np.loadtxt(str(path).replace("test", "gt"))
    assert np.array_equal(points, made.anomaly.sample.points.astype(np.float32))
    assert np.array_equal(mask, made.anomaly.mask.astype(float))
    lines = Path(str(path).replace("test", "gt")).read_text().splitlines()
    assert set(lines) == {"0", "1"}
    assert len(lines) == len(points)


@pytest.mark.parametrize(
    ("peak", "name"), [(0.2, "easy"), (-0.2, "easy"), (0.199, "medium"), (0.1, "medium"), (0.099, "hard")]
)
def test_levels_begin_where_they_are_said_to(peak, name):
    cloud = PointCloud(np.array([[0, 0, 0], [6, 0, 8], [1, 0, 1]], dtype=np.float32))
    effect = np.array([0, peak, peak / 2], dtype=np.float32)
    assert level(Anomaly(cloud, effect != 0, effect, np.zeros(3, np.uint16), None)) == name


# --- all of them


@pytest.mark.parametrize("remove", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_truth_comes_back(write, name, remove):
    made = write(name, at=2, variant=1, remove=remove)
    truth = made.truth()
    assert truth.sample.points.dtype == made.before.points.dtype
    assert np.array_equal(truth.sample.points, made.anomaly.sample.points)
    assert np.array_equal(truth.mask, made.anomaly.mask)
    assert np.array_equal(truth.removed, made.anomaly.removed)
    assert len(truth.removed) == (3 if remove and name != "mvtec3d" else 0)
    assert np.flatnonzero(truth.still).size == 1
    assert np.array_equal(truth.still, truth.mask & (made.anomaly.effect == 0) & made.anomaly.sample.valid)
    keep = np.setdiff1d(np.arange(len(made.before)), truth.removed)
    moved = changed_rows(made.before.points[keep], truth.sample.points)
    assert np.array_equal(moved, truth.mask & ~truth.still)


@pytest.mark.parametrize("name", NAMES)
def test_heights_and_defects_lie_aside(write, name):
    made = write(name)
    top = {path.relative_to(made.out).parts[0] for path in made.out.rglob("*") if path.is_file()}
    assert len(top) == 2
    assert "_truth" in top
    details = made.path("details")
    assert details.relative_to(made.out).parts[0] == "_truth"
    rows = np.flatnonzero(made.anomaly.mask)
    if name == "mulsen":
        mesh = read_cloud(details)
        assert np.array_equal(mesh.attributes["height"], made.anomaly.effect)
        assert np.array_equal(mesh.attributes["instance"], made.anomaly.instances)
        assert np.array_equal(mesh.faces, made.anomaly.sample.faces)
        return
    index, height, instance = np.loadtxt(details, skiprows=1).T
    assert np.array_equal(index, rows)
    assert np.array_equal(height.astype(np.float32), made.anomaly.effect[rows])
    assert np.array_equal(instance, made.anomaly.instances[rows])


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_the_same_again(write, tmp_path, name):
    one, other = (write(name, out=tmp_path / folder, remove=True) for folder in ("one", "other"))
    for a, b in zip(one.outputs, other.outputs, strict=True):
        assert a == b
        assert (one.out / a.path).read_bytes() == (other.out / b.path).read_bytes()
    assert {output.path for output in one.outputs} == {
        path.relative_to(one.out).as_posix() for path in one.out.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", NAMES)
def test_variants_share_no_file(write, tmp_path, name):
    paths = [{o.path for o in write(name, at=at, variant=v).outputs} for at in (0, 1) for v in (0, 1)]
    assert len(set.union(*paths)) == sum(len(each) for each in paths)


def shift(path):
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(b"9" + first + b"\n" + rest)


def cut(path):
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1])


SPOILT = [
    ("real3d", "labels", shift, "its points are not those of its sample"),
    ("real3d", "labels", cut, "its points are not those of its sample"),
    ("real3d", "labels", lambda path: path.write_text("1 2 3\n"), "3 fields: expected 4"),
    ("real3d", "labels", lambda path: path.write_text("none"), "fields: expected 4"),
    ("real3d", "details", cut, "expected `index height instance` in its first line"),
    ("real3d", "details", lambda path: path.write_text("index height instance\n1 2 3\n"), "lists other points than"),
    ("real3d", "details", lambda path: path.unlink(), "labels.txt: no such file"),
    ("anomaly-shapenet", "labels", shift, "its points are not those of its sample"),
    ("minishift", "labels", cut, "lists other points than|labels"),
    ("minishift", "labels", lambda path: path.write_text("0\n2\n"), "expected 0 or 1 a line"),
    ("mvtec3d", "labels", lambda path: path.write_bytes(b"PNG"), "not an image that can be read"),
    ("mulsen", "labels", shift, "lists other points than"),
    ("mulsen", "labels", cut, "lists other points than"),
]


@pytest.mark.parametrize(("name", "role", "spoil", "message"), SPOILT)
def test_spoilt_truth_is_noticed(write, name, role, spoil, message):
    made = write(name)
    spoil(made.path(role))
    with pytest.raises(DataError, match=message):
        made.truth()


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((3, 4), np.uint8), "3 x 4: expected the size of its map"),
        (np.full((3, 4), 7, np.uint8), "expected 8 bit, one channel, 0 or 255"),
        (np.zeros((3, 4, 3), np.uint8), "expected 8 bit, one channel, 0 or 255"),
        (np.zeros((3, 4), bool), "expected 8 bit, one channel, 0 or 255"),
    ],
)
def test_masks_of_another_kind_are_refused(write, pixels, message):
    made = write("mvtec3d")
    Image.fromarray(pixels).save(made.path("labels"))
    with pytest.raises(DataError, match=message):
        made.truth()


def test_another_mesh_in_place_of_the_sample_is_noticed(write):
    one, other = write("mulsen", at=0), write("mulsen", at=1)
    shutil.copy(other.path("sample"), one.path("sample"))
    with pytest.raises(DataError, match="its vertices are not those of"):
        one.truth()


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_cannot_be_made(write, tmp_path, name):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(WriteError, match="cannot be made"):
        write(name)
