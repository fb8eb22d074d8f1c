"""MiniShift: clouds as text, in levels of difficulty, with one label a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from anosynth.errors import DataError
from anosynth.generator import Anomaly

from ._names import check_words, entries, find_truth
from .layout import Labelled, Layout, Output, Source, Truth

_PATTERN = (
    r"(?P<category>[^/]+)/((?P<split>train|test)/good|test/(?P<kind>[^/]+)/(?P<level>easy|medium|hard))"
    r"/(?P<stem>[^/]+)\.txt"
)
_MISREAD = {"test": "replace it by `gt`"}

EASY, MEDIUM = 0.02, 0.01
"""The least peak displacement, as a fraction of the bounding box's diagonal, of an easy and of a medium defect."""


class MiniShift(Layout):
    """`CLASS/{train,test}/good/NAME.txt`, `CLASS/test/DEFECT/LEVEL/NAME.txt`, `CLASS/gt/DEFECT/LEVEL/NAME.txt`.

    A sample holds `x y z` of a point a line, its ground truth 0 or 1 a line. Readers replace `test` by `gt` anywhere
    in a path, OUT's own included: do not write to a folder with such a name.

    The level follows from what was made: `easy` if the largest displacement is at least 0.02 of the diagonal of the
    sample's bounding box or points are gone, `medium` if it is at least 0.01, `hard` below. It is known only then, so
    that the id of a manifest row, `CLASS/test/DEFECT/NAME_V.txt`, is the path of its sample without the level. Heights
    and defect numbers are in `_truth/`.
    """

    name: ClassVar[str] = "minishift"
    home: ClassVar[str] = "MiniShift comes from its authors, huggingface.co/datasets/ChengYuQi99/MiniShift"

    def samples(self, root: Path) -> Iterator[Labelled]:
        for path, part in entries(root, frozenset([".txt"]), _PATTERN, "`capsule/train/good/0.txt`"):
            category, kind = part["category"], part["kind"]
            check_words(category, _MISREAD, str(root / category))
            if kind:
                truth = Path(category, "gt", kind, part["level"], path.name)
                yield Labelled(path, "test", kind, category, find_truth(root, truth, path))
            else:
                check_words(part["stem"], _MISREAD, str(root / path))
                yield Labelled(path, part["split"], "good", category)

    def target(self, source: Source, kind: str, variant: int) -> str:
        check_words(kind, _MISREAD, f"`{kind}`")
        return f"{source.category}/test/{kind}/{source.path.stem}_{variant:03d}.txt"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import table, write_aside, write_bare

        path = PurePosixPath(target)
        kind, name = path.parent.name, path.name
        place = f"{kind}/{level(anomaly)}/{name}"
        sample, gt = (f"{source.category}/{folder}/{place}" for folder in ("test", "gt"))
        return [
            write_bare(out, sample, anomaly.sample),
            table(out, gt, "labels", [anomaly.mask.astype(np.uint8)], " "),
            *write_aside(out, sample, anomaly),
        ]

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from anosynth.io.clouds import read_cloud

        from .truth import paths_of, read_aside, read_table

        paths = paths_of(out, record)
        labels = read_table(paths["labels"], 1, " ")[:, 0]
        if not ((labels == 0) | (labels == 1)).all():
            raise DataError(f"{paths['labels']}: expected 0 or 1 a line")
        return read_aside(read_cloud(paths["sample"]), labels == 1, paths)


def level(anomaly: Anomaly) -> str:
    """Return "easy", "medium" or "hard": see `MiniShift`."""
    peak = float(np.abs(anomaly.effect.astype(np.float64)).max()) / anomaly.sample.diagonal
    if peak >= EASY or (anomaly.removed is not None and len(anomaly.removed)):
        return "easy"
    return "medium" if peak >= MEDIUM else "hard"
