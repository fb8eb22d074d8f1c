"""Anomalies on images; one generator a module.

Generators are imported when first asked for: `from anosynth.images import Scratch` imports `scratch.py` alone.
"""

from __future__ import annotations

from typing import Any

from ._sample import Image

__all__ = ["Image"]


def __getattr__(name: str) -> Any:
    from anosynth.generator import lazily

    return lazily("images", __name__, name)


def __dir__() -> list[str]:
    from anosynth.generator import camel, names

    return sorted([*__all__, *(camel(name) for name in names("images"))])
