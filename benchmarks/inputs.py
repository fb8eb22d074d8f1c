"""What some photo generators need before they can run: a bank of defects, and a function to call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIZES = ((5, 9), (12, 7), (30, 44))


def given(generator: type, folder: str | Path) -> dict[str, str]:
    """Return a value for each parameter without which a generator cannot run; files are made in `folder`."""
    values = {"bank": lambda: bank(Path(folder) / "bank"), "function": lambda: "inputs.painted"}
    return {name: values[name]() for name in getattr(generator, "needs", ())}


def bank(folder: Path) -> str:
    """Write photos of streaks on an even ground with their masks, unless they are there already."""
    folder.mkdir(exist_ok=True)
    for number, (height, width) in enumerate(_SIZES):
        row, column = np.mgrid[: height + 24, : width + 24]
        inside = (row >= 12) & (row < 12 + height) & (column >= 12) & (column < 12 + width)
        streaks = np.where((row + 2 * column) % 7 < 4, 20, 235)
        pixels = np.where(inside, streaks, 120 + (row + column) % 5).astype(np.uint8)
        Image.fromarray(np.repeat(pixels[:, :, None], 3, axis=2)).save(folder / f"streak_{number}.png")
        Image.fromarray(inside.astype(np.uint8) * 255).save(folder / f"streak_{number}_mask.png")
    return str(folder)


def painted(image: NDArray[Any], mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any]:
    """Move every pixel, in the region and out of it, to the other side of grey, unevenly."""
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[image.dtype.name]
    shade = 0.1 + 0.2 * rng.random(image.shape)
    return np.asarray(np.where(image > white / 2, shade, 1 - shade) * white).astype(image.dtype)
