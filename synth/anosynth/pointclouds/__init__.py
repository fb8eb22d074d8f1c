"""Anomalies on point clouds, meshes and organised depth maps; one generator a module.

Generators are imported when first asked for: `from anosynth.pointclouds import FlatSpot` imports `flat_spot.py` alone.
"""

from __future__ import annotations

import importlib
from typing import Any

HOMES = {
    "Change": "_base",
    "PointCloud": "_cloud",
    "PointCloudGenerator": "_base",
    "from_open3d": "_interop",
    "from_trimesh": "_interop",
    "to_open3d": "_interop",
    "to_trimesh": "_interop",
}
"""Where what is not a generator is defined, by name."""

__all__ = ["Change", "PointCloud", "PointCloudGenerator", "from_open3d", "from_trimesh", "to_open3d", "to_trimesh"]


def __getattr__(name: str) -> Any:
    if name in HOMES:
        return getattr(importlib.import_module(f"{__name__}.{HOMES[name]}"), name)
    from anosynth.generator import lazily

    return lazily("pointclouds", __name__, name)


def __dir__() -> list[str]:
    from anosynth.generator import camel, names

    return sorted([*__all__, *(camel(name) for name in names("pointclouds"))])
