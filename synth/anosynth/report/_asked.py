"""The section "Asked and made": what the recipe asked for beside what the run made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from anosynth.report._bins import Sizes, Spans, Texts
from anosynth.report._charts import heat, meter, sizes, spans
from anosynth.report._text import NONE, compact, escape, is_number, number, percent, thousands
from anosynth.report.statistics import OfGenerator, Reason, Statistics

SPLITS = ("train", "validation", "test")


def asked_and_made(seen: Statistics, header: Mapping[str, Any]) -> str:
    """Return the section, or nothing if the records tell of no anomalies."""
    shown = {name: one for name, one in seen.generators.items() if one.made or one.skipped or one.share is not None}
    if not seen.statuses["made"] + seen.statuses["skipped"]:
        return ""
    note = "Of all samples in the manifest, whatever is filtered."
    chances = {name: seen.chance(one) for name, one in shown.items()}
    odd = [name for name, one in shown.items() if _odd(one, chances[name])]
    if any(one.share is not None for one in shown.values()):
        note += (
            f" Drawn more or less often than chance explains: {', '.join(odd)}."
            if odd
            else " All generators were drawn as often as asked, within what chance leaves."
        )
    top = max([_share(seen, one) for one in shown.values()] + [one.share or 0.0 for one in shown.values()] + [1e-9])
    rows = "".join(_generator(seen, name, one, chances[name], top, len(shown) == 1) for name, one in shown.items())
    return (
        '<section class="asked" aria-labelledby="asked-title"><h2 id="asked-title">Asked and made</h2>'
        f'<p class="note">{escape(note)}</p>'
        f'<div class="panels">{_panels(seen, header)}</div><div class="gens">{rows}</div></section>'
    )


def change_name(family: str) -> str:
    """Return how a family calls the sizes of changes that `Statistics` gathers."""
    return {"images": "Mean change", "pointclouds": "Peak height"}.get(family, "Largest effect")


def _panels(seen: Statistics, header: Mapping[str, Any]) -> str:
    panels = [_sizes_figure("Labelled area", seen.area, percent)]
    mixed = ", in each file's unit" if len(seen.units) > 1 and seen.family != "images" else ""
    panels.append(_sizes_figure(change_name(seen.family) + mixed, seen.change, _of_change(seen)))
    if seen.places.total:
        panels.append(_places(seen))
    if seen.attempts:
        panels.append(_panel("Draws needed", _attempts(seen)))
    if len(_split_names(seen, header)) > 1:
        panels.append(_panel("Splits", _splits(seen, header)))
    if seen.reasons:
        panels.append(_panel(f"Skipped, {thousands(seen.statuses['skipped'])}", _reasons(seen.reasons), "wide"))
    return "".join(panels)


def _panel(title: str, inside: str, cls: str = "") -> str:
    return f'<figure class="panel {cls}"><figcaption>{escape(title)}</figcaption>{inside}</figure>' if inside else ""


def _of_change(seen: Statistics) -> Any:
    if seen.family == "images":
        return percent
    unit = next(iter(seen.units)) if len(seen.units) == 1 else ""
    return lambda value: f"{number(value)} {unit}".strip()


def _sizes_figure(title: str, seen: Sizes, say: Any) -> str:
    if not seen.counts:
        return ""
    # Not the ends of the bins, which lie beyond: no photo is labelled by more than all of it.
    low, high = seen.least, seen.most
    median = f"median {say(seen.kept.median())}" + (f"; {thousands(seen.none)} of 0" if seen.none else "")
    about = f"{title} of {thousands(sum(seen.counts.values()))} samples, {say(low)} to {say(high)}, {median}"
    return _panel(title, sizes(seen, about) + _ends(say(low), median, say(high)))


def _ends(low: str, between: str, high: str) -> str:
    said = escape(between).replace(" %", "&nbsp;%")
    return f'<p class="ends"><span>{escape(low)}</span><b>{said}</b><span>{escape(high)}</span></p>'


def _places(seen: Statistics) -> str:
    total = thousands(seen.places.total)
    defects = "defect" if seen.places.total == 1 else "defects"
    said = f"middles of {total} {defects} in the frame"
    return _panel("Where defects lie", heat(seen.places, f"Map of the {said}") + f'<p class="ends"><b>{said}</b></p>')


def _attempts(seen: Statistics) -> str:
    counted = sum(seen.attempts.values())
    return _bars({_ordinal(n): count for n, count in sorted(seen.attempts.items())}, counted, {})


def _ordinal(count: int) -> str:
    return "first draw" if count == 1 else f"{count} draws"


def _bars(counts: Mapping[str, int], total: int, marks: Mapping[str, float]) -> str:
    """Return a list of labelled bars, with ticks at the shares that were asked for."""
    rows = ""
    for name, count in counts.items():
        share, mark = count / total if total else 0.0, marks.get(name)
        about = f"{name}: {thousands(count)}, {percent(share)}" + ("" if mark is None else f", asked {percent(mark)}")
        rows += (
            f'<li><span>{escape(name)}</span>{meter(share, mark, about)}<span class="n">{thousands(count)}</span></li>'
        )
    return f'<ul class="meters">{rows}</ul>'


def _shares(header: Mapping[str, Any]) -> dict[str, float]:
    """Return which share of the sources each split was to have; none if the header does not tell."""
    shares = header.get("split")
    told = dict(zip(SPLITS, shares, strict=False)) if isinstance(shares, Sequence) else {}
    return {name: float(share) for name, share in told.items() if is_number(share)}


def _split_names(seen: Statistics, header: Mapping[str, Any]) -> list[str]:
    """Return the splits that samples are in or were to be in, training first."""
    names = {*seen.splits, *(name for name, share in _shares(header).items() if share > 0 and seen.splits)}
    return sorted(names, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))


def _splits(seen: Statistics, header: Mapping[str, Any]) -> str:
    asked = _shares(header)
    statuses = [s for s in ("made", "copied") if any(counts[s] for counts in seen.splits.values())]
    head = "".join(f'<th scope="col" class="n">{name}</th>' for name in [*statuses, *(["asked"] if asked else [])])
    rows = ""
    for name in _split_names(seen, header):
        cells = [thousands(seen.splits[name][status] if name in seen.splits else 0) for status in statuses]
        cells += [percent(asked.get(name))] if asked else []
        rows += f'<tr><th scope="row">{escape(name)}</th>' + "".join(f'<td class="n">{c}</td>' for c in cells) + "</tr>"
    small = '<p class="ends"><b>asked of the sources, which what is made follows</b></p>' if asked else ""
    return f'<table class="small"><thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>{small}'


def _reasons(reasons: Mapping[str | None, Reason]) -> str:
    rows = ""
    for reason in sorted(reasons.values(), key=lambda one: -one.count):
        names = ", ".join(f"{name} {thousands(count)}" for name, count in reason.generators.most_common(6))
        more = ", ..." if len(reason.generators) > 6 else ""
        alike = "; figures differ" if reason.alike else ""
        rows += (
            f'<li><b class="n">{thousands(reason.count)}</b><span>{escape(reason.text)}'
            f"<small>{escape(names + more + alike)}</small></span></li>"
        )
    return f'<ul class="reasons">{rows}</ul>'


def _share(seen: Statistics, one: OfGenerator) -> float:
    total = sum(g.made + g.skipped for g in seen.generators.values())
    return (one.made + one.skipped) / total if total else 0.0


def _odd(one: OfGenerator, chance: tuple[float, int, int] | None) -> bool:
    return chance is not None and not chance[1] <= one.made + one.skipped <= chance[2]


def _generator(
    seen: Statistics, name: str, one: OfGenerator, chance: tuple[float, int, int] | None, top: float, alone: bool
) -> str:
    share = _share(seen, one)
    drawn = one.made + one.skipped
    if chance is None:
        said, about = "not in the recipe", f"{name}: {percent(share)} of all, not in the recipe"
    else:
        mean, low, high = chance
        bounds = f", chance leaves {thousands(low)} to {thousands(high)}" if low < high else ""
        said = f"asked {percent(one.share)}, expected {_mean(mean)}{bounds}"
        about = f"{name}: {percent(share)} of all, asked {percent(one.share)}"
    odd = _odd(one, chance)
    verdict = '<b class="off">not by chance</b>' if odd else ""
    skipped = f'<span class="lost">{thousands(one.skipped)} skipped</span>' if one.skipped else ""
    figures = "".join(_figure(key, value) for key, value in one.drawn.items() if value.total)
    figures += _sizes_figure("Labelled area", one.area, percent)
    figures += _sizes_figure(change_name(seen.family), one.change, _of_change(seen))
    fixed = " ".join(
        f'<span class="kv"><i>{escape(key)}</i> {escape(compact(value)) or NONE}</span>'
        for key, value in one.fixed.items()
    )
    return (
        f'<details class="gen"{" open" if alone else ""} data-generator="{escape(name)}" '
        f'data-made="{one.made}" data-drawn="{drawn}">'
        f"<summary><b>{escape(name)}</b>{meter(share / top, None if chance is None else (one.share or 0) / top, about)}"
        f'<span class="n">{thousands(one.made)} made</span><span class="said">{escape(said)} {verdict}{skipped}</span>'
        f'</summary><div class="panels">{figures or "<p>None was made.</p>"}</div>'
        + (f'<p class="drawn">Fixed: {fixed}</p>' if fixed else "")
        + "</details>"
    )


def _mean(mean: float) -> str:
    return number(round(mean, 1) if mean < 100 else round(mean))


def _figure(name: str, seen: Spans | Texts) -> str:
    if isinstance(seen, Texts):
        counts = {text: seen.counts.get(text, 0) for text in [*seen.asked, *sorted(set(seen.counts) - set(seen.asked))]}
        return _panel(name, _bars(counts, seen.total, {text: seen.asked.get(text, 0.0) for text in counts}))
    unit = f" {seen.unit}" if seen.unit else ""
    asked = " and ".join(f"{compact(low)} to {compact(high)}{unit}" for low, high, _ in seen.ranges)
    drawn = f"{compact(seen.least)} to {compact(seen.most)}{unit}"
    law = ", logarithmic" if seen.log else ""
    outside = f"; {thousands(sum(seen.outside))} outside" if any(seen.outside) else ""
    about = f"{name}: {thousands(seen.total)} values from {drawn}, asked {asked}{law}{outside}"
    return (
        f'<figure class="panel"><figcaption>{escape(name)}</figcaption>{spans(seen, about)}'
        f'<p class="ends inner"><span>{escape(compact(seen.low) + unit)}</span><b>{escape(law[2:] + outside)}</b>'
        f"<span>{escape(compact(seen.high) + unit)}</span></p></figure>"
    )
