"""Probability of detection: states, bounds beside bins, and what cannot be fitted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from anosynth.errors import DataError, ParameterError
from anosynth.threshold import detection


def drawn(seed: int, number: int = 200, slope: float = 3.0):
    draw = np.random.default_rng(seed)
    size = draw.uniform(0.2, 4, number)
    return size, draw.uniform(size=number) < expit(slope * np.log(size))


def test_a_curve_has_its_value_its_bound_and_a_lower_bound_below_it():
    size, hits = drawn(0)
    found = detection(size, hits, unit="mm")
    curve = found.curve
    assert (found.state, found.scale, curve.method) == ("fitted", "log", "maximum likelihood")
    assert expit(curve.intercept + curve.slope * np.log(curve.a)) == pytest.approx(0.9)
    assert curve.a < curve.a_bound < 3 * curve.a
    assert np.exp(np.log(9) / 3) == pytest.approx(curve.a, rel=0.25)
    assert curve.slope_p < 1e-6
    assert curve.fit_p > 0.01
    values, chance, low = np.array(curve.points).T
    assert (low < chance).all()
    assert (np.diff(chance) > 0).all()
    assert np.interp(curve.a_bound, values, low) == pytest.approx(0.9, abs=0.01)


def test_the_fit_does_not_depend_on_the_order_or_unit():
    size, hits = drawn(1)
    one, turned = detection(size, hits), detection(size[::-1] * 25.4, hits[::-1])
    assert turned.curve.a == pytest.approx(25.4 * one.curve.a, rel=1e-6)
    assert turned.curve.a_bound == pytest.approx(25.4 * one.curve.a_bound, rel=1e-4)
    assert turned.curve.fit_p == pytest.approx(one.curve.fit_p)


def test_severity_is_taken_as_it_is_and_scales_can_be_chosen():
    values = np.repeat([0.0, 0.25, 0.5, 0.75, 1.0], 20)
    hits = np.concatenate([np.arange(20) < n for n in (2, 6, 11, 16, 19)])
    found = detection(values, hits, against="severity")
    assert found.scale == "linear"
    assert len(found.bins) == 5
    assert found.curve.fit_test == "Pearson"
    assert detection(values + 1, hits, against="size").scale == "log"
    assert detection(values + 1, hits, against="size", scale="linear").curve.a == pytest.approx(found.curve.a + 1)
    with pytest.raises(ParameterError, match=r"--scale: log: severity has the value 0: all must be > 0"):
        detection(values, hits, against="severity", scale="log")


def test_complete_separation_is_reported_with_a_finite_fit():
    size = np.linspace(0.1, 2, 40)
    found = detection(size, size > 1)
    assert found.state == "separated"
    assert found.gap == (pytest.approx(size[size <= 1].max()), pytest.approx(size[size > 1].min()))
    assert found.curve.method == "Firth"
    assert found.gap[0] < found.curve.a < 2
    assert found.curve.a < found.curve.a_bound < 10


def test_quasi_separation_at_one_value_is_separation():
    size = np.array([1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0])
    found = detection(size, np.array([0, 0, 0, 1, 1, 1, 1], dtype=bool))
    assert (found.state, found.gap) == ("separated", (2.0, 2.0))
    assert np.isfinite(found.curve.a)


@pytest.mark.parametrize(
    ("hits", "state"),
    [
        ([1, 1, 1, 1], "all found"),
        ([0, 0, 0, 0], "all missed"),
        ([1, 1, 0, 0], "falling"),
        ([1, 1, 0, 1, 0, 0], "falling"),
    ],
)
def test_what_has_no_rising_curve_says_so(hits, state):
    found = detection(np.arange(1.0, len(hits) + 1), np.array(hits, dtype=bool))
    assert (found.state, found.curve) == (state, None)
    assert found.record()["curve"] is None


def test_one_value_has_no_curve_but_a_bin():
    found = detection(np.full(10, 2.0), np.arange(10) < 7)
    assert found.state == "one value"
    assert [(part.found.hits, part.found.of) for part in found.bins] == [(7, 10)]


def test_values_that_are_not_known_are_left_out():
    size, hits = drawn(3)
    more = np.concatenate([size, [np.nan] * 5])
    assert detection(more, np.concatenate([hits, np.ones(5, bool)])).curve.a == detection(size, hits).curve.a
    with pytest.raises(DataError, match="no anomalous row has a value"):
        detection(np.full(3, np.nan), np.ones(3, bool))


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=80))
def test_bins_hold_every_defect_once_in_rising_order(rows):
    values, hits = (np.array(part) for part in zip(*rows, strict=True))
    found = detection(values.astype(float), hits.astype(bool))
    assert sum(part.found.of for part in found.bins) == len(rows)
    assert sum(part.found.hits for part in found.bins) == hits.sum()
    ends = [end for part in found.bins for end in (part.low, part.high)]
    assert ends == sorted(ends)
    assert all(a.high < b.low for a, b in zip(found.bins, found.bins[1:], strict=False))


def test_29_of_29_is_safe_without_a_model_and_28_is_not():
    values = np.repeat([1.0, 2.0], 29)
    assert detection(values, np.concatenate([np.zeros(29, bool), np.ones(29, bool)])).safe == 2.0
    short = detection(values[:-1], np.concatenate([np.zeros(29, bool), np.ones(28, bool)]))
    assert short.safe is None


def test_few_defects_and_extrapolation_are_noted():
    size, hits = drawn(4, 30)
    keep = size < 1.5
    found = detection(size[keep], hits[keep])
    assert any("MIL-HDBK-1823A" in note for note in found.notes)
    assert any("beyond" in note for note in found.notes)


def test_a_wrong_model_is_noted():
    values = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 60)
    hits = np.concatenate([np.arange(60) < n for n in (5, 50, 20, 55, 35)])
    found = detection(values, hits)
    assert found.curve.fit_p < 1e-4
    assert any("does not fit" in note for note in found.notes)


@pytest.mark.parametrize("name", ["level", "confidence"])
def test_shares_are_checked(name):
    with pytest.raises(ParameterError, match=r"must be >=? 0(.5)? and < 1"):
        detection(np.ones(3), np.ones(3, bool), **{name: 1.0})
    with pytest.raises(ParameterError, match="must be log or linear"):
        detection(np.ones(3), np.ones(3, bool), scale="cubic")


def test_many_values_over_a_wide_range_are_not_taken_for_separated():
    draw = np.random.default_rng(6)
    size = np.concatenate([draw.uniform(0.1, 1.0, 2000), [1e4]])
    hits = np.concatenate([draw.uniform(size=2000) < expit(8 * np.log(size[:-1] / 0.5)), [True]])
    found = detection(size, hits)
    assert found.state == "fitted"
    assert 0.4 < found.curve.a < 1.2
