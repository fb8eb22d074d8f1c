"""Windows bitmaps of 8 bit: the form in which BTAD has most of its photos, written without loss."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import WriteError
from anosynth.io.atomic import atomic_write

_FILE, _INFO = 14, 40


def encode_bmp(pixels: NDArray[Any]) -> bytes:
    """Return the BMP of uint8 pixels (H, W), with a palette of greys, or (H, W, 3) RGB.

    Rows go from bottom to top, each padded to a multiple of 4 bytes, colours as blue, green, red.

    Raises:
        WriteError: a BMP of 8 bit cannot hold such pixels.
    """
    grey = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise WriteError(f"BMP: {pixels.dtype} {pixels.shape}: expected 8 bit, grey or RGB")
    height, width = pixels.shape[:2]
    rows = (pixels if grey else pixels[:, :, ::-1]).reshape(height, -1)[::-1]
    body = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4))).tobytes()
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 4)
    ramp[3::4] = 0
    palette = ramp.tobytes() if grey else b""
    start = _FILE + _INFO + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    colours = 256 if grey else 0
    bits = 8 if grey else 24
    info = struct.pack("<IiiHHIIiiII", _INFO, width, height, 1, bits, 0, len(body), 0, 0, colours, 0)
    return head + info + palette + body


def write_bmp(path: Path, pixels: NDArray[Any]) -> None:
    """Write such pixels, the whole file or none of it.

    Raises:
        WriteError: a BMP cannot hold the pixels, or the disk refuses.
    """
    try:
        data = encode_bmp(pixels)
    except WriteError as error:
        raise WriteError(f"{path}: {error}") from None
    with atomic_write(path) as file:
        file.write(data)
