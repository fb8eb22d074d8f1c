"""Pictures of panels side by side, in plain arrays: outlines, captions, PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Array = NDArray[Any]

OUTLINE = (255, 0, 110)
"""Of masks: no toy has this colour, and it stands out from light and dark."""

PAPER, INK = (255, 255, 255), (70, 78, 88)
GAP, LINE = 8, 22


def enlarged(pixels: Array, size: int) -> Array:
    """Return a square (n, n[, C]) array at (size, size[, C]): pixels repeated, or resampled if that does not divide."""
    from PIL import Image

    side = len(pixels)
    if size % side == 0:
        return pixels.repeat(size // side, axis=0).repeat(size // side, axis=1)
    way = Image.Resampling.NEAREST if pixels.dtype == np.bool_ else Image.Resampling.LANCZOS
    source = Image.fromarray(pixels.astype(np.uint8) * 255 if pixels.dtype == np.bool_ else pixels)
    return np.asarray(source.resize((size, size), way)).astype(pixels.dtype)


def outlined(pixels: Pixels, mask: NDArray[np.bool_], colour: tuple[int, int, int] = OUTLINE) -> Pixels:
    """Return a copy with a line of one pixel around the mask, two pixels away, so that thin defects stay in sight."""
    inner = _grown(_grown(mask))
    out = pixels.copy()
    out[_grown(inner) & ~inner] = colour
    return out


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return np.asarray(near | mask)


def beside(panels: Sequence[Pixels], captions: Sequence[str]) -> Pixels:
    """Return panels of one height (h, w, 3) in a row on white, each with a line of text under it."""
    from PIL import Image, ImageDraw, ImageFont

    height = panels[0].shape[0]
    width = sum(panel.shape[1] for panel in panels) + GAP * (len(panels) - 1)
    sheet = Image.new("RGB", (width, height + LINE), PAPER)
    draw, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(13), 0
    for panel, caption in zip(panels, captions, strict=True):
        sheet.paste(Image.fromarray(panel), (left, 0))
        draw.text((left + panel.shape[1] // 2, height + LINE // 2 + 2), caption, fill=INK, font=font, anchor="mm")
        left += panel.shape[1] + GAP
    return np.asarray(sheet)


def saved(pixels: Pixels, path: Path) -> None:
    """Write a PNG."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, optimize=True)
