"""What a sample of perlin-texture costs beside DRAEM's published steps, CPU milliseconds of one thread in one run.

    python benchmarks/images.py [SAMPLES]

Both take RGB uint8 and give an image and its mask; the texture is ready in memory on both sides, and DRAEM's three
operators are left out on both but in the last row. DRAEM's steps are written plainly: gradients spread over the
pixels as perlin-numpy does, a turn by Pillow (in place of OpenCV, about as fast), blending of the whole image in
float64. Both draw the same laws, and each time is a mean over the same number of draws.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.ndimage  # noqa: F401 - loaded before anything is measured
from numpy.typing import NDArray
from PIL import Image as Picture

from anosynth.images import Image, PerlinTexture, Structure
from anosynth.images.perlin_texture import perlin_region
from anosynth.recipe import Vary
from anosynth.seeding import Rng, as_rng

Array = NDArray[Any]


def plain_lattice(size: int, down: int, across: int, rng: Rng) -> NDArray[np.float64]:
    """perlin-numpy's steps: gradients spread over the pixels, four dot products, two interpolations."""
    ways = [np.arange(size) * (cells / size) % 1 for cells in (down, across)]
    offset = np.dstack(np.meshgrid(*ways, indexing="ij"))
    angle = rng.random((down + 1) * (across + 1)).reshape(down + 1, across + 1) * (2 * np.pi)
    tall, wide = size // down, size // across
    spread = np.dstack((np.cos(angle), np.sin(angle))).repeat(tall, axis=0).repeat(wide, axis=1)
    ramps = {}
    for lower, right in itertools.product((0, 1), repeat=2):
        gradient = spread[lower * tall :, right * wide :][:size, :size]
        to_pixel = np.dstack((offset[:, :, 0] - lower, offset[:, :, 1] - right))
        ramps[lower, right] = (to_pixel * gradient).sum(axis=2)
    weight = offset**3 * (offset * (offset * 6 - 15) + 10)
    w_down, w_right = weight[:, :, 0], weight[:, :, 1]
    left = (1 - w_down) * ramps[0, 0] + w_down * ramps[1, 0]
    right_side = (1 - w_down) * ramps[0, 1] + w_down * ramps[1, 1]
    blend: NDArray[np.float64] = math.sqrt(2) * ((1 - w_right) * left + w_right * right_side)
    return blend


def plain_draem(image: Array, texture: Array, seed: int) -> tuple[Array, Array]:
    """DRAEM's steps without its operators: noise, turn, threshold, blend."""
    rng = as_rng(seed)
    noise = plain_lattice(len(image), 2 ** rng.integer(0, 5), 2 ** rng.integer(0, 5), rng)
    turned = Picture.fromarray(noise.astype(np.float32)).rotate(rng.uniform(-90, 90), Picture.Resampling.BILINEAR)
    mask = np.where(np.asarray(turned)[:, :, None] > 0.5, 1.0, 0.0)
    blend = rng.uniform(0.0, 0.8)
    fractions = image / 255.0
    foreign = texture / 255.0 * mask
    mixed = fractions * (1 - mask) + (1 - blend) * foreign + blend * fractions * mask
    mixed = mask * mixed + (1 - mask) * fractions
    return np.rint(mixed * 255).astype(np.uint8), mask[:, :, 0].astype(np.float32)


def measure(*functions: Callable[[int], Any], samples: int) -> list[float]:
    """Return the mean CPU milliseconds of each; they take turns, so that a busy moment hits all of them."""
    for function in functions:
        function(0)
    spent = [0.0] * len(functions)
    for seed in range(samples):
        for number, function in enumerate(functions):
            start = time.process_time()
            function(seed)
            spent[number] += time.process_time() - start
    return [1000 * seconds / samples for seconds in spent]


def rows(size: int) -> dict[str, Callable[[int], Any]]:
    """Return what is measured on a square photo-like image."""
    image = (as_rng(1).random(size * size * 3).reshape(size, size, 3) * 64 + 96).astype(np.uint8)
    texture = image[::-1, ::-1].copy()
    law = {"blend": "0.0:0.8", "blend_side": "image"}

    def make(vary: Vary, seed: int) -> Any:
        return vary.draw(as_rng(seed))(image, rng=seed)

    def mask_only(vary: Vary, seed: int) -> Any:

        return perlin_region(
            Image(image), np.ones((size, size), dtype=np.bool_), as_rng(seed), vary.draw(as_rng(seed)).law
        )

    return {
        "DRAEM's steps, texture ready": partial(plain_draem, image, texture),
        "  its noise alone": lambda seed: plain_lattice(
            size, 2 ** as_rng(seed).integer(0, 5), 2 ** as_rng(seed).integer(0, 5), as_rng(seed)
        ),
        "perlin-texture, mask and box alone": partial(mask_only, Vary(PerlinTexture)),
        "perlin-texture, texture ready": partial(make, Vary(PerlinTexture, source="colour", augment="none", **law)),
        "perlin-texture, self": partial(make, Vary(PerlinTexture, source="self", augment="draem", **law)),
        "perlin-texture, procedural, 3 operators": partial(make, Vary(PerlinTexture, **law)),
        "perlin-texture, exact area of 5 %": partial(
            make, Vary(PerlinTexture, source="colour", augment="none", area=0.05, **law)
        ),
        "structure, 8 x 8 tiles": partial(make, Vary(Structure, augment="none")),
    }


def main() -> None:
    """Print the table."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for size in (256, 1024):
        functions = rows(size)
        times = measure(*functions.values(), samples=samples)
        print(f"{f'{size} x {size}':42}{'CPU ms':>10}{'ratio':>10}")
        for what, spent in zip(functions, times, strict=True):
            print(f"{what:42}{spent:10.2f}{times[0] / spent:9.1f}x", flush=True)
        print()


if __name__ == "__main__":
    main()
