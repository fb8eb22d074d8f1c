"""A fitted recipe as YAML with comments: what was measured, by which rule, and what may be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anosynth.params import spell

from .estimate import CENTRE, SPREAD, Fit, Group
from .rules import FIXED, RULES

_WHY = {"width": "a clean break; more gives it a shaded rim", "fill": "what colour they tend to"}


def recipe_text(fit: Fit, *, prior: str = "") -> str:
    """Return the YAML of a fit, which `Recipe.read` reads and `anosynth images --recipe` runs.

    Args:
        prior: name of the file that the map of places was written to, "" for none.
    """
    return "\n".join([*_head(fit, prior), *_parts(fit)]) + "\n"


def _head(fit: Fit, prior: str) -> Iterator[str]:
    yield f"# Fitted to {fit.defects} real defects in {_some(fit.photos, 'photo')}."
    for one in fit.passed[:5]:
        yield f"# Passed over: {_line(one)}"
    if len(fit.passed) > 5:
        yield f"# and {len(fit.passed) - 5} more."
    yield "#"
    yield "# Ranges low:high:log are drawn uniformly in the logarithm, low:high uniformly, a|b with equal probability;"
    yield "# edit them as you like. Their middles are those of the measured values, where the default counts as"
    yield f"# {CENTRE:g} more; their widths allow for few defects: the default's spread counts as {SPREAD:g}."
    if fit.tried:
        tried = _some(fit.tried, "normal photo")
        yield f"# Values were tried out on {tried}, so that what is made measures as what is real."
    else:
        yield "# Nothing was tried out: without normal photos (--good) contrasts are rough."
    if prior:
        yield f"# Where the defects are is in {_line(prior)}: add --prior {_line(prior)} if the photos are aligned."
    yield f"recipe: {_quoted(fit.recipe.name)}"
    yield "family: images"
    yield "generators:"


def _parts(fit: Fit) -> Iterator[str]:
    groups = {group.generator: group for group in fit.groups}
    for weight, vary in fit.recipe.parts:
        group = groups.get(vary.generator.name)
        if group is None:
            yield "  # Cut-outs of the real defects; draw from defects that no test uses."
            yield f"  - generator: {vary.generator.name}"
            yield f"    weight: {weight:g}"
            yield f"    bank: {_quoted(vary.values['bank'])}"
            continue
        count = f"{_some(len(group.figures), 'defect')} in {_some(group.photos, 'photo')}"
        yield f"  # {count}: {RULES[group.generator]}."
        yield f"  - generator: {group.generator}"
        yield f"    weight: {weight:g}"
        for name in group.values:
            yield _entry(name, vary.values[name], group)


def _some(number: int, what: str) -> str:
    return f"{number} {what}" + ("s" if number > 1 else "")


def _entry(name: str, value: Any, group: Group) -> str:
    text = f"    {name}: {_quoted(spell(value)) if isinstance(spell(value), str) else spell(value)}"
    fixed = FIXED.get(group.generator, {})
    note = group.notes.get(name, _WHY.get(name, "one at a time") if name in fixed else "")
    return f"{text.ljust(34)}  # {note}" if note else text


def _quoted(text: str) -> str:
    """Return a text as a YAML scalar: plain where that is safe."""
    import json

    plain = text.replace("-", "").replace("_", "").replace(".", "").replace(":", "").replace("|", "")
    safe = plain.isalnum() and plain.isascii() and text[0] not in "-:|." and not text.endswith(":") and ": " not in text
    words = ("true", "false", "null", "yes", "no", "on", "off")
    return text if safe and text.lower() not in words else json.dumps(text)


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
