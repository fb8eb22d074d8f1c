"""The manifest: a header line, then one line per sample in the order of the plan, so that equal runs give equal files.

While a run goes on, its lines grow in `NAME.part`; the finished file takes its place by one rename. A run that finds
a `.part` keeps it as `NAME.prior` until every line in it has been checked and written again, so that a kill at any
moment loses no more than the samples that were being made.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from anosynth.errors import DataError, WriteError


def manifest_name(shard: tuple[int, int]) -> str:
    """Return the file name of a shard's manifest; a run of one shard is `manifest.jsonl`."""
    index, number = shard
    return "manifest.jsonl" if number == 1 else f"manifest-{index:05d}-of-{number:05d}.jsonl"


_OURS = re.compile(r"\.?manifest(?:-\d{5,}-of-(\d{5,}))?\.jsonl(?:\.part|\.prior|\.lock)?")


def is_manifest(name: str) -> bool:
    """Tell whether a file of this name is a manifest, finished or not, or its lock."""
    return _OURS.fullmatch(name) is not None


def division(name: str) -> int:
    """Return the number of shards of the run that a manifest of this name belongs to."""
    match = _OURS.fullmatch(name)
    return int(match[1] or 1) if match else 0


def finished_name(name: str) -> str:
    """Return the name that a manifest of this name has, or would have, when it is finished."""
    return name.removesuffix(".part").removesuffix(".prior")


def line(record: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a record, newline included: ASCII, keys in their order, no NaN."""
    return json.dumps(record, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def parsed(text: bytes) -> dict[str, Any]:
    """Return the record that a line spells.

    Raises:
        ValueError: it is none, or no JSON, which knows neither NaN nor Infinity.
    """
    try:
        record = _JSON.decode(text.decode())
    except RecursionError:
        raise ValueError("too deep") from None
    if not isinstance(record, dict):
        raise ValueError("not a record")
    return record


def _no_number(text: str) -> float:
    raise ValueError(text)


_JSON = json.JSONDecoder(parse_constant=_no_number)


def read_lines(path: Path, *, finished: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the records of a manifest, header first; a torn last line is passed over unless the file is `finished`.

    Raises:
        DataError: the file cannot be read or holds a line that is no record.
    """
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    if finished:
                        raise DataError(f"{path}: line {number}: cut off")
                    return
                try:
                    record = parsed(text)
                except ValueError:
                    raise DataError(f"{path}: line {number}: not a JSON record") from None
                yield record
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def manifests(out: Path) -> list[Path]:
    """Return the manifests in OUT, sorted.

    Raises:
        DataError: there is none.
    """
    every = [path for path in sorted(out.glob("manifest*")) if is_manifest(path.name)] if out.is_dir() else []
    found = [path for path in every if path.suffix == ".jsonl"]
    if not found:
        more = f"\nhint: the run was stopped ({every[0].name}); give its line again to go on" if every else ""
        raise DataError(f"{out}: no manifest here: not a data set of anosynth{more}")
    return found


class Manifest:
    """The manifest that this run writes; one run at a time, held by a lock beside it from construction to `close`.

    Raises:
        WriteError: another run is writing here, or the folder cannot be written to.
    """

    def __init__(self, out: Path, shard: tuple[int, int]) -> None:
        self.path = out / manifest_name(shard)
        self._part, self._prior = (self.path.with_name(f"{self.path.name}.{end}") for end in ("part", "prior"))
        self._file: BinaryIO | None = None
        self._added, self._due, self._used = 0, 0, False
        self._guard = hold(self.path)

    def start(self, header: Mapping[str, Any]) -> None:
        """Begin the part file; what an unfinished run left becomes the prior.

        Raises:
            WriteError: the file cannot be written.
            DataError: what is here, of this shard or another, comes from other settings.
        """
        for path in sorted(self.path.parent.glob("manifest*")):
            if is_manifest(path.name):
                _check_same(path, json.loads(line(header)))
        try:
            if self._part.exists() and not self._prior.exists():
                self._part.replace(self._prior)
            self._file = self._part.open("wb")
            self._file.write(line(header))
            self._file.flush()
        except OSError as error:
            raise WriteError(f"{self._part}: cannot be written: {error.strerror}") from None

    def prior(self) -> Iterator[dict[str, Any]]:
        """Yield the records that an earlier run left, in order; they are kept until as many are written again."""
        source = self.path if self.path.exists() else self._prior
        if source.exists():
            lines = read_lines(source)
            next(lines, None)
            for record in lines:
                self._due += 1
                yield record
        self._used = True

    def add(self, record: Mapping[str, Any]) -> None:
        """Append one record and hand it to the system."""
        assert self._file is not None
        try:
            self._file.write(line(record))
            self._file.flush()
        except OSError as error:
            raise WriteError(f"{self._part}: cannot be written: {error.strerror}") from None
        self._added += 1
        # The end of the earlier records may be met only when this run asks for one more than there are.
        if self._used and self._added >= self._due:
            self._prior.unlink(missing_ok=True)

    def finish(self) -> None:
        """Put the finished manifest in its place."""
        assert self._file is not None
        try:
            os.fsync(self._file.fileno())
            self._part.replace(self.path)
        except OSError as error:
            raise WriteError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._prior.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the lock; an unfinished manifest stays as the part file."""
        if self._file is not None:
            # What a full disk did not take is tried again by closing, and was reported by `add`.
            with suppress(OSError):
                self._file.close()
        release(self.path, self._guard)


def hold(manifest: Path) -> BinaryIO:
    """Lock a manifest and return what `release` needs; the lock ends with the process, however that ends.

    Raises:
        WriteError: another run holds it, or the folder cannot be written to.
    """
    guard, out = _guard_of(manifest), manifest.parent
    while True:
        try:
            file = guard.open("ab")
        except OSError as error:
            raise WriteError(f"{out}: cannot be written to: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The run before may have removed the file between our opening and our locking it.
            if os.path.samestat(os.fstat(file.fileno()), guard.stat()):
                return file
        except FileNotFoundError:
            pass
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                raise WriteError(
                    f"{out}: another run is writing here\nhint: wait for it, or choose another OUT"
                ) from None
            raise WriteError(f"{out}: cannot be locked: {error.strerror}") from None
        file.close()


def release(manifest: Path, file: BinaryIO) -> None:
    """Undo `hold`."""
    _guard_of(manifest).unlink(missing_ok=True)
    file.close()


def _guard_of(manifest: Path) -> Path:
    return manifest.with_name(f".{manifest.name}.lock")


def _check_same(path: Path, header: Mapping[str, Any]) -> None:
    try:
        first = next(read_lines(path), None)
    except DataError:
        # Another shard may have finished and renamed its manifest meanwhile.
        if path.exists():
            raise
        return
    if first is not None and (keys := different(header, first)):
        raise DataError(
            f"{path.parent}: holds a data set made with other settings or another input "
            f"(differs in: {', '.join(keys)})\n"
            "hint: choose another OUT, or --overwrite"
        )


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the keys in which two headers differ; shards of one run differ in none."""
    shard = other.get("shard")
    if isinstance(shard, list) and len(shard) == 2:
        other = {**other, "shard": [one["shard"][0], shard[1]]}
    return [key for key in {**one, **other} if key not in one or key not in other or one[key] != other[key]]
