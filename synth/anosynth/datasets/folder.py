"""Plain files: one file, or a folder of clouds and meshes of any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from anosynth.generator import Anomaly

from .layout import Labelled, Layout, Output, Source, Truth, walk

SUFFIXES = frozenset(
    [".ply", ".pcd", ".xyz", ".txt", ".asc", ".csv", ".npy", ".npz", ".tif", ".tiff", ".obj", ".stl", ".off", ".glb"]
)


class FolderLayout(Layout):
    """Every readable file is a normal sample; `sub/in.ply` becomes `sub/in_000.ply`, `sub/in_001.ply`, ..."""

    name: ClassVar[str] = "folder"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    holds_out: ClassVar[bool] = False

    def samples(self, root: Path) -> Iterator[Labelled]:
        for path in walk(root, SUFFIXES):
            yield Labelled(path, "train", "good")

    def target(self, source: Source, kind: str, variant: int) -> str:
        return source.path.with_name(f"{source.path.stem}_{variant:03d}{source.path.suffix}").as_posix()

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import write_sample

        return write_sample(out, target, anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from .truth import read_sample

        return read_sample(out, record)
