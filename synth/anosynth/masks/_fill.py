"""What a mask hides becomes an anomaly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Union, get_args

import numpy as np

from anosynth import steady
from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import real, whole
from anosynth.seeding import Rng, RngLike

from ._arrays import as_array, check_finite, streams
from ._grid import Shape, Sizes
from ._layout import layout_of
from ._write import Bools, Floats, Masked, written

Mode = Literal["zero", "mean", "interpolate", "noise", "copy", "shift"]

_LN10 = 2.302585092994046


def fill(
    x: Any,
    mask: Any,
    mode: Mode = "zero",
    rng: Union[RngLike, Sequence[RngLike]] = None,
    *,
    snr: float = 0.0,
    shift: Sizes | None = None,
    source: Any = None,
    batch_dim: int | None = 0,
    channel_dim: int | None = 1,
) -> Masked:
    """Return `x` with other values inside the mask, and the mask of what really changed.

    zero: 0. mean: the mean of what is not masked, by sample and channel. interpolate: the nearest places that are not
    masked, along each axis and to both sides, weighted by 1 / distance; along a single axis that is the straight line
    between them. noise: white noise is added, `snr` decibels below the variance of the sample's channel. copy: what
    lies a quarter to three quarters of each axis away, around the end, one drawn way for a sample; or, with `source`,
    what lies any way away there. shift: what lies `shift` samples further on, around the end, which is a phase-shifted
    copy. The modes are ours; zeros are what masked autoencoders see.

    Args:
        x: array or tensor with any number of axes of space.
        mask: bool, one for each element, for each place of a sample, or for each place of all.
        mode: one of the above.
        rng: as in `MultiScale`; only noise, copy, and shift without a shift draw from it.
        snr: in decibels, -60 to 60: 0 is noise of the same variance.
        shift: in samples, one number or one for each axis, of either sign, not all 0, each below the sample's size;
            None draws up to a sixteenth of each axis, of either sign.
        source: of the shape of `x`: where to copy from, such as other records.
        batch_dim, channel_dim: their axes in `x`, None if there is none.

    Returns:
        (values, mask). The mask is empty where nothing could change, as in a copy of what is constant.

    Raises:
        DataError: a mask or source of another shape; NaN or infinities, which have no mean and no variance.
        ParameterError: an unknown mode, or a value out of range.
    """
    if mode not in get_args(Mode):
        raise ParameterError(f"mode: {mode!r}: expected one of {', '.join(get_args(Mode))}")
    if source is not None and mode != "copy":
        raise ParameterError(f"source: of mode {mode!r}: expected only with copy")
    if not -60 <= real("snr", snr) <= 60:
        raise ParameterError(f"snr: {snr}: expected -60 to 60 decibels")
    layout = layout_of(x, batch_dim, channel_dim)
    inside = layout.mask("mask", mask)
    array = as_array("x", x)
    if mode in ("mean", "interpolate", "noise"):
        check_finite("x", array)
    old = layout.forth(array).astype(np.float64)
    donor = old
    if source is not None:
        if np.shape(source) != layout.full:
            raise DataError(f"source: {np.shape(source)}: expected {layout.full}, the shape of `x`")
        donor = layout.forth(as_array("source", source)).astype(np.float64)
    if mode == "zero":
        return written(x, layout, np.zeros_like(old), inside)
    if mode == "mean":
        return written(x, layout, np.broadcast_to(_means(old, inside), old.shape), inside)
    if mode == "interpolate":
        return written(x, layout, _interpolated(old, inside), inside)
    given = None if shift is None else _given(shift, layout.shape)
    roots = streams(rng, layout.batch)
    new = np.zeros_like(old)
    for i, root in enumerate(roots):
        own = root.child("fill", mode)
        if mode == "noise":
            new[i] = _noisy(old[i], inside[i], snr, own)
            continue
        if mode == "shift":
            way = given or _near(layout.shape, own)
        else:
            way = _far(layout.shape, own) if source is None else _anywhere(layout.shape, own)
        new[i] = np.roll(donor[i], [-step for step in way], axis=tuple(range(1, old.ndim - 1)))
    return written(x, layout, new, inside)


def _means(old: Floats, inside: Bools) -> Floats:
    """Return (B, C, 1...): the mean of what is not masked, of everything where all is masked."""
    batch, channels = old.shape[:2]
    means = np.zeros((batch, channels) + (1,) * (old.ndim - 2))
    for b in range(batch):
        for c in range(channels):
            free = old[b, c][~inside[b, c]]
            values = free if len(free) else old[b, c].reshape(-1)
            means[b, c] = steady.total(values) / len(values)
    return means


def _interpolated(old: Floats, inside: Bools) -> Floats:
    total, weights = np.zeros_like(old), np.zeros_like(old)
    for axis in range(2, old.ndim):
        size = old.shape[axis]
        number = np.arange(size).reshape((-1,) + (1,) * (old.ndim - 1 - axis))
        before = np.maximum.accumulate(np.where(inside, -1, number), axis=axis)
        after = np.flip(np.minimum.accumulate(np.flip(np.where(inside, size, number), axis), axis=axis), axis)
        for place, there in ((before, before >= 0), (after, after < size)):
            near = np.take_along_axis(old, np.clip(place, 0, size - 1), axis=axis)
            weight = np.where(there & inside, 1.0 / np.maximum(1, np.abs(number - place)), 0.0)
            total += weight * near
            weights += weight
    return np.where(weights > 0, total / np.where(weights > 0, weights, 1.0), _means(old, inside))


def _noisy(old: Floats, inside: Bools, snr: float, rng: Rng) -> Floats:
    new = old.copy()
    scale = steady.exp(-0.05 * snr * _LN10)
    for c, (values, here) in enumerate(zip(old, inside, strict=True)):
        flat = values.reshape(-1)
        centred = flat - steady.total(flat) / len(flat)
        deviation = np.sqrt(steady.total(centred * centred) / len(flat))
        # Of the whole sample, so that the noise at a place does not depend on what else is masked.
        noise = rng.child("channel", c).normal(len(flat)).reshape(values.shape)
        new[c][here] += scale * deviation * noise[here]
    return new


def _given(shift: Sizes, shape: Shape) -> Shape:
    ways = list(shift) if isinstance(shift, (list, tuple)) else [shift] * len(shape)
    if len(ways) != len(shape):
        raise ParameterError(f"shift: {tuple(ways)}: expected one number, or one for each of {len(shape)} axes")
    steps = tuple(whole("shift", way) for way in ways)
    if not any(steps) or any(abs(step) >= size for step, size in zip(steps, shape, strict=True)):
        raise ParameterError(f"shift: {shift}: expected less than the sample of {shape}, and not 0")
    return steps


def _near(shape: Shape, rng: Rng) -> Shape:
    return tuple(rng.sign() * rng.integer(1, max(1, size // 16)) if size > 1 else 0 for size in shape)


def _far(shape: Shape, rng: Rng) -> Shape:
    quarters = [-(-size // 4) for size in shape]
    return tuple(rng.integer(q, size - q) if size > 1 else 0 for q, size in zip(quarters, shape, strict=True))


def _anywhere(shape: Shape, rng: Rng) -> Shape:
    return tuple(rng.integer(0, size - 1) for size in shape)
