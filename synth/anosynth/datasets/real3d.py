"""Real3D-AD: scans as PCD, ground truth as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly

from ._names import check_words, claim, entries, find_truth, letters, numbered
from .layout import Labelled, Layout, Output, Source, Truth

_PATTERN = r"(?P<category>[^/]+)/(?P<split>train|test)/(?P<stem>[^/]+)\.pcd"
_TEMPLATE = re.compile(r"(?P<number>\d+)_.*(template|prototype).*")
_DEFECT = re.compile(r"\d+_(?P<kind>[A-Za-z]+).*")
_MISREAD = {"good": "take it for normal", "temp": "pass over it"}


class Real3D(Layout):
    """`CATEGORY/train/N_template.pcd`, `CATEGORY/test/N_{good,DEFECT}.pcd`, `CATEGORY/gt/N_DEFECT.txt`.

    The ground truth holds `x y z label` of every point, with blanks between; readers take the points of anomalous
    samples from there and never open the PCD. They look for `good` and `temp` anywhere in a path, OUT's own included:
    do not write to a folder with such a name.

    Variant V of template N becomes `test/NNNNVVVV_DEFECT.pcd`, both in four digits, DEFECT in letters only, because
    readers split names into a number and letters. Templates are full scans, where the test scans of the original
    show one side. Samples keep the fields of their source; heights and defect numbers are in `_truth/`.
    """

    name: ClassVar[str] = "real3d"
    home: ClassVar[str] = "Real3D-AD comes from its authors, github.com/M-3LAB/Real3D-AD (CC BY 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[tuple[str, int], Path] = {}
        for path, part in entries(root, frozenset([".pcd"]), _PATTERN, "`airplane/train/1_template.pcd`"):
            category, stem = part["category"], part["stem"]
            check_words(category, _MISREAD, str(root / category))
            if part["split"] == "train":
                claim(taken, root, path, category, _number(root / path, stem))
                yield Labelled(path, "train", "good", category)
            elif "temp" not in stem:
                yield _tested(root, path, category, stem)

    def target(self, source: Source, kind: str, variant: int) -> str:
        check_words(kind, _MISREAD, f"`{kind}`")
        number = numbered(_number(source.path, source.path.stem), variant)
        return f"{source.category}/test/{number}_{letters(kind)}.pcd"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import write_aside, write_bare, write_labelled_points

        gt = f"{source.category}/gt/{PurePosixPath(target).stem}.txt"
        return [
            write_bare(out, target, anomaly.sample),
            write_labelled_points(out, gt, anomaly, " "),
            *write_aside(out, target, anomaly),
        ]

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from anosynth.io.clouds import read_cloud

        from .truth import paths_of, read_aside, read_labelled_points

        paths = paths_of(out, record)
        cloud = read_cloud(paths["sample"])
        return read_aside(cloud, read_labelled_points(paths["labels"], cloud, " "), paths)


def _number(path: Path, stem: str) -> int:
    match = _TEMPLATE.fullmatch(stem)
    if match is None:
        raise DataError(f"{path}: expected a name such as 1_template.pcd")
    return int(match["number"])


def _tested(root: Path, path: Path, category: str, stem: str) -> Labelled:
    if "good" in stem:
        return Labelled(path, "test", "good", category)
    match = _DEFECT.fullmatch(stem)
    if match is None:
        raise DataError(f"{root / path}: expected a name such as 1_good.pcd or 2_bulge.pcd")
    return Labelled(path, "test", match["kind"], category, find_truth(root, Path(category, "gt", f"{stem}.txt"), path))
