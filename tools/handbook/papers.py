"""The recipes that follow papers: what is equal and what deviates, from the heads of their YAML files."""

from __future__ import annotations

import inspect
import re
from importlib import resources
from typing import Any

from anosynth.generator import FAMILIES, Generator, find, names
from anosynth.recipe import Recipe, recipe_names

from .words import cell, code, table

_YEAR = re.compile(r"\(([^()]*\b(?:19|20)\d\d\b[^()]*|arXiv[^()]*)\)")
_TEXTURES = re.compile(r"(?:With its own textures|Patches of another photo, as there): (.*?)\.(?= |$)")
_PERLIN = (
    "perlin-texture",
    "coarsest finest rotation combine tails source augment structure blend blend_side blend_law",
)
_CALLED = {
    "3d-pnas": "3D-PNAS (Cheng and Du, arXiv 2504.12856)",
    "anomalib": "anomalib 2.7, the software",
    "cutpaste-3way": "CutPaste (Li et al., CVPR 2021)",
}
"""Where the head of the file does not begin with the paper."""


def head(name: str) -> str:
    """Return the comment at the top of a recipe's file, in one line."""
    text = (resources.files("anosynth") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# "))
    return " ".join(lines)


def recipes() -> str:
    """Return the table of recipes after papers, that of our own mixes, and those of their values."""
    papers, ours = [], []
    for name in recipe_names():
        if _class_of(name):
            continue
        text, _, deviates = head(name).partition("Otherwise here: ")
        own = _TEXTURES.search(text)
        text = _TEXTURES.sub("", text).strip()
        paper = _paper(name)
        if not paper:
            ours.append([code(name), cell(text), _parts(name)])
            continue
        equal = text.removeprefix(paper).lstrip(",:; ")
        equal = cell(equal[:1].upper() + equal[1:]) + (f" With what the paper takes: {cell(own[1])}." if own else "")
        papers.append([code(name), cell(paper), equal, _deviations(deviates, name)])
    after = table(["recipe", "paper", "what is as there", "what is otherwise here"], papers)
    mixes = table(["recipe", "what it is", "generators"], ours)
    return f"{after}\n\n## Mixes of ours\n\n{mixes}\n\n{_classes()}\n\n{_perlin()}"


def sources() -> str:
    """Return a table of the generators that are written after a source, and what they take from it."""
    rows = []
    for family in FAMILIES:
        for name in names(family):
            text = _said(find(family, name))
            if text:
                rows.append([f"[{name}](generators/{family}.md#{name})", family, cell(text)])
    return table(["generator", "family", "source"], rows)


def _paper(name: str) -> str:
    """Return the paper of a recipe, "" if it follows none."""
    if name in _CALLED:
        return _CALLED[name]
    found = _YEAR.search(head(name))
    if found:
        return f"{head(name)[: found.start()].strip()} ({found[1]})"
    generators = {part["generator"] for part in Recipe.read(name).record()["generators"]}
    text = _said(find(Recipe.read(name).family, generators.pop())) if len(generators) == 1 else ""
    return re.split(r"(?<=\))[,:]", text)[0]


def _said(generator: type[Generator]) -> str:
    found = re.search(r"^Source: (.*?)(?:\n\s*\n|\Z)", inspect.getdoc(generator) or "", re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _deviations(text: str, name: str) -> str:
    """Return what a recipe does otherwise; where it refers to its generator, a link to what is said there."""
    parts = Recipe.read(name)
    generator = parts.parts[0][1].generator.name
    link = f"[{generator}](generators/{parts.family}.md#{generator})"
    text = text.strip().rstrip(".")
    if not text:
        return f"see {link}"
    return cell(text).replace(f"`anosynth show {generator}`", link)


def _parts(name: str) -> str:
    return ", ".join(code(part["generator"]) for part in Recipe.read(name).record()["generators"])


def _class_of(name: str) -> str:
    """Return the recipe of which this one is the settings of a class: `nsa` of `nsa-bottle`."""
    first = name.partition("-")[0]
    return first if first != name and first in recipe_names() else ""


def _classes() -> str:
    """Return a table of the values in which the recipes of classes differ."""
    members: dict[str, list[str]] = {}
    for name in recipe_names():
        if _class_of(name):
            members.setdefault(_class_of(name), []).append(name)
    parts = []
    for base, classes in members.items():
        entries = {name: Recipe.read(name).record()["generators"][0] for name in classes}
        keys = [key for key in entries[classes[0]] if len({str(entry[key]) for entry in entries.values()}) > 1]
        rows = [[code(name), *(cell(entries[name][key]) for key in keys)] for name in classes]
        parts.append(f"## {base} by class\n\nThe settings of each class of MVTec AD, as published.\n\n")
        parts[-1] += table(["recipe", *(code(key) for key in keys)], rows)
    return "\n\n".join(parts)


def _perlin() -> str:
    """Return a table of the values of all recipes with the one Perlin generator."""
    generator, keys = _PERLIN[0], _PERLIN[1].split()
    rows = []
    for name in recipe_names():
        for entry in Recipe.read(name).record()["generators"]:
            if entry["generator"] == generator and name != "photo-defects":
                rows.append([code(name), *(_value(entry[key]) for key in keys)])
    return (
        "## The Perlin recipes in numbers\n\nOne generator, "
        f"[`{generator}`](generators/images.md#{generator}), with these values.\n\n"
        + table(["recipe", *(code(key) for key in keys)], rows)
    )


def _value(value: Any) -> str:
    return cell(str(value).lower() if isinstance(value, bool) else value)
