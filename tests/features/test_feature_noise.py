"""gaussian, jitter, attention-noise and dropout-noise: the laws of what they add."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_kit import bits, normal_features, rows_of
from scipy import stats

from anosynth.errors import DataError
from anosynth.features import AttentionNoise, DropoutNoise, Features, Gaussian, Jitter
from anosynth.seeding import as_rng


def many(channels: int = 64, cells: int = 2000, batch: int = 2) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(batch, cells, channels, generator=draw) * torch.linspace(0.2, 3, channels)


def added(generator, x: torch.Tensor, seed: int = 1) -> np.ndarray:
    out = generator.module(channel_dim=2)(x.double(), rng=seed).features
    return (out - x.double()).numpy()


def test_absolute_noise_is_normal_with_that_deviation():
    noise = added(Gaussian(std=0.3), many())
    assert stats.kstest(noise.ravel() / 0.3, "norm").pvalue > 0.01
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.02


def test_noise_by_channel_follows_the_spread_of_each_channel():
    x = many()
    noise = added(Gaussian(std=0.5, relative="channel"), x)
    for i in range(2):
        ratio = noise[i].std(axis=0) / x[i].double().numpy().std(axis=0)
        assert ratio == pytest.approx(0.5, rel=0.1)
        scaled = noise[i] / (0.5 * x[i].double().numpy().std(axis=0))
        assert stats.kstest(scaled.ravel(), "norm").pvalue > 0.01


def test_noise_by_norm_has_that_ratio():
    x = many(channels=256)
    noise = added(Gaussian(std=0.2, relative="norm"), x)
    norm = np.linalg.norm(x.double().numpy(), axis=2)
    ratio = np.linalg.norm(noise, axis=2) / norm
    assert ratio.mean() == pytest.approx(0.2, rel=5e-3)
    assert stats.kstest((noise / norm[:, :, None] * 256**0.5 / 0.2).ravel(), "norm").pvalue > 0.01


def test_levels_are_equally_likely_powers():
    noise = added(Gaussian(std=0.1, levels=4), many(channels=2048, cells=300))
    deviation = noise.std(axis=2).ravel() / 0.1
    level = np.rint(np.log(deviation) / np.log(1.1)).astype(int)
    assert deviation / 1.1**level == pytest.approx(1.0, abs=0.06)
    counts = np.bincount(level, minlength=4)
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("channels", [272, 1536])
def test_jitter_has_the_ratio_of_its_formula(channels):
    x = many(channels=channels, cells=400)
    shift = added(Jitter(scale=20), x)
    norm = np.linalg.norm(x.double().numpy(), axis=2)
    expected = 20 / channels**0.5 * (1 - 1 / (4 * channels))
    assert (np.linalg.norm(shift, axis=2) / norm).mean() == pytest.approx(expected, rel=5e-3)
    unit = shift / (norm[:, :, None] * 20 / channels)
    assert stats.kstest(unit.ravel()[:200_000], "norm").pvalue > 0.01
    a = x.double().numpy() + shift
    cosine = (a * x.double().numpy()).sum(axis=2) / np.linalg.norm(a, axis=2) / norm
    assert cosine.mean() == pytest.approx(1 / (1 + 400 / channels) ** 0.5, abs=0.01)


def test_unit_jitter_has_one_length_and_no_preferred_direction():
    x = many(channels=100)
    shift = added(Jitter(scale=40, direction="unit"), x)
    norm = np.linalg.norm(x.double().numpy(), axis=2)
    assert np.linalg.norm(shift, axis=2) / norm == pytest.approx(0.4, rel=1e-6)
    assert np.abs((shift / norm[:, :, None]).mean(axis=(0, 1))).max() < 4 * 0.4 / (100 * 4000) ** 0.5


def test_prob_is_of_samples_and_share_of_cells():
    x = normal_features(1).expand(600, -1, -1, -1)
    out = Jitter(prob=0.3).module()(x, rng=1)
    whole = out.mask.flatten(1).float().mean(dim=1)
    assert set(whole.tolist()) == {0.0, 1.0}, "a sample is jittered as a whole"
    assert stats.binomtest(int(out.labels.sum()), 600, 0.3).pvalue > 0.01
    assert [drawn["jittered"] for drawn in out.drawn] == out.labels.tolist()
    assert bits(Jitter(prob=0.0).module()(x[:4], rng=1).features) == bits(x[:4])
    assert Jitter(prob=1.0).module()(x[:9], rng=1).labels.all()
    share = Jitter(share=0.25).module()(x[:200], rng=1).mask
    assert stats.binomtest(int(share.sum()), share.numel(), 0.25).pvalue > 0.01


def test_cells_of_norm_0_stay():
    x = normal_features(2)
    x[:, :, 2, 3] = 0
    for generator in (Jitter(), Jitter(direction="unit"), Gaussian(relative="norm")):
        out = generator.module()(x, rng=1)
        assert not out.mask[:, 0, 2, 3].any()
        assert (out.features[:, :, 2, 3] == 0).all()
        assert out.mask.sum() == 2 * 29
        x_again = x.clone().requires_grad_()
        loose = type(generator)(**{**generator.model_dump(), "detach_shift": False})
        loose.module()(x_again, rng=1).features.sum().backward()
        assert torch.isfinite(x_again.grad).all()


@pytest.mark.parametrize(
    "generator",
    [Jitter(), Jitter(direction="unit"), Gaussian(relative="norm"), Gaussian(relative="channel"), DropoutNoise()],
)
def test_scaled_features_give_scaled_anomalies(generator):
    module, x = generator.module(), normal_features(2)
    assert bits(module(x * 8, rng=3).features) == bits(module(x, rng=3).features * 8)


@pytest.mark.parametrize(
    "generator",
    [
        Gaussian(std=0.3, relative="norm", detach_shift=False),
        Gaussian(std=0.3, relative="channel", detach_shift=False),
        Jitter(detach_shift=False),
        Jitter(direction="unit", detach_shift=False),
        AttentionNoise(detach_shift=False),
        DropoutNoise(),
    ],
)
def test_gradients_are_those_of_the_formula(generator):
    x = normal_features(1, channels=3, grid=(2, 2)).double().requires_grad_()
    module = generator.module()
    assert torch.autograd.gradcheck(lambda y: module(y, rng=3).features, (x,))


@pytest.mark.parametrize(
    "generator", [Gaussian(relative="norm"), Gaussian(relative="channel"), Jitter(), AttentionNoise()]
)
def test_a_detached_shift_lets_gradients_pass_through_the_features_alone(generator):
    x = normal_features(2).requires_grad_()
    weight = torch.randn(2, 16, 6, 5, generator=torch.Generator().manual_seed(1))
    (generator.module()(x, rng=3).features * weight).sum().backward()
    assert torch.equal(x.grad, weight)


def test_dropout_drops_that_share_and_keeps_the_mean():
    x = many().abs() + 1
    for per in ("value", "cell"):
        out = DropoutNoise(p=0.3, per=per).module(channel_dim=2)(x, rng=1).features
        dropped = out == 0
        if per == "cell":
            assert torch.equal(dropped.all(dim=2), dropped.any(dim=2))
            dropped = dropped[:, :, 0]
        assert stats.binomtest(int(dropped.sum()), dropped.numel(), 0.3).pvalue > 0.01
        assert torch.allclose(out[out != 0], (x / 0.7)[out != 0])


def test_attention_noise_takes_the_most_salient_cells_of_one_head():
    x = normal_features(40)
    heads = torch.rand(40, 3, 30, generator=torch.Generator().manual_seed(2))
    out = AttentionNoise(area=0.2).module()(x, rng=1, saliency=heads)
    mask = out.mask.flatten(1)
    assert (mask.sum(dim=1) == 6).all()
    tops = torch.zeros(40, 3, 30, dtype=torch.bool).scatter(2, heads.topk(6, dim=2).indices, True)
    match = (tops == mask[:, None]).all(dim=2)
    assert match.any(dim=1).all()
    assert match.any(dim=0).all(), "every head has its turn"
    noise = (out.features - x)[out.mask.expand_as(x)]
    assert stats.kstest(noise.numpy() / 0.25, "norm").pvalue > 0.01


def test_without_attention_the_largest_norms_are_taken():
    x = normal_features(5)
    norms = rows_of(x).norm(dim=2)
    mask = AttentionNoise(area=0.3).module()(x, rng=1).mask.flatten(1)
    for i in range(5):
        assert set(norms[i].topk(9).indices.tolist()) == set(mask[i].nonzero()[:, 0].tolist())
    anywhere = AttentionNoise(area=0.3, select="random").module()(x, rng=1).mask.flatten(1)
    assert (anywhere.sum(dim=1) == 9).all()
    assert not torch.equal(anywhere[0], anywhere[1])


def test_attention_of_another_shape_is_refused():
    x = normal_features(2)
    for wrong, message in (
        (torch.ones(2, 29), r"saliency: \(29,\) of a sample: expected \(30,\) or \(heads, 30\)"),
        (torch.ones(1, 30), "saliency: of 1 samples: expected one for each of 2"),
        (torch.ones(3, 30), "saliency: of 3 samples: expected one for each of 2"),
        (torch.full((2, 30), torch.nan), "saliency: NaN: expected numbers"),
    ):
        with pytest.raises(DataError, match=message):
            AttentionNoise().module()(x, saliency=wrong)
    sample = Features(x[0], saliency=torch.arange(30.0))
    mask = AttentionNoise(area=0.1)(sample, rng=as_rng(1)).mask
    assert mask.ravel().nonzero()[0].tolist() == [27, 28, 29]
