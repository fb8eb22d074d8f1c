"""The sample of this family: points with everything that their file said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

if TYPE_CHECKING:
    from anosynth.pointclouds._geometry.surface import Surface

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in file order, with every attribute of the file; a mesh has faces, an organised map has a grid.

    Attributes:
        points: (N, 3) float32 or float64, in file units. Invalid points (not finite or, in an organised map,
            exactly (0, 0, 0)) stay where they are; see `valid`.
        normals: (N, 3) float, or None if the file has none. Not necessarily of unit length.
        faces: (F, 3) int64 vertex indices of a triangle mesh, or None.
        attributes: further per-point fields by name, each (N, ...) in its own dtype, in file order.
        grid: (height, width) of an organised map, N == height * width in row-major order, or None.
        viewpoint: (3,) float64 position of the sensor, or None if unknown: for organised maps, the origin.
        unit: "mm", "cm", "um", "m" or "inch", or None: the unit of the coordinates, where it is known.
        document: what the format's writer needs beside the above (property order, comments, ...); opaque.
    """

    points: Array
    normals: Array | None = None
    faces: Array | None = None
    attributes: Mapping[str, Array] = field(default_factory=dict)
    grid: tuple[int, int] | None = None
    viewpoint: Array | None = None
    unit: str | None = None
    document: Any = None

    def __post_init__(self) -> None:
        p = self.points
        if p.ndim != 2 or p.shape[1] != 3 or p.dtype not in (np.float32, np.float64):
            raise DataError(f"points: {p.dtype} {p.shape}: expected float32 or float64 of shape (N, 3)")
        if self.grid is not None and self.grid[0] * self.grid[1] != len(p):
            raise DataError(f"grid: {self.grid[0]} x {self.grid[1]}: does not hold {len(p)} points")
        for name, value in [("normals", self.normals), *self.attributes.items()]:
            if value is not None and len(value) != len(p):
                raise DataError(f"{name}: {len(value)} rows: expected one for each of the {len(p)} points")
        if self.normals is not None and self.normals.shape[1:] != (3,):
            raise DataError(f"normals: {self.normals.shape}: expected shape ({len(p)}, 3)")
        if self.viewpoint is not None and np.shape(self.viewpoint) != (3,):
            raise DataError(f"viewpoint: {np.shape(self.viewpoint)}: expected shape (3,)")
        if self.faces is not None:
            _check_faces(self.faces, len(p))

    def __len__(self) -> int:
        return len(self.points)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(N,) bool: finite points, in an organised map also not exactly (0, 0, 0)."""
        p = self.points
        # A sum is finite only if its terms are (or cancel to NaN), which spares a (N, 3) temporary.
        ok = np.isfinite(p[:, 0]) & np.isfinite(p[:, 1]) & np.isfinite(p[:, 2])
        if self.grid is not None:
            ok &= (p[:, 0] != 0) | (p[:, 1] != 0) | (p[:, 2] != 0)
        return ok

    @property
    def sensor(self) -> NDArray[np.float64]:
        """(3,) float64: the viewpoint; the origin where none is known."""
        return np.zeros(3) if self.viewpoint is None else np.asarray(self.viewpoint, dtype=np.float64)

    @cached_property
    def triangles(self) -> NDArray[np.int64] | None:
        """(T, 3) int64: the faces whose corners are all valid, or None if there are none: then it is no mesh."""
        if self.faces is None or not len(self.faces):
            return None
        faces = np.asarray(self.faces, dtype=np.int64)
        sound = faces if self.valid.all() else faces[self.valid[faces].all(axis=1)]
        return sound if len(sound) else None

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """(2, 3) float64: the lowest and the highest valid coordinates.

        Raises:
            DataError: there is no valid point.
        """
        if not self.valid.any():
            raise DataError(f"no valid point among {len(self)}")
        p = self.points if self.valid.all() else self.points[self.valid]
        return np.stack([p.min(axis=0), p.max(axis=0)]).astype(np.float64)

    @cached_property
    def diagonal(self) -> float:
        """Length of the bounding box's diagonal in file units: what lengths given as fractions refer to."""
        size = self.bounds[1] - self.bounds[0]
        return float(np.sqrt((size * size).sum()))

    @cached_property
    def surface(self) -> Surface:
        """The surface that the points lie on: spacing, weights, outward normals; computed when asked for."""
        from anosynth.pointclouds._geometry.surface import Surface

        return Surface(self)

    @cached_property
    def foreground(self) -> NDArray[np.bool_] | None:
        """(N,) bool: of a depth map, the pixels of the part without the table under it; None if there is no table."""
        from anosynth.pointclouds._geometry.foreground import foreground

        return foreground(self)

    def moved(self, index: Array, points: Array, normals: Array | None = None) -> PointCloud:
        """Return a copy in which the points of `index` (K,) stand at `points` (K, 3), rounded to this dtype."""
        new = self.points.copy()
        new[index] = points
        fresh = self.normals
        if fresh is not None and normals is not None:
            fresh = fresh.copy()
            fresh[index] = normals
        return replace(self, points=new, normals=fresh)

    def taken(self, rows: Array, faces: Array | None) -> PointCloud:
        """Return the cloud of the points `rows` (M,), attributes along; a grid is lost, `faces` replace the old."""
        return replace(
            self,
            points=self.points[rows],
            normals=None if self.normals is None else self.normals[rows],
            attributes={name: value[rows] for name, value in self.attributes.items()},
            faces=faces,
            grid=None,
        )


def _check_faces(faces: Array, points: int) -> None:
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise DataError(f"faces: {faces.dtype} {faces.shape}: expected whole numbers of shape (F, 3)")
    if len(faces) and not (faces.min() >= 0 and faces.max() < points):
        worst = faces.min() if faces.min() < 0 else faces.max()
        raise DataError(f"faces: vertex {worst}: expected an index from 0 to {points - 1}")
