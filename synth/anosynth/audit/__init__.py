"""Is a data set of synthetic anomalies honest? Measured from its files, whichever tool wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .findings import Limits
    from .judge import Audit, audit
    from .pairs import Found, find, plain

__all__ = ["Audit", "Found", "Limits", "audit", "find", "plain"]

_HOMES = {
    "Audit": "judge",
    "Found": "pairs",
    "Limits": "findings",
    "audit": "judge",
    "find": "pairs",
    "plain": "pairs",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(f"anosynth.audit.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
