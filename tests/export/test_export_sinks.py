"""Exports of data sets in tars, and of those that are made when they are read."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from export_kit import RECIPE, copied_run, make_photos, records_of, tree

from anosynth.datasets.layout import find_layout
from anosynth.errors import DataError, WriteError
from anosynth.export import Settings, export, export_names
from anosynth.run import Plan, run
from anosynth.run.reading import Reading
from anosynth.toy import make_toy

SINKS = ("files", "webdataset", "recipe")
FORMS = [name for name in export_names() if name != "croissant"]


def _photos(home: Path, sink: str) -> Plan:
    return Plan(
        home / "in", find_layout("photos"), RECIPE, seed=7, count=2, split=(0.4, 0.3, 0.3), sink=sink, shard_size=3
    )


def _dataset(home: Path, sink: str) -> Plan:
    return Plan(
        home / "in", find_layout("mvtec"), RECIPE, seed=1, held_out=0.3, categories=("washer",), sink=sink, shard_size=4
    )


@pytest.fixture(scope="module")
def homes(tmp_path_factory) -> dict[str, Path]:
    """Of each kind of input a folder with a run into each sink."""
    found = {"photos": tmp_path_factory.mktemp("photos"), "dataset": tmp_path_factory.mktemp("dataset")}
    make_photos(found["photos"] / "in")
    make_toy("mvtec", found["dataset"] / "in", count=3)
    for sink in SINKS:
        run(_photos(found["photos"], sink), found["photos"] / sink)
        run(_dataset(found["dataset"], sink), found["dataset"] / sink)
    return found


@pytest.fixture
def aside(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files, of this test alone."""
    folder = tmp_path / "aside"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("kind", ["photos", "dataset"])
@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_the_same_whatever_the_sink(name, kind, homes, aside, tmp_path):
    outcomes = [export(name, homes[kind] / sink, tmp_path / sink).record() for sink in SINKS]
    files, *others = (tree(tmp_path / sink) for sink in SINKS)
    assert files
    assert others == [files, files]
    assert outcomes == [outcomes[0]] * 3
    assert not list(aside.iterdir())


def test_shards_in_tars_are_one_data_set(homes, tmp_path):
    for index in (1, 2):
        plan = _photos(homes["photos"], "webdataset")
        run(Plan(**{**vars(plan), "shard": (index, 2)}), tmp_path / "shards")
    export("coco", tmp_path / "shards", tmp_path / "a")
    export("coco", homes["photos"] / "files", tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize("sink", SINKS[1:])
def test_one_sample_lies_aside_at_a_time(sink, homes, aside, tmp_path, monkeypatch):
    make, most = tempfile.mkdtemp, 0

    def counting(**more):
        nonlocal most
        found = make(**more)
        most = max(most, len(list(aside.iterdir())))
        return found

    monkeypatch.setattr(tempfile, "mkdtemp", counting)
    export("yolo", homes["photos"] / sink, tmp_path / "d")
    assert most == 1


def test_the_card_makes_no_sample(homes, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "mkdtemp", None)
    for sink in SINKS[1:]:
        export("card", homes["photos"] / sink, tmp_path / sink)


@pytest.mark.parametrize("sink", SINKS[1:])
def test_linking_is_no_different(sink, homes, aside, tmp_path):
    export("coco", homes["photos"] / sink, tmp_path / "linked", settings=Settings(link=True))
    export("coco", homes["photos"] / "files", tmp_path / "copied")
    assert tree(tmp_path / "linked") == tree(tmp_path / "copied")


@pytest.mark.parametrize("sink", SINKS[1:])
def test_croissant_describes_files_alone(sink, homes, tmp_path):
    out = copied_run(homes["photos"] / sink, tmp_path / "run")
    before = tree(out)
    with pytest.raises(DataError, match=rf"--sink {sink}.*: expected files\nhint: anosynth replay .* --write DIR"):
        export("croissant", out, out)
    assert tree(out) == before


@pytest.mark.parametrize("sink", SINKS[1:])
def test_sources_that_moved_or_went(sink, homes, tmp_path):
    out = copied_run(homes["photos"] / sink, tmp_path / "run")
    shutil.move(tmp_path / "run" / "in", tmp_path / "moved")
    with pytest.raises(DataError, match=r"\.\./in/.*(no such file|cannot be read).*\nhint: --root says where"):
        export("coco", out, tmp_path / "d")
    assert not (tmp_path / "d").exists()
    export("coco", out, tmp_path / "d", root=tmp_path / "moved")
    export("coco", homes["photos"] / "files", tmp_path / "b")
    assert tree(tmp_path / "d") == tree(tmp_path / "b")


def test_tars_of_a_data_set_need_no_sources(homes, tmp_path):
    out = copied_run(homes["dataset"] / "webdataset", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "in")
    export("jsonl", out, tmp_path / "d")
    export("jsonl", homes["dataset"] / "files", tmp_path / "b")
    assert tree(tmp_path / "d") == tree(tmp_path / "b")


def test_a_source_that_has_changed_is_found(homes, aside, tmp_path):
    out = copied_run(homes["photos"] / "recipe", tmp_path / "run")
    shutil.copy(tmp_path / "run" / "in" / "c.png", tmp_path / "run" / "in" / "d.d.png")
    with pytest.raises(DataError, match=r"d\.d.*is not the file"):
        export("webdataset", out, tmp_path / "d")
    assert not list(aside.iterdir())


def test_damage_to_a_tar_is_told_by_its_own_name(homes, aside, tmp_path):
    out = copied_run(homes["dataset"] / "webdataset", tmp_path / "run")
    output = next(record for record in records_of(out) if record["status"] == "made")["outputs"][0]
    tar = out / output["path"]
    whole = bytearray(tar.read_bytes())
    whole[output["offset"] + 100] ^= 1
    tar.write_bytes(whole)
    with pytest.raises(DataError) as caught:
        export("coco", out, tmp_path / "d")
    assert str(caught.value) == (
        f"{out}: {output['file']}: is not the file that the manifest speaks of\nhint: anosynth verify tells more"
    )
    tar.unlink()
    with pytest.raises(DataError, match=r"\.tar: cannot be read: No such file"):
        export("coco", out, tmp_path / "d")
    assert not list(aside.iterdir())
    assert not (tmp_path / "d").exists()


ran = []


def everywhere(pixels):
    ran.append(pixels.shape)
    return pixels.reshape(*pixels.shape[:2], -1)[:, :, 0] >= 0


def test_functions_that_a_manifest_names_are_not_run(tmp_path, homes):
    plan = _dataset(homes["dataset"], "recipe")
    plan = Plan(**{**vars(plan), "reading": Reading(foreground=f"{__name__}:everywhere")})
    run(plan, tmp_path / "out")
    assert ran
    ran.clear()
    with pytest.raises(DataError, match=r"the function `.*everywhere`.*: expected files\nhint: .*--run-functions"):
        export("coco", tmp_path / "out", tmp_path / "d")
    export("card", tmp_path / "out", tmp_path / "card")
    assert not ran


def test_no_room_for_temporary_files(homes, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(WriteError, match=r"no folder for temporary files: .*\nhint: TMPDIR"):
        export("coco", homes["dataset"] / "webdataset", tmp_path / "d")


@pytest.mark.parametrize("value", ["../../x.tar", "/etc/passwd", 3])
def test_members_that_lead_astray(value, homes, tmp_path):
    out = copied_run(homes["photos"] / "webdataset", tmp_path / "run")
    path = out / "manifest.jsonl"
    head, *lines = path.read_text().splitlines()
    records = [json.loads(line) for line in lines]
    for key in ("path", "file"):
        changed = json.loads(json.dumps(records))
        changed[0]["outputs"][0][key] = value
        path.write_text("\n".join([head, *map(json.dumps, changed)]) + "\n")
        with pytest.raises(DataError, match=r"which lies outside|not a manifest of this anosynth"):
            export("coco", out, tmp_path / "d")
