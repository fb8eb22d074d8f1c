"""Figures of sets of feature vectors: neighbours, effective numbers, FID and KID, each with what it depends on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError

Floats = NDArray[np.float64]


def distances(rows: Floats, others: Floats) -> Floats:
    """Return the (n, m) Euclidean distances of (n, C) and (m, C) rows; equal rows are at exactly 0."""
    from scipy.spatial.distance import cdist

    # A product of matrices would be faster, but ties would be none.
    return np.asarray(cdist(rows, others), dtype=np.float64)


def kth(distance: Floats, k: int) -> Floats:
    """Return (n,) the k-th smallest of each row of (n, m), infinite if m < k."""
    if k > distance.shape[1]:
        return np.full(len(distance), np.inf)
    return np.asarray(np.partition(distance, k - 1, axis=1)[:, k - 1])


def manifold(apart: Floats, radius: Floats, own: Floats, k: int) -> dict[str, float]:
    """Return precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020).

    Args:
        apart: (R, n) distances from real rows to those of a set.
        radius, own: (R,) and (n,): distance of each row to the k-th nearest of its own set.
        k: neighbours.
    """
    within = apart <= radius[:, None]
    return {
        "precision": float(within.any(axis=0).mean()),
        "recall": float((apart <= own[None, :]).any(axis=1).mean()),
        "density": float(within.sum(axis=0).mean() / k),
        "coverage": float(within.any(axis=1).mean()),
    }


def expected_coverage(real: int, rows: int, k: int) -> float:
    """Return the coverage to expect of rows from the real ones' own distribution (Naeem et al. 2020, lemma 2).

    Of all other rows the k nearest to a real one are all real with probability prod (real - j) / (real + rows - j),
    j = 1..k.
    """
    return 1.0 - math.prod((real - j) / (real + rows - j) for j in range(1, k + 1))


def vendi(rows: ArrayLike) -> float:
    """Return the Vendi score of (n, C) rows with the cosine kernel (Friedman and Dieng 2022).

    It is exp of the entropy of the eigenvalues of the kernel matrix over n: 1 if all rows point one way, n if all are
    orthogonal. A row of zeros has no direction and counts as orthogonal to all others.
    """
    values = np.asarray(rows, dtype=np.float64)
    length = np.sqrt((values * values).sum(axis=1))
    unit = values / np.where(length > 0, length, 1.0)[:, None]
    # The eigenvalues of X X' are those of X' X and zeros.
    product = unit @ unit.T if len(unit) <= unit.shape[1] else unit.T @ unit
    spectrum = np.linalg.eigvalsh(product) / len(values)
    alone = np.full(int((length == 0).sum()), 1.0 / len(values))
    share = np.concatenate([spectrum[spectrum > 1e-15], alone])
    return math.exp(-float((share * np.log(share)).sum()))


def frechet_distance(rows: ArrayLike, others: ArrayLike) -> dict[str, Any]:
    """Return FID on any features, |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)), with its protocol (Heusel et al. 2017).

    With fewer rows than channels the covariance is singular, and the figure mostly says how many rows there are;
    `singular` tells so.

    Args:
        rows, others: (n, C) and (m, C), not standardised; n, m >= 2.

    Raises:
        DataError: arrays of other shapes, not finite, or too few rows.
    """
    a, b = _two(rows, others)
    gap = a.mean(axis=0) - b.mean(axis=0)
    first, second = (np.cov(values, rowvar=False).reshape(gap.size, gap.size) for values in (a, b))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0.0)).sum()
    value = float((gap * gap).sum() + np.trace(first) + np.trace(second) - 2.0 * cross)
    return {"name": "FID", "value": max(value, 0.0), **_protocol(a, b), "singular": min(len(a), len(b)) <= gap.size}


def kernel_distance(rows: ArrayLike, others: ArrayLike) -> dict[str, Any]:
    """Return KID on any features: the unbiased squared MMD with the kernel (x y / C + 1)^3 (Binkowski et al. 2018).

    All rows count at once, where other tools report the mean over subsets of some 1000; it may be negative.

    Args:
        rows, others: (n, C) and (m, C), not standardised; n, m >= 2.

    Raises:
        DataError: arrays of other shapes, not finite, or too few rows.
    """
    a, b = _two(rows, others)
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (_cubic(a, a), _cubic(b, b))]
    value = float(within[0] + within[1] - 2.0 * _cubic(a, b).mean())
    return {"name": "KID", "value": value, **_protocol(a, b), "subsets": 1}


def rows_of(name: str, values: ArrayLike) -> Floats:
    """Return (n, C) float64.

    Raises:
        DataError: they have another shape or are not finite.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or 0 in rows.shape:
        raise DataError(f"{name}: {rows.shape}: expected rows of features, (n, C)")
    if not np.isfinite(rows).all():
        raise DataError(f"{name}: {int((~np.isfinite(rows)).sum())} values are not finite: expected numbers")
    return rows


def _cubic(left: Floats, right: Floats) -> Floats:
    cube: Floats = (left @ right.T / left.shape[1] + 1.0) ** 3
    return cube


def _two(rows: ArrayLike, others: ArrayLike) -> tuple[Floats, Floats]:
    a, b = rows_of("rows", rows), rows_of("others", others)
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise DataError(f"rows, others: {a.shape}, {b.shape}: expected two rows or more each, of as many channels")
    return a, b


def _protocol(a: Floats, b: Floats) -> dict[str, Any]:
    return {"rows": [len(a), len(b)], "channels": a.shape[1], "standardised": False}
