"""A scan of a mesh: points drawn evenly over its surface, as a measuring machine would hand them over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.seeding import RngLike, as_rng

_LIGHT = np.array([0.36, 0.48, 0.8])
"""Where the light comes from, a unit vector."""


def scan(mesh: PointCloud, count: int, rng: RngLike, *, noise: float = 0.0, normals: bool = True) -> PointCloud:
    """Return `count` points of a mesh's surface in random order, as dense on every triangle as its area asks.

    The points are drawn one from each of `count` equal shares of the area (systematic sampling), which leaves fewer
    holes than independent draws. Each carries the normal of its triangle.

    Args:
        mesh: a triangle mesh with at least one triangle that has an area.
        count: how many points, >= 1.
        rng: see `anosynth.seeding.RngLike`.
        noise: standard deviation of the measuring noise along the normal, in the mesh's unit, >= 0.
        normals: whether the cloud carries them.

    Returns:
        (count, 3) float32 points and, if asked for, unit normals; the attribute `intensity`, (count,) float32 in
        [0, 1], the light that a matt surface sends back; the mesh's unit.

    Raises:
        DataError: the mesh has no triangles, or none with an area.
        ParameterError: `count` or `noise` is out of range.
    """
    if count < 1:
        raise ParameterError(f"count: {count}: expected at least 1 point")
    if not (np.isfinite(noise) and noise >= 0):
        raise ParameterError(f"noise: {noise}: expected a length of at least 0")
    base = as_rng(rng)
    if mesh.faces is None or not len(mesh.faces):
        raise DataError("mesh: no triangles: nothing to scan")
    corner = mesh.points.astype(np.float64)[mesh.faces]
    side_1, side_2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    cross = np.cross(side_1, side_2)
    double_area = np.sqrt((cross * cross).sum(axis=1))
    rising = np.cumsum(double_area)
    if not rising[-1] > 0:
        raise DataError("mesh: no triangle has an area: nothing to scan")

    marks = (np.arange(count) + base.child("share").random(count)) * (rising[-1] / count)
    # A mark may round up to the whole area; "right" steps over triangles without area, which have no normal.
    last = int(np.flatnonzero(double_area)[-1])
    face = np.minimum(np.searchsorted(rising, marks, side="right"), last)[base.child("order").permutation(count)]
    a, b = base.child("a").random(count), base.child("b").random(count)
    # Folding the parallelogram's far half over leaves a uniform draw in the triangle, without a square root.
    far = a + b > 1.0
    a, b = np.where(far, 1.0 - a, a), np.where(far, 1.0 - b, b)
    points = corner[face, 0] + a[:, None] * side_1[face] + b[:, None] * side_2[face]
    direction = cross[face] / double_area[face, None]
    if noise > 0:
        points += noise * base.child("noise").normal(count)[:, None] * direction
    return PointCloud(
        points.astype(np.float32),
        normals=direction.astype(np.float32) if normals else None,
        attributes={"intensity": _intensity(direction, base.child("intensity").normal(count))},
        unit=mesh.unit,
    )


def _intensity(normals: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float32]:
    # Half Lambert: the side turned away is dim, not black, as in a room with more than one lamp.
    half = 0.5 + 0.5 * (normals * _LIGHT).sum(axis=1)
    return np.asarray(np.clip(0.15 + 0.75 * half * half + 0.01 * noise, 0.0, 1.0), dtype=np.float32)
