"""Files that belong to a whole data set: tables of what lies in OUT, whichever run or shard wrote it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from anosynth.errors import DataError
from anosynth.io.files import regular_bytes

from .layout import Output


def settle(out: Path, tables: Callable[[Path], dict[str, bytes]]) -> list[Output]:
    """Write the tables that a function gives for OUT, by their paths in it, until it gives the same ones again.

    Another shard may finish at the same time; whoever writes last has then seen all that there is.

    Raises:
        WriteError: a table cannot be written.
    """
    from anosynth.io.atomic import atomic_write

    from .truth import placed

    before: dict[str, bytes] = {}
    while (found := tables(out)) != before:
        for target, data in found.items():
            with atomic_write(placed(out, target)) as file:
                file.write(data)
        before = found
    return [Output("table", target) for target in sorted(before)]


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV in UTF-8 with a line for the header and each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def json_bytes(value: Any) -> bytes:
    """Return JSON in ASCII, indented."""
    return json.dumps(value, indent=1).encode("ascii") + b"\n"


def read_csv(path: Path, header: Sequence[str]) -> list[list[str]]:
    """Return the rows of a CSV with this header.

    Raises:
        DataError: it cannot be read, is not UTF-8, or has other columns.
    """
    try:
        rows = list(csv.reader(io.StringIO(_text(path), newline="")))
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    if not rows or rows[0] != list(header):
        raise DataError(f"{path}: expected the header {','.join(header)}")
    for number, row in enumerate(rows, 1):
        if row and len(row) != len(header):
            raise DataError(f"{path}: line {number}: {len(row)} columns: expected {len(header)}")
    return [row for row in rows[1:] if row]


def read_json(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file.

    Raises:
        DataError: it cannot be read or holds something else.
    """
    try:
        value = json.loads(_text(path))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DataError(f"{path}: not a JSON object")
    return value


def _text(path: Path) -> str:
    try:
        return regular_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not in UTF-8") from None
