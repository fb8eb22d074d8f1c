from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rank_sets import (
    sample,
    short,  # noqa: F401 - for all tests of this file
)

from anosynth.errors import DataError, ParameterError
from anosynth.rank import _head, _space
from anosynth.rank._lines import floor, lines
from anosynth.rank._samples import GOOD, Judged, pooled, unchanged
from anosynth.rank._space import learn, one_thread
from anosynth.seeding import as_rng


def normal(count: int = 30, **more: int) -> list[Judged]:
    return [sample(f"n{number}", GOOD, source=f"n{number}", **more) for number in range(count)]


def placed(count: int = 30) -> list[Judged]:
    """Samples whose cells differ by place far more than from sample to sample."""
    base = as_rng(8).normal(36 * 5).reshape(6, 6, 5) * 5
    return [replace(one, cells=(one.cells + base).astype(np.float32)) for one in normal(count)]


def test_white_residuals_of_unseen_samples_are_white() -> None:
    mixing = as_rng(4).normal(25).reshape(5, 5) * np.array([1.0, 10, 100, 0.1, 3])
    mixed = [replace(one, cells=(one.cells @ mixing).astype(np.float32)) for one in normal(200)]
    found = learn(mixed[:150])
    rows = torch.cat([found.white(replace(one, source="")) for one in mixed[150:]]).numpy()
    unseen = np.linalg.eigvalsh(np.cov(rows.T))
    # Shrinkage leaves an eigenvalue e of the correlations as e / (0.9 e + 0.1): what varies least stays below 1.
    own = np.linalg.eigvalsh(np.corrcoef(np.concatenate([one.rows for one in mixed[:150]]).T))
    assert own.min() < 0.1
    assert unseen == pytest.approx(own / (0.9 * own + 0.1), abs=0.1)


def test_auto_tells_parts_that_lie_alike_from_textures() -> None:
    assert learn(placed()).positional
    assert not learn(normal()).positional
    assert not learn(placed(), align="global").positional
    assert learn(normal(), align="cell").positional


def test_training_residuals_are_as_large_as_unseen_ones() -> None:
    found = learn(placed(6), align="cell")
    seen = np.mean([found.residual(one).square().mean().item() for one in placed(6)])
    unseen = np.mean([found.residual(replace(one, source="")).square().mean().item() for one in placed(60)[6:]])
    assert seen / unseen == pytest.approx(1.0, abs=0.12)
    biased = np.mean([found.residual(replace(one, source="")).square().mean().item() for one in placed(6)])
    assert biased < 0.8 * unseen


def test_leaving_out_gives_the_mean_of_the_others() -> None:
    samples = placed(5)
    found = learn(samples, align="cell")
    others = np.mean([one.rows.astype(np.float64) for one in samples[1:]], axis=0)
    assert np.allclose(found.residual(samples[0]).numpy(), samples[0].rows - others)


def test_standard_features_come_back() -> None:
    found = learn(placed())
    one = placed()[3]
    assert np.allclose(found.back(found.standard(one)).numpy(), one.rows, atol=1e-4)


@pytest.mark.parametrize(("how", "channels"), [("whitened", 6), ("residual", 5), ("standard", 5), ("raw", 5)])
def test_spaces(how: str, channels: int) -> None:
    found = learn(placed(), how)
    assert found.heads(placed()[0]).shape == (36, channels)
    if how == "raw":
        assert np.array_equal(found.heads(placed()[0]).numpy(), placed()[0].rows)


def test_a_constant_channel_and_refusals() -> None:
    flat = [replace(one, cells=np.where(np.arange(5) == 2, np.float32(7), one.cells)) for one in normal()]
    assert torch.isfinite(learn(flat).heads(flat[0])).all()
    with pytest.raises(ParameterError, match="`space`: white: must be one of"):
        learn(normal(), "white")
    with pytest.raises(ParameterError, match="do not lie on one grid"):
        learn([*normal(3), sample("other", GOOD, side=4)], align="cell")
    with pytest.raises(DataError, match="at least 2"):
        learn(normal(1))


def test_heads_find_what_they_were_trained_on_and_nothing_global_moves() -> None:
    space = learn(normal())
    made = [sample(f"m{number}", "x", shift=2.0, source=f"n{number % 30}") for number in range(20)]
    rows = _head.normal_rows(space, normal(), as_rng(0))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    with one_thread():
        a, b = (_head.train(space, rows, made, as_rng(seed)) for seed in (1, 1))
        c = _head.train(space, rows, made, as_rng(2))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), before)
    test = sample("t", "x", shift=2.0)
    scores = a.scores(space, test)
    assert scores.shape == test.shape
    assert scores[test.truth].mean() > scores[~test.truth].mean() + 2
    assert np.array_equal(scores, b.scores(space, test))
    assert not np.array_equal(scores, c.scores(space, test))


def test_classes_share_a_batch_so_that_a_shift_of_all_channels_can_be_seen() -> None:
    # With a batch each, batch normalisation would take just this shift away.
    space = learn(normal(), "raw")
    made = [replace(sample(f"m{number}", "x", shift=3.0), cover=np.ones((6, 6), np.float32)) for number in range(12)]
    whole = [replace(one, cells=sample(one.name, GOOD).cells + np.float32(3)) for one in made]
    head = _head.train(space, _head.normal_rows(space, normal(), as_rng(0)), whole, as_rng(0))
    far = replace(sample("far", GOOD), cells=sample("far", GOOD).cells + np.float32(3))
    assert head.scores(space, far).min() > head.scores(space, sample("near", GOOD)).max() - 2
    assert head.scores(space, far).mean() > head.scores(space, sample("near", GOOD)).mean() + 4


def test_cells_beside_a_defect_count_for_nothing() -> None:
    cover = np.zeros((5, 5), dtype=np.float32)
    cover[2, 2] = 0.1
    assert _head._near(cover).sum() == 9
    assert _head.hot_cells(cover).sum() == 1
    cover[0, 0] = 1.0
    assert _head.hot_cells(cover).tolist() == (cover == 1).tolist()


def test_sample_scores_are_means_of_the_top() -> None:
    assert _head.sample_score(np.arange(400, dtype=np.float32)) == pytest.approx(np.mean([396, 397, 398, 399]))
    assert _head.sample_score(np.arange(9, dtype=np.float32)) == 8


@pytest.mark.parametrize("count", [5, 12])
def test_lines_rank_defects_above_normal(count: int) -> None:
    training = placed(count)
    space = learn(training)
    found = lines(space, training, as_rng(0))
    assert set(found) == ({"mahalanobis", "knn", "padim"} if count >= 8 else {"mahalanobis", "knn"})
    base = training[0].cells - sample("n0", GOOD).cells
    good = replace(sample("t", GOOD), cells=(sample("t", GOOD).cells + base).astype(np.float32))
    bad = replace(good, cells=(good.cells + 8).astype(np.float32))
    for scorer in found.values():
        assert scorer(good).shape == (6, 6)
        assert scorer(bad).min() > scorer(good).max()


def test_lines_take_samples_of_any_number_of_cells() -> None:
    clouds = []
    for number in range(6):
        cells = as_rng(number).normal((20 + number) * 4).reshape(-1, 4).astype(np.float32)
        clouds.append(Judged(f"c{number}", GOOD, cells, None, unchanged, source=f"c{number}"))
    space = learn(clouds)
    assert not space.positional
    for scorer in lines(space, clouds, as_rng(0)).values():
        assert scorer(clouds[2]).shape == (22,)


def test_the_floor_sees_numbers_of_the_whole_alone() -> None:
    training = [replace(one, gist=(0.5 + 0.01 * at, 0.1)) for at, one in enumerate(normal(8))]
    score = floor(training)
    assert score is not None
    assert score(replace(training[0], gist=(0.9, 0.1))) > 5 * score(training[3])
    assert floor(normal(3)) is None


def test_pooled_is_the_share_of_each_cell() -> None:
    mask = as_rng(0).random(24 * 36).reshape(24, 36) < 0.3
    assert np.allclose(pooled(mask, 6, 9), mask.reshape(6, 4, 9, 4).mean(axis=(1, 3)))
    odd = torch.from_numpy(mask[:23, :31].astype(np.float32))[None, None]
    wanted = torch.nn.functional.adaptive_avg_pool2d(odd, (5, 7))[0, 0].numpy()
    assert np.allclose(pooled(mask[:23, :31], 5, 7), wanted, atol=1e-6)


def test_samples_are_checked() -> None:
    with pytest.raises(DataError, match="expected float32"):
        Judged("a", GOOD, np.zeros((3, 2)), None, unchanged)
    with pytest.raises(DataError, match="cover"):
        Judged("a", GOOD, np.zeros((3, 2), np.float32), None, unchanged, np.zeros(2, np.float32))
    assert _space.SHRINKAGE < 1
