"""What holds of every export: which images, the place, the bytes, the errors."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
from export_kit import RECIPE, copied_run, records_of, tree
from PIL import Image as Pillow

from anosynth.datasets.layout import find_layout
from anosynth.errors import AnosynthError, DataError, ParameterError, UnknownGenerator, WriteError
from anosynth.export import Settings, export, export_names, find_export
from anosynth.export._dest import MARK
from anosynth.export._run import flat_key, open_run, plain_name
from anosynth.io.images import write_map
from anosynth.run import Plan, run

FOLDERS = [name for name in export_names() if not find_export(name).files]


def edited(out, change):
    """Apply `change` to each record of the manifest."""
    path = out / "manifest.jsonl"
    head, *lines = path.read_text().splitlines()
    records = [change(json.loads(line)) or json.loads(line) for line in lines]
    path.write_text("\n".join([head, *(json.dumps(record) for record in records)]) + "\n")


def test_names():
    assert export_names() == [
        "anomalib", "card", "coco", "croissant", "imagefolder", "jsonl", "label-studio", "webdataset", "yolo",
    ]  # fmt: skip
    assert all(find_export(name).name == name for name in export_names())
    with pytest.raises(UnknownGenerator, match="did you mean `coco`"):
        find_export("cocoo")


@pytest.mark.parametrize("kind", ["photos", "dataset"])
@pytest.mark.parametrize("name", FOLDERS)
def test_equal_runs_give_equal_bytes(name, kind, both, tmp_path):
    export(name, both[kind], tmp_path / "a")
    export(name, both[kind], tmp_path / "b")
    found = tree(tmp_path / "a")
    assert found == tree(tmp_path / "b")
    assert len(found) > 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"], "something was left aside"


@pytest.mark.parametrize("name", FOLDERS)
def test_shards_do_not_matter(name, dataset, tmp_path):
    root = dataset.parent / "in"
    for index in (1, 2):
        plan = Plan(
            root, find_layout("mvtec"), RECIPE, seed=1, count=2, held_out=0.3, shard=(index, 2),
            categories=("fabric", "washer"),
        )  # fmt: skip
        run(plan, tmp_path / "shards")
        if index == 1:
            with pytest.raises(DataError, match=r"manifest-00002-of-00002\.jsonl is not here"):
                export(name, tmp_path / "shards", tmp_path / "x")
    export(name, tmp_path / "shards", tmp_path / "a")
    export(name, dataset, tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_goods_of_photos_are_the_sources_once_each(photos):
    with open_run(photos) as opened:
        entries = list(opened.entries())
    made = [record for record in records_of(photos) if record["status"] == "made"]
    goods = {entry.id: entry.split for entry in entries if not entry.defective}
    assert goods == {f"normal/{record['source']['path']}": record["split"] for record in made}
    assert sorted(entry.id for entry in entries if entry.defective) == sorted(record["id"] for record in made)
    assert [entry.id.encode() for entry in entries] == sorted(entry.id.encode() for entry in entries)
    assert {entry.split for entry in entries} == {"train", "validation", "test"}


def test_goods_of_a_data_set_are_the_copies(dataset):
    with open_run(dataset) as opened:
        goods = {entry.id: entry.split for entry in opened.entries() if not entry.defective}
    assert goods == {r["id"]: r["split"] for r in records_of(dataset) if r["status"] == "copied"}
    assert set(goods.values()) == {"train", "test"}


def test_keys_are_plain_and_distinct():
    names = ["a/b.png", "a__b.png", "a.b.png", "a_b.png", "_a/b.png", "a/_b.png", "ä/b c.png", "a" * 300, "x\udcff.png"]
    keys = [flat_key(name) for name in names]
    assert len(set(keys)) == len(names)
    assert keys[0] == "a__b"
    assert all("." not in key and "/" not in key and " " not in key and len(key.encode()) <= 200 for key in keys)
    assert plain_name("A/b.PNG") == "A/b.png"
    assert plain_name("ä ö/b.png") == "ä ö/b.png"
    assert plain_name("x\udcff.png").encode()


@pytest.mark.parametrize("name", FOLDERS)
def test_again_replaces_its_own_but_nothing_else(name, dataset, tmp_path):
    dest = tmp_path / "dest"
    dest.mkdir()
    export(name, dataset, dest)
    first = tree(dest)
    export(name, dataset, dest)
    assert tree(dest) == first
    (dest / "mine.txt").write_text("mine")
    with pytest.raises(WriteError, match=r"mine\.txt.*\nhint: .*--overwrite"):
        export(name, dataset, dest)
    assert tree(dest) == {**first, "mine.txt": b"mine"}
    export(name, dataset, dest, overwrite=True)
    assert tree(dest) == {**first, "mine.txt": b"mine"}


def test_what_an_earlier_export_had_goes_with_it(dataset, photos, tmp_path):
    export("coco", photos, tmp_path / "d")
    (tmp_path / "d" / "mine.txt").write_text("mine")
    export("coco", dataset, tmp_path / "d", overwrite=True)
    export("coco", dataset, tmp_path / "fresh")
    assert tree(tmp_path / "d") == {**tree(tmp_path / "fresh"), "mine.txt": b"mine"}


def test_another_form_is_not_replaced(dataset, tmp_path):
    export("coco", dataset, tmp_path / "d")
    with pytest.raises(WriteError, match="not of an earlier export to yolo"):
        export("yolo", dataset, tmp_path / "d")


@pytest.mark.parametrize("lead", ["../precious.txt", "{home}/precious.txt", "link/precious.txt", 3, None])
def test_a_list_of_files_leads_to_none_outside(lead, dataset, tmp_path):
    """What an earlier export wrote may come from elsewhere, with a list that names other people's files."""
    (tmp_path / "precious.txt").write_text("mine")
    export("coco", dataset, tmp_path / "d")
    first = tree(tmp_path / "d")
    (tmp_path / "d" / "link").symlink_to(tmp_path)
    with (tmp_path / "d" / MARK).open("a") as file:
        file.write(json.dumps(lead.format(home=tmp_path) if isinstance(lead, str) else lead) + "\n")
    (tmp_path / "d" / "mine.txt").write_text("mine")
    with pytest.raises(WriteError, match="holds files that are not of an earlier export"):
        export("coco", dataset, tmp_path / "d")
    export("coco", dataset, tmp_path / "d", overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "mine"
    (tmp_path / "d" / "link").unlink()
    assert tree(tmp_path / "d") == {**first, "mine.txt": b"mine"}


def test_an_export_that_lacks_files_is_replaced(dataset, tmp_path):
    export("coco", dataset, tmp_path / "d")
    first = tree(tmp_path / "d")
    next((tmp_path / "d" / "images").rglob("*.png")).unlink()
    export("coco", dataset, tmp_path / "d")
    assert tree(tmp_path / "d") == first


def test_what_was_there_returns_if_it_cannot_be_replaced(dataset, tmp_path, monkeypatch):
    export("coco", dataset, tmp_path / "d")
    first, rename = tree(tmp_path / "d"), Path.rename

    def failing(path, target):
        if path.name == ".d.anosynth-export":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(WriteError, match="d: cannot be written: input/output error"):
        export("coco", dataset, tmp_path / "d")
    assert tree(tmp_path / "d") == first
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_folders_that_were_made_for_nothing_go(dataset, tmp_path):
    out = copied_run(dataset, tmp_path / "run")
    next((out / "fabric").rglob("*.png")).unlink()
    with pytest.raises(DataError, match=r"cannot be read: No such file.*\nhint: anosynth verify tells more"):
        export("coco", out, tmp_path / "a" / "b" / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(("name", "most"), [("imagefolder", 3000), ("coco", 500), ("webdataset", 2000), ("yolo", 50)])
def test_a_full_disk_is_told_in_a_line(name, most, photos, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    settings = Settings() if name == "webdataset" else Settings(link=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        with pytest.raises(WriteError, match="cannot be written: file too large"):
            export(name, photos, tmp_path / "d", settings=settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


def test_defects_without_pixels_count_nowhere(dataset, tmp_path):
    out = copied_run(dataset, tmp_path / "run")
    covered = {"id": 9, "type": "stain", "count": 0, "box": []}
    edited(out, lambda r: {**r, "instances": [*r["instances"], covered]} if r["status"] == "made" else r)
    outcomes = [export(name, out, out if name == "croissant" else tmp_path / name) for name in export_names()]
    assert len({outcome.instances for outcome in outcomes if not outcome.left_out}) == 1


def test_a_failure_leaves_what_was_there(photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    export("coco", out, tmp_path / "d")
    before = tree(tmp_path / "d")
    last = [record for record in records_of(out) if record["status"] == "made"][-1]
    with (out / last["id"]).open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"is not the file that the manifest speaks of\nhint: anosynth verify"):
        export("coco", out, tmp_path / "d")
    assert tree(tmp_path / "d") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "run"]


def test_what_a_killed_export_left_is_cleared(dataset, tmp_path):
    (tmp_path / ".d.anosynth-export" / "images").mkdir(parents=True)
    (tmp_path / ".d.anosynth-export" / "images" / "half.png").write_text("half")
    (tmp_path / ".d.anosynth-old").mkdir()
    (tmp_path / ".d.anosynth-old" / "data.yaml").write_text("old")
    export("yolo", dataset, tmp_path / "d")
    assert not (tmp_path / "d" / "images" / "half.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_changed_source_is_found(photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    shutil.copy(tmp_path / "run" / "in" / "c.png", tmp_path / "run" / "in" / "d.d.png")
    with pytest.raises(DataError, match=r"d\.d\.png: is not the file"):
        export("jsonl", out, tmp_path / "d")
    shutil.move(tmp_path / "run" / "in", tmp_path / "elsewhere")
    with pytest.raises(DataError, match="hint: --root says where"):
        export("jsonl", out, tmp_path / "d")


def test_sources_that_moved(photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    shutil.move(tmp_path / "run" / "in", tmp_path / "elsewhere")
    export("yolo", out, tmp_path / "a", root=tmp_path / "elsewhere")
    export("yolo", photos, tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_links_are_the_same_files(dataset, tmp_path):
    export("coco", dataset, tmp_path / "linked", settings=Settings(link=True))
    export("coco", dataset, tmp_path / "copied")
    assert tree(tmp_path / "linked") == tree(tmp_path / "copied")
    for record in records_of(dataset):
        assert (dataset / record["id"]).samefile(tmp_path / "linked" / "images" / record["id"])
        assert not (dataset / record["id"]).samefile(tmp_path / "copied" / "images" / record["id"])


def _no_split(record):
    record.pop("split", None)
    return record


def _outside(record):
    record["outputs"][0]["path"] = "../outside.png"
    return record


def _two_splits(record):
    record["split"] = "test" if record["variant"] else "train"
    return record


def _no_outputs(record):
    record.pop("outputs")
    return record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_no_split, r"no splits: an older anosynth made it\nhint: "),
        (_outside, "lies outside"),
        (_two_splits, "named twice"),
        (_no_outputs, "lacks 'outputs'"),
        (lambda record: {**record, "split": "dev"}, "expected train, validation or test"),
        (lambda record: {**record, "outputs": [record["outputs"][1]]}, "role `sample`"),
        (lambda record: {**record, "instances": []}, "which the manifest does not name"),
    ],
)
def test_manifests_that_cannot_be_used(change, message, photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    edited(out, change)
    with pytest.raises(DataError, match=message):
        export("coco", out, tmp_path / "d")
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("name", export_names())
def test_a_run_that_made_nothing_still_has_its_good_images(name, dataset, tmp_path):
    out = copied_run(dataset, tmp_path / "run")
    edited(out, lambda record: {**record, "status": "skipped", "reason": "x"} if record["status"] == "made" else record)
    goods = sum(record["status"] == "copied" for record in records_of(out))
    outcome = export(name, out, out if name == "croissant" else tmp_path / "d")
    assert (outcome.total(), outcome.total(label="good"), outcome.instances) == (goods, goods, 0)


def test_places_that_would_spoil_the_run(photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    for dest in (out, out / "deep", out.parent, out.parent / "in" / "x"):
        with pytest.raises(WriteError, match="hint: choose a folder of its own"):
            export("coco", out, dest, overwrite=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError, match="is not a folder"):
        export("coco", out, tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("webdataset", Settings(link=True), "--link: webdataset: expected an export that heeds it: anomalib, coco"),
        ("coco", Settings(license="MIT"), "--license: coco"),
        ("coco", Settings(shard_size=5), "--shard-size: coco"),
        ("webdataset", Settings(shard_size=0), "--shard-size: 0: must be >= 1"),
        ("croissant", Settings(published="May"), "--published: May"),
    ],
)
def test_settings_that_do_not_fit(name, settings, message, dataset, tmp_path):
    with pytest.raises(ParameterError, match=message):
        export(name, dataset, tmp_path / "d", settings=settings)


def _other_numbers(out, records):
    path = out / next(o["path"] for r in records for o in r["outputs"] if o["role"] == "instances")
    with Pillow.open(path) as picture:
        numbers = np.array(picture)
    numbers[0, 0] = 1 - (numbers[0, 0] > 0)
    write_map(path, numbers)
    for record in records:
        for output in record["outputs"]:
            if out / output["path"] == path:
                output["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return records


def _no_labels(out, records):
    made = next(record for record in records if record["status"] == "made")
    made["outputs"] = [output for output in made["outputs"] if output["role"] == "sample"]
    return records


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_numbers, "numbers other pixels than the mask of its image"),
        (_no_labels, "the manifest names no file with the role 'labels'"),
        (lambda out, records: [{**r, "status": "skipped", "reason": "x"} for r in records], "no image that was made"),
        (
            lambda out, records: [*records, {**records[0], "id": records[0]["id"].replace(".png", ".tiff")}],
            "differs from another image in its suffix alone",
        ),
    ],
)
def test_data_sets_that_do_not_hold_together(change, message, photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    head = (out / "manifest.jsonl").read_text().partition("\n")[0]
    records = change(out, records_of(out))
    (out / "manifest.jsonl").write_text("\n".join([head, *map(json.dumps, records)]) + "\n")
    with pytest.raises(DataError, match=message):
        export("coco", out, tmp_path / "d")


def test_shards_of_two_runs(photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    shutil.copy(out / "manifest.jsonl", out / "manifest-00001-of-00002.jsonl")
    with pytest.raises(DataError, match="holds manifests of runs of 1 and of 2 shards: expected one run"):
        export("coco", out, tmp_path / "d")


def test_manifests_that_change_meanwhile(photos, tmp_path):
    out = copied_run(photos, tmp_path / "run")
    with open_run(out) as opened:
        entries = opened.entries()
        next(entries)
        (out / "manifest.jsonl").write_text("x\n")
        with pytest.raises(DataError, match="has changed while it was read"):
            list(entries)
    for text, message in (("x\n", "line 12: not a JSON record"), ('{"id": ', "line 12: not a JSON record")):
        lines = (photos / "manifest.jsonl").read_text().splitlines(keepends=True)
        (out / "manifest.jsonl").write_text("".join([*lines[:11], text]))
        with pytest.raises(DataError, match=message):
            export("coco", out, tmp_path / "d")
    (out / "manifest.jsonl").write_text("".join(lines)[:-1])
    with pytest.raises(DataError, match=f"line {len(lines)}: cut off"):
        export("coco", out, tmp_path / "d")


def test_not_a_run(tmp_path):
    with pytest.raises(DataError, match="no manifest here"):
        export("coco", tmp_path, tmp_path / "d")
    head = {"kind": "header", "layout": "folder", "root": "."}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(head) + "\n")
    with pytest.raises(DataError, match="expected a data set of `anosynth images`"):
        export("coco", tmp_path, tmp_path / "d")
    (tmp_path / "manifest.jsonl").write_text("{}\n")
    with pytest.raises(AnosynthError, match="no header line"):
        export("coco", tmp_path, tmp_path / "d")
