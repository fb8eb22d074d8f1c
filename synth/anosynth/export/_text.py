"""JSON that is written piece by piece, and what exports say of an image."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from ._run import Entry


def line(value: Any) -> bytes:
    """Return one line of JSON, escaped to ASCII."""
    return json.dumps(value, separators=(", ", ": "), allow_nan=False).encode("ascii") + b"\n"


class Rows:
    """Rows of a JSON array, kept in a file of their own until the array is written."""

    def __init__(self, path: Path) -> None:
        self.path, self.number = path, 0
        self._file: BinaryIO = path.open("wb")

    def add(self, row: Any) -> None:
        self._file.write((b",\n" if self.number else b"") + line(row)[:-1])
        self.number += 1

    def close(self) -> None:
        self._file.close()

    def copy_to(self, file: BinaryIO) -> None:
        """Write the array, its brackets included."""
        file.write(b"[\n")
        with self.path.open("rb") as source:
            shutil.copyfileobj(source, file)
        file.write(b"\n]" if self.number else b"]")


@contextmanager
def rows(path: Path) -> Iterator[Rows]:
    """Yield an empty array; its file goes at the end of the block."""
    found = Rows(path)
    try:
        yield found
    finally:
        found.close()
        path.unlink()


def described(entry: Entry, instances: int, defect: str, area: float) -> dict[str, Any]:
    """Return what metadata say of an image: of every image the same keys with values of the same types, none empty.

    Readers infer the types of columns from a split's first rows, so that a null in the good ones would not fit.
    """
    made_it = entry.record if entry.defective else {}
    return {
        "id": entry.name,
        "label": entry.label,
        "defect": defect,
        "category": entry.category,
        "instances": instances,
        "area": float(area),
        "synthetic": entry.defective,
        "source": str(entry.record["source"]["path"]).encode("utf-8", "replace").decode(),
        "generator": json.dumps(made_it.get("generator", {}), sort_keys=True),
        "seed": int(made_it.get("seed", 0)),
        "variant": int(made_it.get("variant", 0)),
    }


def defect_of(entry: Entry) -> str:
    """Return the types of an entry's defects, joined by `+` if there are several; "good" if there are none."""
    return "+".join(sorted({part["type"] for part in entry.defects})) if entry.defective else "good"
