"""The ranking: same samples, same features, same head for every recipe, beside lines that need no synthesis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anosynth import __version__
from anosynth.errors import DataError
from anosynth.recipe import Recipe
from anosynth.seeding import stream

from . import _head, _space
from ._contest import Contest, Result, Scorer
from ._entries import compared, filled, numbers, ordered
from ._files import File, family_of, good_files, real_files
from ._lines import floor, lines
from ._making import FeatureRecipe, Given, Run, make, orders, read, workers
from ._photos import Eye
from ._samples import Judged
from .outcome import FLOOR, LINE, RECIPE, Entry, Outcome
from .settings import Settings, check_lengths, chosen

Progress = Callable[[str, int, int], None]

FEWEST_GOOD, FEWEST_REAL = 8, 2
VALIDATION = 0.2
"""Share of the normal training samples that no head is trained on, at least two; of these are synthetic tests made."""


def rank(
    good: str | Path,
    recipes: Sequence[str | Recipe],
    real: str | Path | None = None,
    settings: Settings | None = None,
    *,
    progress: Progress = lambda what, done, total: None,
) -> Outcome:
    """Return which recipes help to find the defects in `real`, or without it what their anomalies look like.

    Args:
        good: folder of normal samples, photos or point clouds; of a data set its normal training samples count.
        recipes: names, YAML files, names of generators, or recipes.
        real: folder of real defects; see `_files.real_files`.
        progress: is told of each stage by name, how much is done, and of how much.

    Raises:
        UnknownGenerator: there is no such recipe.
        ParameterError: a value is out of range, or a recipe does not go with these samples.
        DataError: there are too few samples, or no anomaly can be made of them.
    """
    given = settings or Settings()
    given.check()
    folder = Path(good)
    family = family_of(folder)
    asked = chosen(recipes, family)
    eye = Eye(given.backbone, tuple(given.layers), given.weights, given.size)
    check_lengths(asked, given, family)
    about = Given(family, eye, given.foreground, given.mm_per_px, given.unit)
    files = good_files(folder, family)
    tests = [] if real is None else real_files(Path(real), family, layout=given.layout, masks=given.masks)
    with workers(given.workers) as run, _space.one_thread():
        return _Ranking(given, about, asked, run, progress).outcome(files, tests)


class _Ranking:
    """One ranking, stage by stage."""

    def __init__(self, given: Settings, about: Given, recipes: Sequence[Recipe], run: Run, progress: Progress) -> None:
        self.given, self.about, self.recipes, self.run, self.progress = given, about, recipes, run, progress
        self.skipped: list[tuple[str, str]] = []
        self.results: dict[str, Result] = {}
        self.heads: dict[str, list[Scorer]] = {}

    def outcome(self, files: Sequence[File], tests: Sequence[File]) -> Outcome:
        from .looks import looks_of
        from .verdict import conclusion

        training, test, duplicates = self._samples(files, tests)
        space = _space.learn(training, self.given.space, self.given.align)
        fit, validation = _validation(training)
        named = {file.name: file for file in files}
        contest = self._contest(test) if tests else None
        made: dict[str, list[Judged]] = {}
        entries = [] if contest is None else self._judged_lines(contest, space, training)
        rows = _head.normal_rows(space, fit, stream(self.given.seed, "rank.rows", ""))
        for recipe in self.recipes:
            maker = self._maker(recipe, space, training, named)
            entry, made[recipe.name] = self._trained(recipe, maker, contest, space, fit, validation, rows)
            entries.append(entry)
        found = Outcome(
            self._protocol(space, training), numbers(training, fit, validation, test, duplicates), tuple(self.skipped)
        )
        if contest is None:
            found = replace(found, entries=tuple(entries))
        else:
            found = replace(found, by=self.given.by, entries=ordered(entries, self.given.by))
            found = self._missed(compared(found, self.results, self.given.by), contest, tests)
        if contest is None or self.given.looks:
            looks = looks_of(self.about, self.recipes, made, training, test, named, self.progress)
            found = replace(found, looks=looks)
        return replace(found, conclusion=tuple(conclusion(found)))

    def _samples(self, files: Sequence[File], tests: Sequence[File]) -> tuple[list[Judged], list[Judged], int]:
        """Return the training samples, the test samples, and how many normal ones were there twice."""
        normal, duplicates = _distinct(self._read("normal samples", files))
        real = self._read("real defects", tests)
        known = {sample.key for sample in real}
        own = [sample for sample in normal if sample.key not in known]
        if len(own) < FEWEST_GOOD:
            there = f", {len(normal) - len(own)} of them in --real, too" if len(own) < len(normal) else ""
            twice = f", {duplicates} others are copies" if duplicates else ""
            raise DataError(f"normal samples: {len(normal)}{there}{twice}: expected at least {FEWEST_GOOD}")
        bad = sum(not sample.normal for sample in real)
        if tests and bad < FEWEST_REAL:
            reasons = (reason if path in reason else f"{path}: {reason}" for path, reason in self.skipped)
            why = "".join(f"\nskipped: {reason}" for reason in reasons)
            raise DataError(f"real defects: {bad} that can be used: expected at least {FEWEST_REAL}{why}")
        order = sorted(own, key=lambda sample: stream(self.given.seed, "rank.split", sample.name).uniform())
        held = max(2, round(self.given.held_out * len(order)))
        training = [replace(sample, source=sample.name) for sample in order[held:]]
        return training, [*order[:held], *real], duplicates

    def _missed(self, found: Outcome, contest: Contest, tests: Sequence[File]) -> Outcome:
        from ._missing import missing, pictures

        lost = missing(contest, self.results, [entry.name for entry in found.of(RECIPE)])
        drawn = pictures(contest, self.heads, lost, {file.name: file for file in tests}) if self.given.pictures else {}
        return replace(found, missed=lost, pictures=drawn)

    def _read(self, what: str, files: Sequence[File]) -> list[Judged]:
        found = []
        for done, one in enumerate(self.run(functools.partial(read, self.about), list(files)), 1):
            if isinstance(one, str):
                self.skipped.append((str(files[done - 1].path), one))
            else:
                found.append(one)
            self.progress(what, done, len(files))
        channels = {sample.channels for sample in found}
        if len(channels) > 1:
            raise DataError(f"{what}: {sorted(channels)} channels of features: expected samples of one kind")
        return found

    def _contest(self, test: Sequence[Judged]) -> Contest:
        return Contest(test, self.given.draws, self.given.seeds, stream(self.given.seed, "rank.draws", ""))

    def _judged_lines(self, contest: Contest, space: _space.Space, training: Sequence[Judged]) -> list[Entry]:
        entries = []
        scorers = lines(space, training, stream(self.given.seed, "rank.lines", ""))
        for done, (name, scorer) in enumerate(scorers.items(), 1):
            self.results[name] = contest.judge([scorer])
            entries.append(filled(Entry(name, LINE), self.results[name]))
            self.progress("lines without synthesis", done, len(scorers))
        score = floor(training)
        if score is not None:
            name = "grey" if self.about.family == "images" else "size"
            self.results[name] = contest.judge_whole(score)
            entries.append(filled(Entry(name, FLOOR), self.results[name]))
        return entries

    def _maker(
        self, recipe: Recipe, space: _space.Space, training: Sequence[Judged], files: dict[str, File]
    ) -> Callable[[Sequence[Judged], int, int], list[Judged | str]]:
        """Return what makes `count` anomalies of some normal samples under a seed."""
        if recipe.family == "features":
            features = FeatureRecipe(recipe, space, training)

            def of_features(samples: Sequence[Judged], seed: int, count: int) -> list[Judged | str]:
                return [features.make(samples[at % len(samples)], seed, at // len(samples)) for at in range(count)]

            return of_features

        def of_samples(samples: Sequence[Judged], seed: int, count: int) -> list[Judged | str]:
            wanted = orders(recipe, [files[sample.name] for sample in samples], seed, count)
            return list(self.run(functools.partial(make, self.about), wanted))

        return of_samples

    def _trained(
        self,
        recipe: Recipe,
        maker: Callable[[Sequence[Judged], int, int], list[Judged | str]],
        contest: Contest | None,
        space: _space.Space,
        fit: Sequence[Judged],
        validation: Sequence[Judged],
        rows: Any,
    ) -> tuple[Entry, list[Judged]]:
        made, failed, checks, first, heads = 0, 0, list[float](), list[Judged](), list[Scorer]()
        # Without real defects there is nothing to judge heads on.
        seeds = self.given.seeds if contest is not None else 1
        for seed in range(self.given.seed, self.given.seed + seeds):
            tried = maker(fit, seed, self.given.made)
            good = [one for one in tried if not isinstance(one, str)]
            if not good:
                raise DataError(f"recipe `{recipe.name}`: no anomaly could be made: {tried[0]}")
            made, failed, first = made + len(good), failed + len(tried) - len(good), first or good
            if contest is not None:
                head = _head.train(space, rows, good, stream(seed, "rank.head", ""))
                heads.append(functools.partial(head.scores, space))
                unseen = maker(validation, seed, max(4, self.given.made // 4))
                checks.append(_check(head, space, validation, [one for one in unseen if not isinstance(one, str)]))
            self.progress(recipe.name, seed - self.given.seed + 1, seeds)
        entry = Entry(recipe.name, RECIPE, family=recipe.family, made=made, failed=failed)
        if contest is None:
            return entry, first
        self.heads[recipe.name], self.results[recipe.name] = heads, contest.judge(heads)
        known = [check for check in checks if check == check]
        entry = replace(entry, validation=sum(known) / len(known) if known else float("nan"))
        return filled(entry, self.results[recipe.name]), first

    def _protocol(self, space: _space.Space, training: Sequence[Judged]) -> dict[str, Any]:
        given = self.given
        photos = self.about.family == "images"
        seen: dict[str, Any] = {"unit": given.unit}
        if photos:
            seen = {"backbone": given.backbone, "layers": list(given.layers), "size": given.size}
            seen["mm_per_px"] = given.mm_per_px
        return {
            "anosynth": __version__, "family": self.about.family, **seen,
            "cells": list(training[0].shape), "channels": training[0].channels,
            "space": given.space, "positional": space.positional, "align_ratio": space.ratio,
            "seeds": given.seeds, "seed": given.seed, "made": given.made, "held_out": given.held_out,
            "foreground": given.foreground, "draws": given.draws, "level": 0.95, "overlap_limit": 0.3,
            "head": {
                "hidden": _head.HIDDEN, "steps": _head.STEPS, "rate": _head.RATE,
                "normal_rows": _head.NORMAL_ROWS, "anomalous_rows": _head.ANOMALOUS_ROWS, "top": _head.TOP,
            },
            "recipes": {recipe.name: recipe.record() for recipe in self.recipes},
        }  # fmt: skip


def _distinct(samples: Sequence[Judged]) -> tuple[list[Judged], int]:
    """Return the samples without those that hold the same as one before: no test sample was trained on."""
    first: dict[str, Judged] = {}
    for sample in samples:
        first.setdefault(sample.key or sample.name, sample)
    return list(first.values()), len(samples) - len(first)


def _validation(training: Sequence[Judged]) -> tuple[list[Judged], list[Judged]]:
    count = max(2, round(VALIDATION * len(training)))
    return list(training[count:]), list(training[:count])


def _check(head: _head.Head, space: _space.Space, normal: Sequence[Judged], made: Sequence[Judged]) -> float:
    from anosynth.metrics import auroc

    scores = [_head.sample_score(head.scores(space, sample)) for sample in [*normal, *made]]
    return auroc(scores, [0] * len(normal) + [1] * len(made)) if made else float("nan")
