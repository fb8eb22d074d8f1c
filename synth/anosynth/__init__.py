"""anosynth: labelled synthetic anomalies from normal samples, with exact masks, seeded and replayable.

Names are imported when first used, so that `import anosynth` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from .errors import AnosynthError, DataError, NotMade, ParameterError, UnknownGenerator, WriteError
    from .generator import Anomaly, Generator
    from .io.clouds import read_cloud, write_cloud
    from .pointclouds import PointCloud
    from .recipe import Recipe, Vary
    from .seeding import Rng, as_rng, stream

_HOMES = {
    "Anomaly": "generator",
    "AnosynthError": "errors",
    "DataError": "errors",
    "Generator": "generator",
    "NotMade": "errors",
    "ParameterError": "errors",
    "PointCloud": "pointclouds",
    "Recipe": "recipe",
    "Rng": "seeding",
    "UnknownGenerator": "errors",
    "Vary": "recipe",
    "WriteError": "errors",
    "as_rng": "seeding",
    "read_cloud": "io.clouds",
    "stream": "seeding",
    "write_cloud": "io.clouds",
}

__all__ = [
    "Anomaly",
    "AnosynthError",
    "DataError",
    "Generator",
    "NotMade",
    "ParameterError",
    "PointCloud",
    "Recipe",
    "Rng",
    "UnknownGenerator",
    "Vary",
    "WriteError",
    "__version__",
    "as_rng",
    "read_cloud",
    "stream",
    "write_cloud",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"anosynth.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
