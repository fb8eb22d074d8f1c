"""TIFF photos: those of grey, RGB or other channels read bit for bit, and all that an `Image` can be written."""

from __future__ import annotations

import io
import logging
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io.png import too_many

Array = NDArray[Any]

ORIENTATION = 274
"""The tag that says how a camera was held."""

_PROFILE = 34675
# What tifffile unpacks by itself: none, deflate under its two numbers, PackBits.
_UNPACKED = (1, 8, 32946, 32773)
_CHANNELS = 4
_MOST_PAGES = 1000
# Deflate makes at most 1032 bytes of one.
_MOST_DEFLATED = 1040
# Values of ExtraSamples: opacity that colours are multiplied by already, and opacity that they are not.
_ALPHA = (1, 2)


def decode_tiff(data: bytes, *, largest: int) -> tuple[Array, int, bool, bool] | None:
    """Return the one picture of a TIFF as stored, its orientation (1 to 8), and if it has a profile and opacity.

    None for what Pillow converts or unpacks: palettes, CMYK, samples packed together, other compressions.

    Raises:
        DataError: it is damaged, has several pictures or more than `largest` pixels, or has a type that cannot be kept.
    """
    import tifffile

    check_pages(data)
    quiet = logging.getLogger("tifffile")
    quiet.addFilter(_drop)  # it would say to the log what the error says anyway
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if len(file.pages) != 1:
                raise DataError(f"{len(file.pages)} frames or pages: expected one picture")
            page: Any = file.pages[0]
            if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
                return None
            # Samples of 1, 4 or 12 bit lie packed together, which Pillow takes apart.
            if page.bitspersample not in (8, 16, 32, 64) or page.compression not in _UNPACKED:
                return None
            axes, shape, dtype = str(page.axes), tuple(page.shape), np.dtype(page.dtype)
            if axes not in ("YX", "YXS", "SYX"):
                raise DataError(f"axes {axes} {shape}: expected rows, columns and channels")
            if dtype not in (np.uint8, np.uint16, np.float32):
                raise DataError(f"{dtype}: expected uint8, uint16 or float32")
            if page.imagelength * page.imagewidth > largest:
                raise DataError(too_many((page.imagelength, page.imagewidth), largest))
            if math.prod(shape) > _CHANNELS * largest:
                limit = f"expected at most {_CHANNELS} for each of {largest} pixels"
                raise DataError(f"{shape}: {math.prod(shape)} values: {limit}\nhint: --max-pixels allows more")
            check_strips(page, len(data))
            pixels = np.asarray(page.asarray())
            orientation = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
            profile = _PROFILE in page.tags
            # Whatever it says of channels before it: only the last one can be the opacity of an `Image`.
            opacity = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
    finally:
        quiet.removeFilter(_drop)
    if pixels.shape != shape:
        raise DataError(f"{pixels.shape}: expected {shape} by its tags")
    pixels = squeezed(np.moveaxis(pixels, 0, 2) if axes == "SYX" else pixels)
    native = np.array(pixels, dtype=dtype.newbyteorder("="), order="C")
    return native, int(orientation), profile, opacity and native.ndim == 3 and native.shape[2] > 1


def encode_tiff(pixels: Array, *, opacity: bool) -> bytes:
    """Return the TIFF of pixels (H, W) or (H, W, C) of any C; `opacity` says that the last channel is one."""
    import tifffile

    # Deflate leaves most floats and noise as they are, at a price in time; plain TIFF is what every reader knows.
    pixels = squeezed(pixels)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    rgb = channels in (3, 4) and pixels.dtype != np.float32 and not (channels == 3 and opacity)
    layout: dict[str, Any] = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
    further = channels - (3 if rgb else 1)
    if further:
        last = "unassalpha" if opacity else "unspecified"
        layout["extrasamples"] = [*["unspecified"] * (further - 1), last]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder="<") as file:
        kind = "rgb" if rgb else "minisblack"
        file.write(np.ascontiguousarray(pixels), photometric=kind, metadata=None, software="", datetime=None, **layout)
    return buffer.getvalue()


def squeezed(pixels: Array) -> Array:
    """Return (H, W, 1) as (H, W), all else as it is."""
    return pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def check_pages(data: bytes) -> None:
    """Raise DataError if the pages of a TIFF lead back to one another, which tifffile would follow for minutes.

    Source: TIFF 6.0, section 2: each directory ends with the place of the next, 0 for none.
    """
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = int.from_bytes(data[2:4], order) == 43
    counter, entry, width = (8, 20, 8) if big else (2, 12, 4)
    seen: set[int] = set()
    at = int.from_bytes(data[8:16] if big else data[4:8], order)
    while 0 < at < len(data):
        if at in seen or len(seen) == _MOST_PAGES:
            raise DataError("TIFF: damaged: its pages have no end")
        seen.add(at)
        after = at + counter + entry * int.from_bytes(data[at : at + counter], order)
        at = int.from_bytes(data[after : after + width], order)


def check_strips(page: Any, size: int) -> None:
    """Raise DataError if the pixels of a page do not lie in a file of `size` bytes, or could not come out of it.

    tifffile fills what is missing with zeros, however much it is.
    """
    held = sum(page.databytecounts)
    if page.nbytes > held * (1 if page.compression == 1 else _MOST_DEFLATED):
        raise DataError(f"TIFF: {held} bytes of pixels, which cannot hold the {page.nbytes} of its tags")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not offset or not count or offset + count > size:
            raise DataError("TIFF: ends in the middle")


def _drop(record: logging.LogRecord) -> bool:
    return False
