"""What generators ask of a surface: its spacing, the share of each point, normals that point outward."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.pointclouds._geometry.cells import Array, Floats, Ints, Neighbours, eigen, mesh_spacing, nearest_pairs
from anosynth.pointclouds._geometry.normals import (
    cloud_lines,
    grid_normals,
    mesh_normals,
    unit,
)
from anosynth.pointclouds._geometry.orientation import Orientation, orient
from anosynth.pointclouds._geometry.triangles import face_areas
from anosynth.steady import total

if TYPE_CHECKING:
    from anosynth.pointclouds._cloud import PointCloud

_PROBE = 4096
_OPPOSITE = 0.02
_ONE_VIEW = 0.9


class Surface:
    """The surface that a cloud's points lie on; everything is computed when first asked for, and only what is needed.

    A cloud whose points do not span a surface (fewer than 4 valid ones, all in one place or on one line) raises
    DataError on access to `normals`, `outward`, `oriented_by` and `components`; a flat sheet is a surface.
    """

    def __init__(self, cloud: PointCloud) -> None:
        self._cloud = cloud

    @cached_property
    def spacing(self) -> float:
        """Mean distance to the nearest neighbour in file units; of a mesh, the mean length of its edges.

        Points in the same place count once. Exact up to 20 000 points, beyond that the mean over neighbourhoods of
        16 points evenly chosen in file order; in an organised map over the neighbouring pixels of up to 64 rows.

        Raises:
            DataError: all valid points are in one place.
        """
        cloud = self._cloud
        if cloud.grid is not None:
            found = _grid_spacing(cloud.points, cloud.valid, cloud.grid)
        elif cloud.triangles is not None:
            found = mesh_spacing(cloud.points, cloud.triangles)
        else:
            found = 0.0
        return found if found > 0.0 else self._neighbours.spacing

    @cached_property
    def weights(self) -> Floats:
        """(N,) float64 share of the surface that each point stands for; the sum is 1, invalid points have 0.

        A mesh's vertex gets a third of the area of its faces, any other valid point the same share.

        Raises:
            DataError: there is no valid point.
        """
        cloud = self._cloud
        share = np.zeros(len(cloud))
        if cloud.triangles is not None:
            area = face_areas(cloud.points, cloud.triangles)
            for i in range(3):
                share += np.bincount(cloud.triangles[:, i], area, len(cloud))
        if not total(share) > 0.0:
            share = cloud.valid.astype(np.float64)
        if not total(share) > 0.0:
            raise DataError(f"no valid point among {len(cloud)}")
        share /= total(share)
        return share

    @cached_property
    def oriented_by(self) -> str:
        """Where the signs of normals come from: "file normals", "winding", "sensor" or "propagation".

        The first that the sample has. File normals whose signs differ between nearest neighbours were never oriented,
        and a mesh whose neighbouring faces are wound both ways says nothing; both are passed over. So is the viewpoint
        of an unorganised cloud that lies inside its bounding box or that a tenth of the surface faces away from: the
        header of a merged scan often names a viewpoint that its points were not seen from.
        """
        return "file normals" if self._file_normals else self._own_source

    @cached_property
    def components(self) -> int:
        """How many parts of the surface got their sign independently of each other; 1 unless by propagation."""
        return self._orientation.components if self.oriented_by == "propagation" else 1

    @cached_property
    def normals(self) -> Floats:
        """(N, 3) float64 unit normals, outward; zeros at invalid points and at vertices that no face refers to.

        File normals where usable and not zero, else by winding, from the grid, or from the points around.
        """
        cloud = self._cloud
        by, out = self.oriented_by, np.zeros((len(cloud), 3))
        missing = cloud.valid
        if by == "file normals":
            assert cloud.normals is not None
            out = unit(cloud.normals)
            out[~cloud.valid] = 0.0
            missing = cloud.valid & (out == 0).all(axis=1)
            by = self._own_source
        rows = np.flatnonzero(missing)
        if len(rows) == 0:
            return out
        if by == "winding":
            out[rows] = self._winding_normals(rows)
        elif cloud.grid is not None:
            out[rows] = grid_normals(cloud.points, cloud.valid, cloud.grid, cloud.sensor)[rows]
        else:
            line = np.zeros((len(cloud), 3))
            line[cloud.valid] = cloud_lines(self._columns(), self._neighbours.patch)
            out[rows] = self.outward(rows, line[rows])
        return out

    def outward(self, index: Array, normals: Array) -> Floats:
        """Return the unit normals (K, 3) of the points `index` (K,) int, flipped where they point inward: (K, 3).

        The direction along which each lies is not changed. Where nothing is known of a point (invalid, no face) its
        sign is kept.
        """
        rows, line = np.asarray(index, dtype=np.int64), np.array(normals, dtype=np.float64)
        if self.oriented_by != "file normals":
            return line * self._own_signs(rows, line)[:, None]
        assert self._cloud.normals is not None
        along = (unit(self._cloud.normals[rows]) * line).sum(axis=1)
        sign = np.where(along < 0, -1.0, 1.0)
        lost = np.flatnonzero(along == 0)
        if len(lost):
            sign[lost] = self._own_signs(rows[lost], line[lost])
        return line * sign[:, None]

    def _own_signs(self, rows: Ints, line: Floats) -> Floats:
        cloud, sign = self._cloud, np.ones(len(rows))
        if self._own_source == "winding":
            along = (self._winding_normals(rows) * line).sum(axis=1)
            return np.where(along < 0, -1.0, 1.0)
        known = np.flatnonzero(cloud.valid[rows])
        rows, line = rows[known], line[known]
        points = cloud.points[rows].astype(np.float64)
        if self._own_source == "sensor":
            sign[known] = np.where(((cloud.sensor - points) * line).sum(axis=1) < 0, -1.0, 1.0)
        else:
            slot = rows if cloud.valid.all() else (np.cumsum(cloud.valid) - 1)[rows]
            sign[known] = self._orientation.signs(slot, points - cloud.bounds[0], line)
        return sign

    def _winding_normals(self, rows: Ints) -> Floats:
        assert self._cloud.triangles is not None
        return mesh_normals(self._cloud.points, self._cloud.triangles, rows) * (-1.0 if self._turned else 1.0)

    @cached_property
    def _own_source(self) -> str:
        self._require_surface()
        cloud = self._cloud
        if cloud.triangles is not None and _wound_alike(cloud.triangles, len(cloud)):
            return "winding"
        return "sensor" if cloud.grid is not None or self._one_view else "propagation"

    @cached_property
    def _one_view(self) -> bool:
        cloud, sensor = self._cloud, self._cloud.sensor
        low, high = cloud.bounds
        if cloud.viewpoint is None or bool(((sensor >= low) & (sensor <= high)).all()):
            return False
        return self._orientation.one_sided(sensor - low) >= _ONE_VIEW

    @cached_property
    def _file_normals(self) -> bool:
        self._require_surface()
        normals = self._cloud.normals
        if normals is None:
            return False
        rows = np.flatnonzero(self._cloud.valid)
        probe = unit(normals[rows[:: -(-len(rows) // _PROBE)]])
        if 2 * np.count_nonzero((probe != 0).any(axis=1)) < len(probe):
            return False
        pairs = self._neighbours.pairs
        along = (unit(normals[pairs[:, 0]]) * unit(normals[pairs[:, 1]])).sum(axis=1)
        return int(np.count_nonzero(along < -0.9)) <= _OPPOSITE * int(np.count_nonzero(np.abs(along) > 0.9))

    @cached_property
    def _turned(self) -> bool:
        assert self._cloud.triangles is not None
        return _inside_out(self._cloud.points, self._cloud.triangles)

    @cached_property
    def _neighbours(self) -> Neighbours:
        return nearest_pairs(self._cloud.points, self._cloud.valid)

    @cached_property
    def _orientation(self) -> Orientation:
        return orient(self._columns(), self._neighbours.patch)

    def _columns(self) -> Floats:
        """Return the valid points (3, M) float64 from the lower corner of their bounding box."""
        cloud, low = self._cloud, self._cloud.bounds[0]
        rows = slice(None) if cloud.valid.all() else np.flatnonzero(cloud.valid)
        return np.stack([cloud.points[rows, axis].astype(np.float64) - low[axis] for axis in range(3)])

    def _probe(self, most: int = _PROBE) -> Floats:
        """Return up to `most` valid points, evenly chosen in file order, from the box's lower corner: (P, 3)."""
        rows = np.flatnonzero(self._cloud.valid)
        chosen = self._cloud.points[rows[:: max(1, -(-len(rows) // most))]]
        from_corner: Floats = chosen.astype(np.float64) - self._cloud.bounds[0]
        return from_corner

    def _require_surface(self) -> None:
        cloud = self._cloud
        count = int(np.count_nonzero(cloud.valid))
        if count < 4:
            raise DataError(f"points: {count} valid among {len(cloud)}: expected at least 4 that span a surface")
        coarse = 4.0 * float(np.finfo(cloud.points.dtype).eps) * float(np.abs(cloud.bounds).max())
        for most in (_PROBE, count):
            p = self._probe(most)
            p -= p.mean(axis=0)
            values = eigen(np.einsum("ni,nj->ij", p, p, optimize=False)[None] / len(p))[0][0]
            long, wide = np.sqrt(np.maximum(values[2], 0.0)), np.sqrt(np.maximum(values[1], 0.0))
            if wide > max(coarse, 1e-7 * long):
                return
        kind = "on one line" if long > coarse else "in one place"
        raise DataError(f"points: all {count} valid ones lie {kind}: expected a surface")


def _grid_spacing(points: Array, valid: NDArray[np.bool_], grid: tuple[int, int]) -> float:
    """Return the mean distance from a pixel to the nearest of its 4 neighbours, 0 if no two are valid."""
    height, width = grid
    p, ok = points.reshape(height, width, 3), valid.reshape(height, width)
    found = []
    for row in range(0, height, -(-height // 64)):
        best = np.full(width, np.inf)
        for beside in (row - 1, row + 1):
            if 0 <= beside < height:
                best = np.minimum(best, _gap(p[row], p[beside], ok[row] & ok[beside]))
        side = _gap(p[row, 1:], p[row, :-1], ok[row, 1:] & ok[row, :-1])
        best[1:] = np.minimum(best[1:], side)
        best[:-1] = np.minimum(best[:-1], side)
        found.append(best[np.isfinite(best)])
    gaps = np.concatenate(found)
    return float(gaps.mean()) if len(gaps) else 0.0


def _gap(a: Array, b: Array, both: NDArray[np.bool_]) -> Floats:
    step = np.where(both[:, None], a, 0.0).astype(np.float64) - np.where(both[:, None], b, 0.0)
    length = np.sqrt((step * step).sum(axis=1))
    return np.where(length > 0, length, np.inf)


def _wound_alike(faces: Ints, vertices: int) -> bool:
    """Tell whether neighbouring faces run through their common edge in opposite ways (97 % of a sample of edges)."""
    a, b = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    low, high = np.minimum(a, b), np.maximum(a, b)
    chosen = np.flatnonzero(low % max(1, len(faces) // 50_000) == 0)
    key, forward = low[chosen] * vertices + high[chosen], np.where(a < b, 1, -1)[chosen]
    _, edge, uses = np.unique(key, return_inverse=True, return_counts=True)
    total = np.bincount(edge, forward, len(uses))
    inner = uses == 2
    return int(np.count_nonzero(total[inner])) <= 0.03 * int(np.count_nonzero(inner))


def _inside_out(points: Array, faces: Ints) -> bool:
    """Tell whether a closed mesh encloses a negative volume, i.e. its faces are all wound the wrong way round."""
    a, b, c = (points[faces[:, i]].astype(np.float64) for i in range(3))
    middle = a.mean(axis=0)
    cross = np.cross(b - a, c - a)
    area = np.sqrt((cross * cross).sum(axis=1)).sum()
    closed = np.sqrt((cross.sum(axis=0) ** 2).sum()) <= 1e-3 * area
    return bool(closed and ((a - middle) * cross).sum() < 0)
