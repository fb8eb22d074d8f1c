"""Sources that are written to while a run reads them: no line may name the hash of something else."""

from __future__ import annotations

import hashlib
import json
import os

import numpy as np
import pytest

from anosynth.datasets.layout import find_layout
from anosynth.images import Image
from anosynth.io.images import write_image
from anosynth.io.png import encode_png
from anosynth.recipe import Recipe
from anosynth.run import Plan, execute, replay, run, verify

OTHER = np.random.default_rng(7).integers(60, 180, (40, 40, 3), dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "good").mkdir()
    for name in "ab":
        pixels = np.random.default_rng(ord(name)).integers(60, 180, (32, 32, 3), dtype=np.uint8)
        write_image(tmp_path / "good" / f"{name}.png", Image(pixels))
    return tmp_path / "good"


def plan(root, family="images", layout="photos", generator="stain"):
    part = {"generator": generator, **({"area": 0.1} if family == "images" else {})}
    recipe = Recipe.from_record({"recipe": "r", "family": family, "generators": [part]})
    return Plan(root, find_layout(layout), recipe)


def lines_of(out):
    return [json.loads(text) for text in (out / "manifest.jsonl").read_text().splitlines()][1:]


@pytest.mark.parametrize("how", ["renamed over", "in place", "same size", "gone"])
@pytest.mark.parametrize("when", ["after the hash", "after the reading"])
def test_a_source_that_changes_between_hash_and_sample(photos, tmp_path, monkeypatch, how, when):
    path = photos / "a.png"
    before = path.read_bytes()

    def meddle():
        if how == "gone":
            path.unlink()
        elif how == "same size":
            path.write_bytes(before)
            os.utime(path, (1, 1))
        elif how == "in place":
            path.write_bytes(encode_png(OTHER))
        else:
            (photos / "new").write_bytes(encode_png(OTHER))
            (photos / "new").replace(path)

    name = "file_sha256" if when == "after the hash" else "load"
    right, seen = getattr(execute, name), []

    def then_meddled(first, *more):
        found = right(first, *more)
        if first == path and not seen:
            seen.append(first)
            meddle()
        return found

    monkeypatch.setattr(execute, name, then_meddled)
    summary = run(plan(photos), tmp_path / "out")
    assert seen
    assert (summary.made, summary.skipped) == (1, 1)
    assert summary.problems[0].startswith("a.png: ")
    if how != "gone" or when == "after the reading":
        assert "has changed while it was read: expected a file that nobody writes to" in summary.problems[0]
    assert not (tmp_path / "out" / "anomalous" / "a_000.png").exists()
    monkeypatch.undo()
    if how == "gone":
        path.write_bytes(before)
    # The same line makes what was skipped, of what is there now.
    assert run(plan(photos), tmp_path / "out").made == 2
    for record in lines_of(tmp_path / "out"):
        assert (
            record["source"]["sha256"] == hashlib.sha256((photos / record["source"]["path"]).read_bytes()).hexdigest()
        )
    assert {finding.state for look in (verify, replay) for finding in look(tmp_path / "out")} == {"ok"}


def test_a_file_of_features_that_changes_leaves_nothing(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from anosynth.run import of_features

    (tmp_path / "good").mkdir()
    path = tmp_path / "good" / "f.npy"
    np.save(path, np.random.default_rng(1).normal(size=(3, 4, 5, 5)).astype(np.float32))
    right = of_features.make_all

    def then_meddled(*given):
        found = right(*given)
        os.utime(path, (1, 1))
        return found

    monkeypatch.setattr(of_features, "make_all", then_meddled)
    summary = run(plan(path.parent, "features", "features", "gaussian"), tmp_path / "out")
    assert "has changed while it was read" in summary.problems[0]
    assert not [file for file in (tmp_path / "out").rglob("*") if file.suffix == ".npy"]
