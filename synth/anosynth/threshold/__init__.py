"""From the scores of any detector to a threshold with a confidence statement, and to the defects that it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .judge import Assessment, assess
    from .pod import Detection, detection
    from .point import Operating, operating, samples_needed
    from .reading import Scores, read_scores

__all__ = [
    "Assessment",
    "Detection",
    "Operating",
    "Scores",
    "assess",
    "detection",
    "operating",
    "read_scores",
    "samples_needed",
]

_HOMES = {
    "Assessment": "judge",
    "Detection": "pod",
    "Operating": "point",
    "Scores": "reading",
    "assess": "judge",
    "detection": "pod",
    "operating": "point",
    "read_scores": "reading",
    "samples_needed": "point",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"anosynth.threshold.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
