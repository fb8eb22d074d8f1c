"""A run from start to end: check OUT, do the jobs, write the manifest; go on where an earlier run stopped."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from anosynth.errors import DataError, WriteError
from anosynth.io.atomic import sweep

from . import engines
from .execute import Place, execute, family_of, file_sha256, make
from .manifest import Manifest, division, hold, is_manifest, manifest_name, read_lines, release
from .plan import Job, Plan, Task
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
    out: Path,
    *,
    workers: int = 0,
    overwrite: bool = False,
    on_error: str = "skip",
    progress: Callable[[dict[str, Any]], None] = lambda record: None,
    views: int = 0,
) -> Summary:
    """Carry out a plan; the files in OUT depend on the plan alone, not on workers, order or earlier kills.

    Args:
        out: folder to write to: empty, or of this same plan (then what is whole is kept), or any with `overwrite`.
        workers: local processes; 0 and 1 work in this process.
        on_error: "skip" goes on after a sample that cannot be made, "stop" raises.
        progress: called with each record, in the order of the manifest.
        views: how many of the first made samples the summary has views of, for the report.

    Raises:
        WriteError: OUT holds other files, cannot be written to, or another run is writing to it.
        DataError: OUT holds a data set of other settings; or a sample failed under `on_error="stop"`.
    """
    _prepare(plan, out, overwrite)
    engine = engines.processes(workers) if workers > 1 else engines.serial
    summary = Summary()
    manifest = Manifest(out, plan.shard)
    try:
        if overwrite:
            _clear(out, plan.shard)
        plan = getattr(family_of(plan.layout), "begin", lambda plan, out: plan)(plan, out)
        place = Place(plan.root, out, plan.layout, plan.seed, plan.reading)
        manifest.start(plan.header(out))
        tasks = _tasks(plan.jobs(), manifest.prior(), 0 if plan.layout.holds_many else views)
        for record in engine(tasks, partial(carry_out, place=place)):
            summary.kept += bool(record.pop("kept", False))
            if "view" in record:
                summary.views[record["id"]] = record.pop("view")
            manifest.add(record)
            summary.count(record)
            progress(record)
            if record["status"] == "skipped" and on_error == "stop":
                raise DataError(f"{record['reason']}\nhint: --on-error skip goes on without it")
        # A worker that was killed leaves the file that it was writing.
        sweep(out)
        plan.layout.finish(out, plan.root)
        if summary.made and plan.layout.maps_splits:
            write_map(out, ((s.path.as_posix(), plan.split_of(s)) for s in plan.sources if not s.problem))
        manifest.finish()
    finally:
        manifest.close()
    return summary


def carry_out(task: Task, place: Place) -> dict[str, Any]:
    """Return the earlier record of a task if all that it names is whole, else do the job."""
    prior = task.prior
    if prior is not None and _whole(prior, place):
        view = {"view": family_of(place.layout).view(make(task.job, place))} if task.view else {}
        return {**prior, "kept": True, **view}
    record = execute(task.job, place, view=task.view)
    if prior is not None:
        # Its source has changed: what it no longer gives must not stay among the samples.
        _remove(place.out, set(_outputs(prior)) - set(_outputs(record)))
    return record


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


def _whole(record: dict[str, Any], place: Place) -> bool:
    try:
        if record["status"] not in ("made", "copied"):
            return False
        if file_sha256(place.root / record["source"]["path"]) != record["source"]["sha256"]:
            return False
        return all(
            inside(place.out, place.out / output["path"])
            and file_sha256(place.out / output["path"]) == output["sha256"]
            for output in record["outputs"]
        )
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _prepare(plan: Plan, out: Path, overwrite: bool) -> None:
    next(plan.jobs(), None)  # what cannot be planned must not cost what is there
    root, target = plan.root.resolve(), out.resolve()
    if target == root or target in root.parents:
        raise WriteError(f"{out}: holds the input\nhint: choose a folder of its own for OUT")
    try:
        out.mkdir(parents=True, exist_ok=True)
        entries = [entry.name for entry in out.iterdir()]
    except FileExistsError:
        raise WriteError(f"{out}: is not a folder") from None
    except OSError as error:
        raise WriteError(f"{out}: cannot be written to: {error.strerror}") from None
    if entries and not overwrite and not any(map(is_manifest, entries)):
        raise WriteError(
            f"{out}: holds files that are not anosynth's ({sorted(entries)[0]}, ...)\n"
            "hint: choose an empty folder, or --overwrite to write among them"
        )
    sweep(out)


def _clear(out: Path, shard: tuple[int, int]) -> None:
    """Remove what earlier runs wrote here, by their manifests; other files stay, and those of this run's other shards.

    Raises:
        WriteError: another run is writing here, a manifest is not anosynth's, or a file cannot be removed.
    """
    own = manifest_name(shard)
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
                _clear_one(out, path)
            finally:
                if guard is not None:
                    release(held, guard)
    except OSError as error:
        if isinstance(error, WriteError):
            raise
        raise WriteError(f"{error.filename or out}: cannot be removed: {error.strerror}") from None
    finally:
        os.close(folder)


def _clear_one(out: Path, manifest: Path) -> None:
    number = 0
    with suppress(DataError):  # what follows a damaged line is not known
        for number, record in enumerate(read_lines(manifest), 1):
            if number == 1 and record.get("kind") != "header":
                raise WriteError(f"{manifest}: is not anosynth's\nhint: choose another OUT")
            _remove(out, _outputs(record))
    if division(manifest.name) == 1:
        (out / "report.html").unlink(missing_ok=True)
        (out / MAP).unlink(missing_ok=True)
    manifest.unlink(missing_ok=True)


def _outputs(record: Mapping[str, Any]) -> list[str]:
    outputs = record.get("outputs", [])
    found = [entry.get("path") for entry in outputs if isinstance(entry, dict)] if isinstance(outputs, list) else []
    return [path for path in found if isinstance(path, str)]


def _remove(out: Path, paths: Iterable[str]) -> None:
    """Remove files that a manifest names, as far as they are inside OUT, and the folders that this leaves empty."""
    for path in paths:
        target = out / path
        if not inside(out, target):
            continue
        target.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in list(target.relative_to(out).parents)[:-1]:
                (out / folder).rmdir()


def inside(out: Path, path: Path) -> bool:
    """Tell whether a path that a manifest names stays within OUT."""
    try:
        return out.resolve() in path.resolve().parents
    except ValueError:
        return False
