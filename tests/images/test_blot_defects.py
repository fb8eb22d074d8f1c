"""Stain, rust, pit and spatter: what their parameters promise, read off the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from anosynth.errors import DataError
from anosynth.generator import find
from anosynth.images import Image
from anosynth.images._edit import FLOOR
from anosynth.images._patch import contour, largest_change, patch
from anosynth.seeding import Rng

BLOTS = ["stain", "rust", "pit", "spatter"]
KINDS = {"black": 0, "grey": 128, "white": 255}


def natural(shape=(120, 150), channels=3, level=0.6, seed=0):
    """A shaded, textured bluish image whose pixels keep clear of black and white."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    value = level + 0.08 * np.sin(x / 17) * np.cos(y / 23)
    value = value[:, :, None] * np.linspace(0.9, 1.1, channels)
    value = value + np.random.default_rng(seed).normal(0, 0.01, value.shape)
    return np.clip(value * 255, 0, 255).round().astype(np.uint8)


def only(shape, row, column):
    free = np.zeros(shape, dtype=bool)
    free[row, column] = True
    return free


def axes(weights):
    """Standard deviation along and across the main axis of (h, w) weights, and that axis in degrees from the right."""
    y, x = np.nonzero(weights > 0)
    values, vectors = np.linalg.eigh(np.cov(np.stack([x, y]).astype(float)))
    return *np.sqrt(values[::-1]), np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180


def changed(before, after):
    different = before != after
    return different.any(axis=2) if different.ndim == 3 else different


@pytest.mark.parametrize("name", BLOTS)
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("shape", [(90, 130), (90, 130, 3), (61, 47, 5)])
def test_flat_images_get_a_visible_defect(name, kind, shape):
    image = np.full(shape, KINDS[kind], dtype=np.uint8)
    for seed in range(3):
        anomaly = find("images", name)()(image, rng=seed)
        assert (changed(image, anomaly.sample) == anomaly.mask).all()
        assert anomaly.stats["contrast"] > 0.03
        assert anomaly.stats["attempts"] <= 4


@pytest.mark.parametrize("name", BLOTS)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_more_strength_is_more_effect(name, channels):
    image = natural(channels=channels)
    for seed in range(3):
        totals = [
            np.abs(find("images", name)(strength=s)(image, rng=seed).effect).sum() for s in (0.08, 0.16, 0.3, 0.5)
        ]
        assert (np.diff(totals) > 0).all(), totals
        assert totals[-1] > 2 * totals[0]


@pytest.mark.parametrize("name", ["stain", "rust"])
@pytest.mark.parametrize("area", [0.01, 0.05, 0.15])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_area_asked_is_the_area_made(name, area, channels):
    image = natural((200, 260), channels)
    for seed in range(4):
        anomaly = find("images", name)(area=area)(image, rng=seed)
        assert anomaly.stats["area"] == pytest.approx(area, rel=0.1)


def test_the_area_is_met_where_the_patch_hardly_shows():
    """On pixels that have the patch's own colour, weak rust is invisible: the outline has to make up for it."""
    image = np.full((200, 200, 3), 200, dtype=np.uint8)
    image[::3] = (110, 60, 27)
    for seed in range(4):
        anomaly = find("images", "rust")(area=0.05, strength=0.1)(image, rng=seed)
        assert anomaly.stats["area"] == pytest.approx(0.05, rel=0.1)
        assert anomaly.mask[::3].sum() < 0.9 * anomaly.mask[1::3].sum()


def test_softness_and_rim_do_not_change_the_area():
    image = natural((200, 260))
    for softness in (0.0, 1.0):
        for rim in (0.0, 1.0):
            anomaly = find("images", "stain")(softness=softness, rim=rim)(image, rng=3)
            assert anomaly.stats["area"] == pytest.approx(0.02, rel=0.1)


def test_the_area_counts_the_foreground_alone():
    image = natural((200, 260))
    foreground = np.zeros((200, 260), dtype=bool)
    foreground[:, :130] = True
    for seed in range(6):
        anomaly = find("images", "stain")(area=0.03)(Image(image, foreground), rng=seed)
        assert anomaly.stats["area"] == pytest.approx(0.03, rel=0.1)
        assert not anomaly.mask[~foreground].any()


@pytest.mark.parametrize("name", ["stain", "rust"])
def test_a_small_part_takes_a_patch_of_half_of_it(name):
    image = natural((200, 260))
    foreground = np.zeros((200, 260), dtype=bool)
    foreground[90:110, 100:180] = True
    anomaly = find("images", name)(area=0.2)(Image(image, foreground), rng=1)
    assert anomaly.mask.sum() == pytest.approx(800, rel=0.1)


@pytest.mark.parametrize("name", ["stain", "rust"])
def test_elongation_and_orientation_show(name):
    image = Image(natural((300, 300)))
    everywhere = np.ones((300, 300), dtype=bool)
    for elongation in (1.0, 3.0, 6.0):
        ratios, off = [], []
        for seed in range(10):
            orientation = 35.0 * seed - 170.0
            generator = find("images", name)(elongation=elongation, area=0.02, orientation=orientation)
            edit = generator.edit(image, Rng(seed), everywhere)
            long_axis, short_axis, angle = axes(edit.alpha)
            ratios.append(long_axis / short_axis)
            turn = abs(angle - orientation) % 180
            off.append(min(turn, 180 - turn))
        assert np.median(ratios) == pytest.approx(elongation, rel=0.45)
        assert elongation == 1 or np.median(off) < 8


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), slope=st.just(0.0) | st.floats(0.01, 1.5), share=st.floats(0.02, 0.3))
def test_an_outline_is_visible_on_the_pixels_asked(seed, slope, share):
    image = Image(np.zeros((60, 80), dtype=np.uint8))
    noise = {"ragged": 1.0, "octaves": 3, "persistence": 0.5}
    place = patch(image, (30, 40), Rng(seed), pixels=1500, elongation=1.5, orientation=seed % 180, **noise)
    full = np.random.default_rng(seed).uniform(0.0, 0.4, place.height.shape).astype(np.float32)
    free = np.random.default_rng(seed + 1).random((60, 80)) < 0.9
    top, left, bottom, right = place.box
    wanted = round(share * 1500)
    try:
        alpha, level = contour(place.height, slope, full, free, place.box, wanted)
    except DataError:
        return
    visible = (alpha * full >= FLOOR * 0.9999) & free[top:bottom, left:right]
    assert abs(int(visible.sum()) - wanted) <= 2
    assert ((alpha > 0) <= (place.height >= level)).all()
    assert 0 <= alpha.min() <= alpha.max() <= 1
    # Cut by nothing but the image.
    if top > 0:
        assert not alpha[0].any()
    if left > 0:
        assert not alpha[:, 0].any()


def test_an_outline_that_its_box_would_cut_is_refused():
    height = np.ones((20, 20), dtype=np.float32)
    height[8:12, 8:12] = 2
    full, free = np.full((20, 20), 0.3, dtype=np.float32), np.ones((40, 40), dtype=bool)
    alpha, _ = contour(height, 0.0, full, free, (10, 10, 30, 30), 16)
    assert int((alpha > 0).sum()) == 16
    with pytest.raises(DataError, match="too small for 17 pixels"):
        contour(height, 0.0, full, free, (10, 10, 30, 30), 17)
    alpha, _ = contour(height, 0.0, full, free[:20, :20], (0, 0, 20, 20), 17)
    assert alpha.all(), "borders of the image cut nothing"


def test_the_largest_change_is_over_channels():
    draw = np.random.default_rng(0)
    old, new = draw.random((2, 5, 6, 4)).astype(np.float32)
    assert (largest_change(old, new) == np.abs(new - old).max(axis=2)).all()


def test_a_rim_makes_the_middle_paler():
    image = np.full((200, 200), 180, dtype=np.uint8)
    flat = find("images", "stain")(rim=0.0, area=0.08, softness=0.2)(image, rng=1)
    ring = find("images", "stain")(rim=1.0, area=0.08, softness=0.2)(image, rng=1)
    deep = flat.effect < np.quantile(flat.effect[flat.mask], 0.5)
    assert np.abs(ring.effect).max() > 0.7 * np.abs(flat.effect).max()
    assert np.abs(ring.effect[ring.mask]).mean() < 0.8 * np.abs(flat.effect[flat.mask]).mean()
    assert deep.any()


def test_a_stain_multiplies_and_rust_is_brown():
    image = natural((150, 150))
    stain = find("images", "stain")(softness=0.0, rim=0.0)(image, rng=2)
    assert (stain.sample[stain.mask] <= image[stain.mask]).all()
    assert np.corrcoef(stain.sample[stain.mask][:, 0], image[stain.mask][:, 0])[0, 1] > 0.2
    for level in (0, 128, 255):
        flat = np.full((150, 150, 3), level, dtype=np.uint8)
        rust = find("images", "rust")(strength=1.0)(flat, rng=2)
        red, green, blue = rust.sample[rust.effect != 0].astype(float).mean(axis=0)
        if level == 128:
            assert red > green > blue
            assert red - blue > 25
    grey = find("images", "rust")()(image[:, :, 0].copy(), rng=2)
    assert (grey.effect[grey.mask] < 0).all()


def test_pits_are_apart_dark_and_lit_from_one_side():
    image = np.full((300, 300), 150, dtype=np.uint8)
    generator = find("images", "pit")(pits=8, size=0.06, spread=0.35)
    edit = generator.edit(Image(image), Rng(1), only((300, 300), 150, 150))
    dark = edit.pixels[:, :, 0] - 150 / 255
    dark[edit.alpha == 0] = 0
    pieces, count = label(edit.alpha > 0)
    assert count == edit.stats["made"] == 8
    sizes = np.bincount(pieces.ravel())[1:]
    assert sizes.max() > 2 * sizes.min()
    to_light = np.radians(edit.stats["light"])
    for number in range(1, count + 1):
        lit, unlit = ((pieces == number) & (sign * dark > 0.02) for sign in (1, -1))
        assert lit.any()
        assert unlit.sum() > 1
        way = np.mean(np.nonzero(lit), axis=1) - np.mean(np.nonzero(unlit), axis=1)
        assert way[0] * np.sin(to_light) + way[1] * np.cos(to_light) < 0, "the far wall catches the light"


def test_pits_keep_clear_of_each_other():
    image = Image(np.full((300, 300), 150, dtype=np.uint8))
    generator = find("images", "pit")(pits=60, size=0.06, spread=0.2, highlight=0.0)
    for seed in range(3):
        edit = generator.edit(image, Rng(seed), only((300, 300), 150, 150))
        assert label(edit.alpha > 0)[1] == edit.stats["made"] > 15


def test_more_and_larger_pits_are_a_larger_mask():
    image = natural((200, 200))
    base = find("images", "pit")(pits=3, size=0.04, spread=0.3)(image, rng=5)
    for more in ({"pits": 12}, {"size": 0.1}):
        other = find("images", "pit")(**{"pits": 3, "size": 0.04, "spread": 0.3, **more})(image, rng=5)
        assert other.mask.sum() > 1.5 * base.mask.sum()


def test_droplets_follow_their_law():
    """Of a Pareto law cut at 1 / 0.12, the median over the largest is (1 + (0.12^-a - 1) / 2)^(-1 / a)."""
    image = np.full((2000, 2000), 150, dtype=np.uint8)
    generator = find("images", "spatter")(droplets=400, area=0.004, spread=0.45, exponent=1.0, strength=0.5)
    edit = generator.edit(Image(image), Rng(2), only((2000, 2000), 1000, 1000))
    pieces, count = label(edit.alpha > 0)
    assert 300 < count <= 400
    radii = np.sqrt(np.bincount(pieces.ravel())[1:] / np.pi)
    law = 1 / (1 + (1 / 0.12 - 1) / 2)
    assert np.median(radii) / radii.max() == pytest.approx(law, rel=0.25)
    assert edit.alpha.sum() / image.size == pytest.approx(0.004, rel=0.1)
    new = edit.pixels[:, :, 0][edit.alpha == 1]
    assert np.ptp(new) < 0.2, "one colour"


@pytest.mark.parametrize("name", ["stain", "rust", "spatter"])
def test_more_area_is_a_larger_mask(name):
    image = natural((200, 200))
    for seed in range(3):
        small, large = (find("images", name)(area=area)(image, rng=seed).mask.sum() for area in (0.01, 0.04))
        assert large > 2 * small


@pytest.mark.parametrize("name", BLOTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(17, 33), (8, 8, 3), (33, 70, 5)])
def test_small_and_odd_images(name, dtype, shape):
    value = np.random.default_rng(0).uniform(0.3, 0.7, shape)
    scale = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = (value * scale).astype(dtype)
    anomaly = find("images", name)()(image, rng=5)
    assert anomaly.sample.dtype == dtype
    assert (changed(image, anomaly.sample) == anomaly.mask).all()
