"""Measures without real defects, against slow references written down from their definitions."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import DataError, ParameterError
from anosynth.rank._figures import manifold
from anosynth.rank._samples import Judged, unchanged
from anosynth.rank.coverage import (
    DUPLICATE,
    describe,
    expected_coverage,
    frechet_distance,
    inside,
    kernel_distance,
    vendi,
)
from anosynth.seeding import as_rng


def normals(seed: int, count: int, channels: int = 4) -> np.ndarray:
    return as_rng(seed).normal(count * channels).reshape(count, channels)


def gap(a, b) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def radius(rows, place: int, k: int) -> float:
    return sorted(gap(rows[place], row) for other, row in enumerate(rows) if other != place)[k - 1]


def slow_manifold(real, rows, k: int) -> dict[str, float]:
    balls = [radius(real, place, k) for place in range(len(real))]
    own = [radius(rows, place, k) for place in range(len(rows))]
    hits = [[gap(x, y) <= ball for y in rows] for x, ball in zip(real, balls, strict=True)]
    back = [[gap(x, y) <= ball for y, ball in zip(rows, own, strict=True)] for x in real]
    return {
        "precision": sum(any(row[j] for row in hits) for j in range(len(rows))) / len(rows),
        "recall": sum(map(any, back)) / len(real),
        "density": sum(map(sum, hits)) / (k * len(rows)),
        "coverage": sum(map(any, hits)) / len(real),
    }


# A grid of few places: equal rows and equal distances are the rule.
clouds = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=5, max_size=14)


@given(clouds, clouds, st.integers(1, 4))
@settings(max_examples=60)
def test_balls_are_those_of_the_definitions(real, rows, k):
    a, b = np.array(real, dtype=float), np.array(rows, dtype=float)
    apart = np.array([[gap(x, y) for y in b] for x in a])
    found = manifold(
        apart, np.array([radius(a, i, k) for i in range(len(a))]), np.array([radius(b, i, k) for i in range(len(b))]), k
    )
    assert found == pytest.approx(slow_manifold(a, b, k))


def test_one_draw_of_everything_is_the_definition():
    normal, synthetic, real = normals(1, 60), normals(2, 30) * 1.5 + 1, normals(3, 25) * 1.2 + 1
    control = normals(4, 30)
    found = describe(normal, synthetic, real, control, k=3, most=100, draws=1)
    mean, deviation = normal.mean(axis=0), normal.std(axis=0)
    n, s, r, c = ((rows - mean) / deviation for rows in (normal, synthetic, real, control))
    for name, rows in (("synthetic", s), ("control", c)):
        for figure, value in slow_manifold(r, rows, 3).items():
            assert found["sets"][name][figure]["value"] == pytest.approx(value), (name, figure)
    scale = np.median([radius(n, i, 3) for i in range(len(n))])
    own = sorted(radius(n, i, 3) / scale for i in range(len(n)))
    subtle = own[math.floor(0.95 * 59)]
    assert found["protocol"]["subtle_below"] == pytest.approx(subtle)
    assert found["protocol"]["easy_above"] == pytest.approx(3 * subtle)
    for name, rows in (("synthetic", s), ("control", c), ("real", r)):
        ratio = [sorted(gap(row, other) for other in n)[2] / scale for row in rows]
        assert found["sets"][name]["subtle"]["value"] == pytest.approx(np.mean([x < subtle for x in ratio]))
        assert found["sets"][name]["easy"]["value"] == pytest.approx(np.mean([x > 3 * subtle for x in ratio]))
        assert found["sets"][name]["distance"][2] == pytest.approx(sorted(ratio)[(len(ratio) - 1) // 2])
    assert json.loads(json.dumps(found)) == found


def test_a_control_that_nothing_was_done_to_is_subtle_and_never_easy():
    found = describe(normals(1, 800), normals(2, 300) + 6, k=5, draws=5)
    control, synthetic = found["sets"]["control"], found["sets"]["synthetic"]
    assert 0.9 < control["subtle"]["value"] < 0.99
    assert control["easy"]["value"] == 0
    assert control["duplicates"]["value"] == pytest.approx(DUPLICATE, abs=0.04)
    assert synthetic["subtle"]["value"] == 0
    assert synthetic["easy"]["value"] > 0.9
    assert synthetic["distance"] == sorted(synthetic["distance"])


def test_no_defect_at_all_covers_real_defects_as_badly_as_the_control():
    normal, real = normals(1, 400), normals(2, 80) * 0.5 + 4
    nothing = describe(normal, normals(3, 100), real)["sets"]
    good = describe(normal, normals(4, 100) * 0.5 + 4, real)["sets"]
    assert nothing["synthetic"]["coverage"]["value"] <= nothing["control"]["coverage"]["value"] + 0.05
    assert good["synthetic"]["coverage"]["value"] > good["control"]["coverage"]["value"] + 0.8


def test_copies_are_duplicates_and_not_diverse():
    once = normals(2, 20) + 3
    copies = describe(normals(1, 400), np.repeat(once, 10, axis=0))["sets"]["synthetic"]
    fresh = describe(normals(1, 400), normals(5, 200) + 3)["sets"]["synthetic"]
    assert copies["duplicates"]["value"] > 0.95
    assert fresh["duplicates"]["value"] < 0.3
    assert copies["vendi"]["value"] <= 20


def test_rows_of_one_sample_are_no_neighbours():
    copies = np.repeat(normals(2, 20) + 3, 10, axis=0)
    # Each copy belongs to the sample of its original: what is left are different samples.
    found = describe(normals(1, 400), copies, samples={"synthetic": np.repeat(np.arange(20), 10)})
    assert found["sets"]["synthetic"]["duplicates"]["value"] < 0.3
    assert found["protocol"]["samples"]["synthetic"] == 20


def test_the_sample_that_a_defect_was_made_of_is_no_neighbour():
    normal, names = normals(1, 200), [f"{row // 10}.png" for row in range(200)]
    # What is as good as its own source, far from all others.
    normal[:10] += 30
    made = normal[:8] + 1e-3
    plain = describe(normal, made, control=normal[20:40], samples={"normal": names}, draws=1, k=2)
    apart = describe(
        normal,
        made,
        control=normal[20:40],
        samples={"normal": names},
        origins={"synthetic": ["0.png"] * 8, "control": names[20:40]},
        draws=1,
        k=2,
    )
    assert plain["sets"]["synthetic"]["distance"][2] < 5 < apart["sets"]["synthetic"]["distance"][2]


def test_untouched_rows_of_one_sample_are_no_twins_of_each_other():
    normal, names = normals(1, 200), [f"{row // 4}.png" for row in range(200)]
    # Three anomalies were made of each of twenty samples, so that their control holds each row thrice.
    control, origins = np.repeat(normal[:80:4], 3, axis=0), [f"{row}.png" for row in range(20) for _ in range(3)]
    made = [f"{name}#{at}" for at, name in enumerate(origins)]
    found = describe(
        normal, normals(2, 60) + 3, control=control, samples={"normal": names, "control": made},
        origins={"synthetic": origins, "control": origins},
    )  # fmt: skip
    assert found["sets"]["control"]["duplicates"]["value"] < 0.3


def test_the_bytes_of_the_figures_are_decided_by_the_seed():
    given = normals(1, 300), normals(2, 100) + 2, normals(3, 50) + 2
    assert describe(*given, most=60, rng=5) == describe(*given, most=60, rng=5)
    assert describe(*given, most=60, rng=5) != describe(*given, most=60, rng=6)


@given(st.integers(1, 9), st.integers(0, 5), st.integers(1, 5))
@settings(max_examples=25)
def test_vendi_counts_what_is_orthogonal(count, zeros, times):
    rows = np.repeat(np.vstack([np.eye(9)[:count] * 7, np.zeros((zeros, 9))]), [times] * count + [1] * zeros, axis=0)
    shares = [times / len(rows)] * count + [1 / len(rows)] * zeros
    assert vendi(rows) == pytest.approx(math.exp(-sum(share * math.log(share) for share in shares)))


def test_vendi_of_more_rows_than_channels_is_that_of_the_kernel():
    rows = normals(7, 30, 3)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    spectrum = np.linalg.eigvalsh(unit @ unit.T / 30)
    spectrum = spectrum[spectrum > 1e-12]
    assert vendi(rows) == pytest.approx(math.exp(-(spectrum * np.log(spectrum)).sum()))
    assert vendi(rows) == pytest.approx(vendi(rows * np.arange(1, 31)[:, None]))


def test_expected_coverage_is_what_chance_gives():
    found = []
    for seed in range(150):
        real, rows = normals(3 * seed, 20, 2), normals(3 * seed + 1, 12, 2)
        found.append(slow_manifold(real, rows, 2)["coverage"])
    assert np.mean(found) == pytest.approx(expected_coverage(20, 12, 2), abs=0.02)
    assert expected_coverage(10, 100_000, 5) == pytest.approx(1.0, abs=1e-3)


def test_frechet_distance_of_axis_parallel_gaussians_is_known():
    base = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    other = base * [3.0, 0.5] + [2.0, 0.0]
    scale = 4 / 3  # of the unbiased variance of four corners
    expected = 4.0 + scale * ((3 - 1) ** 2 + (0.5 - 1) ** 2)
    found = frechet_distance(base, other)
    assert found["value"] == pytest.approx(expected)
    assert found["rows"] == [4, 4]
    assert found["channels"] == 2
    assert not found["singular"]
    assert frechet_distance(base, base)["value"] == pytest.approx(0, abs=1e-9)
    assert frechet_distance(normals(1, 3, 5), normals(2, 9, 5))["singular"]


def test_kernel_distance_is_the_sum_over_pairs():
    a, b = normals(1, 6, 3), normals(2, 5, 3) + 1

    def kernel(x, y):
        return (float(np.dot(x, y)) / 3 + 1) ** 3

    within = [
        sum(kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j)
        / (len(rows) * (len(rows) - 1))
        for rows in (a, b)
    ]
    between = sum(kernel(x, y) for x in a for y in b) / 30
    assert kernel_distance(a, b)["value"] == pytest.approx(within[0] + within[1] - 2 * between)


def judged(name: str, kind: str, cells, cover=None, truth=None) -> Judged:
    cells = np.asarray(cells, dtype=np.float32)
    return Judged(name, kind, cells, truth, unchanged, None if cover is None else np.asarray(cover, dtype=np.float32))


def test_inside_takes_what_is_labelled_and_all_of_normal_samples():
    cells = np.arange(24).reshape(3, 4, 2)
    cover = np.zeros((3, 4))
    cover[1, 1:3], cover[2, 2] = [0.5, 0.9], 0.49
    rows, names = inside([judged("a", "good", cells), judged("b", "dent", cells, cover)])
    assert names == ["a"] * 12 + ["b"] * 2
    assert rows[12:].tolist() == [[10, 11], [12, 13]]
    thin = np.where(cover > 0, 0.2, 0)
    rows, names = inside([judged("b", "dent", cells, thin)])
    assert len(rows) == 3
    assert inside([judged("a", "good", cells)] * 2, most=8)[0].shape == (8, 2)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: describe(normals(1, 9), normals(2, 9), k=0), ParameterError, "`k`"),
        (lambda: describe(normals(1, 9), normals(2, 9), easy=1), ParameterError, "`easy`"),
        (lambda: describe(normals(1, 9, 3), normals(2, 9)), DataError, "synthetic: 4 channels: expected 3"),
        (lambda: describe(normals(1, 9), normals(2, 4)), DataError, "rows: 4 to compare"),
        (lambda: describe(normals(1, 3), normals(2, 9)), DataError, "normal: 3 samples: expected at least 4"),
        (lambda: describe(np.ones((50, 2)), np.ones((50, 2))), DataError, "all rows are equal"),
        (lambda: describe(normals(1, 50), np.full((9, 4), np.nan)), DataError, "synthetic: 36 values are not finite"),
        (lambda: describe(normals(1, 50), [1.0, 2.0]), DataError, "expected rows of features"),
        (
            lambda: describe(normals(1, 50), normals(2, 9), samples={"synthetic": [1]}),
            DataError,
            "expected one for each of 9",
        ),
        (lambda: describe(normals(1, 60), normals(2, 9), normals(3, 4)), DataError, "of other samples"),
        (lambda: frechet_distance(normals(1, 1), normals(1, 4)), DataError, "two rows or more"),
        (lambda: inside([judged("b", "dent", np.ones((3, 2)))]), DataError, "b: no truth"),
        (lambda: inside([judged("b", "dent", np.ones((3, 2)), np.zeros(3))]), DataError, "no labelled cell"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
