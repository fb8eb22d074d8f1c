"""Tensors in files: .npy, .npz, .pt and .safetensors, mapped from the disk and written piece by piece.

Neither reading nor writing needs memory for more than a piece, .pt files of old torch apart. No pickle is ever run:
.pt is read with `weights_only`, and only then is torch needed.
"""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError

from . import _npy, _pt, _safetensors
from .atomic import atomic_write

Array = NDArray[Any]

FORMATS = ("npy", "npz", "pt", "safetensors")
SUFFIXES = frozenset([".npy", ".npz", ".pt", ".pth", ".safetensors"])
KEY = "features"
"""What the features are called in files that hold several arrays."""

_FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Stored:
    """A float tensor as it lies in a file.

    Attributes:
        values: mapped from the disk, in the file's own byte order; of bfloat16 its words, uint16.
        dtype: "float16", "bfloat16", "float32" or "float64".
    """

    values: Array
    dtype: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape


def read_tensor(path: Path, key: str = "") -> Stored:
    """Return the float tensor of a file.

    Args:
        key: of files that hold several: which; "" for `features`, or the only one of floats.

    Raises:
        DataError: the file cannot be read, holds no such tensor, or is damaged; or is .pt, and torch is not installed.
    """
    if not path.is_file():
        raise DataError(f"{path}: not a regular file" if path.exists() else f"{path}: no such file")
    kind = path.suffix.lower().lstrip(".")
    with _named(path):
        if kind == "npy":
            return _checked(_npy.mapped(path), "array")
        if kind == "npz":
            return _of_npz(path, key)
        if kind == "safetensors":
            return _of_safetensors(path, key)
        if kind in ("pt", "pth"):
            return _of_pt(path, key)
    raise DataError(f"{path}: {path.suffix or 'no suffix'}: expected {', '.join(sorted(SUFFIXES))}")


def map_npy(path: Path) -> Array:
    """Return the array of a .npy file of any plain dtype, mapped from the disk.

    Raises:
        DataError: it cannot be read, or is damaged.
    """
    with _named(path):
        return _npy.mapped(path)


@contextmanager
def write_tensor(
    path: Path, dtype: str, shape: tuple[int, ...], kind: str = "npy"
) -> Iterator[Callable[[Array], None]]:
    """Yield a function that appends the next values, in C order; the file appears at the end, or not at all.

    Args:
        dtype: "bool" (.npy alone) or one of `Stored`; bfloat16 is given as words.
        kind: one of `FORMATS`.

    Raises:
        ParameterError: the format cannot hold the dtype.
        WriteError: the file cannot be written.
    """
    if dtype == "bfloat16" and kind in ("npy", "npz"):
        raise ParameterError(f"--format: {kind}: cannot hold bfloat16\nhint: --format safetensors, or pt")
    stored = np.dtype({"bfloat16": "<u2", "bool": "?"}.get(dtype, dtype)).newbyteorder("<")
    left = math.prod(shape)

    def appending(file: Any) -> Callable[[Array], None]:
        def append(values: Array) -> None:
            nonlocal left
            left -= values.size
            file.write(np.ascontiguousarray(values, dtype=stored).tobytes())

        return append

    with atomic_write(path) as file:
        if kind == "npy":
            _npy.begin(file, stored, shape)
            yield appending(file)
        elif kind == "safetensors":
            _safetensors.begin(file, {KEY: (dtype, shape)}, {})
            yield appending(file)
        elif kind == "npz":
            with (
                zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
                archive.open(_npy.member(KEY), "w", force_zip64=True) as member,
            ):
                _npy.begin(member, stored, shape)
                yield appending(member)
        else:
            # torch saves a whole tensor; it is gathered on the disk, in a file without a name.
            with tempfile.TemporaryFile(dir=path.parent) as raw:
                yield appending(raw)
                raw.flush()
                _pt.save(np.memmap(raw, stored, "r+", 0, shape), dtype, file)
        assert left == 0, "fewer or more values than the shape says"


def read_state(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors that `write_state` wrote, and the texts.

    Raises:
        DataError: the file cannot be read, or is another.
    """
    with _named(path):
        found, texts = _safetensors.tensors_of(path)
        for name, (code, _) in found.items():
            if code not in ("F16", "F32", "F64", "I64"):
                raise DataError(f"{name}: {code}: expected floats or int64")
    return {name: np.array(values) for name, (_, values) in found.items()}, texts


def write_state(path: Path, tensors: Mapping[str, Array], texts: Mapping[str, str]) -> None:
    """Write named tensors of floats or int64, and texts, as safetensors.

    Raises:
        WriteError: the file cannot be written.
    """
    with atomic_write(path) as file:
        _safetensors.begin(file, {name: (values.dtype.name, values.shape) for name, values in tensors.items()}, texts)
        for values in tensors.values():
            file.write(values.astype(values.dtype.newbyteorder("<"), order="C", copy=False).tobytes())


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the path before what is wrong with the file."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _checked(array: Array, name: str) -> Stored:
    dtype = array.dtype.newbyteorder("=").name
    if dtype not in _FLOATS:
        raise DataError(f"{name}: {array.dtype}: expected float16, float32 or float64")
    return Stored(array, dtype)


def _of_npz(path: Path, key: str) -> Stored:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}
            kinds = {}
            for name, member in members.items():
                with archive.open(member) as file:
                    shape, _, dtype = _npy.described(file) if not key or key == name else ((), "C", np.dtype(bool))
                kinds[name] = (dtype.newbyteorder("=").name, shape)
            name = _chosen({name: dtype in _FLOATS for name, (dtype, _) in kinds.items()}, key)
            return _checked(_npy.mapped_member(archive, members[name]), name)
    except DataError as error:
        raise DataError(f"npz: {error}") from None
    except _npy.ZIP_ERRORS as error:
        raise DataError(f"npz: damaged: {error}") from None


def _of_safetensors(path: Path, key: str) -> Stored:
    found, _ = _safetensors.tensors_of(path)
    floats = {name: code in ("F16", "F32", "F64", "BF16") for name, (code, _) in found.items()}
    code, values = found[_chosen(floats, key)]
    if code not in ("F16", "F32", "F64", "BF16"):
        raise DataError(f"{key}: {code}: expected F16, BF16, F32 or F64")
    return Stored(values, _safetensors.NAMES[code])


def _of_pt(path: Path, key: str) -> Stored:
    tensors = _pt.tensors_of(path, KEY)
    name = _chosen({name: value.is_floating_point() for name, value in tensors.items()}, key)
    dtype, values = _pt.values_of(tensors[name], name)
    return Stored(values, dtype)


def _chosen(floats: Mapping[str, bool], key: str) -> str:
    """Return the name that is meant: `key`, else `features`, else the only tensor of floats."""
    if key:
        if key not in floats:
            raise DataError(f"no tensor `{key}`: it holds {', '.join(floats) or 'none'}")
        return key
    named = [name for name, is_float in floats.items() if is_float]
    if KEY in named or len(named) == 1:
        return KEY if KEY in named else named[0]
    held = ", ".join(list(floats)[:8]) or "none"
    raise DataError(
        f"{len(named)} tensors of floats ({held}): expected one\nhint: --key says which"
        if named
        else f"no tensor of floats (it holds {held}): expected features"
    )
