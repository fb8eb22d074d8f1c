"""What the anomalies of recipes look like without regard to any head: coverage, and traces of how they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.recipe import Recipe
from anosynth.seeding import Rng, stream

from . import _photos
from ._files import File
from ._making import Given, Order, orders
from ._samples import GOOD, Judged

EDITS = 40
"""Photos that the shortcut score looks at, each with one anomaly."""


def looks_of(
    given: Given,
    recipes: Sequence[Recipe],
    made: Mapping[str, Sequence[Judged]],
    normal: Sequence[Judged],
    test: Sequence[Judged],
    files: Mapping[str, File],
    progress: Callable[[str, int, int], None],
) -> dict[str, dict[str, Any]]:
    """Return for each recipe its "coverage" and, of photos, its "shortcut"; None for what cannot be had.

    Args:
        made: anomalies of each recipe.
        normal: the normal training samples, which they were made of.
        test: samples with real defects, if there are some.
        files: of the normal samples, by name.
    """
    found = {}
    for done, recipe in enumerate(recipes, 1):
        found[recipe.name] = {
            "coverage": _coverage(made[recipe.name], normal, test),
            "shortcut": _shortcut(given, recipe, [files[sample.name] for sample in normal]),
        }
        progress("looks", done, len(recipes))
    return found


def _coverage(made: Sequence[Judged], normal: Sequence[Judged], test: Sequence[Judged]) -> dict[str, Any] | None:
    from .coverage import describe, inside

    root = stream(0, "rank.coverage", "")
    sources = {sample.name: sample.source for sample in made}
    defects = [sample for sample in test if not sample.normal and sample.cover is not None and sample.cover.any()]
    real = None
    try:
        rows, names = inside(normal, rng=root.child("normal"))
        synthetic, of = inside(made, rng=root.child("synthetic"))
        control, control_of = inside(_untouched(made, normal), rng=root.child("control"))
        samples: dict[str, Any] = {"normal": names, "synthetic": of, "control": control_of}
        origins = {"synthetic": [sources[name] for name in of], "control": [sources[name] for name in control_of]}
        if len(defects) > 1:
            real, samples["real"] = inside(defects, rng=root.child("real"))
        return describe(rows, synthetic, real, control, samples=samples, origins=origins, rng=root.child("draws"))
    except DataError:
        # Too few rows or samples to speak of neighbours, or not one cell that is labelled.
        return None


def _untouched(made: Sequence[Judged], normal: Sequence[Judged]) -> list[Judged]:
    """Return the sources of anomalies under the same masks; those of another number of cells are left out."""
    from dataclasses import replace

    known = {sample.name: sample for sample in normal}
    return [
        replace(sample, cells=known[sample.source].cells)
        for sample in made
        if sample.kind != GOOD and known[sample.source].shape == sample.shape
    ]


def _shortcut(given: Given, recipe: Recipe, files: Sequence[File]) -> dict[str, Any] | None:
    from .shortcut import shortcut

    if recipe.family != "images":
        return None
    edits, nulls = [], []
    for order in orders(recipe, files, 0, EDITS):
        image = _photos.source(order.file, given.eye, given.foreground, given.mm_per_px)
        generator, own = _drawn(recipe, order)
        if image.opacity:
            return None
        try:
            found = generator(image, own)
        except NotMade:
            continue
        edits.append((order.file.name, (image.pixels, found.sample.pixels, np.asarray(found.mask))))
        null = _null(generator, image, own)
        if null is not None:
            nulls.append((order.file.name, null))
    try:
        return shortcut(
            [triple for _, triple in edits],
            nulls=[triple for _, triple in nulls] if len({name for name, _ in nulls}) >= 5 else None,
            sources=[name for name, _ in edits],
            null_sources=[name for name, _ in nulls],
            rng=stream(0, "rank.shortcut", recipe.name),
        )
    except DataError:
        return None


def _drawn(recipe: Recipe, order: Order) -> tuple[Any, Rng]:
    generator = recipe.draw(stream(order.seed, "recipe", order.file.name, order.variant))
    return generator, stream(order.seed, generator.name, order.file.name, order.variant)


def _null(generator: Any, image: Any, own: Rng) -> Any:
    from .shortcut import null_edit

    try:
        return null_edit(generator, image, own)
    except (NotMade, ParameterError, DataError, NotImplementedError):
        # Some generators do not compose by an alpha.
        return None
