"""Arrays of .npy files, and of the members of .npz files, mapped from the disk."""

from __future__ import annotations

import math
import tempfile
import tokenize
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

Array = NDArray[Any]

_PIECE = 1 << 22
# Deflate makes at most 1032 bytes of one.
_MOST_DEFLATED = 1040


def mapped(path: Path) -> Array:
    """Return the array of a .npy file, mapped.

    Raises:
        DataError: it is no such file, holds objects, or its header and its size do not go together.
    """
    with path.open("rb") as file:
        shape, order, dtype = described(file)
        begin, end = file.tell(), file.seek(0, 2)
    size = math.prod(shape) * dtype.itemsize
    if size != end - begin or min(shape, default=0) < 0:
        less = "fewer" if size > end - begin else "more"
        raise DataError(f"npy: {dtype} {shape}: {less} bytes than its header says")
    if not size:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", begin, shape, order)


def described(file: Any) -> tuple[tuple[int, ...], Any, np.dtype[Any]]:
    """Read a header, and return shape, memory order and dtype.

    Raises:
        DataError: it cannot be read, or the dtype holds objects.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy's remark on headers made by Python 2
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                raise DataError(f"npy: version {version}: expected 1.0 or 2.0")
    # A damaged header fails in as many ways as Python source does.
    except (ValueError, EOFError, TypeError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"npy: its header cannot be read: {str(error).splitlines()[0]}") from None
    if dtype.hasobject:
        raise DataError("npy: holds Python objects, and loading those could run code: expected floats")
    return shape, "F" if fortran else "C", dtype


def mapped_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Return the array of a member of an archive, mapped from a copy beside it.

    Raises:
        DataError: it is not a plain array, or damaged.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{member.filename}: expected a stored or deflated array")
    if member.file_size > _MOST_DEFLATED * member.compress_size + _PIECE:
        raise DataError(f"{member.filename}: damaged: {member.compress_size} bytes cannot hold {member.file_size}")
    # Copied aside and mapped from there, so that memory holds a piece at a time whatever its size.
    with tempfile.NamedTemporaryFile(suffix=".npy") as aside:
        with archive.open(member) as file:
            while piece := file.read(_PIECE):
                aside.write(piece)
        aside.flush()
        return mapped(Path(aside.name))


def begin(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the header of an array in C order whose bytes follow."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
