"""Safetensors: 8 bytes that say how long the JSON header is, the header, then the tensors' bytes, all little-endian."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

# What numpy holds itself; bfloat16, which it does not know, as its 16-bit words.
_DTYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "?",
}
NAMES = {"F16": "float16", "F32": "float32", "F64": "float64", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}
_CODES = {name: code for code, name in NAMES.items()}
_LONGEST = 100_000_000


def tensors_of(path: Path) -> tuple[dict[str, tuple[str, NDArray[Any]]], dict[str, str]]:
    """Return the tensors of a file by name, as (dtype, values mapped from the disk), and its texts.

    Dtypes go by the format's own codes ("F32", "BF16"); tensors of other dtypes than the known ones have no values,
    shape (0,). Nothing of the size that a header claims is ever allocated.

    Raises:
        DataError: it is no such file, or its header and its size do not go together.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _LONGEST):
            raise DataError("safetensors: damaged: its header is longer than the file, or there is none")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise DataError("safetensors: damaged: its header is no JSON") from None
    if not isinstance(header, dict):
        raise DataError("safetensors: damaged: its header is no mapping")
    texts = header.pop("__metadata__", None) or {}
    found = {str(name): _mapped(path, str(name), entry, 8 + length, size) for name, entry in header.items()}
    return found, {str(key): str(value) for key, value in texts.items()} if isinstance(texts, dict) else {}


def _mapped(path: Path, name: str, entry: Any, start: int, size: int) -> tuple[str, NDArray[Any]]:
    if not isinstance(entry, dict):
        raise DataError(f"safetensors: {name}: its header is no mapping")
    code, shape, ends = str(entry.get("dtype")), _whole(entry.get("shape")), _whole(entry.get("data_offsets"))
    if shape is None or ends is None or len(ends) != 2 or not ends[0] <= ends[1] <= size - start:
        raise DataError(f"safetensors: {name}: lies beyond the end of the file: cut off or damaged")
    if code not in _DTYPES:
        return code, np.zeros(0, np.uint8)
    dtype, count = np.dtype(_DTYPES[code]), math.prod(shape)
    if count * dtype.itemsize != ends[1] - ends[0]:
        raise DataError(f"safetensors: {name}: {code} {shape}: does not fit its {ends[1] - ends[0]} bytes")
    if not count:
        return code, np.zeros(shape, dtype)
    return code, np.memmap(path, dtype, "r", start + ends[0], shape)


def _whole(values: Any) -> tuple[int, ...] | None:
    if isinstance(values, list) and all(type(value) is int and 0 <= value < 2**60 for value in values):
        return tuple(values)
    return None


def begin(file: BinaryIO, tensors: Mapping[str, tuple[str, tuple[int, ...]]], texts: Mapping[str, str]) -> None:
    """Write the header of a file whose tensors, (dtype by numpy's name, shape) by name, follow in this order."""
    header: dict[str, Any] = {"__metadata__": dict(texts)} if texts else {}
    place = 0
    for name, (dtype, shape) in tensors.items():
        code = _CODES[dtype]
        end = place + math.prod(shape) * np.dtype(_DTYPES[code]).itemsize
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    # Padded so that the tensors lie at whole words, as the reference writer has them.
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
