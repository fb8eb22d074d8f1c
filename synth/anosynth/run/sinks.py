"""What becomes of the samples that are made: files of their own, files in tars, or nothing but their lines.

A sink is asked by the run how jobs go together and to carry them out, and by all that reads a data set where the files
of a line are. All sinks make a sample in the same way, so that its files have the same bytes in each.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from anosynth.errors import DataError, WriteError
from anosynth.io.inner import inside

from .execute import Place, digest_of_source, execute, family_of, file_sha256, job_of, make
from .plan import Batch, Task

Record = dict[str, Any]


@dataclass(frozen=True)
class Sink:
    """The sink `files`, and base of the others: every file lies in OUT under the path that its line names.

    Attributes:
        stored: whether the samples are in OUT.
    """

    name: ClassVar[str] = "files"
    stored: ClassVar[bool] = True

    def batches(self, tasks: Iterable[Task], shard: tuple[int, int]) -> Iterator[Batch]:
        """Yield the tasks of a shard as they are to be carried out: each by itself."""
        for task in tasks:
            yield Batch((task,))

    def carry_out(self, batch: Batch, place: Place) -> list[Record]:
        """Return the records of a batch; what an earlier run made and is whole is kept.

        A record that was kept has `kept`, one that the report is to show has `view`; neither belongs in the manifest.

        Raises:
            WriteError: an output cannot be written.
        """
        return [self._carried_out(task, place) for task in batch.tasks]

    def _carried_out(self, task: Task, place: Place) -> Record:
        prior = task.prior
        if prior is not None and same_source(prior, place) and self._is_whole(prior, place):
            return kept(prior, task, place)
        record = self._made(task, place)
        if prior is not None:
            # Its source has changed: what it no longer gives must not stay among the samples.
            remove(place.out, set(self.paths(prior)) - set(self.paths(record)))
        return record

    def _made(self, task: Task, place: Place) -> Record:
        return execute(task.job, place, view=task.view)

    def _is_whole(self, record: Record, place: Place) -> bool:
        try:
            return all(inside(place.out, path) for path in self.paths(record)) and not self.problem(record, place)
        except (KeyError, TypeError, ValueError):
            return False

    def paths(self, record: Mapping[str, Any]) -> list[str]:
        """Return the files of OUT, relative to it, in which the outputs of a record are; of a damaged one, what is."""
        outputs = record.get("outputs", [])
        found = [entry.get("path") for entry in outputs if isinstance(entry, dict)] if isinstance(outputs, list) else []
        return list(dict.fromkeys(path for path in found if isinstance(path, str)))

    def problem(self, record: Mapping[str, Any], place: Place) -> str:
        """Return what is wrong with what is stored of a record, "" if nothing is."""
        for output in record["outputs"]:
            try:
                if file_sha256(place.out / output["path"]) != output["sha256"]:
                    return f"{output['path']}: is not the file that was written"
            except OSError as error:
                return f"{output['path']}: {error.strerror}"
        return ""

    def merged(self, shards: int) -> dict[str, Any]:
        """Return what the header of so many shards that were joined has otherwise than that of each of them."""
        return {}

    def plain(self, record: Record) -> Record:
        """Return a record as the sink `files` has it."""
        return record

    def opened(self, record: Record, place: Place) -> AbstractContextManager[Path]:
        """Return the folder in which the files of a made or copied record lie as `plain` says, for as long as needed.

        The record must be sound, see `shards.Shard.opened`; the hashes of what is stored are for `problem` to look at.

        Raises:
            DataError: they cannot be had, or what is made is not what the record says.
            WriteError: there is no room for them.
        """
        return nullcontext(place.out)


@dataclass(frozen=True)
class RecipeOnly(Sink):
    """The sink `recipe`: the manifest alone. Its lines are those of `files`: what they name is made when it is read."""

    name: ClassVar[str] = "recipe"
    stored: ClassVar[bool] = False

    def _made(self, task: Task, place: Place) -> Record:
        with elsewhere(place) as there:
            return execute(task.job, there, view=task.view)

    def paths(self, record: Mapping[str, Any]) -> list[str]:
        return []

    def problem(self, record: Mapping[str, Any], place: Place) -> str:
        return ""

    @contextmanager
    def opened(self, record: Record, place: Place) -> Iterator[Path]:
        with elsewhere(place) as there:
            again = execute(job_of(record), replace(there, seed=record.get("seed", place.seed)))
            if why := unlike(record, again):
                raise DataError(f"{record['id']}: {why}")
            yield there.out


def find_sink(header: Mapping[str, Any]) -> Sink:
    """Return the sink that a header, or a plan's record, names.

    Raises:
        DataError: it is none of this anosynth.
    """
    given = header.get("sink")
    if given is None:
        return Sink()
    name = given.get("name") if isinstance(given, dict) else given
    if name == "recipe":
        return RecipeOnly()
    if name == "webdataset" and isinstance(size := given.get("shard_size"), int) and size > 0:
        from .tars import Tars

        return Tars(size)
    raise DataError(f"the manifest says sink {given!r}: not a sink of this anosynth")


def refuse_others(out: Path, sink: Sink) -> None:
    """Raise DataError if the samples of a data set are not files of their own, saying how to make them such."""
    if sink.name != "files":
        held = "tars" if sink.stored else "recipes alone"
        raise DataError(
            f"{out}: holds {held} (--sink {sink.name}): expected files\n"
            f"hint: anosynth replay {out} --write DIR makes a data set of files of it"
        )


@contextmanager
def elsewhere(place: Place) -> Iterator[Place]:
    """Yield the place with a folder of its own for OUT, which goes with all that is in it.

    Raises:
        WriteError: there is no room for temporary files.
    """
    try:
        folder = tempfile.mkdtemp(prefix="anosynth-")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise WriteError(f"no folder for temporary files: {why}\nhint: TMPDIR names one") from None
    try:
        yield replace(place, out=Path(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unlike(record: Mapping[str, Any], again: Mapping[str, Any]) -> str:
    """Return in what a sample that was made again differs from its record, both as of `files`; "" if in nothing."""
    if again["status"] != record["status"]:
        return str(again["reason"])
    if again["source"] != record["source"]:
        return f"the source {record['source']['path']} is not the file that it was"
    before = {output["path"]: output["sha256"] for output in record["outputs"]}
    after = {output["path"]: output["sha256"] for output in again["outputs"]}
    different = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return f"made again, {different[0]} differs" if different else ""


def kept(prior: Record, task: Task, place: Place) -> Record:
    """Return the earlier record of a sample, as one that is kept if it was made."""
    if prior["status"] == "skipped":
        return prior
    view = {"view": family_of(place.layout).view(make(task.job, place))} if task.view else {}
    return {**prior, "kept": True, **view}


def same_source(record: Mapping[str, Any], place: Place) -> bool:
    """Tell whether a sample was made, of the source that is there now."""
    try:
        if record["status"] not in ("made", "copied"):
            return False
        # A thousand variants follow one another of a source that is read once.
        found: bool = digest_of_source(place.root / record["source"]["path"]) == record["source"]["sha256"]
        return found
    except (OSError, KeyError, TypeError, ValueError):
        return False


def remove(out: Path, paths: Iterable[str]) -> None:
    """Remove files that a manifest names, as far as they are inside OUT, and the folders that this leaves empty."""
    for path in paths:
        if not inside(out, path):
            continue
        target = out / path
        target.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in list(target.relative_to(out).parents)[:-1]:
                (out / folder).rmdir()
