"""Which synthetic anomalies help to find real defects, and what they look like where there are none to ask.

from anosynth.rank import Settings, rank

outcome = rank("good/", ["photo-defects", "nsa", "draem"], "real/", Settings(workers=2))
print("\\n".join(outcome.conclusion))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .outcome import Outcome
    from .ranking import rank
    from .settings import Settings

__all__ = ["Outcome", "Settings", "rank"]

_HOMES = {"Outcome": "outcome", "Settings": "settings", "rank": "ranking"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"anosynth.rank.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
