"""Files that are none, and what is said of damaged ones."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from anosynth.errors import DataError
from anosynth.io.files import regular_bytes, told


def said(path, what=""):
    with pytest.raises(DataError) as caught:
        regular_bytes(path, what)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def test_what_is_a_file(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_bytes(b"x")
    assert regular_bytes(path) == regular_bytes(str(path), "a photo") == b"x"
    path.write_bytes(b"")
    assert regular_bytes(path) == b""
    assert said(path, "a photo") == "an empty file (0 bytes): expected a photo"


def test_what_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    assert said(tmp_path / "none") == "no such file"
    assert said(tmp_path / "none", "a mask") == "no such file: expected a mask"
    assert said(tmp_path) == "a folder: expected a file"
    assert said(tmp_path / "pipe") == "a pipe: expected a file"
    assert said(tmp_path / "round") == f"cannot be read: {os.strerror(errno.ELOOP).lower()}"
    for name in ("a\0b", "a\ud800b"):
        assert said(f"{tmp_path}/{name}").startswith("cannot be read: ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SyntaxError("cannot parse\nmore"), "cannot parse"),
        (ValueError("corrupted IFD"), "corrupted IFD"),
        (OSError("image file is truncated"), "image file is truncated"),
        (OSError("decoder error -2"), "damaged"),
        (SyntaxError("67108869"), "damaged"),
        (SyntaxError(""), "damaged"),
        (TypeError("int() argument must be a string"), "damaged"),
        (KeyError(259), "damaged"),
        (ZeroDivisionError("division by zero"), "damaged"),
        (struct.error("unpack requires a buffer of 4 bytes"), "damaged"),
    ],
)
def test_what_is_said_of_a_damaged_file(error, text):
    assert told(error) == text
