"""Elements of a PLY file that hold lists: how far they reach, and the faces in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io._faces import Polygons, indices
from anosynth.io._ply_header import Element, Property
from anosynth.io._rows import as_type, parse_rows

Array = NDArray[Any]


def corner_list(element: Element) -> Property | None:
    """Return the list of vertex indices among the properties of a face element."""
    named = [p for p in element.properties if p.counter and p.name in ("vertex_indices", "vertex_index")]
    return named[0] if named and named[0].code[0] != "f" else None


def binary_polygons(data: bytes, start: int, element: Element, order: str) -> tuple[int, Polygons | None]:
    """Return where the rows of a binary element end, and its lists of vertex indices if it has such.

    Raises:
        DataError: the data ends before the rows do.
    """
    least = sum(np.dtype(p.counter or p.code).itemsize for p in element.properties)
    if element.count * least > len(data) - start:
        raise _cut_off(element)
    if not any(p.counter for p in element.properties):
        return start + element.count * least, None
    uniform = _uniform(data, start, element, order)
    if uniform is None:
        return _walked(data, start, element, order)
    corner = corner_list(element)
    if corner is None:
        return start + uniform.nbytes, None
    corners = uniform[corner.name].astype(np.int64)
    counts = np.full(element.count, corners.shape[1])
    return start + uniform.nbytes, Polygons(corners.reshape(-1), counts)


def _uniform(data: bytes, start: int, element: Element, order: str) -> Array | None:
    """Return the rows as one table if all lists are as long as those of the first row."""
    if not element.count:
        return None
    fields: list[Any] = []
    at = start
    for p in element.properties:
        if p.counter is None:
            fields.append((p.name, order + p.code))
            at += np.dtype(p.code).itemsize
            continue
        if at + np.dtype(p.counter).itemsize > len(data):
            raise _cut_off(element)
        length = int(np.frombuffer(data, order + p.counter, 1, at)[0])
        if length < 0:
            raise DataError(f"{element.name}: {p.name}: a list of length {length}: expected 0 or more")
        fields += [(f"length of {p.name}", order + p.counter), (p.name, order + p.code, (length,))]
        at += np.dtype(p.counter).itemsize + length * np.dtype(p.code).itemsize
    size = at - start
    if size * element.count > len(data) - start:
        return None
    table = np.frombuffer(data, np.dtype(fields), element.count, start)
    lengths = [table[f"length of {p.name}"] for p in element.properties if p.counter]
    return table if all((length == length[0]).all() for length in lengths) else None


def _walked(data: bytes, start: int, element: Element, order: str) -> tuple[int, Polygons | None]:
    byteorder = "big" if order == ">" else "little"
    wanted = corner_list(element)
    steps = [
        (np.dtype(p.code).itemsize, np.dtype(p.counter or p.code).itemsize if p.counter else 0, p is wanted)
        for p in element.properties
    ]
    signed = {id(p): (p.counter or "u")[0] == "i" for p in element.properties}
    flags = [signed[id(p)] for p in element.properties]
    places, counts = list[int](), list[int]()
    at, size = start, len(data)
    for _ in range(element.count):
        for (item, counter, is_corner), negative in zip(steps, flags, strict=True):
            if not counter:
                at += item
                continue
            length = int.from_bytes(data[at : at + counter], byteorder, signed=negative)  # type: ignore[arg-type]
            at += counter
            if length < 0:
                raise DataError(f"{element.name}: a list of length {length}: expected 0 or more")
            if is_corner:
                places.append(at)
                counts.append(length)
            at += length * item
        if at > size:
            raise _cut_off(element)
    if wanted is None:
        return at, None
    return at, Polygons(_gathered(data, places, counts, np.dtype(order + wanted.code)), np.array(counts, np.int64))


def _gathered(data: bytes, places: Sequence[int], counts: Sequence[int], dtype: np.dtype[Any]) -> Array:
    length = np.array(counts, np.int64)
    step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    at = np.repeat(np.array(places, np.int64), length) + step * dtype.itemsize
    raw = np.frombuffer(data, np.uint8)[at[:, None] + np.arange(dtype.itemsize)]
    return raw.view(dtype)[:, 0].astype(np.int64) if len(raw) else np.zeros(0, np.int64)


def ascii_polygons(text: bytes, element: Element) -> Polygons | None:
    """Return the lists of vertex indices of an ascii face element, if it has such.

    Raises:
        DataError: a line does not hold what its list lengths say.
    """
    wanted = corner_list(element)
    if wanted is None or not element.count:
        return None if wanted is None else Polygons(np.zeros(0, np.int64), np.zeros(0, np.int64))
    first = text[: text.find(b"\n") + 1 or None].split()
    columns, place, lengths = 0, 0, []
    try:
        for p in element.properties:
            if p.counter:
                lengths.append(columns)
                place = columns + 1 if p is wanted else place
                columns += _length(first[columns])
            columns += 1
    except (IndexError, ValueError):
        raise DataError(f"{element.name} 1: expected list lengths and as many numbers") from None
    if len(first) == columns:
        table = _table(text, columns, element)
        if table is not None and all((table[:, i] == table[0, i]).all() for i in lengths):
            arity = int(table[0, place - 1])
            corners = as_type(table[:, place : place + arity], np.dtype(np.int64), element.name)
            return Polygons(corners.reshape(-1), np.full(element.count, arity))
    return _walked_lines(text, element, wanted)


def _table(text: bytes, columns: int, element: Element) -> Array | None:
    try:
        table = parse_rows(text, columns)
    except DataError:
        return None
    return table if len(table) == element.count else None


def _walked_lines(text: bytes, element: Element, wanted: Property) -> Polygons:
    corners, counts = list[int](), list[int]()
    for number, line in enumerate(text.splitlines(), 1):
        words, at = line.split(), 0
        try:
            for p in element.properties:
                length = _length(words[at]) if p.counter else 0
                if p is wanted:
                    corners += [int(word) for word in words[at + 1 : at + 1 + length]]
                    counts.append(length)
                at += 1 + length
        except (IndexError, ValueError):
            at = -1
        if at != len(words):
            shown = line[:60].decode("latin-1")
            raise DataError(f"{element.name} {number}: `{shown}`: expected lists of the said length")
    return Polygons(indices(corners, element.name), np.array(counts, np.int64))


def _length(word: bytes) -> int:
    length = int(word)
    if length < 0:
        raise ValueError(word)
    return length


def _cut_off(element: Element) -> DataError:
    return DataError(f"{element.name}: fewer rows than the {element.count} of the header (is the file cut off?)")
