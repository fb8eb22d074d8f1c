"""What a data-set layout is: where normal samples lie, and how an anomalous sample and its truth are written.

One layout a module of this package, its reader beside its writer; `find_layout("mvtec3d")` imports only that one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, UnknownGenerator, did_you_mean
from anosynth.generator import Anomaly
from anosynth.seeding import normalise_key, stream

_SHARED = {"layout", "truth"}
_PLAIN = {"folder", "photos", "features", "photo-features"}


@dataclass(frozen=True)
class Source:
    """A normal sample that anomalies can be made of.

    Attributes:
        path: of the file, relative to the root.
        category: the category that it belongs to, "" where the layout has none.
        problem: why nothing can be made of it, "" if it can.
    """

    path: Path
    category: str = ""
    problem: str = ""

    @property
    def key(self) -> str:
        """What names its random stream: the relative path, POSIX and NFC."""
        return normalise_key(self.path.as_posix())


@dataclass(frozen=True)
class Labelled:
    """A sample of a data set as its readers see it.

    Attributes:
        path: of the file, relative to the root; `split` is "train", "validation" or "test".
        kind: "good" or the name of the defect.
        truth: of the file that holds its labels, relative to the root, or None.
        problem: as in `Source`.
    """

    path: Path
    split: str
    kind: str
    category: str = ""
    truth: Path | None = None
    problem: str = ""


@dataclass(frozen=True)
class Output:
    """A written file: its role ("sample", "labels", ...), its path relative to OUT, the digest of what it holds."""

    role: str
    path: str
    data_sha256: str = ""


@dataclass(frozen=True, eq=False)
class Truth:
    """A sample read back, with its labels.

    Attributes:
        sample: the PointCloud or Image.
        mask: bool, one for each point or pixel.
        still: bool, those labelled without having moved (the rim of a hole); None where there are none.
        removed: rows of the source that are gone; None where there are none.
    """

    sample: Any
    mask: NDArray[np.bool_]
    still: NDArray[np.bool_] | None = None
    removed: NDArray[np.int64] | None = None


class Layout:
    """Base of layouts; instances hold nothing."""

    name: ClassVar[str] = ""
    family: ClassVar[str] = "pointclouds"
    folder: ClassVar[str] = ""
    """The usual name of the data set's folder; the layout's name if empty."""
    suffixes: ClassVar[frozenset[str]] = frozenset()
    """Of plain files: the suffixes that are read."""
    unread: ClassVar[frozenset[str]] = frozenset()
    """Of plain files: suffixes of samples in formats that are not read."""
    formats: ClassVar[Mapping[str, str]] = {}
    """Of plain files: formats that samples may be written in on demand, and their suffixes."""
    home: ClassVar[str] = ""
    """Where the real data set comes from and under which licence, for the message when there is none."""
    holds_out: ClassVar[bool] = True
    """Whether sources of anomalies are kept out of the training split that is copied."""
    maps_splits: ClassVar[bool] = False
    """Whether a file of OUT says which split each source belongs to."""
    holds_many: ClassVar[bool] = False
    """Whether a file holds many samples, each drawn by itself, and the family makes all of them at once."""

    def samples(self, root: Path) -> Iterator[Labelled]:
        """Yield all samples of the data set under `root`, sorted by path; by default those of plain files."""
        return self.named(root, walk(root, self.suffixes))

    def named(self, root: Path, paths: Iterable[Path]) -> Iterator[Labelled]:
        """Yield those of some plain files, relative to the root, that are samples; layouts of plain files use it."""
        for path in paths:
            yield Labelled(path, "train", "good")

    def group(self, source: Source) -> str:
        """Return what is held out together with a source: the key of its specimen, which others may share."""
        return source.key

    def sources(self, root: Path) -> list[Source]:
        """Return the normal training samples, sorted."""
        found = [Source(s.path, s.category) for s in self.samples(root) if s.split == "train" and s.kind == "good"]
        return sorted(found, key=lambda source: source.key)

    def companions(self, root: Path, sample: Labelled) -> Sequence[Path]:
        """Return further files that belong to a sample (its photo, its truth), relative to the root."""
        return [] if sample.truth is None else [sample.truth]

    def place(self, sample: Labelled) -> str:
        """Return the path, relative to OUT, of the copy of a normal sample."""
        return sample.path.as_posix()

    def target(self, source: Source, kind: str, variant: int) -> str:
        """Return the path, relative to OUT, of the anomalous sample made of `source`."""
        raise NotImplementedError

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        """Write the sample and its truth, every file whole or not at all; return what was written."""
        raise NotImplementedError

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        """Read back the sample and labels of a manifest row; None if the format does not keep the order of points.

        Raises:
            DataError: a file is not what this layout writes.
        """
        raise NotImplementedError

    def tables(self, categories: Iterable[str], kinds: Iterable[str]) -> list[str]:
        """Return the paths of all files that `finish` may write for these categories and kinds of defects."""
        return []

    def due(self, out: Path) -> list[str]:
        """Return those paths of `tables` that must be there for what lies in OUT; others of them may be there, too."""
        return []

    def finish(self, out: Path, root: Path | None = None) -> list[Output]:
        """Write the files that belong to the whole data set, if any, by what lies in OUT; called after the last sample.

        Args:
            root: of the input, whose tables say which split a copied sample belongs to.
        """
        return []


def held_out(
    sources: Sequence[Source], seed: int, share: float, group: Callable[[Source], str] = lambda source: source.key
) -> set[str]:
    """Return the keys of the sources that anomalies are made of, a share of each category's groups, at least one.

    A group is ranked by its own stream, so that adding a file moves few others. A category of one group has none to
    hold out, so that its anomalies share their source with the training split; manifests say so.
    """
    chosen: set[str] = set()
    for category in sorted({source.category for source in sources}):
        members: dict[str, list[str]] = {}
        for source in sources:
            if source.category == category:
                members.setdefault(group(source), []).append(source.key)
        ranked = sorted(members, key=lambda name: (stream(seed, "held-out", name).uniform(), name))
        chosen.update(key for name in ranked[: max(1, round(share * len(ranked)))] for key in members[name])
    return chosen


def layout_names() -> list[str]:
    """Return the names of the data-set layouts, sorted, without importing any."""
    package = importlib.import_module("anosynth.datasets")
    modules = (module.name for module in pkgutil.iter_modules(package.__path__))
    found = (name.replace("_", "-") for name in modules if not name.startswith("_"))
    return sorted(name for name in found if name not in _SHARED | _PLAIN)


def find_layout(name: str) -> Layout:
    """Return the layout of that name: of a data set, or of plain files.

    Plain files are those of "folder" (clouds), "photos", "features", and "photo-features" (photos as features).

    Raises:
        UnknownGenerator: there is none.
    """
    if name not in _PLAIN and name not in layout_names():
        raise UnknownGenerator(f"no data-set layout `{name}`{did_you_mean(name, layout_names())}")
    module = importlib.import_module(f"anosynth.datasets.{name.replace('-', '_')}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Layout) and value.name == name:
            return value()
    raise UnknownGenerator(f"module `{module.__name__}` holds no layout `{name}`")


def walk(root: Path, suffixes: frozenset[str]) -> list[Path]:
    """Return all files under `root` with one of these lower-case suffixes, relative, sorted by POSIX path.

    Hidden files and folders, and what is reached a second time by a link, are passed over: a folder has the name that
    does without links, if there is one.

    Raises:
        DataError: `root` is not a folder that can be listed.
    """
    if not root.is_dir():
        raise DataError(f"{root}: not a folder")
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    waiting, links = [root], list[Path]()
    while waiting or links:
        # Folders come in no order of their own; which of two links to one counts must not depend on the disk.
        folder = waiting.pop() if waiting else links.pop(links.index(min(links)))
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            for entry in folder.iterdir():
                if entry.name.startswith("."):
                    continue
                # Where a folder may be listed but not entered, this fails rather than says no.
                if entry.is_dir():
                    (links if entry.is_symlink() else waiting).append(entry)
                elif entry.suffix.lower() in suffixes:
                    found.append(entry.relative_to(root))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise DataError(f"{folder}: cannot be listed: {reason}") from None
    return sorted(found, key=lambda path: path.as_posix())
