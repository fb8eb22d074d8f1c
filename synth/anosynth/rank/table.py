"""An outcome as text: recipes, lines, kinds of defects, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._contest import Figure
from .outcome import FLOOR, LINE, RECIPE, Entry, Outcome
from .verdict import line_help, names_of

_SHOWN = ("image_auroc", "pixel_auroc", "pixel_ap", "aupro")


def table(outcome: Outcome) -> str:
    """Return the outcome as lines of text."""
    parts = [_headline(outcome)]
    if outcome.by:
        parts += ["", *_rows(_judged(outcome)), "", *_notes(outcome)]
        kinds = list(_by_kind(outcome))
        parts += ["", *_rows(kinds)] if kinds else []
    parts += ["", *_rows(_looks(outcome))] if outcome.looks else []
    parts += ["", *outcome.conclusion]
    return "\n".join(parts) + "\n"


def _headline(outcome: Outcome) -> str:
    data, about = outcome.data, outcome.protocol
    what = "photos" if about["family"] == "images" else "clouds"
    seen = f", {about['backbone']} at {about['size']} px" if what == "photos" else ""
    real = ", ".join(f"{one['samples']} {kind}" for kind, one in data["real"].items())
    judged = f"; judged on {data['test']} normal, {real}" if real else ""
    seeds = f", {about['seeds']} seed{'s' if about['seeds'] > 1 else ''}" if real else ""
    return f"{data['train']} normal {what} to learn from{judged}{seen}{seeds}"


def _judged(outcome: Outcome) -> Iterator[Sequence[str]]:
    figures = list(_SHOWN) if outcome.by in _SHOWN else [outcome.by, *_SHOWN]
    line, names = outcome.best_line, names_of(outcome.protocol)
    last = [] if line is None else [f"less {line.name}"]
    yield ["", *(f"{names[name]}{' *' if name == outcome.by else ''}" for name in figures), *last]
    for entry in outcome.entries:
        less = None if line is None else outcome.difference(entry.name, line.name)
        text = "" if less is None else f"{_signed(less.figure)} {('no', '?', 'yes')[less.sign + 1]}"
        yield [_name(entry), *(_figure(entry.figures.get(name)) for name in figures), *([text] if last else [])]


def _notes(outcome: Outcome) -> Iterator[str]:
    yield "* ranks; [95 % interval over samples and seeds]; yes, ?, no: beats the best line, unclear, loses to it"
    for name, text in line_help(outcome).items():
        yield f"{name}: {text}"
    for entry in outcome.of(RECIPE):
        lost = f", {entry.failed} could not be made" if entry.failed else ""
        own = f"{names_of(outcome.protocol)['image_auroc']} on unseen ones of its own {entry.validation:.3f}"
        yield f"{entry.name}: {entry.made} anomalies{lost}; {own}"


def _by_kind(outcome: Outcome) -> Iterator[Sequence[str]]:
    kinds = list(outcome.entries[0].kinds)
    if not kinds:
        return
    counts = outcome.data["real"]
    yield [names_of(outcome.protocol)[outcome.by], *(f"{kind} ({counts[kind]['samples']})" for kind in kinds)]
    for entry in outcome.entries:
        yield [_name(entry), *(_figure(entry.kinds[kind].get(outcome.by)) for kind in kinds)]


def _looks(outcome: Outcome) -> Iterator[Sequence[str]]:
    """Yield what anomalies are like; beside the recipes stands what the same figures say of nothing at all."""
    real = any((one.get("coverage") or {}).get("sets", {}).get("real") for one in outcome.looks.values())
    names = ["distance", "subtle", "easy", "duplicates", "vendi", *(["recall", "coverage"] if real else [])]
    # There is no such score for clouds.
    traces = ["shortcut", "of it blending"] if outcome.protocol["family"] == "images" else []
    yield ["anomalous cells", *names, *traces]
    for recipe, looks in outcome.looks.items():
        sets = (looks.get("coverage") or {}).get("sets", {})
        shortcut: Mapping[str, Any] = looks.get("shortcut") or {}
        edits, blend = shortcut.get("edits"), shortcut.get("blend")
        row = _set(sets.get("synthetic"), names)
        scores = [f"{one['value']:.3f}" if one else "-" for one in (edits, blend)]
        yield [recipe, *row, *scores[: len(traces)]]
        yield ["  (same places, untouched)", *_set(sets.get("control"), names), *("" for _ in traces)]


def _set(found: Mapping[str, Any] | None, names: Sequence[str]) -> list[str]:
    if not found:
        return ["-" for _ in names]
    texts = {"distance": f"{found['distance'][2]:.2f}"}
    for name in names:
        if name != "distance":
            value = found.get(name, {}).get("value")
            texts[name] = "-" if value is None else f"{value:.1f}" if name == "vendi" else f"{value:.2f}"
    return [texts[name] for name in names]


def _name(entry: Entry) -> str:
    return {RECIPE: "", LINE: "(line) ", FLOOR: "(floor) "}[entry.role] + entry.name


def _figure(one: Figure | None) -> str:
    return "-" if one is None else f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def _signed(one: Figure) -> str:
    return f"{one.value:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"


def _rows(rows: Any) -> list[str]:
    """Return rows of cells as lines with even columns."""
    cells = [list(row) for row in rows]
    if not cells:
        return []
    wide = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, wide, strict=True)).rstrip() for row in cells]
