"""The page: one HTML text that holds its style, its script and its data."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from anosynth.report._asked import SPLITS, asked_and_made
from anosynth.report._listing import STATUSES, Record, card, chips, foreground, peak_name, row, status_of
from anosynth.report._text import NONE, compact, escape, mapping, percent, pretty_json, script_json, thousands
from anosynth.report.statistics import Statistics

TABLE_ROWS = 5000
"""The most rows the page's table has; a browser cannot bear a million."""

# One scope; a kind of view is one file and a line in page.js.
_SCRIPTS = ("surfels.js", "cloud.js", "inflate.js", "layers.js", "image.js", "page.js")
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render(
    title: str,
    header: Mapping[str, Any],
    rows: Iterable[Record],
    views: Mapping[str, Mapping[str, Any]],
    section: str = "",
) -> str:
    """Return the report as one HTML text that needs no network, no library and no second file.

    Whatever comes from outside is escaped; what UTF-8 cannot hold is replaced by U+FFFD. A content security policy
    in the page lets nothing but its own style and script run.

    Args:
        title: heading and window title.
        header: what the manifest says of the whole run; shown as it is. `anosynth` and `seed` are shown on top, what
            its `recipe` asks for is compared with what was made.
        rows: manifest records in order, gone through once; any part of a record may be missing. A record may have a
            `frame`, (H, W) in pixels, in which the boxes of its instances lie.
        views: what to draw, by record id, in the order of the cards: see `cloud_view`. The script chooses the painter
            by a view's `kind`.
        section: HTML that follows "Asked and made": what a family has to show of the whole run.

    Raises:
        ValueError: a number in a view is not finite.
    """
    css, js = _asset("page.css"), _script()
    statistics, listing = Statistics(header), _Listing(views)
    for record in map(mapping, rows):
        statistics.add(record)
        listing.add(record)
    family = statistics.family
    cards = {name: index for index, name in enumerate(views)}
    by_id = listing.drawn
    parts = {
        "title": escape(title),
        "brand": _brand(header),
        "css": css,
        "js": js,
        "css_hash": _hash(css),
        "js_hash": _hash(js),
        "header": pretty_json(dict(header)),
        "tiles": _tiles(statistics),
        "filters": _filters(statistics),
        "asked": asked_and_made(statistics, header),
        "foreground": foreground(header, statistics.foreground, views) + section,
        "samples_note": _samples_note(sum(statistics.statuses.values())),
        "peak": peak_name(family),
        "rows": "\n".join(row(r, cards, statistics.fixed(r), family) for r in listing.listed()),
        "no_views": "" if views else " hidden",
        "views_note": _views_note(statistics, views),
        "cards": "\n".join(
            card(i, name, by_id.get(name, {}), views[name], statistics.fixed(by_id.get(name, {})), family)
            for name, i in cards.items()
        ),
        "data": "\n".join(
            f'<script type="application/json" id="data-{i}">{script_json(views[name])}</script>'
            for name, i in cards.items()
        ),
    }
    # One pass: a name that itself reads {{js}} is never filled in.
    return _PLACE.sub(lambda match: parts[match.group(1)], _asset("page.html"))


class _Listing:
    """Of all records, those that the table lists and those that have a view."""

    def __init__(self, views: Mapping[str, Any]) -> None:
        self._views = views
        self.drawn: dict[str, Record] = {}
        # A record as text takes a tenth of the memory that it takes as a mapping.
        self._first: list[tuple[int, bytes]] = []
        self._rest: list[tuple[int, bytes]] = []
        self._seen = 0

    def add(self, record: Record) -> None:
        name = str(record.get("id"))
        if name in self._views:
            self.drawn[name] = record
        into = self._first if status_of(record) == "skipped" else self._rest
        if len(into) < TABLE_ROWS:
            into.append((self._seen, zlib.compress(json.dumps(record, default=str).encode(), 1)))
        self._seen += 1

    def listed(self) -> Iterator[Record]:
        # What went wrong is what one looks for: skipped samples are listed before room runs out.
        chosen = sorted((self._first + self._rest)[:TABLE_ROWS], key=lambda item: item[0])
        return (json.loads(zlib.decompress(text)) for _, text in chosen)


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


def _tiles(seen: Statistics) -> str:
    used = sum(bool(one.made or one.skipped) for name, one in seen.generators.items() if name != NONE)
    tiles = [(name, thousands(seen.statuses[name]), name) for name in STATUSES]
    tiles.append(("generators", thousands(used), "generator" if used == 1 else "generators"))
    middle = seen.area.kept.median()
    if middle is not None:
        tiles.append(("area", percent(middle), "median labelled area"))
    return "".join(
        f'<li class="tile {kind}"><b>{escape(big)}</b> <span>{small}</span></li>' for kind, big, small in tiles
    )


def _filters(seen: Statistics) -> str:
    generators = {name: one.made + one.skipped for name, one in seen.generators.items()}
    groups: list[tuple[str, str, Mapping[str, int], tuple[str, ...]]] = [
        ("status", "statuses", seen.statuses, STATUSES),
        ("split", "splits", {name: sum(counts.values()) for name, counts in seen.splits.items()}, SPLITS),
        ("generator", "generators", {name: count for name, count in generators.items() if count}, ()),
    ]
    return "".join(
        f'<div class="chips" role="group" aria-label="Show only these {plural}">{chips(field, counts, order)}</div>'
        for field, plural, counts, order in groups
        # A filter by the one split that there is would filter nothing.
        if len(counts) > (field == "split")
    )


def _samples_note(total: int) -> str:
    if total == 0:
        return '<p class="note">There are no samples.</p>'
    if total <= TABLE_ROWS:
        return ""
    return f'<p class="note">{thousands(TABLE_ROWS)} of {thousands(total)} samples; the manifest has them all.</p>'


def _views_note(seen: Statistics, views: Mapping[str, Mapping[str, Any]]) -> str:
    made = seen.statuses["made"]
    left_out = f"{thousands(len(views))} of {thousands(made)} made samples are drawn. " if len(views) < made else ""
    manuals = {
        "cloud": "Drag to turn; click, then wheel to zoom; double click to reset.",
        "image": "Click to enlarge the defect, click again for the whole; drag to move; click, then wheel to zoom.",
    }
    kinds = Counter(str(view.get("kind")) for view in views.values())
    manual = " ".join(text for kind, text in manuals.items() if kind in kinds)
    return f'<p class="note">{left_out}<span class="screen">{manual}</span></p>'
