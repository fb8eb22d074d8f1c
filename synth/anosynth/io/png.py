"""PNG: a fast lossless writer for 8 and 16 bit, and a reader of 16 bit, which Pillow would cut down to 8 in colour.

Source: W3C Recommendation "Portable Network Graphics (PNG) Specification", sections 5 (chunks), 8 (interlacing),
9 (filters).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError

Array = NDArray[Any]
Bytes = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_CHANNELS = {kind: channels for channels, kind in _COLOUR_TYPES.items()}
# (first row, first column, rows apart, columns apart) of the seven passes of an interlaced picture.
_PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4


def encode_png(pixels: Array, *, flat: bool = False) -> bytes:
    """Return the PNG of pixels (H, W) or (H, W, C), uint8 or uint16, C from 1 to 4 (grey, with alpha, RGB, RGBA).

    Photos are filtered by difference to the left and only Huffman-coded, which is several times as fast as a search
    for repetitions and no larger; `flat` is for masks, which consist of runs.

    Raises:
        WriteError: PNG has no room for such pixels.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2] if pixels.ndim == 3 else 0
    if channels not in _COLOUR_TYPES or pixels.dtype not in (np.uint8, np.uint16) or not pixels.size:
        raise WriteError(
            f"PNG: {pixels.dtype} {pixels.shape}: expected uint8 or uint16 with 1 to 4 channels\nhint: write .tiff"
        )
    height, width = pixels.shape[:2]
    raw = np.ascontiguousarray(pixels, dtype=">u2" if pixels.dtype == np.uint16 else np.uint8).view(np.uint8)
    rows = raw.reshape(height, -1)
    step = rows.shape[1] // width
    lines = np.zeros((height, rows.shape[1] + 1), dtype=np.uint8)
    lines[:, 0] = _SUB
    lines[:, 1 : step + 1] = rows[:, :step]
    np.subtract(rows[:, step:], rows[:, :-step], out=lines[:, step + 1 :])
    strategy = zlib.Z_RLE if flat else zlib.Z_HUFFMAN_ONLY
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, strategy)
    data = packer.compress(lines.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, _COLOUR_TYPES[channels], 0, 0, 0)
    return b"".join([SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield (type, content) of all chunks up to and with IEND.

    Raises:
        DataError: the file ends before IEND, or a chunk that matters does not fit its check sum.
    """
    view, start = memoryview(data), len(SIGNATURE)
    while True:
        if start + 12 > len(data):
            raise DataError("PNG: ends in the middle")
        size, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        end = start + 8 + size
        if end + 4 > len(data):
            raise DataError("PNG: ends in the middle")
        content = view[start + 8 : end]
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(data[end : end + 4], "big"):
            raise DataError(f"PNG: {kind.decode('ascii', 'replace')}: does not fit its check sum")
        yield kind, content
        if kind == b"IEND":
            return
        start = end + 4


def first_chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the first chunk of each type, without the content of those that hold pixels; raises as `chunks`."""
    found: dict[bytes, bytes] = {}
    for kind, content in chunks(data):
        if kind not in found:
            found[kind] = b"" if kind in (b"IDAT", b"fdAT") else bytes(content)
    return found


def decode_png16(data: bytes, *, largest: int) -> NDArray[np.uint16]:
    """Return the pixels of a PNG of 16 bit per channel, (H, W) for grey, else (H, W, C); transparency keys are left.

    Raises:
        DataError: it is damaged, or has more than `largest` pixels.
    """
    parts = list(chunks(data))
    if parts[0][0] != b"IHDR" or len(parts[0][1]) != 13:
        raise DataError("PNG: has no header")
    width, height, depth, colour, packing, filters, interlaced = struct.unpack(">IIBBBBB", parts[0][1])
    if depth != 16 or colour not in _CHANNELS or packing or filters or interlaced > 1 or not width * height:
        raise DataError(f"PNG: {depth} bit of colour type {colour}: not what a picture of 16 bit has")
    if width * height > largest:
        raise DataError(too_many((height, width), largest))
    step = 2 * _CHANNELS[colour]
    passes = _PASSES if interlaced else [(0, 0, 1, 1)]
    sizes = [(-(-max(height - r, 0) // dr), -(-max(width - c, 0) // dc)) for r, c, dr, dc in passes]
    # A pass without columns has no lines either, not even their filter bytes.
    lengths = [rows * (columns * step + 1) if columns else 0 for rows, columns in sizes]
    lines = _unpacked(b"".join(content for kind, content in parts if kind == b"IDAT"), sum(lengths))
    pixels = np.zeros((height, width, step), dtype=np.uint8)
    start = 0
    for (r, c, dr, dc), (rows, _), length in zip(passes, sizes, lengths, strict=True):
        if length:
            pixels[r::dr, c::dc] = _unfiltered(lines[start : start + length].reshape(rows, -1), step)
        start += length
    whole = pixels.view(">u2").astype(np.uint16)
    return whole[:, :, 0] if whole.shape[2] == 1 else whole


def too_many(shape: tuple[int, int], largest: int) -> str:
    """Return the message about a picture (H, W) of more than `largest` pixels."""
    return f"{shape[0]} x {shape[1]} pixels: expected at most {largest} in all\nhint: --max-pixels allows more"


def _unpacked(data: bytes, size: int) -> Bytes:
    # No more than `size` is ever unpacked, so that a small file cannot fill the memory.
    unpacker = zlib.decompressobj()
    try:
        lines = unpacker.decompress(data, size)
    except zlib.error as error:
        raise DataError(f"PNG: cannot be unpacked: {error}") from None
    if len(lines) < size:
        raise DataError(f"PNG: {len(lines)} bytes of pixels: expected {size}")
    return np.frombuffer(lines, dtype=np.uint8)


def _unfiltered(lines: Bytes, step: int) -> Bytes:
    """Undo the filters of lines (rows, 1 + columns * step), each with its filter first; return (rows, columns, step).

    A byte depends on its neighbours to the left, above, and above left, so all of one diagonal x + y = const are known
    at once when the two diagonals before are: the loop is as long as the picture's sides, not as its area.
    """
    rows, columns = lines.shape[0], (lines.shape[1] - 1) // step
    kind = lines[:, 0]
    if kind.max() > _PAETH:
        raise DataError(f"PNG: filter {kind.max()}: expected 0 to 4")
    coded = lines[:, 1:].reshape(rows, columns, step)
    if kind.max() <= _SUB:
        summed = np.cumsum(coded, axis=1, dtype=np.uint8)
        return np.where(kind[:, None, None] == _SUB, summed, coded)
    # A border of zeros above and to the left stands for what is beyond the picture.
    done = np.zeros((rows + 1, columns + 1, step), dtype=np.uint8)
    for diagonal in range(rows + columns - 1):
        y = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        x = diagonal - y
        left, up, corner = (done[y + 1, x], done[y, x + 1], done[y, x])
        done[y + 1, x + 1] = coded[y, x] + _predicted(kind[y], left, up, corner)
    return done[1:, 1:]


def _predicted(kind: Bytes, left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Return what was subtracted from pixels (n, step) by the filters (n,) of their lines."""
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    across, down, both = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    paeth = np.where((across <= down) & (across <= both), left, np.where(down <= both, up, corner))
    average = ((a + b) >> 1).astype(np.uint8)
    which = kind[:, None]
    found = np.where(which == _SUB, left, np.where(which == _UP, up, np.where(which == _AVERAGE, average, paeth)))
    return np.where(which == 0, np.uint8(0), found)
