"""Between the named per-point fields of a file and the arrays of a point cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import WriteError
from anosynth.pointclouds._cloud import PointCloud

Array = NDArray[Any]
Names = tuple[str, str, str]

XYZ: Names = ("x", "y", "z")


def stacked(columns: Mapping[str, Array], names: Names) -> Array:
    """Return (N, 3) of three (N,) columns, in the widest of their types and native byte order."""
    dtype = np.result_type(*(columns[name].dtype.newbyteorder("=") for name in names))
    out = np.zeros((len(columns[names[0]]), 3), dtype)
    for index, name in enumerate(names):
        out[:, index] = columns[name]
    return out


def cloud_arrays(columns: Mapping[str, Array], normal_names: Names) -> tuple[Array, Array | None, dict[str, Array]]:
    """Split the fields of a file into points, normals (three floats of one type, else None) and attributes."""
    kinds = {columns[name].dtype if name in columns and columns[name].ndim == 1 else None for name in normal_names}
    has_normals = len(kinds) == 1 and kinds <= {np.dtype(np.float32), np.dtype(np.float64)}
    used = {*XYZ, *(normal_names if has_normals else ())}
    normals = stacked(columns, normal_names) if has_normals else None
    return stacked(columns, XYZ), normals, {name: value for name, value in columns.items() if name not in used}


def file_columns(cloud: PointCloud, normal_names: Names) -> dict[str, Array]:
    """Return the per-point fields of a cloud under the names that a file gives them, each (N,) or (N, K).

    bool becomes uint8 and float16 float32; white space in a name becomes `_`.

    Raises:
        WriteError: a field is of a type that no file of clouds has.
    """
    columns = {name: cloud.points[:, i] for i, name in enumerate(XYZ)}
    if cloud.normals is not None:
        columns.update({name: cloud.normals[:, i] for i, name in enumerate(normal_names)})
    for name, value in cloud.attributes.items():
        if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
            raise WriteError(f"{name}: {value.dtype}: expected numbers of at most 64 bits")
        flat = value if value.ndim == 1 else value.reshape(len(value), -1)
        if flat.dtype.kind == "b":
            flat = flat.astype(np.uint8)
        elif flat.dtype == np.float16:
            flat = flat.astype(np.float32)
        columns.setdefault("_".join(name.split()), flat)
    return columns
