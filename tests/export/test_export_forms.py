"""What each export writes, read with nothing but the standard library, NumPy and Pillow."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
from pathlib import PurePosixPath

import numpy as np
import pytest
import yaml
from export_kit import records_of, truth_of
from PIL import Image as Pillow
from test_export_masks import brush_decoded, coco_decoded, even_odd

from anosynth.errors import DataError, WriteError
from anosynth.export import Settings, export
from anosynth.export._run import flat_key
from anosynth.io.images import read_image

KINDS = ["photos", "dataset"]


def made_of(out):
    return [record for record in records_of(out) if record["status"] == "made"]


def goods_of(out, split=None):
    """Return the ids of the good images, of a split if one is given."""
    rows = records_of(out)
    copied = {row["id"] for row in rows if row["status"] == "copied" and split in (None, row["split"])}
    if copied or any(row["status"] == "copied" for row in rows):
        return copied
    return {f"normal/{row['source']['path']}" for row in rows if split in (None, row["split"])}


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def mask_of(path):
    with Pillow.open(path) as picture:
        assert picture.mode == "L"
        pixels = np.array(picture)
    assert set(np.unique(pixels)) <= {0, 255}
    return pixels == 255


@pytest.mark.parametrize("kind", KINDS)
def test_coco(kind, both, tmp_path):
    outcome = export("coco", both[kind], tmp_path / "d")
    about = json.loads((tmp_path / "d" / "instances.json").read_text())
    truth, types = truth_of(both[kind]), {record["id"]: record["instances"] for record in made_of(both[kind])}
    names = {row["id"]: row["name"] for row in about["categories"]}
    assert names == {1: "spatter", 2: "stain"}
    assert [row["id"] for row in about["images"]] == list(range(1, outcome.total() + 1))
    assert [row["id"] for row in about["annotations"]] == list(range(1, outcome.instances + 1))
    found = {}
    for image in about["images"]:
        with Pillow.open(tmp_path / "d" / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            assert picture.getexif().get(274, 1) == 1
        found[image["id"]] = np.zeros((image["height"], image["width"]), dtype=np.int64)
    files = {row["id"]: row["file_name"] for row in about["images"]}
    numbers = dict.fromkeys(files, 0)
    for row in about["annotations"]:
        height, width = row["segmentation"]["size"]
        mask = coco_decoded(row["segmentation"]["counts"], height, width)
        y, x = np.nonzero(mask)
        assert row["bbox"] == [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
        assert (row["area"], row["iscrowd"]) == (mask.sum(), 0)
        numbers[row["image_id"]] += 1
        number = numbers[row["image_id"]]
        assert not (found[row["image_id"]] & -mask.astype(int)).any(), "defects overlap"
        found[row["image_id"]][mask] = number
        assert types[files[row["image_id"]]][number - 1]["type"] == names[row["category_id"]]
    for number, name in files.items():
        expected = truth.get(name)
        assert np.array_equal(found[number], expected) if expected is not None else not found[number].any()
    assert len(files) == len(truth) + len(goods_of(both[kind]))


def test_coco_of_a_split_is_a_part_of_the_whole(photos, tmp_path):
    export("coco", photos, tmp_path / "d")
    whole = json.loads((tmp_path / "d" / "instances.json").read_text())
    parts = [json.loads((tmp_path / "d" / f"instances_{s}.json").read_text()) for s in ("train", "validation", "test")]
    for kind in ("images", "annotations"):
        assert sorted((row for part in parts for row in part[kind]), key=lambda row: row["id"]) == whole[kind]
    for part, split in zip(parts, ("train", "validation", "test"), strict=True):
        assert {row["split"] for row in part["images"]} == {split}
        assert {row["image_id"] for row in part["annotations"]} <= {row["id"] for row in part["images"]}


@pytest.mark.parametrize("kind", KINDS)
def test_yolo(kind, both, tmp_path):
    from scipy.ndimage import binary_fill_holes

    out, dest = both[kind], tmp_path / "d"
    outcome = export("yolo", out, dest)
    data, truth = yaml.safe_load((dest / "data.yaml").read_text()), truth_of(out)
    assert data["names"] == {0: "spatter", 1: "stain"}
    folders = {"train": "train", "validation": "val", "test": "test"}
    used = {folders[record["split"]] for record in records_of(out)}
    assert {key: value for key, value in data.items() if key != "names"} == {name: f"images/{name}" for name in used}
    images = sorted(path for path in (dest / "images").rglob("*") if path.is_file())
    labels = sorted(path for path in (dest / "labels").rglob("*") if path.is_file())
    assert [p.relative_to(dest / "images").with_suffix("") for p in images] == [
        p.relative_to(dest / "labels").with_suffix("") for p in labels
    ]
    split = {flat_key(record["id"]): folders[record["split"]] for record in made_of(out)}
    masks, holes = {flat_key(name): mask for name, mask in truth.items()}, 0
    for path in labels:
        lines = path.read_text().splitlines()
        numbers = masks.get(path.stem)
        if numbers is None:
            assert not lines
            continue
        assert path.parent.name == split[path.stem]
        assert len(lines) == len(np.unique(numbers[numbers > 0]))
        for number, text in zip(np.unique(numbers[numbers > 0]), lines, strict=True):
            label, *values = text.split(" ")
            polygon = np.array(values, dtype=np.float64).reshape(-1, 2)
            assert label in "01"
            assert len(polygon) >= 3
            assert polygon.min() >= 0
            assert polygon.max() <= 1
            solid = binary_fill_holes(numbers == number)
            # Corners are whole numbers but for their seventh place, so no centre of a pixel is near an outline.
            found = even_odd(np.round(polygon * solid.shape[::-1], 3), *solid.shape)
            assert np.array_equal(found, solid)
            # Pillow, as OpenCV, also draws the bridges between blobs, one of its pixels wide.
            assert iou(pillow_filled(polygon, solid.shape), solid) > 0.85
            holes += bool((solid != (numbers == number)).any())
    assert sum(1 for path in labels if path.stem in masks) == len(masks)
    assert (outcome.holes_lost > 0) == (holes > 0)
    if kind == "photos":
        assert holes >= 4
        assert f"in {holes} of {outcome.instances} defects" in outcome.warnings[0]


def pillow_filled(polygon, shape):
    """Fill a polygon with Pillow at eight times the size and take the middle of each pixel."""
    from PIL import ImageDraw

    picture = Pillow.new("1", (shape[1] * 8, shape[0] * 8))
    corners = [tuple(point) for point in np.round(polygon * shape[::-1] * 8).tolist()]
    ImageDraw.Draw(picture).polygon(corners, fill=1)
    return np.array(picture)[4::8, 4::8]


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def test_yolo_says_what_is_missing(dataset, tmp_path):
    warnings = " ".join(export("yolo", dataset, tmp_path / "d").warnings)
    assert "no validation images" in warnings
    assert "no defects in the training split" in warnings


@pytest.mark.parametrize("kind", KINDS)
def test_label_studio(kind, both, tmp_path):
    from urllib.parse import unquote

    out, dest = both[kind], tmp_path / "d"
    export("label-studio", out, dest)
    tasks, truth = json.loads((dest / "tasks.json").read_text()), truth_of(out)
    assert len(tasks) == len(truth) + len(goods_of(out))
    seen = set()
    for task in tasks:
        start, _, path = task["data"]["image"].partition("?d=")
        path = unquote(path)
        assert start == "/data/local-files/"
        with Pillow.open(dest / path) as picture:
            size = picture.size
        name = path.removeprefix("images/")
        seen.add(name)
        if name not in truth:
            assert task["predictions"] == []
            assert task["data"]["label"] == "good"
            continue
        numbers = np.zeros(truth[name].shape, dtype=np.int64)
        (prediction,) = task["predictions"]
        for number, region in enumerate(prediction["result"], 1):
            assert (region["original_width"], region["original_height"]) == size
            assert region["value"]["brushlabels"][0] in ("stain", "spatter")
            numbers[brush_decoded(region["value"]["rle"]).reshape(size[1], size[0], 4)[:, :, 3] == 255] = number
        assert np.array_equal(numbers, truth[name])
    assert set(truth) <= seen


def test_label_studio_interface_names_what_the_regions_name(photos, tmp_path):
    from xml.etree import ElementTree

    export("label-studio", photos, tmp_path / "d")
    view = ElementTree.parse(tmp_path / "d" / "labels.xml").getroot()
    brush, image = view.find("BrushLabels"), view.find("Image")
    task = next(t for t in json.loads((tmp_path / "d" / "tasks.json").read_text()) if t["predictions"])
    region = task["predictions"][0]["result"][0]
    assert region["from_name"] == brush.get("name")
    assert region["to_name"] == image.get("name") == brush.get("toName")
    assert image.get("value") == "$image"
    assert [label.get("value") for label in brush] == ["spatter", "stain"]


@pytest.mark.parametrize("kind", KINDS)
def test_jsonl(kind, both, tmp_path):
    out, dest = both[kind], tmp_path / "d"
    outcome, truth = export("jsonl", out, dest), truth_of(out)
    split = {record["id"]: record["split"] for record in made_of(out)}
    for name in ("train", "validation", "test"):
        rows = lines_of(dest / f"{name}.jsonl") if (dest / f"{name}.jsonl").exists() else []
        assert len([row for row in rows if row["label"] == 0]) == len(goods_of(out, name))
        for row in rows:
            assert row["label_name"] == ("defective" if row["label"] else "good")
            assert ("maskname" in row) == bool(row["label"])
            assert row["clsname"] in (["object"] if kind == "photos" else ["fabric", "washer"])
            image = read_image(dest / row["filename"])
            if row["label"]:
                name_of = row["filename"].removeprefix("images/")
                assert split.pop(name_of) == name
                assert np.array_equal(mask_of(dest / row["maskname"]), truth[name_of] > 0)
                assert image.shape == truth[name_of].shape
        if name == "train":
            assert not any(row["label"] for row in rows)
    assert set(split.values()) <= {"train"}, "anomalies are missing that no source of training has"
    assert outcome.left_out == len(split)


@pytest.mark.parametrize("kind", KINDS)
def test_imagefolder(kind, both, tmp_path):
    out, dest = both[kind], tmp_path / "d"
    export("imagefolder", out, dest, settings=Settings(license="CC BY 4.0"))
    truth, seen, kinds = truth_of(out), set(), set()
    for path in sorted(dest.glob("*/metadata.jsonl")):
        rows = lines_of(path)
        for row in rows:
            kinds.add(tuple((key, type(value)) for key, value in row.items()))
            assert not any(part in row[key] for key in ("file_name", "mask_file_name") for part in ("..", "://"))
            mask, name = mask_of(path.parent / row["mask_file_name"]), row["file_name"].removeprefix("images/")
            assert read_image(path.parent / row["file_name"]).shape == mask.shape
            expected = truth[name] > 0 if row["synthetic"] else np.zeros_like(mask)
            assert np.array_equal(mask, expected)
            assert row["label"] == ("defective" if row["synthetic"] else "good")
            assert (row["defect"] == "good") == (not row["synthetic"])
            assert row["instances"] == len(np.unique(truth[name][truth[name] > 0])) if row["synthetic"] else True
            seen.add(row["id"])
    assert len(kinds) == 1, "the columns differ between rows"
    assert seen == set(truth) | goods_of(out)
    head = (dest / "README.md").read_text().split("---\n")[1]
    about = yaml.safe_load(head)
    assert about["license"] == "cc-by-4.0"
    splits = {entry["split"]: entry["path"] for entry in about["configs"][0]["data_files"]}
    assert splits == {path.parent.name: f"{path.parent.name}/**" for path in dest.glob("*/metadata.jsonl")}


@pytest.mark.parametrize("kind", KINDS)
def test_webdataset(kind, both, tmp_path):
    out, dest = both[kind], tmp_path / "d"
    outcome = export("webdataset", out, dest, settings=Settings(shard_size=4))
    truth = {flat_key(name): numbers for name, numbers in truth_of(out).items()}
    sizes, keys = {}, []
    for path in sorted(dest.glob("*.tar")):
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            assert all((m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) == (0, 0, 0, 0o644, "", "") for m in members)
            fields = [tuple(m.name.split(".", 1)) for m in members]
            assert [field for _, field in fields] == ["image.png", "mask.png", "json"] * (len(members) // 3)
            for start in range(0, len(members), 3):
                (key,) = {key for key, _ in fields[start : start + 3]}
                image, mask, text = (tar.extractfile(member) for member in members[start : start + 3])
                row = json.load(text)
                pixels = np.array(Pillow.open(mask)) == 255
                assert np.array_equal(pixels, truth[key] > 0) if key in truth else not pixels.any()
                assert (row["width"], row["height"]) == Pillow.open(image).size == pixels.shape[::-1]
                assert row["split"] == path.name.rpartition("-")[0]
                keys.append(key)
        sizes.setdefault(path.name.rpartition("-")[0], []).append(len(members) // 3)
    assert len(set(keys)) == len(keys) == outcome.total()
    for split, numbers in sizes.items():
        assert set(numbers[:-1]) <= {4}
        assert sum(numbers) == outcome.total(split=split)


def test_webdataset_keeps_16_bit_and_turns_photos(photos, tmp_path):
    export("webdataset", photos, tmp_path / "d")
    images = {}
    for path in (tmp_path / "d").glob("*.tar"):
        with tarfile.open(path) as tar:
            images |= {m.name: tar.extractfile(m).read() for m in tar if m.name.endswith("image.png")}
    assert images["normal__c.image.png"] == (photos.parent / "in" / "c.png").read_bytes()
    (tmp_path / "turned.png").write_bytes(images["normal__sub__turned.image.png"])
    turned = read_image(photos.parent / "in" / "sub" / "turned.jpg").pixels
    assert turned.shape == (40, 64, 3)
    assert np.array_equal(read_image(tmp_path / "turned.png").pixels, turned)


def anomalib_pairs(home, arguments):
    """Pair images and masks as anomalib's `Folder` does: both sorted by path, then the image's stem in the mask's."""
    suffixes = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

    def listed(name):
        folder = home / arguments[name]
        return sorted(str(path) for path in folder.glob("**/*") if path.suffix in suffixes)

    abnormal, masks = listed("abnormal_dir"), listed("mask_dir")
    assert len(abnormal) == len(masks)
    pairs = list(zip(abnormal, masks, strict=True))
    assert all(PurePosixPath(image).stem in PurePosixPath(mask).stem for image, mask in pairs)
    return listed("normal_dir"), listed("normal_test_dir"), pairs


@pytest.mark.parametrize("kind", KINDS)
def test_anomalib(kind, both, tmp_path):
    out, dest = both[kind], tmp_path / "d"
    outcome, truth = export("anomalib", out, dest), {flat_key(name): m for name, m in truth_of(out).items()}
    goods = {"train": 0, "rest": 0}
    for config in sorted(dest.glob("**/anomalib.yaml")):
        about = yaml.safe_load(config.read_text())
        assert about["class_path"] == "anomalib.data.Folder"
        normal, test, pairs = anomalib_pairs(config.parent, about["init_args"])
        goods["train"] += len(normal)
        goods["rest"] += len(test)
        for image, mask in pairs:
            assert np.array_equal(mask_of(mask), truth.pop(PurePosixPath(image).stem) > 0)
    assert goods["train"] == len(goods_of(out, "train"))
    assert goods["rest"] == len(goods_of(out)) - goods["train"]
    assert {record["split"] for record in made_of(out) if flat_key(record["id"]) in truth} <= {"train"}
    assert outcome.left_out == len(truth)
    assert len(list(dest.glob("**/anomalib.yaml"))) == (1 if kind == "photos" else 2)


def test_card_counts_and_warns(photos, tmp_path):
    export("card", photos, tmp_path, settings=Settings(license="My own, ask me"))
    text = (tmp_path / "README.md").read_text()
    about = yaml.safe_load(text.split("---\n")[1])
    assert (about["license"], about["license_name"]) == ("other", "My own, ask me")
    assert "The source images: My own, ask me. What is made of an image inherits its licence." in text
    assert "do not report results on these images as performance on real defects" in text
    assert "seed 7" in text
    made = made_of(photos)
    for split in ("train", "validation", "test"):
        goods, bad = len(goods_of(photos, split)), sum(record["split"] == split for record in made)
        assert f"| (none) | {split} | {goods} | {bad} |" in text
    stains = [
        sum(part["type"] == "stain" for record in made if record["split"] == split for part in record["instances"])
        for split in ("train", "validation", "test")
    ]
    assert f"| stain | {stains[0]} | {stains[1]} | {stains[2]} |" in text
    assert "instances 2" in text
    assert not (tmp_path / ".anosynth-export.jsonl").exists()


def test_card_goes_beside_the_run_but_over_nothing_else(photos, tmp_path):
    export("card", photos, tmp_path)
    first = (tmp_path / "README.md").read_bytes()
    export("card", photos, tmp_path)
    assert (tmp_path / "README.md").read_bytes() == first
    assert "must find it out" in first.decode()
    (tmp_path / "README.md").write_text("# Mine")
    with pytest.raises(WriteError, match=r"not made by `anosynth export card`\nhint: --overwrite"):
        export("card", photos, tmp_path)
    assert (tmp_path / "README.md").read_text() == "# Mine"
    export("card", photos, tmp_path, overwrite=True)
    assert (tmp_path / "README.md").read_bytes() == first


@pytest.mark.parametrize("above", [False, True])
def test_croissant(above, dataset, tmp_path):
    from export_kit import copied_run

    out = copied_run(dataset, tmp_path / "run")
    dest = out.parent if above else out
    for _ in range(2):
        export("croissant", out, dest, settings=Settings(license="CC BY-NC-SA 4.0", published="2026-01-31"))
    about = json.loads((dest / "croissant.json").read_text())
    assert about["license"] == "https://creativecommons.org/licenses/by-nc-sa/4.0/"
    assert about["datePublished"] == "2026-01-31"
    for node in about["distribution"]:
        if node["@type"] == "cr:FileObject":
            data = (dest / node["contentUrl"]).read_bytes()
            assert node["sha256"] == hashlib.sha256(data).hexdigest()
            assert node["contentSize"] == f"{len(data)} B"
        else:
            paths = {path for pattern in node["includes"] for path in dest.glob(pattern)}
            roles = {"image-files": "sample", "mask-files": "labels"}[node["@id"]]
            named = [o["path"] for r in records_of(out) for o in r["outputs"] if o["role"] == roles]
            assert paths == {out / path for path in named}
    with (dest / "croissant-samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(records_of(out))
    for row in rows:
        for name in ("image", "mask"):
            if row[name]:
                assert row[f"{name}_sha256"] == hashlib.sha256((dest / row[name]).read_bytes()).hexdigest()
        assert bool(row["mask"]) == (row["label"] == "defective")


def test_croissant_patterns_of_many_folders_stay_few(monkeypatch, dataset, tmp_path):
    from export_kit import copied_run

    from anosynth.export import croissant

    monkeypatch.setattr(croissant, "_MOST", 2)
    out = copied_run(dataset, tmp_path / "run")
    export("croissant", out, out)
    nodes = {node["@id"]: node for node in json.loads((out / "croissant.json").read_text())["distribution"]}
    assert nodes["image-files"]["includes"] == [
        "fabric/test/*.png", "fabric/train/*.png", "washer/test/*.png", "washer/train/*.png",
    ]  # fmt: skip
    assert nodes["image-files"]["encodingFormat"] == "image/png"
    # Croissant's `*` stands for `/` too, so nothing that is no image may lie below.
    named = {o["path"] for r in records_of(out) for o in r["outputs"] if o["role"] == "sample"}
    assert {p.relative_to(out).as_posix() for f in ("test", "train") for p in out.glob(f"*/{f}/**/*.png")} == named


def test_croissant_must_be_above_its_files(dataset, tmp_path):
    with pytest.raises(DataError, match="expected DEST to be OUT or a folder that holds it"):
        export("croissant", dataset, tmp_path)
    assert not list(tmp_path.iterdir())


def test_16_bit_is_copied_bit_for_bit(photos, tmp_path):
    export("coco", photos, tmp_path / "d")
    copied = (tmp_path / "d" / "images" / "normal" / "c.png").read_bytes()
    assert copied == (photos.parent / "in" / "c.png").read_bytes()
    made = read_image(tmp_path / "d" / "images" / "anomalous" / "c_000.png")
    assert made.pixels.dtype == np.uint16
