"""What `anosynth images` writes in a second, where the time goes, and whether memory grows with the number of photos.

    python benchmarks/offline.py [--photos N] [--many N] [--sides 256,1024]

Fresh processes, one after another: the command with one and two workers beside the loop that one would write by
hand (Pillow reads, the same generators of the same recipe, Pillow's default PNG for sample and mask; no manifest,
no hashes, no report, files that a kill leaves torn). Shares are wall time within the command with one worker and
without a report, whose views of the first samples are a cost that does not grow with the run. A worker costs about
half a second of CPU time to start, so that two pay from some hundred small photos on. Memory is the peak of a process
or of its largest worker, with --many small photos beside a hundred: what grows is the list of the inputs and, up to
the length of its table, the report.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

BY_HAND = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
from anosynth.errors import NotMade
from anosynth.recipe import Recipe
from anosynth.seeding import stream
recipe, out = Recipe.read("photo-defects"), Path(sys.argv[2])
for path in sorted(Path(sys.argv[1]).iterdir()):
    pixels = np.asarray(Image.open(path).convert("RGB"))
    generator = recipe.draw(stream(0, "recipe", path.name))
    try:
        anomaly = generator(pixels, stream(0, generator.name, path.name))
    except NotMade:
        continue
    Image.fromarray(anomaly.sample).save(out / path.name)
    Image.fromarray(anomaly.mask.astype(np.uint8) * 255).save(out / ("mask_" + path.name))
"""

SHARES = {
    "reading": ["anosynth.io.images:read_image"],
    "finding the part": ["anosynth.images._foreground:foreground"],
    "making": ["anosynth.generator:Generator.__call__"],
    "encoding PNG": ["anosynth.io.png:encode_png"],
    "writing files": ["anosynth.io.images:_write"],
    "hashing": ["anosynth.run.execute:file_sha256", "anosynth.io.images:image_digest"],
}


def measured(line: list[str]) -> tuple[float, float, float]:
    """Run a command and return wall seconds, CPU seconds and peak memory in MB, its children included."""
    start = time.perf_counter()
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    problem = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    # 3: some samples could not be made, as with the loop by hand.
    if os.waitstatus_to_exitcode(status) not in (0, 3):
        sys.exit(f"{line[:4]}: {problem}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "anosynth_cli", "images", *arguments]


def photos(folder: Path, side: int, number: int) -> Path:
    """Fill a folder in another process: what this one holds would count as the peak of those that it starts."""
    subprocess.run([sys.executable, __file__, "--fill", str(folder), str(side), str(number)], check=True)
    return folder


def fill(folder: Path, side: int, number: int) -> None:
    """Write PNG photos of a washer under sensor noise, which compress as photos do."""
    import numpy as np

    from anosynth.images import Image
    from anosynth.io.images import write_image
    from anosynth.seeding import as_rng
    from anosynth.toy.images import toy_image

    folder.mkdir()
    parts = [toy_image("washer", seed, size=side)[0] for seed in range(4)]
    for index in range(number):
        part = parts[index % len(parts)].astype(np.float32)
        noise = as_rng(index).random(part.size).reshape(part.shape) * 12 - 6
        write_image(folder / f"{index:05d}.png", Image(np.clip(part + noise, 0, 255).astype(np.uint8)))


def row(text: str, number: int, figures: tuple[float, float, float], beside: float | None = None) -> None:
    wall, cpu, memory = figures
    ratio = f"{beside / wall:8.1f}x" if beside else ""
    print(f"{text:<44}{number / wall:9.1f} /s{1000 * cpu / number:9.1f} ms CPU{memory:7.0f} MB{ratio}", flush=True)


def throughput(home: Path, side: int, number: int) -> None:
    source = photos(home / f"in{side}", side, number)
    by_hand = home / f"hand{side}"
    by_hand.mkdir()
    beside = measured([sys.executable, "-c", BY_HAND, str(source), str(by_hand)])
    print(f"{side} x {side}, {number} photos, start-up included")
    row("by hand", number, beside)
    plain = ["--foreground", "none", "--no-report"]
    for text, workers, options in (
        ("anosynth images, foreground none, no report", 1, plain),
        ("the same, 2 workers", 2, plain),
        ("anosynth images as it is", 1, []),
        ("the same, 2 workers", 2, []),
    ):
        out = home / f"out{side}-{workers}-{len(options)}"
        line = command("--workers", str(workers), *options, str(source), str(out))
        row(text, number, measured(line), beside[0])
    line = [sys.executable, __file__, "--shares", str(source), str(home / f"shares{side}")]
    print(subprocess.run(line, check=True, capture_output=True, text=True).stdout, flush=True)


def memory(home: Path, side: int, many: int) -> None:
    print(f"peak memory, {side} x {side}")
    source = photos(home / "many", side, many)
    few = home / "few"
    few.mkdir()
    for path in sorted(source.iterdir())[:100]:
        (few / path.name).write_bytes(path.read_bytes())
    for number, folder in ((100, few), (many, source)):
        out = str(home / f"out-{folder.name}")
        line = command("-g", "scratch", "--foreground", "none", str(folder), out)
        row(f"{number} photos, scratch, no report", number, measured([*line, "--no-report", "--overwrite"]))
        row(f"{number} photos, scratch", number, measured([*line, "--overwrite"]))


def print_shares(source: str, out: str) -> None:
    """Run the command in this process with a clock around each part; a part's time is without the parts inside it."""
    spent = dict.fromkeys(SHARES, 0.0)
    inner: list[float] = []

    def clocked(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*values: Any, **named: Any) -> Any:
            inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*values, **named)
            finally:
                whole = time.perf_counter() - start
                spent[part] += whole - inner.pop()
                if inner:
                    inner[-1] += whole

        return run

    from anosynth_cli.main import main

    for part, places in SHARES.items():
        for place in places:
            home, _, name = place.partition(":")
            owner: Any = importlib.import_module(home)
            *outer, last = name.split(".")
            for step in outer:
                owner = getattr(owner, step)
            function = getattr(owner, last)
            clock = clocked(part, function)
            setattr(owner, last, clock)
            # Modules that have imported it by name hold it as their own.
            for module in [module for name, module in sys.modules.items() if name.startswith("anosynth")]:
                for key, value in list(vars(module).items()):
                    if value is function:
                        setattr(module, key, clock)
    for late in ("anosynth.run.of_images", "anosynth.datasets.photos", "anosynth.run.drive"):
        importlib.import_module(late)
    sys.argv = ["anosynth", "images", "--json", "--no-report", source, out]
    start, stdout = time.perf_counter(), sys.stdout
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        sys.stdout = nowhere
        try:
            main()
        except SystemExit:
            pass
        finally:
            sys.stdout = stdout
    whole = time.perf_counter() - start
    spent["the rest"] = whole - sum(spent.values())
    print("shares: " + ", ".join(f"{part} {100 * seconds / whole:.0f} %" for part, seconds in spent.items()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", type=int, default=400, help="photos of the first side; fewer of larger ones")
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--sides", default="256,1024")
    parser.add_argument("--shares", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--fill", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fill:
        fill(Path(given.fill[0]), int(given.fill[1]), int(given.fill[2]))
        return
    if given.shares:
        print_shares(*given.shares)
        return
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    sides = [int(side) for side in given.sides.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        for side in sides:
            number = max(8, round(given.photos * (sides[0] / side) ** 1.5))
            throughput(Path(folder), side, number)
        memory(Path(folder), 64, given.many)


if __name__ == "__main__":
    main()
