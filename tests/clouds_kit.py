"""Shapes whose surface, normals and size are known, made on the spot."""

from __future__ import annotations

import numpy as np

from anosynth.pointclouds import PointCloud


def torus(points: int = 12_000, seed: int = 0, dtype: type = np.float32, **more: object) -> PointCloud:
    """Torus of radii 30 and 10, uniform over its surface."""
    draw = np.random.default_rng(seed)
    u, v = draw.uniform(0, 2 * np.pi, (2, 4 * points))
    keep = draw.uniform(0, 1, 4 * points) < (30 + 10 * np.cos(v)) / 40
    u, v = u[keep][:points], v[keep][:points]
    ring = 30 + 10 * np.cos(v)
    xyz = np.stack([ring * np.cos(u), ring * np.sin(u), 10 * np.sin(v)], axis=1)
    return PointCloud(xyz.astype(dtype), **more)  # type: ignore[arg-type]


def block(points: int = 12_000, seed: int = 0) -> PointCloud:
    """Box of 60 x 40 x 20, uniform over its six faces."""
    draw = np.random.default_rng(seed)
    size = np.array([60.0, 40.0, 20.0])
    area = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    face = draw.choice(3, points, p=area / area.sum())
    xyz = draw.uniform(0, 1, (points, 3)) * size
    xyz[np.arange(points), face] = draw.integers(0, 2, points) * size[face]
    return PointCloud(xyz.astype(np.float32), unit="mm")


def box_mesh() -> PointCloud:
    """The same box as twelve triangles, wound outward."""
    corners = np.array([[x, y, z] for x in (0, 60) for y in (0, 40) for z in (0, 20)], dtype=np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [(a, b, c) for a, b, c, _ in quads] + [(a, c, d) for a, _, c, d in quads]
    return PointCloud(corners, faces=np.array(faces, dtype=np.int64), unit="mm")


def depth_map(height: int = 120, width: int = 160) -> PointCloud:
    """Pinhole view of a wavy surface, with a border and a spot of invalid pixels."""
    row, column = np.mgrid[0:height, 0:width].astype(np.float64)
    ray = np.stack([(column - width / 2) / width, (row - height / 2) / width, np.ones((height, width))], axis=2)
    depth = 0.5 + 0.01 * np.sin(column / 18) * np.cos(row / 14)
    xyz = (ray * depth[:, :, None]).astype(np.float32)
    xyz[:3], xyz[:, :3], xyz[30:34, 40:44] = 0, 0, 0
    return PointCloud(xyz.reshape(-1, 3), grid=(height, width), viewpoint=np.zeros(3), unit="m")
