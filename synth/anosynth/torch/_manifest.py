"""A map-style data set of what a run made: read where it is stored, rendered where it is not."""

from __future__ import annotations

import operator
import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from anosynth.errors import DataError, ParameterError
from anosynth.io.images import limited
from anosynth.io.remote import here
from anosynth.run.check import check_record, header_of, place_of
from anosynth.run.execute import Place, family_of, file_sha256, job_of, make
from anosynth.run.manifest import manifests, parsed
from anosynth.run.reading import Reading
from anosynth.run.sinks import Sink, find_sink
from anosynth.run.sound import refuse_functions, told
from anosynth.run.splits import SPLITS

from . import clouds, images
from ._items import Item

Pair = tuple[Any, Any]
"""A sample and its mask; None for that of a normal one."""


@dataclass(frozen=True, eq=False)
class _Shard:
    """A manifest: where its samples come from, and the offsets of their lines."""

    path: Path
    sink: Sink
    place: Place
    lines: array[int]


class ManifestDataset(Dataset[Item]):
    """A map-style data set of what `anosynth images` or `anosynth pointcloud` made, whichever --sink they wrote to.

    Samples in files and tars are read; those of a data set that stores recipes alone are rendered, from their sources,
    as they are asked for, and have the same bytes. Any index may be asked for at any time, in any process. Of each
    sample no more than the place of its line is kept, 8 bytes.

    `data[i]` has `sample` and `mask` as `Synthesize` returns them, `label`, () int64, 1 if anomalous; the texts
    `generator` ("" of a normal sample), `id`, `split` and `category`; and `index`: i. `default_collate` takes items of
    one size; use `collate_fn=concatenate` for clouds of different sizes. `effect` and `instances` are not among them:
    not every layout stores them.

    Args:
        out: the folder that the run wrote to, with the manifests of all its shards; of a URL, such as "s3://bucket/out",
            a mirror is made on this machine first, as of a `root` by URL.
        root: where the sources are now; by default where the manifest says. What is stored needs none.
        split: "train", "validation" or "test"; None for all samples.
        check: compare what is read or rendered with the hashes of the manifest each time; rendering then takes as long
            as writing does, because it is files that have hashes.
        functions: run functions that the manifest names (`external`, `--foreground`), to render what is not stored.

    Raises:
        DataError: there is no manifest in `out`, one is damaged, it is of features, or names a function; what a single
            line names is known when its sample is asked for.
        ParameterError: there is no such split.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        split: str | None = None,
        check: bool = False,
        functions: bool = False,
    ) -> None:
        if split is not None and split not in SPLITS:
            raise ParameterError(f"`split`: {split!r}: must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}")
        self.out, self.check, self.functions = here(out), check, functions
        home = None if root is None else here(root)
        self._shards = [_shard(self.out, path, home, split) for path in manifests(self.out)]
        self._ends = list(accumulate(len(shard.lines) for shard in self._shards))

    def __len__(self) -> int:
        return self._ends[-1]

    def record(self, index: int) -> dict[str, Any]:
        """Return the manifest's line of a sample."""
        return self._line(operator.index(index))[1]

    def __getitem__(self, index: int) -> Item:
        number = operator.index(index)
        shard, record = self._line(number)
        with told(shard.path):
            check_record(self.out, record, shard.sink, str(shard.path))
            if not (self.functions or shard.sink.stored) and record["status"] == "made":
                refuse_functions(record["generator"], shard.place.reading.function, f"{shard.path}: {record['id']}")
            with limited(shard.place.reading.max_pixels):
                sample, mask = _stored(shard, record) if shard.sink.stored or self.check else _rendered(shard, record)
            if self.check and shard.sink.stored and (why := shard.sink.problem(record, shard.place)):
                raise DataError(f"{self.out}: {why}")
        family: Any = images if shard.place.layout.family == "images" else clouds
        shape = family.elements(sample)
        found = np.zeros(shape, dtype=np.bool_) if mask is None else mask
        return {
            "sample": torch.from_numpy(family.values(sample)),
            "mask": torch.from_numpy(np.array(found, order="C").reshape(family.labels(shape))),
            "label": torch.tensor(int(mask is not None), dtype=torch.int64),
            "generator": record["generator"]["generator"] if mask is not None else "",
            **{name: record[name] for name in ("id", "split", "category")},
            "index": range(len(self))[number],
        }

    def _line(self, index: int) -> tuple[_Shard, dict[str, Any]]:
        row = range(len(self))[index]
        number = bisect_right(self._ends, row)
        shard = self._shards[number]
        start = self._ends[number] - len(shard.lines)
        try:
            with shard.path.open("rb") as file:
                file.seek(shard.lines[row - start])
                record = parsed(file.readline())
        except OSError as error:
            raise DataError(f"{shard.path}: cannot be read: {error.strerror}") from None
        except ValueError:
            raise DataError(f"{shard.path}: is not what it was when this data set was opened") from None
        return shard, record


def _shard(out: Path, path: Path, root: Path | None, split: str | None) -> _Shard:
    header = header_of(path)
    with told(path):
        sink = find_sink(header)
        place = place_of(header, out, root, maps=not sink.stored)
        if place.layout.holds_many:
            raise DataError(f"{out}: {place.layout.name}: expected a data set of photos or clouds")
        return _Shard(path, sink, place, _offsets(path, split))


def _offsets(path: Path, split: str | None) -> array[int]:
    """Return where the lines of samples begin, of one split or of all."""
    found, place = array("Q"), 0
    splits: Sequence[str] = SPLITS if split is None else (split,)
    with path.open("rb") as file:
        for text in file:
            if place and _is_of(text, splits):
                found.append(place)
            place += len(text)
    return found


def _is_of(text: bytes, splits: Sequence[str]) -> bool:
    # A quote within a JSON text has a backslash before it, so that these are keys; to parse each line takes minutes.
    if b'"status":"skipped"' in text:
        return False
    if b'"status":"made"' in text or b'"status":"copied"' in text:
        return any(b'"split":"%s"' % split.encode() in text for split in splits)
    record = parsed(text)
    return record["status"] != "skipped" and record["split"] in splits


def _stored(shard: _Shard, record: dict[str, Any]) -> Pair:
    """Return what files hold: those of OUT, or those that the sink gives for the time."""
    plain, layout = shard.sink.plain(record), shard.place.layout
    with shard.sink.opened(record, shard.place) as folder:
        if record["status"] == "copied":
            return _normal(folder / plain["outputs"][0]["path"], shard.place, record), None
        truth = layout.read_truth(folder, plain)
    if truth is None:
        raise DataError(f"{record['id']}: its format does not keep the order of points, so that its labels are lost")
    return truth.sample, truth.mask


def _rendered(shard: _Shard, record: dict[str, Any]) -> Pair:
    path = shard.place.root / record["source"]["path"]
    try:
        same = file_sha256(path) == record["source"]["sha256"]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}\nhint: `root` says where the sources are") from None
    if not same:
        raise DataError(f"{path}: is not the file that it was when the data set was made")
    if record["status"] == "copied":
        return _normal(path, shard.place, record), None
    anomaly = make(job_of(record), replace(shard.place, seed=record["seed"]))
    return anomaly.sample, anomaly.mask


def _normal(path: Path, place: Place, record: dict[str, Any]) -> Any:
    """Read a normal sample; where defects may lie on it is not asked."""
    plain = Reading(unit=place.reading.unit, foreground="none", max_pixels=place.reading.max_pixels)
    return family_of(place.layout).read(path, replace(place, reading=plain), record["id"])
