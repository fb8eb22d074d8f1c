"""Anomaly-ShapeNet: clouds as PCD, ground truth as text; near to Real3D-AD, with other capitals and delimiters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly

from ._names import check_words, claim, entries, find_truth, letters, numbered
from .layout import Labelled, Layout, Output, Source, Truth

_PATTERN = r"pcd/(?P<category>[^/]+)/(?P<split>train|test)/(?P<stem>[^/]+)\.pcd"
_TEMPLATE = re.compile(r".*template(?P<number>\d*)")
_DEFECT = re.compile(r".*_(?P<kind>[A-Za-z]+)\d*")
_MISREAD = {"positive": "take it for normal", "temp": "pass over it"}


class AnomalyShapeNet(Layout):
    """`pcd/CLASS/train/CLASS_templateN.pcd`, `pcd/CLASS/test/CLASS_{positive,DEFECT}N.pcd`, `pcd/CLASS/GT/*.txt`.

    The ground truth, in `GT` with capitals, holds `x,y,z,label` of every point, with commas; readers take the points
    of anomalous samples from there and never open the PCD. They look for `positive` and `temp` anywhere in a path,
    OUT's own included: do not write to a folder with such a name. `obj/CLASS/*.obj`, the meshes of the templates,
    are copied with them where they are.

    Variant V of template N becomes `test/CLASS_DEFECTNNNNVVVV.pcd`, both in four digits, DEFECT in letters only,
    because readers split names so. Samples keep the fields of their source; heights and defect numbers are in
    `_truth/`.
    """

    name: ClassVar[str] = "anomaly-shapenet"
    home: ClassVar[str] = "Anomaly-ShapeNet comes from its authors, github.com/Chopper-233/Anomaly-ShapeNet (CC BY 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[tuple[str, int], Path] = {}
        example = "`pcd/ashtray0/train/ashtray0_template0.pcd`"
        for path, part in entries(root, frozenset([".pcd"]), _PATTERN, example):
            category, stem = part["category"], part["stem"]
            check_words(category, _MISREAD, str(root / "pcd" / category))
            if part["split"] == "train":
                claim(taken, root, path, category, _number(root / path, stem))
                yield Labelled(path, "train", "good", category)
            elif "temp" not in stem:
                yield _tested(root, path, category, stem)

    def companions(self, root: Path, sample: Labelled) -> Sequence[Path]:
        mesh = Path("obj", sample.category, f"{sample.path.stem}.obj")
        return [*([mesh] if (root / mesh).is_file() else []), *super().companions(root, sample)]

    def target(self, source: Source, kind: str, variant: int) -> str:
        check_words(kind, _MISREAD, f"`{kind}`")
        number = numbered(_number(source.path, source.path.stem), variant)
        return f"pcd/{source.category}/test/{source.category}_{letters(kind)}{number}.pcd"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import write_aside, write_bare, write_labelled_points

        gt = f"pcd/{source.category}/GT/{PurePosixPath(target).stem}.txt"
        return [
            write_bare(out, target, anomaly.sample),
            write_labelled_points(out, gt, anomaly, ","),
            *write_aside(out, target, anomaly),
        ]

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from anosynth.io.clouds import read_cloud

        from .truth import paths_of, read_aside, read_labelled_points

        paths = paths_of(out, record)
        cloud = read_cloud(paths["sample"])
        return read_aside(cloud, read_labelled_points(paths["labels"], cloud, ","), paths)


def _number(path: Path, stem: str) -> int:
    match = _TEMPLATE.fullmatch(stem)
    if match is None:
        raise DataError(f"{path}: expected a name such as ashtray0_template0.pcd")
    return int(match["number"] or 0)


def _tested(root: Path, path: Path, category: str, stem: str) -> Labelled:
    if "positive" in stem:
        return Labelled(path, "test", "good", category)
    match = _DEFECT.fullmatch(stem)
    if match is None:
        raise DataError(f"{root / path}: expected a name such as ashtray0_positive0.pcd or ashtray0_bulge0.pcd")
    truth = find_truth(root, Path("pcd", category, "GT", f"{stem}.txt"), path)
    return Labelled(path, "test", match["kind"], category, truth)
