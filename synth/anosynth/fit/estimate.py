"""From the figures of real defects to ranges of generators' parameters, tried out on normal photos."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.audit.pairs import Found
from anosynth.errors import AnosynthError, DataError
from anosynth.generator import Generator, find
from anosynth.images import Image
from anosynth.images._foreground import foreground
from anosynth.io.images import read_image
from anosynth.params import Range, extra_of, parse_value, split_length
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import stream

from .choices import chosen
from .figures import LEAST_PIXELS, Figure, figures_of
from .labels import labels_of
from .places import directed, figures_as, placed, prior_of, spoken
from .rules import FIXED, FOLLOWS, Follow, kind_of

Floats = NDArray[np.float64]

CENTRE, SPREAD = 1.0, 4.0
"""How many defects the defaults count as, for the middle of a range and for its width."""

FEW = 3
"""Real defects from which on anything is estimated."""

_TRIED, _ROUNDS, _GOODS = 16, 2, 6
_COUNTS = 10
_FAINT = 20.0
_MOST = {"elongation": 2.0, "softness": 1.0, "bend": 1.5}


@dataclass(frozen=True)
class Group:
    """Defects of one kind and what they say of its generator.

    Attributes:
        generator: its name.
        figures: the defects; `photos` the number of photos that they are in.
        values: parameters as a recipe has them.
        notes: by parameter, what was measured, in words.
        factors: by parameter, the figure that a value of 1 gives, as tried on normal photos; empty if there were none.
    """

    generator: str
    figures: tuple[Figure, ...]
    photos: int
    counts: tuple[int, ...]
    values: Mapping[str, Any]
    notes: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fit:
    """A recipe and where it comes from.

    Attributes:
        recipe: the mix, a part for each group, by falling weight.
        photos, defects: numbers that were measured; `passed` photos that could not be.
        prior: (H, W) uint8, where defects are, or None if they are too few or the photos differ in size.
        tried: number of normal photos that parameters were tried out on.
    """

    recipe: Recipe
    groups: tuple[Group, ...]
    photos: int
    defects: int
    passed: tuple[str, ...]
    prior: NDArray[np.uint8] | None
    tried: int

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        groups = [
            {
                "generator": group.generator,
                "defects": len(group.figures),
                "photos": group.photos,
                "values": dict(group.values),
                "measured": dict(group.notes),
                "figures": [
                    {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(one).items()}
                    for one in group.figures
                ],
            }
            for group in self.groups
        ]
        return {
            "photos": self.photos,
            "defects": self.defects,
            "passed": list(self.passed),
            "tried": self.tried,
            "groups": groups,
            "recipe": self.recipe.record(),
        }


def fit_recipe(
    real: Found,
    goods: Sequence[Path] = (),
    *,
    name: str = "fitted",
    bank: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """Estimate a recipe from real defects and their masks.

    Each defect goes to the generator that `rules.kind_of` says. The values of a parameter that follow a figure are
    those figures over what a value of 1 gives when the generator is tried on normal photos. Of these values x, in
    their logarithm, the range has the middle (n mean(x) + m0) / (n + 1) and the variance ((n - 1) var(x) + 4 v0) /
    (n + 3) (1 + 1 / n), m0 and v0 those of the default range: the default counts as one more defect for the middle and
    as four for the spread, and the last factor allows for the middle being unknown. A uniform range of that variance
    is sqrt(3) standard deviations to both sides, cut at the bounds of the parameter.

    Args:
        goods: normal photos; of some of them the parameters are tried out.
        bank: a folder that a `defect-bank` part of the recipe takes real defects from, "" for none.
        progress: called with the number of steps done and of all.

    Raises:
        DataError: fewer than three defects can be measured.
    """
    step = progress or (lambda done, total: None)
    measured, shapes, passed = _measured(real, step)
    count = sum(len(found) for found in measured)
    if count < FEW:
        more = f" (and {len(passed) - 1} more)" if len(passed) > 1 else ""
        why = f"; passed over: {passed[0]}{more}" if passed else ""
        where = str(real.root) if real.root != Path() else "photos and masks"
        raise DataError(f"{where}: {count} defects with masks can be measured: expected at least {FEW}{why}")
    images = _normal(goods)
    groups = []
    kinds = Counter(kind_of(one) for found in measured for one in found)
    for kind, _ in kinds.most_common():
        own = [[one for one in found if kind_of(one) == kind] for found in measured]
        group = _group(kind, [found for found in own if found])
        for _ in range(_ROUNDS if images else 0):
            group = _tried(group, images)
        groups.append(group)
    groups.sort(key=lambda group: -group.photos)
    parts: list[Any] = [
        (float(group.photos), Vary(find("images", group.generator), **group.values)) for group in groups
    ]
    if bank:
        parts.append((float(max(1, len(measured) // 2)), Vary(find("images", "defect-bank"), bank=bank)))
    return Fit(
        Recipe(parts, name=name),
        tuple(groups),
        sum(1 for found in measured if found),
        count,
        tuple(passed),
        prior_of(measured, shapes),
        len(images),
    )


def _measured(
    real: Found, step: Callable[[int, int], None]
) -> tuple[list[list[Figure]], set[tuple[int, int]], list[str]]:
    measured, shapes, passed = list[list[Figure]](), set[tuple[int, int]](), list[str]()
    ill = [sample for sample in real.samples if sample.defective]
    for number, sample in enumerate(ill):
        step(number, len(ill))
        try:
            image = read_image(real.root / sample.path)
            mask = labels_of(real, sample, image)
            found = figures_of(image.colours, mask, foreground(image.colours))
            if not found:
                raise DataError(f"no region of {LEAST_PIXELS} pixels" if mask.any() else "its mask is empty")
        except DataError as error:
            passed.append(f"{sample.path}: {error}")
            continue
        measured.append(found)
        shapes.add(image.shape)
    return measured, shapes, passed


def _normal(goods: Sequence[Path]) -> list[Image]:
    images = []
    for path in [goods[i] for i in sorted({k * len(goods) // _GOODS for k in range(_GOODS)})] if goods else []:
        try:
            image = read_image(path)
        except DataError:
            continue
        images.append(replace(image, foreground=foreground(image.colours)))
    return images


def _group(kind: str, found: Sequence[Sequence[Figure]]) -> Group:
    figures = tuple(one for own in found for one in own)
    values: dict[str, Any] = dict(FIXED.get(kind, {}))
    notes: dict[str, str] = {}
    counts = sorted(min(len(own), 20) for own in found)
    picked = [counts[(2 * k + 1) * len(counts) // (2 * _COUNTS)] for k in range(_COUNTS)]
    if max(picked) > 1:
        distinct = Counter(picked)
        values["instances"] = "|".join(str(number) for number in picked) if len(distinct) > 1 else picked[0]
        notes["instances"] = f"{counts[0]} to {counts[-1]} in a photo"
    placed(kind, figures, values, notes)
    directed(kind, figures, values, notes)
    chosen(kind, figures, values, notes)
    return _ranged(Group(kind, figures, len(found), tuple(counts), values, notes))


def _ranged(group: Group) -> Group:
    """Return the group with the ranges of its parameters, by its factors."""
    generator = find("images", group.generator)
    values, notes = dict(group.values), dict(group.notes)
    for follow in FOLLOWS[group.generator]:
        figures = figures_as(group.figures, follow.figure)
        if not (len(figures) and (follow.even or figures.max() > 0)):
            continue
        values[follow.parameter] = _range(generator, follow, figures / group.factors.get(follow.parameter, 1.0))
        notes[follow.parameter] = f"{follow.figure} {spoken(figures)}"
    return replace(group, values=values, notes=notes)


def _range(generator: type[Generator], follow: Follow, values: Floats) -> str:
    """Return the written range of a parameter for its values, as `fit_recipe` has it."""
    middle, variance = _default(generator, follow)
    # One defect that hardly shows, or not at all, must not decide in the logarithm alone.
    x = values if follow.even else np.log(np.maximum(values, max(float(np.median(values)) / _FAINT, 1e-9)))
    number = len(x)
    centre = (number * float(x.mean()) + CENTRE * middle) / (number + CENTRE)
    own = float(x.var(ddof=1)) if number > 1 else 0.0
    spread = ((number - 1) * own + SPREAD * variance) / (number - 1 + SPREAD) * (1 + 1 / number)
    half = math.sqrt(3 * spread)
    ends = [centre - half, centre + half]
    if not follow.even:
        ends = [math.exp(end) for end in ends]
    low, high = (_within(generator, follow.parameter, end) for end in ends)
    if high <= low:
        return f"{low:.3g}"
    return f"{low:.3g}:{high:.3g}" + ("" if follow.even or low <= 0 else ":log")


def _default(generator: type[Generator], follow: Follow) -> tuple[float, float]:
    """Return mean and variance of a parameter's default range, in its logarithm unless `even`."""
    info = generator.model_fields[follow.parameter]
    given = parse_value(follow.parameter, extra_of(info).get("vary", info.default))
    ends = [split_length(end)[0] for end in given.ends()] if isinstance(given, Range) else [split_length(given)[0]] * 2
    if ends[0] == ends[1]:
        # A default that does not vary says nothing of how much real ones do.
        ends = [max(ends[0], 0.01) / 2, max(ends[0], 0.01) * 2]
    low, high = ends if follow.even else [math.log(max(end, 1e-3)) for end in ends]
    return 0.5 * (low + high), (high - low) ** 2 / 12


def _within(generator: type[Generator], parameter: str, value: float) -> float:
    extra = extra_of(generator.model_fields[parameter])
    low = extra.get("minimum", extra.get("exclusiveMinimum", 0.0) + 1e-4)
    high = extra.get("maximum", extra.get("exclusiveMaximum", math.inf))
    return min(max(value, float(low)), float(high))


def _tried(group: Group, images: Sequence[Image]) -> Group:
    """Return the group with the factors that its generator shows on normal photos, and ranges by them."""
    cls = find("images", group.generator)
    vary = Vary(cls, **{**group.values, "instances": 1})
    ratios: dict[str, list[float]] = {}
    for number in range(_TRIED):
        image = images[number % len(images)]
        generator = vary.draw(stream(0, "fit", group.generator, number))
        try:
            anomaly = generator(image, stream(1, "fit", group.generator, number))
        except AnosynthError:
            continue
        seen = figures_of(anomaly.sample.colours, anomaly.mask, image.foreground)
        if not seen:
            continue
        for follow in FOLLOWS[group.generator]:
            asked, shown = float(getattr(generator, follow.parameter)), float(getattr(seen[0], follow.figure))
            if asked > 0 and shown > 0:
                ratios.setdefault(follow.parameter, []).append(math.log(shown / asked))
    factors = {name: math.exp(float(np.median(found))) for name, found in ratios.items() if len(found) >= 4}
    kept = {}
    for follow in FOLLOWS[group.generator]:
        if follow.parameter in factors:
            # A figure that hardly answers to its parameter would throw the range far off.
            most = _MOST.get(follow.figure, 20.0)
            kept[follow.parameter] = min(max(factors[follow.parameter], 1 / most), most)
    return _ranged(replace(group, factors=kept))
