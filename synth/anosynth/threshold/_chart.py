"""The pictures of the page as SVG text: the curve of detection, and the scores with the threshold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from anosynth.report._text import escape

from .pod import Detection
from .table import cut, highest, number, percent

_WIDTH, _HIGH = 860, 380
_LEFT, _RIGHT, _TOP, _FOOT = 52, 20, 26, 56
_RUG, _MOST = 7, 400


def detection_chart(one: Detection) -> str:
    """Return probability of detection against the value: curve, lower bound, bins with intervals, every defect."""
    ends = [float(one.values.min()), float(one.values.max())]
    marks = _marks(one)
    wide = _spread(ends, one.scale)
    ends += [v for v in marks.values() if _near(v, ends, wide, one.scale)]
    low, high = _padded(min(ends), max(ends), one.scale)
    x = _axis(low, high, one.scale)

    def y(share: float) -> float:
        return _TOP + (_HIGH - _TOP - _FOOT) * (1 - share)

    shapes = [_frame(x, y, [tick for tick in _ticks(low, high, one.scale) if tick <= highest(one)])]
    for found, at in ((True, _TOP - _RUG - 3), (False, y(0) + 3)):
        own = np.unique(one.values[one.hits == found])
        own = own[:: max(1, len(own) // _MOST)]
        path = "".join(f"M{x(v):.1f} {at:.1f}v{_RUG}" for v in own.tolist())
        shapes.append(f'<path class="rug" d="{path}"/>')
    shapes.append(f'<path class="level" d="M{_LEFT} {y(one.level):.1f}H{_WIDTH - _RIGHT}"/>')
    if one.curve is not None:
        for name, column in (("low", 2), ("curve", 1)):
            line = " ".join(f"{x(p[0]):.1f},{y(p[column]):.1f}" for p in one.curve.points)
            shapes.append(f'<polyline class="{name}" points="{line}"/>')
    for part in one.bins:
        at = x(part.mean if one.scale == "linear" else math.sqrt(part.low * part.high))
        shapes.append(f'<path class="bars" d="M{at:.1f} {y(part.found.low):.1f}V{y(part.found.high):.1f}"/>')
        if part.low < part.high:
            level = y(part.found.value)
            shapes.append(f'<path class="bars" d="M{x(part.low):.1f} {level:.1f}H{x(part.high):.1f}"/>')
        shapes.append(f'<circle class="dot" cx="{at:.1f}" cy="{y(part.found.value):.1f}" r="3.5"/>')
    for row, (name, value) in enumerate(marks.items()):
        if low <= value <= high:
            at = x(value)
            side = "end" if at > _WIDTH - 150 else "start"
            shapes.append(f'<path class="level" d="M{at:.1f} {y(one.level):.1f}V{y(0):.1f}"/>')
            shapes.append(
                f'<text class="say" x="{at + (-5 if side == "end" else 5):.1f}" y="{y(0.06) - 15 * row:.1f}" '
                f'text-anchor="{side}">{name} = {number(value)}</text>'
            )
    unit = f" ({one.unit})" if one.unit else ""
    about = f"Probability of detection against {one.against}{unit}"
    foot = f"{one.against}{unit}" + (", logarithmic" if one.scale == "log" else "")
    shapes.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HIGH - 10}" text-anchor="middle">{escape(foot)}</text>'
    )
    return _svg(about, shapes, _HIGH)


def score_chart(normal: NDArray[np.float64], anomalous: NDArray[np.float64], threshold: float) -> str:
    """Return the histograms of normal (above) and anomalous scores (below the line) with the threshold."""
    every = np.concatenate([normal, anomalous, [threshold]])
    # A few scores far away must not press all others into one bar.
    low, high = (float(v) for v in np.quantile(every, [0.002, 0.998]))
    low, high = min(low, threshold), max(high, threshold)
    low, high = _padded(low, high, "linear")
    edges = np.linspace(low, high, 61)
    x, tall, middle = _axis(low, high, "linear"), 70.0, 84.0
    shapes = []
    for name, scores, way in (("normals", normal, -1.0), ("anomalous", anomalous, 1.0)):
        if not len(scores):
            continue
        counts, _ = np.histogram(np.clip(scores, low, high), edges)
        wide = x(float(edges[1])) - x(low) - 1
        path = "".join(
            f"M{x(edges[i]):.1f} {middle}v{way * tall * count / counts.max():.1f}h{wide:.1f}V{middle}z"
            for i, count in enumerate(counts.tolist())
            if count
        )
        shapes.append(f'<path class="{name}" d="{path}"/>')
    shapes.append(f'<path class="grid" d="M{_LEFT} {middle}H{_WIDTH - _RIGHT}"/>')
    at = x(threshold)
    shapes.append(f'<path class="cut" d="M{at:.1f} 8V{middle + tall:.1f}"/>')
    side = "end" if at > _WIDTH - 150 else "start"
    shapes.append(
        f'<text class="say" x="{at + (-6 if side == "end" else 6):.1f}" y="18" text-anchor="{side}">'
        f"threshold {cut(threshold)}</text>"
    )
    for tick in _ticks(low, high, "linear"):
        foot = middle + tall + 18
        shapes.append(f'<text x="{x(tick):.1f}" y="{foot:.1f}" text-anchor="middle">{number(tick)}</text>')
    return _svg("Scores of normal and anomalous samples with the threshold", shapes, int(middle + tall + 26))


def _marks(one: Detection) -> dict[str, float]:
    """Return the values that the text gives, by name: no other may be read off the picture."""
    if one.curve is None:
        return {}
    name = f"a{100 * one.level:g}"
    named = {name: one.curve.a, f"{name}/{100 * one.confidence:g}": one.curve.a_bound}
    return {name: value for name, value in named.items() if value is not None and value <= highest(one)}


def _frame(x: Callable[[float], float], y: Callable[[float], float], ticks: Sequence[float]) -> str:
    shapes = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        shapes.append(f'<path class="grid" d="M{_LEFT} {y(share):.1f}H{_WIDTH - _RIGHT}"/>')
        shapes.append(f'<text x="{_LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{percent(share)}</text>')
    for tick in ticks:
        shapes.append(f'<path class="grid" d="M{x(tick):.1f} {y(1):.1f}V{y(0) + 4:.1f}"/>')
        shapes.append(f'<text x="{x(tick):.1f}" y="{y(0) + 24:.1f}" text-anchor="middle">{number(tick)}</text>')
    return "".join(shapes)


def _svg(about: str, shapes: Sequence[str], high: int) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {high}" role="img" aria-label="{escape(about)}">'
        f"<title>{escape(about)}</title>{''.join(shapes)}</svg>"
    )


def _axis(low: float, high: float, scale: str) -> Callable[[float], float]:
    turn = math.log if scale == "log" else float

    def place(value: float) -> float:
        share = (turn(value) - turn(low)) / (turn(high) - turn(low))
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * share

    return place


def _ticks(low: float, high: float, scale: str) -> list[float]:
    """Return round values between the ends: at least three where a decade or less is shown."""
    if scale == "log" and high / low > 4:
        steps = (1,) if high / low > 1e4 else (1, 2, 5)
        powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
        return [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 5, 10) if size * m >= rough)
    return [round(k * step, 12) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _padded(low: float, high: float, scale: str) -> tuple[float, float]:
    if scale == "log":
        room = max((high / low) ** 0.03, 1.02)
        return low / room, high * room
    room = 0.03 * (high - low) or 0.1 * abs(low) or 0.1
    return low - room, high + room


def _spread(ends: Sequence[float], scale: str) -> float:
    return math.log(ends[1] / ends[0]) if scale == "log" else ends[1] - ends[0]


def _near(value: float, ends: Sequence[float], wide: float, scale: str) -> bool:
    """Tell whether a value is near enough to what was tested to be in the picture."""
    turn = math.log if scale == "log" else float
    if scale == "log" and value <= 0:
        return False
    return turn(ends[0]) - 0.3 * wide <= turn(value) <= turn(ends[1]) + 0.3 * wide
