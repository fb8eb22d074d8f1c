"""The bytes of a file that may be anything: a folder, a pipe, gone, not permitted; and what is said of damaged ones."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from anosynth.errors import DataError

_KINDS = [(stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket")]
_DECODERS = ("decoder error", "could not create decoder")


def regular_bytes(path: str | os.PathLike[str], what: str = "") -> bytes:
    """Return what a regular file holds; anything else is refused before it is opened (a pipe would block).

    Args:
        what: what the file should be, for the message; an empty file is refused if it is given.

    Raises:
        DataError: there is no such file, it cannot be read, is something else, or is empty where it may not be.
    """
    name = os.fspath(path)
    expected = f": expected {what}" if what else ""
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
        if not stat.S_ISREG(mode):
            kind = next((kind for test, kind in _KINDS if test(mode)), "a device")
            raise DataError(f"{name}: {kind}: expected a file")
        data = Path(name).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name}: no such file{expected}") from None
    except PermissionError:
        raise DataError(f"{name}: cannot be read: no permission\nhint: ask for permission to read the file") from None
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        # No OSError but a ValueError is what a NUL or half a surrogate pair in a path of a table makes.
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise DataError(f"{name}: cannot be read: {reason}") from None
    if what and not data:
        raise DataError(f"{name}: an empty file (0 bytes){expected}")
    return data


def told(error: Exception) -> str:
    """Return what a library says of a damaged file, "damaged" if it is of no use to whoever has the file.

    Of no use is what Python says of types, indices and numbers, and what decoders say of their own state.
    """
    text = str(error).strip().split("\n")[0]
    internal = isinstance(error, (TypeError, LookupError, AttributeError, ArithmeticError, struct.error))
    return "damaged" if internal or not text or text.isdecimal() or text.startswith(_DECODERS) else text
