"""anomalib: a tree for its data module `Folder`, and the configuration that reads it."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import ClassVar

from ._base import Export, Outcome, Settings
from ._picture import mask_png, opened, place_image, ready
from ._run import Entry, Run

_DIRS = {"normal_dir": "normal", "abnormal_dir": "abnormal", "normal_test_dir": "normal_test", "mask_dir": "mask"}


class Anomalib(Export):
    """`normal/`, `normal_test/`, `abnormal/`, `mask/` and `anomalib.yaml`, in a folder of each category if any.

    `normal/` has the good images of training, `normal_test/` and `abnormal/` those of validation and test, of which
    anomalib itself cuts its validation. `Folder` gives the n-th mask to the n-th anomalous image, both sorted by path,
    and wants the image's stem in the mask's; here both have the same name. Defective images of the training split are
    left out, for their sources are trained on. The configuration says all folders: without `normal_test_dir`, anomalib
    would take test images from training.
    """

    name: ClassVar[str] = "anomalib"
    options: ClassVar[frozenset[str]] = frozenset(["link"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome = Outcome()
        used: dict[str, set[str]] = {category: set() for category in run.categories}
        for entry in run.entries():
            if entry.defective and entry.split == "train":
                outcome.left_out += 1
                continue
            kind, home = _kind(entry), folder / _home(entry.category)
            with opened(entry) as picture:
                name = f"{kind}/{entry.key}{PurePosixPath(entry.name).suffix}"
                place_image(entry, picture, home, name, link=settings.link)
            if entry.defective:
                ready(home / "mask" / f"{entry.key}.png").write_bytes(mask_png(picture.mask))
            used[entry.category].add(kind)
            outcome.count(entry, picture.count)
        if outcome.left_out:
            outcome.warnings.append(
                f"{outcome.left_out} defective images of the training split were left out: anomalib trains on good ones"
            )
        for category, kinds in used.items():
            missing = sorted({"normal", "normal_test", "abnormal"} - kinds)
            if missing:
                where = f"category {category}: " if category else ""
                outcome.warnings.append(f"{where}no images for {', '.join(missing)} in this run: anomalib needs them")
            ready(folder / _home(category) / "anomalib.yaml").write_text(_config(category), encoding="utf-8")
        return outcome


def _kind(entry: Entry) -> str:
    if entry.defective:
        return "abnormal"
    return "normal" if entry.split == "train" else "normal_test"


def _home(category: str) -> str:
    return category or "."


def _config(category: str) -> str:
    import yaml

    arguments = {"name": category or "anosynth", "root": ".", **_DIRS}
    text = yaml.safe_dump(
        {"class_path": "anomalib.data.Folder", "init_args": arguments}, sort_keys=False, allow_unicode=True
    )
    return (
        f"# Paths are relative to where anomalib is started: start it here, or write the way here into `root`.\n{text}"
    )
