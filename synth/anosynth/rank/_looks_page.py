"""The part of the page that needs no real defects: what the anomalies of each recipe are like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anosynth.report._text import is_number, percent

from ._charts import Axis, bar, box, figure, fixed, interval, row, spanning, with_ends

Record = Mapping[str, Any]

_BARS = {
    "subtle": ("Too subtle", "Share of anomalous cells that are as near to normal ones as 19 in 20 normal ones are."),
    "easy": ("Too easy", "Share of anomalous cells far beyond that bound: nothing to learn from."),
    "duplicates": ("Near-duplicates", "Share of anomalous cells with a twin in another anomaly."),
    "vendi": ("Diversity", "Effective number of different cells (Vendi score); bars are shares of the largest."),
    "coverage": ("Coverage of the real defects", "Share of real anomalous cells with a synthetic one near by."),
    "recall": ("Recall of the real defects", "Share of real anomalous cells within the reach of the synthetic ones."),
    "precision": ("Precision", "Share of synthetic anomalous cells within the reach of the real ones."),
}


def sections(record: Record) -> Iterator[str]:
    """Yield the sections."""
    looks = record.get("looks") or {}
    sets = {name: found["sets"] for name, one in looks.items() if (found := (one or {}).get("coverage"))}
    if sets:
        yield _distances({name: looks[name]["coverage"] for name in sets})
        yield _shares(sets)
    shortcuts = {name: found for name, one in looks.items() if (found := (one or {}).get("shortcut"))}
    if shortcuts:
        yield _shortcuts(shortcuts)


def _distances(found: Mapping[str, Record]) -> str:
    values = [value for one in found.values() for rows in one["sets"].values() for value in rows["distance"]]
    bounds = [one["protocol"][name] for one in found.values() for name in ("subtle_below", "easy_above")]
    axis = Axis(max(min(*values, *bounds) * 0.9, 1e-3), max(*values, *bounds) * 1.1, log=True)
    rows = ""
    first = next(iter(found.values()))
    for name, one in found.items():
        lines = [("other", one["protocol"]["subtle_below"]), ("best", one["protocol"]["easy_above"])]
        rows += _box_row(axis, name, one["sets"]["synthetic"]["distance"], lines)
        rows += _box_row(axis, "same places, untouched", one["sets"]["control"]["distance"], lines, "control")
    if "real" in first["sets"]:
        lines = [("other", first["protocol"]["subtle_below"]), ("best", first["protocol"]["easy_above"])]
        rows += _box_row(axis, "real defects", first["sets"]["real"]["distance"], lines)
    return (
        "<section>\n<h2>How far the anomalies lie from normal</h2>\n"
        '<p class="soft">Distance of anomalous cells to the nearest normal ones, in medians of the same among normal '
        "cells: from 5 to 95 %, box from 25 to 75 %, tick at the middle. Left of the dashed line 19 in 20 normal cells "
        "lie; right of the solid one an anomaly is easy. Untouched cells under the same masks are what doing nothing "
        f'looks like.</p>\n<div class="panels"><div class="panel">{rows}{_ends(axis)}</div></div>\n</section>'
    )


def _box_row(axis: Axis, name: str, quantiles: Sequence[float], lines: Any, kind: str = "") -> str:
    text = ", ".join(figure(value, 2) for value in quantiles)
    return row(name, box(axis, quantiles, f"{name}: {text}", lines=lines), figure(quantiles[2], 2), kind=kind)


def _ends(axis: Axis) -> str:
    return f'<div class="ends"><span>{figure(axis.low, 2)}</span><span>{figure(axis.high, 2)}</span></div>'


def _shares(found: Mapping[str, Mapping[str, Record]]) -> str:
    panels = []
    for name, (title, about) in _BARS.items():
        rows, most, show = "", 1.0, _share
        if name == "vendi":
            every = [(one.get(name) or {}).get("value") for sets in found.values() for one in sets.values()]
            most, show = max((value for value in every if is_number(value)), default=1.0), _number
        for recipe, sets in found.items():
            value = (sets["synthetic"].get(name) or {}).get("value")
            mark = (sets["control"].get(name) or {}).get("value")
            if is_number(value):
                told = f"{recipe}: {title} {show(value)}, untouched {show(mark)}"
                shown = f'{show(value)} <span class="soft">/ {show(mark)}</span>'
                rows += row(recipe, bar(value / most, mark / most if is_number(mark) else None, told), shown)
        if rows:
            panels.append(f'<div class="panel"><h3>{title}</h3><p class="soft">{about}</p>{rows}</div>')
    return (
        "<section>\n<h2>What the anomalies cover</h2>\n"
        '<p class="soft">In the same features, within the masks alone. The tick, and the second figure, is what '
        "untouched cells reach: a recipe whose bar ends at its tick is no different from doing nothing.</p>\n"
        f'<div class="panels shares">{"".join(panels)}</div>\n</section>'
    )


def _share(value: Any) -> str:
    return percent(round(value, 3)) if is_number(value) else "–"


def _number(value: Any) -> str:
    return f"{value:.1f}" if is_number(value) else "–"


def _shortcuts(found: Mapping[str, Record]) -> str:
    every = [part for one in found.values() for part in (one.get("edits"), one.get("blend")) if part]
    axis = spanning([0.5, 1.0, *(part[name] for part in every for name in ("low", "chance"))])
    panels = []
    for key, title, about in (
        ("edits", "Edits", "The edited photos against the same photos untouched: all that rims and noise give away."),
        ("blend", "Compositing alone", "Edits that show nothing but normal content, by the same blending and mask."),
    ):
        rows = ""
        for recipe, one in found.items():
            part = one.get(key)
            if part:
                groups = ", ".join(f"{name} {figure(v, 2)}" for name, v in part["groups"].items())
                told = f"{recipe}: AUROC {fixed(part['value'])}, by chance below {fixed(part['chance'])}"
                text = f'{with_ends(part)} <span class="soft under">{groups}</span>'
                rows += row(recipe, interval(axis, part, told, lines=[("other", part["chance"])]), text)
        if rows:
            ends = f'<div class="panel long"><h3>{title}</h3><p class="soft">{about}</p>{rows}{axis.ends()}</div>'
            panels.append(ends)
    return (
        "<section>\n<h2>Shortcut: what compositing gives away</h2>\n"
        '<p class="soft">AUROC of a probe that sees only traces of compositing: the rim of the mask, noise inside of '
        "it, compression outside. 0.5 is nothing; the dashed line is what chance stays below. A defect with sharp "
        "edges has a rim by nature: compositing alone is what must be low.</p>\n"
        f'<div class="panels">{"".join(panels)}</div>\n'
        "</section>"
    )
