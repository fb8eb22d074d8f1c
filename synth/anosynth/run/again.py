"""A data set of files from the lines of another one, whatever that one stores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from anosynth.datasets.layout import Source
from anosynth.errors import DataError, ParameterError
from anosynth.io.inner import printable
from anosynth.io.remote import here, url_of
from anosynth.recipe import Recipe

from .check import Finding, header_of, place_of, rows
from .drive import run
from .execute import job_of
from .manifest import manifest_name, manifests, read_lines
from .plan import Job, Plan
from .sinks import find_sink, unlike
from .sound import told


@dataclass(frozen=True)
class Recorded(Plan):
    """The plan that the lines of a manifest are, whatever else lies at the root by now.

    Attributes:
        out: the data set that the manifest is of.
        of: its header.
        row: the id of the one row to make; None for all.
    """

    out: Path = Path()
    of: Mapping[str, Any] = field(default_factory=dict)
    row: str | None = None

    def jobs(self) -> Iterator[Job]:
        for record in self._records([self.out / manifest_name(self.shard)]):
            if self.row is None or record["id"] == self.row:
                yield _job(record)

    def __len__(self) -> int:
        return sum(1 for _ in self.jobs())

    @cached_property
    def sources(self) -> list[Source]:
        """What anomalies were made of, in all shards."""
        found = (_job(record) for record in self._records(manifests(self.out)))
        made = {job.source.key: Source(job.source.path) for job in found if job.kind == "make" and job.generator}
        return [made[key] for key in sorted(made)]

    def header(self, out: Path) -> dict[str, Any]:
        """Return the header as the sink `files` has it."""
        recipe = self.recipe
        categories = {record.get("category", "") for record in self._records(manifests(self.out))}
        named = self.layout.tables(categories, {vary.generator.name for _, vary in recipe.parts})
        tables = [{"role": "table", "path": path} for path in named]
        root = Path(os.path.relpath(self.root.resolve(), out.resolve())).as_posix()
        same = {key: value for key, value in self.of.items() if key not in ("sink", "outputs")}
        return {**same, **self.reading.record(out), "root": root, **({"outputs": tables} if tables else {})}

    def _records(self, paths: list[Path]) -> Iterator[dict[str, Any]]:
        sink = find_sink(self.of)
        for path in paths:
            lines = read_lines(path, finished=True)
            next(lines, None)
            yield from map(sink.plain, lines)


def write_again(
    out: Path | str,
    target: Path,
    only: str | None = None,
    root: Path | str | None = None,
    *,
    workers: int = 0,
    functions: bool = False,
) -> Iterator[Finding]:
    """Make the rows of a data set again, as files in a folder of their own, and yield what they are like.

    The folder becomes a data set as the sink `files` writes it, of the same rows; given again, it goes on.

    Args:
        target: folder to write to: empty, or what an earlier call wrote.
        only: the id of the one row to make; all rows by default.
        root: where the sources are now; the manifest's own by default.
        workers: local processes.
        functions: run functions that the manifest names.

    Raises:
        DataError: there is no manifest in `out`, no such row, one that leads astray, or one that names a function.
        WriteError: the target holds other files or cannot be written to.
    """
    out, root = here(out), None if root is None else here(root)
    if url_of(target):
        raise ParameterError(f"{url_of(target)}: must be a folder of this machine")
    if Path(target).resolve() == out.resolve():
        raise ParameterError(f"{target}: is the data set itself: choose another folder")
    known = False
    for row in rows(out, root, maps=True):
        own = row.record["id"] == only
        known = known or own
        row.allow(functions or not (own or only is None))
    if only is not None and not known:
        raise DataError(f"{out}: no row `{only}` in the manifest")
    for path in manifests(out):
        # What a plan says is the user's own and sound; this one is what a manifest says.
        with told(path):
            run(_recorded(out, path, only, root), target, workers=workers)
    for path in manifests(out):
        again = {} if only is None else {record["id"]: record for record in _lines(target / path.name)}
        made = _lines(target / path.name) if only is None else iter([])
        sink = find_sink(header_of(path))
        for record in map(sink.plain, _lines(path)):
            if only is not None and record["id"] != only:
                continue
            other = again[record["id"]] if only is not None else next(made)
            if record["status"] == "skipped":
                yield Finding(record["id"], "ok", f"skipped: {record['reason']}")
                continue
            why = unlike(record, other)
            yield Finding(record["id"], "bad" if why else "ok", why)


def _recorded(out: Path, path: Path, only: str | None, root: Path | None) -> Recorded:
    header = header_of(path)
    with told(path):
        place = place_of(header, out, root)
        index, number = header["shard"]
        if not (isinstance(index, int) and isinstance(number, int) and 0 < index <= number):
            raise DataError(f"{path}: the manifest says shard {printable(header['shard'])}: expected [i, n]")
        recipe, split = Recipe.from_record(header["recipe"]), tuple(header["split"] or Plan.split)
        return Recorded(
            place.root,
            place.layout,
            recipe,
            seed=place.seed,
            reading=place.reading,
            split=split,
            shard=(index, number),
            out=out,
            of=header,
            row=only,
        )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    lines = read_lines(path, finished=True)
    next(lines, None)
    return lines


def _job(record: dict[str, Any]) -> Job:
    if record["status"] != "skipped":
        return job_of(record)
    source = Source(Path(record["source"]["path"]), problem=record["reason"])
    return Job(record["id"], "make", source, generator=record["generator"])
