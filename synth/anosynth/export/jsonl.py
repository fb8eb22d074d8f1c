"""JSON lines as DRAEM's and UniAD's descendants read them: a file of training, one of test."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from ._base import Export, Outcome, Settings
from ._picture import mask_png, opened, place_image, ready
from ._run import Run
from ._text import defect_of, line

NO_CATEGORY = "object"
"""The class of images that have no category; readers average over classes, which need a name."""


class Jsonl(Export):
    """`train.jsonl`, `validation.jsonl` and `test.jsonl` with `images/` and `masks/`, to which their paths lead.

    Keys are `filename`, `label` 0 or 1, `label_name` "good" or "defective", `maskname` of defective images (good ones
    have none in the lists of UniAD and OneNIP), `clsname`; our own `defect` is the kind. These readers take every line
    of training for normal, so defective images of the training split are left out.
    """

    name: ClassVar[str] = "jsonl"
    options: ClassVar[frozenset[str]] = frozenset(["link"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome = Outcome()
        with ExitStack() as stack:
            files: dict[str, Any] = {}
            for entry in run.entries():
                if entry.defective and entry.split == "train":
                    outcome.left_out += 1
                    continue
                with opened(entry) as picture:
                    image = place_image(entry, picture, folder, f"images/{entry.name}", link=settings.link)
                row: dict[str, Any] = {"filename": image, "label": int(entry.defective), "label_name": entry.label}
                if entry.defective:
                    row["maskname"] = PurePosixPath("masks", entry.name).with_suffix(".png").as_posix()
                    ready(folder / row["maskname"]).write_bytes(mask_png(picture.mask))
                row |= {"clsname": entry.category or NO_CATEGORY, "defect": defect_of(entry)}
                if entry.split not in files:
                    files[entry.split] = stack.enter_context((folder / f"{entry.split}.jsonl").open("wb"))
                files[entry.split].write(line(row))
                outcome.count(entry, picture.count)
        if outcome.left_out:
            outcome.warnings.append(
                f"{outcome.left_out} defective images of the training split were left out: these train on good ones"
            )
        for split in ("train", "test"):
            if not outcome.total(split=split):
                outcome.warnings.append(f"no images of the {split} split in this run: {split}.jsonl is missing")
        return outcome
