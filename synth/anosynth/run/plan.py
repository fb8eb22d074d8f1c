"""The plan of a run: a pure function of its arguments and of the names of the input files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from anosynth._version import __version__
from anosynth.datasets._names import remark
from anosynth.datasets.layout import Labelled, Layout, Source, held_out
from anosynth.errors import DataError, ParameterError
from anosynth.io.images import limited
from anosynth.recipe import Recipe
from anosynth.seeding import SCHEME, stream

from ._inputs import few_collections, plain_inputs, unwritten
from ._options import check_format, check_sink, sink_record
from .reading import AS_FOUND, Reading
from .splits import check_shares, split_of

_MESHES = (".stl", ".obj", ".off", ".glb")


@dataclass(frozen=True)
class Job:
    """One sample to make or to take over; small and picklable.

    Attributes:
        id: the path of the sample relative to OUT; unique in a run.
        kind: "make" or "copy".
        source: the file it comes from, relative to the root; `category` as in `Source`.
        split: "train", "validation" or "test".
        generator: the drawn generator's record (make only).
        files: (from, to) pairs relative to root and OUT (copy only).
    """

    id: str
    kind: str
    source: Source
    variant: int = 0
    split: str = "train"
    generator: dict[str, Any] = field(default_factory=dict)
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Task:
    """A job, what an earlier run recorded of it, and whether the report wants to show it."""

    job: Job
    prior: dict[str, Any] | None = None
    view: bool = False


@dataclass(frozen=True)
class Batch:
    """Tasks that one worker does in a row, at least one; `number` is that of the file they share, if they share one."""

    tasks: tuple[Task, ...]
    number: int = 0

    @property
    def job(self) -> Job:
        """The first job."""
        return self.tasks[0].job

    def __len__(self) -> int:
        return len(self.tasks)


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        root: folder of the input data set; `only` restricts plain files to these, relative to the root.
        layout: of input and output.
        count: anomalous samples per source.
        reading: how the sources are read.
        held_out: of a data set, the share of each category's normal samples that anomalies are made of and that
            training loses.
        split: of plain files, the shares of training, validation and test.
        categories: of a data set; empty for all.
        shard: (i, n), 1 <= i <= n: this run makes every n-th job.
        sample_format: of plain files; of photos "png" or "tiff" for all samples; "" for PNG, and TIFF of what was TIFF.
        sink: "files" writes the samples as the layout does, "webdataset" packs these files into tars of up to
            `shard_size` samples, "recipe" makes every sample once and stores none: see `sinks`.
        origin: the URL that the root is a mirror of, if it is one.
    """

    root: Path
    layout: Layout
    recipe: Recipe
    seed: int = 0
    count: int = 1
    reading: Reading = AS_FOUND
    held_out: float = 0.2
    split: tuple[float, ...] = (0.7, 0.1, 0.2)
    categories: tuple[str, ...] = ()
    only: tuple[Path, ...] = ()
    shard: tuple[int, int] = (1, 1)
    sample_format: str = ""
    sink: str = "files"
    shard_size: int = 1000
    origin: str = ""

    def __post_init__(self) -> None:
        index, number = self.shard
        if not 1 <= index <= number:
            raise ParameterError(f"--shard: {index}/{number}: expected i/n with 1 <= i <= n")
        if self.count < 1:
            raise ParameterError(f"--count: {self.count}: must be >= 1")
        check_shares(self.split)
        check_format(self.sample_format, self.layout)
        check_sink(self.sink, self.shard_size, self.layout)

    @cached_property
    def samples(self) -> list[Labelled]:
        """All samples of the input, sorted; folders below the root that a run has written to are no input."""
        if not self.layout.holds_out:
            # What an earlier run wrote must be gone before it is looked at: its masks have photos beside them.
            with few_collections(), limited(self.reading.max_pixels):
                return list(self.layout.named(self.root, self.only or plain_inputs(self.root, self.layout)))
        found = list(self.layout.samples(self.root))
        if self.categories:
            known = {sample.category for sample in found}
            for category in self.categories:
                if category not in known:
                    raise DataError(f"{self.root}: no category `{category}`: it holds {', '.join(sorted(known))}")
            found = [sample for sample in found if sample.category in self.categories]
        inputs = set(unwritten(self.root, [sample.path for sample in found]))
        return sorted((sample for sample in found if sample.path in inputs), key=lambda sample: sample.path.as_posix())

    @cached_property
    def sources(self) -> list[Source]:
        """The normal samples that anomalies are made of, sorted by key."""
        found = (s for s in self.samples if s.split == "train" and s.kind == "good")
        with few_collections():
            goods = sorted((Source(s.path, s.category, s.problem) for s in found), key=lambda source: source.key)
        if not goods:
            raise DataError(f"{self.root}: no normal samples found{self._home()}")
        if not self.layout.holds_out:
            return goods
        bare = sorted({s.category for s in self.samples} - {source.category for source in goods})
        if bare:
            remark(f"{self.root / bare[0]}: no normal training samples (categories: {len(bare)}): no anomalies of them")
        chosen = held_out(goods, self.seed, self.held_out, self.layout.group)
        return [source for source in goods if source.key in chosen]

    def split_of(self, source: Source) -> str:
        """Return the split of what is made of a source: of plain files its own, of a data set always the test split."""
        return "test" if self.layout.holds_out else split_of(source.key, self.seed, self.split)

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs of this shard, in the order of the manifest."""
        index, number = self.shard
        before = 0
        if self.layout.holds_out:
            for job in self._copies():
                if before % number == index - 1:
                    yield job
                before += 1
        for source in self.sources:
            size = 1 if source.problem else self.count
            # Only what is this shard's is drawn, which takes longer than anything else here.
            yield from self._jobs_of(source, range((index - 1 - before) % number, size, number))
            before += size

    def __len__(self) -> int:
        """The number of jobs of this shard, without drawing what they make."""
        index, number = self.shard
        copies = sum(1 for _ in self._copies()) if self.layout.holds_out else 0
        whole = copies + sum(1 if source.problem else self.count for source in self.sources)
        return max(0, -(-(whole - index + 1) // number))

    def _jobs_of(self, source: Source, variants: Sequence[int]) -> Iterator[Job]:
        if not variants:
            return
        if source.problem:
            yield Job(source.path.as_posix(), "make", source)
            return
        split = self.split_of(source)
        for variant in variants:
            generator = self._drawn(source, variant)
            target = self.target(source, generator["generator"], variant)
            yield Job(target, "make", source, variant, split, generator)

    def target(self, source: Source, kind: str, variant: int) -> str:
        """Return the path, relative to OUT, of a sample, whose format is not always that of its source."""
        target = self.layout.target(source, kind, variant)
        if self.reading.sample and Path(target).suffix.lower() in _MESHES:
            return f"{target}.ply"
        if self.sample_format:
            return Path(target).with_suffix(self.layout.formats[self.sample_format]).as_posix()
        return target

    def _drawn(self, source: Source, variant: int) -> dict[str, Any]:
        """Return the record of the generator of a job; of many samples in one, that of the mix that each draws from."""
        if self.layout.holds_many:
            from .of_features import mixed

            return mixed(self.recipe)
        return self.recipe.draw(stream(self.seed, "recipe", source.key, variant)).record()

    def _copies(self) -> Iterator[Job]:
        taken = {source.key for source in self.sources}
        alone = {source.category for source in self.sources}
        alone -= {s.category for s in self.samples if s.split == "train" and Source(s.path).key not in taken}
        for sample in self.samples:
            source = Source(sample.path, sample.category)
            held = sample.split == "train" and source.key in taken and sample.category not in alone
            if sample.kind == "good" and not held:
                place = self.layout.place(sample)
                more = [path.as_posix() for path in self.layout.companions(self.root, sample)]
                files = ((sample.path.as_posix(), place), *((path, path) for path in more))
                yield Job(place, "copy", source, split=sample.split, files=files)

    def header(self, out: Path) -> dict[str, Any]:
        """Return the first line of the manifest: what must be equal for a run to go on where another stopped.

        Its outputs are the files of the whole data set: without hashes, as they grow with each shard that ends.
        """
        categories, kinds = {s.category for s in self.samples}, {v.generator.name for _, v in self.recipe.parts}
        named = self.layout.tables(categories, kinds) if self.sink == "files" else []
        tables = [{"role": "table", "path": path} for path in named]
        return {
            "kind": "header",
            "anosynth": __version__,
            "scheme": SCHEME,
            "seed": self.seed,
            "count": self.count,
            "layout": self.layout.name,
            "recipe": self.recipe.record(),
            **self.reading.record(out),
            "sample_format": self.sample_format or None,
            **sink_record(self.sink, self.shard_size),
            "held_out": self.held_out if self.layout.holds_out else None,
            "split": None if self.layout.holds_out else list(self.split),
            "categories": list(self.categories),
            "shard": list(self.shard),
            # Both without links: the system follows a link before it climbs with `..`.
            "root": self.origin or Path(os.path.relpath(self.root.resolve(), out.resolve())).as_posix(),
            "fingerprint": self.fingerprint,
            **({"outputs": tables} if tables else {}),
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the names of all input samples: tells whether the input is the same set of files."""
        digest = hashlib.sha256()
        for sample in self.samples:
            digest.update(Source(sample.path).key.encode("utf-8", "surrogateescape") + b"\n")
        return digest.hexdigest()

    def _home(self) -> str:
        return f"\nhint: {self.layout.home}" if self.layout.home else ""
