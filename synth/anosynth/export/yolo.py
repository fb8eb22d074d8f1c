"""YOLO segmentation: a polygon per defect, as Ultralytics reads it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ._base import Export, Outcome, Settings
from ._picture import instances, opened, place_image, ready
from ._polygon import joined, outlines
from ._run import Run

_FOLDERS = {"train": "train", "validation": "val", "test": "test"}


class Yolo(Export):
    """`images/{train,val,test}`, `labels/{train,val,test}`, `data.yaml`; an empty file of labels for good images.

    A line is the class, counted from 0, and x y of every corner as fractions of width and height. The corners are
    those of pixels, so that filling the polygon gives the mask exactly; blobs of one defect are joined by bridges
    without width, for a defect is one line. Polygons have no holes: what is lost is counted and said.
    """

    name: ClassVar[str] = "yolo"
    options: ClassVar[frozenset[str]] = frozenset(["link"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome, holed = Outcome(), 0
        classes = {name: number for number, name in enumerate(run.types)}
        for entry in run.entries():
            split = _FOLDERS[entry.split]
            with opened(entry) as picture:
                name = f"{split}/{entry.key}{PurePosixPath(entry.name).suffix}"
                place_image(entry, picture, folder / "images", name, link=settings.link)
            lines = []
            for _, kind, mask in instances(entry, picture):
                polygon, holes = polygon_of(mask)
                lines.append(f"{classes[kind]} {' '.join(map(_number, polygon.ravel().tolist()))}\n")
                outcome.holes_lost += holes
                holed += holes > 0
            ready(folder / "labels" / split / f"{entry.key}.txt").write_text("".join(lines), encoding="ascii")
            outcome.count(entry, len(lines))
        if outcome.holes_lost:
            outcome.warnings.append(
                f"holes lost: {outcome.holes_lost}, in {holed} of {outcome.instances} defects: "
                "polygons have none; coco keeps them"
            )
        outcome.warnings += _missing(outcome)
        ready(folder / "data.yaml").write_text(_data(run, outcome), encoding="utf-8")
        return outcome


def polygon_of(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Return the outline (k, 2), k >= 4, of a mask (H, W) in fractions of its sides, and the number of its holes.

    The mask must not be empty.
    """
    from scipy.ndimage import binary_fill_holes

    loops, holes = outlines(mask)
    if holes:
        # A blob within a hole would be counted twice.
        loops, _ = outlines(binary_fill_holes(mask))
    return joined(loops) / np.array([mask.shape[1], mask.shape[0]], dtype=np.float64), holes


def _number(value: float) -> str:
    # Seven places are less than a thousandth of a pixel for any image that there is.
    return f"{value:.7f}".rstrip("0").rstrip(".")


def _missing(outcome: Outcome) -> list[str]:
    found = []
    if not outcome.total(split="validation"):
        found.append("no validation images in this run: data.yaml has no `val`, which Ultralytics wants for training")
    if not outcome.images["train", "defective"]:
        found.append(
            "no defects in the training split: there is nothing to learn; --split of `anosynth images` makes one"
        )
    return found


def _data(run: Run, outcome: Outcome) -> str:
    """Return data.yaml, without `path`: then all is relative to the file, wherever the folder is moved."""
    lines = [f"{name}: images/{name}" for split, name in _FOLDERS.items() if outcome.total(split=split)]
    names = [f"  {number}: {name}" for number, name in enumerate(run.types)]
    return "\n".join([*lines, "names:", *names]) + "\n"
