"""An OUT by URL: each sample is made in a folder of its own, put there, and gone from here before its line is written.

The manifest grows in a folder of this machine, and from time to time its copy there, `NAME.part`, is brought up to
date: so a run that is killed goes on from what the URL has, on this machine or on another.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from anosynth.errors import AnosynthError, DataError, ParameterError, WriteError
from anosynth.io.atomic import sweep
from anosynth.io.inner import fault
from anosynth.io.remote import Store, cache, url_of

from .execute import Place
from .manifest import finished_name, hold, is_manifest, manifest_name, release
from .plan import Batch, Plan, Task
from .sinks import Record, Sink, elsewhere, remove

_EVERY = 10.0
"""Seconds after which the copy of an unfinished manifest is brought up to date; it must also have grown by a tenth."""


class Stage:
    """Where a run writes: here, OUT itself.

    Attributes:
        folder: where the manifest grows.
        shared: whether that is one folder for all shards, so that its locks hold for all of them.
    """

    shared: ClassVar[bool] = True

    def __init__(self, out: Path) -> None:
        self.folder = out

    def header(self, plan: Plan) -> dict[str, Any]:
        """Return the header of the manifest."""
        return plan.header(self.folder)

    def sink(self, inner: Sink) -> Sink:
        """Return the sink that writes to OUT what another one would."""
        return inner

    def entries(self, plan: Plan) -> list[str]:
        """Make sure of the folder and return the names in OUT.

        Raises:
            WriteError: OUT cannot be written to, or holds the input.
        """
        root, target = plan.root.resolve(), self.folder.resolve()
        if target == root or target in root.parents:
            raise WriteError(f"{self.folder}: holds the input\nhint: choose a folder of its own for OUT")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # What killed runs left was never meant to stay, and says nothing of whose folder this is.
            sweep(self.folder)
            return [entry.name for entry in self.folder.iterdir()]
        except FileExistsError:
            raise WriteError(f"{self.folder}: is not a folder") from None
        except OSError as error:
            raise WriteError(f"{self.folder}: cannot be written to: {error.strerror}") from None

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files of OUT that a manifest names."""
        remove(self.folder, paths)

    def grown(self, *, soon: bool = False) -> None:
        """Be told that the manifest has grown, first by its header."""

    def finished(self) -> None:
        """Be told that the data set is whole."""


class RemoteStage(Stage):
    """A stage for an OUT by URL.

    Raises:
        ParameterError: the plan cannot be written there; the message says why.
    """

    shared: ClassVar[bool] = False

    def __init__(self, url: str, plan: Plan, *, processes: bool, everything: bool) -> None:
        self._name = manifest_name(plan.shard)
        # A folder of its own for each shard: what one has begun is no business of the others.
        digest = hashlib.sha256(f"{url} {self._name}".encode()).hexdigest()
        super().__init__(cache() / "runs" / digest[:16])
        self.store = Store(url)
        self._put, self._next = 0, 0.0
        if self.store.of_this_process and processes:
            raise ParameterError(f"{url}: no other process sees it: must be made without --workers and --engine")
        if plan.layout.holds_many:
            raise ParameterError(f"{url}: files of features are written to folders of this machine alone")
        self._everything = everything

    def header(self, plan: Plan) -> dict[str, Any]:
        header = plan.header(self.folder)
        if header.get("maps"):
            names = ", ".join(f"--{name}" for name in header["maps"])
            raise ParameterError(f"{self.store.url}: {names}: only where OUT is a folder of this machine")
        if tables := header.get("outputs"):
            raise ParameterError(
                f"{self.store.url}: `{plan.layout.name}` has tables of all its files ({tables[0]['path']}), which are "
                "written where these are: must be a folder of this machine\nhint: or --sink webdataset, or recipe"
            )
        # Where the input lies on this machine is no fact of what lies there.
        return {**header, "root": plan.origin}

    def sink(self, inner: Sink) -> Sink:
        return Uploaded(inner, self.store)

    def entries(self, plan: Plan) -> list[str]:
        if f"{plan.origin}/".startswith(f"{self.store.url}/"):
            raise WriteError(f"{self.store.url}: holds the input\nhint: choose a folder of its own for OUT")
        # What cannot be must not cost what is there.
        self.header(plan)
        super().entries(plan)
        sizes = self.store.sizes()
        guard = hold(self.folder / self._name)
        try:
            for name in [name for name in sizes if is_manifest(name)]:
                self._fetch(name, sizes[name])
            for path in self.folder.glob("manifest*"):
                # What nobody has there any more is of a data set that was removed.
                if is_manifest(path.name) and not any(name.startswith(finished_name(path.name)) for name in sizes):
                    path.unlink()
        finally:
            release(self.folder / self._name, guard)
        self._put = sizes.get(f"{self._name}.part", 0)
        return list(sizes)

    def _fetch(self, name: str, size: int) -> None:
        """Bring a manifest here, of another shard its header alone; of an unfinished one the longer is taken."""
        path = self.folder / name
        if not (self._everything or name.startswith(self._name)):
            path.write_bytes(self.store.first_line(name))
            return
        first = self.store.first_line(name)
        for own in (path, path.with_suffix(".prior")):
            if own.is_file() and own.suffix != ".jsonl" and own.stat().st_size >= size:
                with own.open("rb") as file:
                    if file.readline() == first:
                        return
        for own in (path, path.with_suffix(".prior")):
            own.unlink(missing_ok=True)
        self.store.get(name, path)

    def remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            if not fault(path):
                self.store.remove(path)

    def grown(self, *, soon: bool = False) -> None:
        part = self.folder / f"{self._name}.part"
        if soon or time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY
            size = part.stat().st_size if part.exists() else 0
            # What an earlier run put there must not be replaced by less.
            if size > (self._put if soon else self._put * 1.1):
                self.store.put(part, part.name)
                self._put = size

    def finished(self) -> None:
        for path in sorted(self.folder.iterdir()):
            if path.name == self._name or not (is_manifest(path.name) or path.name.startswith(".")):
                self.store.put(path, path.name)
        self.store.remove(f"{self._name}.part")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def stage_of(out: Path | str, plan: Plan, *, processes: bool, everything: bool) -> Iterator[Stage]:
    """Yield where a run writes; what is unfinished stays, so that it can be gone on with.

    Args:
        processes: whether other processes do the work.
        everything: whether all manifests in OUT are needed.
    """
    url = url_of(out)
    if not url:
        yield Stage(Path(out))
        return
    stage = RemoteStage(url, plan, processes=processes, everything=everything)
    try:
        yield stage
    except BaseException as error:
        # What goes wrong after something has gone wrong is not worth a word.
        with suppress(AnosynthError, OSError):
            stage.grown(soon=True)
        if isinstance(error, AnosynthError) and str(stage.folder) in str(error):
            raise type(error)(str(error).replace(str(stage.folder), url)) from None
        raise


@dataclass(frozen=True)
class Uploaded(Sink):
    """A sink whose files lie by URL. What an earlier run put there is fetched to be looked at, hash by hash."""

    inner: Sink = field(default_factory=Sink)
    store: Store = field(default_factory=lambda: Store(""))

    def batches(self, tasks: Iterable[Task], shard: tuple[int, int]) -> Iterator[Batch]:
        return self.inner.batches(tasks, shard)

    def carry_out(self, batch: Batch, place: Place) -> list[Record]:
        priors = {path for task in batch.tasks if task.prior for path in self.inner.paths(task.prior)}
        with elsewhere(place) as there:
            known = {path for path in priors if self._fetched(path, there.out)}
            records = self.inner.carry_out(batch, there)
            now: dict[str, None] = {}
            for record in records:
                if not record.get("kept"):
                    now.update(dict.fromkeys(self.inner.paths(record)))
            for path in now:
                self.store.put(there.out / path, path)
            # The inner sink has removed what is no longer named.
            for path in known - now.keys():
                if not (there.out / path).exists():
                    self.store.remove(path)
        return records

    def _fetched(self, path: str, folder: Path) -> bool:
        target = folder / path
        if fault(path):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        return self.store.get(path, target)

    def paths(self, record: Mapping[str, Any]) -> list[str]:
        return self.inner.paths(record)

    def plain(self, record: Record) -> Record:
        return self.inner.plain(record)

    def problem(self, record: Mapping[str, Any], place: Place) -> str:
        raise DataError(f"{self.store.url}: expected its mirror")

    def opened(self, record: Record, place: Place) -> AbstractContextManager[Path]:
        raise DataError(f"{self.store.url}: expected its mirror")
