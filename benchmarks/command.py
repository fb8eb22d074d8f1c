"""The whole command against the obvious route, fresh processes, side by side: wall, CPU and peak memory.

The obvious route: read with open3d, normals from 30 neighbours, the principal plane, `pnoise2` point by point,
displace, write, save the labels with numpy.savetxt. It has no connected defect, no right signs and no manifest.

    python benchmarks/command.py [--large]      (--large: 1e7 points too, for anosynth alone)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIXED = ["--octaves", "4", "--strength", "0.02", "--area", "0.02", "--scale", "3", "--sign", "out"]

OBVIOUS = """
import sys
import numpy as np, noise, open3d as o3d
cloud = o3d.io.read_point_cloud(sys.argv[1])
cloud.estimate_normals(o3d.geometry.KDTreeSearchParamKNN(knn=30))
points, normals = np.asarray(cloud.points), np.asarray(cloud.normals)
centred = points - points.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
size = np.linalg.norm(np.ptp(points, axis=0))
plane = plane * 5 / size
field = np.array([noise.pnoise2(u, v, octaves=4) for u, v in plane.tolist()])
field = (field - field.min()) / (field.max() - field.min())
label = field > 0.7
moved = points + (0.02 * size * field * label)[:, None] * normals
cloud.points = o3d.utility.Vector3dVector(moved)
o3d.io.write_point_cloud(sys.argv[2] + "/out.ply", cloud)
np.savetxt(sys.argv[2] + "/gt.txt", np.c_[moved, label], fmt="%.6f")
"""


def measured(arguments: list[str]) -> tuple[float, float, float]:
    """Run a command and return wall seconds, CPU seconds and peak memory in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    problem = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{arguments[:3]}: {problem}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def row(text: str, figures: tuple[float, float, float], beside: tuple[float, float, float] | None) -> None:
    ratio = f"{beside[0] / figures[0]:5.1f} x wall {beside[1] / figures[1]:5.1f} x CPU" if beside else ""
    print(f"{text:<34} {figures[0]:7.2f} s wall {figures[1]:7.2f} s CPU {figures[2]:6.0f} MB  {ratio}", flush=True)


def main() -> None:
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    from anosynth import write_cloud
    from anosynth.toy.clouds import scan
    from anosynth.toy.meshes import bracket

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for points in [100_000, 1_000_000] + [10_000_000] * ("--large" in sys.argv):
            source = home / f"in_{points}.ply"
            write_cloud(source, scan(bracket(0), points, rng=0, normals=False))
            beside = None
            if points <= 1_000_000:
                beside = measured([sys.executable, "-c", OBVIOUS, str(source), folder])
                row(f"{points:.0e} points, obvious route", beside, None)
            for mode in ("local", "pca", "solid"):
                out = home / f"{mode}_{points}"
                line = ["pointcloud", "--mode", mode, *FIXED, str(source), str(out)]
                row(
                    f"{points:.0e} points, anosynth {mode}",
                    measured([sys.executable, "-m", "anosynth_cli", *line]),
                    beside,
                )
            source.unlink()


if __name__ == "__main__":
    main()
