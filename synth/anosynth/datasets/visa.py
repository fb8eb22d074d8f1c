"""VisA: photos as JPEG, their split in a table, masks that hold the number of a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.io.inner import fault, printable

from ._names import blocks, claim_stem, entries, remark_masks
from .layout import Labelled, Layout, Output, Source, Truth, walk

_PHOTOS = frozenset([".jpg", ".jpeg", ".png"])
_SPLITS = "split_csv/1cls.csv"
_SPLITS_HEADER = ("object", "split", "label", "image", "mask")
_KINDS_HEADER = ("image", "label", "mask")
_REORGANISED = (
    r"(visa_pytorch/|VisA_pytorch/)?(1cls/)?(?P<category>[^/]+)/(?P<split>train|test|ground_truth)/(?P<kind>good|bad)"
    r"/(?P<stem>[^/]+)\.[^/.]+"
)
_RAW = re.compile(r"(?P<category>[^/]+)/Data/Images/(?P<label>Normal|Anomaly)/[^/]+")
_KIND = re.compile(r".+_(?P<kind>[a-z][a-z0-9-]*)_[0-9]{3,}")


class VisA(Layout):
    """`CATEGORY/Data/Images/{Normal/0000.JPG,Anomaly/000.JPG}`, `CATEGORY/Data/Masks/Anomaly/000.png`, and tables.

    `split_csv/1cls.csv` says which photo is for training and which for test, `CATEGORY/image_anno.csv` which defect it
    shows; a mask holds 0 and the number of a class, not 255. Read, but never written, is also what the set's own script
    makes of it: `visa_pytorch/CATEGORY/{train/good,test/good,test/bad,ground_truth/bad}`.

    Variant V of `Normal/0000.JPG` becomes `Anomaly/0000_DEFECT_V.png`: PNG, since JPEG would change pixels outside of
    the mask; the tables name the files as they are, and readers take both. Its mask has the same name and holds 0 and
    1. Normal photos are copied as they are. The numbers of the defects, where there are several, are in `_truth/`. The
    tables of 2-class splits are not written: they train on anomalies.
    """

    name: ClassVar[str] = "visa"
    family: ClassVar[str] = "images"
    folder: ClassVar[str] = "VisA"
    home: ClassVar[str] = "VisA comes from Amazon, github.com/amazon-science/spot-diff (CC BY 4.0 by its readme)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        found = _samples(root)
        missing = [sample.path for sample in found if sample.kind != "good" and sample.truth is None]
        used = {sample.truth for sample in found}
        folders = {sample.path.parent for sample in found if sample.kind != "good"}
        there = [path for folder in sorted(folders) for path in _masks_of(root, folder)]
        remark_masks(root, sorted(missing), [path for path in there if path not in used])
        yield from found

    def place(self, sample: Labelled) -> str:
        return f"{sample.category}/Data/Images/Normal/{sample.path.name}"

    def target(self, source: Source, kind: str, variant: int) -> str:
        return f"{source.category}/Data/Images/Anomaly/{source.path.stem}_{kind}_{variant:03d}.png"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .photos import write_photo
        from .truth import ASIDE

        labels = _mask_of(PurePosixPath(target)).as_posix()
        return write_photo(out, target, labels, f"{ASIDE}/{target}", anomaly, one=1)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        from .photos import read_photo

        return read_photo(out, record, one=1)

    def tables(self, categories: Iterable[str], kinds: Iterable[str]) -> list[str]:
        return [_SPLITS, *sorted(f"{category}/image_anno.csv" for category in categories)]

    def due(self, out: Path) -> list[str]:
        return sorted(_tables(out, {}))

    def finish(self, out: Path, root: Path | None = None) -> list[Output]:
        """Write `split_csv/1cls.csv` and `CATEGORY/image_anno.csv`; a normal photo keeps the split of the input."""
        from ._tables import settle

        splits: dict[str, str] = {}
        if root is not None:
            splits = {self.place(sample): sample.split for sample in _samples(root) if sample.kind == "good"}
        return settle(out, lambda folder: _tables(folder, splits))


def _samples(root: Path) -> list[Labelled]:
    """Return the samples of either form, sorted by path."""
    if root.is_dir() and (root / _SPLITS).exists():
        found = list(_raw(root))
    else:
        found = list(_reorganised(root))
    return sorted(found, key=lambda sample: sample.path.as_posix())


def _raw(root: Path) -> Iterator[Labelled]:
    from ._tables import read_csv

    taken: dict[Path, Path] = {}
    seen: set[str] = set()
    for category, split, label, image, mask in read_csv(root / _SPLITS, _SPLITS_HEADER):
        if not (root / category).is_dir():
            continue  # the table speaks of all categories, of which some may be here
        where = f"{root / _SPLITS}: {printable(image)}"
        match = _RAW.fullmatch(image)
        if split not in ("train", "test") or label not in ("normal", "anomaly"):
            raise DataError(f"{where}: {split}, {label}: expected train or test, and normal or anomaly")
        if fault(image) or not match or match["category"] != category or match["label"].lower() != label:
            raise DataError(f"{where}: expected a path such as {category}/Data/Images/{label.capitalize()}/0000.JPG")
        if image in seen:
            raise DataError(f"{where}: named twice")
        seen.add(image)
        path = Path(image)
        if blocks(root, path):
            continue
        if label == "normal":
            claim_stem(taken, root, path, path.with_suffix(""))
            yield Labelled(path, split, "good", category)
        else:
            truth = Path(mask) if mask == _mask_of(PurePosixPath(image)).as_posix() else None
            yield Labelled(path, split, "bad", category, truth if truth and (root / truth).is_file() else None)


def _reorganised(root: Path) -> Iterator[Labelled]:
    taken: dict[Path, Path] = {}
    example = f"`{_SPLITS}` with `candle/Data/Images/Normal/0000.JPG`, or `candle/train/good/0000.JPG`"
    for path, part in entries(root, _PHOTOS, _REORGANISED, example):
        category, split, kind = part["category"], part["split"], part["kind"]
        if split == "ground_truth":
            continue
        if kind == "good":
            # The other form has all normal photos in one folder.
            claim_stem(taken, root, path, Path(category, part["stem"]))
            if not _writable(path.name):
                raise DataError(f"{root / path}: expected a name in UTF-8: a table will have to name it")
            yield Labelled(path, split, "good", category)
        elif split == "train":
            raise DataError(f"{root / path}: expected nothing but `good` in {category}/train")
        else:
            truth = path.parents[2] / "ground_truth" / "bad" / f"{part['stem']}.png"
            yield Labelled(path, "test", "bad", category, truth if (root / truth).is_file() else None)


def _mask_of(image: PurePosixPath) -> PurePosixPath:
    """Return the mask of `CATEGORY/Data/Images/Anomaly/NAME`."""
    return image.parents[2] / "Masks" / "Anomaly" / f"{image.stem}.png"


def _masks_of(root: Path, folder: Path) -> list[Path]:
    """Return all masks for the anomalous photos in a folder of either form, relative to the root, sorted."""
    masks = folder.parents[1] / ("Masks/Anomaly" if folder.name == "Anomaly" else "ground_truth/bad")
    return [masks / path for path in walk(root / masks, frozenset([".png"]))] if (root / masks).is_dir() else []


def _tables(out: Path, splits: Mapping[str, str]) -> dict[str, bytes]:
    """Return the bytes of each table by its path in OUT; an empty `splits` counts every normal photo as training."""
    from ._tables import csv_bytes

    rows: list[list[str]] = []
    kinds: dict[str, list[list[str]]] = {}
    here = {path.as_posix() for path in walk(out, _PHOTOS)}
    for image in sorted(here):
        match = _RAW.fullmatch(image)
        if not match or not _writable(image):
            continue
        if match["label"] == "Normal":
            label, kind, mask, split = "normal", "normal", "", splits.get(image, "" if splits else "train")
        else:
            name = _KIND.fullmatch(PurePosixPath(image).stem)
            label, kind, mask = (
                "anomaly",
                name["kind"] if name else "anomaly",
                _mask_of(PurePosixPath(image)).as_posix(),
            )
            split = "test" if mask in here else ""
        if not split:
            continue  # no sample of this data set
        rows.append([match["category"], split, label, image, mask])
        kinds.setdefault(match["category"], []).append([image, kind, mask])
    if not rows:
        return {}
    rows.sort(key=lambda row: (row[0], row[1] != "train", row[3]))
    per = {f"{category}/image_anno.csv": csv_bytes(_KINDS_HEADER, lines) for category, lines in kinds.items()}
    return {_SPLITS: csv_bytes(_SPLITS_HEADER, rows), **per}


def _writable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
