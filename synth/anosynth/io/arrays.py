"""Points as numpy arrays: .npy of shape (N, 3 or more) and .npz with an array `points`."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io import _npy
from anosynth.io._unpacking import check_unpacked
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ArrayDocument:
    """How the array of points was stored: its dtype with byte order, number of columns, memory order."""

    dtype: str
    columns: int = 3
    order: str = "C"


@dataclass(frozen=True, eq=False)
class ZipDocument:
    """How the arrays of a .npz were stored.

    Attributes:
        points: how `key` was stored.
        key: the name of the array that holds the points.
        names: all names, in file order.
        extras: the arrays that do not belong to points.
        dtypes: the stored dtype, with byte order, of each array.
        compressed: whether the file is deflated.
    """

    points: ArrayDocument
    key: str = "points"
    names: tuple[str, ...] = ()
    extras: Mapping[str, Array] = field(default_factory=dict)
    dtypes: Mapping[str, str] = field(default_factory=dict)
    compressed: bool = False


def parse_npy(data: bytes) -> PointCloud:
    """Read a .npy file of shape (N, 3 or more), float32 or float64; further columns become attributes c4, c5, ...

    Raises:
        DataError: it holds anything else, or is damaged.
    """
    array = _load(data, "array")
    _check_points(array, "array")
    return PointCloud(_native(array[:, :3]), attributes=_further(array), document=_stored(array))


def parse_npz(data: bytes) -> PointCloud:
    """Read a .npz file; the points are its array `points`, or else its first float (N, 3 or more).

    `normals` (N, 3) and `faces` (F, 3) are taken as such, other arrays of N rows as attributes.

    Raises:
        DataError: there are no points, an array needs pickle, or the file is damaged.
    """
    arrays, compressed = _unzipped(data)
    key = "points" if "points" in arrays else next((name for name, a in arrays.items() if _is_points(a)), "")
    if not key:
        raise DataError(f"npz: arrays {', '.join(arrays) or '(none)'}: expected `points`, float of shape (N, 3)")
    _check_points(arrays[key], key)
    rows = len(arrays[key])
    attributes = _further(arrays[key])
    normals, faces, extras = None, None, dict[str, Array]()
    for name, array in arrays.items():
        if name == key:
            continue
        if name == "normals" and array.shape == (rows, 3) and array.dtype.kind == "f":
            normals = _native(array)
        elif name == "faces" and array.ndim == 2 and array.shape[1] == 3 and array.dtype.kind in "iu":
            faces = array.astype(np.int64)
            if faces.size and (faces.min() < 0 or faces.max() >= rows):
                raise DataError(f"npz: faces: expected indices from 0 to {rows - 1}")
        elif array.ndim and len(array) == rows and array.dtype.kind in "biuf" and name not in attributes:
            attributes[name] = _native(array)
        else:
            extras[name] = array
    document = ZipDocument(
        points=_stored(arrays[key]),
        key=key,
        names=tuple(arrays),
        extras=extras,
        dtypes={name: array.dtype.str for name, array in arrays.items()},
        compressed=compressed,
    )
    return PointCloud(_native(arrays[key][:, :3]), normals, faces, attributes, document=document)


def _unzipped(data: bytes) -> tuple[dict[str, Array], bool]:
    arrays = dict[str, Array]()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            # No more is ever unpacked of a member than it claims.
            check_unpacked(len(data), sum(member.file_size for member in members), "npz")
            for member in members:
                if member.filename.endswith(".npy"):
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = _load(archive.read(member), name)
    except DataError:
        raise
    except _npy.ZIP_ERRORS as error:
        raise DataError(f"npz: damaged: {error}") from None
    return arrays, any(member.compress_type != zipfile.ZIP_STORED for member in members)


def _load(data: bytes, name: str) -> Array:
    try:
        return _npy.loaded(data)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def _is_points(array: Array) -> bool:
    return array.ndim == 2 and array.shape[1] >= 3 and array.dtype.kind == "f" and array.dtype.itemsize in (4, 8)


def _check_points(array: Array, name: str) -> None:
    if not _is_points(array):
        raise DataError(f"{name}: {array.dtype} {array.shape}: expected float32 or float64 of shape (N, 3 or more)")


def _native(array: Array) -> Array:
    return np.array(array, array.dtype.newbyteorder("="), order="C")


def _further(array: Array) -> dict[str, Array]:
    return {f"c{i + 1}": _native(array[:, i]) for i in range(3, array.shape[1])}


def _stored(array: Array) -> ArrayDocument:
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return ArrayDocument(array.dtype.str, array.shape[1], order)


def npy_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield a .npy file: the points, with the further columns of the cloud's own document."""
    document = cloud.document if isinstance(cloud.document, ArrayDocument) else _plain(cloud)
    yield _saved(_matrix(cloud, document))


def npz_chunks(cloud: PointCloud) -> Iterator[bytes]:
    """Yield a .npz file: `points`, `normals`, `faces` and every attribute, in the order of the cloud's document."""
    document = cloud.document if isinstance(cloud.document, ZipDocument) else ZipDocument(_plain(cloud))
    held = {document.key: _matrix(cloud, document.points)}
    if cloud.normals is not None:
        held["normals"] = cloud.normals
    if cloud.faces is not None:
        held["faces"] = cloud.faces
    columns = {f"c{i + 1}" for i in range(3, document.points.columns)}
    held.update({name: value for name, value in cloud.attributes.items() if name not in columns})
    held.update({name: value for name, value in document.extras.items() if name not in held})
    order = [name for name in document.names if name in held]
    method = zipfile.ZIP_DEFLATED if document.compressed else zipfile.ZIP_STORED
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in [*order, *(name for name in held if name not in order)]:
            archive.writestr(_npy.member(name, method), _saved(_as_stored(held[name], name, document)))
    yield stream.getvalue()


def _as_stored(array: Array, name: str, document: ZipDocument) -> Array:
    """Return `array` in the file's own dtype where that loses nothing (byte order, width of face indices)."""
    dtype = np.dtype(document.dtypes.get(name, array.dtype.str))
    faces = name == "faces" and dtype.kind in "iu" and array.size and array.max() <= np.iinfo(dtype).max
    return array.astype(dtype) if faces or dtype.newbyteorder("=") == array.dtype else array


def _plain(cloud: PointCloud) -> ArrayDocument:
    return ArrayDocument(cloud.points.dtype.str)


def _matrix(cloud: PointCloud, document: ArrayDocument) -> Array:
    dtype = np.dtype(document.dtype)
    if dtype.newbyteorder("=") != cloud.points.dtype:
        dtype = cloud.points.dtype
    columns = [cloud.attributes[f"c{i + 1}"] for i in range(3, document.columns) if f"c{i + 1}" in cloud.attributes]
    out = np.zeros((len(cloud), 3 + len(columns)), dtype, order="F" if document.order == "F" else "C")
    out[:, :3] = cloud.points
    for index, column in enumerate(columns):
        out[:, 3 + index] = column
    return out


def _saved(array: Array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    return stream.getvalue()
