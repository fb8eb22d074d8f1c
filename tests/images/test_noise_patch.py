from __future__ import annotations

import numpy as np
import pytest

from anosynth.images import Image
from anosynth.images.noise_patch import NoisePatch, cholesky, correlated
from anosynth.noise import fbm
from anosynth.seeding import Rng


def flat(level: float, shape: tuple[int, ...] = (96, 96, 3)) -> np.ndarray:
    return np.full(shape, level, np.float32)


def edit(pixels: np.ndarray, seed: int = 0, **values):
    return NoisePatch(**values).edit(Image(pixels), Rng(seed), np.ones(pixels.shape[:2], np.bool_))


def test_fractal_is_a_fifth_of_the_sum_of_octaves():
    pixels = flat(0.5, (128, 160, 3))
    made = edit(pixels, kind="fractal", scale=0.25, octaves=4, persistence=0.6, strength=1.0, area=0.05)
    h, w = made.alpha.shape
    points = np.array([(y / 32, x / 32, c / 32) for y in range(h) for x in range(w) for c in range(3)])
    unit = fbm(points, Rng(0).child("noise"), octaves=4, persistence=0.6).reshape(h, w, 3)
    assert np.allclose(made.pixels - 0.5, 0.2 * (1 + 0.6 + 0.36 + 0.216) * unit, atol=1e-6)


def test_fractal_has_the_published_amplitude_and_bumps_of_its_scale():
    spread = [(edit(flat(0.5, (256, 256, 1)), seed, area=0.2).pixels - 0.5).std() for seed in range(12)]
    assert 0.04 < np.mean(spread) < 0.1

    def roughness(scale: float) -> float:
        patches = [
            edit(flat(0.5, (256, 256, 1)), k, area=0.2, scale=scale, octaves=1).pixels[:, :, 0] for k in range(6)
        ]
        return float(np.mean([np.abs(np.diff(p, axis=0)).mean() / p.std() for p in patches]))

    assert roughness(0.05) / roughness(0.2) == pytest.approx(4, rel=0.25)


def test_neighbouring_channels_of_fractal_noise_are_alike_but_not_equal():
    noise = edit(flat(0.5, (256, 256, 3)), 3, area=0.2, octaves=2).pixels
    close = np.corrcoef(noise[:, :, 0].ravel(), noise[:, :, 1].ravel())[0, 1]
    assert 0.9 < close < 0.9999


@pytest.mark.parametrize("strength", [0.25, 1.0, 3.0])
def test_white_is_uniform_and_blended_by_strength(strength):
    made = edit(flat(0.5), kind="white", strength=strength, area=0.3)
    weight = min(1.0, strength)
    values = (made.pixels - 0.5 * (1 - weight)) / weight
    assert values.min() == pytest.approx(0, abs=0.01)
    assert values.max() == pytest.approx(1, abs=0.01)
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.std() == pytest.approx(12**-0.5, rel=0.03)
    flatten = values.reshape(-1, 3)
    assert np.abs(np.corrcoef(flatten.T) - np.eye(3)).max() < 0.06


def test_local_gaussian_has_the_covariance_of_its_region():
    draw = np.random.default_rng(0)
    mixing = np.array([[0.1, 0, 0], [0.08, 0.03, 0], [-0.02, 0.05, 0.01]])
    region = (0.5 + draw.normal(size=(150, 160, 3)) @ mixing.T).astype(np.float32)
    inside = np.zeros((150, 160), np.bool_)
    inside[20:140, 10:150] = True
    region[~inside] = 7.0
    noise = correlated(region, inside, Rng(1)).reshape(-1, 3)
    expected = np.cov(region[inside].T) + 0.05**2 * np.eye(3)
    assert np.allclose(np.cov(noise.T), expected, atol=0.0004)
    assert np.abs(noise.mean(axis=0)).max() < 0.005


def test_strength_scales_the_gaussian():
    weak, strong = (edit(flat(0.5), 2, kind="gaussian", strength=strength).pixels - 0.5 for strength in (0.2, 0.8))
    assert np.allclose(4 * weak, strong, atol=1e-5)
    assert weak.std() == pytest.approx(0.2 * 0.05, rel=0.1)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_cholesky_is_that_of_the_library(size):
    draw = np.random.default_rng(size)
    half = draw.normal(size=(size, size))
    matrix = half @ half.T + 0.1 * np.eye(size)
    assert np.allclose(cholesky(matrix), np.linalg.cholesky(matrix), rtol=1e-12, atol=1e-12)
    assert np.allclose(cholesky(np.tril(matrix)), np.linalg.cholesky(matrix)), "the lower half is enough"


def test_cholesky_of_dependent_channels_plus_the_floor_exists():
    one = np.random.default_rng(1).random((20, 20, 1)).astype(np.float32)
    noise = correlated(np.repeat(one, 4, axis=2), np.ones((20, 20), np.bool_), Rng(0))
    assert np.isfinite(noise).all()
    assert np.corrcoef(noise.reshape(-1, 4).T).min() > 0.8


@pytest.mark.parametrize("kind", ["fractal", "white", "gaussian"])
def test_values_stay_in_range_in_float_images_too(kind):
    for level in (0.0, 1.0):
        anomaly = NoisePatch(kind=kind, strength=3.0)(flat(level), rng=0)
        assert anomaly.sample.min() >= 0
        assert anomaly.sample.max() <= 1
        assert anomaly.mask.sum() > 50


@pytest.mark.parametrize("kind", ["fractal", "white", "gaussian"])
@pytest.mark.parametrize("outline", ["rectangle", "blob", "ellipse"])
def test_the_noise_stays_inside_its_outline(kind, outline):
    made = edit(flat(0.4), 5, kind=kind, outline=outline, area=0.1)
    assert (made.alpha > 0).sum() == pytest.approx(0.1 * 96 * 96, rel=0.1)
    anomaly = NoisePatch(kind=kind, outline=outline, area=0.1)(flat(0.4), rng=5)
    assert 0.03 < anomaly.mask.mean() <= 0.11
