"""Operators that published recipes put their texture sources through.

All take (h, w, C) float32 in [0, 1] and return a new array of that shape, dtype and range. Published code draws them
from imgaug, torchvision or Pillow; these follow the operators' definitions and take any number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Union

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.seeding import Rng

from ._turn import bilinear

Floats = NDArray[np.float32]

_STEPS = 4096
_AT_ONCE = 16384  # pixels: what is worked on at once stays in the cache
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in what the eye takes for brightness (ITU-R BT.601)."""

_ALL = slice(None)
Some = Union[slice, NDArray[np.intp]]
_ASKED = 4096  # pixels: of more of them, so many tell the range, the mean and the histogram
_NUMBER = 3
_MOVING = ("sharpness", "rotate", "flip", "flip-down")
_AT_PLACES = ("sharpness", "rotate")


def gamma(x: Floats, powers: Sequence[float]) -> Floats:
    """x ** power, one power > 0 a channel, in steps of 1/4095."""
    place = np.rint(x * np.float32(_STEPS - 1)).astype(np.intp)
    log = steady.log(np.arange(1, _STEPS) / (_STEPS - 1.0))
    tables = [np.concatenate([[0.0], steady.exp(power * log)]).astype(np.float32) for power in powers]
    return np.stack([table[place[:, :, channel]] for channel, table in enumerate(tables)], axis=2)


def brightness(x: Floats, factor: float = 1.0, shift: float = 0.0) -> Floats:
    """factor * x + shift, clipped."""
    return _clipped(x * np.float32(factor) + np.float32(shift))


def contrast(x: Floats, factor: float, some: Some = _ALL) -> Floats:
    """m + factor * (x - m) with m the mean grey value of `some` rows, clipped."""
    middle = np.float32(grey(x[some])[:, :, 0].astype(np.float64).mean())
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


def autocontrast(x: Floats, some: Some = _ALL) -> Floats:
    """Each channel stretched from the least and largest value of `some` rows to 0 and 1; a flat one stays as it is."""
    out = x.copy()
    for channel in range(x.shape[2]):
        part = np.ascontiguousarray(x[:, :, channel])
        low, high = part[some].min(), part[some].max()
        if high > low:
            part -= low
            part /= high - low
            out[:, :, channel] = _clipped(part)
    return out


def equalize(x: Floats, some: Some = _ALL) -> Floats:
    """Each channel's histogram of 256 levels, that of `some` rows, flattened as Pillow does it; a flat one stays."""
    level = np.rint(x * np.float32(255)).astype(np.intp)
    out = x.copy()
    for channel in range(x.shape[2]):
        counts = np.bincount(level[some][:, :, channel].ravel(), minlength=256)
        step = int(counts.sum() - counts[counts.nonzero()[0][-1]]) // 255
        if step > 0:
            table = np.minimum((np.cumsum(counts) - counts + step // 2) // step, 255)
            out[:, :, channel] = (table.astype(np.float32) / np.float32(255)).take(level[:, :, channel])
    return out


def sharpness(x: Floats, factor: float, at: Some = _ALL) -> Floats:
    """s + factor * (x - s) with s smoothed by a 3 x 3 kernel of ones and a five in the middle; borders repeat.

    Of places `at` (n,) in the flattened rows and columns, (n, 1, C) is returned.
    """
    if not isinstance(at, slice):
        return _sharpened(x, factor, at)
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
    columns = padded[:-2] + padded[1:-1] + padded[2:]
    smooth = (columns[:, :-2] + columns[:, 1:-1] + columns[:, 2:] + 4 * x) / np.float32(13)
    return _clipped(smooth + np.float32(factor) * (x - smooth))


def _sharpened(x: Floats, factor: float, at: NDArray[np.intp]) -> Floats:
    h, w, channels = x.shape
    flat = x.reshape(h * w, channels)
    row = at // w
    column = at - row * w
    middle = flat.take(at, axis=0)
    smooth = 4 * middle
    for y in (np.maximum(row - 1, 0) * w, row * w, np.minimum(row + 1, h - 1) * w):
        for across in (np.maximum(column - 1, 0), column, np.minimum(column + 1, w - 1)):
            smooth += flat.take(y + across, axis=0)
    smooth /= np.float32(13)
    middle -= smooth
    middle *= np.float32(factor)
    middle += smooth
    return _clipped(middle)[:, None]


def grey(x: Floats) -> Floats:
    """Luma of three channels, the mean of any other number, in all channels."""
    if x.shape[2] == 3:
        one = x[:, :, 0] * np.float32(LUMA[0]) + x[:, :, 1] * np.float32(LUMA[1]) + x[:, :, 2] * np.float32(LUMA[2])
    else:
        one = x.mean(axis=2, dtype=np.float64).astype(np.float32)
    return np.repeat(np.minimum(one, 1)[:, :, None], x.shape[2], axis=2)


def rotate(x: Floats, degrees: float, at: Some = _ALL) -> Floats:
    """Turned about the centre, bilinear, 0 outside; `at` as in `sharpness`."""
    height, width = x.shape[:2]
    cosine, sine = steady.cos(math.radians(degrees)), steady.sin(math.radians(degrees))
    if not isinstance(at, slice):
        row = at // width
        down, across = row - 0.5 * (height - 1), at - row * width - 0.5 * (width - 1)
        some_x = 0.5 * (width - 1) - sine * down + cosine * across
        part, inside = bilinear(x, 0.5 * (height - 1) + cosine * down + sine * across, some_x)
        part[~inside] = 0
        return part[:, None]
    y, x_ = np.arange(height, dtype=np.float64)[:, None], np.arange(width, dtype=np.float64)[None, :]
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


def _clipped(x: Floats) -> Floats:
    return np.clip(x, np.float32(0), np.float32(1))


Operator = Callable[[Floats, Rng, Some], Floats]


def _draem_solarize(x: Floats, rng: Rng, some: Some) -> Floats:
    return solarize(x, rng.uniform(32 / 255, 128 / 255)) if rng.uniform() < 0.5 else x.copy()


_IMGAUG: dict[str, Operator] = {
    "gamma": lambda x, rng, some: gamma(x, [rng.uniform(0.5, 2.0) for _ in range(x.shape[2])]),
    "brightness": lambda x, rng, some: brightness(x, rng.uniform(0.8, 1.2), rng.uniform(-30 / 255, 30 / 255)),
    "sharpness": lambda x, rng, some: sharpness(x, rng.uniform(0.0, 3.0), some),
    "hue": lambda x, rng, some: hue_saturation(
        x, rng.uniform(-50 / 255, 50 / 255), shift=rng.uniform(-50 / 255, 50 / 255)
    ),
    "solarize": _draem_solarize,
    "posterize": lambda x, rng, some: posterize(x, rng.integer(1, 8)),
    "invert": lambda x, rng, some: invert(x),
    "autocontrast": lambda x, rng, some: autocontrast(x, some),
    "equalize": lambda x, rng, some: equalize(x, some),
}

OPERATORS: Mapping[str, Mapping[str, Operator]] = {
    "none": {},
    "draem": {**_IMGAUG, "rotate": lambda x, rng, some: rotate(x, rng.uniform(-45, 45), some)},
    "onenip": {**_IMGAUG, "flip": lambda x, rng, some: x[:, ::-1].copy() if rng.uniform() < 0.5 else x.copy()},
    "glass": {
        "contrast": lambda x, rng, some: contrast(x, rng.uniform(0.8, 1.2), some),
        "brightness": lambda x, rng, some: brightness(x, rng.uniform(0.8, 1.2)),
        "hue": lambda x, rng, some: hue_saturation(x, rng.uniform(-0.2, 0.2), rng.uniform(0.8, 1.2)),
        "flip": lambda x, rng, some: x[:, ::-1].copy(),
        "flip-down": lambda x, rng, some: x[::-1].copy(),
        "grey": lambda x, rng, some: grey(x),
        "autocontrast": lambda x, rng, some: autocontrast(x, some),
        "equalize": lambda x, rng, some: equalize(x, some),
        "rotate": lambda x, rng, some: rotate(x, rng.uniform(-45, 45), some),
    },
    "anomalib": {
        "contrast": lambda x, rng, some: contrast(x, rng.uniform(0.5, 2.0), some),
        "brightness": lambda x, rng, some: brightness(x, rng.uniform(0.8, 1.2)),
        "sharpness": lambda x, rng, some: sharpness(x, 2.0, some),
        "hue": lambda x, rng, some: hue_saturation(x, rng.uniform(-50 / 360, 50 / 360), rng.uniform(0.5, 1.5)),
        "solarize": lambda x, rng, some: solarize(x, rng.uniform(32 / 255, 128 / 255)),
        "posterize": lambda x, rng, some: posterize(x, 4),
        "invert": lambda x, rng, some: invert(x),
        "autocontrast": lambda x, rng, some: autocontrast(x, some),
        "equalize": lambda x, rng, some: equalize(x, some),
        "rotate": lambda x, rng, some: rotate(x, rng.uniform(-45, 45), some),
    },
}
"""Sets of operators with the published ranges; levels of 0 to 255 as fractions."""


def augmented(
    texture: Floats, rng: Rng, operators: str, places: NDArray[np.intp] | None = None
) -> tuple[Floats, list[str]]:
    """Put a texture through three operators of a set, drawn without replacement and applied in drawn order.

    Args:
        places: the pixels that matter, in the flattened rows and columns; the others may be anything. From the last
            operator that moves pixels on, only these are worked on if they are under half of all, and what an operator
            asks of the whole texture is asked of every so manieth of its pixels.

    Returns:
        The new texture and the names of the operators; without operators, the texture as it is.
    """
    names = list(OPERATORS[operators])
    drawn = [names[int(place)] for place in rng.child("order").permutation(len(names))[:_NUMBER]]
    if not drawn:
        return texture, drawn
    h, w, channels = texture.shape
    few = places is not None and 2 * len(places) < h * w
    moved = max((k + 1 for k, name in enumerate(drawn) if name in _MOVING), default=0) if few else len(drawn)
    if moved:
        # A float image may hold more than the operators' tables cover.
        texture = _clipped(texture)
    alone = few and moved > 0 and drawn[moved - 1] in _AT_PLACES
    for name in drawn[: moved - alone]:
        texture = OPERATORS[operators][name](texture, rng.child(name), _ALL)
    if places is None or not few:
        return texture, drawn
    step = max(1, math.isqrt(h * w // _ASKED))
    rest = (np.arange(0, h, step)[:, None] * w + np.arange(0, w, step)).ravel()
    at = np.concatenate([rest, places])
    if alone:
        part = OPERATORS[operators][drawn[moved - 1]](texture, rng.child(drawn[moved - 1]), at)
    else:
        part = _clipped(texture.reshape(-1, channels).take(at, axis=0)[:, None])
    for name in drawn[moved:]:
        part = OPERATORS[operators][name](part, rng.child(name), slice(0, len(rest)))
    out = np.zeros((h * w, channels), np.float32)
    out[places] = part[len(rest) :, 0]
    return out.reshape(h, w, channels), drawn
