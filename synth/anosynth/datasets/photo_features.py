"""Plain photos, of which a backbone makes the features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from anosynth.io.images import SUFFIXES

from .features import FeaturesLayout
from .layout import Labelled, Source


class PhotoFeaturesLayout(FeaturesLayout):
    """Every photo is a source of one sample: OUT gets what `FeaturesLayout` says, and its features in `normal/`.

    Masks among the photos are passed over, as by the layout of plain photos.
    """

    name: ClassVar[str] = "photo-features"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES

    def named(self, root: Path, paths: Iterable[Path]) -> Iterator[Labelled]:
        from .photos import PhotosLayout

        return PhotosLayout().named(root, paths)

    def target(self, source: Source, kind: str, variant: int) -> str:
        return super().target(Source(source.path.with_suffix(".npy")), kind, variant)
