"""The exact outlines of masks as polygons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Points = NDArray[np.int64]


def outlines(mask: Mask) -> tuple[list[Points], int]:
    """Return the outer outlines (k, 2) of a mask's blobs, largest first, as corners x, y of pixels, and how many holes.

    The pixel in row r and column c covers x from c to c + 1 and y from r to r + 1. Pixels that touch at a corner are of
    one blob, holes that touch at a corner are two. Filling an outline gives the blob with its holes filled.
    """
    loops = _loops(mask)
    areas = [_area(loop) for loop in loops]
    outer = [(area, loop) for area, loop in zip(areas, loops, strict=True) if area > 0]
    outer.sort(key=lambda pair: (-pair[0], pair[1][0].tolist()))
    return [loop for _, loop in outer], len(loops) - len(outer)


def joined(loops: list[Points]) -> Points:
    """Return one closed polygon (k, 2) that runs round all of the loops, over bridges without width between them.

    Every loop, after the first, is inserted at the nearest corner of those before it, and left by the way it came.
    """
    whole = loops[0]
    if len(loops) > 1:
        from scipy.spatial import cKDTree
    for loop in loops[1:]:
        away, near = (np.atleast_1d(found) for found in cKDTree(whole).query(loop))
        start = int(np.argmin(away))
        at = int(near[start])
        turned = np.roll(loop, -start, axis=0)
        whole = np.concatenate([whole[: at + 1], turned, turned[:1], whole[at:]])
    return whole


def _area(loop: Points) -> int:
    """Return twice the signed area; > 0 where the mask is to the right of the way, y pointing down."""
    x, y = loop[:, 0], loop[:, 1]
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def _loops(mask: Mask) -> list[Points]:
    """Return all closed outlines, the mask always to the right of the way, straight pieces as one."""
    grid = np.pad(mask, 1)
    right = np.argwhere(grid[1:, 1:-1] & ~grid[:-1, 1:-1])
    left = np.argwhere(~grid[1:, 1:-1] & grid[:-1, 1:-1])
    up = np.argwhere(grid[1:-1, 1:] & ~grid[1:-1, :-1])
    down = np.argwhere(~grid[1:-1, 1:] & grid[1:-1, :-1])
    # The directions that lead away from a corner: right, down, left, up.
    ways: dict[tuple[int, int], list[int]] = {}
    for direction, (places, dy, dx) in enumerate([(right, 0, 0), (down, 0, 0), (left, 0, 1), (up, 1, 0)]):
        for y, x in np.add(places, (dy, dx)).tolist():
            ways.setdefault((x, y), []).append(direction)
    seen: set[tuple[tuple[int, int], int]] = set()
    return [
        _follow(ways, seen, corner, direction)
        for corner in sorted(ways, key=lambda place: (place[1], place[0]))
        for direction in ways[corner]
        if (corner, direction) not in seen
    ]


_MOVES = ((1, 0), (0, 1), (-1, 0), (0, -1))


def _follow(
    ways: dict[tuple[int, int], list[int]],
    seen: set[tuple[tuple[int, int], int]],
    place: tuple[int, int],
    direction: int,
) -> Points:
    """Return the corners of the outline that leaves `place` in a direction, up to where it is there again.

    `place` is the topmost, then leftmost, of its outline, thus a corner of it.
    """
    corners, before = [], -1
    while (place, direction) not in seen:
        seen.add((place, direction))
        if direction != before:
            corners.append(place)
        before = direction
        place = (place[0] + _MOVES[direction][0], place[1] + _MOVES[direction][1])
        # Where two ways part, the left turn goes on to the pixel across the corner.
        direction = (direction - 1) % 4 if len(ways[place]) > 1 else ways[place][0]
    return np.array(corners, dtype=np.int64)
