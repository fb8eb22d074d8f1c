"""Scratch, crack and fibre: what their parameters promise, read off the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from anosynth.errors import NotMade
from anosynth.generator import find
from anosynth.images import Image
from anosynth.seeding import Rng

STROKES = ["scratch", "crack", "fibre"]
KINDS = {"black": 0, "grey": 128, "white": 255}


def natural(shape=(120, 150), channels=3, level=0.5, seed=0):
    """A shaded, textured image whose pixels keep clear of black and white."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    value = level + 0.08 * np.sin(x / 17) * np.cos(y / 23)
    value = value[:, :, None] + np.random.default_rng(seed).normal(0, 0.01, (*shape, channels))
    return np.clip(value * 255, 0, 255).round().astype(np.uint8)


def axes(mask):
    """Standard deviation along and across a mask's main axis, and that axis in degrees from the rows' direction."""
    y, x = np.nonzero(mask)
    cov = np.cov(np.stack([x, y]).astype(float))
    values, vectors = np.linalg.eigh(cov)
    return *np.sqrt(np.maximum(values[::-1], 1e-9)), np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180


def changed(before, after):
    different = before != after
    return different.any(axis=2) if different.ndim == 3 else different


@pytest.mark.parametrize("name", STROKES)
@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("shape", [(90, 130), (90, 130, 3), (61, 47, 5)])
def test_flat_images_get_a_visible_defect(name, kind, shape):
    image = np.full(shape, KINDS[kind], dtype=np.uint8)
    for seed in range(3):
        anomaly = find("images", name)()(image, rng=seed)
        assert (changed(image, anomaly.sample) == anomaly.mask).all()
        assert anomaly.stats["contrast"] > 0.04
        assert anomaly.stats["attempts"] <= 3


@pytest.mark.parametrize("name", STROKES)
def test_more_strength_is_more_effect(name):
    image = natural(level=0.6)
    for seed in range(4):
        totals = [np.abs(find("images", name)(strength=s)(image, rng=seed).effect).sum() for s in (0.05, 0.1, 0.2, 0.4)]
        assert (np.diff(totals) > 0).all(), totals
        assert totals[-1] > 2 * totals[0]


@pytest.mark.parametrize("name", STROKES)
@pytest.mark.parametrize("parameter", ["length", "width"])
def test_longer_and_wider_is_a_larger_mask(name, parameter):
    small, large = {"length": (0.2, 0.6), "width": (0.01, 0.04)}[parameter]
    image = natural()
    free_of_border = np.zeros(image.shape[:2], dtype=bool)
    free_of_border[58:62, 73:77] = True
    generator = find("images", name)
    areas = {}
    for value in (small, large):
        edits = [generator(**{parameter: value}).edit(Image(image), Rng(seed), free_of_border) for seed in range(6)]
        areas[value] = np.mean([(edit.alpha > 0).sum() for edit in edits])
    assert areas[large] > 1.6 * areas[small]


def test_a_scratch_is_as_long_as_asked_and_lies_as_asked():
    image = natural((200, 200))
    centre = np.zeros((200, 200), dtype=bool)
    centre[100, 100] = True
    for seed in range(8):
        generator = find("images", "scratch")(length=0.5, bend=0.0, strength=0.4, orientation=40.0 * seed - 150.0)
        edit = generator.edit(Image(image), Rng(seed), centre)
        top, left, bottom, right = edit.box
        mask = np.zeros((200, 200), dtype=bool)
        mask[top:bottom, left:right] = edit.alpha > 0
        along, across, angle = axes(mask)
        # A rod of length l has a standard deviation of l / sqrt(12); its faint tips fall away.
        assert 80 < along * np.sqrt(12) < 104
        assert along > 20 * across
        off = abs(angle - generator.orientation) % 180
        assert min(off, 180 - off) < 2


def test_bend_bends():
    image = Image(natural((200, 200)))
    centre = np.zeros((200, 200), dtype=bool)
    centre[100, 100] = True
    for name in ("scratch", "fibre"):
        spread = {}
        for bend in (0.0, 1.5):
            edits = [find("images", name)(length=0.6, bend=bend).edit(image, Rng(s), centre) for s in range(5)]
            spread[bend] = np.mean([axes(edit.alpha > 0)[1] for edit in edits])
        assert spread[1.5] > 3 * spread[0.0]


@pytest.mark.parametrize(("polarity", "sign"), [("dark", -1), ("light", 1)])
def test_a_scratch_has_a_core_and_an_edge_of_the_other_sign(polarity, sign):
    image = np.full((160, 160), 128, dtype=np.uint8)
    anomaly = find("images", "scratch")(polarity=polarity, width=0.03, highlight=0.6)(image, rng=1)
    core, edge = sign * anomaly.effect > 0, sign * anomaly.effect < 0
    assert core.sum() > edge.sum() > 0.2 * core.sum()
    assert np.abs(anomaly.effect[core]).max() > np.abs(anomaly.effect[edge]).max()
    assert anomaly.mask[edge].all(), "the edge belongs to the mask"
    # One side only: the middles of the two lie a width apart, while those of two edges would coincide with the core's.
    offset = np.mean(np.nonzero(core), axis=1) - np.mean(np.nonzero(edge), axis=1)
    assert np.hypot(*offset) > 1.5
    plain = find("images", "scratch")(polarity=polarity, width=0.03, highlight=0.0)(image, rng=1)
    assert (sign * plain.effect >= 0).all()
    assert plain.mask.sum() < anomaly.mask.sum()


def test_auto_polarity_goes_where_there_is_room():
    for level, sign in ((25, 1), (230, -1)):
        image = np.full((100, 100, 3), level, dtype=np.uint8)
        for seed in range(5):
            anomaly = find("images", "scratch")(highlight=0.0)(image, rng=seed)
            assert (sign * anomaly.effect >= 0).all()


def test_a_crack_with_branches_is_one_piece_and_dark():
    from scipy.ndimage import label

    image = natural((220, 220), level=0.7)
    centre = np.zeros((220, 220), dtype=bool)
    centre[110, 110] = True
    for seed in range(4):
        generator = find("images", "crack")(branches=5, width=0.015, length=0.5)
        edit = generator.edit(Image(image), Rng(seed), centre)
        pieces, count = label(edit.alpha > 0, structure=np.ones((3, 3)))
        assert np.bincount(pieces.ravel())[1:].max() > 0.95 * (pieces > 0).sum(), count
        assert (edit.pixels[edit.alpha > 0] <= Image(image).crop(edit.box)[edit.alpha > 0]).all()
        fewer = find("images", "crack")(branches=0, width=0.015, length=0.5).edit(Image(image), Rng(seed), centre)
        assert (fewer.alpha > 0).sum() < (edit.alpha > 0).sum()


def test_a_fibre_hides_the_texture_and_throws_a_shadow():
    image = natural((200, 200), level=0.8)
    with_shadow = find("images", "fibre")(width=0.03, shadow=0.8)(image, rng=4)
    without = find("images", "fibre")(width=0.03, shadow=0.0)(image, rng=4)
    extra = with_shadow.mask & ~without.mask
    assert extra.sum() > 0.3 * without.mask.sum()
    assert (with_shadow.effect[extra] < 0).all()
    core = without.effect < np.quantile(without.effect[without.mask], 0.3)
    assert image[core].std(axis=0).mean() > 3
    assert without.sample[core].std(axis=0).mean() < image[core].std(axis=0).mean() + 4


@pytest.mark.parametrize("name", STROKES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(17, 33), (8, 8, 3), (33, 70, 5)])
def test_small_and_odd_images(name, dtype, shape):
    value = np.random.default_rng(0).uniform(0.3, 0.7, shape)
    scale = 1 if dtype is np.float32 else np.iinfo(dtype).max
    image = (value * scale).astype(dtype)
    anomaly = find("images", name)()(image, rng=5)
    assert anomaly.sample.dtype == dtype
    assert (changed(image, anomaly.sample) == anomaly.mask).all()


@pytest.mark.parametrize("name", STROKES)
def test_the_foreground_is_kept_to(name):
    image = natural()
    foreground = np.zeros(image.shape[:2], dtype=bool)
    foreground[30:80, 40:110] = True
    anomaly = find("images", name)(instances=2)(Image(image, foreground), rng=2)
    assert anomaly.mask.any()
    assert not anomaly.mask[~foreground].any()
    with pytest.raises(NotMade):
        find("images", name)()(Image(image, np.zeros_like(foreground)), rng=2)
