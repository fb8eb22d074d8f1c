"""The file that an anomalous photo was made of: by the manifest, by its name, or by its looks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.datasets.layout import walk
from anosynth.errors import DataError
from anosynth.images import Image
from anosynth.io.images import SUFFIXES, read_image

from .looks import SIDE, thumbnail
from .pairs import Found, Sample
from .shapes import difference

_SAME = 0.5
"""Share of the unlabelled pixels that a photo and its source must have in common to be taken for such."""

_NAMED, _NEAREST = 16, 3


@dataclass(frozen=True, eq=False)
class Origin:
    """A source: its path and pixels, in the form of the photo made of it; `problem` says why it is of no use."""

    path: str
    image: Image | None = None
    problem: str = ""


class Sources:
    """Finds sources; reads the last one no more than once in a row.

    Args:
        found: the data set, whose own manifest counts first.
        folder: where files of the samples' names, or of their beginnings, lie.
        match: look for the nearest picture: in `folder`, else among the normal photos of the data set.
        tolerance: fraction of full scale up to which pixels are the same.

    Raises:
        DataError: `folder` is none.
    """

    def __init__(self, found: Found, folder: Path | None, *, match: bool, tolerance: float) -> None:
        self._found, self._folder, self._match, self._tolerance = found, folder, match, tolerance
        self._names: dict[str, list[str]] = {}
        self._paths: list[str] = []
        self._normals: dict[str, Sample] = {}
        self._looks: NDArray[np.float32] | None = None
        self._last: tuple[str, Image] | None = None
        if folder is not None:
            for path in walk(folder, SUFFIXES):
                self._names.setdefault(path.stem, []).append((folder / path).as_posix())
        self.asked = found.made or folder is not None or match

    def of(self, sample: Sample, image: Image, mask: NDArray[np.bool_]) -> Origin | None:
        """Return the source of an anomalous photo, None if none is known or found."""
        if self._found.made and sample.origin:
            roots = [root for root in (self._folder, self._found.sources) if root is not None]
            there = [(root / sample.origin).as_posix() for root in roots if (root / sample.origin).is_file()]
            if there:
                return self._best(there[:1], image, mask)
        named = self._named(sample)
        best = self._best(named, image, mask)
        if best is not None and (best.image is not None and not best.problem):
            return best
        if self._match:
            near = self._best(self._near(image, mask), image, mask)
            if near is not None and not near.problem:
                return near
        return best

    def _named(self, sample: Sample) -> list[str]:
        """Return the files of the sample's name, or of the longest beginning of it that a file has."""
        stem = PurePosixPath(sample.path).stem
        ends = [len(stem), *(match.start() for match in reversed(list(re.finditer(r"[-_. ]+", stem))))]
        for end in ends:
            named = self._names.get(stem[:end], [])
            if named:
                # Numbers start anew in each category.
                own = [path for path in named if sample.category and f"/{sample.category}/" in f"/{path}"]
                return (own or named)[:_NAMED]
        return []

    def _best(self, paths: Iterable[str], image: Image, mask: NDArray[np.bool_]) -> Origin | None:
        """Return of some files the one that has most unlabelled pixels in common with a photo."""
        best: tuple[float, Origin] | None = None
        for path in paths:
            try:
                source = _like(self._read(path), image)
            except DataError as error:
                best = best or (-1.0, Origin(path, problem=str(error)))
                continue
            kept = (difference(source.pixels, image.pixels) <= np.float32(self._tolerance))[~mask]
            share = float(kept.mean()) if kept.size else 1.0
            problem = "" if share >= _SAME else f"{1 - share:.0%} of the unlabelled pixels differ from {path}"
            if best is None or share > best[0]:
                best = (share, Origin(path, source, problem))
        return None if best is None else best[1]

    def _near(self, image: Image, mask: NDArray[np.bool_]) -> list[str]:
        """Return the files whose thumbnails are the nearest where nothing is labelled."""
        if self._looks is None:
            self._index()
        assert self._looks is not None
        if not self._paths:
            return []
        own = thumbnail(image.pixels).reshape(-1).astype(np.float32)
        weight = 1.0 - thumbnail(mask.astype(np.uint8) * np.uint8(255)).reshape(-1).astype(np.float32) / 65535
        # A paste beside its label must not outvote all that is equal.
        off = np.minimum(np.abs(self._looks - own), np.float32(0.02 * 65535)) * weight
        order = np.argsort(off.sum(axis=1), kind="stable")[:_NEAREST]
        return [self._paths[place] for place in order]

    def _index(self) -> None:
        if self._folder is not None:
            paths = sorted(path for named in self._names.values() for path in named)
        else:
            normals = [sample for sample in self._found.samples if not sample.defective]
            self._normals = {(self._found.place / sample.path).as_posix(): sample for sample in normals}
            paths = list(self._normals)
        looks = []
        for path in paths:
            try:
                looks.append(thumbnail(self._read(path).pixels).reshape(-1))
            except DataError:
                continue
            self._paths.append(path)
        self._looks = np.array(looks, dtype=np.float32).reshape(-1, SIDE * SIDE)

    def _read(self, path: str) -> Image:
        if self._last is None or self._last[0] != path:
            normal = self._normals.get(path)
            self._last = (path, read_image(path) if normal is None else self._found.photo(normal))
        return self._last[1]


def _like(source: Image, image: Image) -> Image:
    """Return a source in the form of a photo made of it: grey ones may have become RGB, others have lost opacity.

    Raises:
        DataError: they do not fit each other.
    """
    old, new = source.pixels, image.pixels
    if old.dtype == new.dtype and old.shape[:2] == new.shape[:2]:
        if old.ndim == 2 and new.ndim == 3 and new.shape[2] == 3:
            return replace(source, pixels=np.repeat(old[:, :, None], 3, axis=2))
        if old.ndim == 3 and new.ndim == 3 and old.shape[2] == 4 and new.shape[2] == 3:
            return replace(source, pixels=np.ascontiguousarray(old[:, :, :3]))
    if old.shape != new.shape or old.dtype != new.dtype:
        raise DataError(f"its source is {_form(old)}: the photo is {_form(new)}")
    return source


def _form(pixels: NDArray[Any]) -> str:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    return f"{pixels.shape[0]} x {pixels.shape[1]}, {channels} channel{'s' if channels > 1 else ''}, {pixels.dtype}"
