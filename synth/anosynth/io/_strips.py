"""Strips of a TIFF packed by LZW, unpacked as plain bytes: tifffile cannot, and Pillow cuts 16 bit in colour to 8.

Source: TIFF 6.0, sections 2 (directories), 8 (strips) and 14 (differencing predictor).
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

LZW = 5
"""The number of this compression in TIFF."""

_AT_ONCE = 1 << 26
_SHORT, _LONG = 3, 4
_NO_PREDICTOR, _DIFFERENCES = 1, 2


def unpackable(page: Any) -> bool:
    """Whether `unpacked` can read a page of tifffile's: no tiles, no planes, no differences of floats."""
    differences = page.predictor == _DIFFERENCES and np.dtype(page.dtype).kind == "u"
    return not page.is_tiled and page.axes != "SYX" and (page.predictor == _NO_PREDICTOR or differences)


def unpacked(page: Any, data: bytes) -> NDArray[Any]:
    """Return the samples of such a page, (H, W) or (H, W, C).

    libtiff, by way of Pillow, is given the strips as those of a grey picture of 8 bit, as wide as a row has bytes.

    Raises:
        DataError: it has more or fewer strips than its rows need, or a strip is greater than Pillow takes.
    """
    height, dtype = page.imagelength, np.dtype(page.parent.byteorder + page.dtype.char)
    rows = min(page.rowsperstrip, height)
    strips = [data[at : at + size] for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if len(strips) != -(-height // rows):
        raise DataError(f"TIFF: {len(strips)} strips: expected one for each {rows} of {height} rows")
    width = page.imagewidth * page.samplesperpixel * dtype.itemsize
    grey = np.zeros((height, width), np.uint8)
    # Pillow holds a picture to a number of pixels, which are bytes here: several hundred millions.
    at_once = max(1, _AT_ONCE // (width * rows))
    for first in range(0, len(strips), at_once):
        part = grey[first * rows : (first + at_once) * rows]
        part[:] = _grey(strips[first : first + at_once], len(part), width, rows)
    samples: NDArray[Any] = grey.view(dtype).reshape(page.shape)
    if page.predictor == _NO_PREDICTOR:
        return samples
    return np.cumsum(samples, axis=1, dtype=dtype.newbyteorder("="))


def _grey(strips: Sequence[bytes], height: int, width: int, rows: int) -> NDArray[np.uint8]:
    """Return the picture (height, width) of 8 bit that strips of so many rows make."""
    from PIL import Image, TiffImagePlugin

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with TiffImagePlugin.TiffImageFile(io.BytesIO(_as_grey(strips, height, width, rows))) as picture:
                return np.asarray(picture)
    except Image.DecompressionBombError:
        raise DataError(
            f"TIFF: an LZW strip of {width * rows} bytes, which is more than Pillow takes\nhint: save it uncompressed"
        ) from None


def _as_grey(strips: Sequence[bytes], height: int, width: int, rows: int) -> bytes:
    """Return a little-endian TIFF of that picture."""
    number, sizes = len(strips), [len(strip) for strip in strips]
    # The head: 8 bytes, nine entries of a directory, then the places and the sizes of the strips.
    arrays = 8 + 2 + 9 * 12 + 4
    places = list(accumulate(sizes[:-1], initial=arrays + 8 * number))
    entries = [
        _entry(256, _LONG, [width], 0),
        _entry(257, _LONG, [height], 0),
        _entry(258, _SHORT, [8], 0),
        _entry(259, _SHORT, [LZW], 0),
        _entry(262, _SHORT, [1], 0),
        _entry(273, _LONG, places, arrays),
        _entry(277, _SHORT, [1], 0),
        _entry(278, _LONG, [rows], 0),
        _entry(279, _LONG, sizes, arrays + 4 * number),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    longs = struct.pack(f"<{2 * number}I", *places, *sizes)
    return b"".join([struct.pack("<2sHI", b"II", 42, 8), directory, longs, *strips])


def _entry(tag: int, kind: int, values: Sequence[int], place: int) -> bytes:
    """Return an entry of a directory; a value that does not fit into it lies at `place`."""
    return struct.pack("<HHII", tag, kind, len(values), values[0] if len(values) == 1 else place)
