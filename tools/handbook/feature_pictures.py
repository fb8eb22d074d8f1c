"""A picture of every generator of features: where cells go, and which, at three strengths."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.features import Features
from anosynth.generator import Generator, find
from anosynth.params import extra_of
from anosynth.seeding import stream

from .canvas import Pixels, beside

Floats = NDArray[np.float64]

CHANNELS, GRID, PANEL = 16, 14, 310
_DRIVES = ("strength", "std", "k", "scale", "p", "steps", "distance", "area", "threshold")
_SETTINGS = {"prototype-swap": {"momentum": 0.6, "rounds": 30}}
"""What makes the few toy features enough to learn from."""

_NORMAL, _FROM, _TO, _WAY = (196, 202, 210), (120, 130, 142), (214, 60, 60), (236, 160, 150)
_FINE, _CELL = 3, 6


def pictured(name: str) -> tuple[Pixels, str]:
    """Return the picture of a generator, (h, w, 3) uint8, and what it shows in words."""
    field, values = driven(find("features", name))
    before, made = _before(), [_made(name, field, value) for value in values]
    axes = _axes()
    flat = [_flat(before, axes), *(_flat(after, axes) for after in made)]
    shown = np.concatenate([flat[0], *(points[_moved(before, a)] for points, a in zip(flat[1:], made, strict=True))])
    low, high = np.quantile(shown, 0.002, axis=0), np.quantile(shown, 0.998, axis=0)
    middle, reach = (low + high) / 2, 0.56 * float((high - low).max())
    panels = [
        _panel(flat[0], points, _moved(before, a), middle, reach) for points, a in zip(flat[1:], made, strict=True)
    ]
    captions = [
        f"{field} {value:.3g}"
        + ("" if _moved(before, after).all() else f": {_moved(before, after).mean():.0%} of the cells")
        for value, after in zip(values, made, strict=True)
    ]
    text = ", ".join(f"{value:.3g}" for value in values)
    return beside(panels, captions), f"{name}: cells of toy features before and after, with {field} {text}"


def driven(generator: type[Generator]) -> tuple[str, tuple[float, float, float]]:
    fields = generator.model_fields
    for field in _DRIVES:
        vary = extra_of(fields[field]).get("vary") if field in fields else None
        if vary is not None:
            low, high, *_ = vary
            middle = (low + high) / 2
            return field, (low, round(middle) if fields[field].annotation is int else middle, high)
    raise RuntimeError(f"{generator.name}: none of {', '.join(_DRIVES)} varies: nothing to draw three pictures of")


@cache
def _normal() -> Any:
    """Return toy features of sixteen normal photos, (16, C, H, W) float32: three materials in regions, with noise."""
    import torch

    rng = stream(0, "handbook", "features")
    centres = rng.child("centres").normal(3 * CHANNELS).reshape(3, CHANNELS) * 0.1
    spread = rng.child("spread").normal(3 * CHANNELS * 3).reshape(3, CHANNELS, 3) * 0.045
    row, column = np.mgrid[0:GRID, 0:GRID] / GRID
    kind = (column > 0.62).astype(int) + ((row > 0.55) & (column <= 0.62)).astype(int) * 2
    photos = []
    for number in range(16):
        own = rng.child("photo", number)
        inner = own.normal(GRID * GRID * 3).reshape(-1, 3)
        noise = 0.01 * own.child("noise").normal(GRID * GRID * CHANNELS).reshape(-1, CHANNELS)
        which = kind.reshape(-1)
        cells = centres[which] + (spread[which] * inner[:, None, :]).sum(axis=2) + noise
        photos.append(cells.T.reshape(CHANNELS, GRID, GRID))
    return torch.tensor(np.stack(photos), dtype=torch.float32)


def _before() -> Floats:
    return np.asarray(_normal()[0].numpy(), dtype=np.float64)


def _made(name: str, field: str, value: Any) -> Floats:
    generator = find("features", name)(**{field: value, **_SETTINGS.get(name, {})})
    anomaly = generator(Features(_normal()[0], module=_fitted(name)), stream(0, "handbook", name))
    return np.asarray(anomaly.sample.values if hasattr(anomaly.sample, "values") else anomaly.sample, dtype=np.float64)


@cache
def _fitted(name: str) -> Any:
    more = {"scorer": _score} if name == "gradient-ascent" else {}
    generator: Any = find("features", name)(**_SETTINGS.get(name, {}))
    return generator.module(**more).fit(_normal().split(8) * 3)


def _score(cells: Any) -> Any:
    """Stand for a trained discriminator: larger the farther a cell is from the nearest of the normal ones."""
    import torch

    normal = _normal().movedim(1, -1).reshape(-1, CHANNELS)[::8]
    return torch.cdist(cells, normal.to(cells)).amin(dim=1)


def _moved(before: Floats, after: Floats) -> NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=0).reshape(-1))


@cache
def _axes() -> tuple[Floats, Floats]:
    """Return the mean of normal cells and their two directions of largest variance, (2, C)."""
    cells = np.asarray(_normal().numpy(), dtype=np.float64).transpose(0, 2, 3, 1).reshape(-1, CHANNELS)
    mean = cells.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov(cells.T))
    return mean, directions[:, [-1, -2]].T


def _flat(values: Floats, axes: tuple[Floats, Floats]) -> Floats:
    cells = values.reshape(CHANNELS, -1).T - axes[0]
    return np.asarray((cells[:, None, :] * axes[1]).sum(axis=2))


def _panel(before: Floats, after: Floats, moved: NDArray[np.bool_], middle: Floats, reach: float) -> Pixels:
    """Return normal cells in grey, changed ones in red with the way they went, and in a corner which these are."""
    from PIL import Image, ImageDraw

    size = PANEL * _FINE
    sheet = Image.new("RGB", (size, size), (247, 248, 250))
    draw = ImageDraw.Draw(sheet)

    def at(point: Floats) -> tuple[float, float]:
        x, y = (point - middle) / reach
        return size * (0.5 + 0.5 * x), size * (0.5 - 0.5 * y)

    def dot(point: Floats, radius: float, colour: tuple[int, int, int]) -> None:
        x, y = at(point)
        r = radius * _FINE
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    for point in before:
        dot(point, 2.2, _NORMAL)
    rows = np.flatnonzero(moved)
    for row in rows[:: max(1, len(rows) // 60)]:
        draw.line([at(before[row]), at(after[row])], fill=_WAY, width=_FINE)
        dot(before[row], 2.2, _FROM)
    for row in rows:
        dot(after[row], 2.4, _TO)
    if not moved.all():
        _draw_map(draw, moved)
    return np.asarray(sheet.resize((PANEL, PANEL), Image.Resampling.LANCZOS))


def _draw_map(draw: Any, moved: NDArray[np.bool_]) -> None:
    """Draw into the lower right corner which cells were changed."""
    size, cell = PANEL * _FINE, _CELL * _FINE
    corner = size - GRID * cell - 6 * _FINE
    draw.rectangle((corner - _FINE, corner - _FINE, corner + GRID * cell, corner + GRID * cell), fill=(255, 255, 255))
    for row in range(GRID * GRID):
        x, y = corner + row % GRID * cell, corner + row // GRID * cell
        fill = _TO if moved[row] else (226, 230, 235)
        draw.rectangle((x, y, x + cell - _FINE - 1, y + cell - _FINE - 1), fill=fill)
