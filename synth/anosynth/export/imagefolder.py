"""Hugging Face `imagefolder`: images, masks and metadata of each split, and the data set's card."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from ._base import Export, Outcome, Settings
from ._card import Facts, card_text
from ._picture import made, mask_png, place_image, read_picture
from ._run import Run
from ._text import defect_of, described, line


class ImageFolder(Export):
    """`SPLIT/images`, `SPLIT/masks`, `SPLIT/metadata.jsonl`, and a `README.md` that names the splits.

    Columns are `image` and `mask` (from `file_name` and `mask_file_name`), `label`, `defect`, `category` and more. Good
    images have a black mask, for a split without any masks would have another type of column than the others.
    """

    name: ClassVar[str] = "imagefolder"
    options: ClassVar[frozenset[str]] = frozenset(["link", "license"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome, facts = Outcome(), Facts()
        with ExitStack() as stack:
            files: dict[str, Any] = {}
            for entry in run.entries():
                picture, home = read_picture(entry), folder / entry.split
                image = place_image(entry, picture, home, f"images/{entry.name}", link=settings.link)
                mask = PurePosixPath("masks", entry.name).with_suffix(".png").as_posix()
                with made(home / mask) as path:
                    path.write_bytes(mask_png(picture.mask))
                if entry.split not in files:
                    files[entry.split] = stack.enter_context((home / "metadata.jsonl").open("wb"))
                row = described(entry, picture.count, defect_of(entry), picture.area)
                files[entry.split].write(line({"file_name": image, "mask_file_name": mask, **row}))
                outcome.count(entry, picture.count)
                facts.add(entry)
        with made(folder / "README.md") as path:
            path.write_text(card_text(run, facts, settings.license, folders=True), encoding="utf-8")
        return outcome
