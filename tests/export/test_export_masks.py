"""Codes of masks, decoded by independent readers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from anosynth.export._polygon import joined, outlines
from anosynth.export._rle import brush_rle, coco_counts, coco_string
from anosynth.export.coco import box_of
from anosynth.export.yolo import polygon_of

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


def coco_decoded(text: str, height: int, width: int) -> np.ndarray:
    """Decode a compressed RLE of COCO with Python's own integers."""
    counts, letters = [], iter(text)
    for letter in letters:
        value, shift = 0, 0
        while True:
            code = ord(letter) - 48
            assert 0 <= code < 64
            value |= (code & 31) << shift
            shift += 5
            if not code & 32:
                break
            letter = next(letters)
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    flat = [bit for number, count in enumerate(counts) for bit in [number % 2] * count]
    return np.array(flat, dtype=bool).reshape(width, height).T


def brush_decoded(rle: list[int]) -> np.ndarray:
    """Decode Label Studio's RLE, runs and single values alike, from its description."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    place = 0

    def take(size: int) -> int:
        nonlocal place
        place += size
        return int(bits[place - size : place], 2)

    number, word, sizes = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < number:
        repeated, size = take(1), sizes[take(2)]
        length = take(size) + 1
        values += [take(word)] * length if repeated else [take(word) for _ in range(length)]
    assert len(values) == number
    return np.array(values)


def even_odd(polygon: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the pixels whose centres are inside: a ray to the right crosses the outline an odd number of times."""
    y, x = np.mgrid[:height, :width] + 0.5
    inside = np.zeros((height, width), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon.tolist(), np.roll(polygon, -1, axis=0).tolist(), strict=True):
        if y0 != y1:
            crosses = (y0 <= y) != (y1 <= y)
            inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


@given(masks)
def test_coco_rle_comes_back(mask):
    assert np.array_equal(coco_decoded(coco_string(coco_counts(mask)), *mask.shape), mask)


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=12))
def test_compressed_numbers_of_any_size_come_back(counts):
    text, found, place = coco_string(counts), [], 0
    while place < len(text):
        value = shift = 0
        while True:
            code = ord(text[place]) - 48
            value, shift, place = value | (code & 31) << shift, shift + 5, place + 1
            if not code & 32:
                break
        value -= (1 << shift) if code & 16 else 0
        found.append(value + found[-2] if len(found) > 2 else value)
    assert found == counts


def test_coco_string_of_a_known_mask():
    # Worked by hand: runs 2, 3, 4 down the columns are `2`, `3`, `4` as letters from 48 on; differences start later.
    assert coco_string([2, 3, 4]) == "234"
    assert coco_string([2, 3, 4, 1]) == "234N"  # 1 - 3 = -2 = ...11110, one piece: 48 + 30
    assert coco_string([40]) == "X1"  # 40 = 1 * 32 + 8: 48 + 32 + 8, then 48 + 1
    assert coco_counts(np.array([[False, True], [False, True], [True, True]])) == [2, 4]
    assert coco_counts(np.array([[True, False]])) == [0, 1, 1]


@given(masks)
def test_brush_rle_comes_back_four_times(mask):
    values = brush_decoded(brush_rle(mask)).reshape(*mask.shape, 4)
    assert np.array_equal(values, np.repeat(mask[:, :, None] * 255, 4, axis=2))


def test_brush_rle_of_runs_longer_than_its_counts():
    mask = np.zeros((300, 300), dtype=bool)
    mask[100:102, 5:9] = True
    values = brush_decoded(brush_rle(mask)).reshape(300, 300, 4)
    assert np.array_equal(values[:, :, 3] == 255, mask)


@settings(max_examples=300)
@given(masks)
def test_outlines_are_exact(mask):
    from scipy import ndimage

    loops, holes = outlines(mask)
    blobs, number = ndimage.label(mask, np.ones((3, 3)))
    assert len(loops) == number
    assert holes == ndimage.label(np.pad(~mask, 1, constant_values=True))[1] - 1
    filled = [ndimage.binary_fill_holes(blobs == blob) for blob in range(1, number + 1)]
    found = [even_odd(loop, *mask.shape) for loop in loops]
    assert sorted(map(bytes, found)) == sorted(map(bytes, filled))


@settings(max_examples=200)
@given(masks)
def test_polygon_of_a_defect_is_its_mask_without_holes(mask):
    from scipy import ndimage

    if not mask.any():
        return
    polygon, holes = polygon_of(mask)
    assert len(polygon) >= 4
    assert polygon.min() >= 0
    assert polygon.max() <= 1
    found = even_odd(polygon * mask.shape[::-1], *mask.shape)
    solid = ndimage.binary_fill_holes(mask)
    assert np.array_equal(found, solid)
    assert (holes > 0) == (solid != mask).any()


def test_straight_pieces_have_no_corners_between():
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:5, 3:8] = True
    (loop,), holes = outlines(mask)
    assert loop.tolist() == [[3, 2], [8, 2], [8, 5], [3, 5]]
    assert holes == 0
    assert joined([loop]) is loop


@pytest.mark.parametrize("place", [(0, 0), (4, 6), (0, 6)])
def test_box_of_a_pixel(place):
    mask = np.zeros((5, 7), dtype=bool)
    mask[place] = True
    assert box_of(mask) == [place[1], place[0], 1, 1]
