"""Warp and dent: displacement, shading, and what of it can be seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from anosynth.errors import NotMade, ParameterError
from anosynth.images import Dent, Image, Warp
from anosynth.images._edit import Edit
from anosynth.images._visible import first_visible, shares
from anosynth.images._warp import ellipse_box, elliptic_axes, resample
from anosynth.seeding import Rng

KINDS = ["swirl", "pinch", "bulge", "stretch"]


def texture(h=96, w=120, channels=3, seed=0, sigma=3.0):
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((h, w, channels)), (sigma, sigma, 0))
    return ((field - field.min()) / np.ptp(field) * 255).astype(np.uint8)


def changed(anomaly):
    differs = anomaly.sample != anomaly.before
    return differs.any(axis=2) if differs.ndim == 3 else differs


def test_resampling_is_bilinear():
    pixels = np.random.default_rng(0).random((20, 30, 2)).astype(np.float32)
    down, right = (np.random.default_rng(s).uniform(-4, 4, (20, 30)).astype(np.float32) for s in (1, 2))
    row, column = np.mgrid[0:20, 0:30]
    for c in range(2):
        expected = map_coordinates(pixels[:, :, c], [row + down, column + right], order=1, mode="nearest")
        assert np.abs(resample(pixels, down, right)[:, :, c] - expected).max() < 1e-5


def test_without_displacement_the_bits_stay():
    pixels = np.random.default_rng(0).random((9, 8, 3)).astype(np.float32)
    still = np.zeros((9, 8), np.float32)
    assert (resample(pixels, still, still) == pixels).all()


@settings(max_examples=60)
@given(st.floats(0, np.pi), st.floats(1, 6), st.floats(0.001, 0.5), st.integers(8, 200), st.integers(8, 200))
def test_the_ellipse_stays_off_the_border_of_its_box(angle, elongation, area, h, w):
    size = ellipse_box(area, angle, elongation, (h, w))
    assert size[0] <= h
    assert size[1] <= w
    along, across, long_axis, short_axis = elliptic_axes(*size, angle, elongation)
    assert long_axis == pytest.approx(short_axis * elongation)
    t2 = along**2 + across**2
    for side in (t2[0], t2[-1], t2[:, 0], t2[:, -1]):
        assert side.min() >= 1 - 1e-4


def test_the_ellipse_has_the_area_asked():
    size = ellipse_box(0.04, 0.7, 2.0, (400, 500))
    along, across, *_ = elliptic_axes(*size, 0.7, 2.0)
    assert (along**2 + across**2 < 1).sum() == pytest.approx(0.04 * 400 * 500, rel=0.03)


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_displacement_is_strength_times_the_radius_and_nothing_folds(kind):
    h = w = 201
    along, across, radius, _ = elliptic_axes(h, w, 0.0, 1.0)
    bump = np.maximum(1 - along**2 - across**2, 0).astype(np.float32)
    for strength in (0.1, 0.28):
        warp = Warp(kind=kind, strength=strength)
        u, v = warp._displaced(along, across, bump * bump * np.float32(strength / 0.28621670), 1)
        assert np.sqrt(u**2 + v**2).max() == pytest.approx(strength, rel=0.04)
        for side in (u[0], u[:, 0], v[-1], v[:, -1]):
            assert not side.any()
        x, y = along + u, across + v
        jacobian = np.gradient(x, axis=1) * np.gradient(y, axis=0) - np.gradient(x, axis=0) * np.gradient(y, axis=1)
        assert (jacobian * radius**2).min() > 0


def test_bulge_magnifies_and_pinch_shrinks():
    """A disc in the middle grows under a bulge, whatever the colours."""
    y, x = np.mgrid[0:101, 0:101] - 50
    disc = np.where(x**2 + y**2 < 15**2, 200, 50).astype(np.uint8)
    middle = np.zeros((101, 101), dtype=bool)
    middle[50, 50] = True
    sizes = {}
    for kind in ("bulge", "pinch"):
        edit = Warp(kind=kind, area=0.5, elongation=1).edit(Image(disc), Rng(0), middle)
        sizes[kind] = int((edit.pixels[:, :, 0] * 255 > 125).sum())
    assert sizes["pinch"] < 0.8 * 706 < 1.2 * 706 < sizes["bulge"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stronger_warp_changes_more(kind):
    image = texture()
    change = [
        np.abs(Warp(kind=kind, strength=s, mask="region")(image, rng=3).effect.astype(np.float64)).sum()
        for s in (0.06, 0.14, 0.28)
    ]
    assert change[0] < change[1] < change[2]


def test_a_flat_image_cannot_be_warped():
    with pytest.raises(NotMade, match="too even there for a `swirl` to show"):
        Warp()(np.full((40, 40), 128, np.uint8), rng=0)


def test_the_place_is_where_something_is_seen():
    """Fine grain everywhere, one edge: the edge is found."""
    rng = np.random.default_rng(0)
    image = np.full((160, 160), 100.0)
    image[:, 40:] = 180
    image = np.clip(image + 4 * rng.standard_normal(image.shape), 0, 255).astype(np.uint8)
    hits = [Warp(area=0.02, elongation=1)(image, rng=s).mask[:, 36:44].any() for s in range(12)]
    assert sum(hits) >= 10


def test_shares_tell_moved_grain_from_moved_structure():
    rng = np.random.default_rng(0)
    grain = np.clip(128 + 12 * rng.standard_normal((40, 40)), 0, 255).astype(np.uint8)
    image = Image(grain)
    ones = np.ones((40, 40), np.float32)
    shuffled = Edit((0, 0, 40, 40), image.crop((0, 0, 40, 40))[::-1], ones)
    lifted = Edit((0, 0, 40, 40), image.crop((0, 0, 40, 40)) + np.float32(0.1), ones)
    single, local = shares(shuffled, image)
    assert single > 0.6
    assert local < 0.5 * single
    assert shares(lifted, image) == (1.0, 1.0)
    assert first_visible([shuffled, lifted], Image(np.where(grain > 0, grain, 1))) is not None
    nothing = Edit((0, 0, 40, 40), image.crop((0, 0, 40, 40)), ones)
    assert first_visible([nothing, lifted], image) is lifted
    assert first_visible([nothing], image) is None


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(64, 64), (48, 60, 3), (17, 33, 5)])
def test_a_dent_shows_on_black_grey_and_white(level, shape):
    for seed in range(5):
        anomaly = Dent(area=0.05)(np.full(shape, level, np.uint8), rng=seed)
        assert (changed(anomaly) == anomaly.mask).all()
        assert anomaly.mask.sum() >= 8


def test_a_dent_is_dark_towards_the_light_and_bright_on_the_far_side():
    flat = np.full((201, 201), 128, np.uint8)
    for seed in range(8):
        anomaly = Dent(area=0.1, elongation=1, softness=1)(flat, rng=seed)
        light = np.deg2rad(anomaly.stats["light"])
        rows, columns = np.nonzero(anomaly.mask)
        toward = (columns - columns.mean()) * np.cos(light) + (rows - rows.mean()) * np.sin(light)
        effect = anomaly.effect[anomaly.mask]
        assert effect[toward > 5].mean() < -0.02
        assert effect[toward < -5].mean() > 0.02


def test_a_stronger_dent_is_seen_more():
    image = texture(sigma=8.0)
    contrast = [np.abs(Dent(strength=s, area=0.05)(image, rng=2).effect).sum() for s in (0.15, 0.3, 0.6)]
    assert contrast[0] < contrast[1] < contrast[2]


def test_the_flat_bottom_of_a_hard_dent_is_not_labelled():
    anomaly = Dent(area=0.2, elongation=1, softness=0.3, shift=0)(np.full((201, 201), 128, np.uint8), rng=1)
    rows, columns = np.nonzero(anomaly.mask)
    middle = (int(rows.min() + rows.max()) // 2, int(columns.min() + columns.max()) // 2)
    assert not anomaly.mask[middle[0] - 10 : middle[0] + 11, middle[1] - 10 : middle[1] + 11].any()


@pytest.mark.parametrize("cls", [Warp, Dent])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_labels_are_what_changed_in_every_depth(cls, dtype):
    white = {np.uint8: 1, np.uint16: 257, np.float32: 1 / 255}[dtype]
    image = (texture(60, 80).astype(np.float64) * white).astype(dtype)
    before = image.copy()
    anomaly = cls(area=0.05)(image, rng=4)
    assert (image == before).all()
    assert anomaly.sample.dtype == dtype
    assert (changed(anomaly) == anomaly.mask).all()


def test_a_warp_that_would_fold_is_refused():
    with pytest.raises(ParameterError, match="`strength`"):
        Warp(strength=0.3)
