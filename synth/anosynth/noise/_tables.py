"""The tables of improved Perlin noise as the `noise` package has them.

The permutation is the one of K. Perlin, "Improving noise", SIGGRAPH 2002. The gradients are the twelve edge
directions of the cube and four repeats; which four (rows 12 to 15) differs from Perlin's own program.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 258
"""Rows and columns of the tables over the plane: cells 0 to 256, and 257 for the corner behind the last one."""

PERMUTATION = bytes.fromhex(
    "97a0895b5a0f830dc95f6035c2e907e18c24671e458e086325f0150a17be0694"
    "f778ea4b001ac53e5efcdbcb75230b2039b12158ed953857ae147d88aba844af"
    "4aa547868b301ba64d929ee7536fe57a3cd385e6dc695c29372ef528f4668f36"
    "41193fa101d85049d14c84bbd05912a9c8c4878274bc9f56a4646dc6adba0340"
    "34d9e2fa7c7b05ca2693767eff5255d4cfce3be32f103a11b6bd1c2adfb7aad5"
    "77f898022c9aa346dd99659ba72bac09811627fd13626c6e4f71e0e8b2b97068"
    "daf661e4fb22f2c1eed2900cbfb3a2f1513391ebf90eef6b31c0d61fb5c76a9d"
    "b854ccb07379322d7f0496fe8aeccd5dde72431d1848f38d80c34e42d73d9cb4"
)
"""Perlin's permutation of 0..255."""

_SIGNS = "++0-+0+-0--0+0+-0++0--0-0++0-+0+-0--+0--0-0-+0++"
GRADIENTS = np.array(["-0+".index(sign) - 1 for sign in _SIGNS], dtype=np.float32).reshape(16, 3)
"""(16, 3) float32 gradients by hash."""
GRADIENTS.setflags(write=False)


def _permute(index: NDArray[np.intp]) -> NDArray[np.intp]:
    # The package doubles the table and never masks; a periodic table is the same for every index it can reach.
    table: NDArray[np.intp] = np.frombuffer(PERMUTATION, dtype=np.uint8).astype(np.intp)
    permuted: NDArray[np.intp] = table[index & 255]
    return permuted


@cache
def column_neighbours(base: int) -> NDArray[np.intp]:
    """Return (2, 2, SIDE * SIDE) intp: the columns (i + x, j + y), twice permuted, by [y, x, i * SIDE + j]."""
    cells = (np.arange(SIDE, dtype=np.intp) & 255) + base
    columns = _permute(_permute(cells)[:, None] + cells[None, :]).reshape(-1)
    table = np.array([[np.roll(columns, -(x * SIDE + y)) for x in (0, 1)] for y in (0, 1)])
    table.setflags(write=False)
    return table


@cache
def plane_neighbours(base: int) -> NDArray[np.float32]:
    """Return (2, 2, 2, SIDE * SIDE) float32: gradients of the nodes (i + x, j + y) by [axis, y, x, i * SIDE + j]."""
    return _gradients(_permute(column_neighbours(base)), 2)


@cache
def height_neighbours(base: int) -> NDArray[np.float32]:
    """Return (3, 2, 514) float32: gradients at height k + z of a column by [axis, z, column + k]."""
    hashes = _permute(np.arange(514, dtype=np.intp) + base)
    return _gradients(np.stack([hashes, np.roll(hashes, -1)]), 3)


def _gradients(hashes: NDArray[np.intp], axes: int) -> NDArray[np.float32]:
    table: NDArray[np.float32] = np.stack([GRADIENTS[hashes & 15, axis] for axis in range(axes)])
    table.setflags(write=False)
    return table
