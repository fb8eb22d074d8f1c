"""Synthetic anomalies of each recipe, made of normal training samples in memory; and work shared out to processes."""

from __future__ import annotations

import functools
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from anosynth.errors import AnosynthError, DataError, NotMade
from anosynth.recipe import Recipe
from anosynth.seeding import stream

from . import _photos, _points
from ._files import File
from ._photos import Eye
from ._samples import Judged, unchanged
from ._space import Space, one_thread

Work = Callable[[Any], Any]
Run = Callable[[Work, Sequence[Any]], Iterator[Any]]
"""Maps work over tasks, results in their order."""

_CHUNK = 4


@dataclass(frozen=True)
class Given:
    """What is the same for all work of a family; small.

    Attributes:
        family: "images" or "pointclouds".
        foreground: "auto" or "none", of photos.
        mm_per_px: what a pixel of the photos' files measures in millimetres, None if that is not known.
        unit: of the clouds' coordinates, None for what files say.
    """

    family: str
    eye: Eye = field(default_factory=Eye)
    foreground: str = "auto"
    mm_per_px: float | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Order:
    """One anomaly to be made: variant number of a source under a seed, the streams being those of the command line."""

    recipe: str
    seed: int
    file: File
    variant: int


@contextmanager
def workers(count: int) -> Iterator[Run]:
    """Have work done in `count` processes of one thread, in this one if that is 1.

    Raises:
        AnosynthError: a process died.
    """
    if count <= 1:
        yield lambda work, tasks: map(work, tasks)
        return
    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:

        def run(work: Work, tasks: Sequence[Any]) -> Iterator[Any]:
            try:
                yield from pool.map(work, tasks, chunksize=_CHUNK)
            except BrokenProcessPool:
                raise AnosynthError(
                    "worker processes died\nhint: is there enough memory? try fewer --workers\n"
                    '      a script that calls rank needs `if __name__ == "__main__":`'
                ) from None

        yield run


def read(given: Given, file: File) -> Judged | str:
    """Return a sample, or why it cannot be used."""
    if file.problem:
        return file.problem
    try:
        with one_thread():
            return _points.judged(file) if given.family == "pointclouds" else _photos.judged(file, given.eye)
    except DataError as error:
        return str(error)


def make(given: Given, order: Order) -> Judged | str:
    """Return an anomalous sample, or why it could not be made; a pure function of both."""
    recipe, file = _recipe(order.recipe), order.file
    generator = recipe.draw(stream(order.seed, "recipe", file.name, order.variant))
    own = stream(order.seed, generator.name, file.name, order.variant)
    name = f"{file.name}#{order.seed}.{order.variant}"
    try:
        with one_thread():
            if given.family == "pointclouds":
                found = generator(_points.source(file, given.unit), own)
                return _points.made(found.sample, found.mask, name=name, kind=generator.name, source=file.name)
            found = generator(_photos.source(file, given.eye, given.foreground, given.mm_per_px), own)
            return _photos.made(found.sample, found.mask, given.eye, name=name, kind=generator.name, source=file.name)
    except NotMade as error:
        return str(error)


def orders(recipe: Recipe, files: Sequence[File], seed: int, count: int) -> list[Order]:
    """Return `count` orders, evenly over the sources, those of a source in a row."""
    record = json.dumps(recipe.record(), sort_keys=True)
    ranked = sorted(files, key=lambda file: stream(seed, "rank.sources", file.name).uniform())
    chosen = [Order(record, seed, ranked[at % len(ranked)], at // len(ranked)) for at in range(count)]
    return sorted(chosen, key=lambda order: (order.file.name, order.variant))


@functools.lru_cache(maxsize=64)
def _recipe(record: str) -> Recipe:
    return Recipe.from_record(json.loads(record))


class FeatureRecipe:
    """A recipe of features, which makes anomalies of the normal samples' cells.

    Generators see features of mean 0 and deviation 1 in each channel, so that their scales mean the same whatever the
    backbone.
    """

    def __init__(self, recipe: Recipe, space: Space, normal: Sequence[Judged]) -> None:
        from anosynth.features._module import FeatureSynthesis

        self.recipe, self.space = recipe, space
        # On no grid each sample is a row of cells, and a batch of samples of different numbers cannot be.
        self.modules: list[Any] = []
        for _, vary in recipe.parts:
            module = FeatureSynthesis(vary, scorer=self._distance)
            try:
                module.fit([self._tensor(sample)[None] for sample in normal])
            except DataError as error:
                raise DataError(f"recipe `{recipe.name}`: {error}") from None
            self.modules.append(module)

    def make(self, sample: Judged, seed: int, variant: int) -> Judged | str:
        """Return the sample with anomalous cells, or why it could not be made."""
        from anosynth.features import Features

        own = stream(seed, "recipe", sample.name, variant)
        index = own.child("part").choice([weight for weight, _ in self.recipe.parts])
        generator = self.recipe.parts[index][1].draw(own.child("values", index))
        values = Features(self._tensor(sample), self.modules[index])
        try:
            found = generator(values, stream(seed, generator.name, sample.name, variant))
        except NotMade as error:
            return str(error)
        rows = found.sample.values.permute(1, 2, 0).reshape(-1, sample.channels)
        cells = np.asarray(self.space.back(rows).numpy(), dtype=np.float32).reshape(sample.cells.shape)
        cover = found.mask.reshape(sample.shape).astype(np.float32)
        name = f"{sample.name}#{seed}.{variant}"
        return replace(
            sample, name=name, kind=generator.name, cells=cells, truth=None, cover=cover, source=sample.name,
            expand=unchanged,
        )  # fmt: skip

    def _tensor(self, sample: Judged) -> Any:
        rows = self.space.standard(sample)
        shape = sample.shape if len(sample.shape) == 2 else (len(rows), 1)
        return rows.reshape(*shape, -1).permute(2, 0, 1).contiguous()

    def _distance(self, rows: Any) -> Any:
        """Score standardised rows (K, C) by their squared length, for generators that ascend a score."""
        return rows.square().sum(dim=1)
