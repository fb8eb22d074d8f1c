"""Point clouds as the judge sees them: features of some points, each of which stands for those nearest to it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io.clouds import cloud_digest, read_cloud
from anosynth.pointclouds import PointCloud
from anosynth.seeding import stream

from ._files import File
from ._samples import GOOD, Floats, Judged, Mask

LARGEST = 400_000
"""Clouds of more points are reduced to as many before features are made of them: these take some 1 kB a point."""
MOST = 4096
"""The most points of a cloud that get a score of their own."""

_NEAR = 1e-5
"""Points that a table lists are those of the cloud within this fraction of its diagonal."""


def judged(file: File) -> Judged:
    """Return a cloud with what is known about it.

    Raises:
        DataError: it cannot be read or used; the message names it.
    """
    cloud = read_cloud(file.path)
    truth = np.zeros(len(cloud), dtype=np.bool_) if file.kind == GOOD else truth_of(file, cloud)
    if truth is not None and file.kind != GOOD and not truth.any():
        truth = None
    try:
        return _judged(cloud, truth, name=file.name, kind=file.kind, key=cloud_digest(cloud))
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None


def made(cloud: PointCloud, mask: Mask, *, name: str, kind: str, source: str) -> Judged:
    """Return a cloud that was made anomalous, with its labels."""
    return _judged(cloud, mask, name=name, kind=kind, source=source)


@functools.lru_cache(maxsize=64)
def source(file: File, unit: str | None = None) -> PointCloud:
    """Return a normal cloud as anomalies are made on it; `unit` is for files that do not say it."""
    return read_cloud(file.path, unit=unit)


def truth_of(file: File, cloud: PointCloud) -> Mask | None:
    """Return (N,) bool, the labelled points: of a field `label`, or of the file's masks; None if there are neither.

    Masks are pictures of an organised map, or tables: with a label for each point in the last column, or of the
    labelled points' coordinates alone.

    Raises:
        DataError: a table fits the cloud in none of these ways.
    """
    if not file.masks:
        label = cloud.attributes.get("label")
        return None if label is None else np.asarray(label).reshape(len(cloud)) > 0
    whole = np.zeros(len(cloud), dtype=np.bool_)
    for path in file.masks:
        whole |= _picture(path, cloud) if path.suffix.lower() == ".png" else _table(path, cloud)
    return whole


def _judged(cloud: PointCloud, truth: Mask | None, *, name: str, kind: str, source: str = "", key: str = "") -> Judged:
    valid = cloud.valid
    if not valid.any():
        raise DataError("no valid point")
    cells, place = _cells(cloud, name)
    cover = None
    if truth is not None:
        inside = np.bincount(place[valid], truth[valid].astype(np.float64), minlength=len(cells))
        cover = (inside / np.bincount(place[valid], minlength=len(cells))).astype(np.float32)
    shown = None if truth is None else truth[valid]
    expand = functools.partial(_spread, place=place[valid])
    return Judged(name, kind, cells, shown, expand, cover, source, key, _gist(cloud))


def _cells(cloud: PointCloud, name: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return the (n, C) features of some points, and for each of all N points the place of the nearest of them."""
    from .clouds import cells_of, thinned

    if int(cloud.valid.sum()) <= LARGEST:
        rows, place = thinned(cloud, MOST, stream(0, "rank.points", name))
        return cells_of(cloud)[rows], place
    fewer, at = thinned(cloud, LARGEST, stream(0, "rank.reduced", name))
    normals = None if cloud.normals is None else cloud.normals[fewer]
    cells, place = _cells(PointCloud(cloud.points[fewer], normals=normals), name)
    return cells, place[at]


def _spread(scores: Floats, place: NDArray[np.int64]) -> Floats:
    return scores[place]


def _picture(path: Path, cloud: PointCloud) -> Mask:
    from anosynth.io.images import read_image

    pixels = read_image(path).pixels
    flat = (pixels > 0) if pixels.ndim == 2 else (pixels > 0).any(axis=2)
    if cloud.grid is None or flat.shape != cloud.grid:
        raise DataError(f"{path}: {flat.shape[0]} x {flat.shape[1]}: expected a mask of the map, {cloud.grid}")
    return np.asarray(flat.reshape(-1))


def _table(path: Path, cloud: PointCloud) -> Mask:
    rows = _numbers(path)
    # anosynth's own tables hold label, height and instance; others end with the label.
    own = path.name.endswith(".labels.txt")
    if len(rows) == len(cloud) and (own or rows.shape[1] != 3):
        return np.asarray(rows[:, 0 if own else -1] > 0)
    if rows.shape[1] < 3:
        raise DataError(f"{path}: {len(rows)} rows: expected one for each of the {len(cloud)} points, or coordinates")
    from scipy.spatial import cKDTree

    tree = cKDTree(cloud.points[cloud.valid].astype(np.float64))
    size = float(np.linalg.norm(cloud.bounds[1] - cloud.bounds[0]))
    listed = rows[rows[:, 3] > 0] if rows.shape[1] == 4 else rows
    apart, place = tree.query(listed[:, :3])
    if not np.all(apart <= _NEAR * size):
        raise DataError(f"{path}: its points are not those of {path.stem}")
    whole = np.zeros(len(cloud), dtype=np.bool_)
    whole[np.flatnonzero(cloud.valid)[np.unique(place)]] = True
    return whole


def _numbers(path: Path) -> NDArray[np.float64]:
    try:
        lines = path.read_text(encoding="utf-8").replace(",", " ").split("\n")
        rows = [[float(word) for word in line.split()] for line in lines if line.strip()[:1] in _DIGITS]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else 0)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: is no table of labels: {error}") from None
    if not np.isfinite(table).all():
        raise DataError(f"{path}: is no table of labels: its numbers are not all finite")
    return table


_DIGITS = tuple("+-.0123456789")


def _gist(cloud: PointCloud) -> tuple[float, ...]:
    """Return number of points, and deviations along the principal axes."""
    points = cloud.points[cloud.valid].astype(np.float64)
    left = points - points.mean(axis=0)
    spread: Any = np.sqrt(np.maximum(np.linalg.eigvalsh(left.T @ left / max(len(left), 1)), 0))
    return (float(len(points)), *(float(value) for value in spread))
