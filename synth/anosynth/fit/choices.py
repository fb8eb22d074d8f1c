"""Parameters that are not numbers, chosen by what most defects of a kind show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .figures import Figure
from .rules import THROUGH

_RARE = 0.1


def chosen(kind: str, figures: Sequence[Figure], values: dict[str, Any], notes: dict[str, str]) -> None:
    """Add to `values` and `notes` whether scratches are dark or light, and what is seen through holes."""
    number = len(figures)
    if kind == "scratch":
        light = sum(one.sign > 0 for one in figures)
        notes["polarity"] = f"{number - light} darker, {light} lighter"
        values["polarity"] = _of(light / number, "dark", "light", "auto")
    if kind == "hole":
        seen = sum(one.through >= THROUGH for one in figures)
        notes["fill"] = f"{seen} show the background, {number - seen} are black"
        # `auto` takes the background where there is one that can be told from the part.
        values["fill"] = _of(seen / number, "dark", "auto", "auto|dark")


def _of(share: float, none: str, all_of_them: str, some: str) -> str:
    return none if share <= _RARE else all_of_them if share >= 1 - _RARE else some
