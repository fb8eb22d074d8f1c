"""A picture of every generator of point clouds: the part, and close up the same defect at three strengths."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.generator import Anomaly, Generator, find
from anosynth.params import extra_of
from anosynth.pointclouds import PointCloud
from anosynth.report._facing import basis, facing
from anosynth.seeding import stream
from anosynth.toy import meshes
from anosynth.toy.clouds import scan

from .canvas import Pixels, beside
from .shaded import coloured, painted

PANEL, POINTS = 232, 40_000
_PAPER = (247, 248, 250)
_DRIVES = ("strength", "angle", "area")
_SHOWN_ON = {"chip": "bracket", "burr": "bracket", "bend": "bracket"}
"""Parts other than a torus, which has no edge and no end."""

Floats = NDArray[np.float64]


def pictured(name: str) -> tuple[Pixels, str]:
    """Return the picture of a generator, (h, w, 3) uint8, and what it shows in words."""
    generator = find("pointclouds", name)
    kind = _SHOWN_ON.get(name, "torus")
    field, values = driven(generator)
    made = _series(generator, _part(kind), name, field, values)
    strongest = made[-1]
    look = _look(strongest)
    peak = max(float(np.abs(anomaly.effect).max()) for anomaly in made)
    whole = _frame(strongest.sample.points[strongest.sample.valid], look, 1.08)
    close = _closer(_frame(_defect(strongest), look, 1.7), whole)
    panels = [_panel(strongest, look, whole, peak)] + [_panel(anomaly, look, close, peak) for anomaly in made]
    captions = [f"toy {kind}"]
    for anomaly, value in zip(made, values, strict=True):
        height = float(np.abs(anomaly.effect).max())
        captions.append(f"{field} {value:.3g}" + (f": up to {height:.2g} mm" if height else ""))
    shown = ", ".join(f"{value:.3g}" for value in values)
    return beside(panels, captions), f"{name} on a toy {kind}: the part, and close up with {field} {shown}"


def driven(generator: type[Generator]) -> tuple[str, tuple[float, float, float]]:
    """Return the parameter that says how strong a defect is, and the ends and the middle of what it varies over."""
    for name in _DRIVES:
        if name in generator.model_fields:
            low, high, *_ = extra_of(generator.model_fields[name])["vary"]
            return name, (low, (low + high) / 2, high)
    raise RuntimeError(f"{generator.name}: none of {', '.join(_DRIVES)}: nothing to draw three pictures of")


def _series(
    generator: type[Generator], cloud: PointCloud, name: str, field: str, values: tuple[float, ...]
) -> list[Anomaly]:
    problem = None
    for variant in range(40):
        rng = stream(0, "handbook", name, variant)
        try:
            made = [generator(**{field: value})(cloud, rng) for value in values]
        except DataError as error:
            problem = error
            continue
        if all(anomaly.stats["attempts"] == 1 for anomaly in made):  # else they may lie in different places
            return made
    raise RuntimeError(f"{name}: no picture: {problem}")


@cache
def _part(kind: str) -> PointCloud:
    return scan(getattr(meshes, kind)(stream(0, "handbook", kind)), POINTS, rng=stream(0, "handbook", "scan"))


def _defect(anomaly: Anomaly) -> Any:
    return anomaly.sample.points[anomaly.mask]


def _look(anomaly: Anomaly) -> Floats:
    points, step = anomaly.sample.points.astype(np.float64), 12
    few = np.zeros(len(points), dtype=np.bool_)
    few[::step] = True
    few |= anomaly.mask
    weight = np.where(anomaly.mask, 1.0, step)[few]
    return facing(points[few], weight, anomaly.mask[few], anomaly.sample.normals[anomaly.mask].sum(axis=0))


def _frame(points: Any, look: Floats, room: float) -> tuple[Floats, float]:
    """Return the middle of the points (right, up) as seen from `look`, and half the side of a square around them."""
    right, up = basis(look)
    flat = np.stack([(points * right).sum(axis=1), (points * up).sum(axis=1)], axis=1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    return (low + high) / 2, room * float((high - low).max()) / 2


def _closer(close: tuple[Floats, float], whole: tuple[Floats, float]) -> tuple[Floats, float]:
    """Return a frame that is neither larger than the whole part nor so near that single points show."""
    half = min(max(close[1], 0.22 * whole[1]), whole[1])
    return close[0] if half < whole[1] else whole[0], half


def _panel(anomaly: Anomaly, look: Floats, frame: tuple[Floats, float], peak: float) -> Pixels:
    cloud = anomaly.sample
    (right, up), towards = basis(look), look / np.sqrt((look * look).sum())
    points, normals = cloud.points.astype(np.float64), cloud.normals.astype(np.float64)
    (x, y), scale = frame[0], PANEL / (2 * frame[1])
    places = np.stack(
        [
            PANEL / 2 + scale * ((points * right).sum(axis=1) - x),
            PANEL / 2 - scale * ((points * up).sum(axis=1) - y),
            scale * (points * towards).sum(axis=1),
        ],
        axis=1,
    )
    turned = np.stack([(normals * way).sum(axis=1) for way in (right, up, towards)], axis=1)
    rgb = coloured(anomaly.effect, anomaly.mask, peak)
    return painted(places, turned, rgb, scale * 2.6 * cloud.surface.spacing, (PANEL, PANEL), _PAPER)
