"""How many normals point outward, and what spacing, orientation and normals cost: CPU seconds of one thread.

python benchmarks/orientation.py             1e4, 1e5 and 1e6 points
python benchmarks/orientation.py 50000       another number
"""

from __future__ import annotations

import os
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, spatial

from anosynth.pointclouds import PointCloud
from anosynth.seeding import Rng

Floats = NDArray[np.float64]
BORES = ((20.0, 20.0, 6.0), (80.0, 20.0, 6.0), (50.0, 40.0, 10.0), (20.0, 45.0, 3.0))
_LOADED = (sparse.csgraph, spatial)  # their import is paid once by a process, not by a cloud


def torus(count: int, rng: Rng) -> tuple[Floats, Floats]:
    """Return points of a torus of radii 100 and 40, uniform over its surface, and their outward normals."""
    u, v, keep = (rng.random(3 * count) for _ in range(3))
    u, v = 2 * np.pi * u, 2 * np.pi * v
    kept = np.flatnonzero(keep * 140 < 100 + 40 * np.cos(v))[:count]
    u, v = u[kept], v[kept]
    normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], axis=1)
    ring = np.stack([100 * np.cos(u), 100 * np.sin(u), np.zeros(len(u))], axis=1)
    return ring + 40 * normals, normals


def plate(count: int, rng: Rng) -> tuple[Floats, Floats]:
    """Return about `count` points of a plate of 100 x 60 x 5 with four bores through it, and their normals."""
    size = np.array([100.0, 60.0, 5.0])
    walls = [2 * np.pi * r * size[2] for _, _, r in BORES]
    faces = [size[(k + 1) % 3] * size[(k + 2) % 3] for k in (0, 0, 1, 1, 2, 2)]
    total = sum(faces) + sum(walls) - 2 * sum(np.pi * r * r for _, _, r in BORES)
    points, normals = [], []
    for number, area in enumerate(faces):
        axis, side = divmod(number, 2)
        n = round(count * area / total)
        p = rng.random(3 * n).reshape(n, 3) * size
        p[:, axis] = side * size[axis]
        if axis == 2:
            p = p[np.all([(p[:, 0] - x) ** 2 + (p[:, 1] - y) ** 2 > r * r for x, y, r in BORES], axis=0)]
        points.append(p)
        normals.append(np.tile((2.0 * side - 1.0) * np.eye(3)[axis], (len(p), 1)))
    for (x, y, r), area in zip(BORES, walls, strict=True):
        n = round(count * area / total)
        turn, level = 2 * np.pi * rng.random(n), size[2] * rng.random(n)
        way = np.stack([np.cos(turn), np.sin(turn), np.zeros(n)], axis=1)
        points.append(np.array([x, y, 0.0]) + r * way + level[:, None] * np.array([0.0, 0.0, 1.0]))
        normals.append(-way)
    order = rng.permutation(sum(len(p) for p in points))
    return np.concatenate(points)[order], np.concatenate(normals)[order]


def main(counts: list[int]) -> None:
    print("shape     points  noise  spacing   orient  all signs  right signs   normals  mean error  right signs")
    for count in counts:
        for shape in (torus, plate):
            for noise in (0.0, 0.2):
                report(shape.__name__, *shape(count, Rng(1)), noise, Rng(2))


def report(name: str, points: Floats, normals: Floats, noise: float, rng: Rng) -> None:
    spacing = PointCloud(points).surface.spacing
    shaken = points + noise * spacing * rng.normal(points.size).reshape(points.shape)
    surface = PointCloud(shaken.astype(np.float32)).surface
    lines = normals * np.where(rng.random(len(points)) < 0.5, -1.0, 1.0)[:, None]
    watch = [time.process_time()]
    _ = surface.spacing
    watch.append(time.process_time())
    surface.outward(np.arange(1), lines[:1])  # what a defect on a small patch pays
    watch.append(time.process_time())
    signed = surface.outward(np.arange(len(points)), lines)
    watch.append(time.process_time())
    found = surface.normals
    watch.append(time.process_time())
    took = np.diff(watch)
    along = (found * normals).sum(axis=1)
    error = np.degrees(np.arccos(np.clip(np.abs(along), 0, 1))).mean()
    print(
        f"{name:6s} {len(points):9d} {noise:6.1f} {took[0]:6.3f} s {took[1]:6.2f} s {took[2]:8.2f} s"
        f" {100 * ((signed * normals).sum(axis=1) > 0).mean():10.4f} % {took[3]:7.2f} s {error:7.2f} deg"
        f" {100 * (along > 0).mean():10.4f} %",
        flush=True,
    )


if __name__ == "__main__":
    main([int(float(text)) for text in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
