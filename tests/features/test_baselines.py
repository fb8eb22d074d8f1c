"""Scores without synthetic anomalies, against numpy written from the definitions."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from anosynth.errors import DataError, ParameterError  # noqa: E402
from anosynth.features.baselines import GaussianBaseline, NearestBaseline  # noqa: E402
from anosynth.metrics import auroc  # noqa: E402


def features(count: int = 12, channels: int = 4, shape=(3, 5), seed: int = 0) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(channels, channels))
    place = np.random.default_rng(8).normal(size=(channels, *shape)) * 3
    values = np.einsum("dc,nchw->ndhw", mixing, draw.normal(size=(count, channels, *shape))) + place
    return torch.from_numpy(values.astype(np.float32))


def slow_gaussian(train: np.ndarray, row: np.ndarray, shrinkage: float, epsilon: float) -> float:
    """Of (N, C) rows and a (C,) row."""
    covariance = np.cov(train.T)
    size = len(covariance)
    covariance = (1 - shrinkage) * covariance + (shrinkage * np.trace(covariance) / size + epsilon) * np.eye(size)
    gap = row - train.mean(axis=0)
    return float(np.sqrt(gap @ np.linalg.inv(covariance) @ gap))


@pytest.mark.parametrize(("shrinkage", "epsilon"), [(0.0, 0.01), (0.1, 1e-6), (1.0, 0.0)])
@pytest.mark.parametrize("per", ["cell", "image"])
def test_gaussian_is_the_mahalanobis_distance(per, shrinkage, epsilon):
    train, test = features().double(), features(3, seed=1).double()
    found = GaussianBaseline(per, shrinkage=shrinkage, epsilon=epsilon).fit(train).score(test)
    assert found.shape == (3, 3, 5)
    for n, y, x in np.ndindex(3, 3, 5):
        rows = train[:, :, y, x] if per == "cell" else train.permute(0, 2, 3, 1).reshape(-1, 4)
        expected = slow_gaussian(rows.numpy(), test[n, :, y, x].numpy(), shrinkage, epsilon)
        assert float(found[n, y, x]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("k", [1, 3])
def test_nearest_is_a_sorted_list_of_distances(k, monkeypatch):
    monkeypatch.setattr("anosynth.features.baselines._AT_ONCE", 20)
    train, test = features(), features(3, seed=1)
    found = NearestBaseline(k).fit(train).score(test)
    bank = train.permute(0, 2, 3, 1).reshape(-1, 4).double().numpy()
    for n, y, x in np.ndindex(3, 3, 5):
        gaps = np.sort(np.linalg.norm(bank - test[n, :, y, x].double().numpy(), axis=1))
        assert float(found[n, y, x]) == pytest.approx(gaps[:k].mean(), rel=1e-4)
    assert float(NearestBaseline().fit(train).score(train).abs().max()) == 0.0


def test_a_bank_is_thinned_by_its_seed_alone():
    train = features(40)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = NearestBaseline(limit=50, seed=3).fit(train)
    assert torch.equal(state, torch.get_rng_state())
    assert one.bank.shape == (50, 4)
    rows = {tuple(row) for row in train.permute(0, 2, 3, 1).reshape(-1, 4).tolist()}
    assert {tuple(row) for row in one.bank.tolist()} <= rows
    assert torch.equal(one.bank, NearestBaseline(limit=50, seed=3).fit(train).bank)
    assert not torch.equal(one.bank, NearestBaseline(limit=50, seed=4).fit(train).bank)


SCORERS = {
    "cell": lambda: GaussianBaseline("cell"),
    "image": lambda: GaussianBaseline("image"),
    "nearest": lambda: NearestBaseline(2),
}


@pytest.mark.parametrize("name", SCORERS)
def test_what_is_odd_scores_higher(name):
    test = features(30, seed=1)
    test[15:, :, 1, 2] += 8
    scorer = SCORERS[name]().fit(features(60))
    scores = scorer.image_scores(test)
    assert auroc(scores.numpy(), [0] * 15 + [1] * 15) > 0.9
    assert torch.equal(scores, scorer.score(test).amax(dim=(1, 2)))
    assert scorer.maps(test, (12, 20), sigma=0).shape == (30, 12, 20)


@pytest.mark.parametrize("name", SCORERS)
def test_forms_of_input_and_saving(name):
    train, test = features(), features(2, seed=1)
    one = SCORERS[name]().fit(train)
    kept = train.clone()
    listed = SCORERS[name]().fit(list(train))
    assert torch.equal(train, kept)
    assert torch.equal(one.score(test), listed.score(test))
    assert torch.allclose(one.score(test), SCORERS[name]().fit(train.half()).score(test.half()), rtol=0.05)
    other = SCORERS[name]()
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.score(test), other.score(test))


@pytest.mark.parametrize("name", SCORERS)
def test_messages(name):
    with pytest.raises(DataError, match="not fitted: it learns from normal features"):
        SCORERS[name]().score(features())
    scorer = SCORERS[name]().fit(features())
    for bad, text in (
        (features(channels=3), "features: 3 channels: expected 4"),
        (features()[0], r"features: \(4, 3, 5\): expected a tensor \(B, C, H, W\)"),
        (features().int(), "torch.int32: expected floats"),
        (features() * torch.inf, "features: NaN or infinite"),
    ):
        with pytest.raises(DataError, match=text):
            scorer.score(bad)
    with pytest.raises(DataError, match="features: none"):
        SCORERS[name]().fit([])


def test_messages_of_one():
    with pytest.raises(DataError, match=r"\(4, 5\) cells: expected \(3, 5\)"):
        GaussianBaseline().fit(features()).score(features(shape=(4, 5)))
    with pytest.raises(DataError, match="3 rows of 4 channels: too few for a covariance"):
        GaussianBaseline(shrinkage=0, epsilon=0).fit(features(3))
    with pytest.raises(DataError, match="15 patches: expected at least k, 16"):
        NearestBaseline(16).fit(features(1))
    for call in (
        lambda: GaussianBaseline("pixel"),
        lambda: GaussianBaseline(shrinkage=2),
        lambda: GaussianBaseline(epsilon=-1),
        lambda: NearestBaseline(0),
        lambda: NearestBaseline(5, limit=4),
    ):
        with pytest.raises(ParameterError, match="must be"):
            call()
