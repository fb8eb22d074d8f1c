"""What the defects along lines share: widths that points can show, tapers, distances to several polylines."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.patch import Patch
from anosynth.pointclouds._geometry.path import distance_to_polyline

Array = NDArray[Any]

_TAPER = 0.15
_LEAST_WIDTH = 2.0


def taper(position: Array) -> Array:
    """Return the factor at positions 0 to 1 along a line: 1 in the middle, falling to 0 over 15 % at both ends."""
    x = np.clip(np.minimum(position, 1 - position) / _TAPER, 0, 1)
    factor: Array = x * x * (3 - 2 * x)
    return factor


def check_width(name: str, width: float, cloud: PointCloud) -> None:
    """Raise DataError if a line of this width falls between the points of the cloud."""
    least = _LEAST_WIDTH * cloud.surface.spacing
    if cloud.triangles is None and width < least:
        raise DataError(
            f"`{name}`: {width:.4g} is under two point spacings, {least:.4g}: no point would show it\n"
            f"hint: raise {name}"
        )


def reach_of(lines: list[Array], margin: float) -> float:
    """Return the radius around the origin that holds all polylines and a margin."""
    return max(float(np.sqrt((line * line).sum(axis=1).max())) for line in lines) + margin


def distance_to_lines(patch: Patch, lines: list[Array]) -> Array:
    """Return (K,) the distance of the patch's points to the nearest of some polylines in its chart."""
    nearest: Array = np.minimum.reduce([distance_to_polyline(patch.uv, line)[0] for line in lines])
    return nearest
