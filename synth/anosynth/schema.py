"""JSON Schema of generators, made from the same declarations as everything else."""

from __future__ import annotations

import inspect
from typing import Any

from .generator import FAMILIES, Generator, find, names
from .recipe import MOST_WEIGHT

_RANGE = r"^[^:|]+:[^:|]+(:log)?$"
_CHOICE = r"^[^|]+(\|[^|]+)+$"


def generator_schema(cls: type[Generator]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a recipe entry of this generator.

    Every parameter takes a plain value, a range ("low:high", "low:high:log", [low, high]) or a choice ("a|b"); those
    that are plain text take only that.
    """
    own = cls.model_json_schema()
    properties: dict[str, Any] = {
        "generator": {"const": cls.name},
        "weight": {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_WEIGHT, "default": 1},
    }
    for name, plain in own["properties"].items():
        about = {key: plain.pop(key) for key in ("description", "default", "unit", "vary", "title") if key in plain}
        about.pop("title", None)
        ends = {"type": "array", "prefixItems": [plain, plain, {"const": "log"}], "minItems": 2, "maxItems": 3}
        text = plain.get("type") == "string" and not {"enum", "const"} & set(plain)
        forms = [plain] if text else [plain, {"type": "string", "pattern": _CHOICE}]
        if plain.get("type") in ("number", "integer") or "anyOf" in plain:
            forms += [{"type": "string", "pattern": _RANGE}, ends]
        properties[name] = {**about, "anyOf": forms}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": cls.name,
        "description": summary(cls),
        "type": "object",
        "properties": properties,
        "required": ["generator"],
        "additionalProperties": False,
    }


def summary(thing: object) -> str:
    """Return the first line of what a class, a module or a function says of itself, "" if it says nothing."""
    return inspect.cleandoc(thing.__doc__ or "").partition("\n")[0]


def recipe_schema() -> dict[str, Any]:
    """Return one JSON Schema (draft 2020-12) of recipes of all families, with every generator's parameters in it.

    Families that need a package which is not installed are left out.
    """
    families = []
    for family in FAMILIES:
        try:
            entries = [generator_schema(find(family, name)) for name in names(family)]
        except ImportError:
            continue
        for entry in entries:
            del entry["$schema"]
        families.append(
            {
                "properties": {
                    "family": {"const": family},
                    "recipe": {"type": "string"},
                    "generators": {"type": "array", "minItems": 1, "items": {"oneOf": entries}},
                },
                "required": ["family", "generators"],
                "additionalProperties": False,
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "anosynth recipe",
        "type": "object",
        "oneOf": families,
    }
