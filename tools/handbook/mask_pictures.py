"""Pictures of `anosynth.masks`: the masks themselves, and what is made of a toy photo and of a signal by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import masks
from anosynth.masks import MultiScale, Scale
from anosynth.seeding import stream
from anosynth.toy.images import toy_image

from .canvas import Pixels, beside

PANEL = 232
_HIDDEN, _CURVE = (252, 214, 208), (44, 96, 168)
_RATIOS, _CELLS, _STRENGTHS, _QUANTILES = (0.1, 0.3, 0.6), (8, 16, 29), (0.3, 0.6, 1.0), (0.95, 0.85, 0.6)


def _multi_scale() -> tuple[list[Pixels], list[str]]:
    scales: dict[Any, Any] = {"random": {}, "contiguous": {"window": 10}, "strided": {}}
    panels, captions = [], []
    for layout, more in scales.items():
        scale = Scale("one", 0.3, layout, **more)
        made = MultiScale(segment=8, scales=[scale])((PANEL, PANEL), rng=stream(0, "handbook", layout))
        panels.append(_hidden(made["one"].samples(0)))
        captions.append(f"{layout}, 30 % of the segments")
    return panels, captions


def _disjoint() -> tuple[list[Pixels], list[str]]:
    sets = masks.disjoint((PANEL, PANEL), stream(0, "handbook", "disjoint"), cell=16, sets=3)
    return [_hidden(mask) for mask in sets], ["first of three sets", "second", "third"]


def _by_saliency() -> tuple[list[Pixels], list[str]]:
    found = [masks.by_saliency(_salient(), quantile=q, cell=8) for q in _QUANTILES]
    return [_hidden(mask) for mask in found], [f"quantile {q:g}" for q in _QUANTILES]


def _mosaic() -> tuple[list[Pixels], list[str]]:
    row, column = np.mgrid[0:PANEL, 0:PANEL]
    mask = (row - 130) ** 2 + (column - 110) ** 2 < 70**2
    made = [masks.mosaic(_photo(), mask, cell=cell, batch_dim=None, channel_dim=-1)[0] for cell in _CELLS]
    return made, [f"cell {cell}" for cell in _CELLS]


def _attenuate() -> tuple[list[Pixels], list[str]]:
    soft = _salient() / _salient().max()
    values = _photo().astype(np.float64)
    made = [masks.attenuate(values, soft, strength=strength, batch_dim=None, channel_dim=-1) for strength in _STRENGTHS]
    return [np.rint(panel).astype(np.uint8) for panel in made], [f"strength {strength:g}" for strength in _STRENGTHS]


def _fill() -> tuple[list[Pixels], list[str]]:
    rng, length = stream(0, "handbook", "signal"), 600
    beat = np.arange(length) / 170 % 1.0
    values = np.exp(-(((beat - 0.3) / 0.03) ** 2)) + 0.3 * np.exp(-(((beat - 0.6) / 0.08) ** 2))
    signal = (values + 0.02 * rng.normal(length)).astype(np.float32)
    scale = Scale("one", 0.3, "contiguous", window=10)
    mask = MultiScale(segment=20, scales=[scale])((length,), rng=rng.child("mask"))["one"].samples(0)
    modes: tuple[Any, ...] = ("zero", "interpolate", "noise", "copy", "shift")
    panels = []
    for mode in modes:
        broken, changed = masks.fill(signal, mask, mode, rng=rng.child(mode), batch_dim=None, channel_dim=None)
        panels.append(_curve(broken, changed))
    return panels, list(modes)


PICTURES: Mapping[str, Callable[[], tuple[list[Pixels], list[str]]]] = {
    "MultiScale": _multi_scale,
    "disjoint": _disjoint,
    "by_saliency": _by_saliency,
    "mosaic": _mosaic,
    "attenuate": _attenuate,
    "fill": _fill,
}
"""What of `anosynth.masks` has a picture."""


def pictured(name: str) -> tuple[Pixels, str]:
    """Return the picture of a function or class of `anosynth.masks`, and what it shows in words."""
    panels, captions = PICTURES[name]()
    return beside(panels, captions), f"{name}: {', '.join(captions)}"


@lru_cache(maxsize=1)
def _photo() -> Pixels:
    return toy_image("tablet", stream(0, "handbook", "masks"), size=PANEL)[0]


@lru_cache(maxsize=1)
def _salient() -> NDArray[np.float64]:
    """Stand for a network's attention: two soft spots on the photo."""
    row, column = np.mgrid[0:PANEL, 0:PANEL] / PANEL
    first = np.exp(-((row - 0.4) ** 2 + (column - 0.35) ** 2) / 0.02)
    second = 0.7 * np.exp(-((row - 0.68) ** 2 + (column - 0.62) ** 2) / 0.008)
    return np.asarray(first + second)


def _hidden(mask: NDArray[Any]) -> Pixels:
    return np.where(mask[:, :, None], np.array(_HIDDEN, dtype=np.uint8), _photo())


def _curve(values: NDArray[Any], mask: NDArray[np.bool_]) -> Pixels:
    from PIL import Image, ImageDraw

    fine, width, height = 3, 184, 120
    sheet = Image.new("RGB", (width * fine, height * fine), (247, 248, 250))
    draw = ImageDraw.Draw(sheet)
    across = np.arange(len(values)) * width * fine / len(values)
    for start in np.flatnonzero(mask):
        draw.rectangle((across[start], 0, across[start] + width * fine / len(values), height * fine), fill=_HIDDEN)
    down = height * fine * (0.75 - 0.5 * np.clip(values.astype(np.float64), -0.45, 1.4))
    draw.line(list(zip(across.tolist(), down.tolist(), strict=True)), fill=_CURVE, width=fine, joint="curve")
    return np.asarray(sheet.resize((width, height), Image.Resampling.LANCZOS))
