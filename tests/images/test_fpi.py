from __future__ import annotations

import numpy as np
import pytest

from anosynth.errors import ParameterError
from anosynth.images import Image
from anosynth.images.fpi import Fpi
from anosynth.seeding import Rng


def grained(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, channels)).astype(np.float32)


def find_mirror(there: np.ndarray, source: np.ndarray) -> int:
    flips = [source, source[::-1], source[:, ::-1], source[::-1, ::-1]]
    return next(k for k, flip in enumerate(flips) if (flip == there).all())


@pytest.mark.parametrize("blend", [0.05, 0.3, 0.95, 1.0])
def test_the_patch_is_the_stated_mixture(blend):
    pixels = grained(60, 80)
    for seed in range(5):
        anomaly = Fpi(blend=blend, width=0.3)(pixels, rng=seed)
        assert anomaly.stats["label"] == blend
        assert anomaly.stats["shift"] == 0
        top, left, bottom, right = anomaly.stats["source"]
        assert bottom - top == right - left == 18
        source = pixels[top:bottom, left:right]
        rows, columns = np.nonzero(anomaly.sample.any(axis=2) & anomaly.mask)
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        here, after = pixels[box], anomaly.sample[box]
        assert here.shape == source.shape
        flips = [source[::-1], source[:, ::-1], source[::-1, ::-1]]
        seen = anomaly.mask[box]
        assert any(np.allclose(after[seen], ((1 - blend) * here + blend * flip)[seen], atol=1e-5) for flip in flips)


def test_all_mirrors_but_none_and_other_places_occur():
    pixels = grained(40, 40)
    mirrors = []
    for seed in range(200):
        edit = Fpi(width=0.2).edit(Image(pixels), Rng(seed), np.ones((40, 40), np.bool_))
        top, left, bottom, right = edit.stats["source"]
        assert (top, left) != edit.box[:2]
        mirrors.append(find_mirror(edit.pixels, pixels[top:bottom, left:right]))
    counts = np.bincount(mirrors, minlength=4)
    assert counts[0] == 0
    assert counts[1:].min() > 40


def test_the_effect_is_proportional_to_the_blend():
    pixels = grained(64, 64, 1)
    weak, strong = (Fpi(blend=blend, mask="region")(pixels, rng=3) for blend in (0.25, 0.75))
    assert (weak.mask == strong.mask).all()
    assert np.allclose(3 * weak.effect, strong.effect, atol=1e-5)


def test_squares_keep_their_size_at_borders_and_in_narrow_images():
    for shape in ((20, 200), (200, 20)):
        pixels = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
        for seed in range(30):
            edit = Fpi(width=0.4).edit(Image(pixels), Rng(seed), np.ones(shape, np.bool_))
            assert edit.alpha.shape == (8, 8)
            assert 0 <= edit.box[0] < edit.box[2] <= shape[0]
            assert 0 <= edit.box[1] < edit.box[3] <= shape[1]


def test_a_faint_blend_is_seen_on_a_flat_image():
    flat = np.full((64, 64), 128, np.uint8)
    anomaly = Fpi(blend=0.05, width=0.25)(flat, rng=0)
    assert anomaly.mask.sum() == 16 * 16
    assert 0.055 <= anomaly.stats["contrast"] <= 0.125


def test_soft_edges_fade():
    pixels = grained(64, 64)
    hard, soft = (
        Fpi(blend=0.8, width=0.4, softness=softness).edit(Image(pixels), Rng(2), np.ones((64, 64), np.bool_)).alpha
        for softness in (0.0, 1.0)
    )
    assert (hard == np.float32(0.8)).all()
    assert soft.max() == pytest.approx(0.8, rel=0.02)
    assert soft[0].max() < 0.1


def test_a_blend_of_nothing_is_refused():
    with pytest.raises(ParameterError, match=r"`blend`: 0\.0: must be >= 0\.05"):
        Fpi(blend=0.0)
