"""Anomalies on point clouds, meshes and organised depth maps; one generator a module.

Generators are imported when first asked for: `from anosynth.pointclouds import FlatSpot` imports `flat_spot.py` alone.
"""

from __future__ import annotations

from typing import Any

from ._cloud import PointCloud
from ._interop import from_open3d, from_trimesh, to_open3d, to_trimesh

__all__ = ["PointCloud", "from_open3d", "from_trimesh", "to_open3d", "to_trimesh"]


def __getattr__(name: str) -> Any:
    from anosynth.generator import lazily

    return lazily("pointclouds", __name__, name)


def __dir__() -> list[str]:
    from anosynth.generator import camel, names

    return sorted([*__all__, *(camel(name) for name in names("pointclouds"))])
