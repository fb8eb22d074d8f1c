"""The hit/miss model against scipy's optimiser, and the coverage of its bounds over many simulated data sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from scipy.stats import chi2, norm

from anosynth.threshold import detection
from anosynth.threshold._logistic import Data, fitted, lowest, overlapping, profile, reach

TRUE = (-1.0, 2.5)
"""Intercept and slope over ln(size); a90 is exp((logit(0.9) + 1) / 2.5)."""


def simulated(seed: int, sets: int, number: int) -> Data:
    draw = np.random.default_rng(seed)
    x = np.log(draw.uniform(0.3, 8.0, (sets, number)))
    hits = (draw.uniform(size=x.shape) < expit(TRUE[0] + TRUE[1] * x)).astype(float)
    return Data(x, hits, np.ones_like(x))


def minus_likelihood(data: Data, line) -> float:
    eta = line[0] + line[1] * data.x
    return float(-(data.hits * eta - data.trials * np.logaddexp(0, eta)).sum())


def determinant(data: Data, line) -> float:
    p = expit(line[0] + line[1] * data.x)
    w = data.trials * p * (1 - p)
    return float(np.log(w.sum() * (w * data.x**2).sum() - (w * data.x).sum() ** 2))


def one(data: Data, row: int) -> Data:
    return Data(data.x[row], data.hits[row], data.trials[row])


def test_estimates_are_those_of_a_general_optimiser():
    data = simulated(1, 6, 60)
    line = fitted(data)
    for row in range(6):
        own = one(data, row)
        best = minimize(lambda v, own=own: minus_likelihood(own, v), [0.0, 1.0], tol=1e-12)
        assert np.allclose([line.intercept[row], line.slope[row]], best.x, atol=1e-4)
        assert line.likelihood[row] == pytest.approx(-best.fun, abs=1e-8)


def test_the_covariance_is_the_inverse_of_the_information():
    own = one(simulated(2, 1, 80), 0)
    line = fitted(own)
    p = expit(line.intercept + line.slope * own.x)
    design = np.stack([np.ones_like(own.x), own.x])
    inverse = np.linalg.inv((design * p * (1 - p)) @ design.T)
    found = [float(part) for part in line.covariance]
    assert found == pytest.approx([inverse[0, 0], inverse[0, 1], inverse[1, 1]], rel=1e-6)


def test_firths_estimates_are_those_of_a_general_optimiser_even_if_separated():
    x = np.array([0.1, 0.2, 0.4, 0.5, 0.9, 1.4])
    for hits in ([0, 0, 0, 1, 1, 1], [0, 1, 0, 1, 1, 1]):
        data = Data(x, np.array(hits, dtype=float), np.ones(6))
        best = minimize(
            lambda v, data=data: minus_likelihood(data, v) - 0.5 * determinant(data, v),
            [0.0, 1.0],
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000},
        )
        line = fitted(data, firth=True)
        assert [float(line.intercept), float(line.slope)] == pytest.approx(best.x, abs=1e-4)
        assert float(line.likelihood) == pytest.approx(-best.fun, abs=1e-8)


def test_counts_at_distinct_values_are_the_same_as_single_trials():
    x = np.repeat([0.1, 0.2, 0.4, 0.8], 5)
    hits = np.array([0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 1, 0, 1], dtype=float)
    many = fitted(Data(x, hits, np.ones(20)))
    few = fitted(Data(x[::5], hits.reshape(4, 5).sum(1), np.full(4, 5.0)))
    assert float(many.slope) == pytest.approx(float(few.slope), rel=1e-9)
    assert float(many.likelihood) == pytest.approx(float(few.likelihood), rel=1e-9)


def test_the_profile_is_the_largest_penalised_likelihood_through_a_point():
    own = one(simulated(3, 1, 50), 0)
    near = fitted(own, firth=True).slope
    for at, level in ((1.0, logit(0.9)), (2.0, logit(0.9)), (0.3, -0.5), (40.0, logit(0.9))):
        slopes = np.geomspace(1e-4, 30 if at < 10 else 1, 4001)
        tried = [
            -minus_likelihood(own, (level - b * at, b)) + 0.5 * determinant(own, (level - b * at, b)) for b in slopes
        ]
        assert float(profile(own, np.array(at), np.array(level), near)) == pytest.approx(max(tried), abs=1e-3)


def test_the_bound_of_the_value_and_that_of_the_curve_are_one_region():
    own = one(simulated(4, 1, 70), 0)
    line, drop = fitted(own, firth=True), norm.ppf(0.95) ** 2
    far = float(reach(own, line, logit(0.9), drop))
    assert far > (logit(0.9) - line.intercept) / line.slope
    assert float(lowest(own, line, np.array([far]), drop)[0]) == pytest.approx(logit(0.9), abs=1e-3)


def test_there_is_no_bound_where_detection_does_not_depend_on_the_value():
    x = np.repeat([0.0, 1.0, 2.0, 3.0], 10)
    hits = np.tile([1.0, 0.0], 20)
    hits[-2:] = 1.0
    data = Data(x, hits, np.ones(40))
    assert np.isinf(reach(data, fitted(data, firth=True), float(logit(0.9)), 2.706))


def test_overlap_is_told_from_separation():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    rows = np.array([[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=float)
    assert overlapping(Data(np.tile(x, (5, 1)), rows, np.ones((5, 4)))).tolist() == [False, False, True, False, False]
    tied = Data(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4))
    assert not overlapping(tied)


@pytest.mark.parametrize(("number", "confidence"), [(60, 0.95), (120, 0.9)])
def test_the_bound_covers_the_true_value_at_least_as_often_as_it_says(number, confidence):
    data = simulated(number, 200, number)
    data = Data(*(part[overlapping(data)] for part in data))
    line = fitted(data, firth=True)
    truth = (logit(0.9) - TRUE[0]) / TRUE[1]
    far = reach(data, line, float(logit(0.9)), float(norm.ppf(confidence)) ** 2)
    covered = float((far >= truth).mean())
    # Two and a half standard deviations of the simulation below; a little more than promised is no fault.
    assert confidence - 2.5 * np.sqrt(confidence * (1 - confidence) / 200) <= covered <= confidence + 0.05
    # The estimate itself is below it about as often as above.
    assert 0.3 < float(((logit(0.9) - line.intercept) / line.slope >= truth).mean()) < 0.7


def test_the_lower_bound_of_the_curve_covers_as_well():
    data = simulated(9, 150, 80)
    data = Data(*(part[overlapping(data)] for part in data))
    line = fitted(data, firth=True)
    for x in (0.2, 1.2):
        low = lowest(data, line, np.full(len(line.slope), x), float(norm.ppf(0.9)) ** 2)
        assert float((low <= TRUE[0] + TRUE[1] * x).mean()) == pytest.approx(0.9, abs=0.08)


def test_bounds_that_allow_for_groups_cover_where_plain_ones_do_not():
    truth, hits = {"plain": 0, "groups": 0}, 0
    draw = np.random.default_rng(5)
    goal = brentq(
        lambda x: float(np.mean(expit(-1 + 2.5 * x + 1.5 * norm.ppf(np.linspace(0.0005, 0.9995, 2000))))) - 0.9, 0, 5
    )
    for _ in range(40):
        x = np.log(np.tile([0.4, 0.8, 1.6, 3.2, 6.4], (25, 4)))
        shift = 1.5 * draw.standard_normal((25, 1))
        found = draw.uniform(size=x.shape) < expit(-1 + 2.5 * x + shift)
        names = np.repeat([f"g{i}" for i in range(25)], 20)
        for name, groups in (("plain", None), ("groups", list(names))):
            one = detection(np.exp(x).reshape(-1), found.reshape(-1), groups=groups)
            bound = one.curve.a_bound if one.curve else None
            truth[name] += bound is None or np.log(bound) >= goal
        hits += 1
    assert truth["groups"] / hits > 0.88
    assert truth["plain"] < truth["groups"]


def test_the_p_value_of_the_slope_is_the_likelihood_ratio_test():
    own = one(simulated(8, 1, 60), 0)
    found = detection(np.exp(own.x), own.hits > 0).curve
    flat = minimize(lambda v: minus_likelihood(own, (v[0], 0.0)), [0.0]).fun
    assert found.slope_p == pytest.approx(chi2.sf(2 * (flat + float(fitted(own).likelihood)), 1), rel=1e-4)
