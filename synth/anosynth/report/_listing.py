"""The table of samples and the cards of their views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anosynth.report._bins import Foreground
from anosynth.report._text import (
    NONE,
    clean,
    compact,
    escape,
    mapping,
    number,
    one_line,
    peak,
    percent,
    signed,
    thousands,
)

Record = Mapping[str, Any]
View = Mapping[str, Any]

STATUSES = ("made", "copied", "skipped")
FOUND, WHOLE = "part found", "whole image"


def status_of(record: Record) -> str:
    return str(record.get("status", NONE))


def generator_of(record: Record) -> str:
    return str(mapping(record.get("generator")).get("generator", NONE))


def peak_name(family: str) -> str:
    """Return how a family calls the largest signed effect."""
    return {"images": "Largest change", "pointclouds": "Peak height"}.get(family, "Largest effect")


def row(record: Record, cards: Mapping[str, int], fixed: Mapping[str, Any], family: str) -> str:
    """Return a table row; values of the generator that equal `fixed` ones are left to "Asked and made"."""
    name, effect = str(record.get("id", NONE)), mapping(record.get("effect"))
    shown = f'<a href="#view-{cards[name]}">{escape(name)}</a>' if name in cards else escape(name)
    source = mapping(record.get("source")).get("path")
    below = f"<small>{escape(source)}</small>" if source is not None else ""
    reason = f"<small>{escape(one_line(record['reason']))}</small>" if record.get("reason") else ""
    status = status_of(record)
    mark = status if status in STATUSES else "other"
    split = escape(record["split"]) if record.get("split") else NONE
    return (
        f"<tr {_data(record)}>"
        f'<td class="id">{shown}{below}</td>'
        f"<td>{escape(generator_of(record))}</td>"
        f"<td>{split}</td>"
        f'<td class="n">{escape(percent(mapping(record.get("mask")).get("area")))}</td>'
        f'<td class="n">{escape(_change(effect, family))}</td>'
        f'<td class="drawn">{_values(record, fixed)[0]}</td>'
        f'<td class="status"><b class="{mark}">{escape(status)}</b>{reason}</td>'
        "</tr>"
    )


def card(index: int, name: str, record: Record, view: View, fixed: Mapping[str, Any], family: str) -> str:
    """Return the card of a view, with what never varies behind a toggle."""
    effect, mask = mapping(record.get("effect")), mapping(record.get("mask"))
    facts = [("area", percent(mask.get("area"))), (peak_name(family).lower(), _change(effect, family))]
    if isinstance(mask.get("count"), int):
        facts.append(("labelled", thousands(mask["count"])))
    instances = record.get("instances")
    if isinstance(instances, Sequence) and len(instances) > 1:
        facts.append(("instances", number(len(instances))))
    if "foreground" in view:
        share = view["foreground"]
        facts.append(("foreground", WHOLE if share is None else percent(share)))
    listed = "".join(f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in facts if value != NONE)
    varied, further, count = _values(record, fixed)
    values = "1 fixed value" if count == 1 else f"{count} fixed values"
    more = f'<details class="more"><summary>{values}</summary>{further}</details>' if count else ""
    part = f' data-part="{part_of(view)}"' if "foreground" in view else ""
    return (
        f'<article class="card" id="view-{index}" {_data(record)}{part} aria-label="{escape(name)}">'
        f'<header><h3 title="{escape(name)}">{escape(name)}</h3><span>{escape(generator_of(record))}</span></header>'
        f'<div class="stage" data-kind="{escape(view.get("kind", ""))}" data-source="data-{index}" '
        f'data-name="{escape(name)}"></div>'
        f'<dl class="facts">{listed}</dl><p class="drawn">{varied}</p>{more}</article>'
    )


def part_of(view: View) -> str:
    """Return whether defects of a view may lie on a part of the photo only."""
    return WHOLE if view["foreground"] is None else FOUND


def chips(field: str, counts: Mapping[str, int], order: Sequence[str] = STATUSES) -> str:
    """Return buttons that filter by a field's values: those of `order` first, then by name."""
    names = sorted(counts, key=lambda name: (order.index(name) if name in order else len(order), name))
    return "".join(
        f'<button type="button" class="chip" aria-pressed="false" data-field="{field}" data-value="{escape(name)}">'
        f"{escape(name)} <span>{thousands(counts[name])}</span></button>"
        for name in names
    )


def _change(effect: Mapping[str, Any], family: str) -> str:
    value = peak(effect)
    if family != "images":
        return signed(value, effect.get("unit"))
    return signed(None if value is None else 100.0 * value, "%")


def _data(record: Record) -> str:
    split = f' data-split="{escape(record["split"])}"' if record.get("split") else ""
    return f'data-status="{escape(status_of(record))}" data-generator="{escape(generator_of(record))}"{split}'


def _values(record: Record, fixed: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return what was drawn, what never varies, and the number of the latter."""
    drawn = mapping(record.get("generator"))
    pairs = [(key, value) for key, value in drawn.items() if key not in ("generator", "version", "family")]
    same = [key for key, value in pairs if key in fixed and compact(fixed[key]) == compact(value)]
    varied = " ".join(_pair(key, value) for key, value in pairs if key not in same)
    return varied, " ".join(_pair(key, value) for key, value in pairs if key in same), len(same)


def _pair(key: str, value: object) -> str:
    text = compact(value)
    return f'<span class="kv"><i>{escape(key)}</i> {escape(text) if clean(text).strip() else NONE}</span>'


def foreground(header: Mapping[str, Any], seen: Foreground, views: Mapping[str, View]) -> str:
    """Return the section on where defects may lie on photos; nothing if neither records nor views tell."""
    drawn = [view for view in views.values() if "foreground" in view]
    if not drawn and not seen.found:
        return ""
    counts = {kind: sum(part_of(view) == kind for view in drawn) for kind in (FOUND, WHOLE)}
    how = {"auto": "found in each photo by itself", "none": "not looked for"}
    given = str(header.get("foreground", ""))
    said = [how.get(given, f"given by {given}")] if given else []
    said += [f"{name} {header[name]}" for name in ("roi", "exclude", "prior") if header.get(name)]
    tiles = (
        f'<li class="tile"><b>{thousands(seen.found)} of {thousands(seen.photos)}</b> '
        "<span>photos in which a part was found</span></li>"
    )
    middle = seen.shares.median()
    if middle is not None:
        ends = f", {percent(seen.least)} to {percent(seen.most)}" if seen.found > 1 else ""
        tiles += f'<li class="tile"><b>{percent(middle)}</b> <span>of the frame is the part (median){ends}</span></li>'
    note = f"Where defects may lie: {'; '.join(said)}. " if said else "Where defects may lie. "
    if seen.found < seen.photos:
        note += "Where no part was found, anywhere: the whole image. "
    outlines = (
        '<button type="button" class="chip" id="outlines" aria-pressed="false" hidden>outline it in all views</button>'
    )
    return (
        '<section aria-labelledby="part-title"><h2 id="part-title">Foreground</h2>'
        f'<p class="note">{escape(note)}</p><ul class="tiles">{tiles}</ul>'
        '<div class="chips screen" role="group" aria-label="Show only the views of such photos">'
        f"{chips('part', counts, (FOUND, WHOLE)) if all(counts.values()) else ''}"
        f"{outlines if counts[FOUND] else ''}</div></section>"
    )
