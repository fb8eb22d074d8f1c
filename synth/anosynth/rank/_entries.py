"""Results put into the entries of an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._contest import ALL, Result
from ._samples import Judged
from ._tallies import FIGURES
from .outcome import FLOOR, LINE, RECIPE, Difference, Entry, Outcome


def filled(entry: Entry, result: Result) -> Entry:
    figures = {name: result.figure(ALL, name) for name in FIGURES}
    kinds = {kind: {name: result.figure(kind, name) for name in FIGURES} for kind in result.tables if kind != ALL}
    seeds = {name: [float(value) for value in table[:, 0]] for name, table in result.tables[ALL].items()}
    return replace(entry, figures=figures, kinds=kinds, seeds=seeds)


def ordered(entries: Sequence[Entry], by: str) -> tuple[Entry, ...]:
    role = {RECIPE: 0, LINE: 1, FLOOR: 2}
    # Equal ones, at the ceiling above all, are told apart by how well they find the place.
    return tuple(sorted(entries, key=lambda one: (role[one.role], -one.value(by), -one.value("pixel_ap"), one.name)))


def compared(found: Outcome, results: dict[str, Result], by: str) -> Outcome:
    recipes, others = found.of(RECIPE), [*found.of(LINE), *found.of(FLOOR)]

    def difference(a: Entry, b: Entry, kind: str = ALL) -> list[Difference]:
        less = results[a.name].less(results[b.name], kind, by)
        return [] if less is None else [Difference(a.name, b.name, *less)]

    pairs = [one for at, a in enumerate(recipes) for b in recipes[at + 1 :] for one in difference(a, b)]
    against = [one for a in recipes for b in others for one in difference(a, b)]
    kinds = {
        kind: tuple(one for b in recipes[1:] for one in difference(recipes[0], b, kind))
        for kind in results[recipes[0].name].tables
        if kind != ALL
    }
    return replace(found, pairs=tuple(pairs), against=tuple(against), kinds=kinds)


def numbers(
    training: Sequence[Judged], fit: Sequence[Judged], validation: Sequence[Judged], test: Sequence[Judged], same: int
) -> dict[str, Any]:
    kinds: dict[str, dict[str, int]] = {}
    for sample in test:
        if not sample.normal:
            counts = kinds.setdefault(sample.kind, {"samples": 0, "masks": 0})
            counts["samples"] += 1
            counts["masks"] += sample.truth is not None
    normal = sum(sample.normal for sample in test)
    return {
        "train": len(training), "fit": len(fit), "validation": len(validation), "test": normal, "duplicates": same,
        "real": dict(sorted(kinds.items())),
    }  # fmt: skip
