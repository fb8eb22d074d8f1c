"""Anti-aliased strokes along polylines, random curves and cracks in pixels, and how a mark darkens or lightens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.noise import lattice
from anosynth.seeding import Rng

from ._edit import Box, Edit
from ._place import centre_of
from ._sample import Image, Mask
from ._seats import heading

Field = NDArray[np.float32]
Line = NDArray[np.float64]
"""Vertices (M, 2) as (row, column), pixel centres at whole numbers."""

MOST = 0.95
"""Share of the way to black or white that a mark goes at most: the texture under it never vanishes."""

_SMALL = 2048
"""Pixels near a segment under which numpy's start-up would take most of the time."""

SHORTEST = 8.0
"""Length in pixels under which a stroke is no stroke."""


def trace(line: Line, reach: float, box: Box) -> tuple[Field, Field]:
    """Return where the pixels of `box` (top, left, bottom, right) lie relative to a polyline.

    The distance to every segment is exact, and evaluated in that segment's own neighbourhood only: the cost follows
    the stroke, not the box.

    Args:
        line: (M, 2) float64 (row, column), M >= 2.
        reach: largest distance of interest in pixels.

    Returns:
        offset: (h, w) float32 signed distance in pixels, its sign being the side of the line; inf beyond `reach`.
        along: (h, w) float32 arc length in pixels from the first vertex to the nearest point; 0 beyond `reach`.
    """
    top, left, bottom, right = box
    best = np.full((bottom - top, right - left), np.float32(reach * reach))
    fields = (best, np.ones_like(best), np.zeros_like(best))
    way = np.diff(line, axis=0)
    length = np.sqrt(way[:, 0] * way[:, 0] + way[:, 1] * way[:, 1])
    way /= np.where(length > 0, length, 1)[:, None]
    begun = np.concatenate([[0.0], np.cumsum(length)[:-1]])
    segments = (*(values.astype(np.float32) for values in (way[:, 0], way[:, 1], length, begun)),)
    rows, columns = (_windows(line[:, axis], reach, box[axis], box[axis + 2]) for axis in (0, 1))
    size = np.where(length > 0, rows[1] * columns[1], 0)
    # What to add to pixels of the box to have them as seen from the first vertex of each segment.
    down, across = top - line[:-1, 0], left - line[:-1, 1]
    # numpy takes longer to begin than to work on a small window: those of fine lines are worked on together.
    if size.mean() < _SMALL:
        own = np.repeat(np.arange(len(size)), size)
        row, column = np.divmod(np.arange(len(own)) - np.repeat(np.cumsum(size) - size, size), columns[1][own])
        row, column = row + rows[0][own], column + columns[0][own]
        dy, dx = (row + down[own]).astype(np.float32), (column + across[own]).astype(np.float32)
        found = _nearest(dy, dx, *(values[own] for values in segments))
        _enter_all(fields, row * (right - left) + column, found)
    else:
        for k in np.flatnonzero(size):
            window = tuple(slice(start[k], start[k] + number[k]) for start, number in (rows, columns))
            dy, dx = (
                (np.arange(part.start, part.stop) + begin).astype(np.float32)
                for part, begin in zip(window, (down[k], across[k]), strict=True)
            )
            found = _nearest(dy[:, None], dx[None, :], *(values[k] for values in segments))
            nearer = found[0] < best[window]
            for field, values in zip(fields, found, strict=True):
                np.copyto(field[window], values, where=nearer)
    offset = np.copysign(np.sqrt(best), fields[1])
    offset[best >= np.float32(reach * reach)] = np.inf
    return offset, fields[2]


def _nearest(dy: Field, dx: Field, way_y: Any, way_x: Any, length: Any, begun: Any) -> tuple[Field, Field, Field]:
    """Return squared distances of places to segments, numbers whose sign is the side, and the arc lengths there.

    Args:
        dy, dx: places from the first vertex of the segment.
        way_y, way_x: unit vector of the segment.
        length, begun: of the segment, and of the line before it.
    """
    t = np.minimum(np.maximum(dy * way_y + dx * way_x, np.float32(0)), length)
    return (dy - t * way_y) ** 2 + (dx - t * way_x) ** 2, dx * way_y - dy * way_x, t + begun


def _enter_all(fields: Sequence[Field], place: NDArray[np.intp], found: Sequence[Field]) -> None:
    """Keep of what was `found` at each place, in the order of the segments, the nearest, and the first of several."""
    best, *others = (field.reshape(-1) for field in fields)
    before, square = best.take(place), found[0]
    np.minimum.at(best, place, square)
    # Of several values for one place, numpy keeps the last one.
    won = np.flatnonzero((square == best.take(place)) & (square < before))[::-1]
    for field, values in zip(others, found[1:], strict=True):
        field[place[won]] = values[won]


def coverage(distance: Field, width: Any, blur: float = 1.0) -> Field:
    """Return the share, 0 to 1, that a stroke of `width` px has of a spot at `distance` px from its middle line.

    The overlap of two intervals: the stroke and a spot of `blur` px, 1 for a pixel; more softens the edge, and the sum
    across stays the width. `width` is a number or an array like `distance`.
    """
    wide, spot = np.asarray(width, dtype=np.float32), np.float32(blur)
    share = np.clip(np.float32(0.5) * (wide + spot) - np.abs(distance), 0, np.minimum(wide, spot)) / spot
    return np.asarray(share, dtype=np.float32)


def stroke_size(image: Image, length: float | str, width: float | str) -> tuple[float, float]:
    """Return two `Size`s in pixels: a length of 8 px to three diagonals, a width of 1.2 px to a fifth of the side."""
    longest = 3.0 * math.sqrt(image.shape[0] ** 2 + image.shape[1] ** 2)
    widest = max(1.2, 0.2 * image.side)
    return min(max(SHORTEST, image.length(length)), longest), min(max(1.2, image.length(width)), widest)


def pointed(lines: Sequence[Line], centre: tuple[int, int], orientation: float) -> list[Line]:
    """Return the lines turned about `centre` (row, column) so that the first one leads this way from end to end.

    Args:
        orientation: degrees from right towards down.
    """
    middle = np.array(centre, dtype=np.float64)
    down, right = (lines[0][-1] - lines[0][0]).tolist()
    reach = math.sqrt(down * down + right * right)
    # A line whose ends meet leads nowhere and stays.
    old = (down / reach, right / reach) if reach > 1e-9 else heading(orientation)
    new = heading(orientation)
    sine, cosine = new[0] * old[1] - new[1] * old[0], new[1] * old[1] + new[0] * old[0]
    turned = []
    for line in lines:
        y, x = line[:, 0] - middle[0], line[:, 1] - middle[1]
        turned.append(middle + np.stack([y * cosine + x * sine, x * cosine - y * sine], axis=1))
    return turned


def taper(along: Field, length: float, share: float) -> Field:
    """Return 1 in the middle of a stroke of `length` px, falling smoothly to 0 over `share` of it at both ends."""
    t = np.minimum(along, np.float32(length) - along) / np.float32(max(share * length, 1e-3))
    return smooth(t)


def smooth(t: NDArray[Any]) -> Field:
    """Return 3 t^2 - 2 t^3 of t cut to 0..1."""
    s = np.clip(t, 0, 1).astype(np.float32)
    return np.asarray(s * s * (np.float32(3) - np.float32(2) * s))


def wobble(along: Field, length: float, period: float, rng: Rng) -> Field:
    """Return noise of -1 to 1 along a stroke of `length` px, at arc lengths `along`; about one lump per `period` px."""
    size = math.ceil(length) + 2
    values = lattice((1, size), (1.0, max(1.0, size / max(period, 2.0))), rng, octaves=2)[0]
    return np.asarray(values[np.clip(np.rint(along), 0, size - 1).astype(np.intp)])


def smooth_line(centre: tuple[int, int], length: float, bend: float, rng: Rng) -> Line:
    """Return a smooth random curve of `length` px with its middle on `centre`; `bend` is its largest turn, radians."""
    from anosynth.pointclouds._geometry.path import curve

    steps = min(max(8, round(length / 4.0)), 96)
    return np.asarray(curve(rng, length, bend=bend, steps=steps) + np.array(centre, dtype=np.float64))


def random_stroke(
    image: Image, rng: Rng, free: Mask, *, length: float | str, width: float | str, bend: float, orientation: float
) -> tuple[Line, float, float]:
    """Return a smooth curve with its middle on a free pixel, leading this way, and its length and width in pixels."""
    long, wide = stroke_size(image, length, width)
    centre = centre_of(image, free, rng.child("place"))
    (line,) = pointed([smooth_line(centre, long, bend, rng.child("curve"))], centre, orientation)
    return line, long, wide


def crack_lines(
    centre: tuple[int, int], length: float, branches: int, jitter: float, finest: float, rng: Rng
) -> list[Line]:
    """Return a main zigzag of `length` px with its middle on `centre`, then its branches, each starting on a parent.

    Segments are broken again and again at a displaced middle, so that no piece over about `finest` px is straight.
    """
    from anosynth.pointclouds._geometry.path import branching

    lines = branching(rng.child("lines"), length, branches=branches, jitter=jitter)
    middle = np.array(centre, dtype=np.float64)
    roughness = 0.35 * min(jitter, 0.6)
    return [
        roughened(line + middle, roughness, finest, rng.child("rough", number)) for number, line in enumerate(lines)
    ]


def roughened(line: Line, share: float, finest: float, rng: Rng) -> Line:
    """Return the line with every vertex of it, and between them new ones displaced by about `share` of the segment."""
    for level in range(4):
        step = np.diff(line, axis=0)
        if float(np.sqrt((step * step).sum(axis=1)).max()) < finest:
            break
        aside = np.stack([step[:, 1], -step[:, 0]], axis=1) * (share * rng.child(level).normal(len(step)))[:, None]
        middles = 0.5 * (line[:-1] + line[1:]) + np.clip(aside, -np.abs(step).max(), np.abs(step).max())
        finer = np.repeat(line, 2, axis=0)[:-1]
        finer[1::2] = middles
        line = finer
    return line


def stroke_box(lines: Sequence[Line], reach: float, shape: tuple[int, int]) -> Box:
    """Return the box of all pixels within `reach` px of the lines, cut off at the borders of an image of `shape`."""
    low = np.min([line.min(axis=0) for line in lines], axis=0) - reach
    high = np.max([line.max(axis=0) for line in lines], axis=0) + reach
    (top, left), (bottom, right) = (np.floor(low).astype(int).tolist(), np.ceil(high).astype(int).tolist())
    top, left = min(max(0, top), shape[0] - 1), min(max(0, left), shape[1] - 1)
    return top, left, max(top + 1, min(shape[0], bottom + 1)), max(left + 1, min(shape[1], right + 1))


def direction(mean: float, polarity: str, rng: Rng) -> int:
    """Return -1 for a mark darker than its surroundings of `mean` (0 to 1), 1 for a lighter one.

    Where `polarity` is "auto" it is darker with probability 2 mean - 1/2: never on dark, always on bright.
    """
    if polarity != "auto":
        return -1 if polarity == "dark" else 1
    return -1 if rng.uniform() < 2.0 * mean - 0.5 else 1


def darker(mean: float) -> int:
    """Return -1, for a mark that is dark by nature, or 1 where all is so dark that nobody would see it."""
    return -1 if mean >= 0.15 else 1


def under(image: Image, box: Box, where: NDArray[np.bool_]) -> Field:
    """Return the pixels of `box` at `where` (h, w) as (N, C) float32 fractions of full scale, copying no others."""
    top, left, bottom, right = box
    chosen = image.pixels[top:bottom, left:right][where].astype(np.float32) / np.float32(image.white)
    return chosen.reshape(len(chosen), image.channels)


def mean_of(pixels: Field) -> float:
    """Return the mean of `pixels` (N, C) over all channels, cut to 0.02..0.98; 0.5 if there are none."""
    mean = float(pixels.mean(dtype=np.float64)) if pixels.size else 0.5
    return min(max(mean, 0.02), 0.98)


def tint(channels: int, lowest: float, rng: Rng) -> Field:
    """Return (C,) float32 weights from `lowest` to 1, the largest being 1: how much of a mark each channel shows."""
    weights = lowest + (1.0 - lowest) * rng.random(channels)
    return np.asarray(weights / weights.max(), dtype=np.float32)


def toned(pixels: Field, amount: Field, mean: float, weights: Field | None = None) -> Field:
    """Return pixels (..., C) darkened or lightened so that the mean of them moves by `amount` (...,), full scale 1.

    Darker multiplies by 1 + amount / mean, lighter does the same to the distance from white: hue and texture stay,
    which adding a constant would not do. `weights` (C,) is each channel's share.
    """
    dark = np.minimum(np.maximum(-amount, 0) / np.float32(mean), np.float32(MOST))[..., None]
    light = np.minimum(np.maximum(amount, 0) / np.float32(1 - mean), np.float32(MOST))[..., None]
    if weights is not None:
        dark, light = dark * weights, light * weights
    new = pixels * (1 - dark)
    return np.asarray(new + (1 - new) * light, dtype=np.float32)


def edit_of(box: Box, where: NDArray[np.bool_], pixels: Field, stats: dict[str, Any]) -> Edit:
    """Return the edit that sets the pixels of `box` at `where` (h, w) to `pixels` (N, C) and leaves the others."""
    new = np.zeros((*where.shape, pixels.shape[1]), dtype=np.float32)
    new[where] = pixels
    return Edit(box, new, where.astype(np.float32), stats)


def _windows(ends: NDArray[np.float64], reach: float, low: int, high: int) -> tuple[NDArray[np.intp], ...]:
    """Return the first pixel of low..high, relative to `low`, within `reach` of each span, and how many they are."""
    start = np.maximum(low, np.floor(np.minimum(ends[:-1], ends[1:]) - reach)).astype(np.intp)
    stop = np.minimum(high, np.ceil(np.maximum(ends[:-1], ends[1:]) + reach) + 1).astype(np.intp)
    return start - low, np.maximum(stop - start, 0)
