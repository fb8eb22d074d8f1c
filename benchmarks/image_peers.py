"""CPU milliseconds of other packages' steps on one photo-like image, as JSON; started by benchmarks/images.py.

    PYTHON benchmarks/image_peers.py SIDE SAMPLES

PYTHON is an interpreter that has opencv, pyimgano, defect-synthesis and albumentations, or some of them; what is not
there is left out. Nothing of anosynth is imported.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Steps = dict[str, Callable[[int], Any]]


def photo(side: int) -> Any:
    return np.random.Generator(np.random.PCG64(1)).integers(96, 160, (side, side, 3), dtype=np.uint8)


def of_pyimgano(image: Any) -> Steps:
    from pyimgano.synthesis import AnomalySynthesizer, SynthSpec
    from pyimgano.synthesis.cutpaste import cutpaste

    made = {name: AnomalySynthesizer(SynthSpec(preset=name)) for name in ("stain", "rust", "scratch", "crack", "pit")}
    steps: Steps = {
        f"pyimgano {name}": lambda seed, maker=maker: maker.synthesize(image, seed=seed) for name, maker in made.items()
    }
    return {**steps, "pyimgano cutpaste": lambda seed: cutpaste(image, rng=np.random.Generator(np.random.PCG64(seed)))}


def of_defect_synthesis(image: Any) -> Steps:
    from defect_synthesis.generators.cracks import CrackGenerator
    from defect_synthesis.generators.scratches import ScratchGenerator
    from defect_synthesis.generators.stains import StainGenerator

    def seeded(maker: Any) -> Callable[[int], Any]:
        def make(seed: int) -> Any:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002 - the package knows no other way
            return maker.apply(image)

        return make

    kinds = {"crack": CrackGenerator, "scratch": ScratchGenerator, "stain": StainGenerator}
    return {f"defect-synthesis {name}": seeded(kind()) for name, kind in kinds.items()}


def of_albumentations(image: Any) -> Steps:
    import albumentations

    shuffle = albumentations.RandomGridShuffle(grid=(8, 8), p=1.0)
    return {"albumentations grid shuffle": lambda seed: shuffle(image=image)}


def of_opencv(image: Any) -> Steps:
    """NSA's steps: a resized patch, its blending, and the label from what changed, over the whole image in float64.

    Of the search for a place with enough object on both sides one round is counted, although there may be hundreds.
    """
    import cv2

    cv2.setNumThreads(1)
    side = len(image)

    def patch_and_place(seed: int) -> tuple[Any, tuple[int, int]]:
        draw = np.random.Generator(np.random.PCG64(seed))
        half = [int(min(max(0.03 + draw.gamma(2, 0.05), 0.03), 0.4) * side) for _ in range(2)]
        tall, wide = (max(3, min(2 * h, side - 2)) for h in half)
        scale = min(max(1 + 0.5 * draw.normal(), 0.7), 1.3)
        h, w = (min(max(3, round(size / scale)), side) for size in (tall, wide))
        top, left = (int(draw.integers(0, side - size + 1)) for size in (h, w))
        patch = cv2.resize(image[top : top + h, left : left + w], (wide, tall))
        return patch, (int(draw.integers(1, side - tall)), int(draw.integers(1, side - wide)))

    def cloned(seed: int, kind: int) -> Any:
        patch, (y, x) = patch_and_place(seed)
        tall, wide = patch.shape[:2]
        mask = np.full((tall, wide), 255, dtype=np.uint8)
        mask[[0, -1]] = 0
        mask[:, [0, -1]] = 0
        return cv2.seamlessClone(patch, image.copy(), mask, (x + wide // 2, y + tall // 2), kind)

    def change_of(made: Any) -> Any:
        return np.mean(np.abs(made.astype(np.float64) - image), axis=2)

    def binary(made: Any) -> tuple[Any, Any]:
        return made, cv2.medianBlur((change_of(made) > 1).astype(np.uint8), 5)

    def nsa(seed: int) -> Any:
        return binary(cloned(seed, cv2.NORMAL_CLONE))

    def aware(seed: int) -> Any:
        found = []
        for picture in (image, image):
            grey = np.mean(picture.astype(np.float64), axis=2)
            found.append(cv2.medianBlur((np.abs(grey - 200.0) > 60.0).astype(np.uint8), 7))
        return nsa(seed), (found[0] & found[1]).mean()

    def swapped(seed: int) -> Any:
        patch, (y, x) = patch_and_place(seed)
        made = image.copy()
        made[y : y + len(patch), x : x + patch.shape[1]] = patch
        return binary(made)

    def clone_alone(seed: int) -> Any:
        size = side // 4
        patch, mask = image[:size, :size], np.full((size, size), 255, dtype=np.uint8)
        return cv2.seamlessClone(patch, image.copy(), mask, (side // 2, side // 2), cv2.NORMAL_CLONE)

    steps = {"NSA: clone, object searched": aware, "NSA: clone, no search": nsa, "NSA: swap": swapped}
    try:
        from skimage.filters import median
        from skimage.morphology import disk
    except ImportError:
        return {**steps, "seamlessClone alone, a quarter of the side": clone_alone}

    def logistic(seed: int) -> Any:
        made = cloned(seed, cv2.MIXED_CLONE)
        label = median(change_of(made), disk(5))
        return made, np.where(change_of(made) > 1, 1 / (1 + np.exp(-(label - 20) / 6)), 0)

    return {**steps, "NSA: mixed, logistic label": logistic, "seamlessClone alone, a quarter of the side": clone_alone}


def measured(step: Callable[[int], Any], samples: int) -> float:
    step(0)
    start = time.process_time()
    for seed in range(samples):
        step(seed)
    return 1000 * (time.process_time() - start) / samples


def main() -> None:
    side, samples = int(sys.argv[1]), int(sys.argv[2])
    times: dict[str, float] = {}
    for package in (of_opencv, of_pyimgano, of_defect_synthesis, of_albumentations):
        try:
            steps = package(photo(side))
        except ImportError as error:
            times[f"left out: {error}"] = math.nan
            continue
        times |= {name: measured(step, samples) for name, step in steps.items()}
    print(json.dumps(times))


if __name__ == "__main__":
    main()
