from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import DataError
from anosynth.images import Image
from anosynth.images._edit import LEAST_PIXELS
from anosynth.images._outline import BLOB_SHARE, blob, feather, outline_alpha, outlined
from anosynth.images._place import (
    box_around,
    centre_of,
    kept,
    made_visible,
    moved_inside,
    other_place,
    placed,
    rectangle,
    rectangle_size,
    seen_share,
)
from anosynth.seeding import Rng

SHAPE = st.tuples(st.integers(8, 90), st.integers(8, 90))
SEED = st.integers(0, 2**32)


NONE = np.zeros((9, 9), np.bool_)


def of(free: np.ndarray) -> Image:
    return grey(*free.shape)


def grey(height: int, width: int) -> Image:
    return Image(np.full((height, width), 128, np.uint8))


@pytest.mark.parametrize("crowded", [False, True])
def test_every_free_pixel_is_as_likely(crowded):
    """Both ways of drawing: by guesses where most is free, from the list where little is."""
    free = np.zeros((40, 50), np.bool_)
    free[:30, 10:] = crowded
    free[[3, 7, 7, 31], [4, 0, 49, 20]] = True
    places = np.flatnonzero(free)
    root = Rng(1)
    draws = 8000
    centres = np.array([centre_of(of(free), free, root.child(k)) for k in range(draws)])
    counts = np.bincount(centres[:, 0] * 50 + centres[:, 1], minlength=free.size)
    assert counts[~free.ravel()].sum() == 0
    expected = draws / len(places)
    chi = ((counts[places] - expected) ** 2 / expected).sum()
    assert abs(chi - (len(places) - 1)) < 5 * np.sqrt(2 * len(places))


def test_no_free_pixel_is_refused():
    with pytest.raises(DataError, match="no pixel is free"):
        centre_of(of(NONE), NONE, Rng(0))
    with pytest.raises(DataError, match="no pixel is free"):
        placed(of(NONE), NONE, (3, 3), Rng(0))


def test_boxes_at_a_border_are_cut_or_moved():
    assert box_around((10, 20), (4, 6), (30, 40)) == (8, 17, 12, 23)
    assert box_around((0, 39), (4, 6), (30, 40)) == (0, 36, 2, 40)
    assert moved_inside((10, 20), (4, 6), (30, 40)) == (8, 17, 12, 23)
    assert moved_inside((0, 39), (4, 6), (30, 40)) == (0, 34, 4, 40)
    assert moved_inside((0, 0), (99, 6), (30, 40)) == (0, 0, 30, 6)


@settings(max_examples=80)
@given(shape=SHAPE, size=st.tuples(st.integers(1, 120), st.integers(1, 120)), seed=SEED, share=st.floats(0.001, 1))
def test_a_placed_box_is_inside_and_holds_a_free_pixel(shape, size, seed, share):
    rng = Rng(seed)
    free = (rng.child("free").random(shape[0] * shape[1]) < share).reshape(shape)
    free[0, 0] = True
    top, left, bottom, right = placed(of(free), free, size, rng)
    assert 0 <= top < bottom <= shape[0]
    assert 0 <= left < right <= shape[1]
    assert (bottom - top, right - left) == (min(size[0], shape[0]), min(size[1], shape[1]))
    assert free[top:bottom, left:right].any()


def test_a_free_pixel_is_at_the_centre_of_the_box():
    free = np.zeros((60, 70), np.bool_)
    free[22, 31] = True
    for size in ((1, 1), (2, 3), (7, 10), (16, 9)):
        top, left = placed(of(free), free, size, Rng(3))[:2]
        assert (top + size[0] // 2, left + size[1] // 2) == (22, 31)


def test_all_positions_are_as_likely_and_borders_get_no_more():
    free = np.ones((20, 12), np.bool_)
    root = Rng(8)
    tops = np.bincount([placed(of(free), free, (5, 4), root.child(k))[0] for k in range(6400)], minlength=16)
    assert len(tops) == 16
    assert np.abs(tops - 400).max() < 5 * 20


@settings(max_examples=150)
@given(shape=SHAPE, area=st.floats(0.0001, 0.5), aspect=st.floats(0.05, 20))
def test_a_rectangle_has_its_area_and_its_aspect_where_both_fit(shape, area, aspect):
    h, w = rectangle_size(shape, area=area, aspect=aspect)
    assert 2 <= h <= shape[0]
    assert 2 <= w <= shape[1]
    wanted = max(16.0, area * shape[0] * shape[1])
    assert abs(h * w - wanted) <= 0.5 * (h + w) + 1
    if 4 < w < shape[1] and 4 < h < shape[0]:
        assert (w - 0.6) / (h + 0.6) <= aspect <= (w + 0.6) / (h - 0.6)


def test_width_and_height_are_not_swapped():
    """A wide image takes wide rectangles, at every column."""
    image = grey(128, 512)
    free = np.ones(image.shape, np.bool_)
    boxes = np.array([rectangle(image, Rng(k), free, area=0.02, aspect=3.0) for k in range(300)])
    assert (boxes[:, 3] - boxes[:, 1] == 63).all()
    assert (boxes[:, 2] - boxes[:, 0] == 21).all()
    assert boxes[:, 1].max() > 430
    assert boxes[:, 0].max() > 100
    assert boxes[:, [0, 1]].min(axis=0).max() < 10


@settings(max_examples=100)
@given(shape=st.tuples(st.integers(2, 60), st.integers(2, 60)), softness=st.floats(0, 1), seed=SEED)
def test_a_blob_is_an_alpha_of_known_area(shape, softness, seed):
    alpha = blob(shape, Rng(seed), softness=softness)
    assert alpha.shape == shape
    assert alpha.dtype == np.float32
    assert alpha.min() >= 0
    assert alpha.max() <= 1
    if min(shape) >= 8:
        assert (alpha > 0).mean() == pytest.approx(BLOB_SHARE, abs=0.03)
        assert alpha.max() > 0.99
        assert not alpha[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def test_a_hard_blob_is_what_a_soft_one_covers():
    hard, soft, softer = (blob((70, 90), Rng(4), softness=softness) for softness in (0.0, 0.4, 1.0))
    assert set(np.unique(hard)) == {0.0, 1.0}
    assert ((soft > 0) <= (hard > 0)).all()
    assert (softer <= soft).all()
    assert (soft <= hard).all()
    steps = np.abs(np.diff(softer, axis=1)).max()
    assert steps < 0.12, "a soft edge has no step"


def test_blobs_differ_from_ellipses_and_from_each_other():
    one, two = blob((64, 64), Rng(1), softness=0), blob((64, 64), Rng(2), softness=0)
    assert (one != two).mean() > 0.05
    rows = np.flatnonzero(one.any(axis=1))
    assert (one != one[:, ::-1]).mean() > 0.03
    assert len(rows) > 32


def test_an_ellipse_has_the_axes_and_the_area_of_an_ellipse():
    alpha = outline_alpha("ellipse", (100, 301), Rng(0))
    assert alpha.sum() == pytest.approx(np.pi / 4 * 100 * 301, rel=0.01)
    assert (alpha[50].sum(), alpha[:, 150].sum()) == (pytest.approx(301, abs=1), pytest.approx(100, abs=1))
    for degrees in (20, 65, 140):
        row, column = np.nonzero(outline_alpha("ellipse", (80, 200), Rng(0), orientation=degrees))
        values, vectors = np.linalg.eigh(np.cov(np.stack([column, row])))
        assert np.sqrt(values[1] / values[0]) == pytest.approx(2.5, rel=0.02)
        way = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
        assert abs((vectors[:, 1] * way).sum()) > 0.999


def test_a_soft_ellipse_falls_from_one_to_zero():
    hard, soft = (outline_alpha("ellipse", (101, 81), Rng(0), softness=softness) for softness in (0.0, 0.5))
    assert ((soft > 0) <= (hard > 0)).all()
    assert soft[50, 40] == 1
    assert ((soft > 0.01) & (soft < 0.99)).mean() > 0.05


def test_feather_slopes_inwards_from_the_outline_alone():
    alpha = np.zeros((40, 40), np.float32)
    alpha[10:30, :25] = 1
    soft = feather(alpha, 4)
    assert (soft[alpha == 0] == 0).all()
    assert (soft[15:25, :20] == 1).all(), "cut off by the box's border, it keeps its weight there"
    # At distance 1 of 5: 3 / 25 - 2 / 125.
    assert soft[20, 24] == pytest.approx(0.104)
    assert (np.diff(soft[20, 15:26]) <= 0).all()
    assert feather(alpha, 0) is alpha
    full = np.ones((5, 5), np.float32)
    assert (feather(full, 3) == full).all()


def test_another_place_is_never_the_same_and_any_other_one():
    box = (2, 1, 6, 5)
    root = Rng(5)
    places = [other_place(box, (8, 7), root.child(k)) for k in range(3000)]
    assert all((b - t, r - left) == (4, 4) and t >= 0 and left >= 0 and b <= 8 and r <= 7 for t, left, b, r in places)
    found, counts = np.unique([(t, left) for t, left, _, _ in places], axis=0, return_counts=True)
    assert len(found) == 5 * 4 - 1
    assert [2, 1] not in found.tolist()
    assert counts.min() > 100
    with pytest.raises(DataError, match="no second place"):
        other_place((0, 0, 8, 7), (8, 7), Rng(0))


@settings(max_examples=80)
@given(outline=st.sampled_from(["rectangle", "ellipse", "blob"]), area=st.floats(0.01, 0.3), seed=SEED)
def test_the_area_of_an_outline_is_that_of_the_outline(outline, area, seed):
    image = grey(96, 128)
    box, alpha = outlined(image, Rng(seed), np.ones(image.shape, np.bool_), outline=outline, area=area, aspect=1.2)
    assert alpha.shape == (box[2] - box[0], box[3] - box[1])
    assert (alpha > 0).sum() / (96 * 128) == pytest.approx(area, rel=0.12, abs=0.002)


@pytest.mark.parametrize("outline", ["rectangle", "ellipse", "blob"])
def test_a_soft_outline_fades_and_stays_inside(outline):
    hard, soft = (outline_alpha(outline, (41, 61), Rng(2), softness=softness) for softness in (0.0, 0.8))
    assert set(np.unique(hard)) <= {0.0, 1.0}
    assert ((soft > 0) <= (hard > 0)).all()
    assert soft.max() > 0.9
    assert ((soft > 0.05) & (soft < 0.95)).mean() > 0.1


def test_only_free_pixels_are_kept():
    free = np.ones((30, 30), np.bool_)
    free[:, 12:] = False
    alpha = np.full((10, 10), 0.5, np.float32)
    left = kept(alpha, free, (5, 5, 15, 15))
    assert (left[:, :7] == 0.5).all()
    assert (left[:, 7:] == 0).all()
    free[:, 5:12] = False
    free[5:14, 5] = True
    free[5 + LEAST_PIXELS - 1 :, 5] = False
    with pytest.raises(DataError, match="7 free pixels inside the region: expected at least 8"):
        kept(alpha, free, (5, 5, 15, 15))


@pytest.mark.parametrize("level", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("weight", [0.1, 1.0])
def test_what_could_not_be_seen_is_shifted_towards_mid_grey(level, weight):
    old = np.full((8, 9, 3), level, np.float32)
    alpha = np.full((8, 9), weight, np.float32)
    new, shift = made_visible(old.copy(), Image(old), (0, 0, 8, 9), alpha, Rng(3))
    assert 0.06 <= weight * abs(shift) <= 0.12
    assert (shift > 0) == (level < 0.5)
    assert seen_share(new, old, alpha) == 1


def test_what_is_seen_stays_as_it_is():
    old = np.zeros((8, 8, 2), np.float32)
    new = old.copy()
    new[:, :2, 1] = 0.1
    alpha = np.ones((8, 8), np.float32)
    assert seen_share(new, old, alpha) == 0.25
    assert seen_share(new, old, alpha * np.float32(0.1)) == 0
    kept_new, shift = made_visible(new, Image(old), (0, 0, 8, 8), alpha, Rng(0))
    assert shift == 0
    assert kept_new is new
