"""Reading photos of any common format into arrays, bit for bit, and writing them without loss."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.images._sample import Image
from anosynth.io._pictures import decoded, stored
from anosynth.io.atomic import atomic_write
from anosynth.io.files import regular_bytes
from anosynth.io.png import encode_png
from anosynth.io.tiff import encode_tiff, squeezed

Array = NDArray[Any]

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp"])
"""The file name suffixes of photos, in lower case."""

UNREAD = frozenset(
    [".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".heic", ".heif", ".avif"]
).union(
    [".exr", ".hdr", ".dcm", ".psd", ".tga", ".ico", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"]
)
"""Those of photos in formats that are not read."""

MAX_PIXELS = 250_000_000
"""Number of pixels that a photo may have unless told otherwise: more than any camera's, less than fills a memory."""

_limit: ContextVar[int] = ContextVar("anosynth-max-pixels", default=MAX_PIXELS)


@contextmanager
def limited(largest: int) -> Iterator[None]:
    """Let photos that are read in the block have up to `largest` pixels: those of a run, its maps, banks and masks."""
    token = _limit.set(largest)
    try:
        yield
    finally:
        _limit.reset(token)


def read_image(path: str | os.PathLike[str], *, largest: int | None = None) -> Image:
    """Read a photo as it is meant to be seen; the content decides on the format, not the suffix.

    Grey images have the shape (H, W), others (H, W, C), with `opacity` where the last channel is one: 8 and 16 bit and
    float32 are kept bit for bit, 1 bit becomes 0 and 255, palettes and CMYK become RGB (RGBA where a palette has
    transparency). The orientation of a camera is applied. Colour profiles and transparent colours are dropped.
    `document` is an `Origin` that says so.

    Args:
        path: a regular file of PNG, JPEG, BMP, TIFF or WebP.
        largest: number of pixels that an image may have, looked up before anything is unpacked; None for what
            `limited` says, else `MAX_PIXELS`, 250 million.

    Raises:
        DataError: there is no such file, it cannot be read, is no image, is damaged, has several frames or too many
            pixels, is smaller than 8 x 8, or has a type that cannot be kept.
    """
    name = os.fspath(path)
    data = regular_bytes(path, "a photo")
    try:
        pixels, origin, opacity = decoded(data, _limit.get() if largest is None else largest)
        if pixels.dtype == np.float32:
            _check_range(pixels)
        return Image(pixels, document=origin, opacity=opacity)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def read_mask(path: str | os.PathLike[str], *, one: int = 255) -> NDArray[np.bool_]:
    """Return the mask (H, W) of a picture of 8 bit and one channel that holds nothing but 0 and `one`; of any size.

    Raises:
        DataError: there is no such file, it cannot be read, has too many pixels, or is of another kind.
    """
    name = os.fspath(path)
    data = regular_bytes(path, "a mask")
    try:
        pixels = stored(data, _limit.get())
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or not ((pixels == 0) | (pixels == one)).all():
        raise DataError(f"{name}: expected 8 bit, one channel, 0 or {one}")
    mask: NDArray[np.bool_] = pixels == one
    return mask


def write_image(path: str | os.PathLike[str], image: Image) -> None:
    """Write an image without loss as PNG or TIFF, by the suffix; the file appears whole or not at all.

    PNG takes 8 and 16 bit with up to four channels, of which it takes the second or fourth for opacity; TIFF takes
    everything and is told what the last channel is.

    Raises:
        WriteError: the suffix is another one, PNG cannot hold the pixels, or the disk refuses.
    """
    name, suffix = os.fspath(path), Path(path).suffix.lower()
    if suffix == ".png":
        try:
            data = encode_png(image.pixels)
        except WriteError as error:
            raise WriteError(f"{name}: {error}") from None
    elif suffix in (".tif", ".tiff"):
        data = encode_tiff(image.pixels, opacity=image.opacity)
    else:
        raise WriteError(f"{name}: suffix `{suffix}`: expected .png or .tiff, which keep every bit")
    _write(path, data)


def write_mask(path: str | os.PathLike[str], mask: NDArray[np.bool_]) -> None:
    """Write a mask (H, W) as a PNG of 8 bit and one channel, 0 or 255.

    Raises:
        WriteError: the disk refuses.
    """
    _write(path, encode_png(mask.astype(np.uint8) * np.uint8(255), flat=True))


def write_map(path: str | os.PathLike[str], numbers: NDArray[np.uint16]) -> None:
    """Write numbers (H, W) as a grey PNG of 8 bit, or of 16 if there are greater ones than 255.

    Raises:
        WriteError: the disk refuses.
    """
    small = int(numbers.max()) <= 255
    _write(path, encode_png(numbers.astype(np.uint8) if small else numbers, flat=True))


def image_digest(image: Image) -> str:
    """Return the SHA-256, in hex, of the pixels by dtype, shape and little-endian bytes, whatever file they came from.

    (H, W, 1) counts as (H, W), which is how it is read back.
    """
    pixels = squeezed(image.pixels)
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    head = json.dumps([little.dtype.str, list(little.shape)]).encode("ascii") + b"\n"
    total = hashlib.sha256(head)
    total.update(little.data)
    return total.hexdigest()


def _check_range(pixels: Array) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    # Sharpening overshoots a little; counts of a sensor or depths are of another scale altogether.
    if not (low >= -1.0 and high <= 2.0):
        raise DataError(f"float32 from {low:g} to {high:g}: expected 0 to 1\nhint: divide by the value of white")


def _write(path: str | os.PathLike[str], data: bytes) -> None:
    with atomic_write(path) as file:
        file.write(data)
