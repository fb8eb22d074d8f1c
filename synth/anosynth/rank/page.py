"""A ranking as one HTML page that needs no network, no script and no second file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from anosynth.report._text import MINUS, compact, escape, mapping, pretty_json
from anosynth.report.sheet import sheet

from . import _judged_page, _looks_page
from ._judged_page import Pictures, entries

_LISTED = 50
_NEGATIVE = re.compile(r"(?<![\w.])-(?=\d)")


def page(record: Mapping[str, Any], pictures: Pictures | None = None) -> str:
    """Return a ranking as HTML, the conclusion first.

    Args:
        record: of `Outcome.record()`. It may also have "missed": {recipe: as `missed.missed` gives it}.
        pictures: PNG or JPEG files of samples named there, by (recipe, sample): with the mask, and with the scores.
    """
    css = files("anosynth.rank").joinpath("page.css").read_text(encoding="utf-8")
    judged = bool(record.get("by"))
    parts = [*(_judged_page.sections(record, pictures or {}) if judged else ()), *_looks_page.sections(record)]
    recipes = entries(record, "recipe")
    count = f"{len(recipes)} recipe{'s' if len(recipes) != 1 else ''}"
    title = f"Ranking of {count} on real defects" if judged else f"Looks of {count}, without real defects"
    return sheet(title, _conclusion(record), "\n".join([*filter(None, parts), _protocol(record)]), css)


def _conclusion(record: Mapping[str, Any]) -> str:
    names = tuple(str(one.get("name")) for one in entries(record))
    sentences = []
    for text in record.get("conclusion") or []:
        # A name stays as it is written.
        start = text[:1] if text.startswith(names) else text[:1].upper()
        sentences.append(escape(_NEGATIVE.sub(MINUS, f"{start}{text[1:]}.")))
    if not sentences:
        return ""
    more = "".join(f"<li>{text}</li>" for text in sentences[1:])
    return f'<p class="lead">{sentences[0]}</p>' + (f'<ul class="more">{more}</ul>' if more else "")


def _protocol(record: Mapping[str, Any]) -> str:
    protocol, data = mapping(record.get("protocol")), mapping(record.get("data"))
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{text}</dd>" for name, text in _said(protocol, data))
    rest = {name: value for name, value in protocol.items() if name != "recipes"}
    recipes = mapping(protocol.get("recipes"))
    skipped = list(record.get("skipped") or [])
    lost = "".join(f"<li>{escape(one.get('path'))}: {escape(one.get('reason'))}</li>" for one in skipped[:_LISTED])
    more = f"<li>and {len(skipped) - _LISTED} more</li>" if len(skipped) > _LISTED else ""
    shown = (
        f"<details><summary>{len(skipped)} skipped files</summary><ul>{lost}{more}</ul></details>" if skipped else ""
    )
    return (
        f"<section>\n<h2>Protocol</h2>\n<dl>{rows}</dl>{shown}\n"
        f"<details><summary>all settings</summary><pre>{pretty_json(rest)}</pre></details>\n"
        f"<details><summary>recipes</summary><pre>{pretty_json(recipes)}</pre></details>\n</section>"
    )


def _said(protocol: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what matters of the protocol in words; parts that are not known are left out."""
    if "backbone" in protocol:
        layers = ", ".join(protocol.get("layers") or []) or "its usual layers"
        yield "features", escape(f"{protocol['backbone']}, {layers}, photos at {protocol.get('size')} px")
    elif "family" in protocol:
        yield "features", escape(f"of {protocol['family']}, {protocol.get('channels')} for each point")
    if "space" in protocol:
        how = "each place by itself" if protocol.get("positional") else "all places together"
        yield "space", escape(f"{protocol['space']}, {how}")
    if "train" in data:
        kept = f"{data.get('fit')} of them to train heads, {data.get('validation')} to check them"
        yield "normal samples", escape(f"{data['train']} to learn from ({kept}), {data.get('test')} for the test")
    if data.get("duplicates"):
        yield "duplicates", escape(f"{data['duplicates']} files that hold the same as another were left out")
    real = mapping(data.get("real"))
    if real:
        each = (f"{kind} {one['samples']}" + _masks(one) for kind, one in real.items())
        yield "real defects", escape(", ".join(each))
    if "seeds" in protocol and real:
        first = protocol.get("seed", 0)
        yield "seeds", escape(f"{protocol['seeds']}, from {first}; split by seed {first}")
    if "made" in protocol:
        where = f", foreground {protocol.get('foreground')}" if "backbone" in protocol else ""
        yield "anomalies", escape(f"{protocol['made']} a seed{where}")
    if "head" in protocol and real:
        yield "head", escape(", ".join(f"{name} {compact(value)}" for name, value in mapping(protocol["head"]).items()))
    if "draws" in protocol and real:
        yield "intervals", escape(f"{protocol.get('level')} of {protocol['draws']} resamples, percentile bootstrap")


def _masks(one: Mapping[str, Any]) -> str:
    return "" if one.get("masks") == one.get("samples") else f" ({one.get('masks')} with masks)"
