"""Trees of photos that are not as they should be: what is said of them, and what is made of the rest."""

from __future__ import annotations

import csv
import json
import logging
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from anosynth.datasets._bmp import encode_bmp
from anosynth.datasets.layout import find_layout, walk
from anosynth.errors import DataError, WriteError
from anosynth.images import Dent
from anosynth.io.images import read_image
from anosynth.recipe import Recipe
from anosynth.run import Plan, run

PHOTO = np.random.default_rng(1).integers(0, 255, (24, 24, 3), dtype=np.uint8)


def put(root, *names, pixels=PHOTO):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(pixels).save(root / name)


def mask(shows=True):
    pixels = np.zeros((24, 24), dtype=np.uint8)
    pixels[4:6, 4:6] = 255 * shows
    return pixels


def paths(name, root):
    return [sample.path.as_posix() for sample in find_layout(name).samples(root)]


def plan(name, root, **more):
    return Plan(root, find_layout(name), Recipe([Dent]), **more)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.WARNING, logger="anosynth")
    return lambda: [record.getMessage() for record in caplog.records]


# --- labels among plain photos


def test_masks_beside_photos(tmp_path, said):
    put(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d_mask.jpg")
    put(tmp_path, "a_mask.png", "b_GT.png", "c_label.bmp", pixels=mask(False))
    put(tmp_path, "b_mask_2.png", pixels=mask())
    assert paths("photos", tmp_path) == ["a.jpg", "c.jpg", "d_mask.jpg"]
    expected = "passed over what looks like masks: 4 (a_mask.png, ...); photos with a defect by them: 1 (b.jpg, ...)"
    assert said() == [f"{tmp_path}: {expected}"]


@pytest.mark.parametrize("folder", ["masks", "Mask", "gt", "labels", "ground_truth", "SegmentationClass"])
def test_a_folder_of_masks(tmp_path, said, folder):
    put(tmp_path, "part/images/a.png", "part/images/b.png", "other/a.png")
    put(tmp_path, f"part/{folder}/a.png", f"part/{folder}/of_nothing.png", pixels=mask())
    assert paths("photos", tmp_path) == ["other/a.png", "part/images/b.png"]
    assert len(said()) == 1


def test_a_category_of_mvtec_and_one_of_loco(tmp_path):
    put(
        tmp_path, "train/good/000.png", "test/good/000.png", "test/bent/000.png", "test/cut/000.png", "test/cut/001.png"
    )
    put(tmp_path, "ground_truth/bent/000_mask.png", "ground_truth/cut/000/000.png", "ground_truth/cut/000/001.png")
    assert paths("photos", tmp_path) == ["test/cut/001.png", "test/good/000.png", "train/good/000.png"]


def test_normal_photos_stay_whatever_masks_have_their_name(tmp_path):
    put(tmp_path, "good/000.png", "bad/000.png", "OK/000.png")
    put(tmp_path, "masks/000_mask.png", pixels=mask())
    assert paths("photos", tmp_path) == ["OK/000.png", "good/000.png"]


def test_masks_that_cannot_be_read_count_as_showing_something(tmp_path):
    put(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "a_mask.png").write_bytes(b"?")
    assert paths("photos", tmp_path) == ["b.jpg"]


def test_a_folder_of_masks_that_fits_nothing(tmp_path):
    put(tmp_path, "a.png")
    put(tmp_path, "masks/x.png", pixels=mask())
    with pytest.raises(
        DataError, match=r"masks/x\.png: lies in a folder of labels but belongs to no photo.*\nhint: give"
    ):
        paths("photos", tmp_path)
    # Masks that are the product.
    assert paths("photos", tmp_path / "masks") == ["x.png"]
    # What is called ground truth is nothing else.
    (tmp_path / "masks").rename(tmp_path / "ground_truth")
    assert paths("photos", tmp_path) == ["a.png"]


def test_all_photos_have_defects(tmp_path):
    put(tmp_path, "a.jpg")
    put(tmp_path, "a_mask.png", pixels=mask())
    with pytest.raises(DataError, match=r"a\.jpg: has a mask that shows a defect, as all photos here.*\nhint: give"):
        paths("photos", tmp_path)


def test_photos_that_are_named_one_by_one(tmp_path, said):
    put(tmp_path, "a.jpg", "a.png", "b.jpg")
    put(tmp_path, "b_mask.png", pixels=mask(False))
    first, second = plan("photos", tmp_path, only=(Path("a.jpg"), Path("a.png"))).jobs()
    assert first.source.problem == ""
    assert re.search(r"a\.png: differs from a\.jpg in the suffix alone: .*\nhint: rename one", second.source.problem)
    jobs = list(plan("photos", tmp_path, only=(Path("a.png"), Path("b.jpg"), Path("b_mask.png"))).jobs())
    assert [job.source.path.name for job in jobs] == ["a.png", "b.jpg"]
    assert len(said()) == 1


def test_an_earlier_run_among_the_photos_is_not_looked_at(tmp_path, said):
    put(tmp_path, "a.png", "b.png")
    run(plan("photos", tmp_path), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out/ground_truth").iterdir()]
    assert len(list(plan("photos", tmp_path).jobs())) == 2
    assert said() == []


# --- trees


def test_links_and_loops(tmp_path):
    put(tmp_path, "z/a.png")
    (tmp_path / "a").symlink_to("z")
    (tmp_path / "z/up").symlink_to("..")
    (tmp_path / "z/loop").symlink_to("loop")
    assert [path.as_posix() for path in walk(tmp_path, frozenset([".png"]))] == ["z/a.png"]
    put(tmp_path / "else", "c.png")
    for name in "qpr":
        (tmp_path / "z" / name).symlink_to(tmp_path / "else")
    shutil.move(tmp_path / "else", tmp_path.parent / "elsewhere")
    for name in "qpr":
        (tmp_path / "z" / name).unlink()
        (tmp_path / "z" / name).symlink_to(tmp_path.parent / "elsewhere")
    assert [path.as_posix() for path in walk(tmp_path, frozenset([".png"]))] == ["z/a.png", "z/p/c.png"]


TREES = {
    "mvtec": (
        "nut/train/good/{}.png",
        "nut/test/good/{}.png",
        "nut/test/bent/{}.png",
        "nut/ground_truth/bent/{}_mask.png",
    ),
    "mpdd": (
        "nut/train/good/{}.png",
        "nut/test/good/{}.png",
        "nut/test/bent/{}.png",
        "nut/ground_truth/bent/{}_mask.png",
    ),
    "mvtec-loco": (
        "nut/train/good/{}.png",
        "nut/validation/good/{}.png",
        "nut/test/logical_anomalies/{}.png",
        "nut/ground_truth/logical_anomalies/{}/000.png",
    ),
    "btad": ("01/train/ok/{}.bmp", "01/test/ok/{}.bmp", "01/test/ko/{}.bmp", "01/ground_truth/ko/{}.png"),
}


@pytest.mark.parametrize("name", TREES)
def test_missing_and_orphan_masks_are_named(tmp_path, said, name):
    train, good, bad, truth = TREES[name]
    put(tmp_path, *(place.format(number) for place in (train, good, bad) for number in ("000", "001")))
    put(tmp_path, truth.format("001"), truth.format("007"), pixels=mask())
    found = {sample.path.as_posix(): sample for sample in find_layout(name).samples(tmp_path)}
    assert len(found) == 6
    assert found[bad.format("000")].truth is None
    assert found[bad.format("001")].truth == Path(truth.format("001"))
    assert said() == [
        f"{tmp_path / bad.format('000')}: a photo of a defect without a mask: readers may refuse its category",
        f"{tmp_path / truth.format('007')}: a mask without a photo: readers may refuse its category",
    ]


@pytest.mark.parametrize("name", TREES)
def test_two_photos_of_one_name(tmp_path, name):
    train = TREES[name][0]
    other = train.replace(".bmp", ".png") if name == "btad" else train.replace(".png", ".PNG")
    put(tmp_path, train.format("000"), other.format("000"))
    with pytest.raises(DataError, match=r"000\.\w+: differs from 000\.\w+ in the suffix alone.*\nhint: rename"):
        paths(name, tmp_path)


@pytest.mark.parametrize("name", TREES)
def test_what_is_in_no_place_of_the_layout(tmp_path, name):
    train, good, _, _ = TREES[name]
    with pytest.raises(DataError, match=r"expected files such as `.*`, found none\nhint: the root"):
        paths(name, tmp_path)
    put(tmp_path, good.format("000"))
    with pytest.raises(DataError, match=r"no normal samples found\nhint: .* comes from"):
        list(plan(name, tmp_path).jobs())
    put(tmp_path, train.format("000").replace("good", "bent").replace("/ok", "/ko"))
    with pytest.raises(DataError, match=r"expected nothing but `(good|ok)` in (nut|01)/train"):
        paths(name, tmp_path)


def test_a_category_without_normal_photos_is_named(tmp_path, said):
    put(tmp_path, "nut/train/good/0.png", "nut/train/good/1.png", "cap/test/good/0.png")
    jobs = list(plan("mvtec", tmp_path).jobs())
    assert [job.kind for job in jobs] == ["copy", "copy", "make"]
    assert said() == [f"{tmp_path}/cap: no normal training samples (categories: 1): no anomalies of them"]


def test_a_pipe_is_not_waited_for(tmp_path, said):
    put(tmp_path / "in", *(f"nut/train/good/{number}.png" for number in range(3)))
    for place in ("nut/train/good/p.png", "nut/train/good/q.png"):
        os.mkfifo(tmp_path / "in" / place)
    summary = run(plan("mvtec", tmp_path / "in"), tmp_path / "out")
    assert (summary.made, summary.copied, summary.skipped) == (1, 2, 0)
    assert said() == [f"{tmp_path}/in/nut/train/good/{name}.png: not a regular file: passed over" for name in "pq"]


def test_names_that_are_not_utf_8(tmp_path):
    put(tmp_path / "in", "nut/train/good/a.png", "nut/train/good/b.png")
    for name in ("a", "b"):
        path = os.fsencode(tmp_path / "in/nut/train/good" / name)
        os.rename(path + b".png", path + b"\xff.png")  # noqa: PTH104
    summary = run(plan("mvtec", tmp_path / "in"), tmp_path / "out")
    assert (summary.made, summary.copied) == (1, 1)
    put(tmp_path / "visa", "nut/train/good/a.png")
    path = os.fsencode(tmp_path / "visa/nut/train/good/a.png")
    os.rename(path, path[:-4] + b"\xff.png")  # noqa: PTH104
    with pytest.raises(DataError, match="expected a name in UTF-8"):
        paths("visa", tmp_path / "visa")


def test_a_dot_in_a_name_of_loco(tmp_path):
    put(tmp_path, "nut/train/good/0.1.png")
    with pytest.raises(DataError, match=r"0\.1\.png: expected a name without dots: readers cut it at the last one"):
        paths("mvtec-loco", tmp_path)


# --- tables of the input


@pytest.fixture
def visa(tmp_path):
    put(
        tmp_path, *(f"nut/Data/Images/Normal/000{number}.png" for number in range(4)), "nut/Data/Images/Anomaly/000.png"
    )
    put(tmp_path, "nut/Data/Masks/Anomaly/000.png", pixels=mask())
    rows = [["nut", "train", "normal", f"nut/Data/Images/Normal/000{number}.png", ""] for number in range(3)]
    rows.append(["nut", "test", "normal", "nut/Data/Images/Normal/0003.png", ""])
    rows.append(["nut", "test", "anomaly", "nut/Data/Images/Anomaly/000.png", "nut/Data/Masks/Anomaly/000.png"])

    def write(change=lambda rows: rows, header=("object", "split", "label", "image", "mask")):
        (tmp_path / "split_csv").mkdir(exist_ok=True)
        with (tmp_path / "split_csv/1cls.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *change(rows)])
        return tmp_path

    return write


def test_a_table_that_is_wrong(visa):
    def first(*row):
        return lambda rows: [list(row), *rows[1:]]

    for change, message in [
        (
            first("nut", "train", "normal", "../a.png", ""),
            r"\.\./a\.png: expected a path such as nut/Data/Images/Normal",
        ),
        (first("nut", "train", "normal", "cap/Data/Images/Normal/a.png", ""), "expected a path such as nut/"),
        (first("..", "train", "normal", "../Data/Images/Normal/a.png", ""), "a path such as ../Data/Images/Normal"),
        (first("nut", "train", "normal", "nut/Data/Images/Normal/a\0.png", ""), r"a\\x00.png: expected|cannot be"),
        (first("nut", "train", "normal", "nut/Data/Images/Anomaly/a.png", ""), "expected a path such as nut/"),
        (first("nut", "dev", "normal", "nut/Data/Images/Normal/a.png", ""), "dev, normal: expected train or test"),
        (first("nut", "train", "good", "nut/Data/Images/Normal/a.png", ""), "train, good: expected train or test"),
        (first("nut", "train", "normal"), "line 2: 3 columns: expected 5"),
        (lambda rows: [rows[0], *rows], "named twice"),
    ]:
        with pytest.raises(DataError, match=message):
            paths("visa", visa(change))
    with pytest.raises(DataError, match="expected the header object,split,label,image,mask"):
        paths("visa", visa(header="abcde"))
    root = visa()
    (root / "split_csv/1cls.csv").write_bytes(b"object\xff")
    with pytest.raises(DataError, match="not in UTF-8"):
        paths("visa", root)


def test_a_table_that_names_what_is_not_here(visa, said, tmp_path):
    def more(rows):
        return [*rows, ["cap", "train", "normal", "cap/Data/Images/Normal/0000.JPG", ""]]

    root = visa(more)
    assert {sample.category for sample in find_layout("visa").samples(root)} == {"nut"}
    (root / "nut/Data/Images/Normal/0003.png").unlink()
    (root / "nut/Data/Masks/Anomaly/000.png").rename(root / "nut/Data/Masks/Anomaly/001.png")
    summary = run(plan("visa", root), tmp_path / "out")
    assert (summary.made, summary.copied) == (1, 2)
    assert len(summary.problems) == 1
    assert summary.problems[0].startswith("nut/Data/Images/Normal/0003.png: ")
    assert [text.split(": ", 1)[0].rpartition("/Data/")[2] for text in said()] == [
        "Images/Anomaly/000.png",
        "Masks/Anomaly/001.png",
    ]
    listed = (tmp_path / "out/split_csv/1cls.csv").read_text()
    assert "0003" not in listed
    assert "Anomaly/000.png" not in listed
    assert len(listed.splitlines()) == 4


@pytest.fixture
def real_iad(tmp_path):
    views = [f"OK/S000{number}/nut_{view}.jpg" for number in (1, 2, 3) for view in (1, 2)]
    put(tmp_path, *(f"realiad_256/nut/{view}" for view in views), "realiad_256/nut/NG/AK/S0001/n.jpg")
    put(tmp_path, "realiad_256/nut/NG/AK/S0001/n_mask.png", pixels=mask())
    row = {"category": "nut", "anomaly_class": "OK", "mask_path": None}
    rows = [{**row, "image_path": view} for view in views]
    bad = {"category": "nut", "anomaly_class": "AK", "image_path": "NG/AK/S0001/n.jpg"}
    bad["mask_path"] = "NG/AK/S0001/n_mask.png"

    def write(change=lambda data: data, home="realiad_jsons"):
        data = {"meta": {"normal_class": "OK", "prefix": "nut/"}, "train": rows[:4], "test": [*rows[4:], bad]}
        (tmp_path / home).mkdir(parents=True, exist_ok=True)
        (tmp_path / home / "nut.json").write_text(json.dumps(change(data)))
        return tmp_path

    return write


@pytest.mark.parametrize("home", ["realiad_jsons", "realiad_jsons/realiad_jsons"])
def test_json_files_lie_in_one_of_two_folders_and_stay_there(real_iad, tmp_path, home):
    root = real_iad(home=home)
    run(plan("real-iad", root), tmp_path / "out")
    data = json.loads((tmp_path / "out" / home / "nut.json").read_text())
    assert len(data["train"]) == 2
    assert [row["anomaly_class"] for row in data["test"]] == ["OK", "OK", "dent", "dent"]
    assert len({Path(row["image_path"]).parent.name for row in data["train"]}) == 1


def test_json_files_that_are_wrong(real_iad):
    def with_row(**change):
        return lambda data: {**data, "train": [{**data["train"][0], **change}, *data["train"][1:]]}

    for change, message in [
        (lambda data: [], "not a JSON object"),
        (lambda data: {**data, "meta": {"prefix": "x/"}}, "meta: expected the prefix nut/"),
        (lambda data: {**data, "train": None}, "train: expected a list"),
        (with_row(anomaly_class=3), "train: row 0: expected image_path, mask_path and anomaly_class"),
        (with_row(image_path="../a.jpg"), r"image_path: \.\./a\.jpg: expected a path in the folder of the category"),
        (with_row(image_path="/etc/a.jpg"), "expected a path in the folder"),
        (with_row(image_path="OK/S\0/a.jpg"), r"image_path: OK/S\\x00/a.jpg: expected a path in the folder"),
        (with_row(image_path="OK/\ud800/a.jpg"), r"image_path: OK/\\ud800/a.jpg: expected a path in the folder"),
        (with_row(image_path=None), "image_path: None: expected a path in the folder"),
        (with_row(mask_path="../a.png"), "mask_path: "),
        (lambda data: {**data, "test": data["train"]}, "test: row 0: OK/S0001/nut_1.jpg: listed twice"),
        (with_row(image_path="OK/S0001/nut_2.png"), "differs from nut_2.png in the suffix alone"),
    ]:
        with pytest.raises(DataError, match=message):
            paths("real-iad", real_iad(change))


def test_trees_of_real_iad_that_are_wrong(real_iad, tmp_path):
    root = real_iad()
    (root / "realiad_512").mkdir()
    with pytest.raises(DataError, match=r"holds realiad_256, realiad_512: expected one size\nhint: make a folder with"):
        paths("real-iad", root)
    (root / "realiad_512").rmdir()
    (root / "realiad_jsons/nut.json").rename(root / "realiad_jsons/cap.json")
    with pytest.raises(DataError, match="no JSON file of a category in realiad_256"):
        paths("real-iad", root)
    shutil.rmtree(root / "realiad_jsons")
    with pytest.raises(DataError, match="no JSON files: expected one for each category"):
        paths("real-iad", root)
    with pytest.raises(DataError, match="expected files such as `realiad_1024/"):
        paths("real-iad", root / "realiad_256")


def test_a_specimen_in_training_and_test_of_the_input_is_named(real_iad, said):
    def moved(data):
        return {**data, "train": data["train"][:3], "test": [data["train"][3], *data["test"]]}

    root = real_iad(moved)
    assert len(paths("real-iad", root)) == 7
    [text] = said()
    assert text.startswith(f"{root}/realiad_256/nut/OK/S0002: in training and in test")


# --- bitmaps


@pytest.mark.parametrize("shape", [(9, 8), (8, 9), (11, 13, 3), (8, 16, 3), (10, 10)])
def test_bitmaps_keep_every_bit(tmp_path, shape):
    before = np.random.default_rng(5).integers(0, 255, shape, dtype=np.uint8, endpoint=True)
    (tmp_path / "a.bmp").write_bytes(encode_bmp(before))
    with Pillow.open(tmp_path / "a.bmp") as picture:
        assert picture.mode == ("L" if len(shape) == 2 else "RGB")
        assert np.array_equal(np.asarray(picture), before)
    assert np.array_equal(read_image(tmp_path / "a.bmp").pixels, before)


@pytest.mark.parametrize("pixels", [np.zeros((8, 8), np.uint16), np.zeros((8, 8, 4), np.uint8), np.zeros(8, np.uint8)])
def test_bitmaps_of_other_kinds(pixels):
    with pytest.raises(WriteError, match="expected 8 bit, grey or RGB"):
        encode_bmp(pixels)
