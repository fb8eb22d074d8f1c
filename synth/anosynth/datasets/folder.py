"""Plain files: one file, or a folder of clouds and meshes of any depth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from anosynth.generator import Anomaly
from anosynth.io import clouds

from ._names import remark
from .layout import Labelled, Layout, Output, Source, Truth

SUFFIXES = frozenset(clouds.SUFFIXES)

# What `write_sample` writes beside a sample whose format cannot hold its truth.
_TABLES = (".labels.txt", ".removed.txt")


class FolderLayout(Layout):
    """Every readable file is a normal sample; `sub/in.ply` becomes `sub/in_000.ply`, `sub/in_001.ply`, ...

    The truth about a cloud, `in_000.xyz.labels.txt` beside `in_000.xyz`, is passed over with a remark.
    """

    name: ClassVar[str] = "folder"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    holds_out: ClassVar[bool] = False

    def named(self, root: Path, paths: Iterable[Path]) -> Iterator[Labelled]:
        found = list(paths)
        names = {path.as_posix() for path in found}
        tables = [path for path in found if _sample_of(path.as_posix()) in names]
        if tables:
            remark(f"{root}: passed over tables of labels: {len(tables)} ({tables[0].as_posix()}, ...)")
        yield from super().named(root, [path for path in found if _sample_of(path.as_posix()) not in names])

    def target(self, source: Source, kind: str, variant: int) -> str:
        return source.path.with_name(f"{source.path.stem}_{variant:03d}{source.path.suffix}").as_posix()

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import write_sample

        return write_sample(out, target, anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from .truth import read_sample

        return read_sample(out, record)


def _sample_of(name: str) -> str:
    """Return the sample that a table speaks of by its name, "" if it is none."""
    return next((name.removesuffix(ending) for ending in _TABLES if name.endswith(ending)), "")
