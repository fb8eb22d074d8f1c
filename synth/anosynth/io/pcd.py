"""PCD (Point Cloud Library), ascii, binary and compressed: every field, bit and the grid survive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.io._fields import cloud_arrays, file_columns
from anosynth.io._lzf import compress, decompress
from anosynth.io._numbers import table_chunks
from anosynth.io._pcd_header import Field, Header, emit_header, parse_header
from anosynth.io._rows import as_type, cut_lines, exact_integers, parse_rows, trims_zeros
from anosynth.io._units import unit_in
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]

_NORMAL = ("normal_x", "normal_y", "normal_z")
_NEW = (
    b"# .PCD v0.7 - Point Cloud Data file format",
    *(b"VERSION 0.7", b"FIELDS x y z", b"SIZE 4 4 4", b"TYPE F F F", b"COUNT 1 1 1", b"WIDTH 1", b"HEIGHT 1"),
    *(b"VIEWPOINT 0 0 0 1 0 0 0", b"POINTS 1", b"DATA binary"),
)


@dataclass(frozen=True, eq=False)
class PcdDocument:
    """What a PCD file says besides its fields.

    Attributes:
        lines: the header, verbatim.
        padding: the values of the fields called `_`, each (N, COUNT), in file order.
        trail: white space at the end of ascii rows.
        trim: whether ascii rows say `1` rather than `1.0`.
    """

    lines: tuple[bytes, ...] = _NEW
    padding: tuple[Array, ...] = ()
    trail: bytes = b""
    trim: bool = True


def parse_pcd(data: bytes) -> PointCloud:
    """Read the bytes of a PCD file of any version.

    normal_x, normal_y, normal_z become normals, other fields attributes, those of COUNT > 1 as (N, COUNT). A cloud
    of WIDTH > 1 and HEIGHT > 1 has a grid.

    Raises:
        DataError: the bytes do not keep what the header promises, or there are no float x, y, z.
    """
    header = parse_header(data)
    if header.encoding == "ascii":
        values = _from_text(data, header)
    elif header.encoding == "binary":
        values = _from_rows(data, header)
    else:
        values = _from_compressed(data, header)
    columns = {f.name: value for f, value in zip(header.fields, values, strict=True) if f.name != "_"}
    points, normals, attributes = cloud_arrays(columns, _NORMAL)
    organised = header.height > 1 and header.width > 1
    position = np.array(header.viewpoint[:3])
    sample = data[header.size : header.size + 65536]
    line = sample[: sample.find(b"\n")].rstrip(b"\r")
    text = header.encoding == "ascii"
    return PointCloud(
        points=points,
        normals=normals,
        attributes=attributes,
        grid=(header.height, header.width) if organised else None,
        viewpoint=position if organised or position.any() else None,
        unit=unit_in(line for line in header.lines if line.startswith(b"#")),
        document=PcdDocument(
            lines=header.lines,
            padding=tuple(v for f, v in zip(header.fields, values, strict=True) if f.name == "_"),
            trail=line[len(line.rstrip()) :] if text else b"",
            trim=not text or trims_zeros(sample),
        ),
    )


def _from_text(data: bytes, header: Header) -> list[Array]:
    [(start, end)] = cut_lines(data, header.size, [("points", header.points)])
    text, columns = data[start:end], sum(field.count for field in header.fields)
    rows = parse_rows(text, columns, "point")
    if len(rows) != header.points:
        raise DataError(f"{len(rows)} points: expected {header.points} by the header")
    values, at = [], 0
    for field in header.fields:
        dtype = np.dtype(field.code)
        if dtype.kind in "iu" and dtype.itemsize == 8:
            places = range(at, at + field.count)
            block = np.stack([exact_integers(text, columns, i, dtype, field.name) for i in places], axis=1)
        else:
            block = as_type(rows[:, at : at + field.count], dtype, field.name)
        values.append(block[:, 0].copy() if field.count == 1 else block)
        at += field.count
    return values


def _from_rows(data: bytes, header: Header) -> list[Array]:
    _check_size(len(data) - header.size, header.points * sum(f.count * int(f.code[1:]) for f in header.fields))
    dtype = np.dtype([(str(i), "<" + f.code, _shape(f)) for i, f in enumerate(header.fields)])
    table = np.frombuffer(data, dtype, header.points, header.size)
    return [table[str(i)].astype(f.code) for i, f in enumerate(header.fields)]


def _from_compressed(data: bytes, header: Header) -> list[Array]:
    sizes = [header.points * f.count * int(f.code[1:]) for f in header.fields]
    if len(data) - header.size < 8:
        raise DataError("compressed data: missing (is the file cut off?)")
    packed, unpacked = (int(n) for n in np.frombuffer(data, "<u4", 2, header.size))
    start = header.size + 8
    if unpacked != sum(sizes):
        raise DataError(f"compressed data: {unpacked} bytes unpacked: expected {sum(sizes)} by the header")
    # The Point Cloud Library itself leaves up to a page of zeros after the data.
    if data[start + packed :].strip(b"\0"):
        raise DataError("compressed data: more bytes than the header says")
    _check_size(min(packed, len(data) - start), packed)
    whole = decompress(data[start : start + packed], unpacked)
    values, at = [], 0
    for field, size in zip(header.fields, sizes, strict=True):
        column = np.frombuffer(whole, "<" + field.code, header.points * field.count, at).astype(field.code)
        values.append(column.reshape(-1, field.count) if field.count > 1 else column)
        at += size
    return values


def _shape(field: Field) -> tuple[int, ...]:
    return (field.count,) if field.count > 1 else ()


def _check_size(found: int, expected: int) -> None:
    if found != expected:
        hint = " (is the file cut off?)" if found < expected else ""
        raise DataError(f"{found} bytes of points: expected {expected} by the header{hint}")


def pcd_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield the bytes of a PCD file: in the manner of the cloud's own PCD document, else version 0.7, binary.

    Fields that the document does not know are appended.

    Raises:
        WriteError: compressed data would pass the 4 GiB that PCD can count.
    """
    document = cloud.document if isinstance(cloud.document, PcdDocument) else PcdDocument(_new_lines(cloud))
    header = parse_header(b"\n".join(document.lines) + b"\n")
    fields, values = _laid_out(cloud, document, header)
    if cloud.grid is not None:
        height, width = cloud.grid
    else:
        column = header.width == 1 and header.height > 1
        width, height = (1, len(cloud)) if column else (len(cloud), 1)
    yield emit_header(document.lines, fields, width, height, _viewpoint(cloud, header))
    if header.encoding == "ascii":
        newline = b"\r\n" if document.lines[-1].endswith(b"\r") else b"\n"
        yield from table_chunks(values, b" ", newline, trim=document.trim, trail=document.trail)
    elif header.encoding == "binary":
        table = np.zeros(len(cloud), [(str(i), "<" + f.code, _shape(f)) for i, f in enumerate(fields)])
        for i, value in enumerate(values):
            table[str(i)] = value
        yield table.tobytes()
    else:
        whole = b"".join(v.astype(v.dtype.newbyteorder("<")).tobytes() for v in values)
        if len(whole) >= 1 << 32:
            raise WriteError(f"{len(whole)} bytes of points: expected less than 4 GiB\nhint: write binary PCD or PLY")
        packed = compress(whole)
        yield np.array([len(packed), len(whole)], "<u4").tobytes() + packed


def _new_lines(cloud: PointCloud) -> tuple[bytes, ...]:
    return (_NEW[0], *([f"# unit {cloud.unit}".encode()] if cloud.unit else []), *_NEW[1:])


def _laid_out(cloud: PointCloud, document: PcdDocument, header: Header) -> tuple[list[Field], list[Array]]:
    """Return the fields in file order and their values, each (N,) or (N, COUNT)."""
    columns = file_columns(cloud, _NORMAL)
    padding = iter(document.padding)
    fields, values = list[Field](), list[Array]()
    for old in header.fields:
        if old.name == "_":
            kept = next(padding)
            fields.append(old)
            values.append(kept if len(kept) == len(cloud) else np.zeros((len(cloud), *_shape(old)), old.code))
        elif old.name in columns:
            _append(fields, values, old.name, columns.pop(old.name))
    for name, column in columns.items():
        _append(fields, values, name, column)
    return fields, values


def _append(fields: list[Field], values: list[Array], name: str, column: Array) -> None:
    fields.append(Field(name, column.dtype.str[1:], column.shape[1] if column.ndim == 2 else 1))
    values.append(column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column)


def _viewpoint(cloud: PointCloud, header: Header) -> list[str] | None:
    if cloud.viewpoint is None or tuple(cloud.viewpoint.tolist()) == header.viewpoint[:3]:
        return None
    numbers = [*cloud.viewpoint.tolist(), *header.viewpoint[3:]]
    return [repr(number).removesuffix(".0") for number in numbers]
