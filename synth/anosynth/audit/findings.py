"""What an audit finds: codes, the limits they depend on, and their words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from anosynth.errors import ParameterError
from anosynth.images._base import FLOOR, LEAST_PIXELS


@dataclass(frozen=True)
class Limits:
    """From where on a measurement counts as a fault.

    Attributes:
        leak: changed pixels outside of the mask, as a share of the changed ones.
        dead: unchanged pixels of the mask, as a share of the mask.
        invisible: pixels of the mask that changed by less than `floor`, as a share of the mask.
        faint: the same against a ring around the mask, where there is no source.
        full: labelled share of a photo.
        least: labelled pixels.
        floor: change that can just be seen, as a fraction of full scale.
        tolerance: change up to which a pixel counts as the same, as a fraction of full scale; files that lose
            something (JPEG) need some.
        ks: distance of a property from that of the reference; None for any.
    """

    leak: float = 0.01
    dead: float = 0.01
    invisible: float = 0.05
    faint: float = 0.5
    full: float = 0.9
    least: int = LEAST_PIXELS
    floor: float = FLOOR
    tolerance: float = 0.0
    ks: float | None = None

    def __post_init__(self) -> None:
        for name in ("leak", "dead", "invisible", "faint", "full", "floor", "tolerance", "ks"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ParameterError(f"`{name}`: {value:g}: must be >= 0 and <= 1")
        if self.least < 1:
            raise ParameterError(f"`least`: {self.least}: must be >= 1")
        if self.tolerance >= self.floor:
            raise ParameterError(f"`tolerance`: {self.tolerance:g}: must be below `floor`, {self.floor:g}")


@dataclass(frozen=True, slots=True)
class Case:
    """One file that a finding is about.

    Attributes:
        path: of the photo or mask, relative to the data set.
        value: what was measured, NaN where nothing was.
        text: more about it, or the other file.
        row: place of the sample in the data set, -1 if it is none; `other` that of the one that it is like.
    """

    path: str
    value: float = math.nan
    text: str = ""
    row: int = -1
    other: int = -1


@dataclass
class Finding:
    """All cases of one kind, the worst first; `fault` is False for what may be as it should."""

    code: str
    fault: bool
    title: str
    cases: list[Case] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return the number of cases."""
        return len(self.cases)

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        rows = [
            {"path": case.path, "value": None if math.isnan(case.value) else case.value, "text": case.text}
            for case in self.cases
        ]
        return {"code": self.code, "fault": self.fault, "title": self.title, "count": self.count, "cases": rows}


def titles(limits: Limits) -> Mapping[str, str]:
    """Return what each code means, in the order in which findings are listed."""
    return {
        "unreadable": "files that cannot be read",
        "missing-file": "files that a table of the data set names and that are not there",
        "no-mask": "anomalous photos without a mask",
        "orphan-mask": "masks without a photo",
        "stray-file": "pictures that have no place in the layout",
        "mask-size": "masks of another size than their photo",
        "mask-values": "masks of another type, or with other values, than readers expect",
        "empty-mask": "photos called anomalous whose mask is empty",
        "full-mask": f"masks that label more than {percent(limits.full)} of their photo (share labelled)",
        "small-mask": f"masks of fewer than {limits.least} pixels (pixels labelled)",
        "labelled-normal": "photos called normal whose mask labels something",
        "unlike-source": "photos unlike the source that is named for them",
        "leak": f"changed pixels outside of the mask: more than {percent(limits.leak)} of all changed ones (share)",
        "dead": f"labelled pixels that did not change: more than {percent(limits.dead)} of the mask (share)",
        "invisible": f"labelled pixels that changed by less than {levels(limits.floor)}: more than"
        f" {percent(limits.invisible)} of the mask (share)",
        "faint": f"labelled pixels that differ by less than {levels(limits.floor)} from what is around: more than"
        f" {percent(limits.faint)} of the mask (share)",
        "duplicate-splits": "the same picture in two splits",
        "shared-source": "the same source in two splits",
        "near-duplicate-splits": "nearly the same picture in two splits",
        "duplicate": "the same picture twice",
        "near-duplicate": "nearly the same picture twice",
        "distance": f"properties further than {limits.ks or 0:g} from those of the reference (KS distance)",
        "maybe-normal": "photos with an empty mask, not called anomalous by their folder: taken for normal ones",
        "no-source": "anomalous photos whose source was not found, so that what changed was not checked",
        "sizes": "photos of another size than most of their category",
        "not-sought": "categories too large to look for all near-duplicates",
    }


NOTES = frozenset(["maybe-normal", "near-duplicate", "no-source", "sizes", "not-sought"])
"""Codes that are told and do not count as faults."""

RISING = frozenset(["small-mask"])
"""Codes whose worst case is the one of the smallest value."""


class Findings:
    """Collects cases by code."""

    def __init__(self, limits: Limits) -> None:
        self._titles = titles(limits)
        self._cases: dict[str, list[Case]] = {}
        self.told: set[str] = set()

    def add(
        self, code: str, path: str, value: float = math.nan, text: str = "", row: int = -1, other: int = -1
    ) -> None:
        """Add a case of a code."""
        self._cases.setdefault(code, []).append(Case(path, value, text, row, other))

    def all(self) -> list[Finding]:
        """Return the findings: faults first, each with its worst cases first."""
        found = []
        for code, title in self._titles.items():
            cases = self._cases.get(code, [])
            if cases:
                sign = 1 if code in RISING else -1
                cases = sorted(cases, key=lambda case: (sign * _number(case.value), case.path))
                found.append(Finding(code, code not in NOTES and code not in self.told, title, cases))
        return sorted(found, key=lambda finding: not finding.fault)


def _number(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def percent(share: float) -> str:
    """Return a share of one as a percentage."""
    return f"{100 * share:.3g} %"


def levels(share: float) -> str:
    """Return a fraction of full scale as grey levels of 255."""
    return f"{255 * share:.3g} of 255 levels"
