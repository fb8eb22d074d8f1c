"""Smudge, mosaic and blank: what covers a region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import NotMade
from anosynth.images import Image
from anosynth.images.blank import Blank, colour_of
from anosynth.images.mosaic import Mosaic, cell_means
from anosynth.images.smudge import Smudge, perlin_spots, visible_colour
from anosynth.seeding import Rng


def grained(height: int, width: int, channels: int = 3, low: float = 0.2, high: float = 0.8) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (height, width, channels)).astype(np.float32)


@pytest.mark.parametrize("outline", ["perlin", "blob"])
@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_a_smudge_is_one_colour_blended_in(outline, strength):
    pixels = grained(64, 80)
    for seed in range(4):
        anomaly = Smudge(outline=outline, strength=strength, softness=0.0, mask="region")(pixels, rng=seed)
        colour = np.array(anomaly.stats["colour"])
        assert colour.shape == (3,)
        inside = anomaly.mask
        expected = (1 - strength) * pixels[inside] + strength * colour
        assert np.allclose(anomaly.sample[inside], expected, atol=2e-4)
        assert (anomaly.sample[~inside] == pixels[~inside]).all()


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    area=st.floats(0.01, 0.5),
    share=st.floats(0.2, 1.0),
    seed=st.integers(0, 2**32),
)
def test_perlin_spots_have_the_area_asked_for_and_are_free(shape, area, share, seed):
    free = (np.random.default_rng(seed % 99).random(shape) < share) | (np.arange(shape[1]) < 4)
    box, alpha = perlin_spots(shape, Rng(seed), free, area)
    assert alpha.shape == (box[2] - box[0], box[3] - box[1])
    assert set(np.unique(alpha)) <= {0.0, 1.0}
    assert (free[box[0] : box[2], box[1] : box[3]] | (alpha == 0)).all()
    wanted = min(int(free.sum()), max(16, round(area * free.size)))
    assert alpha.sum() == wanted
    for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert edge.any(), "the box is larger than it need be"


def test_perlin_spots_are_spots_and_not_grain():
    free = np.ones((128, 128), np.bool_)
    for seed in range(12):
        _, alpha = perlin_spots((128, 128), Rng(seed), free, 0.1)
        padded = np.pad(alpha, 1)
        border = (np.diff(padded, axis=0) != 0).sum() + (np.diff(padded, axis=1) != 0).sum()
        assert border < 1.2 * alpha.sum(), "single pixels would have four sides each"


def test_a_colour_is_uniform_unless_nobody_could_see_it():
    colours = np.array([visible_colour(np.array([0.0, 0.0, 0.0]), 1.0, Rng(k)) for k in range(600)])
    assert np.abs(colours.mean(axis=0) - 0.5).max() < 0.06
    for mean in ([0.5], [0.1, 0.9], [0.0, 0.0, 0.0], [1.0]):
        for strength in (0.05, 0.3, 1.0):
            for seed in range(30):
                colour = visible_colour(np.array(mean), strength, Rng(seed))
                assert colour.shape == (len(mean),)
                assert (colour >= 0).all()
                assert (colour <= 1).all()
                assert strength * np.abs(colour - mean).max() >= min(4 * 4 / 255, 0.5 * strength)


@settings(max_examples=60)
@given(h=st.integers(1, 20), w=st.integers(1, 20), channels=st.integers(1, 4), cell=st.integers(1, 9))
def test_a_mosaic_has_the_exact_mean_of_every_cell(h, w, channels, cell):
    pixels = np.random.default_rng(h * w).random((h, w, channels)).astype(np.float32)
    out = cell_means(pixels, cell)
    assert out.shape == pixels.shape
    assert out.dtype == np.float32
    for top in range(0, h, cell):
        for left in range(0, w, cell):
            block = (slice(top, top + cell), slice(left, left + cell))
            mean = pixels[block].astype(np.float64).mean(axis=(0, 1))
            assert np.allclose(out[block], mean, atol=1e-7)
            assert (out[block] == out[block][0, 0]).all()


def test_a_mosaic_keeps_the_mean_and_takes_the_detail():
    pixels = grained(100, 100)
    anomaly = Mosaic(cell=0.05, area=0.1, mask="region")(pixels, rng=1)
    assert anomaly.stats["cell_px"] == 5
    old, new = pixels[anomaly.mask], anomaly.sample[anomaly.mask]
    assert np.allclose(old.mean(axis=0), new.mean(axis=0), atol=0.01)
    assert new.std() < 0.3 * old.std()
    wider = Mosaic(cell=0.2, area=0.1, mask="region")(pixels, rng=1)
    assert wider.sample[wider.mask].std() < 0.5 * new.std()


def test_a_mosaic_looks_for_detail():
    """One eighth of the image has any; a blind draw would miss it six times in ten."""
    pixels = np.full((128, 128), 0.5, np.float32)
    pixels[:, 96:] = grained(128, 32, 1)[:, :, 0]
    hits = sum(Mosaic(area=0.02, outline="rectangle")(pixels, rng=seed).stats["attempts"] == 1 for seed in range(30))
    assert hits >= 26


@pytest.mark.parametrize(("fill", "value"), [("black", 0), ("white", 255), ("grey", 128)])
def test_a_fill_is_its_value(fill, value):
    pixels = (grained(40, 50) * 255).astype(np.uint8)
    anomaly = Blank(fill=fill, outline="ellipse", mask="region")(pixels, rng=2)
    assert (anomaly.sample[anomaly.mask] == value).all()
    assert anomaly.stats["fill"] == fill


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_mean_is_that_of_the_whole_image_channel_by_channel(dtype):
    white = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    pixels = (grained(30, 40, 4) * np.array([0.2, 0.6, 1.0, 0.4]) * white).astype(dtype)
    expected = pixels.astype(np.float64).mean(axis=(0, 1)) / white
    assert np.allclose(colour_of("mean", Image(pixels)), expected, rtol=1e-6)
    anomaly = Blank(fill="mean", mask="region", outline="blob")(pixels, rng=0)
    assert np.allclose(anomaly.sample[anomaly.mask] / white, expected, atol=0.51 / white + 1e-6)


def test_strength_is_the_weight_of_the_fill():
    pixels = grained(50, 50)
    anomaly = Blank(fill="black", strength=0.4, mask="region")(pixels, rng=1)
    assert np.allclose(anomaly.sample[anomaly.mask], 0.6 * pixels[anomaly.mask], atol=1e-6)


def test_any_draws_every_fill_that_is_seen_and_no_other():
    fills = [Blank()(grained(40, 40, low=0.1, high=0.3), rng=seed).stats["fill"] for seed in range(80)]
    assert set(fills) == {"mean", "black", "white", "grey"}
    on_black = [Blank()(np.zeros((40, 40), np.uint8), rng=seed).stats["fill"] for seed in range(40)]
    assert set(on_black) == {"white", "grey"}


@pytest.mark.parametrize(("fill", "level"), [("black", 0), ("white", 255), ("mean", 77), ("grey", 128)])
def test_a_fill_that_is_named_and_not_seen_is_refused(fill, level):
    with pytest.raises(NotMade, match="0 visibly changed pixels"):
        Blank(fill=fill)(np.full((30, 30), level, np.uint8), rng=0)


@pytest.mark.parametrize("name", ["rectangle", "ellipse", "blob"])
@pytest.mark.parametrize("area", [0.02, 0.2])
def test_the_area_asked_is_the_area_made(name, area):
    pixels = np.zeros((100, 140), np.uint8)
    for seed in range(5):
        anomaly = Blank(outline=name, area=area, aspect=1.3)(pixels, rng=seed)
        assert anomaly.stats["area"] == pytest.approx(area, rel=0.08)
