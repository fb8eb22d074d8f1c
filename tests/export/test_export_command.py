"""`anosynth export` as a user meets it."""

from __future__ import annotations

import fcntl
import json
import os

import pytest
from export_kit import copied_run, tree

from anosynth_cli.main import run


@pytest.fixture
def call(capsys):
    def calling(*words) -> tuple[int, str, str]:
        code = run(["export", *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    return calling


def test_says_what_it_wrote(call, dataset, tmp_path):
    code, out, err = call("coco", dataset, tmp_path / "d")
    assert (code, err) == (0, "")
    about = json.loads((tmp_path / "d" / "instances.json").read_text())
    images, defects = len(about["images"]), len(about["annotations"])
    test = sum(row["split"] == "test" for row in about["images"])
    bad = len({row["image_id"] for row in about["annotations"]})
    assert out == (
        f"{tmp_path / 'd'}: {images} images ({test} test, {images - test} train): "
        f"{images - bad} good, {bad} defective with {defects} defects\n"
    )


def test_json_and_warnings(call, photos, tmp_path):
    code, out, err = call("yolo", photos, tmp_path / "d", "--json")
    row = json.loads(out)
    assert code == 0
    assert row["format"] == "yolo"
    assert row["images"] == row["good"] + row["defective"] == sum(row["splits"].values())
    assert row["holes_lost"] > 0
    assert err == "".join(f"warning: {text}\n" for text in row["warnings"])
    assert "holes lost" in err


def test_the_licence_is_asked_for(call, dataset, tmp_path):
    assert "--license says it" in call("card", dataset, tmp_path / "a")[2]
    assert call("card", dataset, tmp_path / "b", "--license", "CC BY 4.0")[2] == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("cooc", "OUT", "DEST"), 2, "error: no export `cooc`; did you mean `coco`?"),
        (("coco", "OUT", "DEST", "--shard-size", "5"), 2, "error: --shard-size: coco: expected"),
        (("webdataset", "OUT", "DEST", "--shard-size", "0"), 2, "error: --shard-size: 0"),
        (("coco", "NOTHING", "DEST"), 1, "no manifest here"),
        (("coco", "OUT", "OUT"), 1, "lies in the folder of the run"),
    ],
)
def test_mistakes(call, words, code, message, dataset, tmp_path):
    places = {"OUT": dataset, "DEST": tmp_path / "d", "NOTHING": tmp_path}
    found, out, err = call(*(places.get(word, word) for word in words))
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "d").exists()


def test_one_export_at_a_time(call, dataset, tmp_path):
    aside = tmp_path / ".d.anosynth-export"
    aside.mkdir()
    guard = os.open(aside, os.O_RDONLY)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX)
        code, _, err = call("coco", dataset, tmp_path / "d")
        assert code == 1
        assert "another export is writing there" in err
        assert aside.exists()
    finally:
        os.close(guard)
    assert call("coco", dataset, tmp_path / "d")[0] == 0
    assert not aside.exists()


@pytest.mark.parametrize("name", ["card", "croissant"])
def test_what_goes_beside_the_run_leaves_it_whole(call, name, dataset, tmp_path):
    out = copied_run(dataset, tmp_path / "run")
    before = tree(out)
    assert call(name, out, out)[0] == 0
    after = tree(out)
    assert {path: data for path, data in after.items() if path in before} == before
    new = {"card": {"README.md"}, "croissant": {"croissant.json", "croissant-samples.csv"}}[name]
    assert set(after) - set(before) == new
    assert call(name, out, out)[0] == 0
    assert tree(out) == after
    assert run(["verify", str(out)]) == 0


def test_help_names_the_formats(call):
    code, out, _ = call("--help")
    assert code == 0
    assert "webdataset" in out
    assert "label-studio" in out
