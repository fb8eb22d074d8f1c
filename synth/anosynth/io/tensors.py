"""Tensors in files: .npy, .npz, .pt and .safetensors, mapped from the disk and written piece by piece.

Neither reading nor writing needs memory for more than a piece, .pt files of old torch apart. No pickle is ever run:
.pt is read with `weights_only`, and only then is torch needed.
"""

from __future__ import annotations

import math
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError

from . import _npy, _safetensors
from .atomic import atomic_write

Array = NDArray[Any]

FORMATS = ("npy", "npz", "pt", "safetensors")
SUFFIXES = frozenset([".npy", ".npz", ".pt", ".pth", ".safetensors"])
KEY = "features"
"""What the features are called in files that hold several arrays."""

_PT_ERRORS = (
    RuntimeError,
    ValueError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    struct.error,
)
_FLOATS = ("float16", "float32", "float64")
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


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
    try:
        if kind == "npy":
            return _checked(_npy.mapped(path), "array")
        if kind == "npz":
            return _of_npz(path, key)
        if kind == "safetensors":
            return _of_safetensors(path, key)
        if kind in ("pt", "pth"):
            return _of_pt(path, key)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    raise DataError(f"{path}: {path.suffix or 'no suffix'}: expected {', '.join(sorted(SUFFIXES))}")


def map_npy(path: Path) -> Array:
    """Return the array of a .npy file of any plain dtype, mapped from the disk.

    Raises:
        DataError: it cannot be read, or is damaged.
    """
    try:
        return _npy.mapped(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


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
                archive.open(zipfile.ZipInfo(f"{KEY}.npy", _LONG_AGO), "w", force_zip64=True) as member,
            ):
                _npy.begin(member, stored, shape)
                yield appending(member)
        else:
            # torch saves a whole tensor; it is gathered on the disk, in a file without a name.
            with tempfile.TemporaryFile(dir=path.parent) as raw:
                yield appending(raw)
                raw.flush()
                _save_pt(np.memmap(raw, stored, "r+", 0, shape), dtype, file)
        assert left == 0, "fewer or more values than the shape says"


def read_state(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors that `write_state` wrote, and the texts.

    Raises:
        DataError: the file cannot be read, or is another.
    """
    try:
        found, texts = _safetensors.tensors_of(path)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    for name, (code, _) in found.items():
        if code not in ("F16", "F32", "F64", "I64"):
            raise DataError(f"{path}: {name}: {code}: expected floats or int64")
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
    import pickle

    try:
        from anosynth.features._torch import torch
    except ImportError as error:
        raise DataError(str(error)) from None
    _check_stored(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on pickles that it did not write itself
            try:
                held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:
                # Files of the form before torch 1.6 cannot be mapped.
                held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            "holds more than tensors, and loading that could run code, or is no file of tensors\n"
            "hint: save a tensor, or a dict of tensors, with torch.save"
        ) from None
    # An unpickler that reads damage fails in as many ways as there are instructions.
    except _PT_ERRORS as error:
        raise DataError(f"is no file of tensors{_first_line(error)}") from None
    named = held if isinstance(held, Mapping) else {KEY: held}
    tensors = {str(name): value for name, value in named.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise DataError(f"{type(held).__name__}: expected a tensor, or a dict of tensors")
    name = _chosen({name: value.is_floating_point() for name, value in tensors.items()}, key)
    tensor = tensors[name].detach()
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in (*_FLOATS, "bfloat16") or tensor.layout != torch.strided:
        raise DataError(f"{name}: {dtype} {tensor.layout}: expected a dense tensor of float16, bfloat16, 32 or 64")
    # A stride of zero makes as many values as one likes out of one.
    if tensor.numel() > tensor.untyped_storage().nbytes() // tensor.element_size():
        shape = tuple(tensor.shape)
        raise DataError(f"{name}: {shape}: expected as many values as its shape says\nhint: save tensor.contiguous()")
    if dtype == "bfloat16":
        return Stored(tensor.view(torch.int16).numpy().view(np.uint16), dtype)
    return Stored(tensor.numpy(), dtype)


def _check_stored(path: Path) -> None:
    """Raise DataError if a zip file holds compressed members: torch stores them, and unpacks others into memory."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            packed = next((m for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED), None)
    except _npy.ZIP_ERRORS as error:
        raise DataError(f"is no file of tensors{_first_line(error)}") from None
    if packed is not None:
        raise DataError(f"{packed.filename}: compressed: expected what torch.save writes")


def _save_pt(values: Array, dtype: str, file: BinaryIO) -> None:
    from anosynth.features._torch import torch

    if dtype == "bfloat16":
        torch.save(torch.from_numpy(values.view(np.int16)).view(torch.bfloat16), file)
    else:
        torch.save(torch.from_numpy(values), file)


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


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f": {text.splitlines()[0][:100]}" if text and not isinstance(error, LookupError) else ""
