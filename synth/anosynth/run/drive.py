"""A run from start to end: check OUT, do the jobs, write the manifest; go on where an earlier run stopped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
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
from .manifest import Manifest, division, hold, is_manifest, manifest_name, read_lines, release
from .plan import Batch, Job, Plan, Task
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
    manifest = Manifest(out, plan.shard)
    try:
        if overwrite:
            _clear(stage, plan.shard)
        plan = getattr(family_of(plan.layout), "begin", lambda plan, out: plan)(plan, out)
        place = Place(plan.root, out, plan.layout, plan.seed, plan.reading)
        manifest.start(stage.header(plan))
        stage.grown()
        tasks = _tasks(plan.jobs(), manifest.prior(), 0 if plan.layout.holds_many else views)
        work = partial(carry_out, place=place, sink=stage.sink(sink))
        for record in chain.from_iterable(engine(sink.batches(tasks, plan.shard), work)):
            summary.kept += bool(record.pop("kept", False))
            if "view" in record:
                summary.views[record["id"]] = record.pop("view")
            manifest.add(record)
            stage.grown()
            summary.count(record)
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


def carry_out(batch: Batch, place: Place, sink: Sink) -> list[dict[str, Any]]:
    """Return the records of a batch; what earlier records name and is whole is kept."""
    return sink.carry_out(batch, place)


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
    sweep(stage.folder)


def _clear(stage: Stage, shard: tuple[int, int]) -> None:
    """Remove what earlier runs wrote here, by their manifests; other files stay, and those of this run's other shards.

    Raises:
        WriteError: another run is writing here, a manifest is not anosynth's, or a file cannot be removed.
    """
    own, out = manifest_name(shard), stage.folder
    folder = os.open(out, os.O_RDONLY)
    try:
        # Shards that start together take turns, so that none removes what the first of them has made already.
        fcntl.flock(folder, fcntl.LOCK_EX)
        for path in sorted(out.glob("manifest*")):
            held = path.with_name(path.name.removesuffix(".part").removesuffix(".prior"))
            if not is_manifest(path.name) or (held.name != own and division(path.name) == shard[1]):
                continue
            guard = hold(held) if held.name != own else None
            try:
                _clear_one(stage, path)
            finally:
                if guard is not None:
                    release(held, guard)
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{error.filename or out}: cannot be removed: {error.strerror}") from None
    finally:
        os.close(folder)


def _clear_one(stage: Stage, manifest: Path) -> None:
    number, sink = 0, Sink()
    with suppress(DataError):  # what follows a damaged line is not known
        for number, record in enumerate(read_lines(manifest), 1):
            if number == 1 and record.get("kind") != "header":
                raise WriteError(f"{manifest}: is not anosynth's\nhint: choose another OUT")
            if number == 1:
                sink = find_sink(record)
            # A header names the tables of the data set, whatever its samples are in.
            stage.remove((Sink() if number == 1 else sink).paths(record))
    if division(manifest.name) == 1:
        stage.remove(["report.html", MAP])
    stage.remove([manifest.name])
    manifest.unlink(missing_ok=True)
