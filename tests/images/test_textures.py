"""Textures made on the spot or read from a folder, and the operators, against their definitions."""

from __future__ import annotations

import colorsys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scipy import stats

from anosynth.errors import DataError, ParameterError
from anosynth.images import _augment as ops
from anosynth.images._shuffle import grid_places, strip_places
from anosynth.images._textures import TextureFolder, texture, texture_folder
from anosynth.seeding import as_rng

KINDS = ("fractal", "stripes", "weave", "cells", "speckle")


def picture(seed=0, shape=(24, 31, 3)):
    """Eight-bit levels as fractions, all values near every threshold."""
    return (np.random.default_rng(seed).integers(0, 256, shape) / 255).astype(np.float32)


def by_pillow(x, function):
    image = Image.fromarray(np.rint(x * 255).astype(np.uint8))
    return np.asarray(function(image)).astype(np.float32) / 255


# Made on the spot.


@settings(max_examples=40)
@given(st.sampled_from(("any", *KINDS)), st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_a_texture_of_any_size_and_number_of_channels(kind, height, width, channels, seed):
    made = texture(kind, (height, width), channels, as_rng(seed))
    assert made.shape == (height, width, channels)
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert made.tobytes() == texture(kind, (height, width), channels, as_rng(seed)).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_texture_has_contrast_and_seeds_differ(kind):
    made = [texture(kind, (96, 120), 3, as_rng(seed)) for seed in range(12)]
    assert all(one.std(axis=(0, 1)).max() > 0.03 for one in made)
    assert len({one.tobytes() for one in made}) == 12


def test_any_is_each_kind_equally_often():
    seen: Counter[str] = Counter()
    for seed in range(200):
        made = texture("any", (8, 8), 1, as_rng(seed)).tobytes()
        (kind,) = [one for one in KINDS if texture(one, (8, 8), 1, as_rng(seed)).tobytes() == made]
        seen[kind] += 1
    assert stats.chisquare([seen[kind] for kind in KINDS]).pvalue > 1e-3


def test_kinds_differ_in_grain():
    """Speckle has no neighbours alike, fractal has."""

    def likeness(kind):
        grey = texture(kind, (128, 128), 1, as_rng(3))[:, :, 0]
        return np.corrcoef(grey[:, 1:].ravel(), grey[:, :-1].ravel())[0, 1]

    assert likeness("fractal") > 0.9
    assert likeness("speckle") < 0.9


# A folder.


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    for number, name in enumerate(("b/x.png", "a.PNG", "c.bmp", "b/y.png")):
        pixels = np.full((10, 20, 3), 10 * number, dtype=np.uint8)
        pixels[:, 10:, 0] = 255
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_folder_is_sorted_by_posix_path(folder):
    assert TextureFolder(folder).names == ["a.PNG", "b/x.png", "b/y.png", "c.bmp"]


def test_a_draw_is_uniform_and_new_pictures_take_only_what_is_theirs(folder):
    old = TextureFolder(folder)
    drawn = [old.choose(as_rng(seed)) for seed in range(2000)]
    assert stats.chisquare(list(Counter(drawn).values())).pvalue > 1e-3
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(folder / "aa.png")
    again = [TextureFolder(folder).choose(as_rng(seed)) for seed in range(2000)]
    moved = [new for was, new in zip(drawn, again, strict=True) if was != new]
    assert set(moved) == {"aa.png"}
    assert 300 < len(moved) < 500


def test_a_picture_is_stretched_over_the_image(folder):
    source = TextureFolder(folder)
    whole = source.crop("b/x.png", (40, 40), (0, 0, 40, 40), 3)
    assert whole.shape == (40, 40, 3)
    assert (whole[:, :18, 0] == 0).all()
    assert (whole[:, 22:, 0] == 1).all()
    part = source.crop("b/x.png", (40, 40), (5, 12, 30, 33), 3)
    np.testing.assert_allclose(part, whole[5:30, 12:33], atol=1.5 / 255)


def test_channels_of_a_folder(folder):
    source = TextureFolder(folder)
    five = source.crop("c.bmp", (8, 8), (0, 0, 8, 8), 5)
    assert (five[:, :, 3] == five[:, :, 0]).all()
    assert (five[:, :, 4] == five[:, :, 1]).all()
    one = source.crop("a.PNG", (8, 8), (0, 5, 8, 8), 1)
    np.testing.assert_allclose(one, (255 * 0.299 + 10 * 0.701) / 255, atol=1.5 / 255)


def test_sixteen_bits_keep_their_order(tmp_path):
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert (TextureFolder(tmp_path).pixels("deep.png")[:, :, 0] == deep // 257).all()


def test_only_some_pictures_are_kept(tmp_path):
    for number in range(40):
        Image.fromarray(np.full((4, 4, 3), number, np.uint8)).save(tmp_path / f"{number:02}.png")
    source = TextureFolder(tmp_path)
    for name in source.names:
        source.pixels(name)
    assert len(source._kept) == 32
    assert (source.pixels("00.png") == 0).all()


def test_folders_that_are_none(tmp_path, folder):
    with pytest.raises(ParameterError, match=r"`textures`: .*gone: is not a folder"):
        texture_folder(str(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match=r"`textures`: .*empty: holds no pictures"):
        TextureFolder(tmp_path / "empty")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(DataError, match=r"broken\.png: cannot be read as a picture"):
        TextureFolder(folder).pixels("broken.png")


# Operators.


def test_operators_equal_pillow():
    x = picture()
    x[:, :, 1] = x[:, :, 1] * 0.5 + 0.2
    x = np.rint(x * 255).astype(np.float32) / 255
    np.testing.assert_allclose(ops.equalize(x), by_pillow(x, ImageOps.equalize), atol=1e-6)
    np.testing.assert_allclose(ops.autocontrast(x), by_pillow(x, ImageOps.autocontrast), atol=1.01 / 255)
    np.testing.assert_allclose(ops.invert(x), by_pillow(x, ImageOps.invert), atol=1e-6)
    for threshold in (32, 128):
        mine = ops.solarize(x, threshold / 255)
        np.testing.assert_allclose(mine, by_pillow(x, lambda p, t=threshold: ImageOps.solarize(p, t)), atol=1e-6)
    for bits in (1, 4, 8):
        np.testing.assert_allclose(
            ops.posterize(x, bits), by_pillow(x, lambda p, b=bits: ImageOps.posterize(p, b)), atol=1e-6
        )
    for factor in (0.0, 1.0, 2.5):
        sharp = by_pillow(x, lambda p, f=factor: ImageEnhance.Sharpness(p).enhance(f))
        # Pillow leaves the border as it is and rounds the smoothed image.
        np.testing.assert_allclose(ops.sharpness(x, factor)[1:-1, 1:-1], sharp[1:-1, 1:-1], atol=3 / 255)


def test_contrast_and_grey_equal_pillow():
    x = picture(1)
    np.testing.assert_allclose(ops.grey(x)[:, :, 0], by_pillow(x, lambda p: p.convert("L")), atol=1.5 / 255)
    for factor in (0.5, 1.7):
        other = by_pillow(x, lambda p, f=factor: ImageEnhance.Contrast(p).enhance(f))
        np.testing.assert_allclose(ops.contrast(x, factor), other, atol=2 / 255)


@pytest.mark.parametrize(("turn", "factor", "shift"), [(0, 1, 0), (0.2, 1, 0), (-0.15, 1.3, 0), (0.5, 1, -0.2)])
def test_hue_and_saturation_equal_colorsys(turn, factor, shift):
    x = picture(2, (6, 7, 3))
    x[0, 0] = x[0, 0, 0]
    x[0, 1] = 0
    expected = np.zeros_like(x)
    for place in np.ndindex(6, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*x[place].tolist())
        saturation = min(max(saturation * factor + shift, 0), 1) if saturation > 0 else 0
        expected[place] = colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)
    np.testing.assert_allclose(ops.hue_saturation(x, turn, factor, shift), expected, atol=1e-5)


def test_hue_of_other_than_three_channels_stays():
    x = picture(2, (6, 7, 4))
    assert (ops.hue_saturation(x, 0.3) == x).all()


def test_gamma_and_brightness():
    x = picture(3, (9, 9, 2))
    np.testing.assert_allclose(ops.gamma(x, [0.5, 2.0]), x ** np.array([0.5, 2.0]), atol=0.012)
    np.testing.assert_allclose(ops.gamma(x, [1.0, 1.0]), x, atol=1.3e-4)
    np.testing.assert_allclose(ops.brightness(x, 1.2, -0.1), np.clip(1.2 * x - 0.1, 0, 1), atol=1e-6)


def test_rotation_by_a_right_angle_and_back():
    x = picture(4, (21, 21, 2))
    np.testing.assert_allclose(ops.rotate(x, 0), x, atol=1e-6)
    quarter = ops.rotate(x, 90)
    inner = (slice(1, -1), slice(1, -1))
    turned = [np.rot90(x, k) for k in (1, 3)]
    assert min(np.abs(quarter[inner] - one[inner]).max() for one in turned) < 1e-5
    assert (ops.rotate(np.ones((20, 20, 1), np.float32), 45)[0, 0] == 0).all()


@pytest.mark.parametrize("name", ["draem", "onenip", "glass", "anomalib"])
@pytest.mark.parametrize("shape", [(2, 2, 1), (17, 9, 3), (8, 30, 5)])
def test_sets_of_operators_keep_shape_and_range(name, shape):
    x = picture(5, shape)
    before = x.copy()
    number = 9 if name == "glass" else 10
    assert len(ops.OPERATORS[name]) == number
    seen: Counter[str] = Counter()
    for seed in range(60):
        made, names = ops.augmented(x, as_rng(seed), name)
        assert made.shape == shape
        assert made.dtype == np.float32
        assert made.min() >= 0
        assert made.max() <= 1
        assert len(set(names)) == 3
        seen.update(names)
    assert (x == before).all()
    assert set(seen) == set(ops.OPERATORS[name])


def test_operators_are_applied_in_drawn_order():
    x = picture(6)
    for seed in range(20):
        made, names = ops.augmented(x, as_rng(seed), "draem")
        step = x
        for name in names:
            step = ops.OPERATORS["draem"][name](step, as_rng(seed).child(name), slice(None))
        assert (made == step).all()
    same, names = ops.augmented(x, as_rng(0), "none")
    assert same is x
    assert names == []


# Shuffles.


@given(st.integers(8, 70), st.integers(8, 70), st.integers(2, 12), st.integers(0, 2**32))
def test_a_shuffle_moves_whole_tiles_and_loses_no_pixel(height, width, grid, seed):
    rows, columns = grid_places((height, width), grid, as_rng(seed))
    place = rows * width + columns
    assert (np.sort(place.ravel()) == np.arange(height * width)).all()
    down, across = min(grid, height), min(grid, width)
    tall, wide = height // down, width // across
    own = np.arange(height * width).reshape(height, width)
    assert (place[down * tall :] == own[down * tall :]).all()
    assert (place[:, across * wide :] == own[:, across * wide :]).all()
    tiles = place[: down * tall, : across * wide].reshape(down, tall, across, wide)
    first = tiles[:, :1, :, :1]
    inner = np.arange(tall)[:, None] * width
    assert (tiles - first == inner[None, :, None] + np.arange(wide)).all()


@given(st.integers(8, 70), st.integers(2, 12), st.integers(0, 2**32))
def test_strips_keep_their_parity(size, strips, seed):
    rows, columns = strip_places((size, 2 * size), strips, as_rng(seed))
    for axis, place in enumerate((rows[:, 0], columns[0])):
        length = size * (axis + 1)
        number = min(strips, length)
        wide = length // number
        assert (np.sort(place) == np.arange(length)).all()
        assert (place[number * wide :] == np.arange(number * wide, length)).all()
        assert (place[: number * wide] // wide % 2 == np.arange(number * wide) // wide % 2).all()
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()


def test_tiles_go_anywhere():
    seen = Counter(int(grid_places((8, 8), 2, as_rng(seed))[0][0, 0]) for seed in range(400))
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3
    assert set(seen) == {0, 4}


@pytest.mark.parametrize("name", ["draem", "onenip", "glass", "anomalib"])
def test_operators_at_some_places_do_there_what_they_do_everywhere(name):
    """The whole is small enough to be asked as a whole, so that nothing differs but rounding."""
    x = picture(3)
    places = np.flatnonzero(np.random.default_rng(0).random(x.shape[:2]) < 0.2)
    seen = set()
    for seed in range(25):
        whole, names = ops.augmented(x, as_rng(seed), name)
        some, again = ops.augmented(x, as_rng(seed), name, places=places)
        assert names == again
        assert some.shape == whole.shape
        off = np.abs(some - whole).reshape(-1, x.shape[2])[places]
        # Where rounding meets a step of a table, single pixels may fall on its other side.
        assert (off.max(axis=1) < 1e-5).mean() > 0.98
        seen |= set(names)
    assert seen == set(ops.OPERATORS[name])
