"""A finished run of photos as exports see it: good and defective images in the order of their ids, read one by one."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from anosynth.datasets.layout import Layout, find_layout
from anosynth.errors import DataError, WriteError
from anosynth.run.check import check_record
from anosynth.run.manifest import division, manifest_name, manifests, read_lines
from anosynth.run.shards import Shard
from anosynth.run.sound import check_header, told

GOODS = "normal"
"""The folder that the ids of sources begin with where the run did not copy them; no layout writes to it."""


@dataclass(frozen=True)
class Entry:
    """One image of the run.

    Attributes:
        id: unique in the run: the path relative to OUT, or `normal/` and the path relative to the root.
        name: the id as a path that any tool can read: UTF-8, its suffix in lower case.
        key: the id as one file name without suffix, unique in the run, without dots.
        split: "train", "validation" or "test"; `category` is "" where the layout has none.
        path: of the image, relative to the run's files, or to the root if it is a `source`; `sha256` of its bytes.
        record: its line of the manifest as the sink `files` has it; of a source, that of the first anomaly made of it.
        line: the same as it stands in the manifest, `shard`.
    """

    id: str
    name: str
    key: str
    split: str
    defective: bool
    category: str
    path: str
    sha256: str
    source: bool
    record: Mapping[str, Any]
    line: dict[str, Any]
    shard: Shard
    run: Run

    @property
    def label(self) -> str:
        """Return "good" or "defective"."""
        return "defective" if self.defective else "good"

    @property
    def defects(self) -> list[dict[str, Any]]:
        """Return what the manifest says of each defect that has pixels."""
        return [part for part in self.record["instances"] if part["count"]] if self.defective else []


@dataclass
class Run:
    """A finished run, in as many parts as it had shards; `types` are the kinds of defects, sorted."""

    out: Path
    layout: Layout
    shards: list[Shard]
    index: sqlite3.Connection
    categories: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    @property
    def header(self) -> dict[str, Any]:
        """Return the header that all shards share."""
        return self.shards[0].header

    @property
    def root(self) -> Path:
        """Return where the sources are."""
        return self.shards[0].home

    def entries(self) -> Iterator[Entry]:
        """Yield all images, sorted by the bytes of their ids.

        Raises:
            DataError: a record is not what `anosynth images` writes.
        """
        for name, good, number, start in self.index.execute("SELECT id, good, manifest, start FROM entry ORDER BY id"):
            yield _entry(self, os.fsdecode(name), bool(good), self.shards[number], start)


@contextmanager
def open_run(out: Path, root: Path | None = None) -> Iterator[Run]:
    """Yield the run in `out`; what it knows of each image lies on disk, not in memory.

    Raises:
        DataError: it is not whole, not of photos, or of a version without splits.
        WriteError: there is no room for what it knows.
    """
    paths = manifests(out)
    _check_shards(out, paths)
    shards = [Shard(path, _header(path), root) for path in paths]
    with told(paths[0]):
        layout = find_layout(shards[0].header["layout"])
    if layout.family != "images":
        raise DataError(f"{out}: {layout.family}: expected a data set of `anosynth images`")
    for shard in shards:
        check_header(shard.header, shard.path, {"anosynth": str, "scheme": int, "fingerprint": str, "count": int})
    # An empty name is a temporary file of SQLite's, which keeps in memory no more than its cache.
    with closing(sqlite3.connect("")) as index:
        run = Run(out, layout, shards, index)
        try:
            _fill(run)
        except sqlite3.Error as error:
            raise WriteError(f"{out}: the index of its samples, a temporary file, cannot be written: {error}") from None
        yield run


def short_hash(name: str) -> str:
    """Return 8 hexadecimal digits that stand for a name."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:8]


def plain_name(name: str) -> str:
    """Return a path relative to a data set as UTF-8 without control characters, its suffix in lower case."""
    path = PurePosixPath(name)
    text = (path.with_name(path.stem + path.suffix.lower()) if path.suffix else path).as_posix()
    plain = "".join(c if c.isprintable() and not "\ud800" <= c <= "\udfff" and c != "\\" else "_" for c in text)
    if plain == text:
        return text
    changed = PurePosixPath(plain)
    return changed.with_name(f"{changed.stem}-{short_hash(name)}{changed.suffix}").as_posix()


def flat_key(name: str) -> str:
    """Return a path as one file name without dots: its parts joined by `__`, with a hash where that is ambiguous."""
    path = PurePosixPath(plain_name(name)).with_suffix("")
    joined = "__".join(path.parts)
    plain = joined.replace(".", "_").replace(" ", "_")
    clear = plain == joined and all("__" not in part and part.strip("_") == part for part in path.parts)
    # A file name has at most 255 bytes, and suffixes must fit.
    if clear and len(plain.encode()) <= 200:
        return plain
    short = plain.encode()[:180].decode("utf-8", "ignore")
    return f"{short}-{short_hash(name)}"


def _check_shards(out: Path, paths: list[Path]) -> None:
    here = {path.name for path in paths}
    numbers = sorted({division(name) for name in here})
    if len(numbers) > 1:
        raise DataError(f"{out}: holds manifests of runs of {numbers[0]} and of {numbers[1]} shards: expected one run")
    for index in range(1, numbers[0] + 1):
        name = manifest_name((index, numbers[0]))
        if name not in here:
            raise DataError(f"{out}: {name} is not here: this shard is missing or not finished")


def _header(path: Path) -> dict[str, Any]:
    record = next(read_lines(path, finished=True), {})
    if record.get("kind") != "header" or not isinstance(record.get("layout"), str):
        raise DataError(f"{path}: has no header line: not a manifest of anosynth")
    return record


def _fill(run: Run) -> None:
    run.index.execute(
        "CREATE TABLE entry (id BLOB PRIMARY KEY, good INT, manifest INT, start INT, key BLOB UNIQUE, facts TEXT)"
        " WITHOUT ROWID"
    )
    categories: set[str] = set()
    types = {part["generator"] for part in run.header["recipe"]["generators"]}
    for number, shard in enumerate(run.shards):
        for row, (start, record) in enumerate(shard.lines(), 2):
            with told(shard.path, row):
                check_record(run.out, record, shard.sink, f"{shard.path}: line {row}")
            if record["status"] == "skipped":
                continue
            categories.add(_plain_category(record))
            types.update(part["type"] for part in record.get("instances", []))
            _add_record(run, record, number, start)
    run.categories, run.types = sorted(categories), sorted(types)
    if not categories:
        raise DataError(f"{run.out}: the manifest names no image that was made")


def _plain_category(record: Mapping[str, Any]) -> str:
    # Some forms have a folder of each category.
    return plain_name(record["category"]) if record["category"] else ""


def _add_record(run: Run, record: Mapping[str, Any], number: int, start: int) -> None:
    _add(run, record["id"], record["status"] == "copied", number, start, "")
    if record["status"] == "made" and not run.layout.holds_out:
        good = f"{GOODS}/{record['source']['path']}"
        _add(run, good, True, number, start, f"{record['split']} {record['source']['sha256']}")


def _add(run: Run, name: str, good: bool, number: int, start: int, facts: str) -> None:
    row = (os.fsencode(name), good, number, start, os.fsencode(flat_key(name)), facts)
    try:
        run.index.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError:
        found = run.index.execute("SELECT facts FROM entry WHERE id = ?", row[:1]).fetchone()
        if found is None:
            raise DataError(f"{run.out}: {name}: differs from another image in its suffix alone") from None
        if not facts or found[0] != facts:
            raise DataError(f"{run.out}: {name}: is named twice, with different splits or contents") from None


def _entry(run: Run, name: str, good: bool, shard: Shard, start: int) -> Entry:
    line = shard.record(start)
    with told(shard.path):
        record = shard.sink.plain(line)
        source = good and record["status"] == "made"
        if source:
            sample = record["source"]
        else:
            sample = next((output for output in record["outputs"] if output["role"] == "sample"), None)
            if sample is None:
                raise DataError(f"{run.out}: {name}: the manifest names no file with the role `sample`")
        names, category = (plain_name(name), flat_key(name)), _plain_category(record)
        path, digest = sample["path"], sample["sha256"]
    return Entry(name, *names, record["split"], not good, category, path, digest, source, record, line, shard, run)
