"""What was made against what was asked for, gathered record by record in memory that does not grow with the run."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anosynth.errors import ParameterError
from anosynth.report._bins import Foreground, Places, Sizes, Spans, Texts, middle
from anosynth.report._text import NONE, compact, is_number, mapping, one_line, peak

Drawn = Spans | Texts

_SURE = 0.01  # how likely chance alone may mark any one generator of a run as drawn too often or too rarely
_MOST_REASONS, _MOST_GENERATORS, _MOST_UNITS = 40, 500, 8
_NOT_DRAWN = ("generator", "version", "family")
_FIGURES = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclass
class OfGenerator:
    """One generator of the recipe, or one that only the records name (`share` is None then).

    Attributes:
        share: asked share of all anomalies.
        drawn: what its varying parameters were asked to be and what they were, by name.
        fixed: its parameters that the recipe does not vary.
        made, skipped: numbers of anomalies.
        area, change: of what was made: labelled share, and size of the change.
    """

    share: float | None = None
    drawn: dict[str, Drawn] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    made: int = 0
    skipped: int = 0
    area: Sizes = field(default_factory=Sizes)
    change: Sizes = field(default_factory=Sizes)


@dataclass
class Reason:
    """Why samples were skipped: the first such text, how often, for whom, and whether figures differ in others."""

    text: str
    count: int = 0
    generators: Counter[str] = field(default_factory=Counter)
    alike: bool = False


class Statistics:
    """Gathers the records of a run, one `add` for each.

    Attributes:
        family: of the samples, as far as header or records tell.
        generators: by name, those of the recipe first and in its order.
        statuses: numbers of records.
        splits: numbers of records by split and status.
        area, change: of all that was made: labelled share, and size of the change: the mean change of photos, else the
            largest effect.
        units: of the effects; "" for those that have none.
        attempts: how many samples took so many draws.
        reasons: why samples were skipped, alike but for figures and names of files; None for all beyond forty.
        places: middles of the defects of photos, as fractions of the frame.
        foreground: where on photos defects may lie.
    """

    def __init__(self, header: Mapping[str, Any]) -> None:
        recipe = mapping(header.get("recipe"))
        self.family = str(recipe.get("family", ""))
        self.generators = asked(recipe)
        self.statuses: Counter[str] = Counter()
        self.splits: dict[str, Counter[str]] = {}
        self.area, self.change = Sizes(), Sizes()
        self.units: Counter[str] = Counter()
        self.attempts: Counter[int] = Counter()
        self.reasons: dict[str | None, Reason] = {}
        self.places = Places()
        self.foreground = Foreground()

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record; any part of it may be missing. `frame`, (H, W) in pixels, tells where its boxes lie."""
        status = str(record.get("status", NONE))
        self.statuses[status] += 1
        if record.get("split"):
            self.splits.setdefault(str(record["split"]), Counter())[status] += 1
        drawn = mapping(record.get("generator"))
        one = self._generator(drawn)
        if status == "skipped":
            self._skip(record, str(drawn.get("generator", NONE)))
            if one:
                one.skipped += 1
        if status != "made":
            return
        self._measure(record, one)
        if one:
            one.made += 1
            for name, seen in one.drawn.items():
                if name in drawn:
                    _count(seen, drawn[name])

    def chance(self, generator: OfGenerator) -> tuple[float, int, int] | None:
        """Return how many anomalies of a generator were to be expected, and between which numbers chance leaves them.

        The bounds are so wide that chance alone takes any generator of the run beyond them in one of a hundred runs.
        """
        if generator.share is None:
            return None
        known = [one for one in self.generators.values() if one.share is not None]
        total = sum(one.made + one.skipped for one in self.generators.values())
        return (total * generator.share, *binomial(total, generator.share, _SURE / len(known)))

    def fixed(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of a record's generator that the recipe does not vary."""
        one = self.generators.get(str(mapping(record.get("generator")).get("generator", NONE)))
        return one.fixed if one else {}

    def _generator(self, drawn: Mapping[str, Any]) -> OfGenerator | None:
        if "generator" not in drawn:
            return None
        self.family = self.family or str(drawn.get("family", ""))
        name = str(drawn["generator"])
        if name not in self.generators and len(self.generators) < _MOST_GENERATORS:
            self.generators[name] = OfGenerator()
        return self.generators.get(name)

    def _skip(self, record: Mapping[str, Any], generator: str) -> None:
        text = one_line(record.get("reason") or NONE)
        source = mapping(record.get("source")).get("path")
        if source:
            text = text.replace(f"{source}: ", "").replace(str(source), "the source")
        # The generators are listed beside it.
        text = text.replace(f"no `{generator}` could be made of it", "could not be made")
        key: str | None = _FIGURES.sub("0", text)
        if key not in self.reasons and len(self.reasons) >= _MOST_REASONS:
            key, text = None, "other reasons; the manifest names them"
        reason = self.reasons.setdefault(key, Reason(text))
        reason.count += 1
        reason.alike |= reason.text != text
        if generator in reason.generators or len(reason.generators) < _MOST_REASONS:
            reason.generators[generator] += 1

    def _measure(self, record: Mapping[str, Any], one: OfGenerator | None) -> None:
        effect, stats = mapping(record.get("effect")), mapping(record.get("stats"))
        area = mapping(record.get("mask")).get("area")
        change = effect.get("mean_abs") if self.family == "images" else peak(effect)
        for value, name in ((area, "area"), (change, "change")):
            if is_number(value):
                for place in (self, one) if one else (self,):
                    getattr(place, name).add(abs(float(value)))
        unit = str(effect.get("unit") or "")
        if unit in self.units or len(self.units) < _MOST_UNITS:
            self.units[unit] += 1
        self.foreground.add(mapping(record.get("source")).get("path"), stats.get("foreground"))
        attempts = stats.get("attempts")
        if isinstance(attempts, int) and not isinstance(attempts, bool) and 0 < attempts < 100:
            self.attempts[attempts] += 1
        frame = record.get("frame")
        instances = record.get("instances")
        if frame and isinstance(instances, list):
            self.places.aspect.add(frame[1] / frame[0])
            for instance in instances:
                at = middle(mapping(instance).get("box"))
                if at:
                    self.places.add(at[0] / frame[0], at[1] / frame[1])


def asked(recipe: Mapping[str, Any]) -> dict[str, OfGenerator]:
    """Return the generators of a recipe's plain form by name; several entries of one generator are put together."""
    entries: dict[str, list[Mapping[str, Any]]] = {}
    found = recipe.get("generators")
    for entry in found if isinstance(found, list) else []:
        if isinstance(entry, Mapping) and "generator" in entry:
            entries.setdefault(str(entry["generator"]), []).append(entry)
    weights = {name: [_weight(entry) for entry in parts] for name, parts in entries.items()}
    total = sum(map(sum, weights.values())) or 1.0
    out = {}
    for name, parts in entries.items():
        out[name] = OfGenerator(sum(weights[name]) / total)
        for key in dict.fromkeys(key for part in parts for key in part):
            if key in ("weight", *_NOT_DRAWN):
                continue
            given = [(part[key], weight) for part, weight in zip(parts, weights[name], strict=True) if key in part]
            seen = _varying(key, given)
            if seen is None:
                out[name].fixed[key] = given[0][0]
            else:
                out[name].drawn[key] = seen
    return out


def binomial(number: int, share: float, alpha: float) -> tuple[int, int]:
    """Return the least and the most of `number` draws with probability `share` that chance leaves, `alpha` apart.

    Fewer than the first, or more than the second, come with a probability of at most `alpha` / 2 each.
    """
    if number == 0 or not 0 < share < 1:
        return (0, 0) if share <= 0 else (number, number)
    middle_, spread = number * share, math.sqrt(number * share * (1 - share))
    reach = 12 * spread + 40
    first, last = max(0, math.floor(middle_ - reach)), min(number, math.ceil(middle_ + reach))
    weights = [math.exp(_log_chance(number, count, share)) for count in range(first, last + 1)]
    low, below = first, 0.0
    while low < last and below + weights[low - first] <= alpha / 2:
        below += weights[low - first]
        low += 1
    high, above = last, 0.0
    while high > low and above + weights[high - first] <= alpha / 2:
        above += weights[high - first]
        high -= 1
    return low, high


def _log_chance(number: int, count: int, share: float) -> float:
    ways = math.lgamma(number + 1) - math.lgamma(count + 1) - math.lgamma(number - count + 1)
    return ways + count * math.log(share) + (number - count) * math.log1p(-share)


def _weight(entry: Mapping[str, Any]) -> float:
    weight = entry.get("weight", 1.0)
    return float(weight) if is_number(weight) and weight > 0 else 0.0


def _varying(name: str, given: list[tuple[Any, float]]) -> Drawn | None:
    """Return what a parameter is drawn from, given as (written form, weight) of each entry; None if it never varies."""
    # Recipes are read by the same code that makes them; it is not needed for a page without one.
    from anosynth.params import Choice, Range, parse_value, split_length

    parsed: list[tuple[Any, float]] = []
    for value, weight in given:
        try:
            parsed.append((parse_value(name, value), weight))
        except ParameterError:
            parsed.append((value, weight))  # a text with a colon in it
    total = sum(weight for _, weight in parsed) or 1.0
    if all(isinstance(value, Range) for value, _ in parsed):
        ends = [(split_length(value.low), split_length(value.high), weight) for value, weight in parsed]
        if len({low[1] for low, _, _ in ends}) == 1:
            ranges = [(low[0], high[0], weight / total) for low, high, weight in ends]
            return Spans(_as_given(ranges, parsed), log=all(value.log for value, _ in parsed), unit=ends[0][0][1])
    shares: dict[str, float] = {}
    for value, weight in parsed:
        texts = list(map(compact, value.values)) if isinstance(value, Choice) else [compact(_plain(value))]
        for text in texts:
            shares[text] = shares.get(text, 0.0) + weight / total / len(texts)
    return Texts(shares) if len(shares) > 1 else None


def _as_given(ranges: list[tuple[float, float, float]], parsed: list[tuple[Any, float]]) -> Any:
    # Whole ends stay whole, so that they read as they were asked.
    whole = all(isinstance(end, int) for value, _ in parsed for end in (value.low, value.high))
    return [(int(low), int(high), weight) for low, high, weight in ranges] if whole else ranges


def _plain(value: Any) -> Any:
    return str(value) if not isinstance(value, (str, int, float, bool, type(None))) else value


def _count(seen: Drawn, value: Any) -> None:
    if isinstance(seen, Texts):
        seen.add(value)
        return
    from anosynth.params import split_length

    try:
        number, unit = split_length(value) if isinstance(value, str) else (value, None)
    except ParameterError:
        return
    if is_number(number) and unit == seen.unit:
        seen.add(number)
