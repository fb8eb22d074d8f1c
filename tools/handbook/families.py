"""A page for each family: every generator with its picture, formula, source and parameters."""

from __future__ import annotations

import importlib
import inspect
import textwrap
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from anosynth import masks
from anosynth.generator import Generator, camel, find, names
from anosynth.schema import summary

from . import mask_pictures
from .words import cell, escaped, own_parameters, parameters, prose


@dataclass(frozen=True)
class Family:
    """What is said of a family beside its declarations.

    Attributes:
        line: a command with `NAME` for the generator.
        base: module and class whose parameters all of its generators have.
    """

    title: str
    intro: str
    line: str
    base: tuple[str, str]


FAMILIES = {
    "images": Family(
        "Images",
        "Photos of 8 or 16 bit or floats, grey, RGB or any number of channels, of any size from 8 x 8 on.\n\n"
        "The pictures show a toy photo, then one and the same draw at the severities 0.2, 0.5 and 1. The line around "
        "each defect follows its mask at a distance of two pixels.",
        "anosynth images --generator NAME good/ out/",
        ("anosynth.images._base", "ImageGenerator"),
    ),
    "pointclouds": Family(
        "Point clouds",
        "Clouds, meshes and organised depth maps. Lengths are fractions of the bounding-box diagonal, or have a unit."
        "\n\n"
        "The pictures show a toy scan of 40,000 points, then one and the same draw close up at the ends and in the "
        "middle of what a parameter varies over. Colours are the signed effect: red outward, blue inward, darker for "
        "more; orange is labelled without a height, as the rim of a hole is.",
        "anosynth pointcloud --generator NAME in.ply out/",
        ("anosynth.pointclouds._base", "PointCloudGenerator"),
    ),
    "features": Family(
        "Features",
        "Feature maps and embeddings, in torch: `pip install 'anosynth[torch]'`.\n\n"
        "The pictures show the cells of a toy feature map of 14 x 14 cells and 16 channels, projected on the two "
        "directions in which normal cells vary most: grey as they were, red what was changed, with the way that some "
        "of them went. Where only a part of the cells changes, a corner shows which.",
        "anosynth features --generator NAME train.npy out/",
        ("anosynth.features._base", "FeatureGenerator"),
    ),
}


def page(family: str) -> str:
    """Return the page of a family."""
    about = FAMILIES[family]
    base = _class(about.base)
    common = dict(base.model_fields)
    parts = [
        f"# {about.title}",
        about.intro,
        "Defaults are those of one generator made in Python; the command line and recipes draw each value from what it "
        "varies over, and keep the default where nothing stands there.",
    ]
    if common:
        parts += ["## What all of them take", parameters(base, common)]
    parts += [_generator(family, name, about, common) for name in names(family)]
    return "\n\n".join(parts) + "\n"


def _generator(family: str, name: str, about: Family, common: dict[str, FieldInfo]) -> str:
    cls = find(family, name)
    own = own_parameters(cls, common)
    home = cls.__module__.rsplit(".", 1)[0]
    parts = [
        f"## {name}",
        f"{escaped(summary(cls))}.",
        f"![{name} at three strengths](pictures/{family}-{name}.png){{ .generator }}",
        prose(cls),
        parameters(cls, own) if own else "",
        f"```sh\n{about.line.replace('NAME', ' '.join([name, *_needed(cls)]))}\n```",
        f"```python\nfrom {home} import {camel(name)}\n```" if cls.__module__.startswith("anosynth.") else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _needed(cls: type[Generator]) -> list[str]:
    """Return the options without which a generator cannot run, with values that stand for the user's."""
    values = {"bank": "real-defects/", "function": "painter:paint"}
    return [f"--{field.replace('_', '-')} {values.get(field, field.upper())}" for field in getattr(cls, "needs", ())]


def _class(base: tuple[str, str]) -> type[Generator]:
    found: type[Generator] = getattr(importlib.import_module(base[0]), base[1])
    return found


def mask_page() -> str:
    """Return the page of `anosynth.masks`, from its docstrings."""
    head, *rest = (inspect.getdoc(masks) or "").split("\n\n")
    example = "\n\n".join(part for part in rest if part.startswith("    "))
    more = " ".join(part for part in rest if not part.startswith("    "))
    parts = [
        "# Masks",
        escaped(head),
        f"```python\n{textwrap.dedent(example).strip()}\n```",
        escaped(" ".join(more.split())),
        "They are made in Python; there is no command. [Training pipelines](../training.md) has a program with them.",
    ]
    for name in [*masks.__all__, "Attenuator"]:
        thing = getattr(masks, name)
        if not callable(thing) or name in ("Ids", "Masked", "ScaleMasks", "Attenuator"):
            continue
        parts.append(f"## {name}\n\n{escaped(summary(thing))}")
        if name in mask_pictures.PICTURES:
            parts.append(f"![{name}](pictures/masks-{name}.png){{ .generator }}")
        parts.append(prose(thing))
        if arguments := _arguments(thing):
            parts.append(arguments)
    parts.append(f"## Attenuator\n\n{escaped(summary(masks.Attenuator))}\n\n{prose(masks.Attenuator)}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _arguments(thing: Any) -> str:
    """Return `Args:` or `Attributes:` of a docstring as a list."""
    lines = (inspect.getdoc(thing) or "").splitlines()
    out: list[str] = []
    for start, line in enumerate(lines):
        if line in ("Args:", "Attributes:"):
            for inner in lines[start + 1 :]:
                if inner and not inner.startswith("    "):
                    break
                if inner.startswith("     "):
                    out[-1] += f" {cell(inner)}"
                elif inner.strip():
                    name, _, text = inner.strip().partition(": ")
                    out.append(f"- `{name}`: {cell(text)}")
            break
    return "\n".join(out)
