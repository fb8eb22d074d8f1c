"""Anomalies in feature space, for torch tensors; one generator a module, and the module that trains with them.

    from anosynth.features import Hypersphere

    synthesis = Hypersphere(k=0.25).module(channel_dim=1).fit([normal_features])
    fake, mask, labels, drawn = synthesis(features, rng=step)

Generators are imported when first asked for, and torch when the first one is used: what they are called, what their
parameters are and what a recipe says of them is known without it.
"""

from __future__ import annotations

import importlib
from typing import Any

NO_GENERATORS = ("backbone", "baselines", "refine")
"""Modules of this package that hold something else."""

HOMES = {
    "FeatureGenerator": "_base",
    "FeatureSynthesis": "_module",
    "Features": "_sample",
    "Synthesized": "_module",
    "to_grid": "_masks",
}
"""Where what is not a generator is defined, by name."""

__all__ = ["FeatureGenerator", "FeatureSynthesis", "Features", "Synthesized", "to_grid"]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
    from anosynth.generator import lazily

    return lazily("features", __name__, name)


def __dir__() -> list[str]:
    from anosynth.generator import camel, names

    return sorted([*__all__, *(camel(name) for name in names("features"))])
