"""Reading and writing point clouds, meshes and organised maps in any of their file formats."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.io._sniff import sniffed
from anosynth.io._units import checked_unit
from anosynth.io.atomic import atomic_write
from anosynth.io.files import regular_bytes
from anosynth.pointclouds._cloud import PointCloud

# Format -> module, its reader of bytes and its writer of chunks. Modules are loaded when they are needed.
_CODECS = {
    "ply": ("ply", "parse_ply", "ply_chunks"),
    "pcd": ("pcd", "parse_pcd", "pcd_chunks"),
    "npy": ("arrays", "parse_npy", "npy_chunks"),
    "npz": ("arrays", "parse_npz", "npz_chunks"),
    "text": ("text", "parse_text", "text_chunks"),
    "tiff": ("xyzmap", "parse_xyz_tiff", "xyz_tiff_chunks"),
    "stl": ("stl", "parse_stl", "stl_chunks"),
    "obj": ("obj", "parse_obj", "obj_chunks"),
    "off": ("off", "parse_off", "off_chunks"),
    "glb": ("glb", "parse_glb", "glb_chunks"),
}
SUFFIXES = {
    **{f".{name}": name for name in ("ply", "pcd", "npy", "npz", "stl", "obj", "off", "glb")},
    **dict.fromkeys((".xyz", ".txt", ".csv", ".asc"), "text"),
    **dict.fromkeys((".tiff", ".tif"), "tiff"),
}
"""The file name suffixes of clouds, in lower case, and their formats."""

_WITH_LINES = ("ply", "pcd", "text", "stl", "obj", "off")
_HOLDS_FIELDS = ("ply", "pcd", "npz")


def read_cloud(path: str | os.PathLike[str], *, unit: str | None = None) -> PointCloud:
    """Read a point cloud, mesh or organised map; the content decides on the format, the suffix only helps.

    Args:
        path: a regular file of PLY, PCD, NPY, NPZ, text, TIFF, STL, OBJ, OFF or GLB.
        unit: unit of the coordinates, for files that do not say it.

    Raises:
        DataError: there is no such file, it cannot be read, is no cloud, is damaged, has no points, or says another
            unit than `unit`.
        ParameterError: `unit` is none of the known ones.
    """
    checked_unit(unit)
    data = regular_bytes(path, "a point cloud or mesh")
    try:
        kind = sniffed(data, _suffix(path), SUFFIXES)
        _check_lines(data, kind)
        module, parse, _ = _CODECS[kind]
        cloud: PointCloud = getattr(import_module(f"anosynth.io.{module}"), parse)(data)
        if not len(cloud):
            raise DataError("no points: expected at least one")
    except DataError as error:
        raise DataError(f"{os.fspath(path)}: {error}") from error
    if unit is not None and cloud.unit not in (None, unit):
        # Its comments go along to what is written, which would then contradict the unit of the heights.
        raise DataError(
            f"{os.fspath(path)}: says its unit is {cloud.unit}, --unit says {unit}\n"
            "hint: leave --unit out, or correct the file"
        )
    return cloud if unit is None else replace(cloud, unit=unit)


def write_cloud(path: str | os.PathLike[str], cloud: PointCloud) -> None:
    """Write a cloud in the format of the suffix; the file appears whole or not at all.

    A cloud read from the same format keeps that file's manner (encoding, order of fields, comments, other elements).
    Fields that the format cannot hold are left out; see `can_hold`.

    Raises:
        WriteError: the suffix is unknown, the format cannot hold this cloud, or the disk refuses.
    """
    suffix = _suffix(path)
    if suffix not in SUFFIXES:
        raise WriteError(f"{os.fspath(path)}: suffix `{suffix}`: expected one of {', '.join(SUFFIXES)}")
    module, _, chunks = _CODECS[SUFFIXES[suffix]]
    make: Callable[..., Iterator[bytes]] = getattr(import_module(f"anosynth.io.{module}"), chunks)
    with atomic_write(path) as file:
        try:
            for chunk in make(cloud, suffix) if module == "text" else make(cloud):
                file.write(chunk)
        except WriteError as error:
            raise WriteError(f"{os.fspath(path)}: {error}") from error


def can_hold(path: str | os.PathLike[str]) -> bool:
    """Whether the format of a path or of a bare suffix (`.ply`) has room for further fields of each point."""
    name = os.fspath(path)
    return (SUFFIXES.get(name.lower()) or SUFFIXES.get(_suffix(name))) in _HOLDS_FIELDS


def cloud_digest(cloud: PointCloud) -> str:
    """Return the SHA-256, in hex, of what a cloud holds, whatever format it came from.

    It covers points, normals, faces and attributes (these sorted by name), each by name, dtype in little-endian
    order, shape and bytes; the rest (grid, viewpoint, unit, document) is not covered.
    """
    total = hashlib.sha256()
    arrays: list[tuple[str, NDArray[Any] | None]] = [
        ("points", cloud.points),
        ("normals", cloud.normals),
        ("faces", cloud.faces),
        *((f"attribute {name}", cloud.attributes[name]) for name in sorted(cloud.attributes)),
    ]
    for name, array in arrays:
        if array is not None:
            little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            total.update(json.dumps([name, little.dtype.str, list(little.shape)]).encode("ascii") + b"\n")
            total.update(little.data)
    return total.hexdigest()


def _check_lines(data: bytes, kind: str) -> None:
    """Raise DataError if the lines of a text end in CR alone, which counts as a blank: all would be one row."""
    head = data[:65536]
    if kind in _WITH_LINES and b"\r" in head and b"\n" not in head and b"\0" not in head:
        raise DataError("its lines end in CR alone: expected LF, or CR and LF\nhint: convert the line ends")


def _suffix(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix.lower()
