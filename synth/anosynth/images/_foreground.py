"""The object in a photo, found without being told: where it differs from what the frame shows of the background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.images._sample import FULL_SCALE, Array, Mask

Floats = NDArray[np.float64]

LONGEST = 256
"""The longer side in pixels at which the object is looked for."""

_FRAME = 0.04  # width of the frame, as a share of the shorter side
_KEPT = 2.5  # robust standard deviations within which a pixel of the frame counts as background
_NOISE = 6.0  # such deviations of the background beyond which a pixel is certainly none
_LEAST_NOISE = 1.0 / 255.0
_HOMOGENEOUS = 0.6  # least share of the frame that one smooth background explains
_LEAST_AREA, _MOST_AREA = 0.02, 0.95
_LEAST_CONTRAST = 0.12  # of full scale, in the channel that differs most: fabrics have folds and stains below it
_DARK = 0.4  # share of the light left below which darkness is ever less of a shadow
_MOST_UNSURE = 0.48  # pixels near the threshold, as a share of the object
_SHADOW = 0.4  # weight of a difference that less light on the same colour explains
_PART = 0.05  # parts smaller than this share of the largest are dropped
_HOLE = 0.015  # holes smaller than this share of their part are filled


def foreground(pixels: Array) -> Mask | None:
    """Return where the object is, or None if the image has no background that can be told from it.

    The frame of the image is taken for background; a smooth surface of second degree is fitted to each channel of it,
    leaving out what does not fit (an object that runs out of the image, dirt). The distance of a pixel is its largest
    difference from that surface over the channels, smoothed; what may be a shadow, less light on the same colour,
    counts in part. Three thresholds vote on it: the noise of the frame,
    Otsu's (1979) and the triangle's (Zack et al. 1977); two of three decide, which is their median. The result is
    cleaned, small holes are filled, the largest part is kept with those of at least 5 % of it, and the outline is put
    where the distance is half of what it is just inside.

    Args:
        pixels: (H, W) or (H, W, C) uint8, uint16 or float32 (0 to 1), any size from 8 x 8.

    Returns:
        (H, W) bool, or None ("the whole image"): the frame is not homogeneous, the object would be below 2 % or above
        95 % of the image, or it does not stand out from the background. Depends on nothing but the pixels.
    """
    height, width = pixels.shape[:2]
    share = min(1.0, LONGEST / max(height, width))
    size = (max(1, round(height * share)), max(1, round(width * share)))
    white = FULL_SCALE[pixels.dtype]
    small = np.clip(np.nan_to_num(shrunk(pixels, size) / white), 0.0, 1.0)
    found = _found(small.reshape(*size, -1))
    return None if found is None else _enlarged(found, (height, width))


def shrunk(values: Array, size: tuple[int, int]) -> Floats:
    """Return `values` (H, W) or (H, W, C) averaged over the areas of size[0] x size[1] equal cells, as float64.

    A pixel that two cells share counts in each with its share, so that the mean of the result is the mean of the
    input. A side never grows: `size` is at most (H, W).
    """
    out = values
    for axis in (0, 1):
        out = _shrunk_along(out, axis, size[axis])
    return out.astype(np.float64)


def _shrunk_along(values: Array, axis: int, count: int) -> Array:
    length = values.shape[axis]
    if count == length:
        return values
    edges = np.arange(count + 1) * length
    first = np.minimum(edges // count, length - 1)
    part = (edges % count / count).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    # What of its own first pixel each cell leaves to the cell before it; the last edge is the end: a share of zero.
    over = part * np.take(values, first, axis=axis).astype(np.float64)
    head, tail = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
    if axis == 0:
        # Row by row, a tenth of the time that reduceat takes on a photo of many megapixels.
        ends = [*first[1:-1], length]
        rows = [values[a:b].sum(axis=0, dtype=np.float64) for a, b in zip(first[:-1], ends, strict=True)]
        whole = np.stack(rows)
    else:
        whole = np.add.reduceat(values, first[:-1], axis=axis, dtype=np.float64)
    return np.asarray((whole - over[head] + over[tail]) / (length / count))


def _found(small: Floats) -> Mask | None:
    from scipy import ndimage

    height, width, channels = small.shape
    wide = max(1, round(_FRAME * min(height, width)))
    frame = np.ones((height, width), dtype=np.bool_)
    frame[wide:-wide, wide:-wide] = False
    noise, homogeneous, ground = 0.0, frame.copy(), np.zeros(small.shape)
    for channel in range(channels):
        ground[:, :, channel], kept, spread = _background(small[:, :, channel], frame)
        homogeneous &= kept
        noise = max(noise, spread)
    smooth = ndimage.gaussian_filter(small, (0.8, 0.8, 0), mode="nearest")
    distance = _distance(smooth, ground)
    if homogeneous.sum() < _HOMOGENEOUS * frame.sum():
        return None
    votes = sorted([max(_NOISE * noise, 0.5 * _LEAST_CONTRAST), _otsu(distance), _triangle(distance)])
    mask = _cleaned(distance > votes[1], distance, votes[1], wide)
    mask = _trimmed(mask, distance)
    area = float(mask.mean())
    if not _LEAST_AREA <= area <= _MOST_AREA:
        return None
    inside, outside = distance[mask], distance[frame & homogeneous & ~mask]
    low, usual = np.quantile(inside, [0.1, 0.5])
    # An object ends; a fold or a cloud of dirt fades, and leaves much of the image next to the threshold.
    unsure = np.count_nonzero(np.abs(distance - votes[1]) < 0.4 * votes[1]) / np.count_nonzero(mask)
    apart = len(outside) > 0 and low > np.quantile(outside, 0.9) and usual > 4 * np.quantile(outside, 0.5)
    return mask if apart and unsure < _MOST_UNSURE and usual >= _LEAST_CONTRAST else None


def _distance(pixels: Floats, ground: Floats) -> Floats:
    """Return the largest difference over the channels; where colour can tell a shadow, it counts in part."""
    distance = np.abs(pixels - ground).max(axis=2)
    if pixels.shape[2] < 3:
        return np.asarray(distance)
    light = (pixels * ground).sum(axis=2) / np.maximum((ground * ground).sum(axis=2), 1e-6)
    hue = np.abs(pixels - light[:, :, None] * ground).max(axis=2)
    # A shadow leaves a good part of the light; what is darker still is rather a dark object.
    weight = np.clip((_DARK - light) / _DARK, 0.0, 1.0) * (1 - _SHADOW) + _SHADOW
    return np.asarray(np.where(light < 1, np.maximum(hue, weight * distance), distance))


def _background(channel: Floats, frame: Mask) -> tuple[Floats, Mask, float]:
    """Return the surface through the frame's background, which pixels of the frame it explains, and their spread."""
    y, x = (np.linspace(-1.0, 1.0, n) for n in channel.shape)
    yy, xx = np.broadcast_arrays(y[:, None], x[None, :])
    terms = np.stack([np.ones_like(xx), xx, yy, xx * xx, yy * yy, xx * yy])
    values, base = channel[frame], terms[:, frame]
    rest, fit = values - np.median(values), np.zeros(6)
    kept, spread = np.ones(len(values), dtype=np.bool_), 0.0
    for _ in range(8):
        spread = max(1.4826 * float(np.median(np.abs(rest[kept]))), _LEAST_NOISE)
        kept = np.abs(rest) <= _KEPT * spread
        rows = base[:, kept]
        normal = [[float((a * b).sum()) for b in rows] for a in rows]
        fit = np.array(_solved(normal, [float((a * values[kept]).sum()) for a in rows]))
        rest = values - (fit[:, None] * base).sum(axis=0)
    explained = frame.copy()
    explained[frame] = np.abs(rest) <= 2 * _KEPT * spread
    return np.asarray((fit[:, None, None] * terms).sum(axis=0)), explained, spread


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Solve normal equations by elimination in plain floats: LAPACK's last bits depend on the processor."""
    n = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for k in range(n):
        # A frame so small that it does not fix a term gets none of it.
        rows[k][k] += 1e-9 * (1.0 + matrix[k][k])
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
    out = [0.0] * n
    for k in reversed(range(n)):
        out[k] = (rows[k][n] - sum(rows[k][j] * out[j] for j in range(k + 1, n))) / rows[k][k]
    return out


def _histogram(distance: Floats) -> tuple[NDArray[np.int64], float]:
    top = max(float(np.quantile(distance, 0.995)), 1e-9)
    levels = np.minimum((distance * (256 / top)).astype(np.int64), 255)
    return np.bincount(levels.ravel(), minlength=256), top / 256


def _otsu(distance: Floats) -> float:
    """The threshold that parts the histogram into the two classes farthest apart for their spread."""
    counts, step = _histogram(distance)
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    moment = np.cumsum(counts * np.arange(256.0))
    mean_below = moment[:-1] / np.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2
    # All thresholds within an empty stretch of the histogram are as good: the middle one is the safest.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return (float(best.mean()) + 1) * step


def _triangle(distance: Floats) -> float:
    """The threshold farthest below the line from the histogram's peak to the end of its longer tail."""
    counts, step = _histogram(distance)
    peak, filled = int(counts.argmax()), np.flatnonzero(counts)
    end = int(filled[-1]) if filled[-1] - peak >= peak - filled[0] else int(filled[0])
    if end == peak:
        return step * (peak + 1)
    at = np.arange(min(peak, end), max(peak, end) + 1)
    line = counts[peak] + (counts[end] - counts[peak]) * (at - peak) / (end - peak)
    return (float(at[(line - counts[at]).argmax()]) + 1) * step


def _cleaned(mask: Mask, distance: Floats, threshold: float, wide: int) -> Mask:
    from scipy import ndimage

    def filtered(values: Mask, work: Any) -> Mask:
        # Beyond the border goes on what is at it: an object that runs out of the image keeps its edge there.
        return np.asarray(work(np.pad(values, 4, mode="edge"), disc)[4:-4, 4:-4], dtype=np.bool_)

    disc = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2.3 if min(mask.shape) >= 64 else np.ones((1, 1), dtype=bool)
    mask = filtered(filtered(mask, ndimage.binary_closing), ndimage.binary_opening)
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    areas[0] = 0
    band = 2 * wide
    inner = np.bincount(parts[band:-band, band:-band].ravel(), minlength=count + 1)
    # What lies along the border only is the edge of the table, a neighbour or dirt.
    areas[inner < 0.3 * areas] = 0
    kept = areas >= max(1.0, _PART * float(areas.max()))
    mask = kept[parts]
    holes, count = ndimage.label(~mask)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    typical = np.zeros(count + 1)
    if count:
        typical[1:] = ndimage.median(distance, holes, np.arange(1, count + 1))
    edge = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    fill = (sizes < _HOLE * mask.sum()) | (typical > 0.6 * threshold)
    fill[edge] = False
    fill[0] = False
    return np.asarray(mask | fill[holes], dtype=np.bool_)


def _trimmed(mask: Mask, distance: Floats) -> Mask:
    """Put the outline where the distance is half of what it is just inside, and not where it begins to rise."""
    from scipy import ndimage

    core = ndimage.binary_erosion(mask, iterations=3, border_value=1)
    inside = ndimage.maximum_filter(np.where(mask, distance, 0.0), size=7, mode="nearest")
    trimmed = core | (mask & (distance >= 0.5 * inside))
    parts, count = ndimage.label(trimmed)
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    areas[0] = 0
    return np.asarray((areas >= _PART * areas.max())[parts] & trimmed, dtype=np.bool_)


def _enlarged(mask: Mask, size: tuple[int, int]) -> Mask:
    """Interpolate the mask between the centres of its pixels and cut it at one half."""
    if mask.shape == size:
        return mask
    rows, columns = (_between(n, m) for n, m in zip(mask.shape, size, strict=True))
    values = mask.astype(np.float32)
    values = values[rows[0]] * (1 - rows[2])[:, None] + values[rows[1]] * rows[2][:, None]
    return np.asarray(values[:, columns[0]] * (1 - columns[2]) + values[:, columns[1]] * columns[2] > 0.5)


def _between(few: int, many: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    at = np.clip((np.arange(many) + 0.5) * (few / many) - 0.5, 0, few - 1)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, few - 1), (at - low).astype(np.float32)
