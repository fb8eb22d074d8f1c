"""Points drawn as a lit surface in plain numpy: small discs blended into a depth buffer, as the report's page does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .canvas import Pixels

Floats = NDArray[np.float64]

FINE = 2
"""Pixels drawn for one of the picture, along each side."""

_LIGHT = np.array([-0.3, 0.45, 0.84])
_INSIDE = 0.5  # light on the inner side of the surface, which shows through holes
_STOPS = np.array([-1.0, -0.5, -0.08, 0.0, 0.08, 0.5, 1.0])
NEUTRAL, OTHER = (176.0, 182.0, 190.0), (240.0, 148.0, 20.0)
_RAMP = np.array(
    [(16, 62, 142), (52, 122, 205), (150, 190, 228), NEUTRAL, (240, 180, 158), (216, 82, 62), (142, 10, 32)]
)


def coloured(effect: NDArray[Any], mask: NDArray[np.bool_], peak: float) -> Floats:
    """Return (N, 3): blue inward, red outward, orange what is labelled without a height, grey all else."""
    share = np.clip(effect.astype(np.float64) / peak, -1, 1) if peak > 0 else np.zeros(len(effect))
    rgb = np.stack([np.interp(share, _STOPS, _RAMP[:, channel]) for channel in range(3)], axis=1)
    rgb[mask & (effect == 0)] = OTHER
    return rgb


def painted(
    places: Floats, normals: Floats, rgb: Floats, radius: float, size: tuple[int, int], paper: tuple[int, ...]
) -> Pixels:
    """Return a picture (h, w, 3) of points that are given as the picture has them.

    Args:
        places: (N, 3) columns, rows and nearness, in pixels.
        normals: (N, 3) unit normals: right, up, towards the viewer.
        rgb: (N, 3) from 0 to 255.
        radius: of a disc, in pixels.
    """
    height, width = size[0] * FINE, size[1] * FINE
    at, reach = places * FINE, max(0.75, radius * FINE)
    room = int(np.ceil(reach)) + 1
    inside = (at[:, 0] > -room) & (at[:, 0] < width + room) & (at[:, 1] > -room) & (at[:, 1] < height + room)
    at, normals, rgb = at[inside], normals[inside], rgb[inside]
    behind = np.where(normals[:, 2] < -0.2, _INSIDE, 1.0)
    normals = np.where(normals[:, 2:] < 0, -normals, normals)
    lit = 0.5 + 0.57 * np.maximum(0.0, _lit(normals))
    lit *= behind
    steep = 1.0 / np.maximum(normals[:, 2], 0.25)
    slope = -normals[:, 0] * steep, normals[:, 1] * steep
    depth = np.full(height * width, -np.inf)
    for place, near, _ in _spots(at, slope, reach, (height, width)):
        np.maximum.at(depth, place[0], near)
    total = np.zeros((4, height * width))
    for (place, rows), near, weight in _spots(at, slope, reach, (height, width)):
        front = near >= depth[place] - 0.8 * reach
        place, rows, weight = place[front], rows[front], weight[front]
        for channel in range(3):
            total[channel] += np.bincount(place, weight * lit[rows] * rgb[rows, channel], minlength=height * width)
        total[3] += np.bincount(place, weight, minlength=height * width)
    seen = total[3] > 0
    picture = np.repeat(np.array(paper, dtype=np.float64)[:, None], height * width, axis=1)
    picture[:, seen] = np.minimum(total[:3, seen] / total[3, seen], 255)
    fine = picture.reshape(3, size[0], FINE, size[1], FINE).mean(axis=(2, 4))
    return np.ascontiguousarray(np.rint(np.moveaxis(fine, 0, 2)).astype(np.uint8))


def _lit(normals: Floats) -> Floats:
    # Discs of the far side peep out at the outline with their normals flipped: there light comes from the front only.
    side = np.minimum(1.0, 2 * normals[:, 2])
    return np.asarray(side * (normals[:, 0] * _LIGHT[0] + normals[:, 1] * _LIGHT[1]) + normals[:, 2] * _LIGHT[2])


def _spots(at: Floats, slope: tuple[Floats, Floats], reach: float, size: tuple[int, int]) -> Any:
    """Yield what the discs cover, one offset from their middles at a time: places, rows, nearness, weight."""
    height, width = size
    middle = np.rint(at[:, :2]).astype(np.int64)
    far = int(np.ceil(reach))
    for down in range(-far, far + 1):
        for across in range(-far, far + 1):
            column, row = middle[:, 0] + across, middle[:, 1] + down
            dx, dy = column - at[:, 0], row - at[:, 1]
            dz = slope[0] * dx + slope[1] * dy
            off = (dx * dx + dy * dy + dz * dz) / (reach * reach)
            rows = np.flatnonzero((off <= 1) & (column >= 0) & (column < width) & (row >= 0) & (row < height))
            place = row[rows] * width + column[rows]
            yield (place, rows), at[rows, 2] + dz[rows], (1 - off[rows]) ** 2 + 1e-4
