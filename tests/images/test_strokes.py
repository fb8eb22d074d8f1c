"""Strokes against distances, coverages and shapes computed another way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.images import Image
from anosynth.images._strokes import (
    coverage,
    crack_lines,
    darker,
    direction,
    edit_of,
    mean_of,
    roughened,
    smooth,
    smooth_line,
    stroke_box,
    taper,
    tint,
    toned,
    trace,
    under,
    wobble,
)
from anosynth.seeding import Rng


def brute_distance(line, box):
    """Distance of every pixel to densely sampled points of the line."""
    top, left, bottom, right = box
    t = np.linspace(0, 1, 400)[:, None]
    dense = np.concatenate([a + t * (b - a) for a, b in pairwise(line)])
    y, x = np.mgrid[top:bottom, left:right]
    pixels = np.stack([y.ravel(), x.ravel()], axis=1)
    gaps = np.sqrt(((pixels[:, None, :] - dense[None, :, :]) ** 2).sum(axis=2))
    return gaps.min(axis=1).reshape(y.shape)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), reach=st.floats(0.8, 9), top=st.integers(-6, 6), left=st.integers(-6, 6))
def test_trace_is_the_distance_to_the_line(seed, reach, top, left):
    line = np.random.default_rng(seed).uniform(-4, 22, (4, 2))
    box = (top, left, top + 15, left + 19)
    offset, along = trace(line, reach, box)
    true = brute_distance(line, box)
    inside = true < reach - 0.05
    assert np.isinf(offset[true > reach + 1e-3]).all()
    assert np.isfinite(offset[inside]).all()
    excess = true[inside] - np.abs(offset[inside])
    # The samples lie up to 0.07 px apart, so their distance is at most half of that too large, and never too small.
    assert excess.max(initial=0) < 0.04
    assert excess.min(initial=0) > -1e-4
    assert (along[np.isinf(offset)] == 0).all()


def test_trace_knows_sides_and_arc_length():
    line = np.array([[10.0, 2.0], [10.0, 12.0], [10.0, 22.0]])
    offset, along = trace(line, 5.0, (0, 0, 21, 30))
    rows, columns = np.nonzero(np.isfinite(offset) & (np.arange(30) > 2) & (np.arange(30) < 22))
    assert np.allclose(along[rows, columns], columns - 2)
    assert np.allclose(np.abs(offset[rows, columns]), np.abs(rows - 10))
    assert len({np.sign(offset[r, c]) for r, c in zip(rows, columns, strict=True) if r < 10}) == 1
    assert offset[8, 12] == -offset[12, 12]


def test_a_part_of_the_box_gives_a_part_of_the_answer():
    line = smooth_line((40, 60), 70.0, 0.8, Rng(3))
    offset, along = trace(line, 4.0, (0, 0, 100, 120))
    part, part_along = trace(line, 4.0, (20, 30, 70, 90))
    same = np.isinf(part) & np.isinf(offset[20:70, 30:90])
    assert (same | (np.abs(part - np.where(same, 0, offset[20:70, 30:90])) < 1e-4)).all()
    assert np.abs(part_along - along[20:70, 30:90]).max() < 1e-3


@pytest.mark.parametrize("width", [0.5, 0.8, 1.0, 1.3, 2.0, 4.7])
def test_a_stroke_has_its_width(width):
    """Summed across, the shares of pixels that a straight line covers are its width, wherever it lies."""
    for shift in np.linspace(0, 1, 11):
        distance = (np.arange(-10, 11) + shift).astype(np.float32)
        share = coverage(distance, width)
        assert share.sum() == pytest.approx(width, abs=1e-5)
        assert share.max() <= 1
        # The overlap of two intervals, directly.
        low = np.maximum(distance - 0.5, -width / 2)
        high = np.minimum(distance + 0.5, width / 2)
        assert np.allclose(share, np.maximum(high - low, 0), atol=1e-6)


def test_taper_and_smooth_meet_their_ends():
    s = np.linspace(0, 50, 101).astype(np.float32)
    t = taper(s, 50.0, 0.2)
    assert t[0] == t[-1] == 0
    assert (t[(s >= 10) & (s <= 40)] == 1).all()
    assert np.allclose(t, t[::-1], atol=1e-5)
    assert (smooth(np.array([-1.0, 0.0, 0.5, 1.0, np.inf])) == [0, 0, 0.5, 1, 1]).all()


def test_wobble_is_smooth_along_the_line_and_bounded():
    s = np.arange(0, 200, dtype=np.float32)
    values = wobble(s, 200.0, 20.0, Rng(1))
    assert 0.05 < values.std() < 0.6
    assert np.abs(np.diff(values)).max() < 0.35
    assert np.abs(values).max() <= 1
    assert (values == wobble(s, 200.0, 20.0, Rng(1))).all()


def test_smooth_lines_have_their_length_and_middle():
    for seed in range(5):
        line = smooth_line((30, 50), 80.0, 0.5, Rng(seed))
        assert np.sqrt((np.diff(line, axis=0) ** 2).sum(axis=1)).sum() == pytest.approx(80.0)
        assert np.abs(line[len(line) // 2] - [30, 50]).max() < 3
        assert (np.abs(np.diff(np.unwrap(np.arctan2(*np.diff(line, axis=0).T)))) < 0.6).all()


def test_branches_start_on_their_parents():
    lines = crack_lines((64, 64), 100.0, 5, 0.35, 3.0, Rng(2))
    assert len(lines) == 6
    for number, line in enumerate(lines[1:], 1):
        earlier = np.concatenate(lines[:number])
        assert np.sqrt(((earlier - line[0]) ** 2).sum(axis=1)).min() < 1e-9
    assert np.sqrt((np.diff(lines[0], axis=0) ** 2).sum(axis=1)).max() < 6


def test_roughening_keeps_every_vertex():
    line = np.array([[0.0, 0.0], [0.0, 40.0], [30.0, 40.0]])
    rough = roughened(line, 0.1, 3.0, Rng(0))
    assert all((rough == vertex).all(axis=1).any() for vertex in line)
    assert len(rough) == 2 * 16 + 1
    assert (roughened(line, 0.1, 100.0, Rng(0)) == line).all()


def test_the_box_holds_the_stroke_and_stays_in_the_image():
    line = np.array([[5.0, 5.0], [20.0, 33.0]])
    top, left, bottom, right = stroke_box([line], 2.0, (100, 100))
    assert (top, left, bottom, right) == (3, 3, 23, 36)
    far = np.array([[-50.0, -50.0], [-40.0, -40.0]])
    assert stroke_box([far], 2.0, (30, 40)) == (0, 0, 1, 1)
    assert stroke_box([far + 200], 2.0, (30, 40)) == (29, 39, 30, 40)


@pytest.mark.parametrize("mean", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("amount", [-0.08, 0.08])
def test_toning_moves_the_mean_by_the_amount_and_keeps_ratios(mean, amount):
    draw = np.random.default_rng(0)
    pixels = draw.uniform(0.5 * mean, min(1.0, 1.5 * mean), (500, 3)).astype(np.float32)
    level = mean_of(pixels)
    new = toned(pixels, np.full(500, amount, dtype=np.float32), level)
    assert new.mean() - pixels.mean() == pytest.approx(amount, abs=1e-3)
    kept = new / pixels if amount < 0 else (1 - new) / (1 - pixels)
    assert np.ptp(kept) < 1e-3


def test_toning_never_reaches_black_or_white_and_weighs_channels():
    pixels = np.full((4, 3), 0.4, dtype=np.float32)
    for amount in (-5.0, 5.0):
        new = toned(pixels, np.full(4, amount, dtype=np.float32), 0.4)
        assert (new > 0).all()
        assert (new < 1).all()
    weighted = toned(pixels, np.full(4, -0.1, dtype=np.float32), 0.4, np.array([1.0, 0.5, 0.0], dtype=np.float32))
    assert np.allclose(weighted[0], [0.3, 0.35, 0.4])


def test_direction_is_where_there_is_room():
    assert {direction(0.1, "auto", Rng(s)) for s in range(50)} == {1}
    assert {direction(0.9, "auto", Rng(s)) for s in range(50)} == {-1}
    share = np.mean([direction(0.5, "auto", Rng(s)) == -1 for s in range(600)])
    assert 0.42 < share < 0.58
    assert direction(0.01, "dark", Rng(0)) == -1
    assert direction(0.99, "light", Rng(0)) == 1
    assert (darker(0.5), darker(0.0)) == (-1, 1)


def test_tints_show_in_every_channel_and_fully_in_one():
    for seed in range(20):
        weights = tint(5, 0.4, Rng(seed))
        assert weights.max() == 1
        assert weights.min() >= 0.4
        assert weights.dtype == np.float32
    assert tint(1, 0.4, Rng(0)).tolist() == [1.0]


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 5)])
def test_under_and_edit_of_are_inverse(shape):
    pixels = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    image = Image(pixels)
    box = (3, 4, 15, 29)
    where = np.random.default_rng(1).random((12, 25)) < 0.3
    edit = edit_of(box, where, under(image, box, where), {"a": 1})
    assert (edit.pixels[where] == image.crop(box)[where]).all()
    assert ((edit.alpha > 0) == where).all()
    assert edit.stats == {"a": 1}
    assert mean_of(np.zeros((0, 3), dtype=np.float32)) == 0.5
