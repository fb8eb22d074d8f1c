"""Arrays of .npy files, and of the members of .npz files, mapped from the disk."""

from __future__ import annotations

import io
import math
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

from ._unpacking import MOST_DEFLATED, check_unpacked

try:
    from lzma import LZMAError
except ImportError:  # some builds of Python come without, and then zipfile does not unpack it either
    LZMAError = zlib.error  # type: ignore[assignment,misc]

Array = NDArray[Any]

ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
)
"""What zipfile lets through of damaged files: its own errors, those of decompressors, of strange names and sizes."""

# A damaged header fails in as many ways as Python source does.
_HEADER_ERRORS = (
    ValueError,
    EOFError,
    TypeError,
    SyntaxError,
    tokenize.TokenError,
    MemoryError,
    RecursionError,
    OverflowError,
    LookupError,
    AttributeError,
)
_PIECE = 1 << 22
_MOST_DIMENSIONS = 32


def mapped(path: Path) -> Array:
    """Return the array of a .npy file, mapped.

    Raises:
        DataError: it is no such file, holds objects, or its header and its size do not go together.
    """
    with path.open("rb") as file:
        shape, order, dtype = described(file)
        begin, end = file.tell(), file.seek(0, 2)
    if not _checked_size(shape, dtype, end - begin):
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", begin, shape, order)


def loaded(data: bytes) -> Array:
    """Return the array that the bytes of a .npy file hold: a view of them, which cannot be written to.

    Raises:
        DataError: as `mapped`.
    """
    stream = io.BytesIO(data)
    shape, order, dtype = described(stream)
    if not _checked_size(shape, dtype, len(data) - stream.tell()):
        return np.zeros(shape, dtype)
    return np.ndarray(shape, dtype, data, stream.tell(), order=order)


def _checked_size(shape: tuple[int, ...], dtype: np.dtype[Any], held: int) -> int:
    """Return the number of bytes of an array that is said to fill `held` ones."""
    size = math.prod(shape) * dtype.itemsize
    if size != held or min(shape, default=0) < 0:
        less = "fewer" if size > held else "more"
        raise DataError(f"{dtype} {_short(shape)}: {less} bytes than its header says")
    # Nothing held of much: such shapes cannot even be told to numpy.
    if len(shape) > _MOST_DIMENSIONS or (not size and max(shape, default=0) > _PIECE):
        raise DataError(f"{dtype} {_short(shape)}: expected at most {_MOST_DIMENSIONS} dimensions of some size")
    return size


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 80 else f"{text[:77]}..."


def described(file: Any) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    """Read a header, and return shape, memory order and dtype.

    Raises:
        DataError: it cannot be read, or the dtype holds objects.
    """
    try:
        with warnings.catch_warnings():
            # Remarks of numpy on headers made by Python 2, and of Python on what stands in a damaged one.
            warnings.simplefilter("ignore")
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
            elif version == (2, 0):
                shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
            else:
                raise DataError(f"version {version[0]}.{version[1]}: expected 1.0 or 2.0")
    except _HEADER_ERRORS as error:
        if isinstance(error, DataError):
            raise
        text = str(error).splitlines()[0][:200] if str(error) else "damaged"
        raise DataError(f"its header cannot be read: {text}") from None
    if dtype.hasobject:
        raise DataError("holds Python objects, and loading those could run code: expected numbers")
    return shape, "F" if fortran else "C", dtype


def mapped_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    """Return the array of a member of an archive, mapped from a copy beside it.

    Raises:
        DataError: it is not a plain array, or damaged.
    """
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(f"{member.filename}: expected a stored or deflated array")
    if member.file_size > MOST_DEFLATED * member.compress_size + _PIECE:
        raise DataError(f"{member.filename}: damaged: {member.compress_size} bytes cannot hold {member.file_size}")
    check_unpacked(member.compress_size, member.file_size, member.filename)
    # Copied aside and mapped from there, so that memory holds a piece at a time whatever its size.
    with tempfile.NamedTemporaryFile(suffix=".npy") as aside:
        with archive.open(member) as file:
            while piece := file.read(_PIECE):
                aside.write(piece)
        aside.flush()
        return mapped(Path(aside.name))


def member(name: str, method: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """Return the entry of an array in an archive, of a time that is always the same."""
    entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    entry.compress_type = method
    return entry


def begin(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write the header of an array in C order whose bytes follow."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
