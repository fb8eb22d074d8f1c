"""What the run layer itself costs: engines, the plan of ten million samples, going on with a finished run, merging.

    python benchmarks/engine.py [--samples N] [--sources N] [--count N] [--resumed N] [--lines N]

Each figure comes from a process of its own, one after another. Engines carry out tasks that do nothing, so that what is
left is theirs; the tasks are those of photos, and what comes back is a line of the manifest. Processes and cluster have
two workers here, and the start of these is told apart. Seconds are CPU time of the driver (with the scheduler, where it
runs one) except where wall is said: on a machine that does other things, too, go by CPU time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anosynth.datasets.layout import Source, find_layout
from anosynth.generator import find
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan, run
from anosynth.run.engines import choose
from anosynth.run.merge import merge
from anosynth.run.plan import Batch, Job, Task
from anosynth.run.reading import Reading

LINE: dict[str, Any] = {
    "id": "anomalous/p0_000.png",
    "status": "made",
    "source": {"path": "p0.png", "sha256": "0" * 64},
    "generator": {"generator": "scratch", "family": "images", "version": 1, "strength": 0.1, "length": 0.2},
    "outputs": [{"role": role, "path": f"{role}/p0_000.png", "sha256": "0" * 64} for role in ("sample", "labels")],
    "mask": {"count": 100, "area": 0.01},
    "instances": [{"id": 1, "type": "scratch", "count": 100, "box": [[1, 2], [3, 4]]}],
}


def nothing(batch: Batch) -> list[dict[str, Any]]:
    return [{**LINE, "id": task.job.id} for task in batch.tasks]


def batches(number: int) -> Iterator[Batch]:
    for i in range(number):
        yield Batch((Task(Job(f"{i:08d}.png", "make", Source(Path("p0.png")), i)),))


def plan_of(root: Path, generator: str = "scratch", **values: Any) -> Plan:
    recipe = Recipe([Vary(find("images", generator))])
    return Plan(root, find_layout("photos"), recipe, reading=Reading(foreground="none"), **values)


def peak() -> float:
    """Return the largest memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def engine(home: Path, name: str, workers: int, number: int) -> None:
    (home / "p0.png").touch()
    out = home / "out"
    out.mkdir()
    before, start = time.process_time(), time.perf_counter()
    carried = choose(name, plan_of(home, only=(Path("p0.png"),)), out, workers=workers)(batches(number), nothing)
    next(carried)
    first, wall, cpu = time.perf_counter() - start, time.perf_counter(), time.process_time()
    rest = sum(1 for _ in carried)
    wall, spent = time.perf_counter() - wall, time.process_time() - cpu
    row(
        f"engine {name}, {workers} worker{'s' * (workers > 1)}, {number} samples",
        f"first after {first:.2f} s wall ({cpu - before:.2f} s CPU)",
        f"then {1e6 * spent / rest:.0f} us CPU, {1e6 * wall / rest:.0f} us wall a sample",
        f"{peak():.0f} MB",
    )


def planning(home: Path, sources: int, count: int) -> None:
    only = tuple(Path(f"{i // 1000:04d}/p{i:07d}.png") for i in range(sources))
    empty = peak()
    start = time.process_time()
    plan = plan_of(home, only=only, count=count)
    next(plan.jobs())
    first = time.process_time() - start
    start = time.process_time()
    drawn = sum(1 for _ in itertools.islice(plan.jobs(), 10_000))
    each = (time.process_time() - start) / drawn
    most = peak()
    start = time.process_time()
    shard = plan_of(home, only=only, count=count, shard=(1, 1000))
    number = sum(1 for _ in shard.jobs())
    spent = time.process_time() - start
    row(
        f"plan of {sources} sources x {count}",
        f"first job after {first:.2f} s, then {1e6 * each:.0f} us each",
        f"shard 1/1000 ({number} jobs) {spent:.2f} s",
        f"{most:.0f} MB, {1024 * (most - empty) / sources:.2f} kB a source beyond its path",
    )


def resumed(home: Path, number: int) -> None:
    import numpy as np

    from anosynth.images import Image
    from anosynth.io.images import write_image
    from anosynth.seeding import as_rng

    for i in range(10):
        pixels = (as_rng(i).random(64 * 64 * 3) * 256).astype(np.uint8).reshape(64, 64, 3)
        write_image(home / f"p{i}.png", Image(pixels))
    plan = plan_of(home, "blank", count=number // 10)
    start = time.process_time()
    made = run(plan, home / "out").made
    each = 1e6 * (time.process_time() - start) / made
    start = time.process_time()
    kept = run(plan, home / "out").kept
    spent = time.process_time() - start
    assert kept == made
    row(
        f"going on with a finished run of {number} photos of 64 x 64, serial",
        f"{1e5 * spent / kept:.0f} s per 100000 samples (making them: {each / 10:.0f} s)",
    )


def merging(home: Path, lines: int, shards: int = 100) -> None:
    root = {"root": "../in", "recipe": {"recipe": "x", "family": "images"}, "layout": "photos"}
    header = {"kind": "header", "scheme": 1, "seed": 0, **root, "maps": {}}
    for index in range(1, shards + 1):
        with (home / f"manifest-{index:05d}-of-{shards:05d}.jsonl").open("w") as file:
            file.write(json.dumps({**header, "shard": [index, shards]}) + "\n")
            for i in range(lines // shards):
                names = [{**o, "path": f"{o['role']}/{index}/{i}.png"} for o in LINE["outputs"]]
                file.write(json.dumps({**LINE, "id": f"{index}/{i}", "outputs": names}) + "\n")
    before, start = peak(), time.process_time()
    merge([home], home)
    spent = time.process_time() - start
    row(
        f"merging {lines} lines of {shards} shards in one folder",
        f"{1e6 * spent / lines:.0f} us a line",
        f"{peak() - before:.0f} MB beyond the start",
    )


def row(text: str, *figures: str) -> None:
    print(f"{text}\n    {'; '.join(figures)}", flush=True)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--sources", type=int, default=10_000, help="of the plan; with --count ten million jobs")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--many", type=int, default=0, help="sources of one more plan, of one job each")
    parser.add_argument("--resumed", type=int, default=2000)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--only", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only:
        what, name, first, second = given.only
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            if what == "engine":
                engine(home, name, int(first), int(second))
            elif what == "plan":
                planning(home, int(first), int(second))
            elif what == "resume":
                resumed(home, int(first))
            else:
                merging(home, int(first))
        return
    lines = [("engine", name, workers, given.samples) for name, workers in (("local", 1), ("local", 2), ("dask", 2))]
    lines += [("plan", "", given.sources, given.count), *([("plan", "", given.many, 1)] if given.many else [])]
    lines += [("resume", "", given.resumed, 0), ("merge", "", given.lines, 0)]
    for line in lines:
        subprocess.run([sys.executable, __file__, "--only", *map(str, line)], check=True)


if __name__ == "__main__":
    main()
