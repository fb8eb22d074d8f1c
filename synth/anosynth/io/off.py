"""OFF meshes, ascii: vertices with their further columns, faces of any arity with theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io._faces import Polygons, indices, triangulate
from anosynth.io._numbers import table_chunks
from anosynth.io._rows import as_type, cut_lines, integer_columns, parse_rows, trims_zeros
from anosynth.io._units import unit_in
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

_KEYWORD = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF(?![A-Za-z])")
_COUNTS = re.compile(rb"\s*(\d{1,18})\s+(\d{1,18})(?:[ \t]+(\d+))?[ \t]*\r?(?:\n|\Z)")
_BLANK = re.compile(rb"(?:[ \t\r]*(?:#[^\n]*)?\n)*")


@dataclass(frozen=True, eq=False)
class OffDocument:
    """What an OFF file says besides its points.

    Attributes:
        keyword: OFF, NOFF, COFF or CNOFF.
        lead: comment lines before the counts, verbatim.
        faces: what `faces` was when read.
        body: the rows of faces, verbatim, if they are more than triangles; else None.
        points: the number of points that `body` refers to.
        trim: whether whole floats are written as `1` rather than `1.0`.
        newline: what ends a line.
    """

    keyword: bytes = b"OFF"
    lead: bytes = b""
    faces: Array | None = None
    body: bytes | None = None
    points: int = -1
    trim: bool = True
    newline: bytes = b"\n"


def parse_off(data: bytes) -> PointCloud:
    """Read the bytes of an OFF file; points are float64, NOFF's normals and further columns (c4, ...) are kept.

    Raises:
        DataError: the file is binary, four-dimensional, cut off or wrong about its counts.
    """
    keyword, lead, vertices, facets, start = _header(data)
    text = _without_comments(data, start)
    first, second = cut_lines(text, 0, [("vertices", vertices), ("faces", facets)])
    body = text[slice(*first)]
    rows = parse_rows(body, len(body[: body.find(b"\n")].split()) or 1, "vertex")
    least = 6 if b"N" in keyword else 3
    if len(rows) != vertices or rows.shape[1] < least:
        raise DataError(f"OFF: {len(rows)} vertices of {rows.shape[1]} columns: expected {vertices} of {least} or more")
    polygons, plain = _polygons(text[slice(*second)], facets)
    faces = triangulate(polygons, vertices) if facets else None
    whole = integer_columns(body, rows)
    extra = {
        f"c{i + 1}": rows[:, i].astype(np.int64 if whole[i] and abs(rows[:, i]).max() < 2**53 else np.float64)
        for i in range(least, rows.shape[1])
    }
    document = OffDocument(
        keyword=keyword,
        lead=lead,
        faces=faces,
        body=None if plain else text[slice(*second)],
        points=vertices,
        trim=trims_zeros(body[:65536]),
        newline=b"\r\n" if b"\r\n" in data[:1000] else b"\n",
    )
    normals = rows[:, 3:6].copy() if least == 6 else None
    return PointCloud(rows[:, :3].copy(), normals, faces, extra, unit=unit_in(lead.splitlines()), document=document)


def _header(data: bytes) -> tuple[bytes, bytes, int, int, int]:
    """Return the keyword, the comments behind it, the numbers of vertices and faces, and where these end."""
    keyword = _KEYWORD.match(data)
    if keyword is None or keyword[1] or keyword[4] or keyword[5] or b"BINARY" in data[:40]:
        raise DataError("OFF: expected an ascii file that begins with OFF, NOFF, COFF or CNOFF")
    lead_start = keyword.end()
    # Some collections write the counts right behind the keyword, even without a blank.
    blank = _BLANK.match(data, lead_start)
    assert blank is not None
    counts = _COUNTS.match(data, lead_start) or _COUNTS.match(data, blank.end())
    if counts is None:
        raise DataError("OFF: expected the numbers of vertices, faces and edges after the keyword")
    lead = data[lead_start : counts.start()].strip()
    vertices, facets = int(counts[1]), int(counts[2])
    if not vertices:
        raise DataError("no points: expected at least one")
    return keyword[0], lead, vertices, facets, counts.end()


def _without_comments(data: bytes, start: int) -> bytes:
    """Return the rows after the header, without comments and blank lines."""
    text = re.sub(rb"#[^\n]*", b"", data[start:])
    return re.sub(rb"^[ \t\r]*\n", b"", text, flags=re.MULTILINE) if re.search(rb"^[ \t\r]*\n", text, re.M) else text


def _polygons(text: bytes, facets: int) -> tuple[Polygons, bool]:
    """Return the faces, and whether they are nothing but triangles."""
    first = text[: text.find(b"\n") + 1 or None].split()
    if first[:1] == [b"3"] and len(first) == 4:
        try:
            rows = parse_rows(text, 4)
        except DataError:
            rows = np.zeros((0, 4))
        if len(rows) == facets and (rows[:, 0] == 3).all():
            corners = as_type(rows[:, 1:], np.dtype(np.int64), "faces")
            return Polygons(corners.reshape(-1), np.full(facets, 3)), True
    corners_list, counts = list[int](), list[int]()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            arity = int(words[0])
            corners_list += [int(word) for word in words[1 : 1 + arity]]
            counts.append(arity)
            good = 0 <= arity < len(words)
        except (ValueError, IndexError):
            good = False
        if not good:
            raise DataError(f"face {number}: `{line[:60].decode('latin-1')}`: expected a count and as many indices")
    return Polygons(indices(corners_list, "faces"), np.array(counts, np.int64)), not facets


def off_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield an OFF file: in the manner of the cloud's own OFF document, else plain."""
    document = cloud.document if isinstance(cloud.document, OffDocument) else OffDocument()
    known = isinstance(cloud.document, OffDocument)
    same = known and document.faces is cloud.faces and document.points == len(cloud)
    newline = document.newline
    normals = cloud.normals if cloud.normals is not None and (b"N" in document.keyword or not known) else None
    keyword = document.keyword if known else (b"OFF" if normals is None else b"NOFF")
    if normals is None:
        keyword = keyword.replace(b"N", b"")
    columns = [cloud.points, *([] if normals is None else [normals])]
    columns += [v for name, v in cloud.attributes.items() if known and re.fullmatch(r"c\d+", name)]
    body = document.body if same else None
    rows = body.count(b"\n") + (not body.endswith(b"\n")) if body is not None else 0
    facets = rows if body is not None else 0 if cloud.faces is None else len(cloud.faces)
    yield keyword + newline + (document.lead + newline if document.lead else b"")
    yield f"{len(cloud)} {facets} 0".encode() + newline
    yield from table_chunks(columns, b" ", newline, trim=document.trim)
    if body is not None:
        yield body if body.endswith(b"\n") else body + newline
    elif cloud.faces is not None:
        yield from table_chunks([np.full(len(cloud.faces), 3), cloud.faces], b" ", newline)
