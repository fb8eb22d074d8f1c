"""The base of point-cloud generators: from an intended `Change` to an anomaly whose labels are what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible, ParameterError
from anosynth.generator import Anomaly, Generator
from anosynth.labels import FLOOR_OF_PEAK
from anosynth.params import METRES, check_bounds, split_length
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._refit import refitted_normals
from anosynth.seeding import Rng

Array = NDArray[Any]
Rows = NDArray[np.int64]

FLOOR_OF_SPACING = 0.1
"""A displacement under this share of the mean point spacing drowns in the sampling of the surface."""

FLOOR_OF_DIAGONAL = 1e-5
"""The same for meshes, which are not sampled: a share of the bounding-box diagonal."""

_TANGENTIAL = 0.01
"""A move that points inward by less than this share of its length lies along the surface: its height is positive."""


def least_displacement(cloud: PointCloud) -> float:
    """Return the displacement in file units under which a change of this cloud does not count as one."""
    if cloud.triangles is not None:
        return FLOOR_OF_DIAGONAL * cloud.diagonal
    return FLOOR_OF_SPACING * cloud.surface.spacing


def _no_rows() -> Rows:
    return np.zeros(0, dtype=np.int64)


def _no_points() -> Array:
    return np.zeros((0, 3))


@dataclass(frozen=True, eq=False)
class Change:
    """What one defect means to do; sparse, so that its cost follows the defect and not the cloud.

    Attributes:
        cloud: the cloud that the rows refer to: the input, or the input with its mesh refined (rows only appended).
        index: (K,) rows that move, `points`: (K, 3) float64 where to, `normals`: (K, 3) outward unit normals there.
        removed: (R,) rows that vanish (in an organised map: whose pixels become invalid).
        rim: (L,) surviving rows labelled because their surroundings were cut away.
        added: (A, 3) new points, with `added_from` (A,) the row whose attributes they take, `added_height` (A,)
            their height over the surface, `added_normals` (A, 3), and `added_faces` (T, 3) over the new points.
        stats: numbers and texts for the record.
    """

    cloud: PointCloud
    index: Rows = field(default_factory=_no_rows)
    points: Array = field(default_factory=_no_points)
    normals: Array = field(default_factory=_no_points)
    removed: Rows = field(default_factory=_no_rows)
    rim: Rows = field(default_factory=_no_rows)
    added: Array = field(default_factory=_no_points)
    added_from: Rows = field(default_factory=_no_rows)
    added_height: Array = field(default_factory=lambda: np.zeros(0))
    added_normals: Array = field(default_factory=_no_points)
    added_faces: Array = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    stats: dict[str, Any] = field(default_factory=dict)

    def touched(self) -> Rows:
        """Return the rows that this change moves, removes, labels or covers."""
        return np.concatenate([self.index, self.removed, self.rim, self.added_from])


class PointCloudGenerator(Generator):
    """Base of the family: subclasses write `changes`; labels, floor and rounding are settled here."""

    family: ClassVar[str] = "pointclouds"

    def changes(self, cloud: PointCloud, rng: Rng) -> Sequence[Change]:
        """Return the defects of this sample, later ones on the cloud of the one before; raise DataError to redraw."""
        raise NotImplementedError

    def make(self, sample: PointCloud, rng: Rng) -> Anomaly:
        if not isinstance(sample, PointCloud):
            raise TypeError(
                f"{self.name}: {type(sample).__module__}.{type(sample).__name__}: expected an anosynth PointCloud\n"
                "hint: PointCloud(points), or from_open3d and from_trimesh of anosynth.pointclouds"
            )
        if int(sample.valid.sum()) < 12 and sample.triangles is None:
            raise Impossible(f"{int(sample.valid.sum())} valid points: a surface needs at least 12")
        if sample.diagonal == 0:
            raise Impossible("all points coincide: there is no surface to change")
        return _labelled(self, sample, self.changes(sample, rng))

    def length_in(self, name: str, cloud: PointCloud) -> float:
        """Return the length parameter `name` in file units.

        Raises:
            ParameterError: it has a unit and the cloud has none, or it is out of bounds for this cloud.
        """
        value = getattr(self, name)
        number, unit = split_length(value)
        if unit is None:
            return number * cloud.diagonal
        if cloud.unit is None:
            raise ParameterError(
                f"`{name}`: {value}: the file does not say its unit\nhint: say it with --unit, e.g. --unit {unit}"
            )
        if cloud.unit not in METRES:
            raise ParameterError(f"unit: {cloud.unit}: must be one of {', '.join(METRES)}")
        size = number * METRES[unit] / METRES[cloud.unit]
        try:
            check_bounds(name, size / cloud.diagonal, type(self).model_fields[name])
        except ParameterError as error:
            raise ParameterError(
                f"{error}; {value} is that fraction of the diagonal, {cloud.diagonal:.6g} {cloud.unit}"
            ) from None
        return size


def _labelled(generator: PointCloudGenerator, source: PointCloud, changes: Sequence[Change]) -> Anomaly:
    base = changes[-1].cloud
    after, total = base.points.copy(), len(base)
    mask, effect = np.zeros(total, dtype=np.bool_), np.zeros(total, dtype=np.float32)
    instances = np.zeros(total, dtype=np.uint16)
    stats: dict[str, Any] = {"spacing": source.surface.spacing, "diagonal": source.diagonal}
    moved = []
    for number, change in enumerate(changes, 1):
        rows, height = _moved(change, after)
        moved.append(rows)
        mask[rows], effect[rows], instances[rows] = True, height, number
        for labelled in (change.rim, change.removed if base.grid is not None else _no_rows()):
            mask[labelled], instances[labelled] = True, number
        stats.update(change.stats if len(changes) == 1 else {f"{k}_{number}": v for k, v in change.stats.items()})
    rows = np.concatenate(moved)
    result = replace(base, points=after)
    if base.normals is not None and len(rows):
        result = result.moved(rows, after[rows], refitted_normals(result, rows, base.normals[rows]))
    removed = np.concatenate([change.removed for change in changes])
    origin = np.arange(total, dtype=np.int64)
    if base.grid is not None:
        result, removed = _invalidated(result, removed), _no_rows()
    elif len(removed) or any(len(change.added) for change in changes):
        result, origin, extra = _rebuilt(result, removed, changes)
        mask = np.concatenate([mask[origin[origin >= 0]], np.ones(len(extra), dtype=np.bool_)])
        effect = np.concatenate([effect[origin[origin >= 0]], extra.astype(np.float32)])
        added = np.concatenate([np.full(len(c.added), i, dtype=np.uint16) for i, c in enumerate(changes, 1)])
        instances = np.concatenate([instances[origin[origin >= 0]], added])
    if not mask.any():
        raise DataError("nothing changed that could be labelled")
    meshed = base.triangles is not None
    area = float(result.surface.weights[mask].sum()) if meshed else float(mask.sum() / source.valid.sum())
    stats.update(area=area, removed=len(removed), added=int(sum(len(c.added) for c in changes)))
    return Anomaly(result, mask, effect, instances, generator, stats, base, origin, removed)


def _moved(change: Change, after: Array) -> tuple[Rows, Array]:
    """Write one change into `after`; return the rows that really moved and their signed displacement."""
    if not len(change.index):
        return _no_rows(), np.zeros(0)
    before = change.cloud.points[change.index].astype(np.float64)
    target = change.points.astype(after.dtype)
    delta = target.astype(np.float64) - before
    size = np.sqrt((delta * delta).sum(axis=1))
    if not np.isfinite(size).all():
        raise DataError("the displacement is not finite; the coordinates are too large for their dtype")
    peak = float(size.max())
    floor = max(least_displacement(change.cloud), FLOOR_OF_PEAK * peak)
    seen = size >= floor
    if peak == 0 or not seen.any():
        raise DataError(
            f"the largest displacement, {peak:.4g}, is under the visible {floor:.4g} (a tenth of the point spacing)\n"
            "hint: raise the strength"
        )
    inward = (delta * change.normals).sum(axis=1) < -_TANGENTIAL * size
    height = np.where(inward, -size, size)
    change.stats["peak"] = float(height[size.argmax()])
    rows = change.index[seen]
    after[rows] = target[seen]
    return rows, height[seen]


def _invalidated(cloud: PointCloud, removed: Rows) -> PointCloud:
    """Return the map with these pixels marked as its own invalid pixels are (zeros if it has none)."""
    if not len(removed):
        return cloud
    blank = np.flatnonzero(~cloud.valid)
    value = cloud.points[blank[0]] if len(blank) else np.zeros(3, dtype=cloud.points.dtype)
    if not len(blank) and cloud.points.dtype == np.float32 and cloud.attributes:
        value = np.full(3, np.nan, dtype=np.float32)
    return cloud.moved(removed, np.broadcast_to(value, (len(removed), 3)))


def _rebuilt(cloud: PointCloud, removed: Rows, changes: Sequence[Change]) -> tuple[PointCloud, Rows, Array]:
    """Drop and append points; return the cloud, the (M,) source rows (-1 for new) and the heights of the new ones."""
    keep = np.ones(len(cloud), dtype=np.bool_)
    keep[removed] = False
    kept = np.flatnonzero(keep)
    added = np.concatenate([change.added for change in changes])
    faces = cloud.faces
    if faces is not None:
        renumber = np.cumsum(keep) - 1
        parts, start = [renumber[faces[keep[faces].all(axis=1)]]], len(kept)
        for change in changes:
            parts.append(change.added_faces + start)
            start += len(change.added)
        faces = np.concatenate(parts).astype(np.int64)
    result = cloud.taken(np.concatenate([kept, *(change.added_from for change in changes)]), faces)
    if len(added):
        fresh = np.arange(len(kept), len(kept) + len(added))
        result = result.moved(fresh, added, np.concatenate([change.added_normals for change in changes]))
    origin = np.concatenate([kept, np.full(len(added), -1)]).astype(np.int64)
    return result, origin, np.concatenate([change.added_height for change in changes])
