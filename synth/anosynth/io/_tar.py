"""Tars whose bytes depend on names and contents alone, and files read from within them by their place."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from typing import Any, BinaryIO

from anosynth.errors import DataError

_BLOCK = 512
_PIECE = 1 << 20

END = bytes(2 * _BLOCK)
"""What a tar ends with."""


def header(name: str, size: int) -> bytes:
    """Return the header of a file in a tar: owner 0, time 0, mode 0644; POSIX (pax) if the name or size needs it."""
    member: Any = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, 0, 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    found: bytes = member.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return found


def padding(size: int) -> bytes:
    """Return the zeros between contents of `size` bytes and the next header."""
    return bytes(-size % _BLOCK)


def append(tar: BinaryIO, name: str, size: int, contents: Iterable[bytes]) -> int:
    """Write a file at the place where `tar` is, and return the offset of its contents.

    Raises:
        DataError: the contents have another size: what the header says would be wrong.
    """
    tar.write(header(name, size))
    offset, written = tar.tell(), 0
    for piece in contents:
        tar.write(piece)
        written += len(piece)
    if written != size:
        raise DataError(f"{name}: {written} bytes: expected {size}")
    tar.write(padding(size))
    return offset


def contents(tar: BinaryIO, name: str, offset: int, size: int) -> Iterable[bytes]:
    """Yield what a file in a tar holds, in pieces.

    Raises:
        DataError: there is no file of this name and size there, or the tar ends within it.
    """
    head = header(name, size)
    if offset < len(head):
        raise DataError(f"no `{name}` at byte {offset}")
    tar.seek(offset - len(head))
    if tar.read(len(head)) != head:
        raise DataError(f"no `{name}` of {size} bytes at byte {offset}")
    left = size
    while left:
        piece = tar.read(min(left, _PIECE))
        if not piece:
            raise DataError(f"ends within `{name}`")
        left -= len(piece)
        yield piece


def pieces(file: BinaryIO | bytes) -> Iterable[bytes]:
    """Yield what a file holds from where it is, in pieces."""
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    while piece := stream.read(_PIECE):
        yield piece
