"""Which samples the layouts find in a tree, and what they say of trees that are none of theirs."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anosynth.datasets._names import letters, numbered
from anosynth.datasets.layout import Labelled, Source, find_layout, layout_names
from anosynth.errors import DataError, ParameterError

NAMES = ("anomaly-shapenet", "minishift", "mulsen", "mvtec3d", "real3d")
PHOTOS = ("btad", "mpdd", "mvtec", "mvtec-loco", "real-iad", "visa")

# What `make_toy(count=4)` promises: four normal training samples a category and two of each other sort.
TOYS = {
    "mvtec3d": {
        ("train", "good"): 4,
        ("validation", "good"): 2,
        ("test", "good"): 2,
        ("test", "contamination"): 2,
        ("test", "hole"): 2,
    },
    "real3d": {("train", "good"): 8, ("test", "good"): 4, ("test", "bulge"): 4, ("test", "sink"): 4},
    "anomaly-shapenet": {("train", "good"): 8, ("test", "good"): 4, ("test", "bulge"): 4, ("test", "concavity"): 4},
    "mulsen": {("train", "good"): 8, ("test", "good"): 4, ("test", "foreign_body"): 4, ("test", "squeeze"): 4},
    "minishift": {("train", "good"): 8, ("test", "good"): 4, ("test", "bulge"): 12, ("test", "dent"): 12},
}

TARGETS = {
    "mvtec3d": ("cookie/train/good/xyz/002.tiff", "cookie/test/flat-spot/xyz/002_007.tiff"),
    "real3d": ("torus/train/12_template.pcd", "torus/test/00120007_flatspot.pcd"),
    "anomaly-shapenet": ("pcd/cap3/train/cap3_template12.pcd", "pcd/cap3/test/cap3_flatspot00120007.pcd"),
    "mulsen": ("nut/Pointcloud/train/12.stl", "nut/Pointcloud/test/flat-spot/00120007.stl"),
    "minishift": ("nut/train/good/12.txt", "nut/test/flat-spot/12_007.txt"),
}


def category(path):
    return path.split("/")[1 if path.startswith("pcd/") else 0]


def test_all_layouts_are_found_by_name():
    assert tuple(layout_names()) == tuple(sorted([*NAMES, *PHOTOS]))
    for name in layout_names():
        layout = find_layout(name)
        assert layout.name == name
        assert layout.holds_out
        assert layout.home.count("(") <= 1
        assert "\n" not in layout.home


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_a_toy(toys, name):
    root = toys[name]
    samples = list(find_layout(name).samples(root))
    assert Counter((sample.split, sample.kind) for sample in samples) == TOYS[name]
    assert [sample.path for sample in samples] == sorted(
        (sample.path for sample in samples), key=lambda path: path.as_posix()
    )
    for sample in samples:
        assert (root / sample.path).is_file()
        assert category(sample.path.as_posix()) == sample.category
        assert (sample.truth is not None) == (sample.kind != "good" or (name == "mvtec3d" and sample.split != "train"))
        assert sample.truth is None or (root / sample.truth).is_file()
        for companion in find_layout(name).companions(root, sample):
            assert (root / companion).is_file()


@pytest.mark.parametrize("name", NAMES)
def test_sources_are_the_normal_training_samples(toys, name):
    layout = find_layout(name)
    sources = layout.sources(toys[name])
    assert len(sources) == TOYS[name]["train", "good"]
    assert len({layout.target(source, "dent", variant) for source in sources for variant in range(3)}) == 3 * len(
        sources
    )


def test_photos_go_with_the_normal_samples(toys):
    folder = Path("cookie/test/good")
    sample = Labelled(folder / "xyz/001.tiff", "test", "good", "cookie", folder / "gt/001.png")
    assert [path.as_posix() for path in find_layout("mvtec3d").companions(toys["mvtec3d"], sample)] == [
        "cookie/test/good/rgb/001.png",
        "cookie/test/good/gt/001.png",
    ]
    sample = Labelled(Path("torus/Pointcloud/train/2.stl"), "train", "good", "torus")
    assert [path.as_posix() for path in find_layout("mulsen").companions(toys["mulsen"], sample)] == [
        "torus/RGB/train/2.png",
        "torus/Infrared/train/2.png",
    ]


def test_meshes_of_templates_go_with_them(toys, tmp_path):
    shutil.copytree(toys["anomaly-shapenet"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "obj/torus0").mkdir(parents=True)
    (tmp_path / "obj/torus0/torus0_template2.obj").write_text("v 0 0 0\n")
    layout = find_layout("anomaly-shapenet")
    found = [path for sample in layout.samples(tmp_path) for path in layout.companions(tmp_path, sample)]
    assert [path.as_posix() for path in found if path.suffix == ".obj"] == ["obj/torus0/torus0_template2.obj"]


@pytest.mark.parametrize("name", NAMES)
def test_target(name):
    path, target = TARGETS[name]
    assert find_layout(name).target(Source(Path(path), category(path)), "flat-spot", 7) == target


@given(
    st.tuples(st.integers(0, 30_000), st.integers(0, 9_999)), st.tuples(st.integers(0, 30_000), st.integers(0, 9_999))
)
def test_numbers_tell_sources_and_variants_apart(one, other):
    assert (int(numbered(*one)) == int(numbered(*other))) == (one == other)
    assert (numbered(*one) < numbered(*other)) == (one < other) or max(one[0], other[0]) > 9_999


def test_too_many_variants_for_the_digits():
    with pytest.raises(ParameterError, match=r"--count: 10001: must be <= 10000 in this layout"):
        numbered(1, 10_000)


def test_letters():
    assert letters("perlin-surface") == "perlinsurface"
    # The way in which a public reader of each set takes the defect from the name.
    assert re.match(r"^(?:\d+)_([a-zA-Z]+)(?:_cut)?$", "00120007_flatspot")[1] == letters("flat-spot")
    assert re.match(r"^(?:[a-zA-Z]+\d+)_([a-zA-Z]+)(?:\d+)$", "cap3_flatspot00120007")[1] == letters("flat-spot")


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_root(tmp_path, name):
    with pytest.raises(DataError, match=r"expected files such as `.*`, found none\nhint: the root is"):
        list(find_layout(name).samples(tmp_path))
    with pytest.raises(DataError, match="not a folder"):
        list(find_layout(name).samples(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", NAMES)
def test_a_category_in_place_of_the_root(toys, name):
    inside = next(folder for folder in sorted(toys[name].iterdir()) if folder.is_dir())
    with pytest.raises(DataError, match="expected files such as"):
        list(find_layout(name).samples(inside))


@pytest.mark.parametrize("name", NAMES)
def test_files_elsewhere_are_passed_over(toys, tmp_path, name):
    shutil.copytree(toys[name], tmp_path / "set")
    before = list(find_layout(name).samples(tmp_path / "set"))
    shutil.copytree(toys[name], tmp_path / "set" / "_truth" / "more")
    (tmp_path / "set" / "readme.txt").write_text("hello")
    (tmp_path / "set" / "manifest.jsonl").write_text("{}")
    assert list(find_layout(name).samples(tmp_path / "set")) == before


WRONG = [
    (
        "mvtec3d",
        "remove",
        "cookie/train/good/rgb/001.png",
        r"rgb/001\.png: no such file: expected one for",
    ),
    (
        "mvtec3d",
        "remove",
        "cookie/test/good/gt/000.png",
        r"gt/000\.png: no such file: expected one for",
    ),
    ("mvtec3d", "cookie/train/good/xyz/001.tiff", "cookie/train/good/xyz/0.1.tiff", "expected a name without dots"),
    ("real3d", "torus/train/1_template.pcd", "torus/train/first.pcd", r"expected a name such as 1_template\.pcd"),
    ("real3d", "torus/train/1_template.pcd", "torus/train/2_prototype.pcd", "expected one of its own"),
    ("real3d", "torus/test/1_sink.pcd", "torus/test/sink.pcd", r"expected a name such as 1_good\.pcd or 2_bulge\.pcd"),
    ("real3d", "torus/gt", "torus/GT", r"gt/1_bulge\.txt: no such folder: expected the ground truth of torus/test/1_"),
    ("real3d", "torus", "goodyear", "contains `good`: readers of this layout take it for normal"),
    ("real3d", "torus", "temple", "contains `temp`: readers of this layout pass over it"),
    (
        "anomaly-shapenet",
        "pcd/torus0/GT",
        "pcd/torus0/gt",
        r"GT/torus0_bulge1\.txt: no such folder: expected",
    ),
    ("anomaly-shapenet", "pcd/torus0", "pcd/positive0", "contains `positive`: readers of this layout take it for"),
    (
        "anomaly-shapenet",
        "pcd/torus0/train/torus0_template1.pcd",
        "pcd/torus0/train/a.pcd",
        "expected a name such as a",
    ),
    ("anomaly-shapenet", "pcd/torus0/test/torus0_bulge1.pcd", "pcd/torus0/test/1.pcd", "expected a name such as"),
    ("mulsen", "torus/Pointcloud/train/2.stl", "torus/Pointcloud/train/two.stl", "expected a whole number as its name"),
    ("mulsen", "torus/Pointcloud/train/2.stl", "torus/Pointcloud/train/01.stl", "expected one of its own"),
    ("mulsen", "torus/Pointcloud/GT/squeeze", "torus/Pointcloud/GT/bent", "no such folder: expected the ground truth"),
    ("mulsen", "torus", "tester", "contains `test`: readers of this layout replace it by `GT`"),
    ("minishift", "torus/gt", "torus/GT", "no such folder: expected the ground truth of torus/test/bulge/easy/000.txt"),
    ("minishift", "torus/train/good/000.txt", "torus/train/good/test0.txt", "contains `test`: readers of this layout"),
]


@pytest.mark.parametrize(("name", "what", "where", "message"), WRONG)
def test_a_wrong_tree(toys, tmp_path, name, what, where, message):
    shutil.copytree(toys[name], tmp_path, dirs_exist_ok=True)
    if what == "remove":
        (tmp_path / where).unlink()
    else:
        (tmp_path / what).rename(tmp_path / where)
    with pytest.raises(DataError, match=message):
        list(find_layout(name).samples(tmp_path))


@pytest.mark.parametrize("name", ["real3d", "anomaly-shapenet", "mulsen", "minishift"])
def test_one_missing_ground_truth_is_no_reason_to_stop(toys, tmp_path, name):
    shutil.copytree(toys[name], tmp_path, dirs_exist_ok=True)
    layout = find_layout(name)
    lost = next(sample for sample in layout.samples(tmp_path) if sample.truth)
    (tmp_path / lost.truth).unlink()
    assert [s.path for s in layout.samples(tmp_path) if s.kind != "good" and s.truth is None] == [lost.path]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("real3d", "attempt", "`attempt`: contains `temp`"),
        ("anomaly-shapenet", "false-positive", "`false-positive`: contains `positive`"),
        ("mulsen", "latest", "`latest`: contains `test`"),
        ("minishift", "latest", "`latest`: contains `test`"),
    ],
)
def test_defects_whose_names_readers_misread(name, kind, message):
    path, _ = TARGETS[name]
    with pytest.raises(DataError, match=message):
        find_layout(name).target(Source(Path(path), category(path)), kind, 0)
