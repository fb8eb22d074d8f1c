"""The truth of the labels at scale: every generator, 100 seeds, five shapes; and what moves on the far side.

    python benchmarks/labels.py [SEEDS]

Leak: changed points outside the mask. Dead: unchanged points inside it (the rim of a hole is labelled unmoved and
counted apart). Both must be 0.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from scipy.spatial import cKDTree

from anosynth.errors import NotMade
from anosynth.generator import Anomaly, find, names
from anosynth.labels import changed_rows
from anosynth.pointclouds import PerlinSurface, PointCloud
from anosynth.pointclouds._whole import whole
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


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    clouds, start = shapes(), time.perf_counter()
    print(f"{'generator':<16}" + "".join(f"{name:>22}" for name in clouds) + "   (made / leak / dead)")
    worst = 0
    for name in names("pointclouds"):
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
    print(f"\nlargest leak or dead count: {worst}; {time.perf_counter() - start:.0f} s\n")
    print("correlation of the displacement on sheets that share their place on the principal plane, twenty seeds:")
    for name, mesh in (("torus", torus(0)), ("shaft", shaft(0)), ("bracket", bracket(0)), ("plate", plate(0))):
        dense = scan(mesh, 40_000, rng=1, normals=False)
        found = {mode: correlation(mode, dense, 20) for mode in ("local", "solid", "pca")}
        print(f"  {name:<8} " + "  ".join(f"{mode} {value:+.3f}" for mode, value in found.items()), flush=True)


if __name__ == "__main__":
    main()
