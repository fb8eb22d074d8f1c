"""LZF, the compression of `binary_compressed` PCD files.

A control byte c < 32 is followed by c + 1 literal bytes; any other repeats L + 2 bytes from D + 1 bytes back, with
L = c >> 5 (plus the next byte if that is 7) and D = (c & 31) * 256 + the last byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

Array = NDArray[Any]

_LITERAL, _REPEAT = 32, 264
_PERIOD = 4
_WORTH = 8
_BLOCK = 1 << 20


def decompress(data: bytes, size: int) -> bytes:
    """Return the `size` bytes that LZF `data` stands for.

    Raises:
        DataError: `data` is damaged or stands for another number of bytes.
    """
    out = bytearray()
    at, end = 0, len(data)
    try:
        while at < end:
            control = data[at]
            at += 1
            if control < 32:
                out += data[at : at + control + 1]
                at += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length += data[at]
                at += 1
            back = ((control & 31) << 8) + data[at] + 1
            at += 1
            start = len(out) - back
            if start < 0:
                raise DataError("compressed data: a repeat from before the beginning: expected intact LZF")
            if length <= back:
                out += out[start : start + length]
            else:
                out += (out[start:] * (length // back + 1))[:length]
    except IndexError:
        at = end + 1
    if at != end or len(out) != size:
        raise DataError(f"compressed data: {len(out)} bytes: expected {size} (is the file cut off?)")
    return bytes(out)


def compress(data: bytes) -> bytes:
    """Return LZF for `data`: bytes that equal the ones four before become repeats, all others stay literal.

    That takes no loop over bytes, and it catches what compresses well in a cloud stored field by field: labels,
    constant fields and the not-a-numbers of an organised scan.
    """
    raw = np.frombuffer(data, np.uint8)
    return b"".join(_block(raw[at : at + _BLOCK]) for at in range(0, len(raw), _BLOCK))


def _block(raw: NDArray[np.uint8]) -> bytes:
    starts, lengths, repeats = _segments(raw)
    limit = np.where(repeats, _REPEAT, _LITERAL)
    pieces = -(-lengths // limit)
    part = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    limit, repeat = np.repeat(limit, pieces), np.repeat(repeats, pieces)
    start = np.repeat(starts, pieces) + part * limit
    length = np.minimum(limit, np.repeat(starts + lengths, pieces) - start)
    long = repeat & (length >= 9)
    size = np.where(repeat, 2 + long, 1 + length)
    at = np.cumsum(size) - size
    out = np.zeros(int(size.sum()), np.uint8)
    out[at] = np.where(repeat, np.minimum(length - 2, 7) << 5, length - 1)
    out[at[long] + 1] = length[long] - 9
    out[at[repeat] + size[repeat] - 1] = _PERIOD - 1
    literal = ~repeat
    count = length[literal]
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    out[np.repeat(at[literal] + 1, count) + step] = raw[np.repeat(start[literal], count) + step]
    return out.tobytes()


def _segments(raw: NDArray[np.uint8]) -> tuple[Array, Array, Array]:
    """Return start, length and kind of the segments: literal, repeat, literal, ... (literals may be empty)."""
    same = (raw[_PERIOD:] == raw[:-_PERIOD]) if len(raw) > _PERIOD else np.zeros(0, bool)
    edge = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8))) + _PERIOD
    begin, stop = edge[::2], edge[1::2]
    # A repeat has at least three bytes, so a rest of one or two is left to the literals that follow.
    rest = (stop - begin) % _REPEAT
    stop = stop - np.where(rest < 3, rest, 0)
    worth = stop - begin >= _WORTH
    begin, stop = begin[worth], stop[worth]
    starts = np.concatenate([[0], np.stack([begin, stop], axis=1).reshape(-1)]).astype(np.int64)
    lengths = np.diff(np.append(starts, len(raw)))
    return starts, lengths, np.arange(len(starts)) % 2 == 1
