"""From a few real defects with masks to a recipe that makes more like them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .estimate import Fit, Group, fit_recipe
    from .figures import Figure, figures_of
    from .text import recipe_text

__all__ = ["Figure", "Fit", "Group", "figures_of", "fit_recipe", "recipe_text"]

_HOMES = {
    "Figure": ("figures", "Figure"),
    "Fit": ("estimate", "Fit"),
    "Group": ("estimate", "Group"),
    "figures_of": ("figures", "figures_of"),
    "fit_recipe": ("estimate", "fit_recipe"),
    "recipe_text": ("text", "recipe_text"),
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(importlib.import_module(f"anosynth.fit.{module}"), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
