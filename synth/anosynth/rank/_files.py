"""Which files are normal, which show real defects, and what their masks are, by names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anosynth.audit.pairs import BAD, Found, Sample, find, plain
from anosynth.audit.pairs import GOOD as GOOD_NAMES
from anosynth.datasets.folder import SUFFIXES as CLOUDS
from anosynth.datasets.layout import find_layout, walk
from anosynth.errors import DataError
from anosynth.io.images import SUFFIXES as PHOTOS

from ._samples import GOOD

_BOTH = PHOTOS & CLOUDS
_ANY = "anomalous"
_NO_KINDS = BAD | {"image", "images", "img", "imgs", "photo", "photos", "test", "real"}
"""Names of folders that say nothing about the defects in them."""
_MANY = 20


@dataclass(frozen=True)
class File:
    """A file of a sample.

    Attributes:
        path: where it is.
        name: its path relative to the folder that was given, POSIX; names its random streams.
        kind: "good", or the name of the defect.
        masks: its labels; several are parts of one.
        sure: whether it is called anomalous by more than having a mask: a black one makes others normal.
        problem: why it cannot be used, "" if it can.
    """

    path: Path
    name: str
    kind: str = GOOD
    masks: tuple[Path, ...] = ()
    sure: bool = True
    problem: str = ""


def family_of(root: Path) -> str:
    """Return "images" or "pointclouds", by the suffixes of most of the files that only one of them has.

    Raises:
        DataError: `root` is no folder, or holds neither.
    """
    paths = walk(root, PHOTOS | CLOUDS)
    # Data sets of maps have a photo beside each of them.
    if any(path.parent.name == "xyz" and path.suffix.lower() in _BOTH for path in paths):
        return "pointclouds"
    suffixes = [path.suffix.lower() for path in paths]
    photos = sum(suffix in PHOTOS - _BOTH for suffix in suffixes)
    clouds = sum(suffix in CLOUDS - _BOTH for suffix in suffixes)
    if photos or clouds:
        return "images" if photos >= clouds else "pointclouds"
    if not paths:
        raise DataError(f"{root}: holds neither photos nor point clouds: expected normal samples")
    return "images"


def good_files(root: Path, family: str) -> list[File]:
    """Return the normal samples under `root`, sorted by name: of a data set those to train on, else all.

    Raises:
        DataError: there are none, or labels cannot be told from photos.
    """
    if family == "pointclouds":
        from . import _cloud_files

        return _cloud_files.good(root)
    try:
        found = find(root)
    except DataError:
        found = None
    if found is not None and not found.made:
        normal = [sample for sample in found.samples if not sample.defective]
        training = [sample for sample in normal if sample.split in ("train", "validation")] or normal
        if training:
            return [_file(found, sample) for sample in training]
    photos = find_layout("photos").samples(root)
    return _named(root, [sample.path for sample in photos if not sample.problem])


def real_files(root: Path, family: str, *, layout: str = "", masks: Path | None = None) -> list[File]:
    """Return the samples to judge on under `root`, sorted by name: those with real defects, and normal test samples.

    Of data sets of known layouts these are those that are not for training. In other folders whatever does not lie in
    a folder of normal samples counts as anomalous, of the kind that its folder is called; masks are optional.

    Args:
        layout: of the data set; as names tell if empty.
        masks: folder of the masks, where it is another one.

    Raises:
        DataError: there is no anomalous sample.
        UnknownGenerator: there is no such layout.
    """
    if family == "pointclouds":
        from . import _cloud_files

        files = _cloud_files.real(root, layout, masks)
    elif masks is not None:
        files = [_file(found, sample, guess=True) for found in [plain(root, masks)] for sample in found.samples]
    else:
        files = _photos(root, layout)
    if not any(file.kind != GOOD for file in files):
        raise DataError(f"{root}: {len(files)} samples, none anomalous: expected real defects")
    return _by_stems(files)


def _photos(root: Path, layout: str) -> list[File]:
    try:
        found = find(root, layout or None)
    except DataError:
        # Photos alone: nothing but --real says that they show defects.
        if layout or not walk(root, PHOTOS):
            raise
        found = Found(root, "folder", [Sample(path.as_posix()) for path in walk(root, PHOTOS)])
    judged = [sample for sample in found.samples if not (sample.split == "train" and not sample.defective)]
    if found.layout != "folder":
        return [_file(found, sample) for sample in judged]
    return [_file(found, sample, guess=True) for sample in judged]


def _file(found: Found, sample: Sample, *, guess: bool = False) -> File:
    path, kind = found.root / sample.path, sample.kind
    if guess and not sample.defective:
        folders = [part.lower() for part in Path(sample.path).parts[:-1]]
        if not GOOD_NAMES.intersection(folders):
            kind = kind_by_folder(Path(sample.path))
    if guess and sample.defective and kind.lower() in _NO_KINDS:
        kind = _ANY
    name = sample.path if found.root != Path() else path.name
    masks = tuple(found.root / mask for mask in sample.masks)
    return File(path, name, kind, masks, sample.sure or kind != sample.kind)


def kind_by_folder(path: Path) -> str:
    folder = path.parent.name
    return folder if folder and folder.lower() not in _NO_KINDS else _ANY


def _by_stems(files: list[File]) -> list[File]:
    """Return files of no kind in particular with the beginnings of their names as kinds: `chip_003.png` is a chip.

    Only where names have a few such beginnings, each of several files; numbers and cameras' prefixes are no kinds.
    """
    plain_ones = [file for file in files if file.kind == _ANY]
    stems = {file.name: file.path.stem.rstrip("0123456789-_. ").lower() for file in plain_ones}
    counts = Counter(stems.values())
    if not (1 < len(counts) <= _MANY) or "" in counts or min(counts.values()) < 2:
        return files
    return [replace(file, kind=stems[file.name]) if file.kind == _ANY else file for file in files]


def _named(root: Path, paths: Sequence[Path]) -> list[File]:
    files = [File(root / path, path.as_posix()) for path in sorted(paths)]
    if not files:
        raise DataError(f"{root}: holds no normal samples")
    return files
