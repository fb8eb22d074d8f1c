"""TIFF photos: those of grey, RGB or other channels read bit for bit, and all that an `Image` can be written."""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io._strips import LZW, unpackable, unpacked
from anosynth.io._unpacking import MOST_DEFLATED
from anosynth.io.png import too_many

Array = NDArray[Any]

ORIENTATION = 274
"""The tag that says how a camera was held."""

_PROFILE = 34675
# Values of PhotometricInterpretation: grey where 0 is white, grey where it is black, colour.
_MINISWHITE, _MINISBLACK, _RGB = 0, 1, 2
# What tifffile unpacks by itself: none, deflate under its two numbers, PackBits.
_UNPACKED = (1, 8, 32946, 32773)
_CHANNELS = 4
_MOST_PAGES = 1000
# The longest string of LZW has 3838 bytes and takes a code of 12 bits.
_MOST_UNPACKED = {1: 1, LZW: 2560}
# Values of ExtraSamples: opacity that colours are multiplied by already, and opacity that they are not.
_ALPHA = (1, 2)


@contextmanager
def opened_tiff(data: bytes) -> Iterator[Any]:
    """Yield a TIFF as tifffile sees it, and keep it from saying to the log what the error says anyway.

    Raises:
        DataError: its pages have no end, or it has none.
    """
    import tifffile

    check_pages(data)
    quiet = logging.getLogger("tifffile")
    quiet.addFilter(_drop)
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if not file.pages:
                raise DataError("TIFF: no picture in it: expected one (is the file cut off?)")
            yield file
    finally:
        quiet.removeFilter(_drop)


def decode_tiff(data: bytes, *, largest: int) -> tuple[Array, int, bool, bool] | None:
    """Return the one picture of a TIFF as stored, its orientation (1 to 8), and if it has a profile and opacity.

    None for what Pillow converts or unpacks: palettes, CMYK, samples packed together, other compressions. Where 0 is
    white, values of 16 bit are turned over.

    Raises:
        DataError: it is damaged, has several pictures or more than `largest` pixels, or has a type that cannot be kept.
    """
    with opened_tiff(data) as file:
        page: Any = file.pages[0]
        # Previews come after the photo, and say that they are such.
        pages = [page, *(other for other in file.pages[1:] if not other.is_reduced)]
        if len(pages) != 1:
            raise DataError(f"{len(pages)} frames or pages: expected one picture")
        if not _for_us(page):
            return None
        _check_samples(page, largest)
        check_strips(page, len(data))
        shape, dtype, axes = tuple(page.shape), np.dtype(page.dtype), str(page.axes)
        pixels = unpacked(page, data) if page.compression == LZW else np.asarray(page.asarray())
        orientation = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
        profile = _PROFILE in page.tags
        # Whatever it says of channels before it: only the last one can be the opacity of an `Image`.
        opacity = bool(page.extrasamples) and page.extrasamples[-1] in _ALPHA
        turned_over = page.photometric == _MINISWHITE
    if pixels.shape != shape:
        raise DataError(f"{pixels.shape}: expected {shape} by its tags")
    pixels = squeezed(np.moveaxis(pixels, 0, 2) if axes == "SYX" else pixels)
    native = np.array(pixels, dtype=dtype.newbyteorder("="), order="C")
    opacity = opacity and native.ndim == 3 and native.shape[2] > 1
    upright = 1 if not isinstance(orientation, int) else orientation
    return ~native if turned_over else native, upright, profile, opacity


def _for_us(page: Any) -> bool:
    """Whether the pixels of a page are to be read here, bit for bit, rather than converted by Pillow."""
    bits = page.bitspersample
    # Samples of 1, 4 or 12 bit lie packed together, which Pillow takes apart; of 8 bit it does all that is left well.
    known = bits == 16 if page.photometric == _MINISWHITE else bits in (8, 16, 32, 64)
    if not known or page.photometric not in (_MINISWHITE, _MINISBLACK, _RGB):
        return False
    return page.compression in _UNPACKED or (page.compression == LZW and bits > 8 and unpackable(page))


def _check_samples(page: Any, largest: int) -> None:
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
    if len(page.dataoffsets) != len(page.databytecounts):
        raise DataError(f"TIFF: {len(page.dataoffsets)} strips, sizes of {len(page.databytecounts)}: expected as many")
    held = sum(page.databytecounts)
    if page.nbytes > held * _MOST_UNPACKED.get(page.compression, MOST_DEFLATED):
        raise DataError(f"TIFF: {held} bytes of pixels, which cannot hold the {page.nbytes} of its tags")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not offset or not count or offset + count > size:
            raise DataError("TIFF: ends in the middle")


def _drop(record: logging.LogRecord) -> bool:
    return False
