"""The header of a PCD file: parsed for reading, kept line by line for writing back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anosynth.errors import DataError

ENCODINGS = ("ascii", "binary", "binary_compressed")

_KEYS = ("VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA")
_SIZES = {"F": ("4", "8"), "I": ("1", "2", "4", "8"), "U": ("1", "2", "4", "8")}


@dataclass(frozen=True)
class Field:
    """A field: its name (`_` for padding), numpy type code and number of values per point."""

    name: str
    code: str
    count: int


@dataclass(frozen=True)
class Header:
    """A header: all its lines verbatim, the fields, WIDTH and HEIGHT, VIEWPOINT, DATA and its size in bytes."""

    lines: tuple[bytes, ...]
    fields: tuple[Field, ...]
    width: int
    height: int
    viewpoint: tuple[float, ...]
    encoding: str
    size: int

    @property
    def points(self) -> int:
        """Number of points."""
        return self.width * self.height


def parse_header(data: bytes) -> Header:
    """Parse the header at the start of `data`.

    Raises:
        DataError: it is not a complete and consistent PCD header.
    """
    lines, at = [], 0
    said: dict[str, list[str]] = {}
    while "DATA" not in said:
        end = data.find(b"\n", at, at + 65536)
        if end < 0:
            raise DataError("PCD header: expected a line `DATA` (is the file cut off?)")
        lines.append(data[at:end])
        at = end + 1
        words = lines[-1].decode("utf-8", "surrogateescape").split()
        if not words or words[0].startswith("#"):
            continue
        key = "FIELDS" if words[0] == "COLUMNS" else words[0]
        if key not in _KEYS or key in said:
            raise DataError(f"PCD header: `{' '.join(words)[:80]}`: expected each of {', '.join(_KEYS)} once")
        said[key] = words[1:]
    return _checked(lines, said, at)


def _checked(lines: Sequence[bytes], said: Mapping[str, list[str]], size: int) -> Header:
    fields = _fields(said)
    points = _number(said, "POINTS") if "POINTS" in said else None
    width = _number(said, "WIDTH") if "WIDTH" in said or points is None else points
    height = _number(said, "HEIGHT") if "HEIGHT" in said else 1
    if points is not None and points != width * height:
        raise DataError(f"PCD header: POINTS {points}: expected WIDTH x HEIGHT = {width} x {height}")
    if not width * height:
        raise DataError("no points: expected at least one")
    encoding = " ".join(said["DATA"])
    if encoding not in ENCODINGS:
        raise DataError(f"PCD header: DATA {encoding}: expected one of {', '.join(ENCODINGS)}")
    try:
        viewpoint = tuple(float(word) for word in said.get("VIEWPOINT", ["0", "0", "0", "1", "0", "0", "0"]))
    except ValueError:
        viewpoint = ()
    if len(viewpoint) != 7 or not np.isfinite(viewpoint).all():
        raise DataError(f"PCD header: VIEWPOINT {' '.join(said['VIEWPOINT'])[:80]}: expected seven numbers")
    return Header(tuple(lines), fields, width, height, viewpoint, encoding, size)


def _fields(said: Mapping[str, list[str]]) -> tuple[Field, ...]:
    names = said.get("FIELDS", [])
    sizes, kinds = said.get("SIZE", []), said.get("TYPE", [])
    counts = said.get("COUNT", ["1"] * len(names))
    if not len(names) == len(sizes) == len(kinds) == len(counts):
        raise DataError(
            f"PCD header: {len(names)} FIELDS, {len(sizes)} SIZE, {len(kinds)} TYPE, {len(counts)} COUNT: "
            "expected as many of each"
        )
    fields = []
    for name, size, kind, count in zip(names, sizes, kinds, counts, strict=True):
        if size not in _SIZES.get(kind, ()) or not count.isdecimal() or not 0 < int(count[:9]) < 1 << 20:
            raise DataError(f"PCD header: field {name}: TYPE {kind} SIZE {size} COUNT {count}: expected a known type")
        fields.append(Field(name, kind.lower() + size, int(count)))
    known = [field.name for field in fields if field.name != "_"]
    if len(set(known)) < len(known):
        raise DataError(f"PCD header: FIELDS {' '.join(names)[:80]}: expected each once")
    for name in ("x", "y", "z"):
        if not any(field.name == name and field.code[0] == "f" and field.count == 1 for field in fields):
            raise DataError(f"PCD header: field {name}: expected TYPE F, COUNT 1")
    return tuple(fields)


def _number(said: Mapping[str, list[str]], key: str) -> int:
    words = said.get(key, [])
    if len(words) != 1 or not words[0].isdecimal() or len(words[0]) > 18:
        raise DataError(f"PCD header: {key} {' '.join(words)[:80]}: expected a whole number")
    return int(words[0])


def emit_header(
    lines: Sequence[bytes], fields: Sequence[Field], width: int, height: int, viewpoint: Sequence[str] | None
) -> bytes:
    """Return a header that keeps every line of `lines` that is still true; `viewpoint` None leaves that as it is."""
    fresh = {
        "FIELDS": [field.name for field in fields],
        "SIZE": [field.code[1:] for field in fields],
        "TYPE": [field.code[0].upper() for field in fields],
        "COUNT": [str(field.count) for field in fields],
        "WIDTH": [str(width)],
        "HEIGHT": [str(height)],
        "POINTS": [str(width * height)],
    }
    if viewpoint is not None:
        fresh["VIEWPOINT"] = list(viewpoint)
    out = []
    for line in lines:
        words = line.decode("utf-8", "surrogateescape").split()
        key = "FIELDS" if words[:1] == ["COLUMNS"] else (words or [""])[0]
        new = fresh.get(key, words[1:])
        ending = b"\r" if line.endswith(b"\r") else b""
        out.append(line if new == words[1:] else " ".join([key, *new]).encode("utf-8", "surrogateescape") + ending)
    return b"\n".join(out) + b"\n"
