"""What a mask looks like, and how far its pixels stand out: from the source, or from a ring around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.images._sample import FULL_SCALE
from anosynth.labels import faith

Array = NDArray[Any]
Mask = NDArray[np.bool_]

_REGIONS = 16
"""Regions of a mask, the largest ones, that are compared with what is around them."""

_RING = (3, 15)
_PIXELS = 1 << 20


@dataclass(frozen=True)
class Shape:
    """The figure of a mask.

    Attributes:
        area: labelled share of the photo; `pixels` their number.
        components: 8-connected regions.
        size: longer side of the box around the largest region, as a share of the photo's longer side.
        elongation: of the largest region, its longer axis over the shorter one by second moments: 1 for a disc.
    """

    pixels: int
    area: float
    components: int
    size: float
    elongation: float


@dataclass(frozen=True)
class Faithful:
    """A mask against the source of its photo.

    Attributes:
        leak: changed pixels outside of the mask, as a share of the changed ones.
        dead: unchanged pixels of the mask, as a share of the mask.
        invisible: pixels of the mask that changed by less than the floor, as a share of the mask.
        change: mean change over the mask, as a fraction of full scale.
    """

    leak: float
    dead: float
    invisible: float
    change: float


def shape_of(mask: Mask) -> Shape:
    """Return the figure of a mask (H, W) with at least one labelled pixel."""
    labels, _, count = _regions(mask)
    sizes = np.bincount(labels.reshape(-1))[1:]
    rows, columns = np.nonzero(labels == int(sizes.argmax()) + 1)
    extent = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    pixels = int(sizes.sum())
    return Shape(pixels, pixels / mask.size, count, extent / max(mask.shape), _elongation(rows, columns))


def against_source(before: Array, after: Array, mask: Mask, *, floor: float, tolerance: float) -> Faithful:
    """Compare a mask (H, W) with what differs between two pictures of one shape and dtype.

    Args:
        floor: fraction of full scale under which a change counts as invisible, in the channel that changed most.
        tolerance: fraction of full scale up to which pixels count as unchanged: 0 for files without loss.
    """
    change = difference(before, after)
    changed = change > np.float32(tolerance)
    truth = faith(changed, mask)
    inside = change[mask]
    # One grey level of 255 less and more is the same float32 as often as not.
    unseen = float((inside < np.float32(floor) * np.float32(1 - 1e-6)).mean()) if inside.size else 0.0
    mean = float(inside.astype(np.float64).mean()) if inside.size else 0.0
    return Faithful(truth.leak, truth.dead, unseen, mean)


def difference(before: Array, after: Array) -> NDArray[np.float32]:
    """Return (H, W): the change of the channel that changed most, as a fraction of full scale, >= 0."""
    # numpy runs a loop of its own for each pixel's few channels, so that they are better taken one by one; and unsigned
    # numbers must not be subtracted the wrong way round.
    largest = np.zeros(before.shape[:2], dtype=before.dtype)
    for channel in range(1 if before.ndim == 2 else before.shape[2]):
        old, new = (pixels if pixels.ndim == 2 else pixels[:, :, channel] for pixels in (before, after))
        np.maximum(largest, np.maximum(old, new) - np.minimum(old, new), out=largest)
    return largest.astype(np.float32) / np.float32(FULL_SCALE[before.dtype])


def against_ring(pixels: Array, mask: Mask, *, floor: float) -> tuple[float, float]:
    """Return (mean contrast, share under the floor) of the mask's pixels against the median of a ring around them.

    Each of the largest regions is compared with the unlabelled pixels near it, in the channel that differs most. Both
    are NaN where there is no pixel around. On a texture nearly every pixel differs from the median, so a small share
    proves little; a large one means that a region looks like what surrounds it.
    """
    from scipy import ndimage

    labels, (top, left), _ = _regions(mask)
    boxes = ndimage.find_objects(labels)
    sizes = np.bincount(labels.reshape(-1))[1:]
    total, under, count = 0.0, 0, 0
    white = FULL_SCALE[pixels.dtype]
    for number in np.argsort(-sizes, kind="stable")[:_REGIONS]:
        reach = int(min(max(_RING[0], round(0.25 * math.sqrt(float(sizes[number])))), _RING[1]))
        rows, columns = (
            slice(max(0, part.start + offset - reach), min(end, part.stop + offset + reach))
            for part, offset, end in zip(boxes[number], (top, left), mask.shape, strict=True)
        )
        step = max(1, math.isqrt((rows.stop - rows.start) * (columns.stop - columns.start) // _PIXELS))
        place = (slice(rows.start, rows.stop, step), slice(columns.start, columns.stop, step))
        whole = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.bool_)
        inner = tuple(
            slice(part.start + offset - outer.start, part.stop + offset - outer.start)
            for part, offset, outer in zip(boxes[number], (top, left), (rows, columns), strict=True)
        )
        whole[inner] = labels[boxes[number]] == number + 1
        own = whole[::step, ::step]
        near = ndimage.maximum_filter(own.view(np.uint8), size=2 * max(1, reach // step) + 1) > 0
        ring = near & ~mask[place]
        if not ring.any() or not own.any():
            continue
        part = pixels[place].reshape(*own.shape, -1).astype(np.float32) / np.float32(white)
        contrast = np.abs(part[own] - np.median(part[ring], axis=0)).max(axis=1)
        total += float(contrast.astype(np.float64).sum()) * step * step
        under += int((contrast < np.float32(floor)).sum()) * step * step
        count += len(contrast) * step * step
    return (total / count, under / count) if count else (math.nan, math.nan)


def _regions(mask: Mask) -> tuple[Array, tuple[int, int], int]:
    """Return the numbers of the 8-connected regions in the box around them, its first row and column, their count."""
    from scipy import ndimage

    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    labels, count = ndimage.label(part, structure=np.ones((3, 3)))
    return labels, (int(rows[0]), int(columns[0])), int(count)


def _elongation(rows: Array, columns: Array) -> float:
    # A pixel is a square, whose own variance keeps a line of single ones from having no width.
    y, x = rows - rows.mean(), columns - columns.mean()
    yy, xx, xy = float((y * y).mean()) + 1 / 12, float((x * x).mean()) + 1 / 12, float((x * y).mean())
    middle, spread = (yy + xx) / 2, math.hypot((yy - xx) / 2, xy)
    return math.sqrt((middle + spread) / max(middle - spread, 1e-12))
