"""Which files of a folder are inputs of a run."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anosynth.datasets._names import remark
from anosynth.datasets.layout import Layout, walk
from anosynth.errors import DataError
from anosynth.io._pictures import EXPECTED

from .manifest import is_manifest

_ALLOCATIONS = 20_000


def plain_inputs(root: Path, layout: Layout) -> list[Path]:
    """Return the plain files in a folder that a layout reads, relative to it, sorted; others of its kind are named.

    Raises:
        DataError: it is no folder, or has no others than those that are not read.
    """
    found = unwritten(root, walk(root, layout.suffixes | layout.unread))
    kept = [path for path in found if path.suffix.lower() in layout.suffixes]
    if len(kept) < len(found):
        others = [path.as_posix() for path in found if path.suffix.lower() in layout.unread]
        names = f"{len(others)} ({others[0]}{', ...' if len(others) > 1 else ''})"
        if not kept:
            raise DataError(
                f"{root}: photos of other formats alone: {names}: {EXPECTED}\nhint: convert them to PNG first"
            )
        remark(f"{root}: passed over photos of other formats: {names}: {EXPECTED}")
    return kept


def unwritten(root: Path, paths: Sequence[Path]) -> list[Path]:
    """Return the paths, relative to `root`, that lie in no folder below it that a run has written to.

    OUT may lie inside the folder of the inputs; what is in it must not be an input of the next run.
    """
    # Of each folder once: it may hold a million files.
    lines = {folder: [folder, *folder.parents][:-1] for folder in {path.parent for path in paths}}
    folders = {folder for line in lines.values() for folder in line}
    written = {f for f in folders if any(is_manifest(found.name) for found in (root / f).glob("*manifest*"))}
    hidden = {folder for folder, line in lines.items() if not written.isdisjoint(line)}
    return [path for path in paths if path.parent not in hidden] if hidden else list(paths)


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for cycles less often: of a million sources, all of which stay, the search takes a third of the time."""
    before = gc.get_threshold()
    gc.set_threshold(before[0] and max(before[0], _ALLOCATIONS), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
