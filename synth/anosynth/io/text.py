"""Points as text (.xyz, .txt, .csv, .asc): columns, delimiter, header and comment lines survive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io._fields import XYZ, cloud_arrays, file_columns
from anosynth.io._numbers import table_chunks
from anosynth.io._rows import exact_integers, integer_columns, parse_rows, trims_zeros
from anosynth.io._units import unit_in
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

_NORMAL = ("nx", "ny", "nz")
_BOM = b"\xef\xbb\xbf"
_COMMENT = (b"#", b"//")
_INTEGER_LIMIT = 2.0**53


@dataclass(frozen=True, eq=False)
class TextDocument:
    """What a text file says besides its numbers.

    Attributes:
        columns: the name of each column, in file order.
        integers: which of the coordinate and normal columns were spelt as integers.
        delimiter: what stands between two numbers.
        newline: what ends a line.
        lead: the lines before the first row (comments, column names), verbatim, a byte-order mark included.
        comments: later comment lines, each with the number of rows before it.
        points: number of rows that `comments` refers to.
        trim: whether whole floats are written as `1` rather than `1.0`.
        ended: whether the last line has a line end.
    """

    columns: tuple[str, ...] = XYZ
    integers: frozenset[str] = frozenset()
    delimiter: bytes = b" "
    newline: bytes = b"\n"
    lead: tuple[bytes, ...] = ()
    comments: tuple[tuple[int, bytes], ...] = field(default=())
    points: int = -1
    trim: bool = False
    ended: bool = True


def parse_text(data: bytes) -> PointCloud:
    """Read rows of at least three numbers separated by blanks, tabs, commas or semicolons.

    The names of the columns are taken from a line of words before the first row, or else from a comment right before
    it; without names the first three columns are x, y, z and the others attributes c4, c5, ... Named columns nx, ny,
    nz are normals. Numbers are float64; attribute columns without any point or exponent are int64.

    Raises:
        DataError: a line has another number of columns, or something else than numbers.
    """
    if b"\0" in data[:65536]:
        raise DataError("text: a zero byte: expected rows of numbers in ASCII or UTF-8")
    lead, start = _lead(data)
    newline = b"\r\n" if b"\r\n" in data[: start + 65536] else b"\n"
    body, comments = _without_comments(data[start:])
    end = body.find(b"\n")
    first = body[: end if end >= 0 else len(body)]
    delimiter = _delimiter(first)
    if mark := delimiter.strip():
        _check_fields(body, first, mark)
        body = body.replace(mark, b" ")
    width = len(body[: len(first)].split())
    if width < 3:
        shown = first.strip()[:40].decode("latin-1")
        raise DataError(f"text: its first row is `{shown}`: expected at least three columns, x y z")
    rows = parse_rows(body, width)
    names, whole = _names(lead, width, delimiter), integer_columns(body, rows)
    points, normals, attributes = cloud_arrays(_columns(body, rows, names, whole), _NORMAL)
    return PointCloud(
        points=points,
        normals=normals,
        attributes=attributes,
        unit=unit_in([*lead, *(line for _, line in comments)]),
        document=TextDocument(
            columns=names,
            integers=frozenset(name for name, is_whole in zip(names, whole, strict=True) if is_whole),
            delimiter=delimiter,
            newline=newline,
            lead=lead,
            comments=comments,
            points=len(rows),
            trim=trims_zeros(data[start : start + 65536]),
            ended=data.endswith(b"\n"),
        ),
    )


def _columns(body: bytes, rows: Array, names: Sequence[str], whole: Sequence[bool]) -> dict[str, Array]:
    """Return float64 columns by name, of attributes int64 where all are spelt so."""
    columns = dict[str, Array]()
    for index, name in enumerate(names):
        column = rows[:, index].copy()
        if whole[index] and name not in (*XYZ, *_NORMAL):
            if np.abs(column).max() < _INTEGER_LIMIT:
                column = column.astype(np.int64)
            else:
                column = exact_integers(body, len(names), index, np.dtype(np.int64), name)
        columns[name] = column
    return columns


def _lead(data: bytes) -> tuple[tuple[bytes, ...], int]:
    """Return the lines before the first row, and where that begins."""
    lines, at = list[bytes](), 0
    named = False
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        line = data[at:end].strip()
        bare = line.removeprefix(_BOM)
        comment = not bare or bare.startswith(_COMMENT)
        if not comment:
            if _is_row(bare):
                # The mark stands before the first row itself: it goes with the lines that are kept.
                return (_BOM, *lines) if line != bare else tuple(lines), at + len(line) - len(bare)
            if named:
                break
            named = True
        lines.append(data[at:end].rstrip(b"\r"))
        at = end + 1
    raise DataError("text: no row of numbers: expected at least one point")


def _is_row(line: bytes) -> bool:
    words = re.split(rb"[\s,;]+", line.strip(b" \t,;"))
    try:
        for word in words:
            float(word)
    except ValueError:
        return False
    return True


def _without_comments(body: bytes) -> tuple[bytes, tuple[tuple[int, bytes], ...]]:
    if b"#" not in body and b"//" not in body:
        return body, ()
    rows, comments = list[bytes](), list[tuple[int, bytes]]()
    for line in body.split(b"\n"):
        bare = line.strip()
        if bare.startswith(_COMMENT):
            comments.append((len(rows), line.rstrip(b"\r")))
        elif bare:
            rows.append(line)
    return b"\n".join(rows), tuple(comments)


def _delimiter(row: bytes) -> bytes:
    found = re.search(rb"[ \t]*[,;][ \t]*|\t|[ ]+", row.strip())
    return found[0] if found else b" "


def _check_fields(body: bytes, first: bytes, mark: bytes) -> None:
    """Refuse what would be read as other columns than are meant, where `mark` stands between numbers.

    Raises:
        DataError: a field is empty, or the first row has another delimiter besides.
    """
    if any(re.search(rb"[\s,;]", field.strip()) for field in first.split(mark)):
        shown = first.strip()[:40].decode("latin-1")
        raise DataError(
            f"text: row 1: `{shown}`: expected one kind of delimiter\n"
            "hint: write numbers with a point, 1.5 rather than 1,5"
        )
    lines = b"\n" + body
    for empty in (mark + mark, mark + b" " + mark, b"\n" + mark):
        if (at := lines.find(empty)) >= 0:
            raise DataError(f"text: row {lines.count(10, 0, at + 1)}: an empty field: expected a number")


def _names(lead: Sequence[bytes], width: int, delimiter: bytes) -> tuple[str, ...]:
    """Return the names of the columns.

    Raises:
        DataError: a line of words has x, y and z elsewhere than in front, and does not fit the columns.
    """
    plain = tuple("xyz"[i] if i < 3 else f"c{i + 1}" for i in range(width))
    stated = [line for line in lead if line.strip()]
    if not stated:
        return plain
    separator = delimiter.strip().decode() or None
    line = stated[-1].removeprefix(_BOM).decode("utf-8", "surrogateescape").strip()
    text = line.lstrip("#/").strip()
    words = [word.strip().strip('"') for word in text.split(separator)]
    if len(words) == width + 1 and not words[-1]:
        del words[-1]
    if len(words) != width == len(text.split()):
        words = text.split()
    names = tuple(_name(word) or f"c{i}" for i, word in enumerate(words, 1))
    if not {*XYZ} <= {*names}:
        return plain
    if len(names) == width == len(set(names)):
        return names
    # A comment may speak of anything; a header that does not fit must not let other columns pass for coordinates.
    if names[:3] != XYZ and not line.startswith(("#", "/")):
        raise DataError(f"text: `{line[:60]}`: expected the names of {width} columns, each once, as in the first row")
    return plain


def _name(word: str) -> str:
    return word.lower() if word.lower() in (*XYZ, *_NORMAL) else "_".join(word.split())


def text_chunks(cloud: PointCloud, suffix: str) -> Iterator[bytes]:
    """Yield the text of a cloud: in the manner of its own text document, else `x y z` (.csv: with names and commas).

    Only the columns that the document knows are written.
    """
    document = _manner(cloud, suffix)
    last = b""
    for chunk in _lines(cloud, document):
        yield last
        last = chunk
    yield last if document.ended else last.removesuffix(document.newline)


def _lines(cloud: PointCloud, document: TextDocument) -> Iterator[bytes]:
    held = file_columns(cloud, _NORMAL)
    columns = [_spelt(held[name], name, document) for name in document.columns if name in held]
    newline = document.newline
    # An attribute of whole floats that lost its points would come back as integers.
    trim = document.trim and not any(_all_whole(held[name]) for name in cloud.attributes if name in document.columns)
    for line in document.lead:
        yield line if line == _BOM else line + newline
    same = document.points == len(cloud)
    start = 0
    for row, line in document.comments:
        if same:
            yield from table_chunks([column[start:row] for column in columns], document.delimiter, newline, trim=trim)
            start = row
        yield line + newline
    yield from table_chunks([column[start:] for column in columns], document.delimiter, newline, trim=trim)


def _manner(cloud: PointCloud, suffix: str) -> TextDocument:
    document = cloud.document if isinstance(cloud.document, TextDocument) else TextDocument()
    if suffix == ".csv" and not document.delimiter.strip():
        columns = document.columns
        lead = ",".join(columns).encode("utf-8", "surrogateescape")
        return replace(document, delimiter=b",", lead=(lead,), comments=())
    return document


def _spelt(column: Array, name: str, document: TextDocument) -> Array:
    """Return integers for a column that was spelt so and still can be; floats always keep a point somewhere."""
    if name in document.integers and _all_whole(column) and bool((np.abs(column) < _INTEGER_LIMIT).all()):
        return column.astype(np.int64)
    return column


def _all_whole(column: Array) -> bool:
    return column.dtype.kind == "f" and bool((column == np.floor(column)).all())
