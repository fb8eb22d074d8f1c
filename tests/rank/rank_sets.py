"""Small sets of photos, and samples that need no files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from anosynth.generator import find
from anosynth.images import Image
from anosynth.io.images import write_image, write_mask
from anosynth.rank import _head
from anosynth.rank._samples import GOOD, Judged, unchanged
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import as_rng, stream
from anosynth.toy.images import toy_image


@pytest.fixture(scope="module", autouse=True)
def short() -> Iterator[None]:
    """Train heads for a third of the steps: enough for what is put before them here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_head, "STEPS", 100)
        yield


def write_good(folder: Path, count: int, *, size: int = 64, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        write_image(folder / f"{number:03d}.png", Image(toy_image("fabric", number, size=size)[0]))
    return folder


def write_real(
    folder: Path, recipe: Recipe, count: int, *, size: int = 64, masks: bool = True, kind: str = "x"
) -> Path:
    """Write defects made by a recipe of photos that are no one else's."""
    for number in range(count):
        photo = Image(toy_image("fabric", 5000 + number, size=size)[0])
        found = recipe.draw(stream(99, "hidden", str(number)))(photo, stream(99, "defect", str(number)))
        for top, name in (("test", f"{number:03d}.png"), ("ground_truth", f"{number:03d}_mask.png")):
            path = folder / top / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if top == "test":
                write_image(path, found.sample)
            else:
                write_mask(path, found.mask)
    return folder


def recipe_of(name: str, **values: object) -> Recipe:
    return Recipe([Vary(find("images", name), **values)], name=name)


def sample(name: str, kind: str, *, side: int = 6, channels: int = 5, shift: float = 0.0, source: str = "") -> Judged:
    """A sample of noise on a grid whose first quarter is shifted and labelled, if it is not good."""
    cells = as_rng(0).child(name).normal(side * side * channels).reshape(side, side, channels).astype(np.float32)
    truth = np.zeros((side, side), dtype=np.bool_)
    if kind != GOOD:
        truth[: side // 2, : side // 2] = True
        cells[truth] += np.float32(shift)
    return Judged(name, kind, cells, truth, unchanged, truth.astype(np.float32), source, name)
