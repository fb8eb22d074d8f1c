"""Masks where a network looks, after EAR."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import real, whole

from ._arrays import as_array, check_finite, kind_of
from ._grid import Shape, Sizes, block_means, spread, steps_of


def by_saliency(
    saliency: Any,
    *,
    threshold: float | None = None,
    quantile: float | None = None,
    cell: Sizes = 1,
    pool: Literal["mean", "max"] = "mean",
    dilate: int = 0,
    dims: int = 2,
) -> Any:
    """Return the mask of the most salient cells; nothing is drawn, the same map gives the same mask.

    EAR (Park et al., 2023) masks what a pretrained DINO attends to, one mask for each image. Its code is not public:
    thresholds, cells and dilation are ours. The mask only shrinks as the threshold or the quantile grows.

    Args:
        saliency: (..., *shape) floats, array or tensor, `dims` axes of space; each of the others is masked by itself.
        threshold: cells of at least this saliency are masked; or
        quantile: 0 to 1, the share of the cells that is not: of n cells the floor((1 - quantile) n + 0.5) most salient
            ones are masked, of equal ones those that come first in row-major order.
        cell: size of a cell in samples, one number or one for each axis of space.
        pool: a cell is as salient as the mean of its samples, or as the largest.
        dilate: by how many cells the mask grows to all sides, corners included.

    Returns:
        (..., *shape) bool, of the kind that went in.

    Raises:
        DataError: the map has a value that is not finite, or fewer axes than `dims`.
        ParameterError: not one of threshold and quantile is given, or a value is out of range.
    """
    if (threshold is None) == (quantile is None):
        raise ParameterError("threshold, quantile: expected one of the two")
    if pool not in ("mean", "max"):
        raise ParameterError(f"pool: {pool!r}: expected mean or max")
    if whole("dilate", dilate) < 0:
        raise ParameterError(f"dilate: {dilate}: expected at least 0")
    values = as_array("saliency", saliency)
    if not 1 <= whole("dims", dims) <= values.ndim or not values.size:
        raise DataError(f"saliency: {values.shape}: expected {dims} dimensions or more, none of them 0")
    check_finite("saliency", values)
    shape = values.shape[values.ndim - dims :]
    steps = steps_of("cell", cell, shape)
    cells = _pooled(values.astype(np.float64), steps, pool)
    if threshold is not None:
        level = real("threshold", threshold)
        if not np.isfinite(level):
            raise ParameterError(f"threshold: {threshold}: expected a finite number")
        inside = cells >= level
    else:
        inside = _highest(cells, dims, real("quantile", quantile))
    return kind_of(saliency).give(spread(_dilated(inside, dims, dilate), shape, steps))


def _pooled(values: NDArray[np.float64], steps: Shape, pool: str) -> NDArray[np.float64]:
    if pool == "mean":
        return block_means(values, steps)
    for axis, step in enumerate(steps, values.ndim - len(steps)):
        values = np.maximum.reduceat(values, np.arange(0, values.shape[axis], step), axis=axis)
    return values


def _highest(cells: NDArray[np.float64], dims: int, quantile: float) -> NDArray[np.bool_]:
    if not 0 <= quantile <= 1:
        raise ParameterError(f"quantile: {quantile:g}: expected 0 to 1")
    flat = cells.reshape(*cells.shape[: cells.ndim - dims], -1)
    count = int((1 - quantile) * flat.shape[-1] + 0.5)
    order = np.argsort(-flat, axis=-1, kind="stable")
    inside = np.zeros(flat.shape, np.bool_)
    np.put_along_axis(inside, order[..., :count], True, axis=-1)
    return inside.reshape(cells.shape)


def _dilated(inside: NDArray[np.bool_], dims: int, reach: int) -> NDArray[np.bool_]:
    for axis in range(inside.ndim - dims, inside.ndim):
        grown = inside.copy()
        line, wide = np.moveaxis(inside, axis, 0), np.moveaxis(grown, axis, 0)
        for step in range(1, min(reach, len(line) - 1) + 1):
            wide[step:] |= line[:-step]
            wide[:-step] |= line[step:]
        inside = grown
    return inside
