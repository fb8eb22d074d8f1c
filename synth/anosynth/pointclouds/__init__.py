"""Anomalies on point clouds, meshes and organised depth maps; one generator a module.

Generators are imported when first asked for: `from anosynth.pointclouds import FlatSpot` imports `flat_spot.py` alone.
"""

from __future__ import annotations

from typing import Any

from ._cloud import PointCloud
from ._interop import from_open3d, from_trimesh, to_open3d, to_trimesh

__all__ = ["PointCloud", "from_open3d", "from_trimesh", "to_open3d", "to_trimesh"]


def __getattr__(name: str) -> Any:
    if name[:1].isupper():
        from anosynth.errors import UnknownGenerator
        from anosynth.generator import camel, find, kebab

        try:
            if camel(kebab(name)) == name:
                return find("pointclouds", kebab(name))
        except UnknownGenerator as error:
            raise AttributeError(f"module {__name__!r} has no {name!r}: {error}") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from anosynth.generator import camel, names

    return sorted([*__all__, *(camel(name) for name in names("pointclouds"))])
