"""Continuing what lies around a hole: a harmonic filling with grain like the surroundings'."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._sample import Image, Mask

Pixels = NDArray[np.float32]
Planes = NDArray[np.float32]

_SWEEPS = ((2_000, 24, 1.8), (40_000, 12, 1.7))
"""Unknown pixels up to which so many sweeps with such an overshoot are done: large levels start well."""
_FEW_SWEEPS = (4, 1.4)

_BANDS = (0.8, 1.6, 3.2, 6.4)
"""Widths of the Gaussians, in pixels, whose differences are the bands of the grain."""
_CALM = 1.5
_FAR = 1.5
"""Standard deviations at which the grain is cut: beyond lie colours that nothing around a strong texture has."""
_NARROW = 2.0
"""Wider Gaussians are taken over means of 2 x 2 pixels, and over means of those."""
_HALO, _HALOS = 3, 96
"""Least width of a halo in pixels, and how many of them a side of a large photo has."""
_TILE, _TILES = 64, 5
"""Of boxes of more than 5 x 5 tiles of 64 x 64 pixels, so many tell the strength of the grain."""


def halo(image: Image) -> int:
    """Return how far from the outline of a foreground, in pixels, what is there is neither the one nor the other.

    Photos are unsharp there, objects cast shadows, and an outline is found on blocks that grow with the photo.
    """
    return min(max(_HALO, image.side // _HALOS), image.side // 16)


def widened(mask: Mask, pixels: int) -> Mask:
    """Return `mask` (h, w) bool with all that is at most so many rows and columns away from it."""
    from scipy.ndimage import maximum_filter1d

    wide = mask.view(np.uint8)
    for axis in (0, 1):
        wide = maximum_filter1d(wide, 2 * pixels + 1, axis=axis)
    return wide.view(np.bool_)


def continued(pixels: Pixels, hole: Mask, rng: Rng) -> Pixels:
    """Return `pixels` (h, w, C) float32 with the `hole` (h, w) bool filled as if its surroundings went on.

    Raises:
        DataError: nothing is known.
    """
    if not hole.any():
        return pixels.copy()
    spreads = grain_spreads(pixels, ~hole)
    # Beyond the reach of the mean, what is known does not matter for what is filled in.
    top, left, bottom, right = _around(hole, 8)
    part, gone = pixels[top:bottom, left:right], hole[top:bottom, left:right]
    planes = np.ascontiguousarray(part.transpose(2, 0, 1))
    # One rim pixel decides over a whole sector of the filling: its noise would show as a streak.
    filled = membranes(np.where(gone, planes, _known_mean(planes, ~gone, _CALM)), gone)
    if np.any(spreads):
        filled += grain((bottom - top, right - left), spreads, rng)
    out = pixels.copy()
    for channel, plane in enumerate(filled):
        np.copyto(out[top:bottom, left:right, channel], plane, where=gone)
    return out


def grain_spreads(pixels: Pixels, known: Mask) -> NDArray[np.float64]:
    """Return the strength (bands, C) of the grain of the `known` pixels (h, w) bool of `pixels` (h, w, C) float32.

    A band's variance is what the deviation from a Gaussian mean gains over the one from the next narrower mean; the
    deviations are 1.91 times the amount that 40 % of them stay below (the standard deviation of a normal law), which a
    few edges among the known pixels do not change, and at most their own standard deviation, which that would exceed
    for two colours that take turns. Of large boxes, evenly spread tiles are looked at.
    """
    planes, share = _tiled(pixels.transpose(2, 0, 1), known)
    fine, sure, step = planes, share > 0, 1
    spreads = np.zeros((len(_BANDS), pixels.shape[2]))
    narrower = np.zeros(pixels.shape[2])
    for number, width in enumerate(_BANDS):
        if 4 * width > min(known.shape):
            break
        while width / step > _NARROW:
            (planes, share), step = _means(planes, share), 2 * step
        some = (..., slice(step // 2, None, step), slice(step // 2, None, step))
        inside = sure[some][:, 0]
        if not inside.any():
            break
        mean = _weighted_mean(planes, share, width / step)[..., : inside.shape[-2], : inside.shape[-1]]
        away = np.abs(fine[some] - mean)
        below = int(0.4 * np.count_nonzero(inside))
        variance = np.array([_variance(away[:, channel][inside], below) for channel in range(pixels.shape[2])])
        spreads[number] = np.sqrt(np.maximum(variance - narrower, 0))
        narrower = np.maximum(variance, narrower)
    return spreads


def _variance(away: NDArray[np.float32], below: int) -> float:
    """Return the squared deviation of `away` (N,) from 0, by the one that `below` of them stay below."""
    level = 1.9069 * float(np.partition(away, below)[below])
    return min(level * level, float((away * away).mean(dtype=np.float64)))


def grain(shape: tuple[int, int], spreads: NDArray[np.float64], rng: Rng) -> Planes:
    """Return noise (C, h, w) float32 of this strength, (bands, C), band by band and channel by channel.

    It is gradient noise of each band's wavelength, one pattern for all channels.
    """
    h, w = shape
    total = np.zeros((spreads.shape[1], h, w), np.float32)
    for number, (width, spread) in enumerate(zip(_BANDS, spreads, strict=True)):
        if not spread.any():
            continue
        # A wavelength of whole pixels would put the zeros of the noise onto the pixels.
        cells = (max(1.0, h / (2.37 * width)), max(1.0, w / (2.37 * width)))
        noise = lattice((h, w), cells, rng.child("band", number))
        strength = (spread / max(float(noise.std()), 1e-6)).astype(np.float32)
        for plane, factor in zip(total, strength, strict=True):
            plane += factor * noise
    most = (_FAR * np.sqrt((spreads * spreads).sum(axis=0))).astype(np.float32)[:, None, None]
    return np.clip(total, -most, most, out=total)


def membranes(planes: Planes, hole: Mask, sweeps: int = 0) -> Planes:
    """Return `planes` (..., h, w) float32 with the `hole`, bool of that shape or one that fits it, filled harmonically.

    Coarse to fine: a block of 2 x 2 is known by the mean of its known pixels, until nothing is unknown; on the way back
    the coarser filling is the start of over-relaxed sweeps in checkerboard order. What is left of the error is smooth:
    up to 1 % of the rim's range for smooth rims, and for white noise 5 % in holes of up to 2000 pixels and 20 % in
    larger ones (sparse direct solvers end in BLAS, whose last bits depend on the processor). Across the border,
    an unknown pixel has no slope. A number of `sweeps` makes a quicker and coarser filling.

    Raises:
        DataError: nothing is known.
    """
    if not hole.any():
        return planes
    if hole.all(axis=(-2, -1)).any():
        raise DataError("nothing around the hole is known")
    share = (~hole).astype(np.float32)
    coarse, known = _means(planes, share)
    start = _upsampled(membranes(coarse, known == 0, sweeps), (hole.shape[-2], hole.shape[-1]))
    return _relaxed(np.where(hole, start, planes), hole, sweeps)


def _around(hole: Mask, margin: int) -> tuple[int, int, int, int]:
    """Return the least box around the hole with a margin, within its array."""
    ends = []
    for axis in (0, 1):
        some = np.flatnonzero(hole.any(axis=1 - axis))
        ends.append((max(0, int(some[0]) - margin), min(hole.shape[axis], int(some[-1]) + 1 + margin)))
    return ends[0][0], ends[1][0], ends[0][1], ends[1][1]


def _tiled(planes: Planes, known: Mask) -> tuple[Planes, Planes]:
    """Return (tiles, C, h, w) and, as 0 and 1, which of its pixels are known, (tiles, 1, h, w)."""
    share = known.astype(np.float32)[None]
    h, w = known.shape
    if h * w <= (_TILES * _TILE) ** 2:
        return np.ascontiguousarray(planes[None]), share[None]
    starts = []
    for size in (h, w):
        number = min(_TILES, max(1, size // _TILE))
        starts.append([(size - min(size, _TILE)) * place // max(1, number - 1) for place in range(number)])
    places = [(slice(y, y + _TILE), slice(x, x + _TILE)) for y in starts[0] for x in starts[1]]
    tiles, shares = (np.stack([values[:, down, across] for down, across in places]) for values in (planes, share))
    return tiles, shares


def _known_mean(planes: Planes, known: Mask, width: float) -> Planes:
    """Return the Gaussian mean of the known pixels around each one; far from all of them, 0."""
    return _weighted_mean(planes, known.astype(np.float32)[None], width)


def _weighted_mean(planes: Planes, weight: Planes, width: float) -> Planes:
    from scipy.ndimage import gaussian_filter

    axes = (*(0 for _ in planes.shape[2:]), width, width)
    blurred = np.asarray(gaussian_filter(planes * weight, axes, truncate=2.5))
    blurred /= np.maximum(np.asarray(gaussian_filter(weight, axes, truncate=2.5)), np.float32(1e-6))
    return blurred


def _means(planes: Planes, weight: Planes) -> tuple[Planes, Planes]:
    """Return the weighted means of blocks of 2 x 2, and the sums of the weights over 1 where they are more."""
    total = _sums(weight)
    mean = _sums(planes * weight)
    mean /= np.maximum(total, np.float32(1e-6))
    return mean, np.minimum(total, np.float32(1))


def _sums(planes: Planes) -> Planes:
    h, w = planes.shape[-2:]
    if h % 2 or w % 2:
        planes = np.pad(planes, [*((0, 0) for _ in planes.shape[2:]), (0, h % 2), (0, w % 2)])
    rows = planes[..., ::2, :] + planes[..., 1::2, :]
    sums: Planes = rows[..., ::2]
    return sums + rows[..., 1::2]


def _upsampled(coarse: Planes, shape: tuple[int, int]) -> Planes:
    """Return the coarse pixels interpolated linearly at the centres of a grid twice as fine, cut to `shape`."""
    for axis, size in zip((-2, -1), shape, strict=True):
        have = coarse.shape[axis]
        place = np.clip((np.arange(size) - 0.5) / 2, 0, have - 1)
        low = np.minimum(place.astype(np.intp), max(have - 2, 0))
        weight = (place - low).astype(np.float32)
        start, end = coarse.take(low, axis), coarse.take(np.minimum(low + 1, have - 1), axis)
        end -= start
        end *= weight[:, None] if axis == -2 else weight
        start += end
        coarse = start
    return coarse


def _relaxed(planes: Planes, hole: Mask, sweeps: int) -> Planes:
    """Return `planes` (..., h, w), contiguous and written to, after sweeps over its unknown pixels alone."""
    h, w = planes.shape[-2:]
    flat = planes.reshape(-1)
    unknown = np.flatnonzero(np.broadcast_to(hole, planes.shape))
    row = unknown // w
    column = unknown - row * w
    row %= h
    colours = []
    for colour in (0, 1):
        some = (row + column) % 2 == colour
        at, y, x = unknown[some], row[some], column[some]
        colours.append((at, at - w * (y > 0), at + w * (y < h - 1), at - (x > 0), at + (x < w - 1)))
    number = np.count_nonzero(hole) // max(1, hole.size // (h * w))
    many, overshoot = next(((n, by) for most, n, by in _SWEEPS if number <= most), _FEW_SWEEPS)
    if sweeps:
        many, overshoot = min(many, sweeps), _FEW_SWEEPS[1]
    for _ in range(many):
        for at, *beside in colours:
            mean = flat.take(beside[0])
            for places in beside[1:]:
                mean += flat.take(places)
            mean *= np.float32(0.25)
            old = flat.take(at)
            mean -= old
            mean *= np.float32(overshoot)
            old += mean
            flat[at] = old
    return planes
