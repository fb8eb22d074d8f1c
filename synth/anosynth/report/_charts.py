"""Small charts as SVG text: no script, no style but the page's classes, described for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from anosynth.report._bins import Places, Sizes, Spans
from anosynth.report._text import escape

_WIDTH, _HEIGHT, _FOOT = 200.0, 48.0, 6.0
_GAP = 0.12  # of a bar's width
_LEVELS = 8
_SIDE = 0.07  # of the width, left and right of the asked range, for what lies outside of it


def bars(counts: Sequence[int], *, foot: str = "", over: str = "", about: str, left: float = 0.0) -> str:
    """Return a histogram: one path of bars from `left` to 1 - `left` of the width, `foot` below and `over` above it."""
    top = max(max(counts, default=0), 1)
    step = _WIDTH * (1 - 2 * left) / max(len(counts), 1)
    path = "".join(
        _box(_WIDTH * left + (i + _GAP / 2) * step, step * (1 - _GAP), count / top)
        for i, count in enumerate(counts)
        if count
    )
    shapes = f'<path class="bars" d="{path}"/>' if path else ""
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(about)}">{shapes}{over}{foot}</svg>'
    )


def spans(seen: Spans, about: str) -> str:
    """Return the histogram of drawn numbers, with the asked ranges marked below it and what lies outside in red.

    A dashed line shows the mean height of the bars of a single range, all of which are equally likely.
    """
    top = max(*seen.counts, 1) if seen.counts else 1
    inner = 1 - 2 * _SIDE
    marks = ""
    for low, high, _ in seen.ranges:
        a, b = (_WIDTH * (_SIDE + inner * seen.at(end)) for end in _shown_ends(seen, low, high))
        y = _HEIGHT - _FOOT / 2
        marks += f"M{_p(a)} {_p(y - 3)}V{_p(_HEIGHT)}M{_p(a)} {_p(y)}H{_p(b)}M{_p(b)} {_p(y - 3)}V{_p(_HEIGHT)}"
    over = ""
    even = len(seen.ranges) == 1 and seen.counts and (not seen.whole or (not seen.log and _fits(seen)))
    if even:
        y = _level(sum(seen.counts) / len(seen.counts) / top)
        over += f'<path class="even" d="M{_p(_WIDTH * _SIDE)} {_p(y)}H{_p(_WIDTH * (1 - _SIDE))}"/>'
    beyond = "".join(
        _box(x * _WIDTH, _WIDTH * _SIDE * 0.6, min(count / top, 1.0))
        for x, count in ((_SIDE * 0.1, seen.outside[0]), (1 - _SIDE * 0.7, seen.outside[1]))
        if count
    )
    if beyond:
        over += f'<path class="beyond" d="{beyond}"/>'
    return bars(seen.counts, foot=f'<path class="asked" d="{marks}"/>', over=over, about=about, left=_SIDE)


def sizes(seen: Sizes, about: str) -> str:
    """Return the histogram of numbers over a logarithmic axis, with a mark at their median."""
    low, high, counts = seen.bins()
    foot, median = f'<path class="axis" d="M0 {_p(_HEIGHT - _FOOT)}H{_p(_WIDTH)}"/>', seen.kept.median()
    if median and median > 0:
        # A single bar stands for one value or little more, wherever in its bin that lies.
        place = min(max(math.log(median / low) / math.log(high / low), 0), 1) if len(counts) > 1 else 0.5
        x = _WIDTH * place
        foot += f'<path class="median" d="M{_p(x)} 0V{_p(_HEIGHT)}"/>'
    return bars(counts, foot=foot, about=about)


def meter(share: float, mark: float | None, about: str) -> str:
    """Return a bar that fills `share` of its width, with a tick at `mark`."""
    tick = "" if mark is None else f'<path class="tick" d="M{_p(100 * min(mark, 1.0))} 0V10"/>'
    return (
        f'<svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="{escape(about)}">'
        f'<path class="rail" d="M0 5H100"/><path class="fill" d="M0 5H{_p(100 * min(share, 1.0))}"/>{tick}</svg>'
    )


def heat(seen: Places, about: str) -> str:
    """Return a map of where things lie in the frame, in the frames' usual proportions."""
    cells, top = len(seen.counts), max(map(max, seen.counts)) or 1
    aspect = min(max(seen.aspect.median() or 1.0, 0.25), 4.0)
    width, height = (100.0, 100.0 / aspect) if aspect >= 1 else (100.0 * aspect, 100.0)
    dx, dy = width / cells, height / cells
    levels: list[list[str]] = [[] for _ in range(_LEVELS)]
    for y, row in enumerate(seen.counts):
        for x, count in enumerate(row):
            if count:
                # By the square root: a single defect in a cell must still be seen beside a hundred.
                level = min(_LEVELS - 1, math.ceil(math.sqrt(count / top) * _LEVELS) - 1)
                levels[level].append(f"M{_p(x * dx)} {_p(y * dy)}h{_p(dx)}v{_p(dy)}h{_p(-dx)}z")
    shapes = "".join(
        f'<path d="{"".join(paths)}" fill-opacity="{_p((i + 1.5) / (_LEVELS + 0.5))}"/>'
        for i, paths in enumerate(levels)
        if paths
    )
    return (
        f'<svg class="heat" viewBox="0 0 {_p(width)} {_p(height)}" role="img" aria-label="{escape(about)}">'
        f'<rect class="ground" width="{_p(width)}" height="{_p(height)}"/>{shapes}</svg>'
    )


def _fits(seen: Spans) -> bool:
    return (int(seen.high) - int(seen.low) + 1) % seen.wide == 0


def _shown_ends(seen: Spans, low: float, high: float) -> tuple[float, float]:
    if not seen.whole:
        return low, high
    # A whole number's bar reaches half a step to either side of it; in the logarithm, from it to the next.
    return (low, high + 1) if seen.log else (low - 0.5, high + 0.5)


def _level(share: float) -> float:
    return (_HEIGHT - _FOOT) * (1 - share)


def _box(x: float, width: float, share: float) -> str:
    # What is there at all is to be seen.
    y = min(_level(share), _HEIGHT - _FOOT - 1.5)
    return f"M{_p(x)} {_p(_HEIGHT - _FOOT)}V{_p(y)}h{_p(width)}V{_p(_HEIGHT - _FOOT)}z"


def _p(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
