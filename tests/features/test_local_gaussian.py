"""local-gaussian: the covariance of every cell, without ever forming it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from feature_kit import bits, rows_of
from scipy import stats

from anosynth.errors import DataError, ParameterError
from anosynth.features import LocalGaussian
from anosynth.features._cells import Cells
from anosynth.features._exact import combined, quantised, weights
from anosynth.seeding import as_rng

DRAWS = 20_000


def learned(count: int = 40, channels: int = 4, grid=(1, 2), seed: int = 0) -> torch.Tensor:
    """(N, C, H, W) with a covariance of its own in every cell."""
    draw = torch.Generator().manual_seed(seed)
    mix = torch.randn(grid[0] * grid[1], channels, channels, generator=draw)
    rows = torch.einsum("ncp,pcd->ndp", torch.randn(count, channels, grid[0] * grid[1], generator=draw), mix)
    return (rows + 3).reshape(count, channels, *grid)


def covariances(samples: torch.Tensor) -> list[np.ndarray]:
    rows = rows_of(samples).double().numpy()
    return [np.cov(rows[:, cell], rowvar=False) for cell in range(rows.shape[1])]


def draws(generator: LocalGaussian, samples: torch.Tensor, count: int = DRAWS) -> np.ndarray:
    """(count, W, C) of noise on zeros: a grid of `count` equal rows, since every cell has noise of its own."""
    tall = samples.expand(-1, -1, count, -1)
    module = generator.module().fit([tall])
    x = torch.zeros(1, *tall.shape[1:], dtype=torch.float64)
    return rows_of(module(x, rng=1).features).numpy().reshape(count, samples.shape[3], -1)


def test_the_covariance_is_recovered_and_cells_are_independent():
    samples = learned()
    noise = draws(LocalGaussian(strength=2.0, ridge=0.01), samples)
    for cell, sigma in enumerate(covariances(samples)):
        wanted = 4 * (sigma + 0.01 * np.eye(4))
        got = noise[:, cell].T @ noise[:, cell] / DRAWS
        assert np.linalg.norm(got - wanted) < 0.05 * np.linalg.norm(wanted)
        assert np.abs(noise[:, cell].mean(axis=0)).max() < 4 * (wanted.max() / DRAWS) ** 0.5
        distance = np.einsum("nc,cd,nd->n", noise[:, cell], np.linalg.inv(wanted), noise[:, cell])
        assert stats.kstest(distance, stats.chi2(4).cdf).pvalue > 0.01
    across = noise[:, 0].T @ noise[:, 1] / DRAWS
    scale = np.sqrt(np.outer(noise[:, 0].var(axis=0), noise[:, 1].var(axis=0)))
    assert np.abs(across / scale).max() < 4.5 / DRAWS**0.5


def test_it_agrees_with_a_sampler_that_forms_the_covariance():
    samples = learned(seed=3)
    noise = draws(LocalGaussian(), samples)
    sigma = covariances(samples)[1] + 0.01 * np.eye(4)
    other = np.random.default_rng(0).standard_normal((DRAWS, 4)) @ np.linalg.cholesky(sigma).T
    for channel in range(4):
        assert stats.ks_2samp(noise[:, 1, channel], other[:, channel]).pvalue > 0.01
    direction = np.array([1.0, -2.0, 0.5, 1.0])
    assert stats.ks_2samp(noise[:, 1] @ direction, other @ direction).pvalue > 0.01


def test_without_a_ridge_noise_stays_in_the_span_of_the_samples():
    samples = learned(count=3, channels=6)
    noise = draws(LocalGaussian(ridge=0.0), samples, 50)
    rows = rows_of(samples).double().numpy()
    centred = rows[:, 0] - rows[:, 0].mean(axis=0)
    assert np.linalg.matrix_rank(noise[:, 0], tol=1e-4) == 2
    left = noise[:, 0] - noise[:, 0] @ np.linalg.pinv(centred) @ centred
    assert np.abs(left).max() < 1e-4


def test_a_window_averages_the_covariances_of_its_cells():
    samples = learned(grid=(1, 3), count=12)
    noise = draws(LocalGaussian(window=3, ridge=0.0), samples, 8000)
    sigma = np.array(covariances(samples))
    for column in range(3):
        wanted = sigma[max(0, column - 1) : column + 2].mean(axis=0)
        got = noise[:, column].T @ noise[:, column] / 8000
        assert np.linalg.norm(got - wanted) < 0.07 * np.linalg.norm(wanted)
    with pytest.raises(ParameterError, match="`window`: 4: must be odd"):
        LocalGaussian(window=4)
    module = LocalGaussian(window=3).module(channel_dim=2)
    with pytest.raises(DataError, match="cells without a grid: a window needs one"):
        module.fit([rows_of(samples)])(rows_of(samples)[:1])


def test_around_the_mean_the_input_does_not_matter():
    samples = learned()
    module = LocalGaussian(around="mean").module().fit([samples])
    x = learned(count=3, seed=5)
    first, second = (module(y, rng=1).features for y in (x, x * 2))
    assert torch.allclose(first, second, atol=1e-5)
    plain = LocalGaussian().module().fit([samples])
    noise = plain(x, rng=1).features - x
    assert torch.allclose(first - samples.mean(dim=0), noise, atol=1e-5)


def test_all_samples_are_kept_up_to_their_number_and_then_a_fair_choice():
    samples = learned(count=30, channels=2)
    module = LocalGaussian(samples=30).module().fit(samples.split(7))
    assert torch.allclose(module.samples, rows_of(samples), atol=1e-5)
    assert torch.allclose(module.means, rows_of(samples).mean(dim=0), atol=1e-5)
    few = LocalGaussian(samples=50).module().fit([samples])
    assert few.samples.shape == (30, 2, 2)
    few.partial_fit(samples)
    assert few.state()["samples"].shape == (50, 2, 2)
    kept = np.zeros(200)
    marked = torch.arange(1.0, 201.0)[:, None, None, None].expand(-1, 1, 1, 1)
    for seed in range(60):
        module = LocalGaussian(samples=20).module().fit(marked.split(9), rng=seed)
        chosen = module.samples.flatten().round().long().numpy() - 1
        assert len(set(chosen.tolist())) == 20
        kept[chosen] += 1
    assert stats.chisquare(kept).pvalue > 0.01
    with pytest.raises(DataError, match="fitted on 1 samples: a covariance takes at least 2"):
        LocalGaussian().module().fit([samples[:1]])(samples)


def test_a_fair_choice_needs_no_stream_for_each_batch():
    """Batch after batch, and through a file: the last ones are kept as often as the first."""
    marked = torch.arange(1.0, 401.0)[:, None, None, None].expand(-1, 1, 1, 1)
    kept = np.zeros(4)
    for seed in range(40):
        module = LocalGaussian(samples=20).module()
        for number, batch in enumerate(marked.split(4)):
            if number == 50:
                state, module = module.state_dict(), LocalGaussian(samples=20).module()
                module.load_state_dict(state)
            module.partial_fit(batch, rng=seed)
        kept += np.histogram(module.state()["samples"].flatten(), bins=4, range=(0.5, 400.5))[0]
    assert stats.chisquare(kept).pvalue > 0.01


def test_half_storage_keeps_half_the_bytes_and_the_law():
    samples = learned()
    module = LocalGaussian(store="float16").module().fit([samples])
    assert module.samples.dtype == torch.float16
    x = torch.zeros(1, 4, 1, 2)
    exact = LocalGaussian().module().fit([samples])(x, rng=1).features
    assert torch.allclose(module(x, rng=1).features, exact, atol=0.02)
    with pytest.raises(DataError, match="features: too large for float16: `local-gaussian` keeps them"):
        module.partial_fit(samples * 1e6)


def test_sums_are_exact_whatever_their_order():
    """Any order of the samples, and exact rational arithmetic, give the same bits."""
    samples = learned(count=200, channels=8, grid=(3, 4)).flatten(2).transpose(1, 2).contiguous() * 1e3
    quantised(samples)
    cells = Cells(rows=torch.zeros(12, 8))
    own = weights(cells, as_rng(1), 12, 200)
    assert (own.sum(dim=1) == 0).all()
    whole = own * 2.0**17
    assert torch.equal(whole, whole.round())
    every = torch.arange(12)

    def product(order: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(12, 1, 8, dtype=torch.float64)
        combined(out, own[:, None, order].contiguous(), samples[order].contiguous(), every, every)
        return out

    first = product(torch.arange(200))
    assert bits(first) == bits(product(torch.arange(199, -1, -1)))
    by_hand = [
        sum(int(w * 2**17) * int(v * 2**40) for w, v in zip(own[3].tolist(), samples[:, 3, 5].tolist(), strict=True))
    ]
    assert float(first[3, 0, 5]) == by_hand[0] / 2**57


def test_rounding_of_samples_is_that_of_float32():
    samples = learned(count=100)
    rounded = samples.clone()
    quantised(rounded)
    assert (rounded - samples).abs().max() <= samples.abs().max() * 2.0**-23
    again = rounded.clone()
    quantised(again)
    assert bits(again) == bits(rounded)
    nothing = torch.zeros(3, 2)
    quantised(nothing)
    assert not nothing.any()


def test_masked_cells_get_the_noise_of_their_cell():
    module = LocalGaussian(ridge=0.0).module().fit([learned(grid=(3, 4))])
    x = torch.zeros(6, 4, 3, 4)
    mask = torch.zeros(6, 1, 3, 4, dtype=torch.bool)
    mask[:, :, 1:, :2] = True
    out = module(x, mask=mask, rng=1)
    assert torch.equal(out.mask, mask)
