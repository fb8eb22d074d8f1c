"""OBJ meshes: points, faces and normals are read; every other statement is kept for writing back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io._faces import triangulate
from anosynth.io._numbers import table_chunks
from anosynth.io._obj_faces import Corners, parse_faces
from anosynth.io._rows import parse_rows, trims_zeros
from anosynth.io._units import unit_in
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

_EXTRA = {4: ("w",), 6: ("r", "g", "b")}


@dataclass(frozen=True, eq=False)
class ObjDocument:
    """What an OBJ file says besides its points.

    Attributes:
        pieces: the file in order: verbatim text, or a kind (`v`, `vn`, `f`) and the number of its lines.
        faces: what `faces` was when read.
        normals: what `normals` was when read.
        one_normal_each: whether the k-th normal is that of the k-th point throughout.
        extra: names of the columns after x, y, z.
        points: the number of points that the pieces refer to.
        trim: whether whole floats are written as `1` rather than `1.0`.
        newline: what ends a line.
        note: what of the file may not come through, in words; empty if nothing.
    """

    pieces: tuple[bytes | tuple[str, int], ...] = ()
    faces: Array | None = None
    normals: Array | None = None
    one_normal_each: bool = True
    extra: tuple[str, ...] = ()
    points: int = -1
    trim: bool = True
    newline: bytes = b"\n"
    note: str = ""


def parse_obj(data: bytes) -> PointCloud:
    """Read the bytes of an OBJ file; points are float64 in the order of the `v` lines.

    Normals are taken if every point has exactly one. One column after x, y, z is the attribute w, three are r, g, b.

    Raises:
        DataError: a line cannot be understood, or there are no points.
    """
    text = re.sub(rb"\\\r?\n", b" ", data)
    groups = [(kind, list(lines)) for kind, lines in groupby(text.removesuffix(b"\n").split(b"\n"), _kind)]
    rows = _numbers(groups, "v")
    if not len(rows):
        raise DataError("OBJ: no points: expected `v` lines")
    corners = parse_faces(_with_points_before(groups))
    faces = triangulate(corners.polygons, len(rows), first=1) if len(corners.polygons.counts) else None
    normals, one_each = _normals(_numbers(groups, "vn"), corners, len(rows))
    # Lines that follow from the arrays are not kept a second time.
    derived = {"v", *(["vn"] if normals is not None and one_each else [])}
    if corners.polygons.all_triangles and (corners.form == "v" or (corners.form == "v//n" and "vn" in derived)):
        derived.add("f")
    pieces = tuple((kind, len(lines)) if kind in derived else _verbatim(lines) for kind, lines in groups)
    names = _EXTRA.get(rows.shape[1]) or tuple(f"c{i}" for i in range(4, rows.shape[1] + 1))
    others = [line.strip() for kind, lines in groups if not kind for line in lines]
    document = ObjDocument(
        pieces=pieces,
        faces=faces,
        normals=normals,
        one_normal_each=one_each,
        extra=names,
        points=len(rows),
        trim=trims_zeros(b"\n".join(line for kind, lines in groups if kind == "v" for line in lines[:1000])),
        newline=b"\r\n" if data[: data.find(b"\n") + 1].endswith(b"\r\n") else b"\n",
        note=_note(others, normals is None and any(kind == "vn" for kind, _ in groups)),
    )
    return PointCloud(
        points=rows[:, :3].copy(),
        normals=normals,
        faces=faces,
        attributes={name: rows[:, 3 + i].copy() for i, name in enumerate(names)},
        unit=unit_in(line for line in others if line.startswith(b"#")),
        document=document,
    )


def _kind(line: bytes) -> str:
    start = line[:2] if line[:1] in b"vf#" else line.lstrip()[:2]
    if start in (b"v ", b"v\t"):
        return "v"
    return "vn" if start == b"vn" else "f" if start in (b"f ", b"f\t") else ""


def _verbatim(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _numbers(groups: Sequence[tuple[str, list[bytes]]], wanted: str) -> Array:
    text = b"\n".join(line for kind, lines in groups if kind == wanted for line in lines)
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    text = text.replace(wanted.encode(), b" ")
    first = text[: text.find(b"\n") if b"\n" in text else None].split()
    if text and (len(first) < 3 or (wanted == "vn" and len(first) != 3)):
        raise DataError(f"OBJ: {wanted} line of {len(first)} numbers: expected three")
    return parse_rows(text, len(first) or 3, f"OBJ: {wanted} line")


def _with_points_before(groups: Sequence[tuple[str, list[bytes]]]) -> list[tuple[int, int, list[bytes]]]:
    """Return the blocks of `f` lines with the numbers of points and normals before each: negative indices need them."""
    found, points, normals = [], 0, 0
    for kind, lines in groups:
        if kind == "f":
            found.append((points, normals, lines))
        points += len(lines) if kind == "v" else 0
        normals += len(lines) if kind == "vn" else 0
    return found


def _normals(rows: Array, corners: Corners, points: int) -> tuple[Array | None, bool]:
    """Return one normal for each point, if the file can be read so, and whether they are in the points' order."""
    if not len(rows):
        return None, True
    vertex, normal = corners.polygons.corners, corners.normals
    if normal is None:
        return (rows, True) if len(rows) == points and not len(vertex) else (None, False)
    if len(normal) and (normal.min() < 0 or normal.max() >= len(rows)):
        raise DataError(f"OBJ: a face with normal {normal.max() + 1}: expected 1 to {len(rows)}")
    if len(rows) == points and bool((normal == vertex).all()):
        return rows, True
    owner = np.full(points, -1)
    owner[vertex] = normal
    if bool((owner >= 0).all()) and bool((owner[vertex] == normal).all()):
        return rows[owner], False
    return None, False


def _note(others: Sequence[bytes], corner_normals: bool) -> str:
    words = {line.split()[0].decode("utf-8", "replace") for line in others if line and not line.startswith(b"#")}
    parts = []
    if words:
        parts.append(f"{', '.join(sorted(words))}: kept only while no point or face is removed")
    if "mtllib" in words:
        parts.append("files named by mtllib are not copied")
    if corner_normals:
        parts.append("vn: several normals for a point, kept but not used")
    return "; ".join(parts)


def obj_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield an OBJ file: in the manner of the cloud's own OBJ document, else plain `v`, `vn` and `f` lines.

    If the points' number, the faces or normals shared by several points have changed, statements that refer to them
    (texture, groups, materials) are dropped.
    """
    document = cloud.document if isinstance(cloud.document, ObjDocument) else ObjDocument()
    columns = np.column_stack([cloud.points, *(cloud.attributes[n] for n in document.extra if n in cloud.attributes)])
    same_normals = cloud.normals is document.normals
    if document.one_normal_each:
        same_normals = (cloud.normals is None) == (document.normals is None)
    pieces = document.pieces
    if document.points != len(cloud) or cloud.faces is not document.faces or not same_normals:
        facets = 0 if cloud.faces is None else len(cloud.faces)
        pieces = (("v", len(cloud)), *([("vn", len(cloud))] if cloud.normals is not None else []), ("f", facets))
    with_normals = ("vn", len(cloud)) in pieces or _has_kind(pieces, "vn")
    done = {"v": 0, "vn": 0, "f": 0}
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        kind, lines = piece
        part = slice(done[kind], done[kind] + lines)
        done[kind] += lines
        if kind == "f":
            assert cloud.faces is not None or not lines
            if cloud.faces is not None:
                yield from _face_lines(cloud.faces[part] + 1, with_normals, document.newline)
            continue
        values = columns[part] if kind == "v" else _normal_rows(cloud)[part]
        yield from _prefixed(kind.encode() + b" ", [values], document, document.newline)


def _has_kind(pieces: Sequence[bytes | tuple[str, int]], kind: str) -> bool:
    return any(not isinstance(piece, bytes) and piece[0] == kind for piece in pieces)


def _normal_rows(cloud: PointCloud) -> Array:
    assert cloud.normals is not None
    return cloud.normals


def _prefixed(prefix: bytes, columns: list[Array], document: ObjDocument, newline: bytes) -> Iterator[bytes]:
    # The prefix belongs to the next line, so it is written as the end of the one before.
    last = prefix
    for chunk in table_chunks(columns, b" ", newline + prefix, trim=document.trim):
        yield last
        last = chunk
    if last is not prefix:
        yield last.removesuffix(prefix)


def _face_lines(faces: Array, with_normals: bool, newline: bytes) -> Iterator[bytes]:
    document = ObjDocument()
    if not with_normals:
        yield from _prefixed(b"f ", [faces], document, newline)
        return
    for start in range(0, len(faces), 1 << 14):
        lines = [
            b"f %d//%d %d//%d %d//%d" % (a, a, b, b, c, c) for a, b, c in faces[start : start + (1 << 14)].tolist()
        ]
        yield newline.join(lines) + newline
