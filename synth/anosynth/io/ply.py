"""PLY 1.0, ascii and binary of both byte orders: every property, element and comment survives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.io._faces import Polygons, triangulate
from anosynth.io._fields import XYZ, cloud_arrays, file_columns
from anosynth.io._numbers import table_chunks
from anosynth.io._ply_header import FLAVOURS, NAMES, Element, Header, Property, emit_header, parse_header
from anosynth.io._ply_lists import ascii_polygons, binary_polygons
from anosynth.io._rows import as_type, cut_lines, parse_rows, trims_zeros
from anosynth.io._units import unit_in
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

_NORMAL = ("nx", "ny", "nz")


@dataclass(frozen=True, eq=False)
class PlyDocument:
    """What a PLY file says besides its vertices.

    Attributes:
        flavour: a key of `FLAVOURS`.
        lines: the header, verbatim.
        bodies: rows of the elements other than `vertex`, verbatim; faces only if they are more than triangles.
        points: number of vertices that the bodies refer to.
        triangles: what `faces` was when read; another array there means that the faces have changed.
        trail: white space at the end of ascii rows.
        trim: whether ascii rows say `1` rather than `1.0`.
    """

    flavour: str = "binary_little_endian"
    lines: tuple[bytes, ...] = (b"ply", b"format binary_little_endian 1.0", b"end_header")
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    points: int = -1
    triangles: Array | None = None
    trail: bytes = b""
    trim: bool = True

    @property
    def newline(self) -> bytes:
        """What ends a line of this file."""
        return b"\r\n" if self.lines[0].endswith(b"\r") else b"\n"


def parse_ply(data: bytes) -> PointCloud:
    """Read the bytes of a PLY file.

    nx, ny, nz become normals if they are floats of one type; other scalar properties become attributes. Polygons are
    triangulated for `faces` and kept as they are for writing.

    Raises:
        DataError: the bytes do not keep what the header promises, or vertices have no float x, y, z.
    """
    header = parse_header(data)
    vertex = _checked_vertex(header)
    spans, polygons = _spans(data, header)
    start, end = spans["vertex"]
    columns = _columns(data, start, end, vertex, FLAVOURS[header.flavour])
    points, normals, attributes = cloud_arrays(columns, _NORMAL)
    faces = None
    if polygons is not None and len(polygons.counts):
        faces = triangulate(polygons, vertex.count)
    bodies = {name: data[a:b] for name, (a, b) in spans.items() if name != "vertex"}
    face = next((element for element in header.elements if element.name == "face"), None)
    if face is not None and polygons is not None and len(face.properties) == 1 and polygons.all_triangles:
        del bodies["face"]
    sample = data[start : min(end, start + 65536)]
    line = sample[: sample.find(b"\n")].rstrip(b"\r")
    document = PlyDocument(
        flavour=header.flavour,
        lines=header.lines,
        bodies=bodies,
        points=vertex.count,
        triangles=faces,
        trail=line[len(line.rstrip()) :] if header.flavour == "ascii" else b"",
        trim=header.flavour != "ascii" or trims_zeros(sample),
    )
    return PointCloud(
        points=points,
        normals=normals,
        faces=faces,
        attributes=attributes,
        unit=unit_in(line for line in header.lines if line.startswith((b"comment", b"obj_info"))),
        document=document,
    )


def _checked_vertex(header: Header) -> Element:
    vertex = next((element for element in header.elements if element.name == "vertex"), None)
    if vertex is None:
        raise DataError("PLY header: no element `vertex`: expected points")
    for item in vertex.properties:
        if item.counter is not None:
            raise DataError(f"PLY header: vertex property {item.name}: a list: expected a scalar")
    if not vertex.count:
        raise DataError("no points: expected at least one")
    kinds = {item.name: NAMES[item.code] for item in vertex.properties}
    for name in XYZ:
        if (kind := kinds.get(name, "missing")) not in ("float", "double"):
            raise DataError(f"PLY header: vertex property {name}: {kind}: expected float or double")
    return vertex


def _spans(data: bytes, header: Header) -> tuple[dict[str, tuple[int, int]], Polygons | None]:
    """Return where each element's rows begin and end, and the faces."""
    polygons = None
    if header.flavour == "ascii":
        blocks = cut_lines(data, header.size, [(element.name, element.count) for element in header.elements])
        for element, (start, end) in zip(header.elements, blocks, strict=True):
            if element.name == "face":
                polygons = ascii_polygons(data[start:end], element)
        return {element.name: block for element, block in zip(header.elements, blocks, strict=True)}, polygons
    spans, at = {}, header.size
    for element in header.elements:
        end, found = binary_polygons(data, at, element, FLAVOURS[header.flavour])
        spans[element.name] = (at, end)
        polygons = found if element.name == "face" else polygons
        at = end
    if at != len(data):
        raise DataError(f"{len(data) - at} more bytes than the header says")
    return spans, polygons


def _columns(data: bytes, start: int, end: int, vertex: Element, order: str) -> dict[str, Array]:
    """Return the properties in native byte order, but binary coordinates as views: stacking copies them anyway."""
    if not order:
        rows = parse_rows(data[start:end], len(vertex.properties), "vertex")
        if len(rows) != vertex.count:
            raise DataError(f"vertex: {len(rows)} rows: expected {vertex.count} by the header")
        return {p.name: as_type(rows[:, i], np.dtype(p.code), p.name) for i, p in enumerate(vertex.properties)}
    dtype = np.dtype([(p.name, order + p.code) for p in vertex.properties])
    table = np.frombuffer(data, dtype, vertex.count, start)
    return {p.name: table[p.name] if p.name in XYZ else table[p.name].astype(p.code) for p in vertex.properties}


def ply_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield the bytes of a PLY file: in the manner of the cloud's own PLY document, else binary little endian.

    Fields that the document does not know are appended to the vertex's properties.

    Raises:
        WriteError: an attribute has 64-bit integers that no type of PLY can hold.
    """
    document = cloud.document if isinstance(cloud.document, PlyDocument) else PlyDocument(lines=_new_lines(cloud))
    known = _statements_of(document)
    columns = _vertex_columns(cloud)
    order = [p.name for e in known if e.name == "vertex" for p in e.properties if p.name in columns]
    order += [name for name in columns if name not in order]
    vertex = Element("vertex", len(cloud), tuple(Property(name, columns[name].dtype.str[1:]) for name in order))
    elements = [vertex if element.name == "vertex" else _kept(element, cloud, document) for element in known]
    if not any(element.name == "vertex" for element in known):
        elements.append(vertex)
    if cloud.faces is not None and not any(element.name == "face" for element in known):
        elements.append(_plain_faces(Property("vertex_indices", "i4", "u1"), cloud))
    written = [element for element in elements if element is not None]
    yield emit_header(document.lines, written)
    for element in written:
        if element.name == "vertex":
            yield from _rows([columns[name] for name in order], element, document)
        elif element.name == "face" and not _verbatim(element.name, cloud, document):
            assert cloud.faces is not None
            yield from _face_rows(cloud.faces, element, document)
        else:
            body = document.bodies.get(element.name, b"")
            # An ascii file may end without a line end, and then something else may follow.
            yield body + document.newline if body and document.flavour == "ascii" and body[-1] != 10 else body


def _new_lines(cloud: PointCloud) -> tuple[bytes, ...]:
    first, second, last = PlyDocument().lines
    return (first, second, *([f"comment unit {cloud.unit}".encode()] if cloud.unit else []), last)


def _statements_of(document: PlyDocument) -> tuple[Element, ...]:
    return parse_header(b"\n".join(document.lines) + b"\n").elements


def _vertex_columns(cloud: PointCloud) -> dict[str, Array]:
    columns = dict[str, Array]()
    for name, value in file_columns(cloud, _NORMAL).items():
        if value.ndim == 1:
            columns[name] = _holdable(value, name)
        else:
            columns.update({f"{name}_{i}": _holdable(part, name) for i, part in enumerate(value.T)})
    return columns


def _holdable(column: Array, name: str) -> Array:
    """Return `column` in a type that PLY has, with the same values."""
    if column.dtype.kind in "iu" and column.dtype.itemsize == 8:
        low, high = int(column.min()), int(column.max())
        for kind, least, most in (("i4", -(2**31), 2**31 - 1), ("u4", 0, 2**32 - 1), ("f8", -(2**53), 2**53)):
            if least <= low and high <= most:
                return column.astype(kind)
        raise WriteError(f"{name}: {column.dtype}: PLY has no type for its values\nhint: write .pcd or .npz")
    return column


def _verbatim(name: str, cloud: PointCloud, document: PlyDocument) -> bool:
    if name == "face":
        same = cloud.faces is document.triangles and len(cloud) == document.points
        return same and (name in document.bodies or cloud.faces is None)
    return True


def _kept(element: Element, cloud: PointCloud, document: PlyDocument) -> Element | None:
    """Return what becomes of an element of the file: itself, new triangles, or nothing."""
    same = len(cloud) == document.points
    if element.name == "face":
        if same and cloud.faces is document.triangles:
            return element
        if cloud.faces is None:
            return None
        corner = next((p for p in element.properties if p.counter and p.name.startswith("vertex_ind")), None)
        return _plain_faces(corner or Property("vertex_indices", "i4", "u1"), cloud)
    # Whatever refers to vertices by number (edges, strips) is void when they have been renumbered.
    refers = any("vertex" in p.name or p.counter for p in element.properties)
    return element if same or not refers else None


def _plain_faces(corner: Property, cloud: PointCloud) -> Element:
    assert cloud.faces is not None
    fits = corner.code[0] != "f" and len(cloud) - 1 <= np.iinfo(corner.code).max
    return Element("face", len(cloud.faces), (corner if fits else Property(corner.name, "u4", corner.counter),))


def _rows(columns: list[Array], element: Element, document: PlyDocument) -> Iterator[bytes]:
    order = FLAVOURS[document.flavour]
    if not order:
        yield from table_chunks(columns, b" ", document.newline, trim=document.trim, trail=document.trail)
        return
    table = np.zeros(element.count, [(p.name, order + p.code) for p in element.properties])
    for p, column in zip(element.properties, columns, strict=True):
        table[p.name] = column
    yield table.tobytes()


def _face_rows(faces: Array, element: Element, document: PlyDocument) -> Iterator[bytes]:
    order, corner = FLAVOURS[document.flavour], element.properties[0]
    if not order:
        three = np.full(len(faces), 3)
        yield from table_chunks([three, faces], b" ", document.newline, trail=document.trail)
        return
    table = np.zeros(len(faces), [("count", f"{order}{corner.counter}"), ("corners", order + corner.code, (3,))])
    table["count"], table["corners"] = 3, faces
    yield table.tobytes()
