"""Operators that published recipes put their texture sources through, and the two ways to shuffle an image.

All take (h, w, C) float32 in [0, 1] and return a new array of that shape, dtype and range. Published code draws them
from imgaug, torchvision or Pillow; these follow the operators' definitions and take any number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.seeding import Rng

Floats = NDArray[np.float32]

_STEPS = 4096
_AT_ONCE = 16384  # pixels: what is worked on at once stays in the cache
_LUMA = (0.299, 0.587, 0.114)


def gamma(x: Floats, powers: Sequence[float]) -> Floats:
    """x ** power, one power > 0 a channel, in steps of 1/4095."""
    place = np.rint(x * np.float32(_STEPS - 1)).astype(np.intp)
    log = steady.log(np.arange(1, _STEPS) / (_STEPS - 1.0))
    tables = [np.concatenate([[0.0], steady.exp(power * log)]).astype(np.float32) for power in powers]
    return np.stack([table[place[:, :, channel]] for channel, table in enumerate(tables)], axis=2)


def brightness(x: Floats, factor: float = 1.0, shift: float = 0.0) -> Floats:
    """factor * x + shift, clipped."""
    return _clipped(x * np.float32(factor) + np.float32(shift))


def contrast(x: Floats, factor: float) -> Floats:
    """m + factor * (x - m) with m the mean grey value, clipped."""
    middle = np.float32(grey(x)[:, :, 0].astype(np.float64).mean())
    return _clipped(middle + np.float32(factor) * (x - middle))


def hue_saturation(x: Floats, turn: float = 0.0, factor: float = 1.0, shift: float = 0.0) -> Floats:
    """Hue turned by `turn` (1 is the whole circle), saturation times `factor` plus `shift`; only three channels have
    a hue, others are returned as they are."""
    if x.shape[2] != 3:
        return x.copy()
    r, g, b = (np.ascontiguousarray(x[:, :, channel]) for channel in range(3))
    value = np.maximum(np.maximum(r, g), b)
    spread = value - np.minimum(np.minimum(r, g), b)
    safe = np.where(spread > 0, spread, np.float32(1))
    hue = np.where(value == r, (g - b) / safe, np.where(value == g, (b - r) / safe + 2, (r - g) / safe + 4))
    hue = hue + np.float32(6 * math.fmod(turn, 1))
    saturation = spread / np.where(value > 0, value, np.float32(1))
    # Grey stays grey: adding saturation to what has no hue would make it red.
    saturation = np.where(spread > 0, np.clip(saturation * np.float32(factor) + np.float32(shift), 0, 1), 0)
    out = np.zeros_like(x)
    chroma = value * saturation
    for channel, offset in enumerate((5, 3, 1)):
        k = hue + np.float32(offset)
        # Whole circles off, exactly as np.mod takes them off in several times the time.
        k += np.float32(6) * (k < 0)
        for circle in (np.float32(12), np.float32(6)):
            k -= circle * (k >= circle)
        out[:, :, channel] = value - chroma * np.minimum(np.maximum(np.minimum(k, 4 - k), 0), 1)
    return out


def solarize(x: Floats, threshold: float) -> Floats:
    """1 - x from `threshold` on."""
    return np.where(x >= np.float32(threshold), 1 - x, x)


def posterize(x: Floats, bits: int) -> Floats:
    """The first `bits` (1 to 8) of eight bits."""
    level = np.rint(x * np.float32(255)).astype(np.int32)
    kept: Floats = ((level >> (8 - bits)) << (8 - bits)).astype(np.float32)
    kept /= np.float32(255)
    return kept


def invert(x: Floats) -> Floats:
    """1 - x."""
    inverse: Floats = 1 - x
    return inverse


def autocontrast(x: Floats) -> Floats:
    """Each channel stretched from its least and largest value to 0 and 1; a flat one stays as it is."""
    out = x.copy()
    for channel in range(x.shape[2]):
        part = np.ascontiguousarray(x[:, :, channel])
        low, high = part.min(), part.max()
        if high > low:
            part -= low
            part /= high - low
            out[:, :, channel] = part
    return out


def equalize(x: Floats) -> Floats:
    """Each channel's histogram of 256 levels flattened, as Pillow does it; a flat channel stays as it is."""
    level = np.rint(x * np.float32(255)).astype(np.intp)
    out = x.copy()
    for channel in range(x.shape[2]):
        counts = np.bincount(level[:, :, channel].ravel(), minlength=256)
        step = int(counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
        if step > 0:
            table = np.minimum((np.cumsum(counts) - counts + step // 2) // step, 255)
            out[:, :, channel] = (table.astype(np.float32) / np.float32(255))[level[:, :, channel]]
    return out


def sharpness(x: Floats, factor: float) -> Floats:
    """s + factor * (x - s) with s smoothed by a 3 x 3 kernel of ones and a five in the middle; borders repeat."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    columns = padded[:-2] + padded[1:-1] + padded[2:]
    smooth = (columns[:, :-2] + columns[:, 1:-1] + columns[:, 2:] + 4 * x) / np.float32(13)
    return _clipped(smooth + np.float32(factor) * (x - smooth))


def grey(x: Floats) -> Floats:
    """Luma of three channels, the mean of any other number, in all channels."""
    if x.shape[2] == 3:
        one = x[:, :, 0] * np.float32(_LUMA[0]) + x[:, :, 1] * np.float32(_LUMA[1]) + x[:, :, 2] * np.float32(_LUMA[2])
    else:
        one = x.mean(axis=2, dtype=np.float64).astype(np.float32)
    return np.repeat(np.minimum(one, 1)[:, :, None], x.shape[2], axis=2)


def rotate(x: Floats, degrees: float) -> Floats:
    """Turned about the centre, bilinear, 0 outside."""
    height, width = x.shape[:2]
    y, x_ = np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)[None, :]
    cosine, sine = steady.cos(math.radians(degrees)), steady.sin(math.radians(degrees))
    dy, dx = y - 0.5 * (height - 1), x_ - 0.5 * (width - 1)
    out = np.zeros_like(x)
    rows = max(1, _AT_ONCE // width)
    for top in range(0, height, rows):
        some = dy[top : top + rows]
        part, inside = bilinear(
            x, 0.5 * (height - 1) + cosine * some + sine * dx, 0.5 * (width - 1) - sine * some + cosine * dx
        )
        part[~inside] = 0
        out[top : top + rows] = part
    return out


def bilinear(x: Floats, y: NDArray[np.float64], across: NDArray[np.float64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the values of `x` (H, W) or (H, W, C), H, W >= 2, at places of shape (...), and which of them lie on it.

    Values at places beyond the outermost pixels' centres mean nothing.
    """
    height, width = x.shape[:2]
    inside = (y >= 0) & (y <= height - 1)
    inside &= across >= 0
    inside &= across <= width - 1
    row = np.minimum(np.maximum(y, 0), height - 2).astype(np.intp)
    column = np.minimum(np.maximum(across, 0), width - 2).astype(np.intp)
    down, right = (y - row).astype(np.float32), (across - column).astype(np.float32)
    flat = x.reshape(height * width, *x.shape[2:])
    if x.ndim == 3:
        down, right = down[..., None], right[..., None]
    row *= width
    row += column
    upper, upper_right, lower, lower_right = (flat[step:].take(row, axis=0) for step in (0, 1, width, width + 1))
    for start, end in ((upper, upper_right), (lower, lower_right)):
        end -= start
        end *= right
        start += end
    lower -= upper
    lower *= down
    upper += lower
    return upper, inside


def _clipped(x: Floats) -> Floats:
    return np.clip(x, np.float32(0), np.float32(1))


Operator = Callable[[Floats, Rng], Floats]


def _draem_solarize(x: Floats, rng: Rng) -> Floats:
    return solarize(x, rng.uniform(32 / 255, 128 / 255)) if rng.uniform() < 0.5 else x.copy()


_IMGAUG: dict[str, Operator] = {
    "gamma": lambda x, rng: gamma(x, [rng.uniform(0.5, 2.0) for _ in range(x.shape[2])]),
    "brightness": lambda x, rng: brightness(x, rng.uniform(0.8, 1.2), rng.uniform(-30 / 255, 30 / 255)),
    "sharpness": lambda x, rng: sharpness(x, rng.uniform(0.0, 3.0)),
    "hue": lambda x, rng: hue_saturation(x, rng.uniform(-50 / 255, 50 / 255), shift=rng.uniform(-50 / 255, 50 / 255)),
    "solarize": _draem_solarize,
    "posterize": lambda x, rng: posterize(x, rng.integer(1, 8)),
    "invert": lambda x, rng: invert(x),
    "autocontrast": lambda x, rng: autocontrast(x),
    "equalize": lambda x, rng: equalize(x),
}

OPERATORS: Mapping[str, Mapping[str, Operator]] = {
    "none": {},
    "draem": {**_IMGAUG, "rotate": lambda x, rng: rotate(x, rng.uniform(-45, 45))},
    "onenip": {**_IMGAUG, "flip": lambda x, rng: x[:, ::-1].copy() if rng.uniform() < 0.5 else x.copy()},
    "glass": {
        "contrast": lambda x, rng: contrast(x, rng.uniform(0.8, 1.2)),
        "brightness": lambda x, rng: brightness(x, rng.uniform(0.8, 1.2)),
        "hue": lambda x, rng: hue_saturation(x, rng.uniform(-0.2, 0.2), rng.uniform(0.8, 1.2)),
        "flip": lambda x, rng: x[:, ::-1].copy(),
        "flip-down": lambda x, rng: x[::-1].copy(),
        "grey": lambda x, rng: grey(x),
        "autocontrast": lambda x, rng: autocontrast(x),
        "equalize": lambda x, rng: equalize(x),
        "rotate": lambda x, rng: rotate(x, rng.uniform(-45, 45)),
    },
    "anomalib": {
        "contrast": lambda x, rng: contrast(x, rng.uniform(0.5, 2.0)),
        "brightness": lambda x, rng: brightness(x, rng.uniform(0.8, 1.2)),
        "sharpness": lambda x, rng: sharpness(x, 2.0),
        "hue": lambda x, rng: hue_saturation(x, rng.uniform(-50 / 360, 50 / 360), rng.uniform(0.5, 1.5)),
        "solarize": lambda x, rng: solarize(x, rng.uniform(32 / 255, 128 / 255)),
        "posterize": lambda x, rng: posterize(x, 4),
        "invert": lambda x, rng: invert(x),
        "autocontrast": lambda x, rng: autocontrast(x),
        "equalize": lambda x, rng: equalize(x),
        "rotate": lambda x, rng: rotate(x, rng.uniform(-45, 45)),
    },
}
"""Sets of operators with the published ranges; levels of 0 to 255 as fractions."""


def augmented(texture: Floats, rng: Rng, operators: str, number: int = 3) -> tuple[Floats, list[str]]:
    """Put a texture through `number` operators of a set, drawn without replacement and applied in drawn order.

    Returns:
        The new texture and the names of the operators; without operators, the texture as it is.
    """
    names = list(OPERATORS[operators])
    if names:
        # A float image may hold more than the operators' tables cover.
        texture = _clipped(texture)
    drawn = [names[int(place)] for place in rng.child("order").permutation(len(names))[:number]]
    for name in drawn:
        texture = OPERATORS[operators][name](texture, rng.child(name))
    return texture, drawn


def grid_places(shape: tuple[int, int], grid: int, rng: Rng) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return from which (row, column), each (H, W), a pixel comes when grid x grid tiles are permuted uniformly.

    Tiles have whole sizes; what is left over at the right and the bottom stays where it is. A side of fewer pixels
    than tiles has fewer tiles.
    """
    height, width = shape
    down, across = min(grid, height), min(grid, width)
    tall, wide = height // down, width // across
    order = rng.permutation(down * across).reshape(down, across)
    move_y = (order // across - np.arange(down)[:, None]) * tall
    move_x = (order % across - np.arange(across)) * wide
    rows = np.broadcast_to(np.arange(height)[:, None], shape).copy()
    columns = np.broadcast_to(np.arange(width), shape).copy()
    for places, moves in ((rows, move_y), (columns, move_x)):
        tiles = places[: down * tall, : across * wide].reshape(down, tall, across, wide)
        tiles += moves[:, None, :, None]
    return rows, columns


def strip_places(shape: tuple[int, int], strips: int, rng: Rng) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return from which (row, column) a pixel comes when columns, then rows, are cut in strips and the odd and the
    even ones permuted among themselves; what is left over stays where it is."""
    rows, columns = (_strips(size, strips, rng.child(axis)) for axis, size in enumerate(shape))
    return np.broadcast_to(rows[:, None], shape), np.broadcast_to(columns, shape)


def _strips(size: int, strips: int, rng: Rng) -> NDArray[np.intp]:
    strips = min(strips, size)
    wide = size // strips
    order = np.arange(strips)
    for parity in (0, 1):
        same = order[parity::2].copy()
        order[parity::2] = same[rng.child("parity", parity).permutation(len(same))]
    place: NDArray[Any] = np.arange(size)
    place[: strips * wide] = (order[:, None] * wide + np.arange(wide)).ravel()
    return place
