"""Finished runs to export: photos of all sorts with several defects each, and a data set in folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from export_kit import RECIPE, make_photos, paint

from anosynth.datasets.layout import find_layout
from anosynth.run import Plan, run
from anosynth.toy import make_toy


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a run over plain photos, with samples in all three splits."""
    folder = tmp_path_factory.mktemp("photos")
    plan = Plan(make_photos(folder / "in"), find_layout("photos"), RECIPE, seed=7, count=2, split=(0.4, 0.3, 0.3))
    run(plan, folder / "out")
    paint(folder / "out", 4)
    return folder / "out"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUT of a run over a data set of two categories."""
    folder = tmp_path_factory.mktemp("dataset")
    make_toy("mvtec", folder / "in", count=3)
    plan = Plan(
        folder / "in", find_layout("mvtec"), RECIPE, seed=1, count=2, held_out=0.3, categories=("fabric", "washer")
    )
    run(plan, folder / "out")
    return folder / "out"


@pytest.fixture(scope="session")
def both(photos: Path, dataset: Path) -> dict[str, Path]:
    return {"photos": photos, "dataset": dataset}
