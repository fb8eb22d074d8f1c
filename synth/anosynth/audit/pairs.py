"""What belongs together in a data set: photos, their masks, their sources and splits, as far as names tell.

Readers of a layout refuse what does not fit; an audit has to say what it is, so nothing here is refused that can be
named instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from anosynth.datasets.layout import walk
from anosynth.errors import DataError, UnknownGenerator, did_you_mean
from anosynth.images import Image
from anosynth.io.images import MAX_PIXELS, SUFFIXES, read_image
from anosynth.run.shards import Shard
from anosynth.run.sinks import refuse_others

GOOD = frozenset(["good", "ok", "normal", "normals", "nominal"])
"""Names of folders that hold normal photos, in lower case."""

BAD = frozenset(["bad", "ko", "ng", "anomaly", "anomalies", "anomalous", "abnormal", "defect", "defects", "defective"])
"""Names of folders that hold photos of defects, in lower case."""

SPLITS = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["validation", "valid", "val"], "validation"),
    **dict.fromkeys(["test", "testing"], "test"),
}
"""The split that a folder of this name, in lower case, stands for."""

PLAIN = "pairs"
"""The layout of photos and masks in two folders that the user names."""

TREES = ("btad", "folder", "mpdd", "mvtec", "mvtec-loco", "photos", "real-iad", "visa")
"""The layouts that an audit reads."""

_OWN_MASKS = frozenset(["visa", "mvtec-loco"])
_EXACT_MASKS = frozenset(["mvtec", "mpdd", "btad", "real-iad", "photos"])


@dataclass(frozen=True, slots=True)
class Sample:
    """A photo of a data set with what names say of it.

    Attributes:
        path: relative to the root of the data set, POSIX, or absolute.
        split: "train", "validation", "test", or "" where the data set has none.
        kind: "good" or the name of the defect.
        masks: its labels, paths as above; several are parts of one.
        origin: the file that it was made of, relative to where the sources are; "" if names do not tell.
        instances: number of its defects, 0 if that is not known.
        sure: whether it is called anomalous by more than having a mask.
        shard, start: number of the manifest that names it among `Found.shards`, and the byte at which its line begins;
            -1 and 0 for files.
    """

    path: str
    split: str = ""
    kind: str = "good"
    category: str = ""
    masks: tuple[str, ...] = ()
    origin: str = ""
    instances: int = 0
    sure: bool = True
    shard: int = -1
    start: int = 0

    @property
    def defective(self) -> bool:
        """Whether it is said to show a defect."""
        return self.kind != "good"


@dataclass
class Found:
    """A data set as its names tell it.

    Attributes:
        place: the folder that paths of samples are relative to.
        samples: sorted by path.
        orphans: masks without a photo; `strays` are pictures that are neither.
        sources: where the files that `Sample.origin` names lie, None if they are not known.
        made: whether a manifest of anosynth says all this.
        lost: files that a table names and that are not there.
        away: normal photos that belong to it and are not in `sources`, relative to that, with their splits.
        shards: the manifests of samples that are no files: those in tars, and those that are made when they are read.
        largest: number of pixels that one of its photos may have.
    """

    place: Path
    layout: str
    samples: list[Sample] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    sources: Path | None = None
    made: bool = False
    away: dict[str, str] = field(default_factory=dict)
    shards: list[Shard] = field(default_factory=list)
    largest: int = MAX_PIXELS

    @property
    def root(self) -> Path:
        """The folder that paths of samples lead from, for who opens them as files.

        Raises:
            DataError: they are no files, see `opened`.
        """
        if self.shards:
            refuse_others(self.place, self.shards[0].sink)
        return self.place

    def opened(self, sample: Sample) -> AbstractContextManager[Path]:
        """Return the folder that a sample's paths lead from, for as long as needed, whether it is a file or not.

        Raises:
            DataError: the sample cannot be had.
        """
        if sample.shard < 0:
            return nullcontext(self.place)
        shard = self.shards[sample.shard]
        return shard.opened(shard.record(sample.start))

    def made_of(self, root: Path) -> Found:
        """Return the same with its sources in another folder than its manifest says."""
        there = [(source, split) for source, split in self.away.items() if (root / source).is_file()]
        normals = [Sample((root / source).resolve().as_posix(), split, origin=source) for source, split in there]
        shards = [replace(shard, root=root) for shard in self.shards]
        return replace(self, samples=_sorted([*self.samples, *normals]), away={}, shards=shards)

    def check_sources(self) -> None:
        """Raise DataError if there is no folder of what samples are made of when they are read."""
        for shard in self.shards:
            if not shard.sink.stored and not shard.home.is_dir():
                raise DataError(
                    f"{shard.home}: not a folder: the photos of {self.place} are made of what it held\n"
                    "hint: --sources says where that is now"
                )

    def photo(self, sample: Sample) -> Image:
        """Read the photo of a sample; raise DataError if that cannot be done."""
        with self.opened(sample) as folder:
            return read_image(folder / sample.path)

    @property
    def values(self) -> str:
        """What masks of this layout hold: "255" (0 and that), "codes" (0 and any), "two" (0 and one other)."""
        return "codes" if self.layout in _OWN_MASKS else "255" if self.layout in _EXACT_MASKS else "two"


def find(root: Path, layout: str | None = None) -> Found:
    """Return the samples of the data set under `root`, in this layout or the one that it seems to have.

    Raises:
        UnknownGenerator: there is no such layout.
        DataError: `root` is no folder or holds no photos, or its manifest cannot be read.
    """
    from .made import header_layout, made
    from .trees import guess, tree

    if layout is not None and layout not in TREES:
        raise UnknownGenerator(f"no layout of photos `{layout}`{did_you_mean(layout, TREES)}")
    if not root.is_dir():
        raise DataError(f"{root}: not a folder: expected a data set of photos")
    ours = header_layout(root)
    if ours is not None and layout in (None, ours):
        return _checked(made(root, ours))
    paths = [path.as_posix() for path in walk(root, SUFFIXES)]
    if not paths:
        raise DataError(f"{root}: holds no photos: expected {', '.join(sorted(SUFFIXES))}")
    name = layout if layout is not None else guess(paths)
    return _checked(by_names(root, paths) if name == "folder" else tree(root, name, paths))


def plain(images: Path, masks: Path, normals: Path | None = None) -> Found:
    """Return the pairs of photos and masks in two folders: of one name, or `a.jpg` and `a_mask.png`.

    Raises:
        DataError: one is no folder, or there are no photos.
    """
    found = Found(Path(), PLAIN)
    labels: dict[str, list[str]] = {}
    for path in walk(masks, SUFFIXES):
        labels.setdefault(bare(path.with_suffix("").as_posix()), []).append((masks / path).as_posix())
    for path in walk(images, SUFFIXES):
        stem = path.with_suffix("").as_posix()
        own = labels.pop(stem, None) or labels.pop(bare(stem), [])
        folder = path.parts[-2] if len(path.parts) > 1 else ""
        kind = "good" if folder.lower() in GOOD else folder or "anomalous"
        found.samples.append(Sample((images / path).as_posix(), split_in(path.parts), kind, "", tuple(own)))
    if not found.samples:
        raise DataError(f"{images}: holds no photos: expected {', '.join(sorted(SUFFIXES))}")
    found.orphans = sorted(path for paths in labels.values() for path in paths)
    if normals is not None:
        for path in walk(normals, SUFFIXES):
            found.samples.append(Sample((normals / path).as_posix(), split_in(path.parts)))
    return _checked(found)


def by_names(root: Path, paths: Sequence[str]) -> Found:
    """Return the samples among plain files: folders such as `good`, `masks`, `train`, and endings such as `_mask`."""
    from anosynth.datasets._labels import sort_out

    from .trees import TREE, tree

    matched = sum(1 for path in paths if TREE.fullmatch(path))
    if 2 * matched > len(paths):
        return tree(root, "folder", paths)
    sorted_out = sort_out([Path(path) for path in paths])
    found = Found(root, "folder")
    owned: set[Path] = set()
    for photo in [*sorted_out.photos, *sorted_out.unsure]:
        folders = [part.lower() for part in photo.parts[:-1]]
        masks = sorted_out.masks.get(photo, [])
        good = bool(GOOD.intersection(folders))
        # `masks/a.png` is no label of `good/a.jpg` where `bad/a.jpg` is there, too.
        if good and masks and any(_rival(photo, mask, sorted_out.masks) for mask in masks):
            masks = []
        owned.update(masks)
        said = bool(BAD.intersection(folders))
        kind = "good" if good or not (said or masks) else _kind(photo)
        labels = tuple(path.as_posix() for path in masks)
        found.samples.append(Sample(photo.as_posix(), split_in(photo.parts), kind, "", labels, sure=said))
    found.orphans = [path.as_posix() for path in sorted_out.labels if path not in owned]
    return found


def split_in(parts: Iterable[str]) -> str:
    """Return the split that a path's folders name, or ""."""
    return next((SPLITS[part.lower()] for part in parts if part.lower() in SPLITS), "")


def bare(stem: str) -> str:
    """Return the name of a mask without what says that it is one."""
    for ending in ("_mask", "-mask", "_gt", "_label", "_ground_truth"):
        if stem.lower().endswith(ending) and len(stem) > len(ending):
            return stem[: -len(ending)]
    return stem


def _rival(photo: Path, mask: Path, masks: dict[Path, list[Path]]) -> bool:
    return any(
        mask in theirs and other != photo and not GOOD.intersection(part.lower() for part in other.parts[:-1])
        for other, theirs in masks.items()
        if other.stem == photo.stem
    )


def _kind(photo: Path) -> str:
    folder = PurePosixPath(photo).parent.name
    return folder if folder and folder.lower() not in SPLITS else "anomalous"


def _sorted(samples: Iterable[Sample]) -> list[Sample]:
    return sorted(samples, key=lambda sample: sample.path)


def _checked(found: Found) -> Found:
    found.samples = _sorted(found.samples)
    if not any(sample.defective for sample in found.samples):
        count = len(found.samples)
        raise DataError(
            f"{found.place}: {count} photos, none anomalous: expected masks, or folders that name defects\n"
            "hint: --layout says how the folders are named; --images and --masks take plain folders"
        )
    return found
