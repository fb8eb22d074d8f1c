"""Data sets of defects whose parameters are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anosynth.images import Image
from anosynth.io.png import encode_png
from anosynth.recipe import Vary
from anosynth.seeding import as_rng

SIZE = (160, 200)


def surface(number: int, part: bool = False, base: float = 150.0, weave: float = 0.0) -> np.ndarray:
    """Return an even surface with a little grain, a weave, or a bright plate on a dark ground."""
    draw, size = np.random.default_rng(number), SIZE
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.full((*size, 3), base) + draw.normal(0, 2, (*size, 1))
    image += weave * np.sign(np.sin(rows / 3) * np.sin(columns / 3))[:, :, None]
    if part:
        out = ((rows - size[0] / 2) / (0.38 * size[0])) ** 2 + ((columns - size[1] / 2) / (0.38 * size[1])) ** 2 > 1
        image[out] = 30 + draw.normal(0, 2, (int(out.sum()), 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(pixels))


def goods(folder: Path, number: int = 4, part: bool = False, **more: float) -> Path:
    for i in range(number):
        save(folder / f"g{i}.png", surface(100 + i, part=part, **more))
    return folder


def real(folder: Path, vary: Vary, number: int, part: np.ndarray | None = None, **more: float) -> tuple[Path, list]:
    """Write photos with a defect each and their masks; return the folder and the generators.

    Args:
        more: `base` and `weave` of `surface`.
    """
    made = []
    for i in range(number):
        generator = vary.draw(as_rng(7).child("draw", i))
        image = Image(surface(i, part=part is not None, **more), part)
        anomaly = generator(image, as_rng(7).child("make", i))
        save(folder / "images" / f"d{i}.png", anomaly.sample.pixels)
        save(folder / "masks" / f"d{i}.png", anomaly.mask.astype(np.uint8) * np.uint8(255))
        made.append(generator)
    return folder, made
