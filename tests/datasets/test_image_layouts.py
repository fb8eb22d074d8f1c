"""Data sets of photos from toy to replay, read back the way that the public readers of each set do."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from anosynth.datasets.layout import Source, find_layout, held_out
from anosynth.generator import Anomaly
from anosynth.images import Dent, MissingPart
from anosynth.io.images import read_image
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, replay, run, verify
from anosynth.toy import images, make_toy, photo_sets

NAMES = ("btad", "mpdd", "mvtec-loco", "real-iad", "visa")
SEED = 3


def recipe():
    return Recipe([Vary(Dent, instances=2), MissingPart])


def plan(name, root, **more):
    return Plan(root, find_layout(name), recipe(), **{"seed": SEED, "count": 2, "held_out": 0.5, **more})


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path):
    with Pillow.open(path) as picture:
        return np.asarray(picture)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    with pytest.MonkeyPatch.context() as patch:
        for module in (images, photo_sets):
            patch.setattr(module, "toy_image", partial(images.toy_image, size=80))
        for name in NAMES:
            make_toy(name, folder / name, count=2)
    return {name: folder / name for name in NAMES}


@pytest.fixture(scope="module")
def runs(sets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in NAMES:
        assert run(plan(name, sets[name]), folder / name).skipped == 0
    return {name: folder / name for name in NAMES}


def rows(out):
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()[1:]]


def role(row, name):
    return [output["path"] for output in row["outputs"] if output["role"] == name]


# --- other people's readers


def read_mvtec(out):
    """Pair photos and masks by sorted paths of all PNGs of a category, the photo's stem in the mask's."""
    for category in sorted({row["category"] for row in rows(out)}):
        found = [path for path in (out / category).glob("**/*") if path.suffix == ".png"]
        assert all(len(path.relative_to(out / category).parts) == 3 for path in found)
        masks = sorted(str(path) for path in found if "ground_truth" in path.parts)
        tests = [path for path in found if "test" in path.parts and "good" not in path.parts]
        photos = sorted(str(path) for path in tests)
        assert len(masks) == len(photos) > 0
        for photo, mask in zip(photos, masks, strict=True):
            assert Path(photo).stem in Path(mask).stem
            yield photo, pixels(mask) == 255
        for path in found:
            if "good" in path.parts:
                yield str(path), None


def read_loco(out):
    """Take photos by path and folders of masks by (kind, folder), both sorted, and join the masks of a folder."""
    for category in sorted({row["category"] for row in rows(out)}):
        found = [path for path in (out / category).glob("**/*") if path.suffix in (".png", ".PNG")]
        folders = defaultdict(list)
        for path in sorted(str(path) for path in found if "ground_truth" in path.parts):
            folders[Path(path).parts[-3:-1]].append(path)
        photos = sorted(str(path) for path in found if path.parts[-3] == "test" and path.parts[-2] != "good")
        codes = {entry["pixel_value"] for entry in json.loads((out / category / "defects_config.json").read_text())}
        assert len(photos) == len(folders) > 0
        for photo, (key, masks) in zip(photos, sorted(folders.items()), strict=True):
            assert key[0] == Path(photo).parent.name
            assert Path(key[1]).stem == Path(photo).stem
            parts = [pixels(mask) for mask in masks]
            assert [Path(mask).name for mask in masks] == [f"{number:03d}.png" for number in range(len(masks))]
            assert all(part.dtype == np.uint8 and set(np.unique(part)) - {0} <= codes for part in parts)
            yield photo, np.any([part > 0 for part in parts], axis=0)
        for path in found:
            if path.parts[-2] == "good":
                yield str(path), None


def read_visa(out):
    with (out / "split_csv/1cls.csv").open(encoding="utf-8") as file:
        table = csv.reader(file)
        assert next(table) == ["object", "split", "label", "image", "mask"]
        for category, split, label, image, mask in table:
            assert image.startswith(f"{category}/Data/Images/{'Normal' if label == 'normal' else 'Anomaly'}/")
            assert (label == "anomaly") <= (split == "test")
            if label == "normal":
                assert not mask
                yield str(out / image), None
            else:
                classes = pixels(out / mask)
                assert classes.dtype == np.uint8
                assert set(np.unique(classes)) == {0, 1}
                yield str(out / image), classes != 0


def read_btad(out):
    for category in ("01", "02", "03"):
        found = [path for path in (out / category).glob("**/*") if path.suffix in {".bmp", ".png"}]
        suffix = ".bmp" if category == "03" else ".png"
        masks = {path.name for path in found if path.parts[-3] == "ground_truth"}
        photos = [path for path in found if path.parts[-3] != "ground_truth"]
        assert {path.suffix for path in photos} == {".png" if category == "02" else ".bmp"}
        for path in photos:
            _, split, label, name = path.relative_to(out).parts
            if label == "ok":
                yield str(path), None
                continue
            assert (split, label) == ("test", "ko")
            # Old readers strip the letters of the suffix, and more of them if the name ends so.
            stem = name.rstrip("png").rstrip(".").rstrip("bmp").rstrip(".")
            assert stem == path.stem
            mask = out / category / "ground_truth" / label / (stem + suffix)
            masks.remove(mask.name)
            assert pixels(mask).ndim == 2
            yield str(path), pixels(mask) == 255
        assert not masks


def read_real_iad(out):
    for file in sorted((out / "realiad_jsons/realiad_jsons").glob("*.json")):
        data = json.loads(file.read_text())
        base = out / "realiad_256" / file.stem
        assert data["meta"] == {"normal_class": "OK", "prefix": f"{file.stem}/"}
        listed = set()
        for split in ("train", "test"):
            for row in data[split]:
                assert set(row) == {"category", "anomaly_class", "image_path", "mask_path"}
                assert (row["anomaly_class"] == "OK") >= (split == "train")
                listed |= {row["image_path"], row["mask_path"]}
                if row["anomaly_class"] == "OK":
                    assert row["mask_path"] is None
                    yield str(base / row["image_path"]), None
                else:
                    assert row["image_path"].startswith(f"NG/{row['anomaly_class']}/S")
                    assert row["mask_path"] == row["image_path"][:-4] + "_mask.png"
                    yield str(base / row["image_path"]), pixels(base / row["mask_path"]) == 255
        assert listed - {None} == {path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_file()}


READERS = {
    "btad": read_btad,
    "mpdd": read_mvtec,
    "mvtec-loco": read_loco,
    "real-iad": read_real_iad,
    "visa": read_visa,
}


@pytest.mark.parametrize("name", NAMES)
def test_other_readers_find_every_sample_with_its_mask(sets, runs, name):
    out, found = runs[name], dict(READERS[name](runs[name]))
    made = {row["outputs"][0]["path"]: row for row in rows(out)}
    assert {Path(path).relative_to(out).as_posix() for path in found} == set(made)
    assert {row["generator"]["generator"] for row in made.values() if "generator" in row} == {"dent", "missing-part"}
    for path, mask in found.items():
        row = made[Path(path).relative_to(out).as_posix()]
        assert (row["status"] == "made") == (mask is not None)
        if mask is not None:
            before, after = pixels(sets[name] / row["source"]["path"]), pixels(path)
            assert np.array_equal((before != after).any(axis=2), mask)
            assert mask.any()


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_the_toy(sets, name):
    samples = list(find_layout(name).samples(sets[name]))
    assert {(sample.split, sample.kind == "good") for sample in samples} >= {
        ("train", True),
        ("test", True),
        ("test", False),
    }
    assert all((sample.truth is None) == (sample.kind == "good") for sample in samples)
    for sample in samples:
        assert (sets[name] / sample.path).is_file()
        if sample.truth:
            mask = pixels(sets[name] / sample.truth)
            assert mask.shape == pixels(sets[name] / sample.path).shape[:2]
            assert 0 < np.count_nonzero(mask) < mask.size / 4


@pytest.mark.parametrize("name", NAMES)
def test_verify_and_replay(runs, name):
    assert {finding.state for finding in verify(runs[name])} == {"ok"}
    assert {finding.state for finding in replay(runs[name])} == {"ok"}


@pytest.mark.parametrize("name", NAMES)
def test_no_source_is_in_two_splits(sets, runs, name):
    train = {row["source"]["path"] for row in rows(runs[name]) if row["split"] == "train"}
    made = {row["source"]["path"] for row in rows(runs[name]) if row["status"] == "made"}
    assert train
    assert made
    assert not train & made
    goods = {sample.path.as_posix() for sample in find_layout(name).samples(sets[name]) if sample.split == "train"}
    assert made | train == goods
    if name == "real-iad":
        specimens = [{str(Path(path).parent) for path in paths} for paths in (train, made)]
        assert not specimens[0] & specimens[1]
        assert all(len([path for path in goods if path.startswith(f"{one}/")]) == 5 for one in specimens[1])


@pytest.mark.parametrize("name", NAMES)
def test_shards_and_their_order_change_no_byte(sets, runs, tmp_path, name):
    for shard in ((3, 3), (1, 3), (2, 3)):
        run(plan(name, sets[name], shard=shard), tmp_path)
    found, whole = content(tmp_path), content(runs[name])
    assert {p: d for p, d in found.items() if "manifest" not in p} == {
        p: d for p, d in whole.items() if "manifest" not in p
    }
    assert {finding.state for finding in verify(tmp_path)} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mvtec-loco", "visa"])
def test_workers_change_no_byte(sets, runs, tmp_path, name):
    run(plan(name, sets[name]), tmp_path, workers=2)
    found, whole = content(tmp_path), content(runs[name])
    assert found.keys() == whole.keys()
    for path, data in whole.items():
        # The way from OUT to the root is in the header.
        assert found[path].split(b"\n")[path == "manifest.jsonl" :] == data.split(b"\n")[path == "manifest.jsonl" :]


TABLES = {
    "mvtec-loco": {"tablet/defects_config.json", "washer/defects_config.json"},
    "real-iad": {f"realiad_jsons/realiad_jsons/{kind}.json" for kind in ("tablet", "washer")},
    "visa": {"split_csv/1cls.csv", *(f"{kind}/image_anno.csv" for kind in ("fabric", "tablet", "washer"))},
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_written_again_and_go_with_their_run(sets, runs, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(runs[name], out)
    before = content(out)
    listed = {output["path"] for row in rows(out) for output in row["outputs"]}
    assert set(before) - listed - {"manifest.jsonl"} == TABLES[name]
    # A table that is lost or damaged comes back with the run.
    header = json.loads((out / "manifest.jsonl").read_text().splitlines()[0])
    header["root"] = Path(os.path.relpath(sets[name].resolve(), out.resolve())).as_posix()
    lines = (out / "manifest.jsonl").read_bytes().split(b"\n", 1)
    (out / "manifest.jsonl").write_bytes(json.dumps(header, separators=(",", ":")).encode() + b"\n" + lines[1])
    for path in TABLES[name]:
        (out / path).write_bytes(b"damaged")
    (out / min(TABLES[name])).unlink()
    assert run(plan(name, sets[name]), out).kept == len(rows(out))
    after = content(out)
    assert all(after[path] == before[path] for path in TABLES[name])
    # Those of a category that is no longer made go.
    run(plan(name, sets[name], categories=("tablet",)), out, overwrite=True)
    assert {path for path in TABLES[name] if (out / path).exists()} == {
        p for p in TABLES[name] if "washer" not in p
    } - {"fabric/image_anno.csv"}
    assert not (out / "washer").exists()
    fresh = tmp_path / "fresh"
    run(plan(name, sets[name], categories=("tablet",)), fresh)
    found, expected = content(out), content(fresh)
    found.pop("manifest.jsonl"), expected.pop("manifest.jsonl")
    assert found == expected


def test_a_foreign_table_stays_without_a_run_of_its_layout(tmp_path):
    (tmp_path / "nut").mkdir()
    (tmp_path / "nut/image_anno.csv").write_text("mine")
    for name in ("visa", "mvtec-loco", "btad", "mpdd"):
        assert find_layout(name).finish(tmp_path) == []
    assert content(tmp_path) == {"nut/image_anno.csv": b"mine"}


# --- what is held out


def test_a_group_is_held_out_as_one():
    sources = [Source(Path(f"{c}/S{n}/{view}.png"), c) for c in "ab" for n in range(10) for view in range(3)]
    chosen = held_out(sources, 5, 0.3, lambda source: source.path.parent.as_posix())
    assert len(chosen) == 2 * 3 * 3
    folders = {key.rpartition("/")[0] for key in chosen}
    assert len(folders) == 6
    assert chosen == {source.key for source in sources if source.path.parent.as_posix() in folders}
    assert chosen != held_out(sources, 6, 0.3, lambda source: source.path.parent.as_posix())


def test_photos_without_a_specimen_are_groups_of_their_own():
    layout = find_layout("real-iad")
    one, two = (Source(Path(f"realiad_256/nut/OK/{n}.jpg"), "nut") for n in (1, 2))
    assert layout.group(one) != layout.group(two)
    views = [Source(Path(f"realiad_256/nut/OK/S0001/{n}.jpg"), "nut") for n in (1, 2)]
    assert layout.group(views[0]) == layout.group(views[1])


# --- names

TARGETS = {
    "mvtec-loco": ("nut/train/good/007.png", "flat-spot", "nut/test/structural_anomalies/007_flat-spot_012.png"),
    "btad": ("03/train/ok/0007.bmp", "bump", "03/test/ko/0007_bump_012.bmp"),
    "mpdd": ("nut/train/good/007.png", "bump", "nut/test/bump/007_012.png"),
    "visa": ("nut/Data/Images/Normal/0007.JPG", "bump", "nut/Data/Images/Anomaly/0007_bump_012.png"),
    "real-iad": (
        "realiad_512/nut/OK/S0007/nut_0007_OK_C2_99.jpg",
        "bump",
        "realiad_512/nut/NG/bump/S0007_012/nut_0007_NG_bump_C2_99_012.png",
    ),
}


@pytest.mark.parametrize("name", TARGETS)
def test_target(name):
    path, kind, target = TARGETS[name]
    category = path.split("/")[name == "real-iad"]
    assert find_layout(name).target(Source(Path(path), category), kind, 12) == target


@pytest.mark.parametrize("kind", ["missing-part", "structure"])
def test_what_is_logical(kind):
    target = find_layout("mvtec-loco").target(Source(Path("nut/train/good/1.png"), "nut"), kind, 0)
    assert target == f"nut/test/logical_anomalies/1_{kind}_000.png"


def test_each_defect_has_a_mask(sets, tmp_path):
    layout, root = find_layout("mvtec-loco"), sets["mvtec-loco"]
    source = layout.sources(root)[0]
    image = read_image(root / source.path)
    numbers = np.zeros(image.shape, dtype=np.uint16)
    # The second of three has no pixel left.
    numbers[3:5, 3:6], numbers[20:22, 9:10] = 1, 3
    anomaly = Anomaly(image, numbers > 0, (numbers > 0).astype(np.float32), numbers, Dent(), before=image)
    target = layout.target(source, "dent", 0)
    outputs = layout.write(root, tmp_path, source, target, anomaly)
    assert [output.role for output in outputs] == ["sample", "labels", "labels-001", "instances"]
    folder = tmp_path / source.category / "ground_truth/structural_anomalies" / Path(target).stem
    assert np.array_equal(pixels(folder / "000.png") == 255, numbers == 1)
    assert np.array_equal(pixels(folder / "001.png") == 255, numbers == 3)
    assert sorted(folder.iterdir()) == [folder / "000.png", folder / "001.png"]
    record = {"outputs": [{"role": output.role, "path": output.path} for output in outputs]}
    assert np.array_equal(layout.read_truth(tmp_path, record).mask, numbers > 0)


def test_masks_of_btad_are_as_in_the_input(sets, tmp_path):
    shutil.copytree(sets["btad"] / "03", tmp_path / "in/03")
    for mask in (tmp_path / "in/03/ground_truth/ko").glob("*.bmp"):
        Pillow.fromarray(pixels(mask)).save(mask.with_suffix(".png"))
        mask.unlink()
    run(plan("btad", tmp_path / "in"), tmp_path / "out")
    made = [row for row in rows(tmp_path / "out") if row["status"] == "made"]
    assert {Path(role(row, "labels")[0]).suffix for row in made} == {".png"}
    assert {Path(role(row, "sample")[0]).suffix for row in made} == {".bmp"}


# --- the other form of VisA


def test_the_reorganised_form_becomes_the_raw_one(sets, tmp_path):
    raw, root = sets["visa"], tmp_path / "visa"
    with (raw / "split_csv/1cls.csv").open() as file:
        for row in csv.DictReader(file):
            label = "good" if row["label"] == "normal" else "bad"
            target = root / "visa_pytorch" / row["object"] / row["split"] / label / Path(row["image"]).name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(raw / row["image"], target)
            if row["mask"]:
                mask = root / "visa_pytorch" / row["object"] / "ground_truth/bad" / Path(row["mask"]).name
                mask.parent.mkdir(parents=True, exist_ok=True)
                Pillow.fromarray((pixels(raw / row["mask"]) > 0).astype(np.uint8) * 255).save(mask)
    forms = [
        {(s.category, s.path.name, s.split, s.kind, s.truth is None) for s in find_layout("visa").samples(folder)}
        for folder in (raw, root)
    ]
    assert forms[0] == forms[1]
    out = tmp_path / "out"
    run(plan("visa", root), out)
    assert {finding.state for finding in (*verify(out), *replay(out))} == {"ok"}
    found = {Path(path).relative_to(out).as_posix(): mask for path, mask in read_visa(out)}
    assert all(re.fullmatch(r"[a-z]+/Data/Images/(Normal/\d{4}\.JPG|Anomaly/\d{4}_.*\.png)", path) for path in found)
    for path, mask in found.items():
        assert mask is not None or (out / path).read_bytes() == (raw / path).read_bytes()
    made = {find_layout("visa").place(s) for s in find_layout("visa").samples(root) if s.kind == "good"} - set(found)
    assert made == {
        f"{row['category']}/Data/Images/Normal/{Path(row['source']['path']).name}"
        for row in rows(out)
        if row["status"] == "made"
    }
