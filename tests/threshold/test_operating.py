"""The threshold and what is asserted of it, against scipy's distributions and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from anosynth.errors import DataError, ParameterError
from anosynth.metrics import auroc
from anosynth.threshold import operating, samples_needed
from anosynth.threshold.point import _grouped, assured, clopper_pearson, delong, design_effect, fixed, rate


@pytest.mark.parametrize(("hits", "of", "confidence"), [(0, 10, 0.95), (3, 17, 0.9), (17, 17, 0.99), (50, 400, 0.5)])
def test_clopper_pearson_inverts_the_binomial(hits, of, confidence):
    low, high = clopper_pearson(hits, of, confidence)
    tail = (1 - confidence) / 2
    if hits:
        assert binom.sf(hits - 1, of, low) == pytest.approx(tail, rel=1e-9)
    else:
        assert low == 0
    if hits < of:
        assert binom.cdf(hits, of, high) == pytest.approx(tail, rel=1e-9)
    else:
        assert high == 1


@settings(max_examples=60)
@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=60), st.floats(0.001, 0.9), st.floats(0.5, 0.999), st.booleans()
)
def test_at_most_the_target_is_above_the_threshold_and_no_lower_one_will_do(scores, target, confidence, tied):
    values = np.array(scores, dtype=float) if tied else np.arange(len(scores), dtype=float)
    found = operating(values, target, confidence)
    assert (values > found.threshold).mean() == found.false_positives.value <= target + 1e-12
    lower = values[values < found.threshold]
    if len(lower):
        assert (values > lower.max()).mean() > target
    rank = int(np.floor(target * len(values) + 1e-9))
    assert found.at_most == pytest.approx(
        beta.ppf(confidence, rank + 1, len(values) - rank) if rank < len(values) else 1
    )
    assert found.false_positives.low <= found.false_positives.value <= found.false_positives.high
    assert found.ties == (values == found.threshold).sum()


@pytest.mark.parametrize("target", [0.005, 0.01, 0.05, 0.3])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_number_needed_is_the_least_by_which_the_rate_can_be_asserted(target, confidence):
    number = samples_needed(target, confidence)
    assert 1 - (1 - target) ** number >= confidence > 1 - (1 - target) ** (number - 1)
    scores = np.arange(number, dtype=float)
    found = assured(scores, target, confidence)
    assert found is not None
    assert found.threshold == number - 1
    assert assured(scores[1:], target, confidence) is None


def test_one_percent_at_95_percent_needs_299():
    assert samples_needed(0.01, 0.95) == 299


def test_the_assured_threshold_is_the_lowest_by_the_binomial_law():
    scores = np.arange(1500, dtype=float)
    found = assured(scores, 0.01, 0.95)
    above = int((scores > found.threshold).sum())
    # P(at most `above` of 1500 exceed a threshold whose rate is 0.01) is the risk of being wrong.
    assert binom.cdf(above, 1500, 0.01) <= 0.05 < binom.cdf(above + 1, 1500, 0.01)


def test_the_assured_rate_is_kept_as_often_as_it_says():
    draw = np.random.default_rng(0)
    kept = [1 - assured(draw.uniform(size=200), 0.05, 0.9).threshold <= 0.05 for _ in range(500)]
    risk = binom.cdf(np.arange(11), 200, 0.05)
    due = 1 - risk[risk <= 0.1].max()
    assert np.mean(kept) == pytest.approx(due, abs=0.035)


def test_where_scores_tie_the_bound_holds_all_the_more():
    draw = np.random.default_rng(1)
    levels, weights = np.arange(6), np.array([0.5, 0.3, 0.12, 0.05, 0.02, 0.01])
    tail = {level: weights[levels > level].sum() for level in levels}
    kept = []
    for _ in range(400):
        found = operating(draw.choice(levels, 150, p=weights).astype(float), 0.05, 0.9)
        kept.append(tail[int(found.threshold)] <= found.at_most)
    assert np.mean(kept) >= 0.9


def test_a_given_threshold_has_the_bounds_of_a_share():
    scores = np.linspace(0, 1, 101)
    found = fixed(scores, 0.9, 0.95)
    above = int((scores > 0.9).sum())
    assert (found.false_positives.low, found.false_positives.high) == clopper_pearson(above, 101, 0.95)
    assert binom.cdf(above, 101, found.at_most) == pytest.approx(0.05)


def test_rows_that_repeat_count_once():
    scores = np.random.default_rng(4).normal(size=40)
    groups = [f"g{i}" for i in range(40) for _ in range(5)]
    single, many = operating(scores, 0.1), operating(np.repeat(scores, 5), 0.1, 0.95, groups)
    assert many.design == pytest.approx(5)
    assert many.threshold == single.threshold
    assert many.at_most == pytest.approx(single.at_most)
    assert many.false_positives.high == pytest.approx(single.false_positives.high)
    assert (many.false_positives.hits, many.false_positives.of) == (20, 200)


def test_the_design_effect_is_that_of_the_correlation_within_groups():
    draw, shown = np.random.default_rng(5), []
    groups = [f"g{i}" for i in range(2000) for _ in range(4)]
    for share in (0.0, 0.3, 0.8):
        values = np.sqrt(share) * np.repeat(draw.normal(size=2000), 4) + np.sqrt(1 - share) * draw.normal(size=8000)
        shown.append(design_effect(values, groups))
    assert shown == pytest.approx([1.0, 1.9, 3.4], abs=0.1)
    assert design_effect(values[:200], groups[:800:4]) == 1
    assert design_effect(np.zeros(30), ["a"] * 10 + ["b"] * 20) == 15
    assert rate(values > 0, 0.95, 3.4).high > rate(values > 0, 0.95).high


def test_groups_ask_for_more_normal_samples():
    scores = np.arange(600, dtype=float)
    groups = [f"g{i // 3}" for i in range(600)]
    assert assured(scores, 0.01, 0.95) is not None
    assert assured(scores, 0.01, 0.95, groups) is None


def test_delongs_interval_covers():
    draw = np.random.default_rng(2)
    from scipy.stats import norm

    truth, inside = norm.cdf(1.2 / np.sqrt(2)), []
    for _ in range(400):
        one, two = draw.normal(size=40), draw.normal(1.2, 1, 30)
        low, high = delong(one, two, 0.95)
        assert low < auroc(np.r_[one, two], np.r_[np.zeros(40), np.ones(30)]) < high
        inside.append(low <= truth <= high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.03)


def test_delongs_interval_covers_with_groups():
    from scipy.stats import norm

    draw, truth, covered = np.random.default_rng(6), norm.cdf(1.2 / np.sqrt(2)), []
    groups = [f"n{i}" for i in range(30) for _ in range(5)], [f"a{i}" for i in range(30) for _ in range(5)]
    for _ in range(300):
        one, two = (
            middle + np.sqrt(0.6) * np.repeat(draw.normal(size=30), 5) + np.sqrt(0.4) * draw.normal(size=150)
            for middle in (0.0, 1.2)
        )
        ends = [delong(one, two, 0.95), delong(one, two, 0.95, groups)]
        covered.append([low <= truth <= high for low, high in ends])
    without, within = np.mean(covered, axis=0)
    assert without < 0.8
    assert within == pytest.approx(0.94, abs=0.03)


def test_groups_of_one_row_change_nothing_for_delong():
    draw = np.random.default_rng(7)
    one, two = draw.normal(size=20), draw.normal(1, 1, 15)
    groups = [f"n{i}" for i in range(20)], [f"a{i}" for i in range(15)]
    assert delong(one, two, 0.9, groups) == pytest.approx(delong(one, two, 0.9))


def test_a_group_of_both_kinds_counts_what_they_share():
    draw = np.random.default_rng(8)
    shared = draw.normal(size=400)
    one, two = shared + 0.3 * draw.normal(size=400), shared + 0.8 + 0.3 * draw.normal(size=400)
    names = [f"g{i}" for i in range(400)]
    point = _grouped(*_components(one, two), (names, names))
    apart = _grouped(*_components(one, two), (names, [f"h{i}" for i in range(400)]))
    # Of pairs the difference of the ranks is what varies.
    assert point < 0.5 * apart


def _components(one, two):
    below = (one[None] < two[:, None]).mean(axis=1)
    above = (one[:, None] < two[None]).mean(axis=1)
    return above - above.mean(), below - below.mean()


def test_a_perfect_area_has_room_below():
    low, high = delong(np.arange(9.0), np.arange(10.0, 14.0), 0.95)
    assert (low, high) == (pytest.approx(0.8), 1.0)
    assert delong(np.ones(4), np.ones(9), 0.95) == pytest.approx((0.3, 0.7))
    pairs = ["a", "a", "b", "b"]
    assert delong(np.arange(4.0), np.arange(5.0, 9.0), 0.95, (pairs, pairs))[0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("target", "confidence"), [(0, 0.9), (1, 0.9), (0.1, 0.4), (0.1, 1), (float("nan"), 0.9)])
def test_shares_must_lie_between_0_and_1(target, confidence):
    with pytest.raises(ParameterError, match=r"must be >=? 0(.5)? and < 1"):
        operating(np.arange(5.0), target, confidence)


def test_no_normal_sample_is_an_error():
    with pytest.raises(DataError, match="no normal sample"):
        operating(np.zeros(0), 0.1)
