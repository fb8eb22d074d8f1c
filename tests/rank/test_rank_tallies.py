from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rank_sets import sample

from anosynth import metrics
from anosynth.errors import DataError
from anosynth.rank._contest import ALL, Contest
from anosynth.rank._samples import GOOD, Judged
from anosynth.rank._tallies import count, defects_of, of_pixels, of_samples, resamples
from anosynth.seeding import as_rng


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=4, max_size=30))
@settings(max_examples=60)
def test_weights_are_copies_of_samples(rows: list[tuple[int, bool, int]]) -> None:
    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    copied, truth = np.repeat(scores, weights), np.repeat(labels, weights)
    if truth.all() or not truth.any():
        return
    found = of_samples(scores.astype(float), labels.astype(bool), weights[None].astype(float))
    assert found["image_auroc"][0] == pytest.approx(metrics.auroc(copied, truth))
    assert found["image_ap"][0] == pytest.approx(metrics.average_precision(copied, truth))


@pytest.mark.parametrize("lift", [0.0, 0.7, 3.0])
def test_pixel_figures_are_those_of_whole_maps(lift: float) -> None:
    draw = as_rng(3)
    maps, truths = [], []
    for number in range(8):
        truth = np.zeros((48, 40), dtype=np.bool_)
        if number % 2:
            truth[5 : 9 + number, 6:20] = True
            truth[30:33, 30:34] = True
        noise = draw.child(number).normal(truth.size).reshape(truth.shape)
        maps.append((noise + lift * truth).astype(np.float32))
        truths.append(truth)
    counts = count(maps, [defects_of(truth) for truth in truths])
    found = of_pixels(counts, np.ones((1, 8)))
    flat = np.concatenate([one.reshape(-1) for one in maps]), np.concatenate([one.reshape(-1) for one in truths])
    assert found["pixel_auroc"][0] == pytest.approx(metrics.pixel_auroc(maps, truths), abs=1e-3)
    assert found["pixel_ap"][0] == pytest.approx(metrics.average_precision(*flat), abs=3e-3)
    assert found["aupro"][0] == pytest.approx(metrics.aupro(maps, truths), abs=2e-3)
    twice = of_pixels(counts, np.array([[0.0, 2, 1, 0, 1, 1, 0, 3]]))
    copies = [at for at, times in enumerate([0, 2, 1, 0, 1, 1, 0, 3]) for _ in range(times)]
    wanted = metrics.aupro([maps[at] for at in copies], [truths[at] for at in copies])
    assert twice["aupro"][0] == pytest.approx(wanted, abs=3e-3)


def test_resamples_keep_their_strata() -> None:
    strata = [np.array([0, 2, 4]), np.array([1, 3])]
    weights = resamples(strata, 6, (as_rng(0).child(number).random(6) for number in range(50)))
    assert (weights[:, [0, 2, 4]].sum(axis=1) == 3).all()
    assert (weights[:, [1, 3]].sum(axis=1) == 2).all()
    assert not weights[:, 5].any()
    assert len(np.unique(weights, axis=0)) > 5


def contest(draws: int = 40) -> Contest:
    tests = [sample(f"n{number}", GOOD) for number in range(9)]
    tests += [sample(f"a{number}", "dent", shift=1.0) for number in range(7)]
    tests += [sample(f"b{number}", "spot", shift=4.0) for number in range(5)]
    return Contest(tests, draws, 3, as_rng(1))


def test_a_contender_is_level_with_itself_in_every_resample() -> None:
    judge = contest()
    scorers = [lambda one, at=at: one.cells[:, :, at] for at in range(3)]
    a, b = judge.judge(scorers), judge.judge(scorers)
    less = a.less(b, ALL, "image_auroc")
    assert less is not None
    assert (less[0].value, less[0].low, less[0].high, less[1]) == (0, 0, 0, 0.5)


def test_what_scores_more_is_above_and_kinds_are_judged_apart() -> None:
    judge = contest()
    good = judge.judge([lambda one: one.cells.sum(axis=2)])
    none = judge.judge([lambda one: np.zeros(one.shape, dtype=np.float32)])
    less = good.less(none, ALL, "pixel_auroc")
    assert less is not None
    assert less[0].low > 0
    assert less[1] == 1
    assert none.value(ALL, "image_auroc") == 0.5
    assert none.value(ALL, "pixel_auroc") == pytest.approx(0.5)
    assert good.value("spot", "image_auroc") >= good.value("dent", "image_auroc")
    labels = [not one.normal and one.kind == "dent" for one in judge.samples if one.kind != "spot"]
    scores = [float(one.cells.sum(axis=2).max()) for one in judge.samples if one.kind != "spot"]
    assert good.value("dent", "image_auroc") == pytest.approx(metrics.auroc(scores, labels))


def test_intervals_hold_the_value_and_seeds_widen_them() -> None:
    judge = contest(200)
    one = judge.judge([lambda sample: sample.cells[:, :, 0]])
    figure = one.figure(ALL, "image_auroc")
    assert figure is not None
    assert figure.low < figure.value < figure.high
    seeds = judge.judge([lambda sample: sample.cells[:, :, 0], lambda sample: -sample.cells[:, :, 0]])
    wide = seeds.figure(ALL, "image_auroc")
    assert wide is not None
    assert wide.high - wide.low > figure.high - figure.low


def test_without_masks_there_are_image_figures_alone() -> None:
    from dataclasses import replace

    tests = [sample(f"n{number}", GOOD) for number in range(4)]
    tests += [replace(sample(f"a{number}", "x", shift=2.0), truth=None) for number in range(4)]
    found = Contest(tests, 20, 1, as_rng(0)).judge([lambda one: one.cells[:, :, 0]])
    assert found.figure(ALL, "image_auroc") is not None
    assert found.figure(ALL, "aupro") is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(bad: float) -> None:
    tests = [sample(f"{kind}{number}", kind) for kind in (GOOD, "x") for number in range(4)]

    def scorer(one: Judged) -> NDArray[np.float32]:
        return np.where(one.name == "x2", np.float32(bad), one.cells[:, :, 0])

    with pytest.raises(DataError, match="x2: its scores are not finite"):
        Contest(tests, 20, 1, as_rng(0)).judge([scorer])
