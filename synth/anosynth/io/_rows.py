"""Rows of numbers as text -> arrays: one pass in C, with every line checked for its number of fields."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

Array = NDArray[Any]


def cut_lines(data: bytes, start: int, counts: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
    """Return (from, to) of consecutive blocks of lines, the k-th of which holds `counts[k][1]` lines.

    Raises:
        DataError: there are fewer lines than that, or something is left after them.
    """
    ends = np.flatnonzero(np.frombuffer(data, np.uint8)[start:] == 10) + (start + 1)
    if not data.endswith(b"\n") and len(data) > start:
        ends = np.append(ends, len(data))
    blocks, line, at = [], 0, start
    for name, count in counts:
        if line + count > len(ends):
            raise DataError(f"{name}: {len(ends) - line} lines: expected {count} by the header (is the file cut off?)")
        line += count
        end = int(ends[line - 1]) if line else start
        blocks.append((at, end))
        at = end
    if data[at:].strip():
        raise DataError(f"{len(ends) - line} more lines than the header says")
    return blocks


def parse_rows(text: bytes, columns: int, name: str = "row") -> NDArray[np.float64]:
    """Parse lines of `columns` numbers separated by white space; blank lines are skipped.

    Returns:
        (N, columns) float64, correctly rounded.

    Raises:
        DataError: a field is no number, or a line has another number of fields; names the first such line, counted
            from 1 within `text`.
    """
    if not text.strip():
        return np.zeros((0, columns))
    first, last = _token_lines(text, columns)
    if first is None or bool((first != last).any()) or bool((first[1:] == first[:-1]).any()):
        raise DataError(_first_ragged_line(text, columns, name))
    flat = _floats(text)
    if flat is None or len(flat) != len(first) * columns:
        raise DataError(_first_bad_number(text, name))
    return flat.reshape(-1, columns)


def _token_lines(text: bytes, columns: int) -> tuple[Array | None, Array]:
    """Return the line of each row's first and last field, if the fields can be so divided at all."""
    raw = np.frombuffer(text, np.uint8)
    ink = raw > 32
    starts = np.flatnonzero(ink[1:] & ~ink[:-1]) + 1
    if ink[0]:
        starts = np.concatenate([[0], starts])
    ends = np.flatnonzero(raw == 10)
    if len(starts) % columns:
        return None, starts
    first = np.searchsorted(ends, starts[::columns])
    return first, np.searchsorted(ends, starts[columns - 1 :: columns])


def _floats(text: bytes) -> NDArray[np.float64] | None:
    # Older releases of numpy warn and return what they could read, newer ones raise.
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(text, np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            return None


def _first_ragged_line(text: bytes, columns: int, name: str) -> str:
    for number, line in enumerate(text.split(b"\n"), 1):
        fields = len(line.split())
        if fields not in (0, columns):
            return f"{name} {number}: {fields} fields: expected {columns}"
    return f"{name}s: expected {columns} fields each"


def _first_bad_number(text: bytes, name: str) -> str:
    for number, line in enumerate(text.split(b"\n"), 1):
        for word in line.split():
            try:
                float(word)
            except ValueError:
                return f"{name} {number}: `{word[:40].decode('latin-1')}`: expected a number"
    return f"{name}s: expected numbers"


def as_type(column: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Cast a float64 column (N, ...) to the declared `dtype`; integers must be whole and in range.

    Raises:
        DataError: a value does not fit.
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return column.astype(dtype)
    info = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        # As a float the largest number of 64 bits is one more than it is.
        bad = ~((column >= info.min) & (column < info.max + 1.0) & (column == np.floor(column)))
    if bad.any():
        value = column[bad].flat[0]
        raise DataError(f"{name}: {value:g}: expected a whole number from {info.min} to {info.max}")
    return column.astype(dtype)


def exact_integers(text: bytes, columns: int, index: int, dtype: np.dtype[Any], name: str) -> Array:
    """Parse one column of 64-bit integers from `text` (already known to hold rows of `columns` fields)."""
    info = np.iinfo(dtype)
    try:
        values = [int(word) for word in text.split()[index::columns]]
    except ValueError:
        raise DataError(f"{name}: expected whole numbers") from None
    if min(values) < info.min or max(values) > info.max:
        raise DataError(f"{name}: expected whole numbers from {info.min} to {info.max}")
    return np.array(values, dtype)


def integer_columns(text: bytes, rows: Array) -> list[bool]:
    """Tell which columns of `rows` (N, C) are spelt as integers (no point, no exponent) throughout `text`."""
    whole = [bool(np.isfinite(column).all() and (column == np.floor(column)).all()) for column in rows.T]
    if not any(whole):
        return whole
    raw = np.frombuffer(text, np.uint8)
    ink = raw > 32
    edge = np.diff(np.concatenate([[False], ink, [False]]).astype(np.int8))
    starts, stops = np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)
    marks = np.flatnonzero((raw == 46) | (raw == 69) | (raw == 101))
    columns = rows.shape[1]
    for index in np.flatnonzero(whole):
        begin, end = np.searchsorted(marks, starts[index::columns]), np.searchsorted(marks, stops[index::columns])
        whole[index] = bool((begin == end).all())
    return whole


_POINT_ZERO = re.compile(rb"\.0*(?=[\s,;]|\Z)")


def trims_zeros(sample: bytes) -> bool:
    """Tell whether a file seems to write whole floats as `1` rather than `1.0`."""
    return _POINT_ZERO.search(sample) is None
