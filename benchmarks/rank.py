"""Whether `rank` finds the recipe that defects were made by: each of five kinds is the work of one of five recipes.

    python benchmarks/rank.py [--kind fabric] [--size 256] [--good 150] [--real 150] [--seeds 5] [--workers 2]

Toy photos stand for normal ones; "real" defects are made on other photos, with other seeds, by the recipes themselves,
a fifth of them by each. So the answer is known: among recipes each must come first on its own kind. Columns are the
kinds, rows the recipes and the lines without synthesis; the figures are image AUROC, and figures within 0.005 of each
other count as equal. The times are those of the whole ranking, reading and features included: on the clock, and of the
processors in all processes.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

from anosynth.generator import find
from anosynth.images import Image
from anosynth.io.images import write_image, write_mask
from anosynth.rank import Settings, rank
from anosynth.rank.outcome import RECIPE, Entry
from anosynth.rank.table import table
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import stream
from anosynth.toy.images import toy_image

SEVERITY, EQUAL = (0.3, 0.6), 0.005
GENERATORS = ("scratch", "stain", "mosaic", "warp", "noise-patch")


def recipes() -> list[Recipe]:
    return [Recipe([Vary(find("images", name), severity=SEVERITY)], name=name) for name in GENERATORS]


def write(folder: Path, kind: str, size: int, good: int, real: int) -> None:
    for number in range(good):
        path = folder / "good" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, Image(toy_image(kind, stream(0, "toy", f"good/{number}"), size=size)[0]))
    for number in range(real):
        recipe = recipes()[number % len(GENERATORS)]
        photo = Image(toy_image(kind, stream(0, "toy", f"real/{number}"), size=size)[0])
        found = recipe.draw(stream(77, "hidden", str(number)))(photo, stream(77, recipe.name, str(number)))
        for top, name in (("test", f"{number:04d}.png"), ("ground_truth", f"{number:04d}_mask.png")):
            path = folder / "real" / top / recipe.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if top == "test":
                write_image(path, found.sample)
            else:
                write_mask(path, found.mask)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="fabric", choices=("fabric", "tablet", "washer"))
    parser.add_argument("--backbone", default="filters")
    for name, default in (("size", 256), ("good", 150), ("real", 150), ("seeds", 5), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, options.kind, options.size, options.good, options.real)
        given = Settings(backbone=options.backbone, size=options.size, seeds=options.seeds, workers=options.workers)
        start, before = time.perf_counter(), _worked()
        outcome = rank(root / "good", recipes(), root / "real", given)
        taken, worked = time.perf_counter() - start, _worked() - before
    print(table(outcome))
    right = 0
    for kind in GENERATORS:
        own = next(one for one in outcome.of(RECIPE) if one.name == kind)
        other = max((one for one in outcome.of(RECIPE) if one.name != kind), key=lambda one: _value(one, kind))
        lead = _value(own, kind) - _value(other, kind)
        right += lead > -EQUAL
        print(f"{kind}: {_value(own, kind):.3f} by its own recipe, {lead:+.3f} to the best other one, {other.name}")
    print(f"{right} of {len(GENERATORS)} led by the recipe that made them; {taken:.0f} s, {worked:.0f} s of processors")


def _worked() -> float:
    # Of children only those that have ended count, as the workers have by then.
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _value(entry: Entry, kind: str) -> float:
    figure = entry.kinds[kind]["image_auroc"]
    assert figure is not None
    return figure.value


if __name__ == "__main__":
    main()
