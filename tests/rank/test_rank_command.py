"""`anosynth rank` on the command line: exit codes, texts, JSON and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rank_sets import (
    recipe_of,
    short,  # noqa: F401 - for all tests of this file
    write_good,
    write_real,
)

from anosynth_cli.main import run

QUICK = ["--size", "64", "--seeds", "1", "--made", "6", "--draws", "20", "--no-looks"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("command")
    good, real = write_good(root / "good", 10), write_real(root / "real", recipe_of("stain"), 3)
    return str(good), str(real)


def line(folders: tuple[str, str], *more: str, recipes: str = "stain") -> list[str]:
    return ["rank", "--good", folders[0], "--real", folders[1], "--recipes", recipes, *QUICK, *more]


def test_json_table_and_page_say_the_same(folders, tmp_path, capsys):
    page = tmp_path / "rank.html"
    assert run([*line(folders, "--json"), "--html", str(page)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["by"] == "image_auroc"
    assert run(line(folders)) == 0
    text = capsys.readouterr().out
    best = record["entries"][0]["figures"]["image_auroc"]["value"]
    assert f"{best:.3f}" in text
    html = page.read_text(encoding="utf-8")
    for sentence in record["conclusion"]:
        assert sentence in text
    assert "stain" in html
    assert "Content-Security-Policy" in html


def test_an_unreadable_photo_is_named_and_passed_over(tmp_path, capsys):
    good, real = write_good(tmp_path / "good", 10), write_real(tmp_path / "real", recipe_of("stain"), 3)
    (good / "torn.png").write_bytes(b"no photo")
    (real / "test/x/torn.png").write_bytes(b"no photo")
    assert run(line((str(good), str(real)), "--json")) == 3
    shown = capsys.readouterr()
    assert shown.err.count("skipped: ") == 2
    assert "good/torn.png" in shown.err
    paths = [entry["path"] for entry in json.loads(shown.out)["skipped"]]
    assert [Path(path).name for path in paths] == ["torn.png", "torn.png"]


def test_without_real_defects(folders, capsys):
    assert run(["rank", "--good", folders[0], "--recipes", "stain", "--size", "64", "--made", "6"]) == 0
    assert "no real defects were given" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "recipes", "code", "text"),
    [
        ([], "stian", 2, "did you mean `stain`"),
        (["--backbone", "filter"], "stain", 2, "did you mean `filters`"),
        (["--by", "auroc"], "stain", 2, "must be one of image_auroc"),
        (["--layout", "mvtek"], "stain", 2, "did you mean `mvtec`"),
        (["--size", "5"], "stain", 2, "`size`: 5: must be from 64 to 1024"),
        (["--layers", "scale9"], "stain", 2, "no such layer"),
        (["--html", "none/rank.html"], "stain", 1, "none/rank.html: cannot be written: there is no folder none"),
    ],
)
def test_slips_are_answered_in_words(folders, capsys, more, recipes, code, text):
    assert run(line(folders, *more, recipes=recipes)) == code
    shown = capsys.readouterr()
    assert text in shown.err
    assert not shown.out


def test_real_options_need_real_defects(folders, capsys):
    assert run(["rank", "--good", folders[0], "--recipes", "stain", "--layout", "mvtec"]) == 2
    assert "give --real" in capsys.readouterr().err
    assert run(["rank", "--good", folders[0] + "/none", "--recipes", "stain"]) == 1
    assert "not a folder" in capsys.readouterr().err
