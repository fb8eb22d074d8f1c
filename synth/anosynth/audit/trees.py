"""The layouts that other tools write, read by their names alone and without refusing anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from anosynth.datasets.truth import ASIDE
from anosynth.errors import DataError

from .pairs import GOOD, SPLITS, Found, Sample, bare

TREE = re.compile(
    r"(?s)(?P<category>(?:.+/)?)(?P<split>train|validation|valid|val|test|ground_truth)/(?P<kind>[^/]+)/(?P<rest>.+)\.[^/.]+"
)
_VISA = re.compile(
    r"(?s)(?P<category>[^/]+)/Data/(?P<what>Images|Masks)/(?P<label>Normal|Anomaly)/(?P<rest>.+)\.[^/.]+"
)
_REAL = re.compile(
    r"realiad_[^/]+/(?P<category>[^/]+)/(?P<label>OK|NG)/(?:(?P<kind>[^/]+)/)?(?P<folder>[^/]+)/(?P<stem>[^/]+)\.[^/.]+"
)
_SPLIT_TABLE = "split_csv/1cls.csv"
_PHOTOS = ("anomalous", "ground_truth", ("instances", "grades"))


def guess(paths: Sequence[str]) -> str:
    """Return the layout that files of these names seem to have; "folder" if it is none that is known."""
    if any(_VISA.fullmatch(path) for path in paths):
        return "visa"
    if any(_REAL.fullmatch(path) for path in paths):
        return "real-iad"
    tops = {path.split("/")[0] for path in paths}
    if {"anomalous", "ground_truth"} <= tops and not tops & set(SPLITS):
        return "photos"
    matches = [match for path in paths if (match := TREE.fullmatch(path))]
    if 2 * len(matches) <= len(paths):
        return "folder"
    if any(match["split"] == "ground_truth" and "/" in match["rest"] for match in matches):
        return "mvtec-loco"
    if any(match["kind"] in ("ok", "ko") for match in matches):
        return "btad"
    if any(path.startswith("visa_pytorch/") for path in paths):
        return "visa"
    # Readers of MVTec AD take nothing but PNG: a tree of other photos is one of its own.
    photos = [path for path, match in zip(paths, map(TREE.fullmatch, paths), strict=True) if _is_photo(match)]
    return "mvtec" if all(path.lower().endswith(".png") for path in photos) else "folder"


def tree(root: Path, layout: str, paths: Sequence[str]) -> Found:
    """Return what files of these names, relative to the root, are in a layout."""
    kept = [path for path in paths if path.split("/")[0] != ASIDE]
    if layout == "visa" and any(_VISA.fullmatch(path) for path in kept):
        return _visa(root, kept)
    if layout == "real-iad":
        return _real_iad(root, kept)
    if layout == "photos":
        return _photos(root, kept)
    return _tree(root, layout, kept)


def _is_photo(match: re.Match[str] | None) -> bool:
    return match is not None and match["split"] != "ground_truth"


def _tree(root: Path, layout: str, paths: Sequence[str]) -> Found:
    found = Found(root, layout)
    photos: dict[tuple[str, str, str], str] = {}
    masks: dict[str, tuple[str, str, str]] = {}
    for path in paths:
        match = TREE.fullmatch(path)
        if match is None:
            found.strays.append(path)
        elif match["split"] == "ground_truth":
            masks[path] = (match["category"], match["kind"], match["rest"])
        elif match["split"] == "test" or (match["category"], match["kind"], match["rest"]) not in photos:
            photos[match["category"], match["kind"], match["rest"]] = path
    owned: dict[str, list[str]] = {}
    for mask, (category, kind, rest) in masks.items():
        names = (rest, bare(rest), PurePosixPath(rest).parent.as_posix())
        owner = next((photos[category, kind, name] for name in names if (category, kind, name) in photos), None)
        if owner is None:
            found.orphans.append(mask)
        else:
            owned.setdefault(owner, []).append(mask)
    for path in paths:
        match = TREE.fullmatch(path)
        if match is None or match["split"] == "ground_truth":
            continue
        kind = "good" if match["kind"].lower() in GOOD else match["kind"]
        parts = tuple(sorted(owned.get(path, [])))
        number = len(parts) if layout == "mvtec-loco" else 0
        category = match["category"].rstrip("/")
        found.samples.append(Sample(path, SPLITS[match["split"]], kind, category, parts, instances=number))
    return found


def _visa(root: Path, paths: Sequence[str]) -> Found:
    found = Found(root, "visa")
    splits = _visa_splits(root)
    masks: dict[tuple[str, str], str] = {}
    for path in paths:
        match = _VISA.fullmatch(path)
        if match and match["what"] == "Masks":
            masks[match["category"], match["rest"]] = path
    for path in paths:
        match = _VISA.fullmatch(path)
        if match is None:
            found.strays.append(path)
        elif match["what"] == "Images":
            category, split = match["category"], splits.pop(path, "")
            mask = masks.pop((category, match["rest"]), None) if match["label"] == "Anomaly" else None
            kind = "anomaly" if match["label"] == "Anomaly" else "good"
            found.samples.append(Sample(path, split, kind, category, () if mask is None else (mask,)))
    found.orphans = sorted(masks.values())
    # The table speaks of all categories, of which some may be here.
    here = {sample.category for sample in found.samples}
    found.lost = sorted(path for path in splits if path.split("/")[0] in here)
    return found


def _visa_splits(root: Path) -> dict[str, str]:
    from anosynth.datasets._tables import read_csv

    if not (root / _SPLIT_TABLE).is_file():
        return {}
    rows = read_csv(root / _SPLIT_TABLE, ("object", "split", "label", "image", "mask"))
    return {image: SPLITS.get(split, "") for _, split, _, image, _ in rows}


def _real_iad(root: Path, paths: Sequence[str]) -> Found:
    found = Found(root, "real-iad")
    here = set(paths)
    listed: set[str] = set()
    for table in sorted({*root.glob("realiad_jsons/*.json"), *root.glob("realiad_jsons/realiad_jsons/*.json")}):
        base = next((path.split("/")[0] for path in paths if path.split("/")[1:2] == [table.stem]), None)
        if base is None:
            continue
        for split, row in _rows_of(table):
            path, mask = (f"{base}/{table.stem}/{row.get(key)}" for key in ("image_path", "mask_path"))
            kind = "good" if row.get("anomaly_class") == "OK" else str(row.get("anomaly_class"))
            if path not in here:
                found.lost.append(path)
                continue
            own = (mask,) if row.get("mask_path") and mask in here else ()
            listed.update([path, *own])
            found.samples.append(Sample(path, split, kind, table.stem, own))
    if listed:
        rest = sorted(here - listed)
        found.orphans = [path for path in rest if bare(PurePosixPath(path).stem) != PurePosixPath(path).stem]
        found.strays = sorted(set(rest) - set(found.orphans))
        return found
    for path in paths:
        match = _REAL.fullmatch(path)
        if match is None:
            found.strays.append(path)
            continue
        stem = str(PurePosixPath(path).with_suffix(""))
        photo = bare(stem)
        if photo != stem:
            if not any(f"{photo}{suffix}" in here for suffix in (".jpg", ".jpeg", ".png")):
                found.orphans.append(path)
            continue
        mask = f"{stem}_mask.png"
        kind = "good" if match["label"] == "OK" else match["kind"] or "NG"
        found.samples.append(Sample(path, "", kind, match["category"], (mask,) if mask in here else ()))
    return found


def _rows_of(table: Path) -> list[tuple[str, dict[str, object]]]:
    from anosynth.datasets._tables import read_json

    data = read_json(table)
    rows = []
    for split in ("train", "test"):
        part = data.get(split, [])
        if not isinstance(part, list) or not all(isinstance(row, dict) for row in part):
            raise DataError(f"{table}: {split}: expected a list of objects")
        rows += [(split, row) for row in part]
    return rows


def _photos(root: Path, paths: Sequence[str]) -> Found:
    found = Found(root, "photos")
    samples, labels, other = _PHOTOS
    masks = {str(PurePosixPath(path).with_suffix("")): path for path in paths if path.startswith(f"{labels}/")}
    for path in paths:
        top, _, rest = path.partition("/")
        if top == samples:
            stem = f"{labels}/{PurePosixPath(rest).with_suffix('')}"
            mask = masks.pop(stem, None) or masks.pop(f"{stem}_mask", None)
            found.samples.append(Sample(path, "", "anomalous", "", () if mask is None else (mask,)))
        elif top in GOOD:
            found.samples.append(Sample(path))
        elif top != labels and top not in other:
            found.strays.append(path)
    found.orphans = sorted(masks.values())
    return found
