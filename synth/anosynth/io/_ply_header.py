"""The header of a PLY file: parsed for reading, kept line by line for writing back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anosynth.errors import DataError

TYPES = {
    "char": "i1",
    "uchar": "u1",
    "short": "i2",
    "ushort": "u2",
    "int": "i4",
    "uint": "u4",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "float": "f4",
    "double": "f8",
    "float32": "f4",
    "float64": "f8",
}
NAMES = {code: name for name, code in reversed(TYPES.items())}
FLAVOURS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
"""The encodings of PLY 1.0 and numpy's sign for their byte order."""


@dataclass(frozen=True)
class Property:
    """A property: a numpy type code, for a list also that of its length (`counter`)."""

    name: str
    code: str
    counter: str | None = None


@dataclass(frozen=True)
class Element:
    """An element: its name, number of rows and properties in file order."""

    name: str
    count: int
    properties: tuple[Property, ...]


@dataclass(frozen=True)
class Header:
    """A header: the encoding, all lines from `ply` to `end_header` verbatim, the elements, its size in bytes."""

    flavour: str
    lines: tuple[bytes, ...]
    elements: tuple[Element, ...]
    size: int


def parse_header(data: bytes) -> Header:
    """Parse the header at the start of `data`.

    Raises:
        DataError: it is not a complete header of PLY 1.0.
    """
    lines, at = [], 0
    while True:
        end = data.find(b"\n", at, at + 65536)
        if end < 0:
            raise DataError("PLY header: expected a line `end_header` (is the file cut off?)")
        lines.append(data[at:end])
        at = end + 1
        if lines[-1].strip() == b"end_header":
            break
    flavour, elements = _statements(lines)
    return Header(flavour, tuple(lines), tuple(elements), at)


def _statements(lines: Sequence[bytes]) -> tuple[str, list[Element]]:
    flavour, elements = "", list[Element]()
    for line in lines[1:-1]:
        words = line.decode("utf-8", "surrogateescape").split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) == 3 and words[1] in FLAVOURS:
            flavour = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isdecimal() and len(words[2]) <= 18:
            if any(element.name == words[1] for element in elements):
                raise DataError(f"PLY header: element {words[1]}: expected once")
            elements.append(Element(words[1], int(words[2]), ()))
        elif words[0] == "property" and elements:
            elements[-1] = _with(elements[-1], _property(words))
        else:
            raise DataError(f"PLY header: `{' '.join(words)[:80]}`: expected format, element, property or comment")
    if not flavour:
        raise DataError(f"PLY header: no format: expected one of {', '.join(FLAVOURS)}")
    return flavour, elements


def _property(words: Sequence[str]) -> Property:
    if len(words) == 3 and words[1] in TYPES:
        return Property(words[2], TYPES[words[1]])
    if len(words) == 5 and words[1] == "list" and TYPES.get(words[2], "f")[0] != "f" and words[3] in TYPES:
        return Property(words[4], TYPES[words[3]], TYPES[words[2]])
    raise DataError(f"PLY header: `{' '.join(words)[:80]}`: expected `property TYPE NAME` of a type PLY 1.0 knows")


def _with(element: Element, new: Property) -> Element:
    if any(old.name == new.name for old in element.properties):
        raise DataError(f"PLY header: property {new.name} of {element.name}: expected once")
    return Element(element.name, element.count, (*element.properties, new))


def emit_header(lines: Sequence[bytes], elements: Sequence[Element]) -> bytes:
    """Return a header of `elements` that keeps every line of `lines` that is still true, in its place.

    Properties and elements that `lines` does not have come after those that it has.
    """
    fresh = {element.name: element for element in elements}
    ending = b"\r" if lines[0].endswith(b"\r") else b""
    out: list[bytes] = []
    current, pending, place = "", list[Property](), 0
    for line in lines:
        words = line.decode("utf-8", "surrogateescape").split()
        if words and words[0] in ("element", "end_header"):
            # New properties follow the last old one, ahead of comments that may belong to the next element.
            out[place:place] = [_property_line(new) + ending for new in pending]
            pending = []
        if words and words[0] == "element":
            current = words[1]
            element = fresh.pop(current, None)
            if element is None:
                continue
            pending = list(element.properties)
            out.append(line if int(words[2]) == element.count else _element_line(element) + ending)
            place = len(out)
        elif words and words[0] == "property":
            old = _property(words)
            new = next((p for p in pending if p.name == old.name), None)
            if new is not None:
                pending.remove(new)
                out.append(line if new == old else _property_line(new) + ending)
                place = len(out)
        elif words == ["end_header"]:
            for element in fresh.values():
                out += [text + ending for text in (_element_line(element), *map(_property_line, element.properties))]
            out.append(line)
        else:
            out.append(line)
    return b"\n".join(out) + b"\n"


def _element_line(element: Element) -> bytes:
    return f"element {element.name} {element.count}".encode("utf-8", "surrogateescape")


def _property_line(new: Property) -> bytes:
    kind = f"list {NAMES[new.counter]} {NAMES[new.code]}" if new.counter else NAMES[new.code]
    return f"property {kind} {new.name}".encode("utf-8", "surrogateescape")
