"""A finished run of photos as exports see it: good and defective images in the order of their ids, read one by one."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from anosynth.datasets.layout import Layout, find_layout
from anosynth.errors import DataError
from anosynth.io.inner import inner, leading_out
from anosynth.run.manifest import division, manifest_name, manifests, parsed
from anosynth.run.sinks import refuse_others
from anosynth.run.sound import check, check_header, told

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
        path: of the image; `sha256` of its bytes.
        record: its line of the manifest; of a good source, the line of the first anomaly made of it.
    """

    id: str
    name: str
    key: str
    split: str
    defective: bool
    category: str
    path: Path
    sha256: str
    record: Mapping[str, Any]
    run: Run

    @property
    def label(self) -> str:
        """Return "good" or "defective"."""
        return "defective" if self.defective else "good"


@dataclass
class Run:
    """A finished run; `headers` are those of its manifests, `goods` tells where its good images come from."""

    out: Path
    root: Path
    layout: Layout
    headers: list[dict[str, Any]]
    paths: list[Path]
    files: Sequence[BinaryIO]
    index: sqlite3.Connection
    categories: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    @property
    def header(self) -> dict[str, Any]:
        """Return the header that all shards share."""
        return self.headers[0]

    def entries(self) -> Iterator[Entry]:
        """Yield all images, sorted by the bytes of their ids.

        Raises:
            DataError: a record is not what `anosynth images` writes.
        """
        for name, good, number, place in self.index.execute("SELECT id, good, manifest, place FROM entry ORDER BY id"):
            self.files[number].seek(place)
            yield _entry(self, os.fsdecode(name), bool(good), json.loads(self.files[number].readline()))


@contextmanager
def open_run(out: Path, root: Path | None = None) -> Iterator[Run]:
    """Yield the run in `out`; what it knows of each image lies on disk, not in memory.

    Raises:
        DataError: it is not whole, not of photos, or of a version without splits.
    """
    paths = manifests(out)
    _check_shards(out, paths)
    headers = [_header(path) for path in paths]
    with told(paths[0]):
        layout = find_layout(headers[0]["layout"])
    if layout.family != "images":
        raise DataError(f"{out}: {layout.family}: expected a data set of `anosynth images`")
    refuse_others(out, headers[0])
    for path, header in zip(paths, headers, strict=True):
        check_header(header, path, {"anosynth": str, "scheme": int, "fingerprint": str, "count": int})
    base = root if root is not None else out / headers[0]["root"]
    # An empty name is a temporary file of SQLite's, which keeps in memory no more than its cache.
    with closing(sqlite3.connect("")) as index, ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in paths]
        run = Run(out, base, layout, headers, paths, files, index)
        _fill(run)
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
    if 0 in numbers:
        raise DataError(f"{out}: holds a manifest of another name: {sorted(n for n in here if not division(n))[0]}")
    if len(numbers) > 1:
        raise DataError(f"{out}: holds manifests of runs of {numbers[0]} and of {numbers[1]} shards: expected one run")
    for index in range(1, numbers[0] + 1):
        name = manifest_name((index, numbers[0]))
        if name not in here:
            raise DataError(f"{out}: {name} is not here: this shard is missing or not finished")


def _header(path: Path) -> dict[str, Any]:
    with closing(_lines(path)) as lines:
        _, record = next(lines, (0, {}))
    if record.get("kind") != "header" or not isinstance(record.get("layout"), str):
        raise DataError(f"{path}: has no header line: not a manifest of anosynth")
    return record


def _lines(path: Path) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """Yield (place in the file, record) of each line of a finished manifest."""
    place = 0
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                try:
                    record = parsed(text)
                except ValueError:
                    raise DataError(f"{path}: line {number}: not a JSON record") from None
                if not text.endswith(b"\n"):
                    raise DataError(f"{path}: line {number}: cut off")
                yield place, record
                place += len(text)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _fill(run: Run) -> None:
    run.index.execute(
        "CREATE TABLE entry (id BLOB PRIMARY KEY, good INT, manifest INT, place INT, key BLOB UNIQUE, facts TEXT)"
        " WITHOUT ROWID"
    )
    categories: set[str] = set()
    types = {part["generator"] for part in run.header["recipe"]["generators"]}
    for number, path in enumerate(run.paths):
        with closing(_lines(path)) as lines:
            next(lines, None)
            for row, (place, record) in enumerate(lines, 2):
                _check(run, record, f"{path}: line {row}")
                if record["status"] == "skipped":
                    continue
                categories.add(_plain_category(record))
                types.update(part["type"] for part in record.get("instances", []))
                _add_record(run, record, number, place)
    run.categories, run.types = sorted(categories), sorted(types)
    if not categories:
        raise DataError(f"{run.out}: the manifest names no image that was made")


def _check(run: Run, record: Mapping[str, Any], where: str) -> None:
    check(record, where)
    for output in record.get("outputs", []):
        if link := leading_out(run.out, inner(output["path"], where)):
            raise DataError(f"{where}: names `{output['path']}`, which lies outside: `{link}` is a link")


def _plain_category(record: Mapping[str, Any]) -> str:
    # Some forms have a folder of each category.
    return plain_name(record["category"]) if record["category"] else ""


def _add_record(run: Run, record: Mapping[str, Any], manifest: int, place: int) -> None:
    _add(run, record["id"], record["status"] == "copied", manifest, place, "")
    if record["status"] == "made" and not run.layout.holds_out:
        good = f"{GOODS}/{record['source']['path']}"
        _add(run, good, True, manifest, place, f"{record['split']} {record['source']['sha256']}")


def _add(run: Run, name: str, good: bool, manifest: int, place: int, facts: str) -> None:
    row = (os.fsencode(name), good, manifest, place, os.fsencode(flat_key(name)), facts)
    try:
        run.index.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
    except sqlite3.IntegrityError:
        found = run.index.execute("SELECT facts FROM entry WHERE id = ?", row[:1]).fetchone()
        if found is None:
            raise DataError(f"{run.out}: {name}: differs from another image in its suffix alone") from None
        if not facts or found[0] != facts:
            raise DataError(f"{run.out}: {name}: is named twice, with different splits or contents") from None


def _entry(run: Run, name: str, good: bool, record: dict[str, Any]) -> Entry:
    if good and record["status"] == "made":
        path, digest = run.root / record["source"]["path"], record["source"]["sha256"]
    else:
        sample = next((output for output in record["outputs"] if output["role"] == "sample"), None)
        if sample is None:
            raise DataError(f"{run.out}: {name}: the manifest names no file with the role `sample`")
        path, digest = run.out / sample["path"], sample["sha256"]
    names = plain_name(name), flat_key(name)
    return Entry(name, *names, record["split"], not good, _plain_category(record), path, digest, record, run)
