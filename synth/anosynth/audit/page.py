"""An audit as one HTML page that needs no network, no script and no second file."""

from __future__ import annotations

import base64
import math
from importlib.resources import files
from pathlib import Path

from anosynth.io.images import limited
from anosynth.report._text import escape
from anosynth.report.sheet import sheet

from .compare import PROPERTIES, Distribution
from .findings import Finding
from .judge import Audit
from .pictures import Pictures
from .table import headline, value_text, verdict

LISTED, DRAWN = 200, 6
"""Cases of a finding that are listed, and those whose photo is shown."""

_WIDE, _HIGH = 260, 14


def page(audit: Audit, *, sources: str | Path | None = None, match: bool = False) -> str:
    """Return an audit as HTML; the worst samples are read again, to show them with their masks.

    Args:
        sources, match: as given to `audit`.
    """
    css = files("anosynth.audit").joinpath("page.css").read_text(encoding="utf-8")
    pictures = Pictures(audit, sources, match=match)
    state = "good" if audit.honest else "bad"
    with limited(audit.found.largest):
        body = [*(_finding(finding, pictures) for finding in audit.findings), _faintest(audit, pictures)]
    body.append(f"<section>\n<h2>Distributions</h2>\n{_distributions(audit)}\n</section>")
    lead = f'<p class="{state}">{escape(verdict(audit))}</p>\n<p>{escape(headline(audit))}</p>'
    return sheet(f"Audit of {_name(audit)}", lead, "\n".join(body), css)


def _name(audit: Audit) -> str:
    root = audit.found.place
    return root.resolve().name if root != Path() else "photos and masks"


def _finding(finding: Finding, pictures: Pictures) -> str:
    figures: list[str] = []
    for case in finding.cases:
        if case.row < 0 or len(figures) == DRAWN:
            break
        if case.other >= 0:
            pair = (pictures.photo(case.row), pictures.photo(case.other))
            figures += _figure(pair, ("photo", "the one that it is like"), f"{case.path} {case.text}")
        else:
            value = "" if math.isnan(case.value) else value_text(case.value)
            figures += _figure(pictures.of(case.row), _SHOWN, f"{case.path} {value}")
    rows = "".join(
        f'<tr><td class="n">{_value(case.value)}</td><td>{escape(case.path)}</td><td>{escape(case.text)}</td></tr>'
        for case in finding.cases[:LISTED]
    )
    more = f"<p>and {finding.count - LISTED} more; --json lists all</p>" if finding.count > LISTED else ""
    legend = "" if any(case.other >= 0 for case in finding.cases) else _LEGEND
    shown = f'<div class="figures">{"".join(figures)}</div>{legend}' if figures else ""
    state, word = ("bad", "fault") if finding.fault else ("soft", "note")
    return (
        f'<section>\n<h2><span class="{state}">{word}</span> {escape(finding.code)}: {finding.count}</h2>\n'
        f"<p>{escape(finding.title)}</p>\n{shown}\n"
        f"<details{' open' if finding.count <= 8 else ''}><summary>cases</summary>"
        f'<div class="scroll"><table>{rows}</table></div>{more}</details>\n</section>'
    )


def _figure(pair: tuple[bytes | None, bytes | None] | None, names: tuple[str, str], text: str) -> list[str]:
    if pair is None:
        return []
    images = "".join(
        f'<img src="data:image/png;base64,{base64.b64encode(data).decode("ascii")}" alt="{name}">'
        for data, name in zip(pair, names, strict=True)
        if data is not None
    )
    return [f"<figure>{images}<figcaption>{escape(text)}</figcaption></figure>"]


def _faintest(audit: Audit, pictures: Pictures) -> str:
    figures = [
        figure for row in audit.faintest for figure in _figure(pictures.of(row), _SHOWN, audit.found.samples[row].path)
    ]
    if not figures:
        return ""
    title = "<h2>The masks that stand out least</h2>"
    return f'<section>\n{title}\n<div class="figures">{"".join(figures)}</div>{_LEGEND}\n</section>'


_SHOWN = ("photo", "photo with its mask")

_LEGEND = (
    '<p class="soft"><span class="labelled">labelled</span> <span class="outside">changed, not labelled</span> '
    '<span class="still">labelled, not changed</span></p>'
)


def _value(value: float) -> str:
    return "" if math.isnan(value) else escape(value_text(value))


def _distributions(audit: Audit) -> str:
    other = audit.against
    heads = ["property", "photos", "5 %", "25 %", "median", "75 %", "95 %"]
    if other is not None:
        heads += ["KS", "by chance"]
    rows = []
    for name, meaning in PROPERTIES.items():
        pair = [audit.properties[name], other.properties[name] if other is not None else None]
        high = max((one.max for one in pair if one is not None), default=0.0)
        rows.append(f'<tr><th title="{escape(meaning)}">{escape(name)}</th>{_cells(pair[0])}')
        if other is not None:
            apart = other.distances[name]
            texts = ["", ""] if apart is None else [f"{apart.ks:.2f}", f"below {apart.chance:.2f}"]
            rows[-1] += "".join(f'<td class="n">{text}</td>' for text in texts)
        rows[-1] += f"<td>{_box(pair[0], high)}</td></tr>"
        if other is not None:
            rows.append(f'<tr class="soft"><th>reference</th>{_cells(pair[1])}<td></td><td></td>')
            rows[-1] += f"<td>{_box(pair[1], high)}</td></tr>"
    head = "".join(f"<th>{escape(text)}</th>" for text in [*heads, "from 0 to the largest: 5, 25, 50, 75, 95 %"])
    notes = "".join(f"<li>{escape(name)}: {escape(meaning)}</li>" for name, meaning in PROPERTIES.items())
    where = f'<p class="soft">reference: {escape(other.found.place)}</p>' if other is not None else ""
    body = "\n".join(rows)
    return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>{where}<ul class="soft">{notes}</ul>'


def _cells(one: Distribution | None) -> str:
    if one is None:
        return '<td class="n">0</td>' + "<td></td>" * 5
    values = [str(one.count), *map(value_text, (one.q05, one.q25, one.median, one.q75, one.q95))]
    return "".join(f'<td class="n">{escape(value)}</td>' for value in values)


def _box(one: Distribution | None, high: float) -> str:
    if one is None:
        return ""
    x = [value / (high or 1.0) * (_WIDE - 2) + 1 for value in (one.q05, one.q25, one.median, one.q75, one.q95)]
    middle = _HIGH / 2
    return (
        f'<svg width="{_WIDE}" height="{_HIGH}" viewBox="0 0 {_WIDE} {_HIGH}" role="img" aria-label="quantiles">'
        f'<line x1="{x[0]:.1f}" x2="{x[4]:.1f}" y1="{middle}" y2="{middle}"/>'
        f'<rect x="{x[1]:.1f}" y="2" width="{max(x[3] - x[1], 0.5):.1f}" height="{_HIGH - 4}"/>'
        f'<line class="median" x1="{x[2]:.1f}" x2="{x[2]:.1f}" y1="0" y2="{_HIGH}"/></svg>'
    )
