"""An assessment as one HTML page that needs no network, no script and no second file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import PurePath

from anosynth.report._text import escape
from anosynth.report.sheet import sheet

from ._chart import detection_chart, score_chart
from .judge import Assessment
from .pod import Detection
from .point import Rate
from .table import bin_text, cut, fit_line, number, percent, share_text, statement, summary, threshold_line


def page(outcome: Assessment) -> str:
    """Return an assessment as HTML."""
    css = files("anosynth.threshold").joinpath("page.css").read_text(encoding="utf-8")
    told = statement(outcome)
    lead = [
        f'<p class="big">{escape(threshold_line(outcome, full=False))}</p>',
        f'<p class="{"good" if outcome.sure else "bad"}">{escape(f"{told[0].upper()}{told[1:]}.")}</p>',
        *(f'<p class="soft">{escape(note)}</p>' for note in outcome.notes),
    ]
    body = [_scores(outcome), *map(_detection, outcome.detections)]
    title = f"Threshold for {PurePath(outcome.scores.where).name}"
    return sheet(title, "\n".join(lead), "\n".join(body), css)


def _scores(outcome: Assessment) -> str:
    bad = outcome.scores.anomalous
    normal, anomalous = outcome.scores.score[~bad], outcome.scores.score[bad]
    lines = [f"False positives: {share_text(outcome.point.false_positives)}"]
    if outcome.found is not None:
        lines.append(f"Found: {share_text(outcome.found)}")
    if outcome.assured_found is not None and outcome.assured is not None and outcome.chosen == "estimated":
        level = cut(outcome.assured.threshold)
        lines.append(f"Found at the assured threshold, {level}: {share_text(outcome.assured_found)}")
    if outcome.auroc is not None and outcome.ap is not None:
        value, low, high = outcome.auroc
        lines.append(f"AUROC: {value:.3f} ({low:.3f} to {high:.3f}), average precision: {outcome.ap:.3f}")
    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    legend = (
        f'<p class="soft"><span class="key normals"></span>{len(normal)} normal'
        f'<span class="key anomalous"></span>{len(anomalous)} anomalous, each to its own height; '
        f"intervals: {escape(percent(outcome.confidence))}</p>"
    )
    rows = [(name, one) for name, one in outcome.kinds.items()]
    chart = score_chart(normal, anomalous, outcome.point.threshold)
    return f"<section>\n<h2>Scores</h2>\n{text}\n{chart}\n{legend}\n{_table('type', rows)}\n</section>"


def _detection(one: Detection) -> str:
    lines = [f"{summary(one)[0].upper()}{summary(one)[1:]}."]
    if one.curve is not None:
        lines.append(f"{fit_line(one)}.")
    if one.safe is not None:
        level = percent(one.level)
        lines.append(f"Without a model: from {number(one.safe)} on, every bin's lower bound is at least {level}.")
    text = "".join(f"<p>{escape(line)}</p>" for line in lines)
    notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in one.notes)
    legend = (
        '<p class="soft">Line: fitted; dashes: its one-sided lower bound at '
        f"{escape(percent(one.confidence))}; circles: bins with their two-sided intervals; ticks above: found, below: "
        "missed.</p>"
    )
    rows = [(bin_text(part.low, part.high), part.found) for part in one.bins]
    title = f"Probability of detection against {one.against}"
    return (
        f"<section>\n<h2>{escape(title)}</h2>\n{text}\n{detection_chart(one)}\n{legend}\n{notes}\n"
        f"{_table(one.against, rows)}\n</section>"
    )


def _table(head: str, rows: Sequence[tuple[str, Rate]]) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><th>{escape(name)}</th><td class="n">{one.of}</td><td class="n">{percent(one.value)}</td>'
        f'<td class="n">{percent(one.low)}</td><td class="n">{percent(one.high)}</td></tr>'
        for name, one in rows
    )
    names = "".join(f'<th class="n">{name}</th>' for name in ("n", "found", "from", "to"))
    return f'<div class="wide"><table><tr><th>{escape(head)}</th>{names}</tr>{body}</table></div>'
