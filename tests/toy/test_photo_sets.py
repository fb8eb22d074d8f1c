"""Toy data sets of photos: the files and tables of each layout, alike for one seed."""

from __future__ import annotations

import csv
import json
from collections import Counter
from functools import partial

import numpy as np
import pytest
from PIL import Image as Pillow

from anosynth.errors import UnknownGenerator
from anosynth.toy import images, make_toy, photo_sets
from anosynth.toy.photo_sets import PHOTO_SETS, make_photos

TABLES = (".csv", ".json")


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path):
    with Pillow.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (images, photo_sets):
        monkeypatch.setattr(module, "toy_image", partial(images.toy_image, size=60))


@pytest.mark.parametrize("name", PHOTO_SETS)
def test_a_photo_depends_on_seed_and_path_alone(tmp_path, name):
    for folder, seed, count in [("a", 0, 3), ("b", 0, 2), ("c", 1, 2)]:
        written = make_toy(name, tmp_path / folder, seed=seed, count=count)
        assert written == sorted(path for path in (tmp_path / folder).rglob("*") if path.is_file())
    a, b, c = ({p: d for p, d in content(tmp_path / x).items() if not p.endswith(TABLES)} for x in "abc")
    assert b.keys() == c.keys()
    assert b.items() <= a.items()
    assert len(b) < len(a)
    assert all(b[path] != c[path] for path in b if "ground_truth/logical" not in path)


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_numbers_of_samples(tmp_path, count):
    some = max(1, count // 2)
    make_photos("visa", tmp_path / "visa", seed=0, count=count)
    with (tmp_path / "visa/split_csv/1cls.csv").open() as file:
        rows = [(row["split"], row["label"]) for row in csv.DictReader(file) if row["object"] == "fabric"]
    found = Counter(rows)
    assert found["train", "normal"] + found["test", "normal"] == count + some
    assert found["train", "normal"] >= count
    assert found["test", "anomaly"] == 2 * some
    with (tmp_path / "visa/fabric/image_anno.csv").open() as file:
        labels = Counter(row["label"] for row in csv.DictReader(file))
    assert labels == {"normal": count + some, "scratch": some, "stain": some}


def test_visa_masks_hold_classes(tmp_path):
    make_photos("visa", tmp_path, seed=0, count=2)
    values = {tuple(np.unique(pixels(path))) for path in tmp_path.rglob("*.png")}
    assert values == {(0, 1), (0, 2)}
    assert all(path.suffix == ".JPG" for path in tmp_path.rglob("Images/*/*"))


def test_loco_masks_hold_the_codes_of_the_configuration(tmp_path):
    make_photos("mvtec-loco", tmp_path, seed=0, count=4)
    codes = {
        e["defect_name"]: e["pixel_value"] for e in json.loads((tmp_path / "washer/defects_config.json").read_text())
    }
    for kind, name, numbers in [("logical", "extra_part", {1, 2}), ("structural", "damage", {1})]:
        folders = list((tmp_path / f"washer/ground_truth/{kind}_anomalies").iterdir())
        assert {len(list(folder.iterdir())) for folder in folders} == numbers
        for mask in (path for folder in folders for path in folder.iterdir()):
            assert set(np.unique(pixels(mask))) == {0, codes[name]}


def test_views_of_a_specimen(tmp_path):
    make_photos("real-iad", tmp_path, seed=0, count=2)
    data = json.loads((tmp_path / "realiad_jsons/realiad_jsons/washer.json").read_text())
    specimens = {
        split: Counter(row["image_path"].rpartition("/")[0] for row in data[split]) for split in ("train", "test")
    }
    assert set(specimens["train"].values()) == set(specimens["test"].values()) == {5}
    assert not specimens["train"].keys() & specimens["test"].keys()
    for row in data["test"]:
        if row["mask_path"]:
            mask = pixels(tmp_path / "realiad_256/washer" / row["mask_path"])
            assert mask.shape == pixels(tmp_path / "realiad_256/washer" / row["image_path"]).shape[:2]
            assert set(np.unique(mask)) == {0, 255}


def test_unknown(tmp_path):
    with pytest.raises(UnknownGenerator, match="no toy `viza`; did you mean `visa`"):
        make_photos("viza", tmp_path, seed=0, count=1)


@pytest.mark.parametrize("kind", images.DEFECTS)
def test_photos_of_one_kind_with_defects_and_masks(tmp_path, kind):
    make_toy(kind, tmp_path, seed=0, count=3)
    names = {folder: sorted(p.name for p in (tmp_path / folder).iterdir()) for folder in ("good", "defects", "masks")}
    assert names["good"] == ["000.png", "001.png", "002.png"]
    assert names["defects"] == names["masks"] == sorted(f"{defect}_000.png" for defect in images.DEFECTS[kind])
    for name in names["masks"]:
        mask = pixels(tmp_path / "masks" / name)
        assert set(np.unique(mask)) == {0, 255}
        assert mask.shape == pixels(tmp_path / "defects" / name).shape[:2]
