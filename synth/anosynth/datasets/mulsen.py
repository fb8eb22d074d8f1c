"""MulSen-AD: meshes as STL beside photos and infrared pictures; ground truth lists only the anomalous points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.pointclouds import PointCloud

from ._names import check_words, claim, entries, find_truth, numbered
from .layout import Labelled, Layout, Output, Source, Truth, walk

AnyPath = TypeVar("AnyPath", bound=PurePath)

_PATTERN = r"(?P<category>[^/]+)/Pointcloud/(train|test/(?P<kind>[^/]+))/(?P<stem>[^/]+)\.stl"
_MISREAD = {"test": "replace it by `GT`", "good": "take it for normal"}
_PICTURES = {"rgb": "RGB", "infrared": "Infrared"}
_HEADER = "object,rgb,infrared,pointcloud"


class MulSen(Layout):
    """`CLASS/{Pointcloud,RGB,Infrared}/{train,test/KIND,GT/KIND}/N.{stl,png,txt}` and `CLASS/RGB/GT/KIND/data.csv`.

    `Pointcloud/GT/DEFECT/N.txt` holds `x,y,z` of the anomalous vertices only; readers merge equal vertices of the
    STL and label the nearest to each. A line of data.csv says which sensors see the defect of object N; readers pair
    lines and files by the order of numbers. They replace `test` by `GT` anywhere in a path, OUT's own included: do
    not write to a folder with such a name.

    Variant V of object N becomes `test/DEFECT/NNNNVVVV.stl`, both in four digits, with the pictures of its source
    (which show no defect) where there are any. The mesh with label, height and defect number of each vertex, in the
    order of the source's, is in `_truth/`, as PLY: STL cannot hold it. Vertices without a face are not in an STL.
    """

    name: ClassVar[str] = "mulsen"
    home: ClassVar[str] = "MulSen-AD comes from its authors, github.com/ZZZBBBZZZ/MulSen-AD (CC BY 4.0 by its readme)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[tuple[str, int], Path] = {}
        for path, part in entries(root, frozenset([".stl"]), _PATTERN, "`capsule/Pointcloud/train/0.stl`"):
            category, kind = part["category"], part["kind"]
            check_words(category, _MISREAD, str(root / category))
            if not re.fullmatch("[0-9]+", part["stem"]):
                raise DataError(f"{root / path}: expected a whole number as its name: readers sort by it")
            if not kind:
                claim(taken, root, path, category, int(part["stem"]))
                yield Labelled(path, "train", "good", category)
            elif kind == "good":
                yield Labelled(path, "test", "good", category)
            else:
                truth = Path(category, "Pointcloud", "GT", kind, f"{part['stem']}.txt")
                yield Labelled(path, "test", kind, category, find_truth(root, truth, path))

    def companions(self, root: Path, sample: Labelled) -> Sequence[Path]:
        pictures = [_picture(sample.path, sensor) for sensor in _PICTURES.values()]
        return [*(path for path in pictures if (root / path).is_file()), *super().companions(root, sample)]

    def target(self, source: Source, kind: str, variant: int) -> str:
        check_words(kind, _MISREAD, f"`{kind}`")
        return f"{source.category}/Pointcloud/test/{kind}/{numbered(int(source.path.stem), variant)}.stl"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import ASIDE, copy_along, table, with_truth, write_bare, write_removed

        mesh: PointCloud = anomaly.sample
        if mesh.faces is None or not len(mesh.faces):
            raise DataError(
                f"{source.path.as_posix()}: expected a mesh, found points without faces\n"
                "hint: this layout holds STL; leave out --sample"
            )
        points = _in_stl(mesh, anomaly.mask)
        if not len(points):
            raise DataError(f"{source.path.as_posix()}: no labelled vertex belongs to a face, so STL cannot hold one")
        place, aside = PurePosixPath(target), f"{ASIDE}/{target.removesuffix('.stl')}.ply"
        gt = f"{source.category}/Pointcloud/GT/{place.parent.name}/{place.stem}.txt"
        outputs = [write_bare(out, target, mesh)]
        # Readers index columns of what they read, which has none if there is but one row.
        outputs.append(table(out, gt, "labels", [np.tile(points, (2, 1)) if len(points) == 1 else points], ","))
        for role, sensor in _PICTURES.items():
            origin = _picture(source.path, sensor)
            if (root / origin).is_file():
                outputs.append(copy_along(root, origin, out, _picture(place, sensor).as_posix(), role))
        outputs.append(write_bare(out, aside, with_truth(anomaly), role="details"))
        return [*outputs, *write_removed(out, f"{ASIDE}/{target}", anomaly)]

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from anosynth.io.clouds import read_cloud

        from .truth import labelled_within, paths_of, read_table

        paths = paths_of(out, record)
        soup, truth = read_cloud(paths["sample"]), labelled_within(paths["details"], paths)
        everything = np.ones(len(truth.sample), dtype=np.bool_)
        if not np.array_equal(_distinct(soup.points), _distinct(_in_stl(truth.sample, everything))):
            raise DataError(f"{paths['sample']}: its vertices are not those of {paths['details'].name}")
        listed = read_table(paths["labels"], 3, ",").astype(np.float32)
        if not np.array_equal(_distinct(listed), _distinct(_in_stl(truth.sample, truth.mask))):
            raise DataError(f"{paths['labels']}: lists other points than {paths['details'].name} labels")
        return truth

    def tables(self, categories: Iterable[str], kinds: Iterable[str]) -> list[str]:
        return sorted(f"{category}/RGB/GT/{kind}/data.csv" for category in categories for kind in {*kinds, "good"})

    def due(self, out: Path) -> list[str]:
        return sorted(_tables(out))

    def finish(self, out: Path, root: Path | None = None) -> list[Output]:
        """Write `CLASS/RGB/GT/KIND/data.csv` for what lies in `CLASS/Pointcloud/test/KIND`, whoever wrote it."""
        from ._tables import settle

        return settle(out, _tables)


def _tables(out: Path) -> dict[str, bytes]:
    """Return the bytes of each data.csv, by its path in OUT, objects in the order of their numbers."""
    objects: dict[str, list[str]] = {}
    for old in walk(out, frozenset([".csv"])):
        if re.fullmatch(r"[^/]+/RGB/GT/[^/]+/data\.csv", old.as_posix()):
            objects[old.as_posix()] = []
    for path in walk(out, frozenset([".stl"])):
        match = re.fullmatch(_PATTERN, path.as_posix())
        if match and match["kind"]:
            target = f"{match['category']}/RGB/GT/{match['kind']}/data.csv"
            objects.setdefault(target, []).append(match["stem"])
    tables = {}
    for target, stems in objects.items():
        seen = "0,0,0" if PurePosixPath(target).parent.name == "good" else "0,0,1"
        lines = [_HEADER, *(f"{stem},{seen}" for stem in sorted(stems, key=lambda stem: (int(stem), stem)))]
        tables[target] = "".join(f"{line}\n" for line in lines).encode()
    return tables


def _picture(path: AnyPath, sensor: str) -> AnyPath:
    """Return the picture by another sensor that belongs to `CLASS/Pointcloud/.../N.stl`."""
    category, _, *rest = path.with_suffix(".png").parts
    return type(path)(category, sensor, *rest)


def _in_stl(mesh: PointCloud, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return (K, 3) float32: the vertices of the mask as an STL holds them, which is those with a face."""
    used = np.zeros(len(mesh), dtype=np.bool_)
    if mesh.faces is not None:
        used[mesh.faces.reshape(-1)] = True
    points: NDArray[np.float32] = mesh.points[mask & used].astype(np.float32)
    return points


def _distinct(points: NDArray[np.float32]) -> NDArray[np.float32]:
    # Adding 0 turns -0.0, which a merge of equal vertices may keep or not, into 0.0.
    return np.unique(points + np.float32(0), axis=0)
