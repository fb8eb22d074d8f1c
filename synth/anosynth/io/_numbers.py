"""Numbers as text: the shortest decimals that read back to the same number, for whole columns at once.

A column becomes a (N, W) uint8 matrix with one number per row; zero bytes are padding, dropped at the end. Fixed
notation is made by integer arithmetic on all rows together; the few numbers that need 16 or 17 digits or an
exponent go through `repr` one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Array = NDArray[Any]

_CHUNK = 1 << 15
_POW10 = 10.0 ** np.arange(23)
_INT_POW10 = 10 ** np.arange(19, dtype=np.int64)


def _tables() -> tuple[Array, Array, Array]:
    digits = np.arange(10000, dtype=np.int64)[:, None] // np.array([1000, 100, 10, 1]) % 10
    full = (digits + 48).astype(np.uint8)
    left = np.where(np.maximum.accumulate(digits, axis=1) > 0, full, 0).astype(np.uint8)
    right = np.where(np.maximum.accumulate(digits[:, ::-1], axis=1)[:, ::-1] > 0, full, 0).astype(np.uint8)
    return tuple(table.view(np.uint32)[:, 0].copy() for table in (full, left, right))  # type: ignore[return-value]


# Four digits at a time: all of them, without leading zeros, without trailing zeros.
_FULL, _NO_LEADING, _NO_TRAILING = _tables()


def write_table(file: BinaryIO, columns: Sequence[Array], delimiter: str = " ") -> None:
    """Write rows of numbers as text, one line each, such as the `x y z label` of ground-truth files.

    Args:
        file: open for writing bytes.
        columns: each (N,) or (N, K), bool, integer or float; all with the same N. float32 and float64 are written
            with the fewest digits that read back to the same number of that type.
        delimiter: what stands between two numbers.
    """
    for chunk in table_chunks(columns, delimiter.encode("ascii"), b"\n"):
        file.write(chunk)


def table_chunks(
    columns: Sequence[Array], delimiter: bytes, newline: bytes, *, trim: bool = False, trail: bytes = b""
) -> Iterator[bytes]:
    """Yield the text of `columns` piece by piece; `trim` writes whole floats as `1` rather than `1.0`."""
    flat = [part for column in columns for part in (column.T if column.ndim == 2 else [column])]
    rows = len(flat[0]) if flat else 0
    end = np.frombuffer(trail + newline, np.uint8)
    gap = np.frombuffer(delimiter, np.uint8)
    for start in range(0, rows, _CHUNK):
        stop = min(start + _CHUNK, rows)
        parts: list[Bytes] = []
        for number, column in enumerate(flat):
            if number:
                parts.append(np.broadcast_to(gap, (stop - start, len(gap))))
            parts.append(number_text(column[start:stop], trim=trim))
        parts.append(np.broadcast_to(end, (stop - start, len(end))))
        text = np.concatenate(parts, axis=1)
        yield text[text != 0].tobytes()


def number_text(column: Array, *, trim: bool = False) -> Bytes:
    """Return the (N, W) uint8 text of a (N,) column of bools, integers or floats, padded with zero bytes."""
    if column.dtype.kind in "bu":
        return _integer_text(column.astype(np.uint64), None)
    if column.dtype.kind == "i":
        wide = column.astype(np.int64)
        # The modulus of the lowest int64 is no int64; as an unsigned difference it is right.
        return _integer_text(np.where(wide < 0, -wide.view(np.uint64), wide.view(np.uint64)), wide < 0)
    return _float_text(column, trim)


def _integer_text(magnitude: NDArray[np.uint64], negative: NDArray[np.bool_] | None) -> Bytes:
    groups = max(1, -(-len(str(int(magnitude.max(initial=0)))) // 4))
    out = np.zeros((len(magnitude), groups), np.uint32)
    rest, base = magnitude, np.uint64(10000)
    for group in range(groups - 1, -1, -1):
        upper = rest // base
        low = (rest - upper * base).astype(np.int64)
        out[:, group] = np.where(upper > 0, _FULL[low], _NO_LEADING[low])
        rest = upper
    text = out.view(np.uint8)
    text[magnitude == 0, -1] = 48
    if negative is None or not negative.any():
        return text
    return np.concatenate([(negative * np.uint8(45))[:, None], text], axis=1)


def _float_text(column: Array, trim: bool) -> Bytes:
    with np.errstate(invalid="ignore"):  # widening a signalling NaN counts as an invalid operation
        value = column.astype(np.float64)
    size = np.abs(value)
    mantissa, decimals, done = _shortest(size, column.dtype == np.float32)
    unit = _INT_POW10[decimals]
    whole = mantissa // unit
    places = int(decimals.max(initial=0))
    groups = -(-places // 4)
    fraction = (mantissa - whole * unit) * _INT_POW10[places - decimals]
    sign = (np.signbit(value) * np.uint8(45))[:, None]
    parts = [sign, _integer_text(whole.view(np.uint64), None), *_fraction_text(fraction, places, groups, trim)]
    text = np.concatenate(parts, axis=1)
    slow = np.flatnonzero(~done)
    return _with_slow(text, slow, column[slow], trim) if len(slow) else text


def _shortest(size: NDArray[np.float64], single: bool) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return int64 m and d such that m / 10**d is the shortest decimal for each size, and where that was found.

    m / 10**d is correctly rounded as both are exact in float64, hence equal to what a reader makes of the decimal.
    """
    mantissa = np.zeros(len(size), np.int64)
    decimals = np.zeros(len(size), np.int64)
    done = size == 0
    eligible = np.flatnonzero((size >= 1e-4) & (size < 1e9))
    rest, exponent = eligible, _exponent(size[eligible])
    for digits in (6, 7, 8, 9) if single else (9, 15):
        x = size[rest]
        # At most 16, so that the digits after the point fit four groups of four in an int64.
        places = np.clip(digits - 1 - exponent, 0, 16)
        power = _POW10[places]
        m = np.rint(x * power)
        back = m / power
        # A reader of float32 may round once or, by way of float64, twice: an exhaustive search found no decimal of up
        # to nine digits in this range for which that makes a difference.
        good = back.astype(np.float32) == x.astype(np.float32) if single else back == x
        found = rest[good]
        mantissa[found], decimals[found], done[found] = m[good], places[good], True
        rest, exponent = rest[~good], exponent[~good]
    return mantissa, decimals, done


def _exponent(size: NDArray[np.float64]) -> Array:
    """Return floor(log10(size)) as int64 for sizes in [1e-4, 1e9)."""
    return np.searchsorted(_EDGES, size, side="right") - 5


_EDGES = np.array([1e-4, 1e-3, 1e-2, 1e-1, *(10.0 ** np.arange(10))])


def _fraction_text(fraction: Array, places: int, groups: int, trim: bool) -> list[Bytes]:
    whole = fraction == 0
    point = np.full((len(fraction), 1), 46, np.uint8)
    zero = np.zeros((len(fraction), 1), np.uint8)
    if trim:
        point[whole] = 0
    else:
        zero[whole] = 48
    out = np.zeros((len(fraction), groups), np.uint32)
    if groups:
        rest = fraction * 10 ** (4 * groups - places)
        seen = np.zeros(len(fraction), bool)
        for group in range(groups - 1, -1, -1):
            upper = rest // 10000
            low = rest - upper * 10000
            out[:, group] = np.where(seen, _FULL[low], _NO_TRAILING[low])
            seen |= low > 0
            rest = upper
    return [point, out.view(np.uint8), zero]


def _with_slow(text: Bytes, slow: Array, values: Array, trim: bool) -> Bytes:
    words = [repr(v) for v in values.tolist()] if values.dtype == np.float64 else [str(v) for v in values]
    if trim:
        words = [word.removesuffix(".0") for word in words]
    spelt = np.array(words, dtype="S")
    width = max(text.shape[1], spelt.dtype.itemsize)
    out = np.zeros((len(text), width), np.uint8)
    out[:, : text.shape[1]] = text
    out[slow] = 0
    out[slow, : spelt.dtype.itemsize] = spelt.view(np.uint8).reshape(len(slow), -1)
    return out
