"""Rows of small charts as SVG text: no script, no style but the page's classes, described for those who cannot see.

Each row is stretched to the width it has, so marks are strokes that do not scale, and all text is HTML beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from anosynth.report._text import MINUS, escape, is_number

_WIDE, _HIGH = 1000.0, 26.0


class Axis:
    """From values to places along a row, linear or logarithmic; what lies beyond an end stands at it."""

    def __init__(self, low: float, high: float, *, log: bool = False) -> None:
        self.low, self.high, self.log = low, high, log

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        share = (value - low) / (high - low) if high > low else 0.5
        return _WIDE * (0.01 + 0.98 * min(max(share, 0.0), 1.0))

    def ends(self, *middle: float) -> str:
        """Return the ends, and what stands in the middle, as a line of text under the rows."""
        between = "".join(f"<b>{figure(value)}</b>" for value in middle)
        return f'<div class="ends"><span>{figure(self.low)}</span>{between}<span>{figure(self.high)}</span></div>'


def spanning(values: Sequence[float], *, step: float = 0.05) -> Axis:
    """Return the axis from the last multiple of `step` below all values to the first above them, within 0 and 1."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low = max(math.floor(min(known) / step + 1e-9) * step, 0.0)
    high = min(math.ceil(max(known) / step - 1e-9) * step, 1.0)
    low = min(low, 1.0 - step)
    return Axis(low, max(high, low + step))


def interval(
    axis: Axis, one: Mapping[str, float], about: str, *, lines: Sequence[tuple[str, float]] = (), seeds: Any = ()
) -> str:
    """Return a row: a dot with its interval, ticks for seeds, and vertical lines (class, value) behind them."""
    shapes = "".join(_path(kind, f"M{_p(axis.at(value))} 0V{_p(_HIGH)}") for kind, value in lines)
    shapes += _path("rail", f"M0 {_p(_HIGH / 2)}H{_p(_WIDE)}")
    ticks = "".join(f"M{_p(axis.at(seed))} {_p(_HIGH - 6)}V{_p(_HIGH - 1)}" for seed in seeds if is_number(seed))
    if ticks:
        shapes += _path("seed", ticks)
    low, high, value = (axis.at(one[name]) for name in ("low", "high", "value"))
    shapes += _path("interval", f"M{_p(low)} {_p(_HIGH / 2)}H{_p(max(high, low + 0.5))}")
    # A line of no length with round ends is a dot that no stretching makes an ellipse.
    shapes += _path("dot", f"M{_p(value)} {_p(_HIGH / 2)}h.01")
    return _svg(shapes, about)


def bar(share: float, mark: float | None, about: str) -> str:
    """Return a row: a bar over `share` of the width, with a tick at `mark`."""
    axis = Axis(0.0, 1.0)
    middle, start = _p(_HIGH / 2), _p(axis.at(0.0))
    shapes = _path("rail wide", f"M{start} {middle}H{_p(axis.at(1.0))}")
    if share > 0:
        shapes += _path("fill", f"M{start} {middle}H{_p(axis.at(share))}")
    if mark is not None:
        shapes += _path("tick", f"M{_p(axis.at(mark))} 3V{_p(_HIGH - 3)}")
    return _svg(shapes, about)


def box(axis: Axis, quantiles: Sequence[float], about: str, *, lines: Sequence[tuple[str, float]] = ()) -> str:
    """Return a row: five rising quantiles as whiskers, a box and its middle."""
    x = [axis.at(value) for value in quantiles]
    middle = _p(_HIGH / 2)
    shapes = "".join(_path(kind, f"M{_p(axis.at(value))} 0V{_p(_HIGH)}") for kind, value in lines)
    shapes += _path("interval thin", f"M{_p(x[0])} {middle}H{_p(x[4])}")
    shapes += _path("block", f"M{_p(x[1])} {middle}H{_p(max(x[3], x[1] + 1))}")
    shapes += _path("tick", f"M{_p(x[2])} 4V{_p(_HIGH - 4)}")
    return _svg(shapes, about)


def row(name: str, drawn: str, text: str, *, kind: str = "") -> str:
    """Return a row of a panel: a name, what is drawn, and figures; the last two may be empty."""
    return (
        f'<div class="row {kind}"><span class="name">{escape(name)}</span>{drawn or "<span></span>"}'
        f'<span class="value">{text}</span></div>'
    )


def figure(value: Any, digits: int = 3) -> str:
    """Return a figure with a true minus sign and without needless zeros, or a dash."""
    if not is_number(value):
        return "–"
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return ("0" if text in ("-0", "") else text).replace("-", MINUS)


def fixed(value: Any, *, sign: bool = False) -> str:
    """Return a figure with three decimals, or a dash."""
    if not is_number(value):
        return "–"
    return f"{value:{'+' if sign else ''}.3f}".replace("-", MINUS)


def with_ends(one: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    """Return a figure and its interval as HTML."""
    if not one:
        return "–"
    low, high = (fixed(one.get(name), sign=sign) for name in ("low", "high"))
    return f'{fixed(one.get("value"), sign=sign)} <span class="soft">{low} to {high}</span>'


def _svg(shapes: str, about: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDE:g} {_HIGH:g}" preserveAspectRatio="none" role="img" aria-label="{escape(about)}">'
        f"{shapes}</svg>"
    )


def _path(kind: str, d: str) -> str:
    return f'<path class="{kind}" d="{d}"/>'


def _p(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
