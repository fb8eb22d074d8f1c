"""A ladder: one defect over a grid of severities and sizes, to see from where on a detector finds it.

All severities of a row are made of one source with one random stream and one draw of all other parameters, so that
along it nothing changes but the severity.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anosynth.datasets.layout import Source
from anosynth.errors import DataError, ParameterError, did_you_mean
from anosynth.generator import Generator, from_record
from anosynth.params import METRES, Choice, Range, parse_value, split_length
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import stream

from ._rungs import TABLE
from .plan import Job, Plan

MAIN = ("length", "area", "size", "diameter", "width", "scale")
"""Parameters that a defect's size is told by: the first that a generator has, unless another is asked for."""

STRENGTH = ("severity", "strength")
"""Parameters that a severity is, or a multiple of which it is: the first that a generator has."""


@dataclass(frozen=True)
class Cell:
    """A sample's place in the grid: numbers of its row of sizes and column of severities, and of the repetition."""

    size: int
    severity: int
    repeat: int


@dataclass(frozen=True)
class Ladder(Plan):
    """The plan of a ladder; `count` is the number of samples in a cell, spread over the sources.

    Attributes:
        severities: of `severity`, or multiples of `strength` where a generator has no severity.
        sizes: values of the parameter `by`, as written; none leaves the size to the recipe.
        by: the parameter that sizes are of; "" for the first of `MAIN` that the generator has.

    Raises:
        ParameterError: the recipe has several generators, the generator no such parameters, or a value is out of range.
    """

    severities: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    sizes: tuple[Any, ...] = ()
    by: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout.holds_out or self.layout.holds_many:
            raise ParameterError(f"a ladder is made of plain files: not of the layout `{self.layout.name}`")
        if len(self.recipe.parts) != 1:
            raise ParameterError(f"recipe `{self.recipe.name}`: a ladder needs one generator (--generator)")
        if not self.severities:
            raise ParameterError("--severities: none: expected at least one")
        for name, values in (("--severities", self.severities), ("--sizes", self.sizes)):
            if len(set(values)) < len(values):
                raise ParameterError(f"{name}: {', '.join(map(str, values))}: each must be there once")
        vary = self.recipe.parts[0][1]
        self._check_units(vary)
        # What cannot be made is told before the first sample is.
        if not self.size and self.sizes:
            raise ParameterError(f"--sizes: `{self.generator.name}` has no parameter that is a size: --by names one")
        for severity in self.severities:
            for size in self.sizes or (None,):
                self._at(self.recipe.draw(stream(self.seed, "recipe", "", 0)).record(), severity, size)

    @cached_property
    def generator(self) -> type[Generator]:
        """The one generator."""
        return self.recipe.parts[0][1].generator

    @cached_property
    def strength(self) -> str:
        """The parameter that severities are of."""
        name = graded_by(self.generator)
        if not name:
            raise ParameterError(f"`{self.generator.name}` has neither a severity nor a strength: no ladder of it")
        return name

    @cached_property
    def size(self) -> str:
        """The parameter that sizes are of, "" if there is none."""
        return main_size(self.generator, self.by)

    @cached_property
    def chosen(self) -> list[tuple[Source, list[int]]]:
        """The sources of the samples with the numbers of their repetitions, sorted by key."""
        usable = [source for source in self.sources if not source.problem]
        if not usable:
            raise DataError(f"{self.root}: no normal samples that can be used")
        ranked = sorted(usable, key=lambda source: stream(self.seed, "ladder", source.key).uniform())
        repeats: dict[str, list[int]] = {}
        for number in range(self.count):
            repeats.setdefault(ranked[number % len(ranked)].key, []).append(number // len(ranked))
        return [(source, repeats[source.key]) for source in usable if source.key in repeats]

    def cells(self) -> Iterator[tuple[Job, Cell]]:
        """Yield all jobs, of all shards, with their places in the grid: row by row, by rising severity as given."""
        for source, repeats in self.chosen:
            split = self.split_of(source)
            for repeat in repeats:
                drawn = self.recipe.draw(stream(self.seed, "recipe", source.key, repeat)).record()
                for row, size in enumerate(self.sizes or (None,)):
                    for column, severity in enumerate(self.severities):
                        rows, columns = len(self.sizes) or 1, len(self.severities)
                        number = (repeat * rows + row) * columns + column
                        target = self.target(source, self.generator.name, number)
                        # One variant for all cells of a repetition: the stream that places the defect is theirs all.
                        job = Job(target, "make", source, repeat, split, self._at(drawn, severity, size))
                        yield job, Cell(row, column, repeat)

    def jobs(self) -> Iterator[Job]:
        index, number = self.shard
        for position, (job, _) in enumerate(self.cells()):
            if position % number == index - 1:
                yield job

    def __len__(self) -> int:
        index, number = self.shard
        whole = self.count * len(self.severities) * (len(self.sizes) or 1)
        return max(0, -(-(whole - index + 1) // number))

    def header(self, out: Path) -> dict[str, Any]:
        grid = {"strength": self.strength, "by": self.size, "sizes": list(self.sizes)}
        outputs = [{"role": "table", "path": TABLE}]
        return {**super().header(out), "ladder": {**grid, "severities": list(self.severities)}, "outputs": outputs}

    def _at(self, drawn: dict[str, Any], severity: float, size: Any) -> dict[str, Any]:
        value = severity if self.strength == "severity" else _times(drawn["strength"], severity)
        changed = {self.strength: value} if size is None else {self.strength: value, self.size: size}
        return from_record({**drawn, **changed}).record()

    def _check_units(self, vary: Vary) -> None:
        if self.generator.family != "images" or self.reading.mm_per_px is not None:
            return
        for value in [*vary.values.values(), *self.sizes]:
            for end in value.ends() if isinstance(value, (Range, Choice)) else (value,):
                if _unit(end).rstrip("2") in METRES:
                    raise ParameterError(f"{end}: what a pixel measures is not known\nhint: give it with --mm-per-px")


def ladder_of(recipe: Recipe, *, severities: str = "", sizes: str = "", by: str = "", **more: Any) -> Ladder:
    """Return a ladder of written values: `0:1:5` for five from 0 to 1, or a list `0.1,0.3`; sizes may have units.

    Sizes written as `low:high:n` are even in the logarithm. Without severities, those of photos are 0:1:5 and multiples
    of a strength 0.25:1:4.

    Args:
        more: as `Plan` takes them.

    Raises:
        ParameterError: a text is none of these, or as `Ladder`.
    """
    if len(recipe.parts) == 1 and sizes:
        taken = recipe.parts[0][1].values
        name = main_size(recipe.parts[0][1].generator, by)
        if isinstance(taken.get(name), (Range, Choice)):
            # The grid decides; what this would have drawn must not stand in the header as if it were used.
            first = _list("--sizes", sizes, even=False)[0]
            recipe = Recipe([Vary(recipe.parts[0][1].generator, **{**taken, name: first})], recipe.name)
    graded = "severity" in recipe.parts[0][1].generator.model_fields
    steps = _list("--severities", severities or ("0:1:5" if graded else "0.25:1:4"), even=True)
    if any(not isinstance(step, (int, float)) or isinstance(step, bool) for step in steps):
        raise ParameterError(f"--severities: {severities}: must be numbers")
    return Ladder(
        recipe=recipe,
        severities=tuple(float(step) for step in steps),
        sizes=tuple(_list("--sizes", sizes, even=False)) if sizes else (),
        by=by,
        **more,
    )


def graded_by(generator: type[Generator]) -> str:
    """Return the parameter that the severities of a generator's defects are of, "" if there is none."""
    return next((name for name in STRENGTH if name in generator.model_fields), "")


def main_size(generator: type[Generator], by: str = "") -> str:
    """Return the parameter that sizes of a generator's defects are of, "" if none is known and none asked for.

    Raises:
        ParameterError: it has no parameter `by`, or it is the one that the severities are of.
    """
    fields = generator.model_fields
    if by:
        name = by.replace("-", "_")
        if name not in fields or fields[name].annotation is str:
            raise ParameterError(f"--by: {by}: `{generator.name}` has no such number{did_you_mean(name, fields)}")
        if name == graded_by(generator):
            # One value would overwrite the other: the same sample under every severity.
            raise ParameterError(
                f"--by: {by}: the severities of the ladder are of it: expected another parameter\n"
                f"hint: --severities sets the values of `{name}`"
                + ("" if name == "severity" else f", as multiples of --{name}")
            )
        return name
    return next((name for name in MAIN if name in fields), "")


def _list(option: str, text: str, *, even: bool) -> Sequence[Any]:
    """Return the values of `a,b,c` or `low:high:n`; the latter `even`ly, or evenly in the logarithm."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 or ":" not in text:
        if not all(parts):
            raise ParameterError(f"{option}: {text}: must be a list such as 0.1,0.3 or low:high:n")
        values = [parse_value(option, part) for part in parts]
        if any(isinstance(value, (Range, Choice)) for value in values):
            raise ParameterError(f"{option}: {text}: must be a list such as 0.1,0.3 or low:high:n")
        return values
    ends = text.split(":")
    if len(ends) != 3 or not ends[2].strip().isdecimal() or int(ends[2]) < 2:
        raise ParameterError(f"{option}: {text}: must be a list such as 0.1,0.3 or low:high:n with n >= 2")
    number, span = int(ends[2]), parse_value(option, f"{ends[0]}:{ends[1]}")
    (low, unit), (high, _) = split_length(span.low), split_length(span.high)
    if not even and low <= 0:
        raise ParameterError(f"{option}: {text}: must be > 0")
    steps = np.linspace(low, high, number) if even else np.geomspace(low, high, number)
    values = [float(f"{step:.6g}") for step in steps.tolist()]
    return values if unit is None else [f"{value!r}{unit}" for value in values]


def _times(value: Any, factor: float) -> Any:
    number, unit = split_length(value)
    return number * factor if unit is None else f"{number * factor!r}{unit}"


def _unit(value: Any) -> str:
    try:
        return split_length(value)[1] or "" if isinstance(value, str) else ""
    except ParameterError:
        return ""
