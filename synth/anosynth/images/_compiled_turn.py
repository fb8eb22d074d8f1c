"""Kernels of turned fields for numba, which do what numpy does elsewhere, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from anosynth.noise._fast import kernel

_TILE = 2
_PART = 3
_BLOCK = 4
_ROOM = 4096


@kernel
def origins(height: int, width: int, sine: float, cosine: float) -> Any:
    """Return from where blocks and the pixels in them come, 2 x (down, across) and 2 x (16, 16), as `Turn` has it."""
    side = 1 << _BLOCK
    down, across = ((height - 1) >> _BLOCK) + 1, ((width - 1) >> _BLOCK) + 1
    middle_y, middle_x = 0.5 * (height - 1), 0.5 * (width - 1)
    blocks_y, blocks_x = np.zeros((down, across)), np.zeros((down, across))
    inner_y, inner_x = np.zeros((side, side)), np.zeros((side, side))
    for i in range(down):
        dy = (i + 0.5) * side - 0.5 - middle_y
        for j in range(across):
            dx = (j + 0.5) * side - 0.5 - middle_x
            blocks_y[i, j] = middle_y + cosine * dy + sine * dx
            blocks_x[i, j] = middle_x - sine * dy + cosine * dx
    for i in range(side):
        dy = i - 0.5 * (side - 1)
        for j in range(side):
            dx = j - 0.5 * (side - 1)
            inner_y[i, j] = cosine * dy + sine * dx
            inner_x[i, j] = cosine * dx - sine * dy
    return blocks_y, blocks_x, inner_y, inner_x


@kernel
def turn(level: Any, sine: float, cosine: float, top: int, left: int, out: Any) -> None:
    """Fill `out` (h, w) as `turned` does, but for what turns in from outside, which is left as it is."""
    height, width = level.shape
    flat, side = level.reshape(-1), 1 << _BLOCK
    end_y, end_x, last_y, last_x = float(height - 1), float(width - 1), float(height - 2), float(width - 2)
    blocks_y, blocks_x, inner_y, inner_x = origins(height, width, sine, cosine)
    bottom, right = top + out.shape[0], left + out.shape[1]
    at, inside = np.zeros(side, np.intp), np.zeros(side, np.uint8)
    rest, part = np.zeros(side, np.float32), np.zeros(side, np.float32)
    # Block by block, because what lies side by side there comes from near places, too.
    for down in range(top >> _BLOCK, ((bottom - 1) >> _BLOCK) + 1):
        for across in range(left >> _BLOCK, ((right - 1) >> _BLOCK) + 1):
            start_y, start_x, first = blocks_y[down, across], blocks_x[down, across], across * side
            for row in range(max(top, down * side), min(bottom, (down + 1) * side)):
                # In two loops, because the first one can then be done for several pixels at once.
                for j in range(side):
                    v, u = start_y + inner_y[row - down * side, j], start_x + inner_x[row - down * side, j]
                    inside[j] = np.uint8(v >= 0) & np.uint8(v <= end_y) & np.uint8(u >= 0) & np.uint8(u <= end_x)
                    r, c = np.int32(min(max(v, 0.0), last_y)), np.int32(min(max(u, 0.0), last_x))
                    rest[j], part[j], at[j] = np.float32(v - r), np.float32(u - c), np.intp(r) * width + c
                for j in range(max(left - first, 0), min(right - first, side)):
                    k = np.uintp(at[j])
                    low, under = flat[k], flat[k + np.uintp(width)]
                    above = low + (flat[k + np.uintp(1)] - low) * part[j]
                    below = under + (flat[k + np.uintp(width + 1)] - under) * part[j]
                    if inside[j]:
                        out[row - top, first + j - left] = above + (below - above) * rest[j]


@kernel
def high_tiles(level: Any, floor: Any) -> Any:
    """Return which tiles of 4 x 4 pixels have one above `floor`."""
    height, width = level.shape
    tall, wide = ((height - 1) >> _TILE) + 1, ((width - 1) >> _TILE) + 1
    high = np.zeros((tall, wide), np.bool_)
    line = np.zeros(wide << _TILE, np.uint8)
    for first in range(tall):
        line[:] = 0
        for row in range(first << _TILE, min((first + 1) << _TILE, height)):
            for column in range(width):
                line[column] |= np.uint8(level[row, column] > floor)
        for tile in range(wide):
            at = tile << _TILE
            high[first, tile] = line[at] | line[at + 1] | line[at + 2] | line[at + 3]
    return high


@kernel
def parts_in_reach(high: Any, y: Any, x: Any, reach: float, most_y: int, most_x: int, active: Any) -> int:
    """List in `active` the parts that come from near a high tile, of those with middles from `y` and `x` (n,)."""
    some = 0
    for part in range(len(y)):
        v, u = y[part], x[part]
        if v < -reach or v > most_y + reach or u < -reach or u > most_x + reach:
            continue
        found = False
        for tile_y in range(int(max(v - reach, 0)) >> _TILE, (min(int(v + reach) + 1, most_y) >> _TILE) + 1):
            for tile_x in range(int(max(u - reach, 0)) >> _TILE, (min(int(u + reach) + 1, most_x) >> _TILE) + 1):
                found |= high[tile_y, tile_x]
        if found:
            active[some] = part
            some += 1
    return some


@kernel
def peaks(level: Any, floor: Any, sine: float, cosine: float) -> Any:
    """Return places and values of what is above `floor` once it is turned; parts that cannot get there are skipped."""
    height, width = level.shape
    flat, side, low = level.reshape(-1), 1 << _PART, (1 << _BLOCK) - 1
    end_y, end_x, last_y, last_x = float(height - 1), float(width - 1), float(height - 2), float(width - 2)
    blocks_y, blocks_x, inner_y, inner_x = origins(height, width, sine, cosine)
    high, across = high_tiles(level, floor), ((width - 1) >> _PART) + 1
    # What the middles of parts are away from their corners, and a little for rounding.
    reach = 0.5 * (side - 1) * (abs(cosine) + abs(sine)) + 1e-6
    number, room = 0, _ROOM + width
    places, values = np.zeros(room, np.intp), np.zeros(room, np.float32)
    active, y, x = np.zeros(across, np.intp), np.zeros(across), np.zeros(across)
    at, inside = np.zeros((across, 1 << _PART), np.intp), np.zeros((across, 1 << _PART), np.uint8)
    rest, part = np.zeros((across, 1 << _PART), np.float32), np.zeros((across, 1 << _PART), np.float32)
    for down in range(((height - 1) >> _PART) + 1):
        first = down << _PART
        for right in range(across):
            start, i = right << _PART, first & low
            j = start & low
            block_y, block_x = blocks_y[first >> _BLOCK, start >> _BLOCK], blocks_x[first >> _BLOCK, start >> _BLOCK]
            y[right] = block_y + 0.5 * (inner_y[i, j] + inner_y[i + side - 1, j + side - 1])
            x[right] = block_x + 0.5 * (inner_x[i, j] + inner_x[i + side - 1, j + side - 1])
        some = parts_in_reach(high, y, x, reach, height - 1, width - 1, active)
        for row in range(first, min(first + side, height) if some else first):
            if number + width > room:
                room = 2 * room + width
                more_places, more_values = np.zeros(room, np.intp), np.zeros(room, np.float32)
                more_places[:number], more_values[:number] = places[:number], values[:number]
                places, values = more_places, more_values
            # In two loops, because the first one can then be done for several pixels at once.
            for k in range(some):
                start = active[k] << _PART
                block_y, block_x = blocks_y[row >> _BLOCK, start >> _BLOCK], blocks_x[row >> _BLOCK, start >> _BLOCK]
                i, j = row & low, start & low
                for step in range(1 << _PART):
                    v, u = block_y + inner_y[i, j + step], block_x + inner_x[i, j + step]
                    inside[k, step] = np.uint8(v >= 0) & np.uint8(v <= end_y) & np.uint8(u >= 0) & np.uint8(u <= end_x)
                    r, c = np.int32(min(max(v, 0.0), last_y)), np.int32(min(max(u, 0.0), last_x))
                    rest[k, step], part[k, step] = np.float32(v - r), np.float32(u - c)
                    at[k, step] = np.intp(r) * width + c
            for k in range(some):
                start = active[k] << _PART
                for step in range(1 << _PART):
                    place = np.uintp(at[k, step])
                    near, under = flat[place], flat[place + np.uintp(width)]
                    above = near + (flat[place + np.uintp(1)] - near) * part[k, step]
                    below = under + (flat[place + np.uintp(width + 1)] - under) * part[k, step]
                    value = above + (below - above) * rest[k, step]
                    if value > floor and inside[k, step] and start + step < width:
                        places[number], values[number] = row * width + start + step, value
                        number += 1
    return places[:number], values[:number]
