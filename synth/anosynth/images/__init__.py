"""Anomalies on images; one generator a module.

Generators are imported when first asked for: `from anosynth.images import Scratch` imports `scratch.py` alone.
"""

from __future__ import annotations

import importlib
from typing import Any

HOMES = {"Edit": "_edit", "Image": "_sample", "ImageGenerator": "_base"}
"""Where what is not a generator is defined, by name."""

__all__ = ["Edit", "Image", "ImageGenerator"]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
    from anosynth.generator import lazily

    return lazily("images", __name__, name)


def __dir__() -> list[str]:
    from anosynth.generator import camel, names

    return sorted([*__all__, *(camel(name) for name in names("images"))])
