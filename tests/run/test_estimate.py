"""What a dry run says of the cost agrees with what the run then writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anosynth.datasets.layout import find_layout
from anosynth.recipe import Recipe
from anosynth.run import Plan, run
from anosynth.run.estimate import estimate
from anosynth.toy import make_toy


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.Generator(np.random.Philox(1))
    for number in range(6):
        pixels = (120 + 8 * noise.standard_normal((64, 48, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def written(out: Path) -> int:
    outside = {"manifest.jsonl", "splits.csv", "report.html"}
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.name not in outside)


def test_of_photos(photos, tmp_path):
    plan = Plan(photos, find_layout("photos"), Recipe.read("cutpaste-3way"), count=4)
    cost = estimate(plan)
    assert not list(tmp_path.glob("out*"))
    summary = run(plan, tmp_path / "out")
    assert (cost.made, cost.copied, cost.tried) == (summary.made, 0, 3) == (24, 0, 3)
    assert cost.bytes == pytest.approx(written(tmp_path / "out"), rel=0.15)
    assert cost.seconds is not None
    assert cost.seconds > 0


def test_of_a_shard_and_of_what_cannot_be_made(photos, tmp_path):
    plan = Plan(photos, find_layout("photos"), Recipe.read("cutpaste-3way"), count=4, shard=(2, 5))
    assert estimate(plan).made == len(list(plan.jobs())) == 5
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "a.png").write_bytes(b"not a picture")
    cost = estimate(Plan(bad, find_layout("photos"), Recipe.read("cutpaste-3way")))
    assert (cost.made, cost.bytes, cost.seconds, cost.tried) == (1, None, None, 0)


def test_of_a_data_set_with_its_copies(tmp_path):
    make_toy("mvtec", tmp_path / "data", seed=0, count=2, points=100)
    plan = Plan(tmp_path / "data", find_layout("mvtec"), Recipe.read("cutpaste-3way"))
    cost = estimate(plan)
    summary = run(plan, tmp_path / "out")
    assert (cost.made, cost.copied) == (summary.made, summary.copied)
    assert summary.copied > 0
    assert cost.bytes == pytest.approx(written(tmp_path / "out"), rel=0.5)
