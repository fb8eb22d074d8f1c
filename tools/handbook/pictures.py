"""All pictures of the site, drawn into a folder that is not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from anosynth.generator import names

from . import cloud_pictures, feature_pictures, image_pictures, mask_pictures
from .canvas import Pixels, saved

FOLDER = Path(__file__).resolve().parent.parent.parent / "build" / "pictures"

Draw = Callable[[str], tuple[Pixels, str]]

FAMILIES: dict[str, Draw] = {
    "images": image_pictures.pictured,
    "pointclouds": cloud_pictures.pictured,
    "features": feature_pictures.pictured,
}


def wanted() -> Iterator[tuple[str, str, Draw]]:
    """Yield the file name of each picture, what it is of, and what draws it."""
    for family, draw in FAMILIES.items():
        for name in names(family):
            yield f"{family}-{name}.png", name, draw
    for name in mask_pictures.PICTURES:
        yield f"masks-{name}.png", name, mask_pictures.pictured


def draw_all(*, missing: bool = False) -> int:
    """Draw every picture into `FOLDER`, or those that are `missing`, and return how many."""
    count = 0
    for file, name, draw in wanted():
        if missing and (FOLDER / file).exists():
            continue
        saved(draw(name)[0], FOLDER / file)
        count += 1
    return count
