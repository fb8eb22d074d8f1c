"""Which generator a defect is like, and which of its parameters follow which of the defect's figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .figures import Figure

THIN, CURLED, BRANCHED = 4.0, 1.0, 1.6
"""From this length over width on a defect is a line; from this bend on a fibre; from this many branches on a crack."""

OUTSIDE, HALF = 0.2, 0.5
"""From this share outside of the part on, a defect is where a piece has gone; a line only from the second on."""

OPEN = 0.1
"""From this share of background around it on, a defect is at the border of the part; a deep notch has the least."""

THROUGH, LIT = 0.4, 0.25
"""From this share of background, or of black in a surface no darker than the second, on it is a hole."""

WHITE, BROWN = 0.97, 0.95
"""From this cosine between its difference from its surroundings and that of white or rust on, that lies on them."""

RUST = (0.41, 0.22, 0.10)
"""The mean colour of the generator's rust."""

REDDER, RISING = -0.3, 0.1
"""From this change over the largest of any channel on, nothing that takes light away does it: of red to make brown, and
of any channel."""

GONE, EVEN = 0.3, 1.25
"""Below this difference of means, in deviations of its surroundings, and this spread over theirs, nothing is there."""

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
    "hole": "within the part, and two fifths of it or more look like the background or are black",
    "edge-chip": "a fifth of it or more is outside of the part, or like the background: a piece is missing",
    "fibre": "thin (length over width at least 4) and curled (bends by at least 1 radian)",
    "crack": "thin and darker, with branches (1.6 times the area of one line)",
    "scratch": "thin (length over width at least 4)",
    "pit": "a dark dot (below 6 % of the shorter side, elongation below 2.5)",
    "spatter": "a light dot of another hue (below 6 % of the shorter side, elongation below 2.5)",
    "missing-part": "as if its surroundings went on: their mean, and no rougher",
    "perlin-texture": "rougher than its surroundings (twice the spread), lighter and darker at once",
    "rust": "as if rust lay on it, redder than a dark film can be",
    "stain": "darker in every channel",
    "blank": "lighter as if white lay on it",
    "smudge": "a patch of another hue",
}
"""The generators that are chosen among, and by which rule: the first that holds."""


def _patch(ratio: str) -> tuple[Follow, ...]:
    return (
        Follow("area", "area"),
        Follow(ratio, "elongation"),
        Follow("strength", "offset"),
        Follow("softness", "softness", even=True),
    )


FOLLOWS: Mapping[str, tuple[Follow, ...]] = {
    "hole": (Follow("width", "width"), Follow("elongation", "elongation")),
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
    "missing-part": (Follow("area", "area"), Follow("elongation", "elongation")),
    "perlin-texture": (Follow("area", "area"), Follow("blend", "contrast")),
    "rust": _patch("elongation"),
    "stain": _patch("elongation"),
    "blank": _patch("aspect"),
    "smudge": _patch("aspect"),
}

FIXED: Mapping[str, Mapping[str, Any]] = {
    "pit": {"pits": 1, "spread": 0.0},
    "spatter": {"droplets": 1, "spread": 0.01},
    "blank": {"fill": "white", "outline": "blob"},
    "smudge": {"outline": "blob"},
    "perlin-texture": {"combine": "single"},
    "edge-chip": {"width": 0.002},
}
"""What makes one defect of a generator that makes many by default, a clean break, and the colour of the rule."""

TURNED = frozenset(["hole", "fibre", "crack", "scratch", "missing-part", "rust", "stain", "blank", "smudge"])
"""Generators whose orientation is that of the defect's long axis in the photo."""


def kind_of(figure: Figure) -> str:
    """Return the generator that a defect is like, by the first of `RULES` that holds."""
    line = figure.slenderness >= THIN
    dot = figure.length < SMALL and figure.elongation < ROUND
    if _hollow(figure) and not line and not (dot and figure.sign < 0):
        return "hole"
    if figure.open >= OPEN and figure.outside >= (HALF if line else OUTSIDE):
        return "edge-chip"
    if line:
        if figure.branches >= BRANCHED and figure.sign < 0 and figure.bend < CURLED:
            return "crack"
        return "fibre" if figure.bend >= CURLED else "scratch"
    if dot and (figure.sign < 0 or not _whitened(figure)):
        return "pit" if figure.sign < 0 else "spatter"
    if figure.apart < GONE and figure.texture < EVEN:
        return "missing-part"
    if figure.texture >= ROUGH and figure.mixed >= MIXED:
        return "perlin-texture"
    if _rusted(figure):
        return "rust"
    if figure.sign < 0 and max(figure.colour) < RISING * max(map(abs, figure.colour)):
        return "stain"
    return "blank" if _whitened(figure) else "smudge"


def _hollow(figure: Figure) -> bool:
    return figure.open < OPEN and (figure.through >= THROUGH or (figure.black >= THROUGH and max(figure.around) >= LIT))


def _whitened(figure: Figure) -> bool:
    """Return whether white laid over what is around would change its colour the same way."""
    return _towards((1.0,) * len(figure.around), figure) >= WHITE


def _rusted(figure: Figure) -> bool:
    if len(figure.colour) != 3 or figure.colour[0] < REDDER * max(map(abs, figure.colour)):
        return False
    return _towards(RUST, figure) >= BROWN


def _towards(tone: tuple[float, ...], figure: Figure) -> float:
    """Return the cosine between the way from what is around to a tone and the way to the defect's colour."""
    way = [a - b for a, b in zip(tone, figure.around, strict=True)]
    length = math.hypot(*way) * math.hypot(*figure.colour)
    return math.fsum(a * b for a, b in zip(way, figure.colour, strict=True)) / max(length, 1e-9)
