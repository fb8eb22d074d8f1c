"""Eigenvectors of symmetric 3 x 3 matrices whose bytes do not depend on the processor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

_ROUNDS = 5


def eigen3(matrix: Array) -> tuple[Floats, Floats]:
    """Return the eigenvalues (..., 3), ascending, and unit eigenvectors (..., 3, 3), in columns, of (..., 3, 3).

    As `numpy.linalg.eigh`, by Jacobi's cyclic rotations (Golub and Van Loan, section 8.5), five rounds of which reach
    full precision. LAPACK's last bits depend on the kernel that its BLAS chooses for the processor; these do not.
    """
    entries = [[np.array(matrix[..., i, j], dtype=np.float64) for j in range(3)] for i in range(3)]
    values, axes = _rotated(entries)
    order = np.argsort(np.stack(values, axis=-1), axis=-1, kind="stable")
    vectors = np.stack([np.stack(axis, axis=-1) for axis in axes], axis=-2)
    vectors = np.take_along_axis(vectors, order[..., :, None], axis=-2)
    vectors /= np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return np.take_along_axis(np.stack(values, axis=-1), order, axis=-1), np.swapaxes(vectors, -1, -2)


def least_axes(matrix: list[list[Array]]) -> Floats:
    """Return (n, 3) unit eigenvectors of the least eigenvalues of n symmetric matrices, given by their entries (n,)."""
    (first, second, third), axes = _rotated(matrix)
    least = np.where(first <= np.minimum(second, third), 0, np.where(second <= third, 1, 2))
    found = np.stack([np.choose(least, [axes[i][j] for i in range(3)]) for j in range(3)], axis=1)
    return np.asarray(found / np.sqrt((found * found).sum(axis=1, keepdims=True)))


def _rotated(matrix: list[list[Array]]) -> tuple[list[Array], list[list[Array]]]:
    """Return the eigenvalues and, for each, the components of its eigenvector."""
    a = [list(row) for row in matrix]
    zero, one = np.zeros_like(a[0][0]), np.ones_like(a[0][0])
    axes = [[one if i == j else zero for j in range(3)] for i in range(3)]
    for _ in range(_ROUNDS):
        for p, q, r in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
            off = a[p][q]
            half = 0.5 * (a[q][q] - a[p][p])
            # The smaller root of t^2 + 2 t half / off = 1; where `off` is 0 nothing is turned.
            root = np.abs(half) + np.sqrt(half * half + off * off)
            t = np.where(half < 0, -off, off) / np.where(root > 0, root, 1.0)
            c = 1.0 / np.sqrt(t * t + 1.0)
            s = t * c
            a[p][p], a[q][q] = a[p][p] - t * off, a[q][q] + t * off
            a[p][q] = a[q][p] = zero
            a[p][r], a[q][r] = c * a[p][r] - s * a[q][r], s * a[p][r] + c * a[q][r]
            a[r][p], a[r][q] = a[p][r], a[q][r]
            axes[p], axes[q] = (
                [c * u - s * v for u, v in zip(axes[p], axes[q], strict=True)],
                [s * u + c * v for u, v in zip(axes[p], axes[q], strict=True)],
            )
    return [a[i][i] for i in range(3)], axes
