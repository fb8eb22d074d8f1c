"""The parts of the page that speak of real defects: figures, kinds, differences, and what was missed."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anosynth.report._text import escape, is_number, mapping, percent

from ._charts import Axis, fixed, interval, row, spanning, with_ends
from .verdict import NAMES, names_of

Record = Mapping[str, Any]
Pictures = Mapping[tuple[str, str], Sequence[bytes]]
"""(recipe, sample) to PNG or JPEG files: the sample with its mask, and with its scores."""

_HEAT = 8
_LINES = {"best": "best line without synthesis", "other": "line without synthesis", "below": "floor, no features"}


def sections(record: Record, pictures: Pictures) -> Iterator[str]:
    """Yield the sections of a ranking on real defects."""
    yield _table(record)
    yield _plots(record)
    yield _differences(record)
    yield _kinds(record)
    yield _missed(record, pictures)


def entries(record: Record, role: str = "") -> list[Record]:
    """Return the entries of a role, or all."""
    return [one for one in record.get("entries") or [] if not role or one.get("role") == role]


def _table(record: Record) -> str:
    by, line = record["by"], record.get("best_line")
    names, photos = (
        names_of(mapping(record.get("protocol"))),
        mapping(record.get("protocol")).get("family") != "pointclouds",
    )
    known = [name for name in NAMES if any((one.get("figures") or {}).get(name) for one in entries(record))]
    against = {one["a"]: one for one in record.get("against") or [] if one["b"] == line}
    heads = [f"{names[name]}{' *' if name == by else ''}" for name in known]
    heads += [f"less {line}", "unseen ones of its own", "anomalies made"]
    rows = []
    for one in entries(record):
        figures, role = one.get("figures") or {}, one["role"]
        name = one["name"] if role == "recipe" else f"{one['name']} ({role})"
        cells = [with_ends(figures.get(figure)) for figure in known]
        if role == "recipe":
            lost = f' <span class="soft">{one["failed"]} could not be made</span>' if one.get("failed") else ""
            cells += [_difference(against.get(one["name"])), fixed(one.get("validation")), f"{one.get('made')}{lost}"]
        else:
            cells += ["", "", ""]
        body = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        rows.append(f'<tr class="{role}"><th scope="row">{escape(name)}</th>{body}</tr>')
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in ["", *heads])
    level = percent(record.get("protocol", {}).get("level", 0.95))
    return (
        "<section>\n<h2>Figures</h2>\n"
        f'<p class="soft">With {level} intervals over resampled test samples and seeds. * the order goes by this. '
        "Lines learn from normal samples alone; the floor sees no features, only "
        f"{'grey levels' if photos else 'sizes'} as a whole. "
        f"Unseen ones: {names['image_auroc']} on the recipe's own anomalies of normal samples that its head was not "
        "trained on: far above the figure on real defects, it says that the anomalies are easy or unlike the real "
        "ones.</p>\n"
        f'<div class="wide"><table><tr>{head}</tr>\n{"".join(rows)}</table></div>\n</section>'
    )


def _difference(one: Record | None) -> str:
    if one is None:
        return "–"
    kind, word = ("good", "beats it") if one["low"] > 0 else ("bad", "loses") if one["high"] < 0 else ("", "unclear")
    return f'{with_ends(one, sign=True)} <span class="{kind}">{word}</span>'


def _plots(record: Record) -> str:
    panels = []
    for name, title in names_of(mapping(record.get("protocol"))).items():
        judged = [(one, one["figures"][name]) for one in entries(record, "recipe") if one["figures"].get(name)]
        if not judged:
            continue
        lines, key = [], []
        for one in [*entries(record, "line"), *entries(record, "floor")]:
            figure = one["figures"].get(name)
            if figure:
                best = one["name"] == record.get("best_line")
                kind = "below" if one["role"] == "floor" else "best" if best else "other"
                lines.append((kind, figure["value"]))
                key.append((kind, f"{one['name']} {fixed(figure['value'])}"))
        seeds = {one["name"]: (one.get("seeds") or {}).get(name) or [] for one, _ in judged}
        # A floor far below all others stands at the end rather than squeeze them; its value is in the key.
        seen = [figure[end] for _, figure in judged for end in ("low", "high")]
        seen += [value for kind, value in lines if kind != "below"]
        axis = spanning(seen + [value for values in seeds.values() for value in values if is_number(value)])
        rows = "".join(
            row(
                one["name"],
                interval(axis, figure, _told(one["name"], title, figure), lines=lines, seeds=seeds[one["name"]]),
                fixed(figure["value"]),
            )
            for one, figure in judged
        )
        star = " *" if name == record["by"] else ""
        panels.append(f'<div class="panel"><h3>{title}{star}</h3>{rows}{axis.ends()}{_key(key)}</div>')
    return (
        "<section>\n<h2>Recipes against the lines</h2>\n"
        '<p class="soft">Dots are means over the seeds, bars their intervals, small ticks below the single seeds. '
        "Vertical lines are scores that need no synthesis: the best solid, others dashed, the floor dotted.</p>\n"
        f'<div class="panels">{"".join(panels)}</div>\n</section>'
    )


def _told(name: str, title: str, one: Record) -> str:
    return f"{name}: {title} {fixed(one['value'])}, interval {fixed(one['low'])} to {fixed(one['high'])}"


def _key(items: Sequence[tuple[str, str]]) -> str:
    drawn = "".join(
        f'<li title="{_LINES[kind]}"><svg viewBox="0 0 22 10" aria-hidden="true"><path class="{kind}" d="M0 5H22"/>'
        f"</svg>{escape(text)}</li>"
        for kind, text in items
    )
    return f'<ul class="key">{drawn}</ul>' if drawn else ""


def _differences(record: Record) -> str:
    line, recipes = record.get("best_line"), entries(record, "recipe")
    groups = [(f"Against {line}, the best line", [one for one in record.get("against") or [] if one["b"] == line])]
    if len(recipes) > 1:
        pairs = record.get("pairs") or []
        groups.append((f"{recipes[0]['name']} against", [one for one in pairs if one["a"] == recipes[0]["name"]]))
    groups = [(title, found) for title, found in groups if found]
    if not groups:
        return ""
    by = names_of(mapping(record.get("protocol")))[record["by"]]
    ends = [abs(one[end]) for _, found in groups for one in found for end in ("low", "high")]
    reach = max(0.02, *ends)
    axis = Axis(-reach, reach)
    panels = []
    for at, (title, found) in enumerate(groups):
        rows = "".join(
            row(
                one["b"] if at else one["a"],
                interval(axis, one, _told(f"{one['a']} less {one['b']}", by, one), lines=[("zero", 0.0)]),
                with_ends(one, sign=True)
                + f'<span class="soft under">ahead in {percent(round(one["above"], 3))}</span>',
            )
            for one in found
        )
        panels.append(f'<div class="panel long"><h3>{escape(title)}</h3>{rows}{axis.ends(0.0)}</div>')
    return (
        f"<section>\n<h2>Differences in {by}</h2>\n"
        '<p class="soft">Paired: both sides are resampled alike. An interval that holds 0 tells nothing apart. '
        "The last figure is the share of resamples in which the recipe, or the first one, is ahead.</p>\n"
        f'<div class="panels">{"".join(panels)}</div>\n</section>'
    )


def _ahead(one: Record) -> str:
    return percent(round(one["above"], 3))


def _kinds(record: Record) -> str:
    tables = []
    for name in dict.fromkeys([record["by"], "image_auroc", "pixel_ap", "pixel_auroc", "aupro"]):
        rows = [one for one in entries(record) if any((of or {}).get(name) for of in (one.get("kinds") or {}).values())]
        if rows:
            tables.append((name, _heat(record, rows, name)))
    if not tables:
        return ""
    first, names = tables[0][1], names_of(mapping(record.get("protocol")))
    rest = "".join(f"<details><summary>{names[name]}</summary>{table}</details>" for name, table in tables[1:])
    return (
        f"<section>\n<h2>By kind of defect: {names[tables[0][0]]}</h2>\n"
        '<p class="soft">Each kind against all normal test samples. The deeper the shade, the higher; bold is the best '
        f"recipe for a kind. Few samples give wide intervals.</p>\n{first}{rest}\n</section>"
    )


def _heat(record: Record, rows: Sequence[Record], name: str) -> str:
    real = (record.get("data") or {}).get("real") or {}
    kinds = list(rows[0]["kinds"])
    values = {kind: [_value(one, kind, name) for one in rows if one["role"] == "recipe"] for kind in kinds}
    best = {kind: max((v for v in found if v is not None), default=None) for kind, found in values.items()}
    known = [v for one in rows for kind in kinds if (v := _value(one, kind, name)) is not None]
    low = min(known, default=0.0)
    span = max(1.0 - low, 1e-9)
    body = ""
    for one in rows:
        cells = ""
        for kind in kinds:
            figure, value = mapping(mapping(one["kinds"].get(kind)).get(name)), _value(one, kind, name)
            if value is None:
                cells += "<td>–</td>"
                continue
            shade = round((value - low) / span * _HEAT)
            text = fixed(value)
            text = f"<b>{text}</b>" if one["role"] == "recipe" and value == best[kind] else text
            spread = f'<span class="soft">{fixed(figure.get("low"))} to {fixed(figure.get("high"))}</span>'
            cells += f'<td class="h{shade}">{text}{spread}</td>'
        role = "" if one["role"] == "recipe" else f" ({one['role']})"
        body += f'<tr class="{one["role"]}"><th scope="row">{escape(one["name"] + role)}</th>{cells}</tr>'
    counts = {kind: (real.get(kind) or {}).get("samples") for kind in kinds}
    head = "".join(f'<th scope="col">{escape(kind)} ({escape(counts[kind])})</th>' for kind in kinds)
    return f'<div class="wide"><table class="heat"><tr><th></th>{head}</tr>{body}</table></div>'


def _value(one: Record, kind: str, name: str) -> float | None:
    figure = ((one.get("kinds") or {}).get(kind) or {}).get(name)
    return float(figure["value"]) if figure and is_number(figure.get("value")) else None


def _missed(record: Record, pictures: Pictures) -> str:
    missed = record.get("missed") or {}
    if not missed:
        return ""
    parts, shown = [], False
    for recipe, found in missed.items():
        figures = ""
        for sample in found["samples"]:
            above = percent(round(sample["above"], 2))
            text = f"{sample['kind']}: {sample['name']}, {above} of normal samples score as high"
            images = "".join(
                f'<img src="{_source(data)}" alt="{alt}">'
                for data, alt in zip(pictures.get((recipe, sample["name"]), ()), ("labelled", "scores"), strict=False)
            )
            shown |= bool(images)
            figures += f"<figure>{images}<figcaption>{escape(text)}</figcaption></figure>"
        count = f"{found['count']} of {found['of']} missed"
        more = f", the {len(found['samples'])} worst" if found["count"] > len(found["samples"]) else ""
        body = f'<div class="figures">{figures}</div>' if figures else ""
        parts.append(f"<h3>{escape(recipe)}: {count}{more}</h3>{body}")
    alarms = percent(next(iter(missed.values())).get("alarms", 0.05))
    legend = " Left with the outline of the label, right the scores: orange from the median of normal samples to their "
    return (
        "<section>\n<h2>Real defects that were missed</h2>\n"
        f'<p class="soft">A defect is missed if more than {alarms} of the normal test samples score as high, and more '
        f"than one.{legend + 'maximum.' if shown else ''}</p>\n{''.join(parts)}\n</section>"
    )


def _source(data: bytes) -> str:
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
