"""Real-IAD: specimens seen from five sides, and the split of their photos in a JSON file a category."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.io.inner import fault, printable
from anosynth.seeding import normalise_key

from ._names import blocks, claim_stem, remark, remark_masks
from .layout import Labelled, Layout, Output, Source, Truth, walk

Row = dict[str, Any]

_HOMES = ("realiad_jsons/realiad_jsons", "realiad_jsons")
"""Where the JSON files of the multi-view split are: as unpacked, or in the outer folder."""
_SIZE = re.compile(r"realiad_([0-9]+|raw)")
_OK = "OK"
_OURS = re.compile(r"(?P<base>realiad_([0-9]+|raw)/(?P<category>[^/]+))/(?P<image>NG/(?P<kind>[^/]+)/[^/]+/[^/]+\.png)")


class RealIAD(Layout):
    """`realiad_SIZE/CATEGORY/{OK,NG/KIND}/S0001/CATEGORY_0001_OK_C1_TIME.jpg`, `..._mask.png`, and JSON files.

    `realiad_jsons/realiad_jsons/CATEGORY.json` (or `realiad_jsons/CATEGORY.json`, as in the input) lists the photos for
    training and test, with their masks and classes; those of `_sv` and `_fuiad` are not read. The photos of a specimen
    are held out together: none is seen in training and, with a defect, in test.

    Variant V of `OK/S0001/a_0001_OK_C1_T.jpg` becomes `NG/DEFECT/S0001_V/a_0001_NG_DEFECT_C1_T_V.png`, its mask
    `..._V_mask.png`: PNG, since JPEG would change pixels outside of the mask. Each photo has a defect of its own: the
    views of a specimen do not show one and the same. The class is the defect's name, not one of the two-letter codes.
    """

    name: ClassVar[str] = "real-iad"
    family: ClassVar[str] = "images"
    folder: ClassVar[str] = "Real-IAD"
    home: ClassVar[str] = "Real-IAD comes from its authors, realiad4ad.github.io/Real-IAD (CC BY-NC-SA 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        missing, splits, found = [], dict[Path, str](), []
        for category, data in _lists(root).items():
            base = Path(_size(root), category)
            for split, row in _rows(data):
                path, mask = base / row["image_path"], row.get("mask_path")
                if blocks(root, path):
                    continue
                kind = "good" if row["anomaly_class"] == _OK else str(row["anomaly_class"])
                truth = base / mask if mask and (root / base / mask).is_file() else None
                if kind != "good" and truth is None:
                    missing.append(path)
                if splits.setdefault(path.parent, split) != split:
                    splits[path.parent] = "both"
                found.append(Labelled(path, split, kind, category, truth))
        both = sorted(folder for folder, split in splits.items() if split == "both")
        if both:
            remark(f"{root / both[0]}: in training and in test, as its JSON file says (specimens: {len(both)})")
        remark_masks(root, sorted(missing), [])
        yield from sorted(found, key=lambda sample: sample.path.as_posix())

    def group(self, source: Source) -> str:
        specimen = source.path.parent
        return source.key if specimen.name == _OK else normalise_key(specimen.as_posix())

    def target(self, source: Source, kind: str, variant: int) -> str:
        size, category, specimen, stem = *source.path.parts[:2], source.path.parent.name, source.path.stem
        specimen = stem if specimen == _OK else specimen
        name = stem.replace("_OK_", f"_NG_{kind}_", 1) if "_OK_" in stem else f"{stem}_{kind}"
        return f"{size}/{category}/NG/{kind}/{specimen}_{variant:03d}/{name}_{variant:03d}.png"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .photos import write_photo
        from .truth import ASIDE

        labels = f"{target.removesuffix('.png')}_mask.png"
        return write_photo(out, target, labels, f"{ASIDE}/{target}", anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        from .photos import read_photo

        return read_photo(out, record)

    def tables(self, categories: Iterable[str], kinds: Iterable[str]) -> list[str]:
        return sorted(f"{home}/{category}.json" for home in _HOMES for category in categories)

    def due(self, out: Path) -> list[str]:
        # In which of the two folders they lie, the input says.
        home = next((home for home in _HOMES if any((out / home).glob("*.json"))), _HOMES[0])
        return sorted(_tables(out, home, {}))

    def finish(self, out: Path, root: Path | None = None) -> list[Output]:
        """Write the JSON file of each category: the input's rows of what was copied, and the anomalies as test."""
        from ._tables import settle

        lists = {} if root is None else _lists(root)
        home = _HOMES[1] if root is None else _home(root)
        return settle(out, lambda folder: _tables(folder, home, lists))


def _tables(out: Path, home: str, lists: Mapping[str, Row]) -> dict[str, bytes]:
    """Return the bytes of each JSON file by its path in OUT; `lists` are those of the input by category."""
    from ._tables import json_bytes

    here = {path.as_posix() for path in walk(out, frozenset([".jpg", ".jpeg", ".png"]))}
    anomalies: dict[str, list[Row]] = {}
    bases: dict[str, str] = {}
    known = {row["image_path"] for data in lists.values() for _, row in _rows(data)}
    for path in sorted(here):
        parts = PurePosixPath(path).parts
        if len(parts) > 2 and _SIZE.fullmatch(parts[0]):
            bases.setdefault(parts[1], "/".join(parts[:2]))
        match = _OURS.fullmatch(path)
        mask = f"{path.removesuffix('.png')}_mask.png"
        if match and mask in here and match["image"] not in known:
            name = match["category"]
            row = {"category": name, "anomaly_class": match["kind"], "image_path": match["image"]}
            row["mask_path"] = mask.removeprefix(f"{match['base']}/")
            anomalies.setdefault(name, []).append(row)
    tables = {}
    for category, base in sorted(bases.items()):
        data = lists.get(category, {})
        rows: dict[str, list[Row]] = {"train": [], "test": []}
        for split, row in _rows(data):
            if f"{base}/{row['image_path']}" in here:
                rows[split].append(row)
        rows["test"] += anomalies.get(category, [])
        if rows["train"] or rows["test"]:
            meta = data.get("meta", {"normal_class": _OK, "prefix": f"{category}/"})
            tables[f"{home}/{category}.json"] = json_bytes({"meta": meta, **rows})
    return tables


def _lists(root: Path) -> dict[str, Row]:
    """Return the JSON files of the categories that are here, checked.

    Raises:
        DataError: the tree or a file is of another form, or a photo is listed twice.
    """
    from ._tables import read_json

    size, home = _size(root), _home(root)
    lists = {}
    for path in sorted((root / home).glob("*.json")):
        if (root / size / path.stem).is_dir():
            lists[path.stem] = read_json(path)
            _check(root, path, lists[path.stem])
    if not lists:
        raise DataError(f"{root / home}: no JSON file of a category in {size}: expected one such as audiojack.json")
    return lists


def _check(root: Path, path: Path, data: Row) -> None:
    taken: dict[Path, Path] = {}
    meta = data.get("meta", {})
    if not isinstance(meta, dict) or meta.get("prefix", f"{path.stem}/") != f"{path.stem}/":
        raise DataError(f"{path}: meta: expected the prefix {path.stem}/")
    for split in ("train", "test"):
        rows = data.get(split)
        if not isinstance(rows, list):
            raise DataError(f"{path}: {split}: expected a list")
        for number, row in enumerate(rows):
            where = f"{path}: {split}: row {number}"
            if not isinstance(row, dict) or not isinstance(row.get("anomaly_class"), str):
                raise DataError(f"{where}: expected image_path, mask_path and anomaly_class")
            for key in ("image_path", "mask_path"):
                value = row.get(key)
                if not (_inside(value) if value or key == "image_path" else value in (None, "")):
                    raise DataError(
                        f"{where}: {key}: {printable(value)}: expected a path in the folder of the category"
                    )
            image = Path(row["image_path"])
            if taken.get(image.with_suffix("")) == image:
                raise DataError(f"{where}: {image.as_posix()}: listed twice")
            claim_stem(taken, root, image, image.with_suffix(""))


def _inside(value: Any) -> bool:
    return not fault(value) and len(PurePosixPath(value).parts) > 1


def _rows(data: Row) -> Iterator[tuple[str, Row]]:
    for split in ("train", "test"):
        for row in data.get(split, []):
            yield split, row


def _size(root: Path) -> str:
    found = sorted(path.name for path in root.iterdir() if _SIZE.fullmatch(path.name)) if root.is_dir() else []
    if not found:
        raise DataError(
            f"{root}: expected files such as `realiad_1024/audiojack/OK/S0001/audiojack_0001_OK_C1_0.jpg`, found none\n"
            "hint: the root is the folder that holds the first of these names"
        )
    if len(found) > 1:
        raise DataError(
            f"{root}: holds {', '.join(found)}: expected one size\n"
            "hint: make a folder with a link to one of them and to realiad_jsons, and give it as --root"
        )
    return found[0]


def _home(root: Path) -> str:
    for home in _HOMES:
        if any((root / home).glob("*.json")):
            return home
    raise DataError(f"{root / _HOMES[0]}: no JSON files: expected one for each category, or in {root / _HOMES[1]}")
