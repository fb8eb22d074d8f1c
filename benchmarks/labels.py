"""The truth of the labels at scale: every generator of clouds and photos; and what moves on the far side of clouds.

    python benchmarks/labels.py [SEEDS] [--family pointclouds|images] [--large SEEDS] [--only NAMES]

Clouds: SEEDS (100) of five shapes. Photos: SEEDS of each of 17 x 33, 300 x 300 and 256 x 384 pixels, --large (10) of
1024 x 1024, each of them in uint8, uint16 and float32, grey, RGB and with five channels, every second seed with a known
foreground; parameters are drawn anew for each.

Leak: changed points or pixels outside the mask. Dead: unchanged ones inside it (the rim of a hole in a cloud is
labelled unmoved and counted apart). Both must be 0. What could not be made is counted, too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import cache
from itertools import product

import numpy as np
from inputs import given
from scipy.spatial import cKDTree

from anosynth.errors import NotMade
from anosynth.generator import Anomaly, find, names
from anosynth.images import Image
from anosynth.labels import changed_rows
from anosynth.pointclouds import PerlinSurface, PointCloud
from anosynth.pointclouds._whole import whole
from anosynth.recipe import Vary
from anosynth.seeding import as_rng
from anosynth.toy.clouds import scan
from anosynth.toy.depth import depth_map
from anosynth.toy.meshes import bracket, gear, plate, shaft, torus


def shapes() -> dict[str, PointCloud]:
    return {
        "plate": scan(plate(0), 8000, rng=1, normals=False),
        "gear": scan(gear(0), 8000, rng=1),
        "torus": scan(torus(0), 8000, rng=1, normals=False),
        "mesh": bracket(0, fine=8.0),
        "map": depth_map(0, shape=(96, 128))[0],
    }


def leak_and_dead(anomaly: Anomaly) -> tuple[int, int]:
    assert anomaly.origin is not None
    assert anomaly.removed is not None
    known = anomaly.origin >= 0
    moved = changed_rows(anomaly.before.points[anomaly.origin[known]], anomaly.sample.points[known])
    mask = anomaly.mask[known]
    still = mask & ~moved
    return int((moved & ~mask).sum()), 0 if len(anomaly.removed) else int(still.sum())


def sheets(cloud: PointCloud) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of rows that share their place on the principal plane but lie on sheets that face apart."""
    patch, normals = whole(cloud), cloud.surface.normals
    _, near = cKDTree(patch.uv).query(patch.uv, k=24, distance_upper_bound=cloud.surface.spacing)
    row = np.repeat(np.arange(len(cloud)), 24)
    other = near.ravel()
    row, other = row[other < len(cloud)], other[other < len(cloud)]
    apart = (normals[row] * normals[other]).sum(axis=1) < -0.3
    return row[apart], other[apart]


def correlation(mode: str, cloud: PointCloud, seeds: int) -> float:
    a, b = sheets(cloud)
    values = []
    for seed in range(seeds):
        effect = PerlinSurface(mode=mode)(cloud, rng=seed).effect
        with np.errstate(invalid="ignore"):
            values.append(np.corrcoef(effect[a], effect[b])[0, 1])
    # A seed that moves nothing on such sheets correlates with nothing.
    return float(np.nan_to_num(values).mean())


def print_clouds(seeds: int, only: list[str]) -> int:
    """Print the table of clouds and return the largest count of leaks or dead points."""
    clouds = shapes()
    print(f"{'generator':<16}" + "".join(f"{name:>22}" for name in clouds) + "   (made / leak / dead)")
    worst = 0
    for name in only or names("pointclouds"):
        cells = []
        for cloud in clouds.values():
            made = leaks = deads = 0
            for seed in range(seeds):
                try:
                    leak, dead = leak_and_dead(find("pointclouds", name)()(cloud, rng=seed))
                except NotMade:
                    continue
                made, leaks, deads = made + 1, leaks + leak, deads + dead
            worst = max(worst, leaks, deads)
            cells.append(f"{made} / {leaks} / {deads}")
        print(f"{name:<16}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    return worst


def print_correlations() -> None:
    print("correlation of the displacement on sheets that share their place on the principal plane, twenty seeds:")
    for name, mesh in (("torus", torus(0)), ("shaft", shaft(0)), ("bracket", bracket(0)), ("plate", plate(0))):
        dense = scan(mesh, 40_000, rng=1, normals=False)
        found = {mode: correlation(mode, dense, 20) for mode in ("local", "solid", "pca")}
        print(f"  {name:<8} " + "  ".join(f"{mode} {value:+.3f}" for mode, value in found.items()), flush=True)


@cache
def photos(shape: tuple[int, int], dtype: str, channels: int) -> list[Image]:
    """Return a grained round part with a pattern on a darker ground, without and with its foreground."""
    row, column = (np.arange(size) / size - 0.5 for size in shape)
    inside = row[:, None] ** 2 + column**2 < 0.14
    value = 0.25 + 0.1 * column + 0.3 * inside + 0.06 * np.sin(40 * row)[:, None] * np.cos(31 * column)
    value = value[:, :, None] * np.linspace(1.0, 0.8, channels)
    value += 0.015 * as_rng(2).normal(value.size).reshape(value.shape)
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    pixels = np.clip(value, 0, 1) * white
    pixels = (np.rint(pixels) if white > 1 else pixels).astype(dtype)
    pixels = pixels[:, :, 0] if channels == 1 else pixels
    return [Image(pixels), Image(pixels, foreground=inside)]


def print_photos(seeds: int, large: int, only: list[str]) -> int:
    """Print the table of photos and return the largest count of leaks or dead pixels."""
    sizes = {(17, 33): seeds, (300, 300): seeds, (256, 384): seeds, (1024, 1024): large}
    print(f"{'generator':<16}" + "".join(f"{f'{h} x {w}':>28}" for h, w in sizes) + "   (made of / leak / dead)")
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in only or names("images"):
            generator = find("images", name)
            vary, cells = Vary(generator, **given(generator, folder)), []
            for shape, number in sizes.items():
                made = leaks = deads = asked = 0
                for dtype, channels in product(("uint8", "uint16", "float32"), (1, 3, 5)):
                    images = photos(shape, dtype, channels)
                    for seed in range(number):
                        asked += 1
                        try:
                            anomaly = vary.draw(as_rng(seed))(images[seed % 2], rng=seed)
                        except NotMade:
                            continue
                        bits = [np.ascontiguousarray(side.pixels) for side in (anomaly.before, anomaly.sample)]
                        changed = changed_rows(*(b.reshape(shape[0] * shape[1], -1) for b in bits)).reshape(shape)
                        made += 1
                        leaks += int(np.count_nonzero(changed & ~anomaly.mask))
                        deads += int(np.count_nonzero(anomaly.mask & ~changed))
                worst = max(worst, leaks, deads)
                cells.append(f"{made} of {asked} / {leaks} / {deads}")
            print(f"{name:<16}" + "".join(f"{cell:>28}" for cell in cells), flush=True)
    return worst


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=int, nargs="?", default=100)
    parser.add_argument("--family", choices=["pointclouds", "images", "all"], default="all")
    parser.add_argument("--large", type=int, default=10, metavar="SEEDS")
    parser.add_argument("--only", default="", help="names of generators, with commas")
    asked = parser.parse_args()
    only, start, worst = [name for name in asked.only.split(",") if name], time.perf_counter(), 0
    if asked.family != "images":
        worst = print_clouds(asked.seeds, only)
    if asked.family != "pointclouds":
        worst = max(worst, print_photos(asked.seeds, asked.large, only))
    print(f"\nlargest leak or dead count: {worst}; {time.perf_counter() - start:.0f} s\n")
    if asked.family != "images" and not only:
        print_correlations()
    sys.exit(1 if worst else 0)


if __name__ == "__main__":
    main()
