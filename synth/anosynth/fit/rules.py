"""Which generator a defect is like, and which of its parameters follow which of the defect's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .figures import Figure

THIN, CURLED, BRANCHED = 4.0, 1.0, 1.6
"""From this length over width on a defect is a line; from this bend on a fibre; from this many branches on a crack."""

OUTSIDE = 0.2
"""From this share outside of the part on, a defect is where a piece has gone."""

SMALL, ROUND = 0.06, 2.5
"""Below this length, and this elongation, it is a dot."""

ROUGH, MIXED = 2.0, 1.0
"""From this spread over that of its surroundings, and over its mean difference from them, on it is a texture."""


@dataclass(frozen=True)
class Follow:
    """A parameter that follows a figure: `even` if over the figure itself, else over its logarithm."""

    parameter: str
    figure: str
    even: bool = False


RULES: Mapping[str, str] = {
    "edge-chip": "a fifth of it or more is outside of the part, or like the background: a piece is missing",
    "fibre": "thin (length over width at least 4) and curled (bends by at least 1 radian)",
    "crack": "thin and darker, with branches (1.6 times the area of one line)",
    "scratch": "thin (length over width at least 4)",
    "pit": "a dark dot (below 6 % of the shorter side, elongation below 2.5)",
    "spatter": "a light dot (below 6 % of the shorter side, elongation below 2.5)",
    "perlin-texture": "rougher than its surroundings (twice the spread), lighter and darker at once",
    "stain": "a darker patch",
    "smudge": "a lighter patch",
}
"""The generators that are chosen among, and by which rule: the first that holds."""

FOLLOWS: Mapping[str, tuple[Follow, ...]] = {
    "edge-chip": (
        Follow("area", "area"),
        Follow("elongation", "elongation"),
        Follow("softness", "softness", even=True),
    ),
    "fibre": (
        Follow("length", "length"),
        Follow("width", "width"),
        Follow("strength", "contrast"),
        Follow("bend", "bend", even=True),
    ),
    "crack": (Follow("length", "length"), Follow("width", "width"), Follow("strength", "contrast")),
    "scratch": (
        Follow("length", "length"),
        Follow("width", "width"),
        Follow("strength", "contrast"),
        Follow("bend", "bend", even=True),
    ),
    "pit": (Follow("size", "length"), Follow("strength", "contrast")),
    "spatter": (Follow("area", "area"), Follow("strength", "contrast")),
    "perlin-texture": (Follow("area", "area"), Follow("blend", "contrast")),
    "stain": (
        Follow("area", "area"),
        Follow("elongation", "elongation"),
        Follow("strength", "contrast"),
        Follow("softness", "softness", even=True),
    ),
    "smudge": (
        Follow("area", "area"),
        Follow("aspect", "elongation"),
        Follow("strength", "contrast"),
        Follow("softness", "softness", even=True),
    ),
}

FIXED: Mapping[str, Mapping[str, Any]] = {
    "pit": {"pits": 1, "spread": 0.0},
    "spatter": {"droplets": 1, "spread": 0.01},
    "smudge": {"outline": "blob"},
    "perlin-texture": {"combine": "single"},
    "edge-chip": {"width": 0.002},
}
"""What makes one defect of a generator that makes many by default, and a clean break."""

TURNED = frozenset(["fibre", "crack", "scratch", "stain", "smudge"])
"""Generators whose orientation is that of the defect's long axis in the photo."""


def kind_of(figure: Figure) -> str:
    """Return the generator that a defect is like, by the first of `RULES` that holds."""
    if figure.outside >= OUTSIDE:
        return "edge-chip"
    if figure.slenderness >= THIN:
        if figure.branches >= BRANCHED and figure.sign < 0 and figure.bend < CURLED:
            return "crack"
        return "fibre" if figure.bend >= CURLED else "scratch"
    if figure.length < SMALL and figure.elongation < ROUND:
        return "pit" if figure.sign < 0 else "spatter"
    if figure.texture >= ROUGH and figure.mixed >= MIXED:
        return "perlin-texture"
    return "stain" if figure.sign < 0 else "smudge"
