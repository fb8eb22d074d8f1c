"""STL, binary and ascii: a soup of triangles, read as a mesh with shared vertices and written as the same soup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.io._numbers import number_text
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

_FACET = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (9,)), ("extra", "<u2")])
_NUMBER = rb"\s+(\S+)\s+(\S+)\s+(\S+)\s+"
_TEXT_FACET = re.compile(
    rb"facet\s+normal" + _NUMBER + rb"outer\s+loop\s+" + (rb"vertex" + _NUMBER) * 3 + rb"endloop\s+endfacet\s*",
    re.IGNORECASE,
)
_SOLID = re.compile(rb"[ \t]*solid\b[^\n]*\n\s*", re.IGNORECASE)
_END = re.compile(rb"endsolid\b[^\n]*(?:\n\s*|\Z)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class StlDocument:
    """What an STL file says besides its corners.

    Attributes:
        header: the 80 bytes of a binary file; empty for ascii.
        solids: the first line of each solid of an ascii file and its number of facets.
        normals: (F, 3) float32 as stored.
        extra: (F,) uint16 as stored (colours, by some makers).
        marks: (F,) uint64 checksums of the stored corners: where they still hold, so do the stored normals.
        negative_zeros: places in the (F * 9) corner coordinates where -0.0 was merged with 0.0.
        faces: what `faces` was when read.
        newline: what ends a line of an ascii file.
    """

    header: bytes
    solids: tuple[tuple[bytes, int], ...]
    normals: Array
    extra: Array
    marks: Array
    negative_zeros: Array
    faces: Array
    newline: bytes = b"\n"


def is_binary_stl(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that begins with `head` (84 bytes or more) is as long as binary STL says."""
    return len(head) >= 84 and size == 84 + 50 * int.from_bytes(head[80:84], "little")


def parse_stl(data: bytes) -> PointCloud:
    """Read the bytes of an STL file: float32 points shared by facets with equal corners, in order of appearance.

    Raises:
        DataError: the file is cut off, or its count of facets is wrong.
    """
    solids: tuple[tuple[bytes, int], ...] = ()
    if is_binary_stl(data[:84], len(data)):
        table = np.frombuffer(data, _FACET, offset=84)
        soup, normals = table["corners"].astype(np.float32), table["normal"].astype(np.float32)
        header, extra = data[:80], table["extra"].astype(np.uint16)
    elif data[:200].lstrip()[:5].lower() == b"solid" and b"\0" not in data[:1000]:
        normals, soup, solids = _parse_text(data)
        header, extra = b"", np.zeros(len(soup), np.uint16)
    else:
        facets = int.from_bytes(data[80:84], "little") if len(data) >= 84 else 0
        expected = 84 + 50 * facets
        hint = " (is the file cut off?)" if len(data) < expected else ""
        raise DataError(f"STL: {len(data)} bytes: expected {expected} for {facets} facets{hint}")
    if not len(soup):
        raise DataError("STL: no facets: expected at least one")
    points, faces = merged(soup)
    changed = soup.view(np.uint32).reshape(-1) != points[faces].view(np.uint32).reshape(-1)
    document = StlDocument(
        header=header,
        solids=solids,
        normals=normals,
        extra=extra,
        marks=_marks(soup),
        negative_zeros=np.flatnonzero(changed),
        faces=faces,
        newline=b"\r\n" if b"\r\n" in data[:1000] and not header else b"\n",
    )
    return PointCloud(points, faces=faces, document=document)


def merged(soup: Array) -> tuple[Array, Array]:
    """Merge equal corners of a (F, 9) float32 soup.

    Returns:
        points (V, 3) float32 in order of first appearance, and faces (F, 3) int64. 0.0 and -0.0 are equal, and the
        first seen of them stays; not-a-numbers are equal if their bits are.
    """
    corners = soup.reshape(-1, 3)
    with np.errstate(invalid="ignore"):  # a signalling not-a-number counts as an invalid operation
        bits = (corners + np.float32(0)).view(np.uint32).astype(np.uint64)
    # Two passes over 64-bit keys are exact and far faster than sorting rows of 12 bytes.
    _, pair = np.unique(bits[:, 0] << np.uint64(32) | bits[:, 1], return_inverse=True)
    key = pair.reshape(-1).astype(np.uint64) << np.uint64(32) | bits[:, 2]
    _, first, vertex = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.zeros(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return corners[first[order]], rank[vertex.reshape(-1)].reshape(-1, 3)


def _marks(soup: Array) -> Array:
    """Return a checksum of each row of (F, 9) float32."""
    bits = np.ascontiguousarray(soup).view(np.uint32)
    total = np.zeros(len(bits), np.uint64)
    for column in bits.T:
        total = (total ^ column) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
    return total


def _parse_text(data: bytes) -> tuple[Array, Array, tuple[tuple[bytes, int], ...]]:
    words, solids, at = list[bytes](), list[tuple[bytes, int]](), 0
    if not data.endswith(b"\n"):
        data += b"\n"
    while at < len(data):
        begin = _SOLID.match(data, at)
        if begin is None:
            raise DataError(f"STL: `{_shown(data, at)}`: expected `solid`")
        at, before = begin.end(), len(words)
        while found := _TEXT_FACET.match(data, at):
            words.extend(found.groups())
            at = found.end()
        end = _END.match(data, at)
        if end is None:
            raise DataError(f"STL: `{_shown(data, at)}`: expected a facet or `endsolid` (is the file cut off?)")
        at = end.end()
        solids.append((begin[0].strip(), (len(words) - before) // 12))
    try:
        numbers = np.array([float(word) for word in words], np.float64).reshape(-1, 12)
    except ValueError as error:
        raise DataError(f"STL: {error}: expected numbers") from None
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    return single[:, :3].copy(), single[:, 3:].copy(), tuple(solids)


def _shown(data: bytes, at: int) -> str:
    return data[at : at + 40].decode("latin-1").split("\n")[0].strip()


def stl_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield an STL file: in the manner of the cloud's own STL document, else binary.

    Facets whose corners have moved get the normal of their three corners.

    Raises:
        WriteError: the cloud has no faces.
    """
    if cloud.faces is None:
        raise WriteError("STL: a cloud without faces: expected a mesh\nhint: write .ply or .pcd")
    with np.errstate(over="ignore", invalid="ignore"):
        soup = cloud.points.astype(np.float32)[cloud.faces].reshape(-1, 9)
    document = cloud.document if isinstance(cloud.document, StlDocument) else None
    normals, extra = _normals(soup), np.zeros(len(soup), np.uint16)
    if document is not None and document.faces is cloud.faces:
        zeros = document.negative_zeros
        flat = soup.reshape(-1)
        flat[zeros] = np.where(flat[zeros] == 0, -flat[zeros], flat[zeros])
        same = _marks(soup) == document.marks
        normals[same] = document.normals[same]
        extra = document.extra
    if document is not None and not document.header:
        whole = document.faces is cloud.faces
        solids = document.solids if whole else ((document.solids[0][0], len(soup)),)
        yield from _text(soup, normals, solids, document.newline)
        return
    table = np.zeros(len(soup), _FACET)
    table["normal"], table["corners"], table["extra"] = normals, soup, extra
    yield document.header if document is not None else b"binary STL".ljust(80)
    yield np.array([len(soup)], "<u4").tobytes()
    yield table.tobytes()


def _normals(soup: Array) -> Array:
    """Return (F, 3) float32 unit normals of a (F, 9) soup, right-handed; zero for facets without an area."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        corner = soup.astype(np.float64).reshape(-1, 3, 3)
        a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
        cross = a[:, [1, 2, 0]] * b[:, [2, 0, 1]] - a[:, [2, 0, 1]] * b[:, [1, 2, 0]]
        length = np.sqrt((cross * cross).sum(axis=1))
        unit = cross / length[:, None]
    return np.where(np.isfinite(unit), unit, 0.0).astype(np.float32)


def _text(soup: Array, normals: Array, solids: tuple[tuple[bytes, int], ...], newline: bytes) -> Iterator[bytes]:
    parts: list[bytes | Array] = [b"  facet normal ", normals, newline + b"    outer loop"]
    for corner in range(3):
        parts += [newline + b"      vertex ", soup[:, 3 * corner : 3 * corner + 3]]
    parts.append(newline + b"    endloop" + newline + b"  endfacet" + newline)
    start = 0
    for line, facets in solids:
        yield line + newline
        for at in range(start, start + facets, 1 << 13):
            yield _lines(parts, at, min(at + (1 << 13), start + facets))
        start += facets
        yield b"end" + line + newline


def _lines(parts: list[bytes | Array], start: int, stop: int) -> bytes:
    blocks = []
    for part in parts:
        if isinstance(part, bytes):
            blocks.append(np.broadcast_to(np.frombuffer(part, np.uint8), (stop - start, len(part))))
            continue
        for index, column in enumerate(part.T):
            if index:
                blocks.append(np.full((stop - start, 1), 32, np.uint8))
            blocks.append(number_text(column[start:stop]))
    text = np.concatenate(blocks, axis=1)
    return bytes(text[text != 0].tobytes())
