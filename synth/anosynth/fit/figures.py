"""What one defect looks like: its figure, its contrast, its edge and its place, from a photo and its mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.audit.shapes import against_ring, shape_of
from anosynth.images._seats import EDGE

from .tones import nearness, openness, sides_of, softness, tone

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_PIXELS = 8
"""Regions of fewer pixels are no defects but crumbs of a mask."""

_LEAST_SHARE, _GAP, _MOST = 0.02, 0.01, 64
_TOUCHES = 3.0
_NODES, _BINS = 96, 12
_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))


@dataclass(frozen=True)
class Figure:
    """One defect.

    Attributes:
        area: labelled share of the photo.
        length: of the way from end to end within it, `width` its area over that; of the photo's shorter side.
        elongation: longer over shorter axis by second moments.
        orientation: degrees of the long axis, from right (0) towards down (90), in (-90, 90].
        lean: degrees of the long axis against the border of the part, from along it (0) to into the part (90), signed.
        bend: half of the turn from one end to the other, radians.
        branches: how many times the area is that of a line of its length and typical width.
        contrast: mean over its pixels of the difference from the median of a ring around it, in the channel that
            differs most there, of full scale; NaN where all around it is labelled.
        sign: +1 if lighter than the ring, -1 if darker.
        colour: mean difference by channel from the ring's colour, `around`, of full scale.
        texture: standard deviation over that of the ring; `mixed` over the mean difference from it.
        apart: difference of the means over the ring's standard deviation, in the channel where that is largest; NaN
            where all around it is labelled.
        black: share that is nearly black.
        softness: width of the ramp at its edge over twice its inner radius, NaN where that is too small to tell.
        outside: share that lies outside of the part or, of what reaches its border, is nearer to the colour of the
            background than to that of the part; `through` the share, wherever it lies, that is twice as near to it.
            Both NaN where no part is told from a background.
        open: share of what is around it that is background: near a half at a straight border, 0 within the part.
        near: whether its centre is near the border of the part; None where there is none.
        centre: (row, column) as fractions of the photo.
    """

    area: float
    length: float
    width: float
    elongation: float
    orientation: float
    lean: float
    bend: float
    branches: float
    contrast: float
    sign: int
    colour: tuple[float, ...]
    around: tuple[float, ...]
    texture: float
    mixed: float
    apart: float
    black: float
    softness: float
    outside: float
    through: float
    open: float
    near: bool | None
    centre: tuple[float, float]

    @property
    def slenderness(self) -> float:
        """Length over width: other than the elongation, it does not fall where a figure is ragged or bent."""
        return self.length / self.width

    @property
    def offset(self) -> float:
        """Change of the mean in the channel that changes most: other than the contrast, it is 0 for a mere texture."""
        return max(abs(part) for part in self.colour)


def figures_of(pixels: Array, mask: Mask, part: Mask | None) -> list[Figure]:
    """Return the defects of a photo, largest first; labelled pixels nearer than 1 % of the shorter side are of one.

    Regions below 8 pixels or 2 % of the largest are left out, and so are all but the 64 largest.

    Args:
        pixels: (H, W) or (H, W, C) uint8, uint16 or float32 (0 to 1).
        mask: (H, W).
        part: (H, W), where the part is that the photo shows, None if it fills the photo.
    """
    from scipy import ndimage

    if not mask.any():
        return []
    gap = max(1, round(_GAP * min(mask.shape)))
    joined = ndimage.maximum_filter(mask.view(np.uint8), size=2 * gap + 1) > 0
    labels, _ = ndimage.label(joined, structure=np.ones((3, 3)))
    labels = np.where(mask, labels, 0)
    sizes = np.bincount(labels.reshape(-1))
    sizes[0] = 0
    least = max(LEAST_PIXELS, _LEAST_SHARE * float(sizes.max()))
    order = np.argsort(-sizes, kind="stable")[:_MOST].tolist()
    kept = [number for number in order if sizes[number] >= least]
    ground = None
    if part is not None and part.any():
        ground = _Ground(part, ndimage.distance_transform_edt(part), sides_of(pixels, mask, part))
    return [_figure(pixels, labels == number, mask, ground, gap) for number in kept]


class _Ground(NamedTuple):
    """The part in a photo, the distance of its pixels from the background, and the colours of both."""

    part: Mask
    deep: Floats
    sides: tuple[Floats, Floats] | None


def _figure(pixels: Array, own: Mask, mask: Mask, ground: _Ground | None, gap: int) -> Figure:
    side = min(own.shape)
    rows, columns = np.nonzero(own)
    y, x = rows - rows.mean(), columns - columns.mean()
    yy, xx, xy = float((y * y).mean()), float((x * x).mean()), float((x * y).mean())
    angle = 0.5 * math.atan2(2 * xy, xx - yy)
    orientation = _half_turn(math.degrees(angle))
    length, chord = _reach(own, gap)
    width = len(rows) / length
    along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    contrast, _ = against_ring(pixels, own, floor=0.0)
    look = tone(pixels, own, mask, None if ground is None else ground.part)
    centre = (float(rows.mean()), float(columns.mean()))
    outside, through, near, lean = math.nan, math.nan, None, orientation
    if ground is not None:
        outside, through = _beyond(pixels, own, ground)
        at = ground.deep[min(round(centre[0]), own.shape[0] - 1), min(round(centre[1]), own.shape[1] - 1)]
        near = bool(at <= EDGE * side)
        lean = _lean(centre, ground.part, orientation)
    return Figure(
        len(rows) / own.size,
        length / side,
        width / side,
        shape_of(own).elongation,
        orientation,
        lean,
        _bend(along, across, length, chord),
        width / _thickness(own),
        contrast,
        1 if look.light > 0 else -1,
        look.colour,
        look.around,
        look.texture,
        look.mixed,
        look.apart,
        look.black,
        softness(pixels, own, mask),
        outside,
        through,
        0.0 if ground is None else openness(own, mask, ground.part),
        near,
        (centre[0] / own.shape[0], centre[1] / own.shape[1]),
    )


def _beyond(pixels: Array, own: Mask, ground: _Ground) -> tuple[float, float]:
    """Return `outside` and `through` of a region."""
    beyond = ~ground.part[own]
    if ground.sides is None:
        return float(beyond.mean()), 0.0
    ratio = nearness(pixels, own, ground.sides)
    alike = ratio < 1 if float(ground.deep[own].min()) <= _TOUCHES else np.zeros_like(beyond)
    return float((beyond | alike).mean()), float((ratio < 0.5).mean())


def _half_turn(degrees: float) -> float:
    turned = (degrees + 90.0) % 180.0 - 90.0
    return 90.0 if turned == -90.0 else turned


def _lean(centre: tuple[float, float], part: Mask, orientation: float) -> float:
    """Return the direction of an axis against the border, which is taken as square to the way to the part's middle."""
    rows, columns = np.nonzero(part)
    inward = math.degrees(math.atan2(float(rows.mean()) - centre[0], float(columns.mean()) - centre[1]))
    return _half_turn(orientation - (inward - 90.0))


def _reach(own: Mask, gap: int) -> tuple[float, float]:
    """Return the longest of the shortest ways within a region, gaps bridged, and the distance of its ends, in pixels.

    It is found by two sweeps from end to end over a grid of sixteen directions, at most 96 cells on a side.
    """
    from scipy import ndimage
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components, dijkstra

    rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    part = np.pad(own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], gap + 2)
    part = ndimage.binary_closing(part, structure=np.ones((3, 3), dtype=np.bool_), iterations=gap)
    step = max(1, -(-max(part.shape) // _NODES))
    if step > 1:
        part = ndimage.maximum_filter(part.view(np.uint8), size=step)[step // 2 :: step, step // 2 :: step] > 0
    places = np.full(part.shape, -1)
    places[part] = np.arange(int(part.sum()))
    count = int(part.sum())
    pairs: list[tuple[Array, Array, Array]] = []
    height, width = part.shape
    for down, right in _STEPS:
        left = max(0, -right)
        one = places[: height - down, left : width - max(0, right)]
        other = places[down:, left + right : width - max(0, right) + right]
        both = (one >= 0) & (other >= 0)
        pairs.append((one[both], other[both], np.full(int(both.sum()), math.hypot(down, right))))
    start, end, far = (np.concatenate([pair[k] for pair in pairs]) for k in range(3))
    graph = coo_matrix((far, (start, end)), shape=(count, count)).tocsr()
    _, parts = connected_components(graph, directed=False)
    first = int(np.flatnonzero(parts == np.bincount(parts).argmax())[0])
    away = dijkstra(graph, directed=False, indices=np.array([first]))[0]
    ends = [int(np.where(np.isfinite(away), away, -1).argmax())]
    away = dijkstra(graph, directed=False, indices=np.array(ends))[0]
    ends.append(int(np.where(np.isfinite(away), away, -1).argmax()))
    points = np.argwhere(part)[ends] * step
    length = float(away[ends[1]]) * step + 1
    return length, float(np.hypot(*(points[0] - points[1]))) + 1


def _bend(along: Floats, across: Floats, length: float, chord: float) -> float:
    """Return half the turn of the arc that a region follows: by height over chord, or its length if it curls."""
    wide = float(np.ptp(along))
    if wide < 4:
        return 0.0
    if length > 1.35 * chord:
        low, high = 0.1, math.pi * 0.95
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if middle / math.sin(middle) < length / chord else (low, middle)
        return low
    bins = np.minimum((_BINS * (along - along.min()) / wide).astype(np.int64), _BINS - 1)
    count = np.bincount(bins, minlength=_BINS)
    there = count > 0
    middle_of = np.bincount(bins, across, minlength=_BINS)[there] / count[there]
    at = (np.arange(_BINS)[there] + 0.5) / _BINS
    line = middle_of[0] + (middle_of[-1] - middle_of[0]) * (at - at[0]) / max(float(np.ptp(at)), 1e-9)
    return 2.0 * math.atan(2.0 * float(np.abs(middle_of - line).max()) / wide)


def _thickness(own: Mask) -> float:
    """Return the typical width of a region: four times the mean distance from its border, as of a straight band."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
    part = np.pad(own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    return max(1.0, 4.0 * (float(distance_transform_edt(part)[part].mean()) - 0.5) + 0.5)
