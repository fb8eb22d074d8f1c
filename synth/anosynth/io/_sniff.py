"""Which format a file is in, by its content first and its suffix second."""

from __future__ import annotations

import re
from collections.abc import Mapping

from anosynth.errors import DataError
from anosynth.io.stl import is_binary_stl

_MAGIC = (
    (b"ply\n", "ply"),
    (b"ply\r", "ply"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"PK\x03\x04", "npz"),
    (b"PK\x05\x06", "npz"),
    (b"\x93NUMPY", "npy"),
    (b"glTF", "glb"),
)
_TEXTUAL = (
    ("pcd", re.compile(rb"(?:\s|#[^\n]*\n)*(?:VERSION|FIELDS|COLUMNS)\s|#\s*\.PCD\b")),
    ("off", re.compile(rb"(?:ST)?C?N?4?n?OFF(?![A-Za-z])")),
    ("stl", re.compile(rb"\s*solid\b[^\n]*\n\s*(?:facet|endsolid)\b", re.IGNORECASE)),
    ("obj", re.compile(rb"(?:\s|#[^\n]*\n)*(?:v|vn|vt|f|o|g|s|mtllib|usemtl)[ \t]+[^\s=,;]")),
)
_COMMENTS = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s+|(?:#|//)[^\n]*\n)*")
_NUMBER = re.compile(rb"[-+]?(?:\.?\d|nan\b|inf\b)", re.IGNORECASE)


def sniffed(data: bytes, suffix: str, suffixes: Mapping[str, str]) -> str:
    """Return the format of a file with this content and this suffix (lower case, with its dot).

    Raises:
        DataError: neither tells, or the content is of a format that is not read.
    """
    found = next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
    if found or is_binary_stl(data[:84], len(data)):
        return found or "stl"
    head = data[:65536]
    expected = suffixes.get(suffix)
    # A header of column names looks like OBJ statements only by accident (`v w x`): there the suffix knows better.
    textual = [kind for kind, pattern in _TEXTUAL if pattern.match(head) and (kind, expected) != ("obj", "text")]
    if textual:
        return textual[0]
    first = _COMMENTS.match(head)
    if first is not None and _NUMBER.match(head, first.end()) and b"\0" not in head:
        return "text"
    if expected in ("stl", "text", "obj"):
        return expected
    if head.lstrip().startswith(b"{"):
        raise DataError("JSON: expected a point cloud or mesh\nhint: convert a .gltf file to .glb")
    if expected is not None:
        raise DataError(f"begins with {_shown(data)}: expected {expected.upper()} by its name\nhint: is it damaged?")
    raise DataError(f"begins with {_shown(data)}: no known format: expected one of {', '.join(suffixes)}")


def _shown(data: bytes) -> str:
    return "`" + data[:12].decode("latin-1").encode("unicode_escape").decode("ascii") + "`"
