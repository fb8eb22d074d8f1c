"""From the shards of a run to one data set: the same tables and the same manifest, to the byte, as without shards.

Jobs are dealt to the shards in turn, so the lines of the whole are the first of each shard, the second of each, and so
on. Only one line is held at a time; what must be known of all (which file has which hash) lies in a file on disk.
"""

from __future__ import annotations

import fcntl
import filecmp
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anosynth.datasets._names import remark
from anosynth.datasets.layout import find_layout
from anosynth.errors import AnosynthError, DataError, WriteError
from anosynth.io.atomic import atomic_write, sweep

from ._joining import Known, Shard, bring_all, rows, same
from ._rungs import TABLE
from .check import Row, header_of, place_of
from .execute import family_of, job_of, make
from .manifest import different, division, hold, is_manifest, line, manifest_name, release
from .sinks import find_sink, remove
from .splits import MAP

_NAMED = 8
_WHOLE = manifest_name((1, 1))


@dataclass
class Merged:
    """What the merged data set holds; `shards` is 0 where there was nothing to merge, `files` those brought to OUT."""

    out: Path
    shards: int = 0
    made: int = 0
    copied: int = 0
    skipped: int = 0
    files: int = 0


def merge(
    folders: Sequence[Path],
    out: Path,
    *,
    move: bool = False,
    root: Path | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Merged:
    """Join all shards of one run, which lie in `folders` or in OUT already, into one data set in OUT.

    Files that lie elsewhere are linked (hard links), or copied where the file system does not allow that, and their
    hashes looked at; OUT gets its manifest at the very end, by one rename. A merge that was killed is done again by
    the same call.

    Args:
        out: one of the folders, or empty, or what an earlier call left.
        move: move the files instead, and remove the shards' manifests and tables once all is done.
        root: where the sources are now; by default where the shards say.
        progress: called for each line.

    Raises:
        DataError: a shard is missing, unfinished or of another run, two name the same file with other contents, or a
            file is not there.
        WriteError: OUT holds other files or cannot be written to, or a shard is still being made.
    """
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
    shards, number = _collected([*folders, out])
    if not shards:
        return _done(folders, out)
    headers = [_rebased(shard, out, root) for shard in shards]
    _check_one_run(shards, headers)
    header = {**headers[0], "shard": [1, 1], **find_sink(headers[0]).merged(number)}
    _check_out(out, header, in_place=any(same(shard.folder, out) for shard in shards))
    out.mkdir(parents=True, exist_ok=True)
    guard = hold(out / _WHOLE)
    try:
        if (out / _WHOLE).exists():
            # All was done but for what the shards leave.
            merged = Merged(out, number)
            for record, _ in rows([Shard(1, out / _WHOLE, out)]):
                _count(merged, record)
        else:
            _check_complete(shards, number, [*folders, out])
            merged = _merged(shards, header, out, move, root, progress)
        for shard in shards:
            if move or same(shard.folder, out):
                _forget(shard, out)
    finally:
        release(out / _WHOLE, guard)
    return merged


def views(out: Path, number: int, root: Path | None = None, *, functions: bool = False) -> dict[str, Any]:
    """Return what the report shows of the first `number` made samples, as their run would have; see `Row.allow`."""
    header, found = header_of(out / _WHOLE), dict[str, Any]()
    place, sink = place_of(header, out, root), find_sink(header)
    if place.layout.holds_many:
        return found
    for row, (record, _) in enumerate(rows([Shard(1, out / _WHOLE, out)])):
        if len(found) == number:
            break
        if record["status"] == "made":
            Row(place, sink, record, out / _WHOLE, row + 2).allow(functions)
            # What cannot be made again, because its source is not here, is shown without.
            with suppress(AnosynthError, OSError):
                found[record["id"]] = family_of(place.layout).view(make(job_of(record), place))
    return found


def _collected(folders: Sequence[Path]) -> tuple[list[Shard], int]:
    """Return the finished shards in some folders, in order, and of how many their run is."""
    found: dict[int, Shard] = {}
    numbers: dict[int, Path] = {}
    for folder in {folder.resolve(): folder for folder in folders}.values():
        for path in sorted(folder.glob("manifest-*")) if folder.is_dir() else []:
            if not is_manifest(path.name) or path.suffix != ".jsonl":
                continue
            index, number = int(path.name.split("-")[1]), division(path.name)
            numbers.setdefault(number, path)
            if len(numbers) > 1:
                first, second = sorted(numbers)
                raise DataError(
                    f"{numbers[first]} and {numbers[second]}: of runs of {first} and of {second} shards: "
                    "expected the shards of one run"
                )
            if index in found:
                if not filecmp.cmp(found[index].path, path, shallow=False):
                    raise DataError(f"{found[index].path} and {path}: the same shard, with other lines")
                if not same(folder, folders[-1]):
                    continue
            found[index] = Shard(index, path, folder, header_of(path))
    return [found[index] for index in sorted(found)], next(iter(numbers), 0)


def _done(folders: Sequence[Path], out: Path) -> Merged:
    """Return what a data set without shards holds, if it is the only one that was named."""
    part = next((path for folder in folders for path in sorted(folder.glob("manifest-*.p*"))), None)
    if part is not None:
        raise DataError(f"{part}: this shard is not finished\nhint: give its line again to go on")
    if len(folders) > 1 or not same(folders[0], out) or not (out / _WHOLE).exists():
        whole = next((folder / _WHOLE for folder in folders if (folder / _WHOLE).exists()), None)
        what = f"{whole}: of a run without shards" if whole else f"{folders[0]}: no shards of a run here"
        raise DataError(f"{what}: expected manifest-00001-of-0000N.jsonl and the others of --shard i/N")
    merged = Merged(out)
    for record, _ in rows([Shard(1, out / _WHOLE, out)]):
        _count(merged, record)
    return merged


def _rebased(shard: Shard, out: Path, root: Path | None) -> dict[str, Any]:
    """Return a shard's header as it would stand in OUT: what lies outside of its folder stays where it is."""
    here, there = shard.folder.resolve(), out.resolve()

    def moved(path: Any) -> Any:
        away = os.path.normpath(here / str(path))
        if not path or Path(away) == here or here in Path(away).parents:
            return path
        return Path(os.path.relpath(away, there)).as_posix()

    header = dict(shard.header)
    if root is not None:
        header["root"] = Path(os.path.relpath(root.resolve(), there)).as_posix()
    elif "://" not in str(header["root"]):
        header["root"] = moved(header["root"])
    header.update({name: moved(header[name]) for name in header.get("maps") or {}})
    if features := header.get("features"):
        names = ("fit", "fitted", "weights")
        header["features"] = {**features, **{name: moved(features[name]) for name in names if features.get(name)}}
    return header


def _check_one_run(shards: Sequence[Shard], headers: Sequence[Mapping[str, Any]]) -> None:
    for shard, header in zip(shards, headers, strict=True):
        if header.get("shard") != [shard.index, division(shard.path.name)]:
            raise DataError(f"{shard.path}: its header says shard {header.get('shard')}: was it renamed?")
        if differs := different(headers[0], header):
            raise DataError(
                f"{shard.path}: made with other settings or another input than {shards[0].path.name} "
                f"(differs in: {', '.join(differs)})"
                + ("\nhint: --root says where it is" if differs == ["root"] else "")
            )


def _check_out(out: Path, header: Mapping[str, Any], *, in_place: bool) -> None:
    names = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    if out.exists() and not out.is_dir():
        raise WriteError(f"{out}: is not a folder")
    if names and not in_place and not any(map(is_manifest, names)):
        raise WriteError(
            f"{out}: holds files that are not anosynth's ({names[0]}, ...)\nhint: choose an empty folder for OUT"
        )
    for path in (out / _WHOLE, out / f"{_WHOLE}.part"):
        if path.exists() and path.stat().st_size and header_of(path) != json.loads(line(header)):
            raise DataError(f"{path}: of a data set made with other settings: expected an empty OUT")


def _check_complete(shards: Sequence[Shard], number: int, folders: Sequence[Path]) -> None:
    unfinished = {
        path.name.removesuffix(end)
        for folder in folders
        for end in (".part", ".prior")
        for path in folder.glob(f"manifest-*{end}")
    }
    here = {shard.index for shard in shards}
    missing = [index for index in range(1, number + 1) if index not in here]
    stopped = [index for index in range(1, number + 1) if manifest_name((index, number)) in unfinished]
    missing = [index for index in missing if index not in stopped]
    problems = [
        f"{what} {', '.join(map(str, found[:_NAMED]))}{', ...' if len(found) > _NAMED else ''}"
        for what, found in (("missing", missing), ("unfinished", stopped))
        if found
    ]
    if problems:
        raise DataError(
            f"{shards[0].folder}: of {number} shards {'; '.join(problems)}\n"
            "hint: give the line of each again with its --shard, or name the folders that hold them"
        )
    for shard in shards:
        if _busy(shard.path):
            raise WriteError(f"{shard.path}: this shard is being made at this moment\nhint: wait for it")


def _busy(manifest: Path) -> bool:
    """Tell whether a run holds a manifest, without writing: its folder may belong to others."""
    try:
        with manifest.with_name(f".{manifest.name}.lock").open("rb") as guard:
            fcntl.flock(guard, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _merged(
    shards: Sequence[Shard],
    header: dict[str, Any],
    out: Path,
    move: bool,
    root: Path | None,
    progress: Callable[[], None],
) -> Merged:
    layout, sink = find_layout(header["layout"]), find_sink(header)
    base = root if root is not None else out / header["root"]
    if sink.name == "files" and header.get("outputs") and not base.is_dir():
        raise DataError(
            f"{base}: no such folder: the tables of `{layout.name}` need the sources\nhint: --root says where they are"
        )
    merged, part = Merged(out, len(shards)), out / f"{_WHOLE}.part"
    sweep(out)
    with atomic_write(out / _WHOLE) as file:
        file.write(line(header))
        with closing(Known(sink)) as known:
            for number, (record, text) in enumerate(rows(shards)):
                known.add(record, shards[number % len(shards)])
                _count(merged, record)
                file.write(text)
                progress()
        if any(not same(shard.folder, out) for shard in shards):
            # From here on OUT holds files: this says whose they are if the rest is never reached.
            part.write_bytes(line(header))
            merged.files = bring_all(shards, header, sink, out, move)
        if sink.name == "files":
            layout.finish(out, base)
        if "ladder" in header and not (out / TABLE).is_file():
            remark(f"{out / TABLE}: not written: the line of the ladder, without --shard, writes it")
        file.flush()
        os.fsync(file.fileno())
    part.unlink(missing_ok=True)
    return merged


def _forget(shard: Shard, out: Path) -> None:
    """Remove what a shard has beside its samples, once these are part of the whole."""
    try:
        if not same(shard.folder, out):
            tables = [entry["path"] for entry in shard.header.get("outputs", [])]
            remove(shard.folder, [*tables, MAP])
        shard.path.unlink(missing_ok=True)
        if not same(shard.folder, out):
            for folder, _, _ in os.walk(shard.folder, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
    except OSError as error:
        raise WriteError(f"{error.filename or shard.path}: cannot be removed: {error.strerror}") from None


def _count(merged: Merged, record: Mapping[str, Any]) -> None:
    merged.made += record["status"] == "made"
    merged.copied += record["status"] == "copied"
    merged.skipped += record["status"] == "skipped"
