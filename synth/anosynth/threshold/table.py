"""An assessment as text: the threshold first, then what it finds, then what to beware of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from anosynth.report._text import clean

from .judge import Assessment
from .pod import Detection
from .point import Rate


def table(outcome: Assessment) -> str:
    """Return the outcome as lines of text."""
    parts = [_threshold(outcome), _found(outcome)]
    parts += [_detection(one) for one in outcome.detections]
    parts.append(f"note: {note}" for note in outcome.notes)
    blocks = ["\n".join(map(clean, part)) for part in parts]
    return "\n\n".join(block for block in blocks if block) + "\n"


def statement(outcome: Assessment) -> str:
    """Return what may be asserted of the false positive rate, in a sentence."""
    sure = percent(outcome.confidence)
    most = f"with {sure} confidence, the false positive rate is at most {percent(outcome.point.at_most)}"
    if outcome.sure:
        return most
    if outcome.assured is None:
        return (
            f"{most}; that it is at most {percent(outcome.target)} cannot be said by {outcome.normals} normal samples: "
            f"it takes at least {needed_text(outcome.needed, outcome.normals)}"
        )
    return f"{most}; from {cut(outcome.assured.threshold)} on it is at most {percent(outcome.target)} (--assure)"


def threshold_line(outcome: Assessment, *, full: bool = True) -> str:
    """Return the threshold with how it was chosen, in a line; in all its digits if it may be copied from there."""
    ways = {
        "estimated": f"at most {percent(outcome.target)} of the normal samples are above it",
        "assured": f"false positives at most {percent(outcome.target)} with {percent(outcome.confidence)} confidence",
        "given": "as given",
    }
    value = outcome.point.threshold
    return f"threshold: {repr(value) if full else cut(value)} ({ways[outcome.chosen]})"


def summary(one: Detection) -> str:
    """Return what a curve says, in a sentence."""
    unit, level, sure = f" {one.unit}" if one.unit else "", percent(one.level), percent(one.confidence)
    if one.state == "all found":
        return f"all {one.count} are found: no curve to fit"
    if one.state == "all missed":
        return f"none of {one.count} is found: no curve to fit"
    if one.state == "one value":
        return "all have one value: no curve to fit"
    if one.state == "falling" or one.curve is None:
        return f"detection does not rise with {one.against}: no curve to fit"
    curve, texts = one.curve, []
    if one.state == "separated" and one.gap is not None:
        low, high = (f"{number(end)}{unit}" for end in one.gap)
        texts.append(
            f"separated: all above {low} are found and all below {high} missed, so that the curve is not determined; "
            "the figures are those of Firth's penalised fit"
        )
    texts.append(f"found with {level} probability: {_value(curve.a, unit, one)}")
    bound = f"with {sure} confidence: {_value(curve.a_bound, unit, one)}"
    texts.append(f"{bound} (a{one.level * 100:g}/{one.confidence * 100:g}, {curve.bound} bound)")
    return "; ".join(texts)


def fit_line(one: Detection) -> str:
    """Return how well a curve fits, in a line; "" without one."""
    if one.curve is None:
        return ""
    curve = one.curve
    x = f"ln {one.against}" if one.scale == "log" else one.against
    sign = "+" if curve.slope >= 0 else "-"
    text = f"logit P = {number(curve.intercept)} {sign} {number(abs(curve.slope))} {x} ({curve.method})"
    if curve.fit_p is None:
        return f"{text}; too few distinct values to test the fit"
    return f"{text}; fit: {curve.fit_test} p = {curve.fit_p:.2g}"


def percent(share: float) -> str:
    """Return a share as a percentage in three digits."""
    text = f"{100 * share:.3g}"
    return f"{100 * share:.0f} %" if "e" in text and share > 0.1 else f"{text} %"


def number(value: float) -> str:
    """Return a number in four digits."""
    return f"{value:.4g}"


def needed_text(needed: int, normals: int) -> str:
    """Return the number of normal samples needed; where there are as many, it is their groups that lessen them."""
    return f"{needed} independent ones" if normals >= needed else str(needed)


def cut(threshold: float) -> str:
    """Return a threshold for reading, in six digits."""
    return f"{threshold:.6g}"


def share_text(one: Rate) -> str:
    """Return a rate with its counts and its interval."""
    return f"{percent(one.value)} ({one.hits} of {one.of}; {percent(one.low)} to {percent(one.high)})"


def _threshold(outcome: Assessment) -> Iterator[str]:
    yield threshold_line(outcome)
    point = outcome.point.false_positives
    yield f"false positives: {share_text(point)}"
    yield statement(outcome)


def _found(outcome: Assessment) -> Iterator[str]:
    if outcome.found is None:
        yield "no anomalous samples: nothing is known of what it finds"
        return
    yield f"found: {share_text(outcome.found)}"
    if outcome.assured_found is not None and outcome.chosen == "estimated":
        yield f"found at the assured threshold: {share_text(outcome.assured_found)}"
    if outcome.auroc is not None and outcome.ap is not None:
        value, low, high = outcome.auroc
        yield f"AUROC: {value:.3f} ({low:.3f} to {high:.3f}), average precision: {outcome.ap:.3f}"
    if outcome.kinds:
        yield from _rows(
            [["type", "n", "found", "from", "to"]]
            + [
                [name, str(one.of), percent(one.value), percent(one.low), percent(one.high)]
                for name, one in outcome.kinds.items()
            ]
        )


def _detection(one: Detection) -> Iterator[str]:
    unit = f" ({one.unit})" if one.unit else ""
    yield f"detection against {one.against}{unit}: {summary(one)}"
    if one.curve is not None:
        yield fit_line(one)
    if one.safe is not None:
        yield f"without a model: from {number(one.safe)} on, every bin's lower bound is at least {percent(one.level)}"
    heads = [one.against, "n", "found", "from", "to"]
    rows = [
        [bin_text(b.low, b.high), str(b.found.of), percent(b.found.value), percent(b.found.low), percent(b.found.high)]
        for b in one.bins
    ]
    yield from _rows([heads, *rows])
    for note in one.notes:
        yield f"note: {note}"


def bin_text(low: float, high: float) -> str:
    """Return the values of a bin."""
    return number(low) if low == high else f"{number(low)} to {number(high)}"


def highest(one: Detection) -> float:
    """Return the highest value that there can be: severities end at 1, or at the highest that was tested."""
    return max(1.0, float(one.values.max())) if one.against.lower() == "severity" else math.inf


def _value(value: float | None, unit: str, one: Detection) -> str:
    if value is None:
        return "beyond what these defects tell"
    if value > highest(one):
        return f"at no severity up to {number(highest(one))}"
    return f"{number(value)}{unit}"


def _rows(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
