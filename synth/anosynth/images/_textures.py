"""Where foreign textures come from: made on the spot, or a folder of pictures."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, ParameterError
from anosynth.noise import lattice
from anosynth.seeding import Rng, normalise_key

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_KEPT = 32
_COARSE = 192
_APART = 0.35


def texture(kind: str, shape: tuple[int, int], channels: int, rng: Rng) -> Floats:
    """Return a texture (H, W, channels) float32 in [0, 1] that needs no data set. Ours.

    Args:
        kind: "fractal" (noise of several octaves), "stripes" and "weave" (warped threads), "cells" (each point takes
            after its nearest seed), "speckle" (grains), or "any" to have one of them drawn.
        shape: height and width, each >= 1; features are sized by the longer one.
        channels: >= 1; each colour is drawn for all of them.
        rng: stream of everything in it.
    """
    if kind == "any":
        kind = list(_KINDS)[rng.child("kind").integer(0, len(_KINDS) - 1)]
    value = _KINDS[kind](shape, rng.child(kind))
    return _ramp(value, channels, rng.child("colours"))


def _ramp(value: Floats, channels: int, rng: Rng) -> Floats:
    """Colour values in [0, 1] by a ramp of two or three colours."""
    number = rng.integer(2, 3)
    colours = rng.random(number * channels).reshape(number, channels)
    while np.abs(colours[0] - colours[1]).max() < _APART:
        colours = rng.random(number * channels).reshape(number, channels)
    at = np.linspace(0, number - 1, 256)
    low = np.minimum(at.astype(np.intp), number - 2)
    part = (at - low)[:, None]
    table = (colours[low] * (1 - part) + colours[low + 1] * part).astype(np.float32)
    return np.take(table, (value * np.float32(255)).astype(np.uint8), axis=0)


def _stretched(value: Floats) -> Floats:
    low, high = value.min(), value.max()
    return (value - low) / (high - low) if high > low else np.zeros_like(value)


def _noise(shape: tuple[int, int], cells: float, rng: Rng, octaves: int) -> Floats:
    """Noise with `cells` square cells along the longer side."""
    per_pixel = cells / max(shape)
    down, across = (max(1.0, size * per_pixel) for size in shape)
    return lattice(shape, (down, across), rng, octaves=octaves, persistence=0.65)


def _fractal(shape: tuple[int, int], rng: Rng) -> Floats:
    return _stretched(_noise(shape, rng.child("cells").log_uniform(2, 12), rng.child("noise"), 4))


def _threads(shape: tuple[int, int], rng: Rng) -> tuple[Floats, Floats]:
    """Two warped coordinates at right angles, in threads."""
    number, angle = rng.child("number").log_uniform(6, 30), rng.child("angle").uniform(0, 2 * np.pi)
    warp = np.float32(rng.child("warp").uniform(0, 0.8)) * _noise(shape, 3, rng.child("noise"), 2)
    step = number / max(shape)
    y, x = np.arange(shape[0])[:, None] * step, np.arange(shape[1]) * step
    c, s = steady.cos(angle), steady.sin(angle)
    first, second = (c * x + s * y).astype(np.float32), (c * y - s * x).astype(np.float32)
    return first + warp, second + warp


def _wave(phase: Floats) -> Floats:
    """1 in the middle of a thread, 0 between two."""
    t: Floats = 1 - np.abs(2 * (phase - np.floor(phase)) - 1)
    return t * t * (3 - 2 * t)


def _stripes(shape: tuple[int, int], rng: Rng) -> Floats:
    return _wave(_threads(shape, rng)[0])


def _weave(shape: tuple[int, int], rng: Rng) -> Floats:
    first, second = _threads(shape, rng)
    over = ((np.floor(first) + np.floor(second)).astype(np.int32) & 1).astype(np.bool_)
    return np.where(over, np.float32(0.5) * _wave(first), 1 - np.float32(0.5) * _wave(second))


def _cells(shape: tuple[int, int], rng: Rng) -> Floats:
    from scipy.ndimage import distance_transform_edt

    # A distance map is smooth but for the borders of cells: a coarse one, enlarged, cannot be told from a fine one.
    scale = max(1.0, max(shape) / _COARSE)
    tall, wide = (max(2, round(size / scale)) for size in shape)
    number = max(2, round(rng.child("number").log_uniform(40, 400) * tall * wide / max(tall, wide) ** 2))
    at = rng.child("seeds").random(2 * number)
    seeds = np.ones((tall, wide), dtype=np.bool_)
    seeds[(at[:number] * tall).astype(np.intp), (at[number:] * wide).astype(np.intp)] = False
    distance, (row, column) = distance_transform_edt(seeds, return_indices=True)
    shade = rng.child("shades").random(tall * wide).reshape(tall, wide)[row, column]
    far = distance / max(float(distance.max()), 1.0)
    return _enlarged((0.65 * shade + 0.35 * (1 - far)).astype(np.float32), shape)


def _enlarged(value: Floats, shape: tuple[int, int]) -> Floats:
    """Bilinear, corner on corner."""
    for axis, size in enumerate(shape):
        at = np.linspace(0, value.shape[axis] - 1, size)
        low = np.minimum(at.astype(np.intp), value.shape[axis] - 2)
        part = (at - low).astype(np.float32)
        part = part[:, None] if axis == 0 else part
        value = np.take(value, low, axis=axis) * (1 - part) + np.take(value, low + 1, axis=axis) * part
    return value


def _speckle(shape: tuple[int, int], rng: Rng) -> Floats:
    from scipy.ndimage import uniform_filter

    grains = rng.child("grains").random(shape[0] * shape[1]).reshape(shape).astype(np.float32)
    size = rng.child("size").integer(1, 3)
    if size > 1:
        grains = _stretched(uniform_filter(grains, size, mode="nearest"))
    return grains * grains * (3 - 2 * grains)


_KINDS: dict[str, Callable[[tuple[int, int], Rng], Floats]] = {
    "fractal": _fractal,
    "stripes": _stripes,
    "weave": _weave,
    "cells": _cells,
    "speckle": _speckle,
}


class TextureFolder:
    """The pictures below a folder, sorted by POSIX path, decoded when asked for; the last 32 are kept.

    Raises:
        ParameterError: there is no such folder, or no picture in it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise ParameterError(f"`textures`: {path}: is not a folder")
        found = (file for file in self.path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
        self.names: list[str] = sorted(file.relative_to(self.path).as_posix() for file in found)
        if not self.names:
            raise ParameterError(f"`textures`: {path}: holds no pictures ({' '.join(sorted(_SUFFIXES))})")
        self._keys = np.array([_name_key(name) for name in self.names], dtype=np.uint64)
        self._kept: OrderedDict[str, NDArray[np.uint8]] = OrderedDict()

    def choose(self, rng: Rng) -> str:
        """Return the name of a picture, each equally likely; a new picture takes no draw but those that go to it."""
        word = np.uint64(rng.integer(0, 2**64 - 1))
        # The picture with the least hash of (its name, the draw): its rank does not depend on the others.
        h = self._keys ^ word
        for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)):
            h = (h ^ (h >> np.uint64(shift))) * np.uint64(factor)
        return self.names[int((h ^ (h >> np.uint64(33))).argmin())]

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """Return a picture as (H, W, 3) uint8; treat it as read-only."""
        if name not in self._kept:
            self._kept[name] = _decoded(self.path / name)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name]

    def crop(self, name: str, shape: tuple[int, int], box: Box, channels: int) -> Floats:
        """Return what lies in `box` when the picture is resized to `shape` without keeping its aspect.

        Returns:
            (h, w, channels) float32 in [0, 1]: one channel is the luma, more than three go round red, green, blue.
        """
        return self.levels(name, shape, box, channels).astype(np.float32) / np.float32(255)

    def levels(self, name: str, shape: tuple[int, int], box: Box, channels: int) -> NDArray[np.uint8]:
        """Return the same as (h, w, channels) uint8; treat it as read-only."""
        from PIL import Image

        pixels, (top, left, bottom, right) = self.pixels(name), box
        if pixels.shape[:2] == shape and channels != 1:
            part = pixels[top:bottom, left:right]
        else:
            picture = Image.fromarray(pixels)
            if channels == 1:
                picture = picture.convert("L")
            down, across = picture.height / shape[0], picture.width / shape[1]
            # Rounding must not push an end beyond the picture, which Pillow refuses.
            ends = (left * across, top * down, min(right * across, picture.width), min(bottom * down, picture.height))
            part = np.asarray(picture.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=ends))
            part = part.reshape(bottom - top, right - left, -1)
        return part if channels in (1, 3) else part[:, :, np.arange(channels) % 3]


def _name_key(name: str) -> int:
    # File names need not be UTF-8, but every name has a key.
    data = normalise_key(name).encode("utf-8", "surrogateescape")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


def _decoded(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of what it takes for bombs, from half the size on at which it refuses them.
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                if picture.mode.startswith("I"):
                    deep = np.clip(np.asarray(picture, dtype=np.int64), 0, 65535)
                    return np.repeat((deep // 257).astype(np.uint8)[:, :, None], 3, axis=2)
                return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: cannot be read as a picture: {error}") from None


@lru_cache(maxsize=4)
def texture_folder(path: str) -> TextureFolder:
    """Return the folder, listed once in a process."""
    return TextureFolder(path)
