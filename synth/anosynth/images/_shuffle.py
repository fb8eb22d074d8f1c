"""The two ways in which published recipes shuffle an image: from which place each pixel comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.seeding import Rng


def grid_places(shape: tuple[int, int], grid: int, rng: Rng) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return from which (row, column), each (H, W), a pixel comes when grid x grid tiles are permuted uniformly.

    Tiles have whole sizes; what is left over at the right and the bottom stays where it is. A side of fewer pixels
    than tiles has fewer tiles.
    """
    height, width = shape
    down, across = min(grid, height), min(grid, width)
    tall, wide = height // down, width // across
    order = rng.permutation(down * across).reshape(down, across)
    move_y = (order // across - np.arange(down)[:, None]) * tall
    move_x = (order % across - np.arange(across)) * wide
    rows = np.broadcast_to(np.arange(height)[:, None], shape).copy()
    columns = np.broadcast_to(np.arange(width), shape).copy()
    for places, moves in ((rows, move_y), (columns, move_x)):
        tiles = places[: down * tall, : across * wide].reshape(down, tall, across, wide)
        tiles += moves[:, None, :, None]
    return rows, columns


def strip_places(shape: tuple[int, int], strips: int, rng: Rng) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return from which (row, column) a pixel comes when columns, then rows, are cut in strips and the odd and the
    even ones permuted among themselves; what is left over stays where it is."""
    rows, columns = (_strips(size, strips, rng.child(axis)) for axis, size in enumerate(shape))
    return np.broadcast_to(rows[:, None], shape), np.broadcast_to(columns, shape)


def _strips(size: int, strips: int, rng: Rng) -> NDArray[np.intp]:
    strips = min(strips, size)
    wide = size // strips
    order = np.arange(strips)
    for parity in (0, 1):
        same = order[parity::2].copy()
        order[parity::2] = same[rng.child("parity", parity).permutation(len(same))]
    place: NDArray[Any] = np.arange(size)
    place[: strips * wide] = (order[:, None] * wide + np.arange(wide)).ravel()
    return place
