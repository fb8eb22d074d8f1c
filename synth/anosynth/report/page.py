"""The page: one HTML text that holds its style, its script and its data."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from statistics import median
from typing import Any

from anosynth.report._text import (
    NONE,
    compact,
    escape,
    is_number,
    mapping,
    number,
    peak,
    percent,
    pretty_json,
    script_json,
    signed,
    thousands,
)

TABLE_ROWS = 5000
"""The most rows the page's table has; a browser cannot bear a million."""

# One scope; a kind of view is one file and a line in page.js.
_SCRIPTS = ("surfels.js", "cloud.js", "image.js", "page.js")
_STATUSES = ("made", "copied", "skipped")
_PLACE = re.compile(r"\{\{(\w+)\}\}")

Record = Mapping[str, Any]
View = Mapping[str, Any]


def render(
    title: str, header: Mapping[str, Any], rows: Sequence[Record], views: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the report as one HTML text that needs no network, no library and no second file.

    Whatever comes from outside is escaped; what UTF-8 cannot hold is replaced by U+FFFD. A content security policy
    in the page lets nothing but its own style and script run.

    Args:
        title: heading and window title.
        header: what the manifest says of the whole run; shown as it is. `anosynth` and `seed` are shown on top.
        rows: manifest records in order; any part of a record may be missing.
        views: what to draw, by record id, in the order of the cards: see `cloud_view`. The script chooses the painter
            by a view's `kind`.

    Raises:
        ValueError: a number in a view is not finite.
    """
    css, js = _asset("page.css"), _script()
    records = [mapping(row) for row in rows]
    cards = {name: index for index, name in enumerate(views)}
    by_id = {str(record.get("id")): record for record in records}
    parts = {
        "title": escape(title),
        "brand": _brand(header),
        "css": css,
        "js": js,
        "css_hash": _hash(css),
        "js_hash": _hash(js),
        "header": pretty_json(dict(header)),
        "tiles": _tiles(records),
        "statuses": _chips("status", Counter(_status(record) for record in records)),
        "generators": _chips("generator", Counter(g for g in map(_generator, records) if g != NONE)),
        "samples_note": _samples_note(len(records)),
        "rows": "\n".join(_row(record, cards) for record in _listed(records)),
        "views_note": _views_note(records, len(views)),
        "cards": "\n".join(_card(i, name, by_id.get(name, {}), views[name]) for name, i in cards.items()),
        "data": "\n".join(
            f'<script type="application/json" id="data-{i}">{script_json(views[name])}</script>'
            for name, i in cards.items()
        ),
    }
    # One pass: a name that itself reads {{js}} is never filled in.
    return _PLACE.sub(lambda match: parts[match.group(1)], _asset("page.html"))


def _asset(name: str) -> str:
    return files("anosynth.report").joinpath(name).read_text(encoding="utf-8")


def _script() -> str:
    parts = "\n".join(_asset(name) for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}}})();'


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _brand(header: Mapping[str, Any]) -> str:
    said = [f"anosynth {header['anosynth']}" if "anosynth" in header else "anosynth"]
    if "seed" in header:
        said.append(f"seed {compact(header['seed'])}")
    return " · ".join(escape(text) for text in said)


def _status(record: Record) -> str:
    return str(record.get("status", NONE))


def _generator(record: Record) -> str:
    return str(mapping(record.get("generator")).get("generator", NONE))


def _tiles(records: Sequence[Record]) -> str:
    counts = Counter(_status(record) for record in records)
    generators = {_generator(record) for record in records} - {NONE}
    labelled = [mapping(record.get("mask")).get("area") for record in records if _status(record) == "made"]
    areas = [float(area) for area in labelled if is_number(area)]
    tiles = [(name, thousands(counts[name]), name) for name in _STATUSES]
    tiles.append(("generators", thousands(len(generators)), "generator" if len(generators) == 1 else "generators"))
    if areas:
        tiles.append(("area", percent(median(areas)), "median labelled area"))
    return "".join(
        f'<li class="tile {kind}"><b>{escape(big)}</b> <span>{small}</span></li>' for kind, big, small in tiles
    )


def _chips(field: str, counts: Mapping[str, int]) -> str:
    names = sorted(counts, key=lambda name: (_STATUSES.index(name) if name in _STATUSES else len(_STATUSES), name))
    return "".join(
        f'<button type="button" class="chip" aria-pressed="false" data-field="{field}" data-value="{escape(name)}">'
        f"{escape(name)} <span>{thousands(counts[name])}</span></button>"
        for name in names
    )


def _listed(records: Sequence[Record]) -> Iterable[Record]:
    if len(records) <= TABLE_ROWS:
        return records
    # What went wrong is what one looks for: skipped samples are listed before room runs out.
    first = [i for i, record in enumerate(records) if _status(record) == "skipped"]
    rest = [i for i, record in enumerate(records) if _status(record) != "skipped"]
    return [records[i] for i in sorted((first + rest)[:TABLE_ROWS])]


def _samples_note(total: int) -> str:
    if total == 0:
        return '<p class="note">There are no samples.</p>'
    if total <= TABLE_ROWS:
        return ""
    return f'<p class="note">{thousands(TABLE_ROWS)} of {thousands(total)} samples; the manifest has them all.</p>'


def _views_note(records: Sequence[Record], shown: int) -> str:
    made = sum(_status(record) == "made" for record in records)
    if shown == 0:
        return '<p class="note">There is nothing to draw in this report.</p>'
    left_out = f"{thousands(shown)} of {thousands(made)} made samples are drawn. " if shown < made else ""
    manual = '<span class="screen">Drag to turn; click, then wheel to zoom; double click to reset.</span>'
    return f'<p class="note">{left_out}{manual}</p>'


def _data(record: Record) -> str:
    return f'data-status="{escape(_status(record))}" data-generator="{escape(_generator(record))}"'


def _drawn(record: Record) -> str:
    drawn = mapping(record.get("generator"))
    pairs = [(key, value) for key, value in drawn.items() if key not in ("generator", "version", "family")]
    return " ".join(f'<span class="kv"><i>{escape(key)}</i> {escape(compact(value))}</span>' for key, value in pairs)


def _row(record: Record, cards: Mapping[str, int]) -> str:
    name, effect = str(record.get("id", NONE)), mapping(record.get("effect"))
    shown = f'<a href="#view-{cards[name]}">{escape(name)}</a>' if name in cards else escape(name)
    source = mapping(record.get("source")).get("path")
    below = f"<small>{escape(source)}</small>" if source is not None else ""
    reason = f"<small>{escape(record['reason'])}</small>" if record.get("reason") else ""
    status = _status(record)
    mark = status if status in _STATUSES else "other"
    return (
        f"<tr {_data(record)}>"
        f'<td class="id">{shown}{below}</td>'
        f"<td>{escape(_generator(record))}</td>"
        f'<td class="n">{escape(percent(mapping(record.get("mask")).get("area")))}</td>'
        f'<td class="n">{escape(signed(peak(effect), effect.get("unit")))}</td>'
        f'<td class="drawn">{_drawn(record)}</td>'
        f'<td class="status"><b class="{mark}">{escape(status)}</b>{reason}</td>'
        "</tr>"
    )


def _card(index: int, name: str, record: Record, view: View) -> str:
    effect, mask = mapping(record.get("effect")), mapping(record.get("mask"))
    facts = [("area", percent(mask.get("area"))), ("peak", signed(peak(effect), effect.get("unit")))]
    if isinstance(mask.get("count"), int):
        facts.append(("labelled", thousands(mask["count"])))
    instances = record.get("instances")
    if isinstance(instances, Sequence) and len(instances) > 1:
        facts.append(("instances", number(len(instances))))
    listed = "".join(f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in facts if value != NONE)
    return (
        f'<article class="card" id="view-{index}" {_data(record)} aria-label="{escape(name)}">'
        f'<header><h3 title="{escape(name)}">{escape(name)}</h3><span>{escape(_generator(record))}</span></header>'
        f'<div class="stage" data-kind="{escape(view.get("kind", ""))}" data-source="data-{index}" '
        f'data-name="{escape(name)}"></div>'
        f'<dl class="facts">{listed}</dl><p class="drawn">{_drawn(record)}</p></article>'
    )
