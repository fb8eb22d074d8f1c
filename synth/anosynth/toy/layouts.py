"""Toy data sets in the layouts of real ones, to try `--dataset` without their data: small, made of the toy parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import UnknownGenerator, did_you_mean
from anosynth.pointclouds._cloud import PointCloud
from anosynth.seeding import Rng, stream

from . import SCAN_NOISE

Array = NDArray[Any]
Mask = NDArray[np.bool_]

_CLASSES = ("bracket", "torus")


def make_layout(kind: str, out: Path, *, seed: int, count: int, points: int) -> list[Path]:
    """Write a toy data set in the layout `kind` under the folder `out` and return its files, sorted.

    Each category has `count` normal training samples and half as many (at least one) of each other sort: normal and
    two kinds of defect, with their ground truth. A file depends on the seed and its own path alone, but for the tables
    of objects in `mulsen`.

    Args:
        points: of each scan; for `mvtec3d` about as many pixels; meshes (`mulsen`) have their own number.

    Raises:
        UnknownGenerator: there is no such layout.
        WriteError: a file cannot be written.
    """
    if kind not in LAYOUTS:
        raise UnknownGenerator(f"no toy `{kind}`{did_you_mean(kind, LAYOUTS)}")
    return sorted(LAYOUTS[kind](out, seed, count, points))


def _mvtec3d(out: Path, seed: int, count: int, points: int) -> list[Path]:
    from anosynth.datasets.mvtec3d import write_mask
    from anosynth.toy.depth import depth_map

    height = max(16, round(math.sqrt(0.75 * points)))
    shape = (height, max(16, round(points / height)))
    folders = [("train/good", count), *((f"{split}/good", _some(count)) for split in ("validation", "test"))]
    folders += [(f"test/{defect}", _some(count)) for defect in ("contamination", "hole")]
    written = []
    for folder, number in folders:
        for index in range(number):
            place = f"cookie/{folder}/{{}}/{index:03d}"
            rng = stream(seed, "toy", place)
            cloud, picture = depth_map(rng.child("map"), shape)
            cloud, mask = _depth_defect(cloud, folder, rng.child("defect"))
            dark = mask.reshape(shape)
            picture = np.where(dark[:, :, None], picture // 2, picture)
            written.append(_cloud(out, place.format("xyz") + ".tiff", cloud))
            written.append(_png(out, place.format("rgb") + ".png", picture))
            if not folder.startswith("train"):
                written.append(out / write_mask(out, place.format("gt") + ".png", dark).path)
    return written


def _real3d(out: Path, seed: int, count: int, points: int) -> list[Path]:
    written = []
    for name in _CLASSES:
        files = [(f"train/{n}_template", 0.0) for n in range(1, count + 1)]
        files += _numbered(count, [("test/{}_good", 0.0), ("test/{}_bulge", 0.02), ("test/{}_sink", -0.02)])
        for file, height in files:
            scan, mask = _scan(name, seed, f"{name}/{file}.pcd", points, height)
            written.append(_cloud(out, f"{name}/{file}.pcd", scan))
            if height:
                gt = f"{name}/{file.replace('test/', 'gt/')}.txt"
                written.append(_rows(out, gt, [scan.points, mask.astype(np.uint8)], " "))
    return written


def _anomaly_shapenet(out: Path, seed: int, count: int, points: int) -> list[Path]:
    written = []
    for name in _CLASSES:
        kind = f"{name}0"
        files = [(f"train/{kind}_template{n}", 0.0) for n in range(1, count + 1)]
        tests = [(f"test/{kind}_positive{{}}", 0.0), (f"test/{kind}_bulge{{}}", 0.02)]
        files += _numbered(count, [*tests, (f"test/{kind}_concavity{{}}", -0.02)])
        for file, height in files:
            scan, mask = _scan(name, seed, f"pcd/{kind}/{file}.pcd", points, height)
            written.append(_cloud(out, f"pcd/{kind}/{file}.pcd", scan))
            if height:
                gt = f"pcd/{kind}/{file.replace('test/', 'GT/')}.txt"
                written.append(_rows(out, gt, [scan.points, mask.astype(np.uint8)], ","))
    return written


def _mulsen(out: Path, seed: int, count: int, points: int) -> list[Path]:
    from anosynth.datasets.mulsen import MulSen
    from anosynth.toy.clouds import scan
    from anosynth.toy.meshes import PARTS

    written = []
    for name in _CLASSES:
        files = [(f"train/{n}", 0.0) for n in range(1, count + 1)]
        tests = [("test/good/{}", 0.0), ("test/foreign_body/{}", 0.03), ("test/squeeze/{}", -0.03)]
        files += _numbered(count, tests)
        for file, height in files:
            rng = stream(seed, "toy", f"{name}/Pointcloud/{file}.stl")
            mesh = PARTS[name](rng.child("mesh"), fine=3.0)
            mesh = replace(mesh, points=mesh.points.astype(np.float32), unit=None)
            mesh, mask = _swollen(mesh, _vertex_normals(mesh), height, rng.child("defect"))
            written.append(_cloud(out, f"{name}/Pointcloud/{file}.stl", mesh))
            if height:
                gt = f"{name}/Pointcloud/{file.replace('test/', 'GT/')}.txt"
                written.append(_rows(out, gt, [mesh.points[mask]], ","))
            grey = _picture(scan(mesh, 6000, rng.child("picture"), normals=False))
            colour = np.stack([grey, grey // 2, grey // 4], axis=2)
            written.append(_png(out, f"{name}/RGB/{file}.png", colour))
            written.append(_png(out, f"{name}/Infrared/{file}.png", 255 - grey))
    return [*written, *(out / output.path for output in MulSen().finish(out))]


def _minishift(out: Path, seed: int, count: int, points: int) -> list[Path]:
    written = []
    levels = [("easy", 0.025), ("medium", 0.015), ("hard", 0.007)]
    for name in _CLASSES:
        files = [(f"train/good/{n:03d}", 0.0) for n in range(count)]
        files += [(f"test/good/{n:03d}", 0.0) for n in range(_some(count))]
        for defect, sign in [("bulge", 1.0), ("dent", -1.0)]:
            for level, height in levels:
                places = (f"test/{defect}/{level}/{n:03d}" for n in range(_some(count)))
                files += [(place, sign * height) for place in places]
        for file, height in files:
            scan, mask = _scan(name, seed, f"{name}/{file}.txt", points, height)
            written.append(_cloud(out, f"{name}/{file}.txt", scan))
            if height:
                gt = f"{name}/{file.replace('test/', 'gt/')}.txt"
                written.append(_rows(out, gt, [mask.astype(np.uint8)], " "))
    return written


def _some(count: int) -> int:
    return max(1, count // 2)


def _numbered(count: int, sorts: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(place.format(number), height) for place, height in sorts for number in range(1, _some(count) + 1)]


def _scan(name: str, seed: int, path: str, points: int, height: float) -> tuple[PointCloud, Mask]:
    """Return a scan of a part with nothing but points, and the mask of its defect."""
    from anosynth.toy.clouds import scan
    from anosynth.toy.meshes import PARTS

    rng = stream(seed, "toy", path)
    cloud = scan(PARTS[name](rng.child("mesh")), points, rng.child("scan"), noise=SCAN_NOISE)
    normals = np.zeros((0, 3)) if cloud.normals is None else cloud.normals.astype(np.float64)
    return _swollen(PointCloud(cloud.points), normals, height, rng.child("defect"))


def _swollen(cloud: PointCloud, normals: Array, height: float, rng: Rng) -> tuple[PointCloud, Mask]:
    """Raise a round patch by up to `height` diagonals along the normals (N, 3); return the mask of what moved."""
    mask = np.zeros(len(cloud), dtype=np.bool_)
    if not height:
        return cloud, mask
    before = cloud.points.astype(np.float64)
    centre = rng.integer(0, len(cloud) - 1)
    apart = before - before[centre]
    share = 1.0 - (apart * apart).sum(axis=1) / (0.12 * cloud.diagonal) ** 2
    # The far side of a thin wall is near, too, but faces away.
    share = np.where((normals * normals[centre]).sum(axis=1) > 0.3, np.maximum(share, 0.0), 0.0)
    mask = share > 0.25
    moved = before + (height * cloud.diagonal * share * share)[:, None] * normals
    return cloud.moved(np.flatnonzero(mask), moved[mask]), mask


def _depth_defect(cloud: PointCloud, folder: str, rng: Rng) -> tuple[PointCloud, Mask]:
    """Put a lump on the middle of a map, or take a disc out of it; return the mask of what changed."""
    height, width = cloud.grid or (0, 0)
    mask = np.zeros(len(cloud), dtype=np.bool_)
    if folder.endswith("good"):
        return cloud, mask
    row, column = (round(size * rng.uniform(0.42, 0.58)) for size in (height, width))
    radius = 0.09 * height
    apart = (np.arange(height)[:, None] - row) ** 2 + (np.arange(width) - column) ** 2
    share = np.maximum(1.0 - apart.reshape(-1) / (radius * radius), 0.0)
    mask = (share > 0.2) & cloud.valid
    points = cloud.points[mask].astype(np.float64)
    # Towards the camera, so that every point stays on its pixel's ray.
    nearer = points * (1.0 - 0.012 * share[mask] / points[:, 2])[:, None]
    new = nearer if folder.endswith("contamination") else np.zeros_like(points)
    return cloud.moved(np.flatnonzero(mask), new), mask


def _vertex_normals(mesh: PointCloud) -> Array:
    faces = np.zeros((0, 3), dtype=np.int64) if mesh.faces is None else mesh.faces
    corner = mesh.points.astype(np.float64)[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.stack([np.bincount(faces.reshape(-1), np.repeat(axis, 3), len(mesh)) for axis in normal.T], axis=1)
    return np.asarray(total / np.maximum(np.sqrt((total * total).sum(axis=1)), 1e-12)[:, None])


def _picture(scan: PointCloud) -> NDArray[np.uint8]:
    """Return a (48, 64) grey picture of a scan from above, by its intensity."""
    low, high = scan.bounds
    size = np.maximum(high - low, 1e-12)
    place = (scan.points.astype(np.float64) - low) / size
    row, column = (place[:, 1] * 47).astype(np.int64), (place[:, 0] * 63).astype(np.int64)
    image = np.zeros((48, 64), dtype=np.uint8)
    np.maximum.at(image, (row, column), np.rint(scan.attributes["intensity"] * 255).astype(np.uint8))
    return image


def _cloud(out: Path, target: str, cloud: PointCloud) -> Path:
    from anosynth.datasets.truth import placed
    from anosynth.io.clouds import write_cloud

    path = placed(out, target)
    write_cloud(path, cloud)
    return path


def _rows(out: Path, target: str, columns: list[Array], delimiter: str) -> Path:
    from anosynth.datasets.truth import table

    return out / table(out, target, "labels", columns, delimiter).path


def _png(out: Path, target: str, picture: NDArray[np.uint8]) -> Path:
    from PIL import Image

    from anosynth.datasets.truth import placed
    from anosynth.io.atomic import atomic_write

    path = placed(out, target)
    with atomic_write(path) as file:
        Image.fromarray(picture).save(file, format="PNG")
    return path


LAYOUTS: dict[str, Callable[[Path, int, int, int], list[Path]]] = {
    "mvtec3d": _mvtec3d,
    "real3d": _real3d,
    "anomaly-shapenet": _anomaly_shapenet,
    "mulsen": _mulsen,
    "minishift": _minishift,
}
"""What makes each layout, from (folder, seed, count, points)."""
