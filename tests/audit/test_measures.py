"""What is measured, against independent ways to the same figures."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from audit_sets import blob, shot
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from anosynth.audit.compare import distance, distribution
from anosynth.audit.looks import agree, candidates, fingerprint, thumbnail
from anosynth.audit.shapes import against_ring, against_source, shape_of

FLOOR = 4 / 255

numbers = st.lists(st.integers(-5, 5).map(float) | st.floats(-9, 9), min_size=1, max_size=40)
masks = arrays.arrays(bool, st.tuples(st.integers(8, 20), st.integers(8, 20))).filter(lambda mask: mask.any())


@given(numbers, numbers)
def test_the_distance_is_that_of_kolmogorov_and_smirnov(one, other):
    found = distance([*one, np.nan], other)
    with warnings.catch_warnings():
        # What its p-value runs into for tiny samples is of no interest here.
        warnings.simplefilter("ignore", RuntimeWarning)
        assert found.ks == pytest.approx(stats.ks_2samp(one, other).statistic)
    assert distance(other, one) == found
    assert distance(one, one).ks == 0


def test_chance_is_what_equal_sets_stay_below():
    rng = np.random.default_rng(0)
    found = [distance(rng.random(60), rng.random(90)) for _ in range(2000)]
    share = np.mean([pair.ks < pair.chance for pair in found])
    assert 0.94 < share < 0.98


def test_nothing_known_has_no_distribution_and_no_distance():
    assert distribution([np.nan, np.nan]) is None
    assert distance([np.nan], [1.0]) is None
    assert distribution([3.0, np.nan]).count == 1


@given(numbers)
def test_quantiles_are_in_order(values):
    one = distribution(values)
    ends = [one.min, one.q05, one.q25, one.median, one.q75, one.q95, one.max]
    assert ends == sorted(ends)
    assert one.median == pytest.approx(np.median(values))


@given(masks)
def test_the_figure_of_a_mask_by_brute_force(mask):
    regions = []
    left = {tuple(place) for place in np.argwhere(mask)}
    while left:
        waiting, region = [left.pop()], []
        while waiting:
            row, column = waiting.pop()
            region.append((row, column))
            near = {(row + a, column + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            waiting += near
        regions.append(np.array(region))
    shape = shape_of(mask)
    assert shape.pixels == mask.sum()
    assert shape.area == mask.mean()
    assert shape.components == len(regions)
    most = max(map(len, regions))
    largest = [region for region in regions if len(region) == most]
    assert any(shape.size == (np.ptp(region, axis=0).max() + 1) / max(mask.shape) for region in largest)
    ratios = []
    for region in largest:
        # Each pixel as a square of 50 x 50 points.
        points = (region[:, None, :] + ((np.mgrid[:50, :50].reshape(2, -1).T + 0.5) / 50)[None]).reshape(-1, 2)
        low, high = np.linalg.eigvalsh(np.cov(points.T, bias=True))
        ratios.append(np.sqrt(high / low))
    assert any(shape.elongation == pytest.approx(ratio, rel=1e-3) for ratio in ratios)


@pytest.mark.parametrize("length", [1, 5, 30])
def test_a_line_is_as_elongated_as_it_is_long(length):
    mask = np.zeros((40, 40), bool)
    mask[7, 5 : 5 + length] = True
    assert shape_of(mask).elongation == pytest.approx(length)
    assert shape_of(mask.T).elongation == pytest.approx(length)


@settings(max_examples=50)
@given(st.data())
def test_leak_and_dead_by_counting(data):
    size = data.draw(st.tuples(st.integers(8, 12), st.integers(8, 12)))
    before, after = (data.draw(arrays.arrays(np.uint8, (*size, 3), elements=st.integers(0, 6))) for _ in range(2))
    mask = data.draw(arrays.arrays(bool, size))
    tolerance = data.draw(st.integers(0, 2))
    counts = {"outside": 0, "changed": 0, "still": 0, "unseen": 0}
    for place in np.ndindex(*size):
        most = max(abs(int(a) - int(b)) for a, b in zip(before[place], after[place], strict=True))
        changed = most > tolerance
        counts["changed"] += changed
        counts["outside"] += changed and not mask[place]
        counts["still"] += mask[place] and not changed
        counts["unseen"] += mask[place] and most < 4
    found = against_source(before, after, mask, floor=FLOOR, tolerance=tolerance / 255)
    inside = int(mask.sum())
    assert found.leak == (counts["outside"] / counts["changed"] if counts["changed"] else 0)
    assert found.dead == (counts["still"] / inside if inside else 0)
    assert found.invisible == (pytest.approx(counts["unseen"] / inside) if inside else 0)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_contrast_is_a_fraction_of_white(dtype, white):
    mask = blob(3)
    pixels = np.full(mask.shape, 0.25 * white).astype(dtype)
    changed = np.where(mask, np.array(0.5 * white).astype(dtype), pixels)
    contrast, faint = against_ring(changed, mask, floor=FLOOR)
    assert contrast == pytest.approx(0.25, abs=0.005)
    assert faint == 0
    assert against_ring(pixels, mask, floor=FLOOR) == (0, 1)
    assert against_source(pixels, changed, mask, floor=FLOOR, tolerance=0).change == pytest.approx(0.25, abs=0.005)


def test_each_region_is_compared_with_what_is_around_it():
    pixels = np.tile(np.where(np.arange(80) < 40, 50, 200).astype(np.uint8), (64, 1))
    mask = np.zeros((64, 80), bool)
    mask[30:36, 10:16] = mask[30:36, 60:66] = True
    pixels[mask] = np.where(pixels[mask] == 50, 70, 180)
    contrast, faint = against_ring(pixels, mask, floor=FLOOR)
    assert contrast == pytest.approx(20 / 255)
    assert faint == 0


def test_a_mask_of_everything_has_nothing_around_it():
    pair = against_ring(shot(1), np.ones(shot(1).shape, bool), floor=FLOOR)
    assert np.isnan(pair).all()


def test_large_regions_are_thinned_to_the_same_contrast():
    mask = np.zeros((1400, 1500), bool)
    mask[100:1300, 150:1350] = True
    pixels = np.where(mask, 120, 100).astype(np.uint8)
    assert against_ring(pixels, mask, floor=FLOOR) == (pytest.approx(20 / 255), 0)


def test_fingerprints_tell_shapes_types_and_pixels_apart():
    one = shot(0)
    others = [one.T, one[:, :, None], one.astype(np.uint16), one ^ (blob(1).astype(np.uint8)), one[::-1]]
    assert len({fingerprint(pixels) for pixels in [one, *others]}) == 6
    assert fingerprint(np.asfortranarray(one)) == fingerprint(one)


@pytest.mark.parametrize("size", [(8, 8), (9, 200), (12, 12), (64, 80, 3)])
def test_thumbnails_have_one_form(size):
    pixels = np.full(size, 51, np.uint8)
    assert thumbnail(pixels).tolist() == [[13107] * 12] * 12
    assert thumbnail(pixels.astype(np.float32) / 255).tolist() == thumbnail(pixels).tolist()


def test_only_the_nearest_of_another_origin_are_candidates():
    looks = np.array([thumbnail(shot(number)) for number in [*range(10), 3, 4, 5]])
    splits = np.array([0] * 11 + [1, 1])
    alone = np.arange(13)
    assert sorted(candidates(looks, splits, alone)) == [(3, 10, False), (4, 11, True), (5, 12, True)]
    shared = np.array([*range(10), 3, 4, 12])
    assert sorted(candidates(looks, splits, shared)) == [(5, 12, True)]


def test_photos_agree_if_one_is_the_other_saved_anew():
    one = shot(0, (96, 96))
    noise = np.random.default_rng(1)
    assert agree(one, (one + noise.integers(-2, 3, one.shape)).astype(np.uint8))
    assert agree(one, np.where(blob(0, one.shape), 255, one).astype(np.uint8))
    assert agree(one, np.dstack([one] * 3))
    assert not agree(one, shot(1, (96, 96)))
    assert not agree(one, np.roll(one, 5, 1))
    plain = np.full((96, 96), 255, np.uint8)
    first, second = plain.copy(), plain.copy()
    first[20:40, 20:40], second[25:45, 20:40] = shot(2)[:20, :20], shot(3)[:20, :20]
    assert not agree(first, second)
