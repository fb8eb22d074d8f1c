"""The truth about one cloud, written into it, beside it or aside from it; shared by all cloud layouts.

Readers of data sets list whole folders, so what a layout has no place for lies in `OUT/_truth/`, aside from all
categories and under the path of its sample: `_truth/SAMPLE.labels.txt` and `_truth/SAMPLE.removed.txt`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.generator import Anomaly
from anosynth.io._numbers import write_table
from anosynth.io._rows import parse_rows
from anosynth.io.atomic import atomic_write
from anosynth.io.clouds import can_hold, cloud_digest, read_cloud, write_cloud
from anosynth.io.files import regular_bytes
from anosynth.io.inner import inner, leading_out
from anosynth.pointclouds import PointCloud

from .layout import Output, Truth

FIELDS = ("label", "height", "instance")
"""Per-point fields that anosynth adds: uint8 0/1, float32 signed displacement in file units, uint16 defect number."""

ASIDE = "_truth"
"""The folder of OUT for truth that the layout itself has no place for."""

_SPARSE = ("index", "height", "instance")
_REMOVED = "index"


def with_truth(anomaly: Anomaly) -> PointCloud:
    """Return the anomalous cloud with the fields `label`, `height` and `instance`."""
    cloud: PointCloud = anomaly.sample
    fields = (anomaly.mask.astype(np.uint8), anomaly.effect, anomaly.instances)
    return replace(cloud, attributes={**cloud.attributes, **dict(zip(FIELDS, fields, strict=True))})


def write_sample(out: Path, target: str, anomaly: Anomaly) -> list[Output]:
    """Write the cloud with its truth in it where the format can hold it, else the truth as a table beside it.

    Points that are no longer there are listed in `TARGET.removed.txt` by their rows in the input.
    """
    outputs = []
    cloud = with_truth(anomaly) if can_hold(target) else anomaly.sample
    if not can_hold(target):
        columns: list[NDArray[Any]] = [anomaly.mask.astype(np.uint8), anomaly.effect, anomaly.instances]
        outputs.append(table(out, f"{target}.labels.txt", "labels", columns, " ", header=" ".join(FIELDS)))
    return [write_bare(out, target, cloud), *outputs, *write_removed(out, target, anomaly)]


def read_sample(out: Path, record: Mapping[str, Any]) -> Truth | None:
    """Read back what `write_sample` wrote; None for meshes that are stored as a soup or a scene."""
    paths = paths_of(out, record)
    if paths["sample"].suffix.lower() in (".stl", ".glb"):
        return None
    if "labels" not in paths:
        return labelled_within(paths["sample"], paths)
    label, height, _ = read_table(paths["labels"], 3, " ", header=" ".join(FIELDS)).T
    return _truth(read_cloud(paths["sample"]), label == 1, height, paths)


def labelled_within(path: Path, paths: Mapping[str, Path]) -> Truth:
    """Read a file of `with_truth`.

    Raises:
        DataError: it is not a cloud, or has no labels in it.
    """
    cloud = read_cloud(path)
    if not all(name in cloud.attributes for name in FIELDS):
        raise DataError(f"{path}: has no `label`, `height` and `instance`")
    return _truth(cloud, cloud.attributes["label"] == 1, cloud.attributes["height"], paths)


def write_bare(out: Path, target: str, cloud: PointCloud, role: str = "sample") -> Output:
    """Write a cloud as it is."""
    write_cloud(placed(out, target), cloud)
    return Output(role, target, cloud_digest(cloud))


def write_labelled_points(out: Path, target: str, anomaly: Anomaly, delimiter: str) -> Output:
    """Write all points as rows of x, y, z, label: the ground truth of Real3D-AD and Anomaly-ShapeNet."""
    columns = [anomaly.sample.points, anomaly.mask.astype(np.uint8)]
    return table(out, target, "labels", columns, delimiter)


def read_labelled_points(path: Path, cloud: PointCloud, delimiter: str) -> NDArray[np.bool_]:
    """Return the (N,) bool mask of a file of rows x, y, z, label.

    Raises:
        DataError: its points are not those of the cloud, which many readers never look at.
    """
    rows = read_table(path, 4, delimiter)
    points = rows[:, :3].astype(cloud.points.dtype)
    if points.shape != cloud.points.shape or not np.array_equal(points, cloud.points, equal_nan=True):
        raise DataError(f"{path}: its points are not those of its sample")
    mask: NDArray[np.bool_] = rows[:, 3] == 1
    return mask


def write_aside(out: Path, target: str, anomaly: Anomaly) -> list[Output]:
    """Write to `_truth/` what only anosynth knows: height and defect of each labelled point, and the removed rows."""
    rows = np.flatnonzero(anomaly.mask)
    columns: list[NDArray[Any]] = [rows, anomaly.effect[rows], anomaly.instances[rows]]
    details = table(out, f"{ASIDE}/{target}.labels.txt", "details", columns, " ", header=" ".join(_SPARSE))
    return [details, *write_removed(out, f"{ASIDE}/{target}", anomaly)]


def read_aside(cloud: PointCloud, mask: NDArray[np.bool_], paths: Mapping[str, Path]) -> Truth:
    """Join a sample and its mask (N,), read from the layout's own files, with what `write_aside` wrote.

    Raises:
        DataError: the files do not speak of the same points.
    """
    index, height, _ = read_table(paths["details"], 3, " ", header=" ".join(_SPARSE)).T
    if not np.array_equal(index, np.flatnonzero(mask)):
        raise DataError(f"{paths['details']}: lists other points than {paths['labels'].name} labels")
    whole = np.zeros(len(mask))
    whole[mask] = height
    return _truth(cloud, mask, whole, paths)


def _truth(cloud: PointCloud, mask: NDArray[np.bool_], height: NDArray[Any], paths: Mapping[str, Path]) -> Truth:
    if len(mask) != len(cloud):
        raise DataError(f"{paths['sample']}: {len(cloud)} points, but {len(mask)} labels")
    removed = np.zeros(0, dtype=np.int64)
    if "removed" in paths:
        removed = read_table(paths["removed"], 1, " ", header=_REMOVED)[:, 0].astype(np.int64)
    return Truth(cloud, mask, mask & (height == 0) & cloud.valid, removed)


def write_removed(out: Path, target: str, anomaly: Anomaly) -> list[Output]:
    """Write the rows of the input that are no longer there to `TARGET.removed.txt`, if there are any."""
    if anomaly.removed is None or not len(anomaly.removed):
        return []
    return [table(out, f"{target}.removed.txt", "removed", [anomaly.removed], " ", header=_REMOVED)]


def paths_of(out: Path, record: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files of a manifest row by their roles."""
    return {output["role"]: out / output["path"] for output in record["outputs"]}


def placed(out: Path, target: str) -> Path:
    """Return the path of a file to be written under OUT, in a folder that is there.

    OUT itself may be a link.

    Raises:
        DataError: the target is none that a manifest may name, such as one with `..`.
        WriteError: the folder cannot be made, or a link in OUT leads out of it.
    """
    path = out / inner(target, out)
    if link := leading_out(out, target.rpartition("/")[0]):
        raise WriteError(
            f"{out / link}: is a link to {os.path.realpath(out / link)}, which is not in {out}: expected a folder\n"
            "hint: remove the link, or choose another OUT"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{path.parent}: cannot be made: {(error.strerror or str(error)).lower()}") from None
    return path


def table(
    out: Path, target: str, role: str, columns: Sequence[NDArray[Any]], delimiter: str, *, header: str = ""
) -> Output:
    """Write columns of numbers as text; return what was written."""
    with atomic_write(placed(out, target)) as file:
        if header:
            file.write(header.encode() + b"\n")
        write_table(file, columns, delimiter)
    return Output(role, target)


def read_table(path: Path, columns: int, delimiter: str, *, header: str = "") -> NDArray[np.float64]:
    """Read back what `table` wrote: (N, columns) float64.

    Raises:
        DataError: the file cannot be read or is something else.
    """
    text = regular_bytes(path)
    if header:
        first, _, text = text.partition(b"\n")
        if first != header.encode():
            raise DataError(f"{path}: expected `{header}` in its first line")
    try:
        return parse_rows(text.replace(delimiter.encode(), b" "), columns)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def copy_along(root: Path, origin: Path, out: Path, target: str, role: str) -> Output:
    """Copy a file of the input that belongs to the sample, such as its photo.

    Raises:
        DataError: it cannot be read.
    """
    data = regular_bytes(root / origin)
    with atomic_write(placed(out, target)) as file:
        file.write(data)
    return Output(role, target)
