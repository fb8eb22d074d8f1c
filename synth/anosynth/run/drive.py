"""A run from start to end: check OUT, do the jobs, write the manifest; go on where an earlier run stopped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from anosynth.errors import DataError, WriteError
from anosynth.io.atomic import sweep
from anosynth.io.remote import url_of

from . import engines
from ._options import sink_record
from ._staging import Stage, stage_of
from .execute import Place, family_of
from .manifest import (
    Manifest,
    different,
    division,
    finished_name,
    hold,
    is_manifest,
    manifest_name,
    read_lines,
    release,
)
from .plan import Job, Plan, Task
from .sinks import Sink, find_sink
from .splits import MAP, write_map

_NAMED = 1000


@dataclass
class Summary:
    """What a run did; `problems` names the first thousand skipped samples."""

    made: int = 0
    copied: int = 0
    skipped: int = 0
    kept: int = 0
    problems: list[str] = field(default_factory=list)
    views: dict[str, Any] = field(default_factory=dict)

    def count(self, record: dict[str, Any]) -> None:
        """Count a record, and take out of it what is no part of the manifest."""
        self.kept += bool(record.pop("kept", False))
        if "view" in record:
            self.views[record["id"]] = record.pop("view")
        self.made += record["status"] == "made"
        self.copied += record["status"] == "copied"
        if record["status"] == "skipped":
            self.skipped += 1
            if len(self.problems) < _NAMED:
                self.problems.append(record["reason"])


def run(
    plan: Plan,
    out: Path | str,
    *,
    workers: int = 0,
    engine: str = "local",
    address: str = "",
    overwrite: bool = False,
    on_error: str = "skip",
    progress: Callable[[dict[str, Any]], None] = lambda record: None,
    views: int = 0,
) -> Summary:
    """Carry out a plan; the files in OUT depend on the plan alone, not on workers, order or earlier kills.

    Args:
        out: folder to write to: empty, or of this same plan (then what is whole is kept), or any with `overwrite`;
            or its URL, such as "s3://bucket/out": see `_staging`.
        workers: local processes; 0 and 1 work in this process.
        engine, address: "local", or "dask" for a cluster, whose scheduler listens at the address: see `engines`.
        on_error: "skip" goes on after a sample that cannot be made, "stop" raises.
        progress: called with each record, in the order of the manifest.
        views: how many of the first made samples the summary has views of, for the report.

    Raises:
        WriteError: OUT holds other files, cannot be written to, or another run is writing to it.
        DataError: OUT holds a data set of other settings; or a sample failed under `on_error="stop"`.
    """
    processes = workers > 1 or engine != "local"
    sink = find_sink(sink_record(plan.sink, plan.shard_size))
    with stage_of(out, plan, processes=processes, everything=overwrite) as stage:
        _prepare(plan, stage, out, overwrite)
        carried = engines.choose(engine, plan, url_of(out) or Path(out), workers=workers, address=address)
        return _run(plan, stage, sink, carried, overwrite, on_error, progress, views)


def _run(
    plan: Plan,
    stage: Stage,
    sink: Sink,
    engine: engines.Engine,
    overwrite: bool,
    on_error: str,
    progress: Callable[[dict[str, Any]], None],
    views: int,
) -> Summary:
    summary, out = Summary(), stage.folder
    plan, manifest = _begun(plan, stage, overwrite)
    try:
        place = Place(plan.root, out, plan.layout, plan.seed, plan.reading)
        stage.grown()
        tasks = _tasks(plan.jobs(), manifest.prior(), 0 if plan.layout.holds_many else views)
        work = partial(stage.sink(sink).carry_out, place=place)
        # Whatever ends this loop, no worker may still write when the manifest is given free.
        with closing(engine(sink.batches(tasks, plan.shard), work)) as done:
            for record in chain.from_iterable(done):
                summary.count(record)
                manifest.add(record)
                stage.grown()
                progress(record)
                if record["status"] == "skipped" and on_error == "stop":
                    raise DataError(f"{record['reason']}\nhint: --on-error skip goes on without it")
        # A worker that was killed leaves the file that it was writing.
        sweep(out)
        if sink.name == "files":
            plan.layout.finish(out, plan.root)
        if summary.made and plan.layout.maps_splits:
            write_map(out, ((s.path.as_posix(), plan.split_of(s)) for s in plan.sources if not s.problem))
        manifest.finish()
    finally:
        manifest.close()
    stage.finished()
    return summary


def _tasks(jobs: Iterator[Job], prior: Iterator[dict[str, Any]], views: int) -> Iterator[Task]:
    for job in jobs:
        views -= job.kind == "make"
        record = next(prior, None)
        yield Task(job, record if record and _same(record, job) else None, job.kind == "make" and views >= 0)
    for _ in prior:
        pass


def _same(record: Mapping[str, Any], job: Job) -> bool:
    # A skipped sample's record has no split.
    same = record.get("id") == job.id and record.get("split", job.split) == job.split
    return same and record.get("generator", {}) == job.generator


def _prepare(plan: Plan, stage: Stage, out: Path | str, overwrite: bool) -> None:
    next(plan.jobs(), None)  # what cannot be planned must not cost what is there
    entries = stage.entries(plan)
    out = url_of(out) or out
    if entries and not overwrite and not any(map(is_manifest, entries)):
        raise WriteError(
            f"{out}: holds files that are not anosynth's ({sorted(entries)[0]}, ...)\n"
            "hint: choose an empty folder, or --overwrite to write among them"
        )


def _begun(plan: Plan, stage: Stage, overwrite: bool) -> tuple[Plan, Manifest]:
    """Return a plan that has what it learns, and its manifest, with a header and held."""
    with _turn(stage.folder) if overwrite else nullcontext():
        if overwrite:
            _clear(plan, stage)
        manifest = Manifest(stage.folder, plan.shard)
        try:
            plan = getattr(family_of(plan.layout), "begin", lambda plan, out: plan)(plan, stage.folder)
            manifest.start(stage.header(plan))
        except BaseException:
            manifest.close()
            raise
    return plan, manifest


@contextmanager
def _turn(out: Path) -> Iterator[None]:
    """Have shards that start together begin one by one, so that none removes what another has made already."""
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _clear(plan: Plan, stage: Stage) -> None:
    """Remove what earlier runs wrote here, by their manifests; other files stay, and those of this run's other shards.

    Raises:
        WriteError: another run is writing here, a manifest is not anosynth's, or a file cannot be removed.
    """
    found = [path for path in sorted(stage.folder.glob("manifest*")) if is_manifest(path.name)]
    header = stage.header(plan)
    doomed = [path for path in found if not _of_fellow(path, header, stage)]
    try:
        with ExitStack() as held:
            # Nothing is removed unless all may be.
            for manifest in sorted({path.with_name(finished_name(path.name)) for path in doomed}):
                held.callback(release, manifest, hold(manifest))
            for path in doomed:
                # The other shards of this run go by what belongs to all of them, such as what generators learned.
                _clear_one(stage, path, tables=len(doomed) == len(found))
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{error.filename or stage.folder}: cannot be removed: {error.strerror}") from None


def _of_fellow(path: Path, header: Mapping[str, Any], stage: Stage) -> bool:
    """Tell whether a manifest is of another shard of the run that has this header."""
    index, number = header["shard"]
    if division(path.name) != number or finished_name(path.name) == manifest_name((index, number)):
        return False
    if not stage.shared:
        return True
    with suppress(DataError):
        first = next(read_lines(path), None)
        # What generators learn comes later, and is kept by a rule of its own.
        return first is not None and not {*different(header, first)} - {"features"}
    return False


def _clear_one(stage: Stage, manifest: Path, *, tables: bool) -> None:
    """Remove what a manifest names, and itself; with `tables` what belongs to all shards, too."""
    sink = Sink()
    with suppress(DataError):  # what follows a damaged line is not known
        for number, record in enumerate(read_lines(manifest)):
            if number:
                stage.remove(sink.paths(record))
                continue
            if record.get("kind") != "header":
                raise WriteError(f"{manifest}: is not anosynth's\nhint: choose another OUT")
            if tables:
                # A header names the tables of the data set as files, whatever its samples are in.
                stage.remove(Sink().paths(record))
            sink = find_sink(record)
    if tables:
        stage.remove(["report.html", MAP])
    stage.remove([manifest.name])
    manifest.unlink(missing_ok=True)
