"""Shuffled structure: tiles and strips of the image itself, blended in where told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import NotMade
from anosynth.images import Image, Structure
from anosynth.seeding import as_rng

PLAIN = {"augment": "none", "blend": 1.0}


def numbered(height=64, width=72):
    """A float image on which each pixel tells its place; steps between tiles are far above the floor."""
    row, column = np.mgrid[:height, :width]
    return np.stack([row / height, column / width], axis=2).astype(np.float32)


def places(after, height, width):
    return np.rint(after * (height, width)).astype(int)


def test_all_of_the_image_in_other_tiles():
    height, width = 67, 74
    after = Structure(region="foreground", **PLAIN)(numbered(height, width), rng=1).sample
    tall, wide = height // 8, width // 8
    source = places(after, height, width)
    tiles = source[: 8 * tall, : 8 * wide].reshape(8, tall, 8, wide, 2)
    corner = tiles[:, 0, :, 0]
    assert (corner % (tall, wide) == 0).all()
    inner = np.stack(np.mgrid[:tall, :wide], axis=2)
    assert (tiles == corner[:, None, :, None] + inner[None, :, None]).all()
    assert len({tuple(one) for one in corner.reshape(-1, 2).tolist()}) == 64
    rest = np.ones((height, width), bool)
    rest[: 8 * tall, : 8 * wide] = False
    assert (after[rest] == numbered(height, width)[rest]).all()


def test_strips_move_whole_rows_and_columns_by_even_numbers():
    height, width = 64, 72
    source = places(Structure(shuffle="strips", region="foreground", **PLAIN)(numbered(), rng=4).sample, height, width)
    assert (source[:, :, 0] == source[:, :1, 0]).all()
    assert (source[:, :, 1] == source[:1, :, 1]).all()
    for axis, size in ((0, height // 8), (1, width // 8)):
        line = source[:, 0, 0] if axis == 0 else source[0, :, 1]
        strips = line.reshape(8, size) // size
        assert (strips == strips[:, :1]).all()
        assert (strips[:, 0] % 2 == np.arange(8) % 2).all()
        assert sorted(strips[:, 0].tolist()) == list(range(8))


@settings(max_examples=40)
@given(
    st.integers(8, 50),
    st.integers(8, 50),
    st.integers(2, 64),
    st.sampled_from(["grid", "strips"]),
    st.integers(0, 2**32),
)
def test_every_new_pixel_is_one_of_the_image(height, width, grid, shuffle, seed):
    before = numbered(height, width)
    before.setflags(write=False)
    generator = Structure(grid=grid, shuffle=shuffle, region="foreground", **PLAIN)
    try:
        after = generator(before, rng=seed).sample
    except NotMade:
        return
    # Where the shuffle can hardly be seen, on tiles of a pixel or two, brightness is shifted as a whole.
    if after.max() <= before.max() and after.min() >= before.min():
        # Blending by old + 1 * (new - old) rounds, hence not bit by bit.
        np.testing.assert_allclose(places(after, height, width) / (height, width), after, atol=1e-6)


def test_the_foreground_bounds_it():
    foreground = np.zeros((64, 72), bool)
    foreground[20:50, 10:60] = True
    foreground[30:35, 20:25] = False
    whole = Structure(region="foreground", mask="region", **PLAIN)(Image(numbered(), foreground), rng=1)
    assert (whole.mask == foreground).all()
    for seed in range(5):
        anomaly = Structure()(Image(numbered(), foreground), rng=seed)
        assert not (anomaly.mask & ~foreground).any()
        assert 0 < anomaly.mask.sum() < foreground.sum()


def test_area_and_blend_are_what_was_asked():
    before = numbered()
    for seed in range(8):
        full = Structure(area=0.1, mask="region", **PLAIN)(before, rng=seed)
        assert full.mask.sum() == round(0.1 * before[:, :, 0].size)
        half = Structure(area=0.1, mask="region", augment="none", blend=0.5)(before, rng=seed)
        np.testing.assert_allclose(half.sample - before, 0.5 * (full.sample - before), atol=1e-6)


def test_in_a_perlin_mask_it_is_the_shuffle_of_the_whole_image():
    """Whether a pixel is replaced depends on the mask, what it is replaced by does not."""
    before = numbered()
    small, large = (Structure(area=area, mask="region", **PLAIN)(before, rng=3) for area in (0.05, 0.3))
    assert not (small.mask & ~large.mask).any()
    assert (small.sample[small.mask] == large.sample[small.mask]).all()


@pytest.mark.parametrize("shuffle", ["grid", "strips"])
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("augment", ["none", "draem"])
def test_a_flat_image_gets_a_visible_defect(shuffle, level, augment):
    before = np.full((48, 40, 3), level, np.uint8)
    for seed in range(4):
        anomaly = Structure(shuffle=shuffle, augment=augment, blend=0.2)(before, rng=seed)
        assert anomaly.stats["contrast"] >= 4 / 255
        assert anomaly.mask.sum() >= 8


def test_a_second_defect_where_all_is_taken_is_refused():
    with pytest.raises(NotMade, match="earlier defects of this sample cover the foreground"):
        Structure(region="foreground", instances=2)(numbered(), rng=0)


def test_streams():
    before = numbered()
    first, again, other = (Structure()(before, rng=as_rng(seed)).sample for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()
