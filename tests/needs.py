"""What some generators need and no test has at hand: a bank of defects, and a function to call."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from anosynth.images import Image
from anosynth.io.images import write_image, write_mask


def given(generator: type) -> dict[str, str]:
    """Return a value for each parameter without which a generator cannot run."""
    values = {"bank": some_defects, "function": lambda: "needs.painted"}
    return {name: values[name]() for name in getattr(generator, "needs", ())}


@lru_cache(maxsize=1)
def some_defects() -> str:
    """Three grey photos of streaks that differ from every even surface, with their masks."""
    folder = Path(tempfile.mkdtemp(prefix="bank-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for number, (height, width) in enumerate([(5, 9), (12, 7), (8, 20)]):
        row, column = np.mgrid[0 : height + 24, 0 : width + 24]
        mask = (np.abs(row - 11.5 - height / 2) < height / 2) & (np.abs(column - 11.5 - width / 2) < width / 2)
        streaks = np.where((row + 2 * column) % 7 < 4, 20, 235)
        pixels = np.where(mask, streaks, 120 + (row + column) % 5).astype(np.uint8)
        write_image(folder / f"streak_{number}.png", Image(pixels))
        write_mask(folder / f"streak_{number}_mask.png", mask)
    return str(folder)


def painted(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Move every pixel, in the region and out of it, to the other side of grey, unevenly."""
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[image.dtype.name]
    bright = image > white / 2
    shade = 0.1 + 0.2 * rng.random(image.shape)
    return (np.where(bright, shade, 1 - shade) * white).astype(image.dtype)
