"""What an outcome says in plain sentences; it says so, too, where synthesis does not pay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .outcome import FLOOR, LINE, RECIPE, Difference, Entry, Outcome

NAMES = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "aupro": "AUPRO@0.3",
}
"""Figures of photos as people call them."""

_OF_CLOUDS = {"image": "object", "pixel": "point"}

_FEW, _CEILING = 20, 0.995


def names_of(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return what figures are called, by their keys: those of clouds are of objects and points."""
    if protocol.get("family") != "pointclouds":
        return NAMES
    return {key: " ".join(_OF_CLOUDS.get(word, word) for word in name.split()) for key, name in NAMES.items()}


def conclusion(outcome: Outcome) -> list[str]:
    """Return the sentences."""
    return list(_judged(outcome) if outcome.by else _looked_at(outcome))


def _judged(outcome: Outcome) -> Iterator[str]:
    recipes, best, line = outcome.of(RECIPE), outcome.of(RECIPE)[0], outcome.best_line
    assert line is not None
    name = names_of(outcome.protocol)[outcome.by]
    yield _against(outcome, best, line, name)
    if min(best.value(outcome.by), line.value(outcome.by)) > _CEILING and outcome.by != "pixel_ap":
        finer = names_of(outcome.protocol)["pixel_ap"].lower().replace(" ", "_")
        more = f"; --by {finer} tells more" if best.figures.get("pixel_ap") is not None else ""
        yield f"with and without synthesis {name} is at its ceiling: these defects are easy to find{more}"
    if len(recipes) > 1:
        yield _ahead(outcome, recipes, name)
    floors = [(floor, outcome.difference(best.name, floor.name)) for floor in outcome.of(FLOOR)]
    whole = "light, camera, size" if outcome.protocol["family"] == "images" else "size, number of points"
    for floor, less in floors:
        if less is not None and less.sign <= 0 and floor.value(outcome.by) > 0.6:
            yield (
                f"global statistics alone reach {floor.value(outcome.by):.3f} {name}: the samples with defects differ "
                f"as a whole from the normal ones ({whole}), so these figures say little about defects"
            )
    yield from _kinds(outcome)
    few = sum(kind["samples"] for kind in outcome.data["real"].values())
    if min(few, outcome.data["test"]) < _FEW:
        yield f"judged on {few} real defects and {outcome.data['test']} normal samples: small differences mean little"


def _against(outcome: Outcome, best: Entry, line: Entry, name: str) -> str:
    less = outcome.difference(best.name, line.name)
    if less is None:
        return f"no recipe can be judged by {name}: there are no masks"
    how = f"{_signed(less)} {name}"
    if less.sign > 0:
        return f"{best.name} beats {line.name}, the best line without synthesis: {how}"
    if less.figure.value > 0:
        return f"no recipe beats {line.name} here beyond doubt: {best.name} comes nearest with {how}"
    return f"no recipe beats {line.name} here: {best.name}, the best of them, has {how}"


def _ahead(outcome: Outcome, recipes: list[Entry], name: str) -> str:
    best = recipes[0]
    level = [one for one in recipes[1:] if (less := outcome.difference(best.name, one.name)) and less.sign <= 0]
    second = outcome.difference(best.name, recipes[1].name)
    if second is None:
        return f"recipes cannot be compared by {name}"
    if not level:
        return f"{best.name} is the best recipe: {_signed(second)} to the next, {recipes[1].name}"
    others = ", ".join(one.name for one in level)
    return f"{best.name} is the first of the recipes, but cannot be told apart from {others}"


def _kinds(outcome: Outcome) -> Iterator[str]:
    """Yield the kinds of defects for which another recipe is beyond doubt better than the first."""
    for kind, differences in outcome.kinds.items():
        better = [one for one in differences if one.sign < 0]
        if better:
            best = min(better, key=lambda one: one.figure.value)
            first, other = (_value(outcome, name, kind) for name in (best.a, best.b))
            yield f"for {kind}, {best.b} does better: {other:.3f} against {first:.3f} of {best.a}"


def _value(outcome: Outcome, name: str, kind: str) -> float:
    figure = next(one for one in outcome.of(RECIPE) if one.name == name).kinds[kind][outcome.by]
    assert figure is not None
    return figure.value


def _signed(less: Difference) -> str:
    one = less.figure
    return f"{one.value:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _percent(share: Mapping[str, Any]) -> str:
    return f"{100 * share['value']:.0f} %"


def _looked_at(outcome: Outcome) -> Iterator[str]:
    yield "no real defects were given: these figures describe the anomalies, and do not say which help to find yours"
    for name, looks in outcome.looks.items():
        coverage, shortcut = looks.get("coverage"), looks.get("shortcut")
        figures: dict[str, Any] = {} if coverage is None else coverage["sets"]["synthetic"]
        if figures and figures["subtle"]["value"] > 0.5:
            yield f"{name}: {_percent(figures['subtle'])} of its anomalous cells look normal"
        if figures and figures["easy"]["value"] > 0.8:
            yield f"{name}: {_percent(figures['easy'])} of its anomalous cells lie far off: they are easy to learn"
        if figures and figures["duplicates"]["value"] > 0.3:
            yield f"{name}: {_percent(figures['duplicates'])} of its anomalous cells are near-duplicates of others"
        blend = None if shortcut is None else shortcut.get("blend")
        if blend is not None and blend["low"] > 0.6:
            yield f"{name}: its compositing alone can be seen (AUROC {blend['value']:.3f}): heads may learn the seam"


def line_help(outcome: Outcome) -> dict[str, str]:
    """Return what the lines and the floor are, by name."""
    from ._lines import FLOORS, LINES

    found = {entry.name: LINES[entry.name] for entry in outcome.of(LINE)}
    return {**found, **{entry.name: FLOORS[entry.name] for entry in outcome.of(FLOOR)}}
