"""The object in a photo, found without being told: where it differs from what the frame shows of the background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.images._sample import FULL_SCALE, Array, Mask
from anosynth.images._shrink import blocks

Floats = NDArray[np.float64]

LONGEST = 192
"""The longer side in pixels, at most, at which the object is looked for."""

_FRAME = 0.04  # width of the frame, as a share of the shorter side
_ASKED = 1000  # pixels of the frame that the background is fitted to
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
_HOLE = 0.0125  # holes smaller than this share of their part are filled
_PAIRS = [(i, j) for i in range(6) for j in range(i, 6)]
_STRIP = 64


def foreground(pixels: Array) -> Mask | None:
    """Return where the object is, or None if the image has no background that can be told from it.

    All is done on means over blocks of equal size, at most 192 on a side. The frame of the image is taken for
    background; a smooth surface of second degree is fitted to each channel of it, leaving out what does not fit (an
    object that runs out of the image, dirt). The distance of a pixel is its largest difference from that surface over
    the channels, smoothed; what may be a shadow, less light on the same colour, counts in part. Three thresholds vote
    on it: the noise of the frame, Otsu's (1979) and the triangle's (Zack et al. 1977); two of three decide, which is
    their median. The result is cleaned, small holes are filled, the largest part is kept with those of at least 5 %
    of it, and the outline is put where the distance, interpolated between the blocks, is half of what it is just
    inside.

    Args:
        pixels: (H, W) or (H, W, C) uint8, uint16 or float32 (0 to 1), any size from 8 x 8.

    Returns:
        (H, W) bool, or None ("the whole image"): the frame is not homogeneous, the object would be below 2 % or above
        95 % of the image, or it does not stand out from the background. Depends on nothing but the pixels.
    """
    height, width = pixels.shape[:2]
    # A side much shorter than the other keeps a few blocks.
    block = min(-(-max(height, width) // LONGEST), max(1, min(height, width) // 8))
    small = np.clip(np.nan_to_num(blocks(pixels, block) / FULL_SCALE[pixels.dtype]), 0.0, 1.0)
    found = _found(small)
    return None if found is None else _enlarged(found, (height, width), block)


def _found(small: Floats) -> Floats | None:
    """Return the object in (C, h, w) as a field of the same height and width: above zero inside, below outside."""
    height, width = small.shape[1:]
    wide = max(1, round(_FRAME * min(height, width)))
    frame = np.ones((height, width), dtype=np.bool_)
    frame[wide:-wide, wide:-wide] = False
    ground, homogeneous, noise = _background(small, frame)
    if np.count_nonzero(homogeneous) < _HOMOGENEOUS * np.count_nonzero(frame):
        return None
    distance = _distance(_smoothed(small), ground)
    counts, step = _histogram(distance)
    votes = sorted([max(_NOISE * noise, 0.5 * _LEAST_CONTRAST), _otsu(counts) * step, _triangle(counts) * step])
    mask = _cleaned(distance > votes[1], distance, votes[1], wide)
    mask, field = _trimmed(mask, distance)
    area = np.count_nonzero(mask)
    if not _LEAST_AREA * mask.size <= area <= _MOST_AREA * mask.size:
        return None
    inside, outside = distance[mask], distance[frame & homogeneous & ~mask]
    low, usual = np.quantile(inside, [0.1, 0.5])
    # An object ends; a fold or a cloud of dirt fades, and leaves much of the image next to the threshold.
    unsure = np.count_nonzero(np.abs(distance - votes[1]) < 0.4 * votes[1])
    if len(outside) == 0 or unsure >= _MOST_UNSURE * area or usual < _LEAST_CONTRAST:
        return None
    middle, high = np.quantile(outside, [0.5, 0.9])
    return field if low > high and usual > 4 * middle else None


def _smoothed(small: Floats) -> Floats:
    """Return the weighted means over 3 x 3 pixels, the weights of a row being 1, 2, 1."""
    padded = np.pad(small, ((0, 0), (1, 1), (1, 1)), mode="edge")
    rows = padded[:, :-2] + padded[:, 2:]
    rows += 2 * padded[:, 1:-1]
    out: Floats = rows[:, :, :-2] + rows[:, :, 2:]
    out += 2 * rows[:, :, 1:-1]
    out /= 16
    return out


def _distance(seen: Floats, ground: Floats) -> Floats:
    """Return the largest difference over the channels; where colour can tell a shadow, it counts in part."""
    distance: Floats = np.abs(seen - ground).max(axis=0)
    if len(seen) < 3:
        return distance
    light = _over_channels(seen * ground) / np.maximum(_over_channels(ground * ground), 1e-6)
    hue = np.abs(seen - light * ground).max(axis=0)
    # A shadow leaves a good part of the light; what is darker still is rather a dark object.
    weight = np.clip((_DARK - light) / _DARK, 0.0, 1.0) * (1 - _SHADOW) + _SHADOW
    return np.where(light < 1, np.maximum(hue, weight * distance), distance)


def _over_channels(values: Floats) -> Floats:
    """Return the sum over the first axis, added in its order."""
    out: Floats = values[0].copy()
    for part in values[1:]:
        out += part
    return out


def _background(small: Floats, frame: Mask) -> tuple[Floats, Mask, float]:
    """Return the surfaces through the frame's background, which pixels of the frame they explain, and their spread."""
    channels, height, width = small.shape
    y, x = np.linspace(-1.0, 1.0, height)[:, None], np.linspace(-1.0, 1.0, width)
    terms = np.stack(np.broadcast_arrays(1.0, x, y, x * x, y * y, x * y))
    values, base = small[:, frame], terms[:, frame]
    asked = slice(None, None, -(-base.shape[1] // _ASKED))
    some = np.ascontiguousarray(base[:, asked])
    products = np.stack([some[i] * some[j] for i, j in _PAIRS])
    ground, explained, noise = np.zeros_like(small), frame.copy(), 0.0
    for channel in range(channels):
        fit, spread = _fitted(np.ascontiguousarray(values[channel, asked]), some, products)
        ground[channel] = _surface(fit, terms)
        explained[frame] &= np.abs(values[channel] - _surface(fit, base)) <= 2 * _KEPT * spread
        noise = max(noise, spread)
    return ground, explained, noise


def _fitted(values: Floats, base: Floats, products: Floats) -> tuple[list[float], float]:
    """Return the weights of the terms `base` (6, N) that give most of `values` (N,), and the spread about that."""
    products = np.concatenate([products, base * values])
    rest, fit = values - np.median(values), [0.0] * 6
    kept, spread = np.ones(len(values), dtype=np.bool_), 0.0
    for turn in range(8):
        spread = max(1.4826 * float(np.median(np.abs(rest[kept]))), _LEAST_NOISE)
        before, kept = kept, np.abs(rest) <= _KEPT * spread
        # What has kept the same pixels twice keeps them for ever.
        if turn and (kept == before).all():
            break
        # A cumulative sum has one order on every processor and in every version.
        sums = np.cumsum(products[:, kept], axis=1)[:, -1].tolist()
        normal = [[0.0] * 6 for _ in range(6)]
        for (i, j), total in zip(_PAIRS, sums[: len(_PAIRS)], strict=True):
            normal[i][j] = normal[j][i] = total
        fit = _solved(normal, sums[len(_PAIRS) :])
        rest = values - _surface(fit, base)
    return fit, spread


def _surface(fit: list[float], terms: Floats) -> Floats:
    out: Floats = fit[0] * terms[0]
    for weight, term in zip(fit[1:], terms[1:], strict=True):
        out += weight * term
    return out


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
    """Return the numbers of pixels in 256 steps of distance, and the width of a step."""
    top = max(float(np.quantile(distance, 0.995)), 1e-9)
    levels = np.minimum((distance * (256 / top)).astype(np.int64), 255)
    return np.bincount(levels.ravel(), minlength=256), top / 256


def _otsu(counts: NDArray[np.int64]) -> float:
    """The threshold, in steps, that parts the histogram into the two classes farthest apart for their spread."""
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = counts.sum() - below
    moment = np.cumsum(counts * np.arange(256.0))
    mean_below = moment[:-1] / np.maximum(below, 1)
    mean_above = (moment[-1] - moment[:-1]) / np.maximum(above, 1)
    between = below * above * (mean_above - mean_below) ** 2
    # All thresholds within an empty stretch of the histogram are as good: the middle one is the safest.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(best.mean()) + 1


def _triangle(counts: NDArray[np.int64]) -> float:
    """The threshold, in steps, farthest below the line from the histogram's peak to the end of its longer tail."""
    peak, filled = int(counts.argmax()), np.flatnonzero(counts)
    end = int(filled[-1]) if filled[-1] - peak >= peak - filled[0] else int(filled[0])
    if end == peak:
        return peak + 1.0
    at = np.arange(min(peak, end), max(peak, end) + 1)
    line = counts[peak] + (counts[end] - counts[peak]) * (at - peak) / (end - peak)
    return float(at[(line - counts[at]).argmax()]) + 1


def _cleaned(mask: Mask, distance: Floats, threshold: float, wide: int) -> Mask:
    from scipy import ndimage

    if min(mask.shape) >= 48:
        # Beyond the border goes on what is at it: an object that runs out of the image keeps its edge there.
        mask = ~_grown(~_grown(mask))
        mask = _grown(~_grown(~mask))
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    areas[0] = 0
    band = 2 * wide
    inner = np.bincount(parts[band:-band, band:-band].ravel(), minlength=count + 1)
    # What lies along the border only is the edge of the table, a neighbour or dirt.
    areas[inner < 0.3 * areas] = 0
    mask = (areas >= max(1.0, _PART * float(areas.max())))[parts]
    holes, count = ndimage.label(~mask)
    sizes = np.bincount(holes.ravel(), minlength=count + 1)
    fill = sizes < _HOLE * np.count_nonzero(mask)
    edge = np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])
    fill[edge] = True
    for hole in np.flatnonzero(~fill[1:]) + 1:
        fill[hole] = np.median(distance[holes == hole]) > 0.6 * threshold
    fill[edge] = False
    fill[0] = False
    return np.asarray(mask | fill[holes], dtype=np.bool_)


def _grown(mask: Mask) -> Mask:
    """Return the pixels that are in the mask or beside one that is."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def _trimmed(mask: Mask, distance: Floats) -> tuple[Mask, Floats]:
    """Put the outline where the distance is half of what it is just inside, and not where it begins to rise.

    Returns the pixels inside and the field whose zero is the outline.
    """
    from scipy import ndimage

    core = ~_grown(_grown(~mask))
    half = 0.5 * ndimage.maximum_filter(np.where(mask, distance, 0.0), size=5, mode="nearest")
    trimmed = core | (mask & (distance >= half))
    parts, count = ndimage.label(trimmed)
    areas = np.bincount(parts.ravel(), minlength=count + 1)
    areas[0] = 0
    trimmed &= (areas >= _PART * areas.max())[parts]
    excess = np.clip(distance / np.maximum(half, 1e-9) - 1, -1.0, 1.0)
    # What was decided for a pixel holds whatever its distance says.
    field = np.where(trimmed, np.maximum(np.where(core, 1.0, excess), _LEAST_NOISE), np.minimum(excess, -_LEAST_NOISE))
    return trimmed, field


def _enlarged(field: Floats, size: tuple[int, int], block: int) -> Mask:
    """Interpolate the field between the centres of its blocks and cut it at zero."""
    if block == 1:
        return np.asarray(field > 0)
    out = np.zeros(size, dtype=np.bool_)
    rows, columns = (_between(n, m, block) for n, m in zip(field.shape, size, strict=True))
    values = field.astype(np.float32)
    values = values[:, columns[0]] * (1 - columns[2]) + values[:, columns[1]] * columns[2]
    for first in range(0, size[0], _STRIP):
        low, high, share = (part[first : first + _STRIP] for part in rows)
        out[first : first + _STRIP] = values[low] * (1 - share)[:, None] + values[high] * share[:, None] > 0
    return out


def _between(few: int, many: int, block: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    at = np.clip((np.arange(many) + 0.5) / block - 0.5, 0, few - 1)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, few - 1), (at - low).astype(np.float32)
