"""What a merge does line by line and file by file: see `merge`."""

from __future__ import annotations

import filecmp
import hashlib
import itertools
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anosynth.datasets.truth import placed
from anosynth.errors import AnosynthError, DataError, WriteError
from anosynth.io.atomic import atomic_write
from anosynth.io.inner import fault, inside, printable

from ._strangers import hash64
from .execute import file_sha256
from .manifest import parsed
from .sinks import Sink
from .splits import MAP

_BUFFERS = 8 << 20


@dataclass(frozen=True)
class Shard:
    """A finished shard: its manifest and the folder that it lies in, relative to which its files are."""

    index: int
    path: Path
    folder: Path
    header: dict[str, Any] = field(default_factory=dict)


def rows(shards: Sequence[Shard]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Yield each record of some shards in the order of the whole, and the line that it stands on.

    Raises:
        DataError: a line is no record, or the shards do not fit together.
    """
    size = max(1 << 14, _BUFFERS // len(shards))
    files = [_lines(shard.path, size) for shard in shards]
    for shard, lines in zip(shards, files, strict=True):
        if next(lines, None) is None:
            raise DataError(f"{shard.path}: has no header line: not a manifest of anosynth")
    for number in itertools.count():
        shard = shards[number % len(shards)]
        text = next(files[number % len(shards)], None)
        if text is None:
            break
        try:
            record = parsed(text)
            sound = record["status"] in ("made", "copied", "skipped") and isinstance(record["id"], str)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise DataError(f"{shard.path}: line {number // len(shards) + 2}: not a record of anosynth's")
        yield record, text
    for shard, lines in zip(shards, files, strict=True):
        if next(lines, None) is not None:
            raise DataError(f"{shard.path}: has more lines than shards of the same run can have")


def _lines(path: Path, size: int) -> Iterator[bytes]:
    """Yield the lines of a file that is not held open: there may be more shards than files that may be."""
    place, rest = 0, b""
    while True:
        try:
            with path.open("rb") as file:
                file.seek(place)
                block = file.read(size)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from None
        place += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from (text + b"\n" for text in whole)
        if not block:
            break
    if rest:
        raise DataError(f"{path}: its last line is cut off")


class Known:
    """Which contents the files of a data set have by its lines: on disk, for there may be tens of millions."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        # An empty name is a temporary file of SQLite's, which keeps in memory no more than its cache.
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.execute("PRAGMA cache_size=-32768")
        self._table.execute("CREATE TABLE file (name INTEGER PRIMARY KEY, content INT)")
        self._table.execute("BEGIN")

    def add(self, record: Mapping[str, Any], shard: Shard) -> None:
        """Raise DataError if a file of a record is another one's, or lies outside of OUT."""
        outputs = record.get("outputs", [])
        try:
            found = {o["path"]: f"shard {shard.index}" if "member" in o else o["sha256"] for o in outputs}
        except (KeyError, TypeError):
            raise DataError(f"{shard.path}: {record['id']}: its outputs are not anosynth's") from None
        for path, content in found.items():
            if why := fault(path):
                raise DataError(f"{shard.path}: {printable(record['id'])}: names `{printable(path)}`, {why}")
            row = (hash64(path), hash64(str(content)))
            held = self._table.execute("SELECT content FROM file WHERE name = ?", row[:1]).fetchone()
            if held is None:
                self._table.execute("INSERT INTO file VALUES (?, ?)", row)
            elif held[0] != row[1]:
                raise DataError(f"{shard.path}: {record['id']}: another shard names `{path}` with other contents")

    def close(self) -> None:
        self._table.close()


def bring_all(shards: Sequence[Shard], header: Mapping[str, Any], sink: Sink, out: Path, move: bool) -> int:
    """Put the files of the shards into OUT; return how many."""
    number = 0
    for shard in shards:
        if same(shard.folder, out):
            continue
        last = ""
        for record, _ in rows([shard]):
            hashes = {o["path"]: o["sha256"] for o in record.get("outputs", []) if "member" not in o}
            for path in sink.paths(record):
                # A tar is named by each of its samples, one after the other.
                if path != last:
                    last = path
                    number += _bring(shard, out, path, hashes.get(path, ""), move)
        own = [value for value in (header.get("features") or {}).values() if isinstance(value, str)]
        for path in [MAP, *own]:
            if inside(shard.folder, path) and (shard.folder / path).is_file():
                number += _bring(shard, out, path, "", move)
    return number


def _bring(shard: Shard, out: Path, path: str, sha256: str, move: bool) -> int:
    """Put one file into OUT, unless it is there; return whether it had to be."""
    source, target = shard.folder / path, out / path
    if not (inside(shard.folder, path) and inside(out, path)):
        raise DataError(f"{shard.path}: names `{path}`, which lies outside")
    try:
        if target.exists():
            if not _equal(source, target, sha256):
                raise DataError(f"{target}: is there already, and is not what {shard.path} names")
            if move and source.exists():
                source.unlink()
            return 0
        if not source.is_file():
            raise DataError(f"{source}: named by {shard.path.name}, but not there")
        placed(out, path)
        _place(source, target, sha256, move)
    except OSError as error:
        if isinstance(error, AnosynthError):
            raise
        raise WriteError(f"{target}: cannot be written: {error.strerror}") from None
    return 1


def _equal(source: Path, target: Path, sha256: str) -> bool:
    if not source.exists():
        # An earlier merge has moved it.
        return not sha256 or file_sha256(target) == sha256
    return source.samefile(target) or filecmp.cmp(source, target, shallow=False)


def _place(source: Path, target: Path, sha256: str, move: bool) -> None:
    with suppress(OSError):
        if move:
            source.replace(target)
        else:
            target.hardlink_to(source)
        return
    digest = hashlib.sha256()
    with source.open("rb") as given, atomic_write(target) as file:
        while piece := given.read(1 << 22):
            digest.update(piece)
            file.write(piece)
        if sha256 and digest.hexdigest() != sha256:
            raise DataError(f"{source}: is not the file that was written")
    if move:
        source.unlink()


def same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
