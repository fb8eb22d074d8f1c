"""The sink `webdataset`: the files of samples in tars, in the form that WebDataset reads.

`shards/00000.tar` holds the samples of `shard_size` jobs that follow one another, each under a key of its own:
`00000-000012.png`, `00000-000012.mask.png`, ..., and its line of the manifest as `00000-000012.json`. A tar is made by
one worker under a temporary name and appears whole or not at all; equal samples give equal tars. With `--shard i/n`
the tars of part i have the numbers i - 1, i - 1 + n, ..., so that all parts together count from 0.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, ClassVar

from anosynth.datasets.truth import placed
from anosynth.errors import DataError, WriteError
from anosynth.io import _tar
from anosynth.io.atomic import atomic_write
from anosynth.io.inner import inside, printable

from .execute import Place, execute
from .manifest import line
from .plan import Batch, Task
from .sinks import Record, Sink, elsewhere, kept, remove, same_source

FOLDER = "shards"
_PICTURES = (".png", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True)
class Tars(Sink):
    """The sink `webdataset`; an output of a record is `member` of the tar `path`, and `file` in the sink `files`."""

    shard_size: int = 1000

    name: ClassVar[str] = "webdataset"

    def batches(self, tasks: Iterable[Task], shard: tuple[int, int]) -> Iterator[Batch]:
        """Yield the tasks of each tar."""
        iterator, (index, number) = iter(tasks), shard
        for count in itertools.count():
            batch = tuple(itertools.islice(iterator, self.shard_size))
            if not batch:
                return
            yield Batch(batch, count * number + index - 1)

    def carry_out(self, batch: Batch, place: Place) -> list[Record]:
        """Return the records of a tar; it is kept if it is what earlier records say to the last byte."""
        path = f"{FOLDER}/{batch.number:05d}.tar"
        if self._holds(path, batch, place):
            return [kept(task.prior or {}, task, place) for task in batch.tasks]
        records = []
        with atomic_write(placed(place.out, path)) as tar:
            for number, task in enumerate(batch.tasks):
                with elsewhere(place) as there:
                    record = execute(task.job, there, view=task.view)
                    if record["status"] != "skipped":
                        _add(tar, record, there.out, path, f"{batch.number:05d}-{number:06d}")
                records.append(record)
            tar.write(_tar.END)
            tar.flush()
            # A line in the manifest must not outlive the tar that it names.
            os.fsync(tar.fileno())
        if all(record["status"] == "skipped" for record in records):
            remove(place.out, [path])
        return records

    def _holds(self, path: str, batch: Batch, place: Place) -> bool:
        """Tell whether the tar is there and has all samples of a batch, in order, and nothing else."""
        priors = [task.prior for task in batch.tasks if task.prior is not None]
        if len(priors) < len(batch.tasks):
            return False
        stored = [prior for prior in priors if prior.get("status") != "skipped"]
        if not stored or not all(same_source(prior, place) and self.paths(prior) == [path] for prior in stored):
            return False
        try:
            with (place.out / path).open("rb") as tar:
                if not inside(place.out, path) or not _is_of(tar, stored):
                    return False
        except (OSError, KeyError, TypeError, ValueError, DataError):
            return False
        # What could not be made then may be made now.
        return all(_still(task, place) for task in batch.tasks if task.prior not in stored)

    def problem(self, record: Mapping[str, Any], place: Place) -> str:
        path = record["outputs"][0]["path"]
        try:
            with (place.out / path).open("rb") as tar:
                for output in record["outputs"]:
                    if output["path"] != path or _digest(tar, output) != output["sha256"]:
                        return f"{path}: {output['member']}: is not the file that was written"
                described, last = _described(record), record["outputs"][-1]
                start = last["offset"] + last["size"] + len(_tar.padding(last["size"]))
                key = last["member"].partition(".")[0]
                start += len(_tar.header(f"{key}.json", len(described)))
                if b"".join(_tar.contents(tar, f"{key}.json", start, len(described))) != described:
                    return f"{path}: {key}.json: is not the file that was written"
        except OSError as error:
            return f"{path}: {error.strerror}"
        except DataError as error:
            return f"{path}: {error}"
        return ""

    def merged(self, shards: int) -> dict[str, Any]:
        # Their tars hold other samples than those of one run would, so that none may go on with them.
        return {"sink": {"name": self.name, "shard_size": self.shard_size, "shards": shards}}

    def plain(self, record: Record) -> Record:
        if "outputs" not in record:
            return record
        outputs = [
            {"role": output["role"], "path": output["file"], **{k: v for k, v in output.items() if "sha256" in k}}
            for output in record["outputs"]
        ]
        return {**record, "outputs": outputs}

    @contextmanager
    def opened(self, record: Record, place: Place) -> Iterator[Path]:
        with elsewhere(place) as there:
            for output in record["outputs"]:
                data, target = _content(place.out, output), placed(there.out, output["file"])
                try:
                    target.write_bytes(data)
                except OSError as error:
                    raise WriteError(f"{target}: cannot be written: {(error.strerror or str(error)).lower()}") from None
            yield there.out


def _add(tar: BinaryIO, record: Record, folder: Path, path: str, key: str) -> None:
    """Append the files of a record to a tar, then the record itself, and have its outputs say where they are."""
    names: set[str] = set()
    outputs = []
    for output in record["outputs"]:
        member = f"{key}.{_extension(output, names)}"
        with (folder / output["path"]).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            offset = _tar.append(tar, member, size, _tar.pieces(file))
        place = {"path": path, "member": member, "offset": offset, "size": size, "file": output["path"]}
        outputs.append({"role": output["role"], **place, **{k: v for k, v in output.items() if "sha256" in k}})
    record["outputs"] = outputs
    described = _described(record)
    _tar.append(tar, f"{key}.json", len(described), [described])


def _extension(output: Mapping[str, Any], taken: set[str]) -> str:
    """Return what stands after the key: of the sample its suffix, of masks `mask.png`, of others role and suffix."""
    suffix = PurePosixPath(output["path"]).suffix.lower() or ".bin"
    role = "mask" if output["role"] == "labels" and suffix in _PICTURES else output["role"]
    wanted = suffix[1:] if role == "sample" else f"{role}{suffix}"
    number = itertools.count(2)
    found = wanted
    while found in taken:
        found = f"{role}{next(number)}{suffix}"
    taken.add(found)
    return found


def _described(record: Mapping[str, Any]) -> bytes:
    """Return the record as it stands beside its sample: all but where the files are, and 1 for an anomaly, 0 else."""
    told = {key: value for key, value in record.items() if key not in ("outputs", "view", "kept")}
    return line({"label": int(record["status"] == "made"), **told})


def _content(out: Path, output: Mapping[str, Any]) -> bytes:
    """Return what a member of a tar holds; raise DataError if it is not there."""
    if not inside(out, output["path"]):
        raise DataError(f"{out}: the manifest names `{printable(output['path'])}`, which lies outside")
    path = out / output["path"]
    try:
        with path.open("rb") as tar:
            return b"".join(_tar.contents(tar, output["member"], output["offset"], output["size"]))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _digest(tar: BinaryIO, output: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for piece in _tar.contents(tar, output["member"], output["offset"], output["size"]):
        digest.update(piece)
    return digest.hexdigest()


def _is_of(tar: BinaryIO, records: Sequence[Record]) -> bool:
    """Tell whether a tar is what packing these records gives, byte for byte; raises what a damaged record raises."""
    end = 0
    for record in records:
        for output in record["outputs"]:
            end += len(_tar.header(output["member"], output["size"]))
            if output["offset"] != end or _digest(tar, output) != output["sha256"]:
                return False
            if tar.read(len(pad := _tar.padding(output["size"]))) != pad:
                return False
            end += output["size"] + len(pad)
        described, key = _described(record), record["outputs"][0]["member"].partition(".")[0]
        head = _tar.header(f"{key}.json", len(described))
        wanted = head + described + _tar.padding(len(described))
        if tar.read(len(wanted)) != wanted:
            return False
        end += len(wanted)
    return tar.read(len(_tar.END) + 1) == _tar.END


def _still(task: Task, place: Place) -> bool:
    """Tell whether a job that could not be done cannot be done for the same reason."""
    with elsewhere(place) as there:
        record = execute(task.job, there)
    return record == task.prior
