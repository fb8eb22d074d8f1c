"""Tensors in files of torch: read with `weights_only`, so that no pickle is ever run."""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

from ._npy import ZIP_ERRORS

# An unpickler that reads damage fails in as many ways as there are instructions.
_ERRORS = (
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
_DTYPES = ("float16", "float32", "float64", "bfloat16")


def tensors_of(path: Path, name: str) -> dict[str, Any]:
    """Return the tensors of a file by name, mapped from the disk where its form allows; `name` is that of a lone one.

    Raises:
        DataError: it is no file of tensors, or torch is not installed.
    """
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
    except _ERRORS as error:
        raise DataError(f"is no file of tensors{_first_line(error)}") from None
    named = held if isinstance(held, Mapping) else {name: held}
    tensors = {str(key): value for key, value in named.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise DataError(f"{type(held).__name__}: expected a tensor, or a dict of tensors")
    return tensors


def values_of(tensor: Any, name: str) -> tuple[str, NDArray[Any]]:
    """Return the dtype and the values of a tensor; of bfloat16 its words, uint16.

    Raises:
        DataError: it is not of floats, sparse, or has fewer values than its shape says.
    """
    from anosynth.features._torch import torch

    tensor = tensor.detach()
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _DTYPES or tensor.layout != torch.strided:
        raise DataError(f"{name}: {dtype} {tensor.layout}: expected a dense tensor of float16, bfloat16, 32 or 64")
    # A stride of zero makes as many values as one likes out of one.
    if tensor.numel() > tensor.untyped_storage().nbytes() // tensor.element_size():
        shape = tuple(tensor.shape)
        raise DataError(f"{name}: {shape}: expected as many values as its shape says\nhint: save tensor.contiguous()")
    if dtype == "bfloat16":
        return dtype, tensor.view(torch.int16).numpy().view(np.uint16)
    return dtype, tensor.numpy()


def save(values: NDArray[Any], dtype: str, file: BinaryIO) -> None:
    """Write one tensor; the values of bfloat16 are given as words."""
    from anosynth.features._torch import torch

    if dtype == "bfloat16":
        torch.save(torch.from_numpy(values.view(np.int16)).view(torch.bfloat16), file)
    else:
        torch.save(torch.from_numpy(values), file)


def _check_stored(path: Path) -> None:
    """Raise DataError if a zip file holds compressed members: torch stores them, and unpacks others into memory."""
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            packed = next((m for m in archive.infolist() if m.compress_type != zipfile.ZIP_STORED), None)
    except ZIP_ERRORS as error:
        raise DataError(f"is no file of tensors{_first_line(error)}") from None
    if packed is not None:
        raise DataError(f"{packed.filename}: compressed: expected what torch.save writes")


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f": {text.splitlines()[0][:100]}" if text and not isinstance(error, LookupError) else ""
