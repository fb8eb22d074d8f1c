"""Which of the files among plain photos are labels of others, and which photos have a defect by them.

Names say what may be a label, photos beside it what is one: `a_mask.png` next to `a.jpg`, `masks/a.png` or
`ground_truth/bent/a_mask.png` beside `bent/a.jpg`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anosynth.errors import DataError

_ENDING = re.compile(r"(?P<stem>.+?)[-_. ](mask|gt|label|ground_?truth|seg|segmentation)s?[-_]?[0-9]*", re.IGNORECASE)
_TRUTH = frozenset(["ground_truth", "groundtruth", "ground-truth"])
_WORDS = ("gt", "mask", "label", "annotation", "segmentation", "instance")
_FOLDERS = (
    _TRUTH | {f"{word}{end}" for word in _WORDS for end in ("", "s")} | {"segmentationclass", "segmentationobject"}
)
_NORMAL = frozenset(["good", "ok", "normal"])


@dataclass
class Sorted:
    """Photos and labels of a list of files, relative to its root, in its order.

    Attributes:
        masks: the labels of each photo that has some.
        unsure: files in a folder named like one of labels, none of which belongs to a photo.
    """

    photos: list[Path] = field(default_factory=list)
    labels: list[Path] = field(default_factory=list)
    masks: dict[Path, list[Path]] = field(default_factory=dict)
    unsure: list[Path] = field(default_factory=list)


def sort_out(paths: Sequence[Path]) -> Sorted:
    """Tell photos and labels apart by their names; reads nothing."""
    found = Sorted()
    apart = {path: at for path in paths if (at := _folder(path)) is not None}
    photos: dict[str, list[Path]] = {}
    for path in paths:
        if path not in apart:
            photos.setdefault(path.stem, []).append(path)
    owners = {path: list(_owners(path, apart.get(path), photos)) for path in paths}
    # One that belongs to a photo makes its whole folder one of labels.
    folders = {_root_of(path, at) for path, at in apart.items() if owners[path] or path.parts[at].lower() in _TRUTH}
    for path in paths:
        in_folder = path in apart and _root_of(path, apart[path]) in folders
        if in_folder or (path not in apart and owners[path]):
            found.labels.append(path)
            for owner in owners[path]:
                found.masks.setdefault(owner, []).append(path)
        else:
            (found.unsure if path in apart else found.photos).append(path)
    return found


def defective(root: Path, found: Sorted) -> list[Path]:
    """Return the photos whose labels show something, by reading these; photos in a folder of normal ones never do."""
    return [
        photo
        for photo, masks in found.masks.items()
        if not _NORMAL.intersection(part.lower() for part in photo.parts[:-1])
        and any(_shows(root / mask) for mask in masks)
    ]


def _folder(path: Path) -> int | None:
    """Return the place in the path of the first folder that is named like one of labels."""
    return next((at for at, part in enumerate(path.parts[:-1]) if part.lower() in _FOLDERS), None)


def _root_of(path: Path, at: int) -> tuple[str, ...]:
    return path.parts[: at + 1]


def _owners(path: Path, at: int | None, photos: dict[str, list[Path]]) -> Iterator[Path]:
    """Yield the photos that a file is a label of, if it is one: same folder, or the same tail beside its folder."""
    match = _ENDING.fullmatch(path.stem)
    if at is None:
        for photo in photos.get(match["stem"], []) if match else []:
            if photo.parent == path.parent:
                yield photo
        return
    before, after = path.parts[:at], path.parts[at + 1 : -1]
    tails = {(*after, path.stem), *([(*after, match["stem"])] if match else [])}
    # Several masks of one photo lie in a folder named like it.
    tails |= {after} if after else set()
    for tail in sorted(tails):
        for photo in photos.get(tail[-1], []):
            parts = (*photo.parts[:-1], photo.stem)
            if parts[:at] == before and parts[-len(tail) :] == tail and len(parts) >= at + len(tail):
                yield photo


def _shows(mask: Path) -> bool:
    from anosynth.io.images import read_image

    try:
        image = read_image(mask)
        seen = image.colours if image.solid is None else image.colours[image.solid]
        return bool(seen.any())
    except DataError:
        return True
