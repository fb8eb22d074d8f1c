"""Does memory stay flat over very many samples? The ordinary command, watched from outside.

    python benchmarks/soak.py                      # 100,000 photos of 32 x 32, from 1,000 sources
    python benchmarks/soak.py --family pointcloud  # 100,000 clouds of 200 points
    python benchmarks/soak.py --peaks              # peak memory per family, for a normal and a large input

Prints the resident memory of the command at 10, 50 and 100 % of the samples, seconds, and samples per second. `--peaks`
runs each family once on inputs of two sizes in a process of its own and prints the highest resident memory of each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

MARKS = (0.1, 0.25, 0.5, 0.75, 1.0)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["images", "pointcloud"], default="images")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--sources", type=int, default=1_000)
    parser.add_argument("--generator", default="", help="default: stain for photos, perlin-surface for clouds")
    parser.add_argument("--folder", type=Path, help="where inputs and outputs go; by default a temporary folder")
    parser.add_argument("--peaks", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-", dir=given.folder) as folder:
        if given.peaks:
            peaks(Path(folder))
        else:
            soak(Path(folder), given.family, given.samples, given.sources, given.generator)


def soak(folder: Path, family: str, samples: int, sources: int, generator: str) -> None:
    good, out = folder / "good", folder / "out"
    good.mkdir()
    for number in range(sources):
        (small_photo if family == "images" else small_cloud)(good, number)
    kind = generator or {"images": "stain", "pointcloud": "perlin-surface"}[family]
    count = -(-samples // sources)
    line = [family, "-g", kind, "--count", str(count), "--seed", "1", str(good), str(out)]
    line += ["--area", "0.1:0.3"] if family == "pointcloud" and not generator else []
    print(f"{sources} sources x {count}: anosynth {' '.join(line).replace(str(folder) + '/', '')}", flush=True)
    part, done = out / "manifest.jsonl.part", out / "manifest.jsonl"
    marks = [int(mark * sources * count) for mark in MARKS]
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "anosynth_cli", *line], env=ENVIRONMENT, stdout=subprocess.PIPE
    ) as run:
        lines = grown(part, done)
        print(f"{'samples':>9} {'%':>4} {'RSS MB':>8} {'peak MB':>8} {'seconds':>8} {'samples/s':>10}")
        last = (0, 0)
        while run.poll() is None:
            last = resident(run.pid) or last
            made = next(lines)
            while marks[:-1] and made >= marks[0]:
                show(made, marks.pop(0) / (sources * count), last, time.monotonic() - begin)
            time.sleep(0.05)
        show(next(lines), 1.0, last, time.monotonic() - begin)
        assert run.stdout is not None
        print(run.stdout.read().decode().replace(str(folder) + "/", "").strip())
    if run.returncode not in (0, 3):
        sys.exit(f"ended with exit code {run.returncode}")


def show(made: int, share: float, memory: tuple[int, int], seconds: float) -> None:
    rss, peak = (value / 1024 for value in memory)
    print(f"{made:>9} {share:>4.0%} {rss:>8.1f} {peak:>8.1f} {seconds:>8.1f} {made / seconds:>10.1f}", flush=True)


def grown(part: Path, done: Path) -> Iterator[int]:
    """Yield how many samples the manifest names by now, reading each byte of it once."""
    made, place = -1, 0
    while True:
        for path in (part, done):
            try:
                with path.open("rb") as file:
                    file.seek(place)
                    while piece := file.read(1 << 20):
                        made += piece.count(b"\n")
                        place += len(piece)
                break
            except FileNotFoundError:
                continue
        yield max(made, 0)


def resident(process: int) -> tuple[int, int] | None:
    """Return resident memory now and at most, in KiB, of a Linux process."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    values = {line.split(":")[0]: line.split()[1] for line in text.splitlines() if line.startswith(("VmRSS", "VmHWM"))}
    return (int(values["VmRSS"]), int(values["VmHWM"])) if len(values) == 2 else None


def small_photo(folder: Path, number: int) -> None:
    photo(folder / f"p{number:06d}.png", 32, 32, number)


def photo(path: Path, height: int, width: int, seed: int) -> None:
    from anosynth.images import Image
    from anosynth.io.images import write_image

    draw = np.random.default_rng(seed)
    row, column = np.mgrid[0:height, 0:width]
    base = 120 + 60 * np.sin(row / height * 7 + seed) * np.cos(column / width * 5)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    for channel in range(3):
        pixels[:, :, channel] = base + draw.integers(0, 12, (height, width))
    write_image(path, Image(pixels))


def small_cloud(folder: Path, number: int) -> None:
    cloud(folder / f"p{number:06d}.ply", 200, number)


def cloud(path: Path, points: int, seed: int) -> None:
    from anosynth.io.clouds import write_cloud
    from anosynth.pointclouds import PointCloud

    draw = np.random.default_rng(seed)
    xy = draw.uniform(0, 40, (points, 2))
    z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + seed)
    write_cloud(path, PointCloud(np.column_stack([xy, z]).astype(np.float32), unit="mm"))


def tensor(path: Path, shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(1)
    held = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    for index in range(shape[0]):
        held[index] = draw.normal(size=shape[1:])
    held.flush()


PHOTOS = {"256 x 400": (256, 400), "1024 x 1024": (1024, 1024), "6000 x 8000": (6000, 8000)}
CLOUDS = (1_000, 100_000, 1_000_000, 5_000_000)
TENSORS = ((4, 64, 28, 28), (100, 512, 28, 28), (800, 512, 28, 28))
Case = tuple[str, list[str], Callable[[Path], None]]


def cases() -> Iterator[Case]:
    for kind in ("stain", "perlin-texture"):
        for name, size in PHOTOS.items():
            yield f"images, {name} RGB, {kind}", ["images", "-g", kind], partial(_photo, size)
    for points in CLOUDS:
        yield f"clouds, {points:,} points", ["pointcloud"], partial(_cloud, points)
    for shape in TENSORS:
        text = " x ".join(map(str, shape))
        yield f"features, {text}, gaussian", ["features", "-g", "gaussian"], partial(_tensor, shape)


def _photo(size: tuple[int, int], home: Path) -> None:
    photo(home / "a.png", *size, 1)


def _cloud(points: int, home: Path) -> None:
    cloud(home / "a.ply", points, 1)


def _tensor(shape: tuple[int, ...], home: Path) -> None:
    tensor(home / "a.npy", shape)


def peaks(folder: Path) -> None:
    """Print the peak of each family for inputs of several sizes; the smallest shows what the program itself takes."""
    print(f"{'input':<44} {'file MB':>8} {'peak MB':>8} {'seconds':>8}")
    for number, (name, line, make) in enumerate(cases()):
        home = folder / str(number)
        (home / "good").mkdir(parents=True)
        # In a process of its own: a child's peak begins with what its parent holds.
        aside = multiprocessing.get_context("spawn").Process(target=make, args=(home / "good",))
        aside.start()
        aside.join()
        size = sum(path.stat().st_size for path in (home / "good").iterdir())
        begin = time.monotonic()
        words = [*line, "--no-report", str(home / "good"), str(home / "out")]
        command = [sys.executable, "-m", "anosynth_cli", *words]
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        note = "" if not status else f"  exit code {os.waitstatus_to_exitcode(status)}"
        seconds = time.monotonic() - begin
        print(f"{name:<44} {size / 1e6:>8.1f} {usage.ru_maxrss / 1024:>8.0f} {seconds:>8.1f}{note}", flush=True)
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
