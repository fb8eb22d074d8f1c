"""The metrics against slow references written down from their definitions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import DataError, ParameterError
from anosynth.metrics import Interval, PixelAuroc, aupro, auroc, average_precision, bootstrap, pixel_auroc

# Few distinct values, so that ties are the rule.
samples = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def slow_auroc(scores, labels) -> float:
    rows = list(zip(scores, labels, strict=True))
    pairs = [(normal, found) for normal, x in rows if not x for found, y in rows if y]
    return sum(1.0 if found > normal else 0.5 if found == normal else 0.0 for normal, found in pairs) / len(pairs)


def slow_precision(scores, labels) -> float:
    total, before, area = sum(labels), 0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        found = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        area += (sum(found) - before) / total * sum(found) / len(found)
        before = sum(found)
    return area


def regions(mask) -> list[set[tuple[int, int]]]:
    """8-connected regions by flooding."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        edge, region = [left.pop()], set()
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        found.append(region)
    return found


def slow_aupro(maps, masks, limit) -> float:
    defects = [(number, region) for number, mask in enumerate(masks) for region in regions(mask)]
    curve = [(0.0, 0.0)]
    for threshold in sorted({v for scores in maps for v in scores.ravel().tolist()}, reverse=True):
        alarms = sum(int(((scores >= threshold) & ~mask).sum()) for scores, mask in zip(maps, masks, strict=True))
        normal = sum(int((~mask).sum()) for mask in masks)
        shares = [np.mean([maps[number][place] >= threshold for place in region]) for number, region in defects]
        curve.append((alarms / normal, float(np.mean(shares))))
    area = 0.0
    for (x0, y0), (x1, y1) in itertools.pairwise(curve):
        if x0 >= limit:
            break
        if x1 > limit:
            x1, y1 = limit, y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
        area += (x1 - x0) * (y0 + y1) / 2
    return area / limit


def scene(seed, count=3, shape=(9, 11), levels=6):
    draw = np.random.default_rng(seed)
    masks = [draw.random(shape) < 0.2 for _ in range(count)]
    masks[-1][:] = False
    return [np.round(draw.random(shape) * levels) / levels + 0.3 * mask for mask in masks], masks


@given(samples)
def test_auroc_counts_pairs(rows):
    scores, labels = [r[0] for r in rows], [r[1] for r in rows]
    assert auroc(scores, labels) == pytest.approx(slow_auroc(scores, labels), abs=1e-12)
    assert auroc([-s for s in scores], labels) == pytest.approx(1 - auroc(scores, labels), abs=1e-12)
    assert auroc(np.exp(scores), np.array(labels, dtype=int)) == pytest.approx(auroc(scores, labels), abs=1e-12)


@given(samples)
def test_average_precision_follows_its_steps(rows):
    scores, labels = [r[0] for r in rows], [r[1] for r in rows]
    assert average_precision(scores, labels) == pytest.approx(slow_precision(scores, labels), abs=1e-12)


def test_known_figures():
    assert auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert average_precision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == pytest.approx(5 / 6)
    assert auroc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5
    assert auroc([-np.inf, 0, np.inf], [0, 0, 1]) == 1.0
    assert average_precision([1, 2], [1, 1]) == 1.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_is_the_mean_over_defects(seed, limit):
    maps, masks = scene(seed)
    assert aupro(maps, masks, limit) == pytest.approx(slow_aupro(maps, masks, limit), abs=1e-12)


def test_aupro_counts_small_defects_as_much_as_large_ones():
    mask = np.zeros((20, 20), dtype=bool)
    mask[1, 1] = True
    mask[5:15, 5:15] = True
    mask[15, 15] = True  # touches the large one at a corner: the same defect
    large = np.where(mask, 1.0, 0.0)
    large[1, 1] = -1.0
    # The small one is found at the very last threshold only; overlap is 1/2 until then.
    assert aupro([large], [mask], 0.3) == pytest.approx(slow_aupro([large], [mask], 0.3))
    assert 0.49 < aupro([large], [mask], 0.3) < 0.51
    assert aupro([mask * 1.0], [mask]) == 1.0


def test_aupro_of_infinite_scores():
    mask = np.array([[True, False, False, True]])
    assert aupro([np.array([[np.inf, 0.0, -np.inf, np.inf]])], [mask]) == 1.0


def test_pixel_auroc_is_that_of_all_pixels():
    maps, masks = scene(1)
    scores, labels = np.concatenate([m.ravel() for m in maps]), np.concatenate([m.ravel() for m in masks])
    assert pixel_auroc(iter(maps), iter(masks)) == auroc(scores, labels)


@given(st.integers(0, 50), st.integers(2, 40))
@settings(max_examples=40)
def test_coarse_pixel_auroc_stays_within_its_error(seed, limit):
    draw = np.random.default_rng(seed)
    found, scores, labels = PixelAuroc(limit), [], []
    for _ in range(4):
        mask = draw.random((6, 7)) < 0.3
        part = draw.normal(size=(6, 7)) + mask
        found.update(part, mask)
        scores, labels = [*scores, *part.ravel()], [*labels, *mask.ravel()]
    exact = slow_auroc(scores, labels)
    assert found.error() > 0
    assert abs(found.value() - exact) <= found.error() + 1e-12
    fine = PixelAuroc(1000)
    fine.update(scores, labels)
    assert fine.error() == 0
    assert fine.value() == pytest.approx(exact, abs=1e-12)


def test_error_shrinks_with_the_limit():
    draw = np.random.default_rng(0)
    errors = []
    for limit in (10, 100, 1000):
        found = PixelAuroc(limit)
        found.update(draw.normal(size=5000), draw.random(5000) < 0.3)
        errors.append(found.error())
    assert errors[0] > 5 * errors[1] > 25 * errors[2] > 0


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for trial in range(60):
        values = np.random.default_rng(trial).normal(size=80)
        found = bootstrap(lambda v: float(np.mean(v)), values, rng=trial, draws=200, level=0.8)
        assert found.low <= found.value <= found.high
        hits += found.low <= 0 <= found.high
    assert 38 <= hits <= 56  # 48 expected; 3 standard deviations are 9


def test_bootstrap_of_two_scores_is_paired_and_repeatable():
    draw = np.random.default_rng(3)
    labels = np.arange(60) % 2
    first = draw.normal(size=60) + labels
    second = first + 0.01
    same = bootstrap(lambda a, b, y: auroc(a, y) - auroc(b, y), first, second, labels, rng=0, draws=100)
    assert same == Interval(0.0, 0.0, 0.0)
    one = bootstrap(auroc, first, labels, rng=5, draws=100)
    assert one == bootstrap(auroc, first, labels, rng=5, draws=100)
    assert one != bootstrap(auroc, first, labels, rng=6, draws=100)
    assert 0.02 < one.high - one.low < 0.4
    assert str(one) == f"{one.value:.3f} ({one.low:.3f} to {one.high:.3f})"


def test_bootstrap_draws_again_what_lacks_a_class():
    labels = np.array([0, 0, 0, 0, 1, 1])
    found = bootstrap(auroc, np.arange(6), labels, rng=0, draws=50)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: auroc([0.1, np.nan], [0, 1]), "scores: 1 of 2 are NaN: expected numbers"),
        (lambda: average_precision([np.nan, np.nan], [0, 1]), "scores: 2 of 2 are NaN"),
        (lambda: pixel_auroc([np.full((2, 2), np.nan)], [np.eye(2)]), "scores: 4 of 4 are NaN"),
        (lambda: aupro([np.full((2, 2), np.nan)], [np.eye(2)]), "scores: 4 of 4 are NaN"),
        (lambda: auroc([1, 2], [0, 0]), "labels: no anomalous sample: both classes"),
        (lambda: auroc([1, 2], [1, 1]), "labels: no normal sample: both classes"),
        (lambda: auroc([], []), "labels: no normal sample"),
        (lambda: average_precision([1, 2], [0, 0]), "labels: no anomalous sample"),
        (lambda: aupro([np.ones((2, 2))], [np.zeros((2, 2))]), "labels: no anomalous sample"),
        (lambda: aupro([np.ones((2, 2))], [np.ones((2, 2))]), "labels: no normal sample"),
        (lambda: aupro([], []), "maps: none"),
        (lambda: aupro([np.ones(4)], [np.ones(4)]), r"mask: shape \(4,\): expected \(H, W\)"),
        (lambda: PixelAuroc().value(), "labels: no normal sample"),
        (lambda: auroc([1, 2], [0, 255]), "labels: 255: expected 0 or 1"),
        (lambda: auroc([1, 2, 3], [0, 1]), r"labels: shape \(2,\): expected that of the scores, \(3,\)"),
        (lambda: auroc(["a", "b"], [0, 1]), "scores: .*: expected real numbers"),
        (lambda: pixel_auroc([np.eye(2)], []), "masks: not as many as maps"),
        (lambda: pixel_auroc([], [np.eye(2)]), "masks: not as many as maps"),
        (lambda: bootstrap(auroc, [1, 2], [0, 1, 1], rng=0), r"arrays: lengths \[2, 3\]"),
        (lambda: bootstrap(auroc, [], [], rng=0), r"arrays: lengths \[0\]"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(call, text):
    with pytest.raises(DataError, match=text):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: aupro([], [], limit=0),
        lambda: aupro([], [], limit=1.5),
        lambda: PixelAuroc(1),
        lambda: bootstrap(auroc, [1], [1], rng=0, draws=0),
        lambda: bootstrap(auroc, [1], [1], rng=0, level=1.0),
    ],
)
def test_parameters_out_of_range(call):
    with pytest.raises(ParameterError, match="must be"):
        call()


def test_inputs_are_left_alone():
    scores, labels = np.array([0.3, 0.1, 0.2]), np.array([1, 0, 1])
    kept = scores.copy(), labels.copy()
    for array in (scores, labels):
        array.flags.writeable = False
    auroc(scores, labels), average_precision(scores, labels), bootstrap(auroc, scores, labels, rng=0, draws=3)
    assert (scores == kept[0]).all()
    assert (labels == kept[1]).all()
