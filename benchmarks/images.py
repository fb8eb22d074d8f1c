"""What photo generators cost beside published steps and other packages, CPU milliseconds of one thread in one run.

    python benchmarks/images.py [--samples N] [--sides 256,1024] [--peers PYTHON] [--large]

PYTHON is an interpreter of an environment of its own in which other packages are installed, as
`pip install pyimgano defect-synthesis albumentations opencv-python-headless`; without it, and for what is not in it,
their rows are left out. All work in memory, from an RGB uint8 image to an image and its mask.

The published steps are written plainly here, with numpy and with Pillow for turns (where they use OpenCV or torch):
gradients spread over the pixels, turned, thresholded, blended over the whole image. Their operators on the texture are
left out on both sides, and the texture is ready: an array for them, a picture in the cache of a folder for anosynth,
once also a plain colour, as in DSR. Unlike there, nobody throws half of the samples away to have normal ones. Both
sides draw the same laws; a time is a mean over as many draws, taken in turns of ten.

anosynth has two columns: `numpy`, and `fast` with the kernels of the extra of that name, which make the same bytes;
loading and compiling them is not counted. `--large` measures single photos of 12 megapixels as well, and the memory
that they take beyond that of the photo.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
import scipy.ndimage  # noqa: F401 - both loaded before anything is measured
from inputs import given as needed
from numpy.typing import NDArray
from PIL import Image as Picture

from anosynth.errors import NotMade
from anosynth.generator import find, names
from anosynth.images import Image
from anosynth.noise import _fast
from anosynth.recipe import Vary
from anosynth.seeding import Rng, as_rng

Array = NDArray[Any]
Step = Callable[[int], Any]

_TURN = 10
_WARM = 3
_PART = 0.12

SHUFFLED = {"blend": "0.0:0.8", "blend_side": "image"}
LAWS: dict[str, dict[str, Any]] = {
    "DRAEM": SHUFFLED,
    "OneNIP": {**SHUFFLED, "coarsest": 1, "rotation": 5.0},
    "GLASS": {"combine": "glass", "blend": 0.5, "blend_side": "image", "blend_law": "normal"},
    "anomalib": {"blend": "0.2:1.0", "source": "noise"},
}
BESIDE = {
    "pyimgano stain": "stain",
    "pyimgano rust": "rust",
    "pyimgano scratch": "scratch",
    "pyimgano crack": "crack",
    "pyimgano pit": "pit",
    "pyimgano cutpaste": "cutpaste",
    "defect-synthesis crack": "crack",
    "defect-synthesis scratch": "scratch",
    "defect-synthesis stain": "stain",
    "albumentations grid shuffle": "structure",
    "NSA: clone, object searched": "nsa, clone, searched",
    "NSA: clone, no search": "nsa, clone",
    "NSA: swap": "nsa, swap",
    "NSA: mixed, logistic label": "nsa, mixed, logistic",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "nsa, clone, searched": {"blend": "normal", "background": 0.37},
    "nsa, clone": {"blend": "normal"},
    "nsa, swap": {"blend": "swap"},
    "nsa, mixed, logistic": {"blend": "mixed", "label": "logistic"},
}


def plain_noise(side: int, rng: Rng, coarsest: int = 0) -> NDArray[np.float64]:
    """perlin-numpy's steps: places within cells, gradients spread over the pixels, four products, two blends."""
    down, across = (2 ** rng.integer(coarsest, 5) for _ in range(2))
    place = np.mgrid[: down : down / side, : across : across / side].transpose(1, 2, 0) % 1
    angle = 2 * math.pi * rng.random((down + 1) * (across + 1)).reshape(down + 1, across + 1)
    arrow = np.stack((np.cos(angle), np.sin(angle)), axis=-1)
    corner = {}
    for lower, right in itertools.product((0, 1), repeat=2):
        some = arrow[lower : down + lower, right : across + right]
        spread = some.repeat(side // down, axis=0).repeat(side // across, axis=1)
        way = np.stack((place[:, :, 0] - lower, place[:, :, 1] - right), axis=-1)
        corner[lower, right] = (way * spread).sum(axis=-1)
    weight = 6 * place**5 - 15 * place**4 + 10 * place**3
    u, v = weight[:, :, 0], weight[:, :, 1]
    left = corner[0, 0] + u * (corner[1, 0] - corner[0, 0])
    other = corner[0, 1] + u * (corner[1, 1] - corner[0, 1])
    return math.sqrt(2) * (left + v * (other - left))


def plain_mask(side: int, rng: Rng, turn: float = 90.0, coarsest: int = 0) -> tuple[Array, Array]:
    """Return (side, side, 1) float64 of zeros and ones, and the turned noise."""
    noise = Picture.fromarray(plain_noise(side, rng, coarsest).astype(np.float32))
    turned = np.asarray(noise.rotate(rng.uniform(-turn, turn), Picture.Resampling.BILINEAR))
    return np.where(turned > 0.5, 1.0, 0.0)[:, :, None], turned


def plain_blend(image: Array, texture: Array, mask: Array, kept: float) -> tuple[Array, Array]:
    fractions = image.astype(np.float32) / 255.0
    foreign = texture.astype(np.float32) * mask / 255.0
    mixed = fractions * (1 - mask) + (1 - kept) * foreign + kept * fractions * mask
    thin = mask.astype(np.float32)
    return thin * mixed.astype(np.float32) + (1 - thin) * fractions, thin


def plain_draem(image: Array, texture: Array, seed: int) -> tuple[Array, Array]:
    rng = as_rng(seed)
    return plain_blend(image, texture, plain_mask(len(image), rng)[0], rng.uniform(0.0, 0.8))


def plain_onenip(image: Array, texture: Array, seed: int) -> tuple[Array, Array]:
    rng = as_rng(seed)
    return plain_blend(image, texture, plain_mask(len(image), rng, 5.0, 1)[0], rng.uniform(0.0, 0.8))


def plain_glass(image: Array, texture: Array, seed: int) -> tuple[Array, Array]:
    """Two masks whatever is made of them."""
    rng = as_rng(seed)
    first, second = (plain_mask(len(image), rng)[0] for _ in range(2))
    which = rng.uniform()
    mask = np.maximum(first, second) if which > 2 / 3 else first * second if which > 1 / 3 else first
    kept = min(max(0.5 + 0.1 * float(rng.normal(1)[0]), 0.2), 0.8)
    return plain_blend(image, texture, mask, kept)


def plain_anomalib(image: Array, texture: Array, seed: int) -> tuple[Array, Array]:
    """The source without textures: 0.25 + 0.5 n of the mask's own noise."""
    rng = as_rng(seed)
    mask, turned = plain_mask(len(image), rng)
    source = np.repeat(0.25 + 0.5 * turned[:, :, None], 3, axis=2)
    fractions, weight = image.astype(np.float32) / 255.0, np.float32(rng.uniform(0.2, 1.0))
    thin = mask.astype(np.float32)
    return fractions * (1 - thin) + thin * (weight * source + (1 - weight) * fractions), thin


PLAIN = {"DRAEM": plain_draem, "OneNIP": plain_onenip, "GLASS": plain_glass, "anomalib": plain_anomalib}


def measured(*steps: Step, samples: int) -> list[float]:
    """Return the mean CPU milliseconds of each; they take turns of ten, so that a busy moment hits all of them."""
    for step in steps:
        for seed in range(_WARM):
            step(seed)
    spent = [0.0] * len(steps)
    for first in range(0, samples, _TURN):
        for number, step in enumerate(steps):
            start = time.process_time()
            for seed in range(first, min(first + _TURN, samples)):
                step(seed)
            spent[number] += time.process_time() - start
    return [1000 * seconds / samples for seconds in spent]


def modes() -> dict[str, str]:
    """Return the columns of anosynth and what is chosen for them."""
    _fast.choose("1")
    found = _fast.compiled("anosynth.noise._compiled") is not None
    return {"numpy": "0", "fast": "1"} if found else {"numpy": "0"}


def chosen(mode: str, step: Step, seed: int) -> Any:
    _fast.choose(mode)
    return step(seed)


def made(vary: Vary, image: Any, seed: int) -> Any:
    """Draw values and make a sample; photos on which a generator cannot work cost their time all the same."""
    try:
        return vary.draw(as_rng(seed))(image, rng=seed)
    except NotMade:
        return None


def photo(side: int) -> Array:
    """A plate with a bright round part and sensor noise."""
    y, x = (np.arange(side) / side - 0.5 for _ in range(2))
    part = np.where(y[:, None] ** 2 + x**2 < _PART, 60.0, 0.0) + 20 * x
    noise = as_rng(1).random(side * side * 3).reshape(side, side, 3)
    return (90 + part[:, :, None] + np.array([8, 0, -8]) + 12 * noise).astype(np.uint8)


def print_published(side: int, image: Array, folder: str, samples: int) -> None:
    ready = {"source": "folder", "textures": folder, "augment": "none"}
    texture = np.asarray(Picture.open(next(Path(folder).iterdir())))
    perlin, columns = find("images", "perlin-texture"), modes()
    head = "".join(f"{name:>12}{'ratio':>8}" for name in columns)
    print(f"{f'{side} x {side}: recipe':<22}{'published steps':>15}{head}")
    rows = [(name, name, {**ready, **law}) for name, law in LAWS.items()]
    rows.append(("DRAEM, one colour", "DRAEM", {**SHUFFLED, "source": "colour", "augment": "none"}))
    rows.append(("DRAEM, 5 % area", "DRAEM", {**SHUFFLED, "source": "colour", "augment": "none", "area": 0.05}))
    for title, name, values in rows:
        ours = partial(made, Vary(perlin, **values), image)
        steps = [partial(chosen, mode, ours) for mode in columns.values()]
        theirs, *own = measured(partial(PLAIN[name], image, texture), *steps, samples=samples)
        cells = "".join(f"{spent:9.2f} ms{theirs / spent:7.1f}x" for spent in own)
        print(f"{title:<22}{theirs:12.2f} ms{cells}", flush=True)


def of_peers(python: str, side: int, samples: int) -> dict[str, float]:
    if not python:
        return {}
    line = [python, "-W", "ignore", str(Path(__file__).with_name("image_peers.py")), str(side), str(samples)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        return {f"left out: {done.stderr.strip().splitlines()[-1]}": math.nan}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def outputs_of(image: Array, seed: int) -> tuple[Array, ...]:
    """Return what every sample consists of, with 6 % of it labelled: less than this, no generator can cost."""
    side = len(image)
    labels = [np.zeros((side, side), dtype) for dtype in (np.bool_, np.float32, np.uint16)]
    for label in labels:
        label[side // 4 : side // 2, side // 4 : side // 2] = 1
    return image.copy(), *labels


def print_generators(side: int, image: Array, folder: str, samples: int) -> dict[str, list[float]]:
    copy, outputs = measured(lambda seed: image.copy(), partial(outputs_of, image), samples=max(samples, 30))
    times, columns = {}, modes()
    print(f"\n{f'{side} x {side}: generator':<24}" + "".join(f"{f'{name} ms':>12}{'outputs':>9}" for name in columns))
    print(f"{'(a copy of the image)':<24}{copy:12.3f}{copy / outputs:9.1f}")
    print(f"{'(the outputs alone)':<24}{outputs:12.3f}{1:9.1f}")
    y, x = (np.arange(side) / side - 0.5 for _ in range(2))
    part = y[:, None] ** 2 + x**2 < _PART
    settings = {name: needed(find("images", name), folder) for name in names("images")} | SETTINGS
    for title, values in settings.items():
        # The only one that needs to know the part.
        sample = Image(image, foreground=part) if title == "edge-chip" else image
        step = partial(made, Vary(find("images", title.partition(",")[0]), **values), sample)
        times[title] = measured(*(partial(chosen, mode, step) for mode in columns.values()), samples=samples)
        print(f"{title:<24}" + "".join(f"{spent:12.2f}{spent / outputs:9.1f}" for spent in times[title]), flush=True)
    return times


def print_peers(theirs: Mapping[str, float], ours: Mapping[str, list[float]]) -> None:
    head = "".join(f"{name:>10}{'ratio':>8}" for name in modes())
    print(f"\n{'other packages':<50}{'CPU ms':>10}{'anosynth':>22}{head}")
    for name, spent in theirs.items():
        if math.isnan(spent):
            print(name)
            continue
        own = BESIDE.get(name)
        beside = f"{own:>22}" + "".join(f"{time:10.2f}{spent / time:7.1f}x" for time in ours[own]) if own else ""
        print(f"{name:<50}{spent:10.2f}{beside}", flush=True)


def print_large(shape: tuple[int, int] = (3000, 4000)) -> None:
    """Print what photos of 12 megapixels cost; what Python allocates is traced in runs of their own."""
    image, columns = photo(max(shape))[: shape[0], : shape[1]].copy(), modes()
    colour = {**SHUFFLED, "source": "colour", "augment": "none"}
    rows = {"draem, one colour": ("perlin-texture", colour), "cutpaste": ("cutpaste", {})}
    rows |= {"scratch": ("scratch", {}), "nsa": ("nsa", {})}
    head = "".join(f"{f'{name} ms':>12}{'MB':>8}" for name in columns)
    print(f"{f'{shape[0]} x {shape[1]}':<24}{head}    (the photo: {image.nbytes / 1e6:.0f} MB)")
    for title, (name, values) in rows.items():
        step = partial(made, Vary(find("images", name), **values), image)
        cells = ""
        for mode in columns.values():
            (spent,) = measured(partial(chosen, mode, step), samples=5)
            tracemalloc.start()
            peak = 0
            for seed in range(5):
                tracemalloc.reset_peak()
                step(seed)
                peak = max(peak, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            cells += f"{spent:12.0f}{peak / 1e6:8.0f}"
        print(f"{title:<24}{cells}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--sides", default="256,1024")
    parser.add_argument("--peers", default="", metavar="PYTHON")
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # Libraries read it when they are loaded, which has happened by now.
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        os.execv(sys.executable, [sys.executable, *sys.argv])
    for side in map(int, given.sides.split(",")):
        image = photo(side)
        with tempfile.TemporaryDirectory() as folder:
            Picture.fromarray(image[::-1, ::-1]).save(Path(folder) / "texture.png")
            print_published(side, image, folder, given.samples)
        with tempfile.TemporaryDirectory() as folder:
            ours = print_generators(side, image, folder, given.samples)
        if given.peers:
            print_peers(of_peers(given.peers, side, given.samples), ours)
        else:
            print("\nother packages: left out; --peers PYTHON measures what is installed there")
        print()
    if given.large:
        print_large()


if __name__ == "__main__":
    sys.exit(main())
