"""How long the noise functions take beside what else would be used, CPU seconds of one thread in one run.

python benchmarks/noise_engine.py            ratios
python benchmarks/noise_engine.py --exact    compare with the package `noise` at 100,000 points a setting (minutes)
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import noise
from anosynth.noise import fbm, lattice, pnoise2, pnoise3
from anosynth.seeding import as_rng


def measure(*functions: Callable[[], Any], rounds: int = 3) -> list[float]:
    """Return the shortest CPU time of each; they take turns, so that a busy moment hits all of them."""
    best = [math.inf] * len(functions)
    for _ in range(rounds):
        for number, function in enumerate(functions):
            start = time.process_time()
            function()
            best[number] = min(best[number], time.process_time() - start)
    return best


def plain_lattice(size: int, cells: int) -> NDArray[np.float64]:
    """perlin-numpy's steps for a square: gradients spread over the pixels, four dot products, two interpolations."""
    pixels = size // cells
    way = np.arange(size) * (cells / size) % 1
    offset = np.dstack(np.meshgrid(way, way, indexing="ij"))
    angle = as_rng(0).random((cells + 1) ** 2).reshape(cells + 1, cells + 1) * (2 * np.pi)
    spread = np.dstack((np.cos(angle), np.sin(angle))).repeat(pixels, axis=0).repeat(pixels, axis=1)
    ramps = {}
    for down, right in itertools.product((0, 1), repeat=2):
        gradient = spread[down * pixels :, right * pixels :][:size, :size]
        to_pixel = np.dstack((offset[:, :, 0] - down, offset[:, :, 1] - right))
        ramps[down, right] = (to_pixel * gradient).sum(axis=2)
    weight = offset**3 * (offset * (offset * 6 - 15) + 10)
    w_down, w_right = weight[:, :, 0], weight[:, :, 1]
    left = (1 - w_down) * ramps[0, 0] + w_down * ramps[1, 0]
    right_side = (1 - w_down) * ramps[0, 1] + w_down * ramps[1, 1]
    blend: NDArray[np.float64] = math.sqrt(2) * ((1 - w_right) * left + w_right * right_side)
    return blend


def rows(count: int = 1_000_000) -> Iterator[tuple[str, str, list[float], str]]:
    """Yield what was done, what it was compared with, both times, and the ratio aimed at."""
    points = as_rng(1).random(3 * count).reshape(count, 3) * 30
    flat = points[:, :2]
    x, y, z = points.T.tolist()
    times = measure(lambda: fbm(flat, 0), lambda: [noise.pnoise2(a, b, octaves=4) for a, b in zip(x, y, strict=True)])
    yield "fbm, 1e6 points 2-D, 4 octaves", "[pnoise2 for floats]", times, "4x"
    times = measure(lambda: fbm(flat, 0), lambda: [noise.pnoise2(a, b, octaves=4) for a, b in flat])
    yield "fbm, 1e6 points 2-D, 4 octaves", "[pnoise2 for array rows]", times, ""
    times = measure(
        lambda: fbm(points, 0), lambda: [noise.pnoise3(a, b, c, octaves=4) for a, b, c in zip(x, y, z, strict=True)]
    )
    yield "fbm, 1e6 points 3-D, 4 octaves", "[pnoise3 for floats]", times, ""
    for size, cells, goal in ((1024, 8, "20x"), (1024, 32, ""), (256, 8, "")):
        times = measure(
            partial(lattice, (size, size), (cells, cells), 0), partial(plain_lattice, size, cells), rounds=10
        )
        yield f"lattice, {size} x {size}, {cells} x {cells} cells", "perlin-numpy's steps", times, goal


def exact(count: int = 100_000) -> None:
    """Print the largest difference from the package over all settings; exit with 1 if there is any."""
    settings = list(
        itertools.product((2, 3), (3, 500, 5000), (1, 4, 6), (2.0, 2.17), (1024, 37, 16), (0, 1)),
    )
    worst, unequal = 0.0, 0
    for number, (dims, reach, octaves, lacunarity, repeat, base) in enumerate(settings):
        points = (as_rng(number).random(dims * count).reshape(count, dims) * 2 - 1) * reach
        options: dict[str, Any] = {f"repeat{axis}": repeat for axis in "xyz"[:dims]}
        options |= {"octaves": octaves, "lacunarity": lacunarity, "base": base}
        package, ours = ((noise.pnoise2, pnoise2), (noise.pnoise3, pnoise3))[dims - 2]
        expected = np.array([package(*point, **options) for point in points.tolist()], dtype=np.float32)
        got = ours(*points.T, **options)
        worst = max(worst, float(np.abs(got - expected).max()))
        unequal += int((got.view(np.int32) != expected.view(np.int32)).sum())
    print(f"{len(settings)} settings x {count} points: largest difference {worst:g}, {unequal} unequal bit patterns")
    sys.exit(bool(unequal))


def main() -> None:
    """Print the table of ratios."""
    print(f"{'what':36} {'s':>8}   {'beside':24} {'s':>8} {'ratio':>7} {'goal':>5}")
    for what, beside, (ours, theirs), goal in rows():
        print(f"{what:36} {ours:8.4f}   {beside:24} {theirs:8.4f} {theirs / ours:6.1f}x {goal:>5}")


if __name__ == "__main__":
    exact() if "--exact" in sys.argv[1:] else main()
