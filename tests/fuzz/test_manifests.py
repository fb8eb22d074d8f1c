"""Damaged and hostile manifests: every command that reads one refuses it or finds fault, and touches nothing else."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import socket
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_kit import hurried
from test_readers import MORE, STEADY

from anosynth_cli.main import run

COMMANDS = ("verify", "replay", "write", "audit", "export")
LINE = ("images", "-g", "stain", "--area", "0.05", "--foreground", "none", "--no-report")
LONG = ("x" * 5000, "a/" * 1500, ["a"] * 50)
NUMBERS = (True, 0, -1, 1.5, 10**30, -(10**400), float("nan"), float("inf"))
ODD = (
    *(None, "", "a\0b", "\ud800", "../../x", "/etc/x", "made", "copied", "header", "os.system"),
    *([], {}, [[]], [1, 2], {"path": {}}, {"a": None}),
    *(*NUMBERS, *LONG),
)


def said(words: list[str]) -> tuple[int, str]:
    """Run a line and return its exit code and all that it printed."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), hurried(60):
        code = run(words)
    text = out.getvalue() + err.getvalue()
    assert "Traceback" not in text
    assert "internal error" not in text, text
    return code, text


FORMS = ("anomalib", "card", "coco", "croissant", "imagefolder", "jsonl", "label-studio", "webdataset", "yolo")


def words(command: str, out: Path, form: str = "coco") -> list[str]:
    more = {
        "export": [form, str(out), str(out.parent / "exported")],
        "write": [str(out), "--write", str(out.parent / "again")],
    }
    found = more.get(command, [str(out)])
    command = "replay" if command == "write" else command
    return [command, *found]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("hostile")
    from anosynth.images import Image
    from anosynth.io.images import write_image

    (home / "good").mkdir()
    for index in range(2):
        pixels = np.random.default_rng(index).integers(60, 200, (24, 24, 3), dtype=np.uint8)
        write_image(home / "good" / f"p{index}.png", Image(pixels))
    assert said([*LINE, str(home / "good"), str(home / "out")])[0] == 0
    (home / "precious.txt").write_text("mine")
    return home


def lines_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def put(out: Path, lines: list[dict]) -> None:
    (out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def state(folder: Path, but: Path) -> dict[str, bytes]:
    """Return all files below a folder, apart from those below another one."""
    found = [path for path in folder.rglob("*") if path.is_file() and but not in path.parents]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def places(value, at=()):
    """Yield the places of all values of a JSON value."""
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*at, key)
        yield from places(part, (*at, key))


def changed(lines: list[dict], choose) -> list[dict]:
    """Return manifest lines with one value replaced or taken away, or one line twice or gone."""
    lines = copy.deepcopy(lines)
    what = choose(10)
    if what == 0:
        lines.insert(choose(len(lines)), copy.deepcopy(lines[choose(len(lines))]))
        return lines
    if what == 1:
        del lines[choose(len(lines))]
        return lines
    found = list(places(lines))
    *parents, last = found[choose(len(found))]
    part = lines
    for key in parents:
        part = part[key]
    if what < 4:
        del part[last]
    else:
        part[last] = copy.deepcopy(ODD[choose(len(ODD))])
    return lines


@pytest.mark.parametrize("command", COMMANDS)
@settings(STEADY, max_examples=40 * MORE)
@given(rng=st.randoms(use_true_random=True))
def test_a_damaged_manifest_is_refused_or_found_at_fault(home, command, rng):
    out = home / "damaged" / "out"
    shutil.rmtree(home / "damaged", ignore_errors=True)
    shutil.copytree(home / "out", out)
    shutil.copytree(home / "good", home / "damaged" / "good")
    put(out, changed(lines_of(out), lambda below: rng.randrange(below)))
    before = state(home, home / "damaged")
    code, text = said(words(command, out, rng.choice(FORMS)))
    # 2 would blame the line that the user gave.
    assert code in (0, 1, 3), text
    assert code != 1 or len(text.splitlines()) <= 6, text
    assert state(home, home / "damaged") == before


LEADING = {
    "climbs": "../precious.txt",
    "absolute": "{home}/precious.txt",
    "NUL": "anomalous/a\0b.png",
    "link": "link/precious.txt",
    "link and up": "anomalous/../deep/../../../escaped/x.png",
    "no UTF-8": "anomalous/\ud800.png",
    "long": "a/" * 3000 + "x.png",
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", ["id", "output", "source", "roi"])
@pytest.mark.parametrize("how", LEADING)
def test_paths_that_lead_out_lead_nowhere(home, tmp_path, monkeypatch, command, where, how):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    place = tmp_path / "place"
    shutil.copytree(home, place, ignore=shutil.ignore_patterns("damaged"))
    out = place / "out"
    (out / "link").symlink_to(place)
    (out / "one" / "two" / "three").mkdir(parents=True)
    # Through this link `..` climbs three folders that a fresh folder does not have.
    (out / "deep").symlink_to(out / "one" / "two" / "three")
    lines, path = lines_of(out), LEADING[how].format(home=place)
    if where == "id":
        lines[1]["id"] = path
    elif where == "output":
        lines[1]["outputs"][0]["path"] = path
    elif where == "source":
        lines[1]["source"]["path"] = path
    else:
        lines[0].update(roi=path, maps={"roi": "0" * 64})
    put(out, lines)
    before = state(tmp_path, out)
    code, text = said(words(command, out))
    after = state(tmp_path, out)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(("place/exported/", "place/again/")) for name in after.keys() - before.keys())
    # What is looked at must be found at fault: an id is no path for everyone, and through a link a path is a path.
    at_fault = {
        "id": command != "audit" and (how != "link" or command != "export"),
        "output": True,
        "source": how != "link",
        "roi": command in ("replay", "write"),
    }
    assert code == 1 if at_fault[where] else code in (0, 1, 3), text


@pytest.mark.parametrize("how", LEADING)
def test_overwriting_removes_nothing_that_a_manifest_leads_to(home, tmp_path, how):
    place = tmp_path / "place"
    shutil.copytree(home, place, ignore=shutil.ignore_patterns("damaged"))
    out = place / "out"
    (out / "link").symlink_to(place)
    lines = lines_of(out)
    lines[1]["outputs"][0]["path"] = LEADING[how].format(home=place)
    put(out, lines)
    before = state(place, out)
    line = [
        "images",
        "-g",
        "stain",
        "--area",
        "0.05",
        "--foreground",
        "none",
        "--no-report",
        "--overwrite",
        "--seed",
        "2",
    ]
    code, _ = said([*line, str(place / "good"), str(out)])
    assert code in ((0, 1) if how == "long" else (0,))
    assert state(place, out) == before


TAGS = (
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/object/new:os.system ['touch {mark}']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:anosynth.recipe.Vary {{}}",
    "!!python/tuple [1, 2]",
    "!<tag:yaml.org,2002:python/object/apply:os.system> ['touch {mark}']",
)


@pytest.mark.parametrize("tag", TAGS)
def test_recipes_build_no_objects(home, tmp_path, tag):
    mark = tmp_path / "sprung"
    value = tag.format(mark=mark)
    for text in (f"generators: [{{generator: stain, area: {value}}}]\n", f"generators: {value}\n", f"{value}\n"):
        (tmp_path / "r.yaml").write_text(text)
        code, said_text = said(["images", "-r", str(tmp_path / "r.yaml"), str(home / "good"), str(tmp_path / "out")])
        assert code in (1, 2)
        assert "not a recipe in plain YAML" in said_text
    assert not mark.exists()


def test_an_input_that_is_a_link_is_read_and_never_written(home, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(home / "good" / "p0.png")
    (tmp_path / "in" / "dead.png").symlink_to(tmp_path / "nowhere.png")
    before = state(home, home / "damaged")
    code, text = said(
        ["images", "-g", "stain", "--area", "0.05", "--no-report", str(tmp_path / "in"), str(tmp_path / "out")]
    )
    assert code in (0, 3), text
    assert state(home, home / "damaged") == before
    assert not (tmp_path / "nowhere.png").exists()
    assert not (tmp_path / "out" / "anomalous" / "a_000.png").is_symlink()


def test_a_link_in_out_leads_nothing_out_of_it(home, tmp_path):
    line = [*LINE, str(home / "good")]
    out, aside = tmp_path / "out", tmp_path / "aside"
    assert said([*line, str(out)])[0] == 0
    (out / "anomalous").rename(aside)
    (aside / "p0_000.png").write_text("mine")
    (out / "anomalous").symlink_to(aside)
    code, text = said([*line, str(out)])
    assert (aside / "p0_000.png").read_text() == "mine"
    assert code == 1
    assert text.startswith(f"error: {out}/anomalous: is a link to {aside}, which is not in {out}: expected a folder\n")


def test_no_command_opens_a_connection(home, tmp_path, monkeypatch):
    def refuse(*given, **more):
        raise AssertionError("a connection")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(os, "getlogin", refuse)
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1).normal(size=(3, 4, 5, 5)).astype(np.float32)
    np.save(tmp_path / "f.npy", values)
    for line in (
        "toy gear parts --count 1 --points 500",
        f"images -g stain --area 0.05 {home}/good photos",
        "pointcloud parts clouds",
        "features -g gaussian f.npy feats",
        "verify photos",
        "replay photos",
        "verify feats",
        "audit photos",
        "export coco photos exported",
        "list",
        "show stain",
        "schema stain",
    ):
        assert said(line.split())[0] in (0, 3), line
