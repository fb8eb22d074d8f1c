"""COCO: one annotation per defect, its mask as RLE with all holes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth._version import __version__
from anosynth.run.splits import SPLITS

from ._base import Export, Outcome, Settings
from ._picture import instances, opened, place_image
from ._rle import coco_rle
from ._run import Run
from ._text import Rows, line, rows


class Coco(Export):
    """`images/` with all images, `instances.json` about all of them, `instances_SPLIT.json` about those of a split.

    `file_name` is relative to `images/`. Ids of images and annotations count from 1 in the order of the images' names
    and are the same in all files; categories are the sorted kinds of defects of the recipe, from 1. Every annotation
    is a compressed RLE with `iscrowd` 0, for polygons have no holes and crowds are left out by many readers.
    """

    name: ClassVar[str] = "coco"
    options: ClassVar[frozenset[str]] = frozenset(["link"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome, number = Outcome(), 0
        ids = {name: position for position, name in enumerate(run.types, 1)}
        with ExitStack() as stack:
            parts = {
                (split, kind): stack.enter_context(rows(folder / f".{split or 'all'}.{kind}"))
                for split in ("", *SPLITS)
                for kind in ("images", "annotations")
            }
            for image_id, entry in enumerate(run.entries(), 1):
                with opened(entry) as picture:
                    name = place_image(entry, picture, folder / "images", entry.name, link=settings.link)
                height, width = picture.image.shape
                row = {"id": image_id, "file_name": name, "width": width, "height": height, "split": entry.split}
                _add(parts, entry.split, "images", {**row, "product": entry.category})
                before = number
                for _, kind, mask in instances(entry, picture):
                    number += 1
                    _add(parts, entry.split, "annotations", _annotation(number, image_id, ids[kind], mask))
                outcome.count(entry, number - before)
            categories = [
                {"id": number, "name": name, "supercategory": "defect"} for name, number in sorted(ids.items())
            ]
            for split in ("", *SPLITS):
                if parts[split, "images"].number:
                    name = f"instances_{split}.json" if split else "instances.json"
                    _write(folder / name, parts[split, "images"], parts[split, "annotations"], categories)
        return outcome


def box_of(mask: NDArray[np.bool_]) -> list[int]:
    """Return [x, y, width, height] of a mask (H, W) that is not empty."""
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(x[0]), int(y[0]), int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)]


def _annotation(number: int, image: int, category: int, mask: NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "segmentation": coco_rle(mask),
        "bbox": box_of(mask),
        "area": int(mask.sum()),
        "iscrowd": 0,
    }


def _add(parts: dict[tuple[str, str], Rows], split: str, kind: str, row: dict[str, Any]) -> None:
    parts["", kind].add(row)
    parts[split, kind].add(row)


def _write(path: Path, images: Rows, annotations: Rows, categories: list[dict[str, Any]]) -> None:
    about = {"description": "synthetic defects, made by anosynth", "version": __version__}
    with path.open("wb") as file:
        images.close()
        annotations.close()
        file.write(b'{"info": ' + line(about)[:-1] + b',\n"licenses": [],\n"images": ')
        images.copy_to(file)
        file.write(b',\n"annotations": ')
        annotations.copy_to(file)
        file.write(b',\n"categories": ' + line(categories)[:-1] + b"}\n")
