"""What a ranking found, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._contest import Figure, plain

RECIPE, LINE, FLOOR = "recipe", "line", "floor"
"""The roles of entries: a trained head, a score without synthesis, and one without even features."""


@dataclass(frozen=True)
class Difference:
    """How far the figure of `a` is above that of `b`, paired.

    Attributes:
        above: share of the resamples in which `a` is above `b`, ties half.
    """

    a: str
    b: str
    figure: Figure
    above: float

    @property
    def sign(self) -> int:
        """1 if the interval lies above 0, -1 below, 0 if it holds 0."""
        return int(self.figure.low > 0) - int(self.figure.high < 0)

    def record(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, **self.figure.record(), "above": self.above}


@dataclass(frozen=True)
class Entry:
    """One that was judged.

    Attributes:
        name: of the recipe, or of the line.
        role: "recipe", "line" or "floor".
        figures: by name (see `_tallies.FIGURES`) over all defects, None where there are no masks.
        kinds: the same by kind of defect; empty if there is but one.
        seeds: by figure, the value of each seed.
        family: of a recipe's generators.
        made, failed: number of synthetic anomalies over all seeds that it was trained on, and that could not be made.
        validation: image AUROC on synthetic anomalies of normal samples that it was not trained on; NaN for lines.
    """

    name: str
    role: str
    figures: Mapping[str, Figure | None] = field(default_factory=dict)
    kinds: Mapping[str, Mapping[str, Figure | None]] = field(default_factory=dict)
    seeds: Mapping[str, list[float]] = field(default_factory=dict)
    family: str = ""
    made: int = 0
    failed: int = 0
    validation: float = float("nan")

    def value(self, name: str) -> float:
        found = self.figures.get(name)
        return float("-inf") if found is None else found.value

    def record(self) -> dict[str, Any]:
        shown = {name: None if one is None else one.record() for name, one in self.figures.items()}
        kinds = {
            kind: {name: None if one is None else one.record() for name, one in figures.items()}
            for kind, figures in self.kinds.items()
        }
        counts = {"family": self.family, "made": self.made, "failed": self.failed, "validation": self.validation}
        about = counts if self.role == RECIPE else {}
        return {
            "name": self.name, "role": self.role, **about, "figures": shown, "kinds": kinds, "seeds": dict(self.seeds),
        }  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What `rank` found.

    Attributes:
        protocol: what was done, in plain values.
        data: numbers of samples.
        skipped: (path, reason) of files that could not be used.
        by: the figure that the order goes by, "" if there were no real defects.
        entries: recipes best first, then lines best first, then the floor; recipes as given without real defects.
        pairs: every recipe against each one after it.
        against: every recipe against each line.
        kinds: by kind of defect, the first recipe against each other one on these alone; not part of the record.
        looks: by recipe what its anomalies are like without regard to any head: "coverage" as `coverage.describe`
            gives it, "shortcut" as `shortcut.shortcut` gives it; None for what could not be had.
        missed: by recipe the real defects that its heads pass over, as `missed.missed` gives it.
        conclusion: sentences.
        pictures: PNG files of those, by (recipe, sample), if they were asked for; not part of the record.
    """

    protocol: Mapping[str, Any]
    data: Mapping[str, Any]
    skipped: tuple[tuple[str, str], ...] = ()
    by: str = ""
    entries: tuple[Entry, ...] = ()
    pairs: tuple[Difference, ...] = ()
    against: tuple[Difference, ...] = ()
    kinds: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)
    looks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conclusion: tuple[str, ...] = ()
    pictures: Mapping[tuple[str, str], tuple[bytes, bytes]] = field(default_factory=dict, repr=False)

    def of(self, role: str) -> list[Entry]:
        """Return the entries of a role, in order."""
        return [entry for entry in self.entries if entry.role == role]

    @property
    def best_line(self) -> Entry | None:
        """The line of the greatest figure; it is chosen on the test samples, in favour of the lines."""
        lines = self.of(LINE)
        return lines[0] if lines else None

    def difference(self, a: str, b: str) -> Difference | None:
        """Return recipe `a` against a recipe after it, or a line."""
        return next((one for one in (*self.pairs, *self.against) if (one.a, one.b) == (a, b)), None)

    def record(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; numbers that are not known are None.

        {"protocol": {"anosynth", "family", "backbone", "layers", "size", "space", "positional", "seeds", "seed",
                      "made", "draws", "level", "head": {...}, "recipes": {name: its record}, ...},
         "data": {"train", "fit", "validation", "test", "duplicates", "real": {kind: {"samples", "masks"}}},
         "skipped": [{"path", "reason"}],
         "by": "image_auroc" or another figure, "" without real defects,
         "best_line": name or None,
         "entries": [{"name", "role": "recipe" | "line" | "floor", "figures": FIGURES, "kinds": {kind: FIGURES},
                      "seeds": {figure: [value of each seed]},
                      and of recipes "family", "made", "failed", "validation"}],
         "pairs", "against": [{"a", "b", "value", "low", "high", "above"}],
         "looks": {recipe: {"coverage": dict or None, "shortcut": dict or None}},
         "missed": {recipe: {"count", "of", "alarms", "samples": [{"name", "kind", "score", "above"}]}},
         "conclusion": [sentence]}

        Of clouds "image" in these keys stands for the object, "pixel" for points, and the protocol has "unit".
        FIGURES is {"image_auroc" | "image_ap" | "pixel_auroc" | "pixel_ap" | "aupro": {"value", "low", "high"} or
        None}.
        """
        line = self.best_line
        found: dict[str, Any] = plain(
            {
                "protocol": dict(self.protocol),
                "data": dict(self.data),
                "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped],
                "by": self.by,
                "best_line": None if line is None else line.name,
                "entries": [entry.record() for entry in self.entries],
                "pairs": [one.record() for one in self.pairs],
                "against": [one.record() for one in self.against],
                "looks": {name: dict(one) for name, one in self.looks.items()},
                "missed": {name: dict(one) for name, one in self.missed.items()},
                "conclusion": list(self.conclusion),
            }
        )
        return found
