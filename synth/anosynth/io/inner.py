"""Paths that come from a manifest or a table: data, which may lead anywhere, and must not.

What such a path may be is asked before anything is done with it, by its text alone; whether a link in a folder leads
out of it is asked of the disk, when a file in it is about to be read or written.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from anosynth.errors import DataError

_LONGEST, _LONGEST_PART, _DEEPEST = 4000, 255, 200
"""Bytes of a path and of a part of it that Linux takes, folders that Python's own functions descend; nothing real
comes near."""


def fault(name: Any, home: str = "") -> str:
    """Return why a manifest may not name a path, "" if it may.

    It may be the relative POSIX path of something below a folder (`home` in the message), whatever there is in that
    folder: without `..`, which leads elsewhere where a folder is a link, and such that the system can take it.
    """
    if why := unusable(name):
        return why
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        return f"which lies outside{home}"
    if all(part in ("", ".") for part in parts):
        return "which is no file"
    return "which is longer than a path can be" if len(parts) > _DEEPEST else ""


def unusable(name: Any) -> str:
    """Return why the system cannot take a path, wherever it leads; "" if it can."""
    if not isinstance(name, str):
        return "which is not text"
    if "\0" in name:
        return "which lies outside of what a path can be: it holds a NUL"
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        return "which is no name of a file: it holds half a surrogate pair"
    if length <= _LONGEST_PART:
        return ""
    if length > _LONGEST or max(len(os.fsencode(part)) for part in name.split("/")) > _LONGEST_PART:
        return "which is longer than a path can be"
    return ""


def inner(name: Any, where: object, what: str = "", home: str = "") -> str:
    """Return a path that a manifest names, if it may.

    Args:
        where: the manifest or its folder, for the message.
        what: what is named, such as "the source "; `home` within what, such as " the root".

    Raises:
        DataError: it may not, see `fault`.
    """
    if why := fault(name, home):
        raise DataError(f"{where}: the manifest names {what}`{printable(name)}`, {why}")
    return str(name)


def printable(value: Any) -> str:
    """Return a value of a manifest as a message shows it: on one line, in a terminal of any kind, and short."""
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:200])
    return text if len(text) <= 80 else f"{text[:77]}..."


def inside(out: Path, name: Any) -> bool:
    """Tell whether a path that a manifest names is one that it may name, and no link leads it out of OUT."""
    return not fault(name) and not leading_out(out, name)


def leading_out(out: Path, name: str) -> str:
    """Return the first part of the path of `name` below OUT that is a link out of OUT, relative to OUT; "" if none.

    OUT itself may be a link, and a link may lead from one place in OUT to another.
    """
    # Links are rare: one look at each part takes a sixth of what resolving both paths does.
    place = os.fspath(out)
    for number, part in enumerate(parts := name.split("/"), 1):
        place = f"{place}/{part}"
        if os.path.islink(place):  # noqa: PTH114
            home = os.path.realpath(out)
            if not os.path.realpath(place).startswith(home.rstrip("/") + "/"):
                return "/".join(parts[:number])
    return ""
