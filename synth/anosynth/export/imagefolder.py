"""Hugging Face `imagefolder`: images, masks and metadata of each split, and the data set's card."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from ._base import Export, Outcome, Settings
from ._card import Facts, card_text
from ._picture import mask_png, opened, place_image, ready
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
                home = folder / entry.split
                with opened(entry) as picture:
                    image = place_image(entry, picture, home, f"images/{entry.name}", link=settings.link)
                mask = PurePosixPath("masks", entry.name).with_suffix(".png").as_posix()
                ready(home / mask).write_bytes(mask_png(picture.mask))
                if entry.split not in files:
                    files[entry.split] = stack.enter_context((home / "metadata.jsonl").open("wb"))
                row = described(entry, picture.count, defect_of(entry), picture.area)
                files[entry.split].write(line({"file_name": image, "mask_file_name": mask, **row}))
                outcome.count(entry, picture.count)
                facts.add(entry)
        ready(folder / "README.md").write_text(card_text(run, facts, settings.license, folders=True), encoding="utf-8")
        return outcome
