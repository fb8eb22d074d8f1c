"""Trust, but check: `verify` re-hashes a data set and compares labels with sources; `replay` makes rows again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anosynth.datasets._names import remark
from anosynth.datasets.layout import find_layout
from anosynth.errors import AnosynthError, DataError, WriteError
from anosynth.io.images import limited
from anosynth.io.inner import inner, leading_out, printable
from anosynth.io.remote import here
from anosynth.seeding import SCHEME

from ._strangers import Named
from .execute import Place, execute, family_of, file_sha256, job_of, load
from .manifest import division, manifest_name, manifests, read_lines
from .reading import Reading
from .sinks import Sink, elsewhere, find_sink, unlike
from .sound import check, check_header, refuse_functions, told

_SHOWN = 5
"""Files that a remark names."""


@dataclass(frozen=True)
class Finding:
    """What was found about one row: "ok", "unchecked" (its source is not here) or "bad", and why."""

    id: str
    state: str
    text: str = ""


@dataclass(frozen=True)
class Row:
    """A record of a manifest: where it was made, what became of it, and on which line of which manifest it stands."""

    place: Place
    sink: Sink
    record: dict[str, Any]
    path: Path
    number: int

    def allow(self, functions: bool) -> None:
        """Raise DataError if making it again runs a function that the manifest names, unless that is allowed."""
        if functions:
            return
        with told(self.path, self.number):
            generator = self.record["generator"] if self.record["status"] == "made" else {}
            refuse_functions(generator, self.place.reading.function, f"{self.path}: line {self.number}")


def verify(out: Path | str, root: Path | str | None = None, *, functions: bool = False) -> Iterator[Finding]:
    """Yield a finding for each row of the manifests in OUT, and one for each table of the data set that is missing.

    Every named file must be there with its hash; the labels must be what differs from the source: no changed element
    outside the mask, no unchanged one inside (where the source is at hand and the format keeps the order of points).
    Where nothing is stored (sink `recipe`), each sample is made again and must have the recorded hashes. Of an OUT or a
    root by URL it is the mirror on this machine that is looked at: see `anosynth.io.remote`. Files in OUT that nothing
    names are no finding: a remark says how many there are.

    Args:
        functions: run functions that the manifest names, where nothing is stored.

    Raises:
        DataError: there is no manifest, it is not readable, or it names a function.
    """
    out, root = here(out), None if root is None else here(root)
    named = Named()
    for row in rows(out, root, maps=False):
        with told(row.path, row.number):
            row.allow(functions or row.sink.stored)
            finding = _finding(row.place, row.sink, row.record)
            named.add(row.sink.paths(row.record))
        yield finding
    yield from _missing_tables(out)
    missing = _missing_shards(out)
    for name in missing:
        yield Finding(name, "unchecked", "this shard is not here, or not finished")
    if not missing:
        _remark_others(out, named)


def _finding(place: Place, sink: Sink, record: dict[str, Any]) -> Finding:
    if record["status"] == "skipped":
        return Finding(record["id"], "ok", f"skipped: {record['reason']}")
    if problem := sink.problem(record, place):
        return Finding(record["id"], "bad", problem)
    return _labels_finding(place, sink, record) if record["status"] == "made" else _copied(place, sink, record)


def replay(
    out: Path | str, only: str | None = None, root: Path | str | None = None, *, functions: bool = False
) -> Iterator[Finding]:
    """Make rows again from their manifest lines in a temporary folder and compare every byte.

    Args:
        only: the id of the one row to make; all made rows by default.
        root: where the sources are now; the manifest's own by default.
        functions: run functions that the manifest names.

    Raises:
        DataError: there is no manifest, no such row, it was made under another scheme, or names a function.
    """
    found = False
    out, root = here(out), None if root is None else here(root)
    for row in rows(out, root, maps=True):
        record = row.record
        if record["status"] != "made" or (only is not None and record["id"] != only):
            continue
        found = True
        with told(row.path, row.number):
            row.allow(functions)
            plain = row.sink.plain(record)
            with elsewhere(row.place) as there:
                why = unlike(plain, execute(job_of(plain), replace(there, seed=record["seed"])))
        yield Finding(record["id"], "bad" if why else "ok", why)
    if only is not None and not found:
        raise DataError(f"{out}: no made row `{only}` in the manifest")


def _missing_shards(out: Path) -> list[str]:
    found = {path.name for path in manifests(out)}
    numbers = sorted({division(name) for name in found})
    whole = [manifest_name((index, number)) for number in numbers for index in range(1, number + 1)]
    return [name for name in whole if name not in found]


def _missing_tables(out: Path) -> Iterator[Finding]:
    """Yield a finding for each file of the whole data set that should be there by what else is, and is not."""
    for path in manifests(out)[:1]:
        header = next(read_lines(path))
        outputs = header.get("outputs", [])
        named = {entry.get("path") for entry in outputs if isinstance(entry, dict)} if outputs else set()
        for table in find_layout(header["layout"]).due(out) if named else []:
            if table in named and not (out / table).is_file():
                yield Finding(table, "bad", "this table is missing; the line that made the data set writes it again")


def _remark_others(out: Path, named: Named) -> None:
    for path in manifests(out):
        named.add(Sink().paths(header_of(path)))
    some, number = list[str](), 0
    for name in named.others(out):
        number += 1
        if len(some) < _SHOWN:
            some.append(printable(name))
    if number:
        files = "1 file that nothing names" if number == 1 else f"{number} files that nothing names"
        more = ", ..." if number > len(some) else ""
        remark(f"{out}: holds {files} ({', '.join(some)}{more}): left by a run that was stopped, or not anosynth's")


def rows(out: Path, root: Path | None, *, maps: bool) -> Iterator[Row]:
    """Yield each record of the manifests in OUT.

    Raises:
        DataError: there is no manifest, or one that is damaged, of another scheme, or leads astray.
    """
    for path in manifests(out):
        header, lines = header_of(path), read_lines(path, finished=True)
        next(lines)
        with told(path, 1):
            sink = find_sink(header)
            place = place_of(header, out, root, maps=maps or not sink.stored)
        for number, record in enumerate(lines, 2):
            with told(path, number):
                check_record(out, record, sink, f"{path}: line {number}")
            yield Row(place, sink, record, path, number)


def header_of(path: Path) -> dict[str, Any]:
    """Return the first line of a manifest.

    Raises:
        DataError: it is none of a manifest, or of one made under another scheme.
    """
    header = next(read_lines(path, finished=True), None)
    if header is None or header.get("kind") != "header":
        raise DataError(f"{path}: has no header line: not a manifest of anosynth")
    if header.get("scheme") != SCHEME:
        raise DataError(f"{path}: made under scheme {header.get('scheme')}: this anosynth reads scheme {SCHEME}")
    check_header(header, path)
    return header


def place_of(header: Mapping[str, Any], out: Path, root: Path | None, *, maps: bool = True) -> Place:
    """Return where the samples of a manifest are made, as its header says; see `Reading.from_record` for `maps`."""
    base = root if root is not None else out / header["root"]
    reading = Reading.from_record(header, out, maps=maps)
    return Place(base, out, find_layout(header["layout"]), int(header["seed"]), reading)


def check_record(out: Path, record: dict[str, Any], sink: Sink, where: str) -> None:
    """Raise DataError, or what `told` tells, if a record is none of this sink's, or leads out of OUT."""
    check(sink.plain(record), where)
    for name in [record["id"], *sink.paths(record)]:
        if link := leading_out(out, inner(name, where)):
            raise DataError(f"{where}: the manifest names `{name}`, which lies outside: `{link}` is a link")


def _copied(place: Place, sink: Sink, record: dict[str, Any]) -> Finding:
    if sink.stored:
        return Finding(record["id"], "ok")
    try:
        with sink.opened(record, place):
            return Finding(record["id"], "ok")
    except DataError as error:
        return Finding(record["id"], "bad", str(error))


def _labels_finding(place: Place, sink: Sink, record: dict[str, Any]) -> Finding:
    job = job_of(sink.plain(record))
    checked = "only hashes were checked" if sink.stored else "nothing was checked"
    try:
        if file_sha256(place.root / job.source.path) != record["source"]["sha256"]:
            return Finding(record["id"], "unchecked", f"the source is not the file that it was; {checked}")
    except OSError:
        return Finding(record["id"], "unchecked", f"the source is not here; {checked} (--root says where)")
    try:
        with limited(place.reading.max_pixels):
            before = load(place.root / job.source.path, place, job)
            with sink.opened(record, place) as folder:
                truth = place.layout.read_truth(folder, sink.plain(record))
    except WriteError:
        raise
    except AnosynthError as error:
        return Finding(record["id"], "bad", str(error))
    except KeyError as error:
        return Finding(record["id"], "bad", f"the manifest names no file with the role {error}")
    if truth is None:
        return Finding(record["id"], "ok", "labels not compared: the format does not keep the order of points")
    if int(truth.mask.sum()) != record["mask"]["count"]:
        return Finding(
            record["id"], "bad", f"{int(truth.mask.sum())} labelled, the manifest says {record['mask']['count']}"
        )
    shown = family_of(place.layout).compare(before, truth)
    if isinstance(shown, str):
        return Finding(record["id"], "bad", shown)
    if record["generator"].get("mask") == "region":
        text = f"labels are the intended region: leak {shown.leak:.4f}, dead {shown.dead:.4f}"
        return Finding(record["id"], "ok", text)
    if shown.leak or shown.dead:
        return Finding(record["id"], "bad", f"labels: leak {shown.leak:.4f}, dead {shown.dead:.4f}; both must be 0")
    return Finding(record["id"], "ok")
