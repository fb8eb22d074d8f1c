"""Where defects are and which way they lie, and their figures as numbers and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .figures import Figure
from .rules import TURNED

Floats = NDArray[np.float64]

_DIRECTED = 0.5
_EDGE_MOST, _EDGE_LEAST, _PLACED = 0.8, 0.05, 8
_MAPPED = 20
_MAP_WIDE, _MAP_FLOOR = 0.08, 0.1


def placed(kind: str, figures: Sequence[Figure], values: dict[str, Any], notes: dict[str, str]) -> None:
    """Add to `values` and `notes` whether defects are near the border of the part, where enough of them tell."""
    near = [one.near for one in figures if one.near is not None]
    if kind == "edge-chip" or len(near) < _PLACED:
        return
    share = sum(near) / len(near)
    notes["place"] = f"{sum(near)} of {len(near)} near the border of the part"
    values["place"] = "edge" if share >= _EDGE_MOST else "interior" if share <= _EDGE_LEAST else "anywhere"


def directed(kind: str, figures: Sequence[Figure], values: dict[str, Any], notes: dict[str, str]) -> None:
    """Narrow the orientation where axes agree: mean resultant length of the doubled angles at least 0.5."""
    own = [one for one in figures if one.elongation >= 1.5]
    if len(own) < 4 or (kind not in TURNED and kind != "edge-chip"):
        return
    angles = np.radians([2 * (one.lean if kind == "edge-chip" else one.orientation) for one in own])
    c, s = float(np.cos(angles).mean()), float(np.sin(angles).mean())
    together = min(math.hypot(c, s), 0.999)
    # Rayleigh's test: axes without a direction agree as much by chance once in twenty at most.
    if together < _DIRECTED or len(own) * together**2 < 3.0:
        if kind == "edge-chip":
            values["orientation"] = "-90:90"
        return
    middle = math.degrees(math.atan2(s, c)) / 2
    half = min(90.0, math.sqrt(3) * math.degrees(math.sqrt(-2 * math.log(together))) / 2 * math.sqrt(1 + 1 / len(own)))
    low, high = middle - half, middle + half
    values["orientation"] = f"{max(low, -180):.0f}:{min(high, 180):.0f}"
    notes["orientation"] = f"{middle:.0f} degrees, {len(own)} of them agree by {together:.2f} of 1"


def figures_as(figures: Sequence[Figure], name: str) -> Floats:
    """Return one figure of all defects that have it."""
    found = np.array([float(getattr(one, name)) for one in figures])
    return np.asarray(found[~np.isnan(found)])


def spoken(values: Floats) -> str:
    """Return the ends and the median of some values in words."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    return f"{low:.3g} to {high:.3g}, median {middle:.3g}"


def prior_of(measured: Sequence[Sequence[Figure]], shapes: set[tuple[int, int]]) -> NDArray[np.uint8] | None:
    """Return a map of where defects are: a tenth even, the rest a Gaussian around each centre."""
    from scipy.ndimage import gaussian_filter

    centres = [one.centre for found in measured for one in found]
    if len(shapes) != 1 or len(centres) < _MAPPED:
        return None
    (height, width) = next(iter(shapes))
    marks = np.zeros((height, width))
    for row, column in centres:
        marks[min(int(row * height), height - 1), min(int(column * width), width - 1)] += 1
    smooth = gaussian_filter(marks, _MAP_WIDE * min(height, width))
    even = _MAP_FLOOR + (1 - _MAP_FLOOR) * smooth / float(smooth.max())
    return np.rint(255 * even).astype(np.uint8)
