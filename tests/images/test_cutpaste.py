from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from anosynth.images import Image
from anosynth.images.cutpaste import Cutpaste, jittered, recolouring, three_way, turned
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import Rng


def numbered(height: int, width: int) -> np.ndarray:
    """Every pixel has a colour of its own, and neighbours are far apart."""
    number = np.random.default_rng(0).permutation(height * width).reshape(height, width)
    return np.stack([number, number[::-1], number[:, ::-1]], axis=2).astype(np.uint16) * (60000 // (height * width))


def free_of(pixels: np.ndarray) -> np.ndarray:
    return np.ones(pixels.shape[:2], np.bool_)


def test_a_rectangle_is_a_copy_of_another_place():
    pixels = numbered(64, 96)
    for seed in range(30):
        edit = Cutpaste(mode="normal", jitter=0, area=0.05, aspect=2.0).edit(Image(pixels), Rng(seed), free_of(pixels))
        top, left, bottom, right = edit.stats["source"]
        assert (edit.box[0], edit.box[1]) != (top, left)
        assert (bottom - top, right - left) == (edit.box[2] - edit.box[0], edit.box[3] - edit.box[1])
        assert (np.rint(edit.pixels * 65535) == pixels[top:bottom, left:right]).all()
        assert (edit.alpha == 1).all()
        assert edit.stats["shift"] == 0


def test_the_paste_lands_where_the_mask_says():
    pixels = numbered(64, 96)
    generator = Cutpaste(mode="normal", jitter=0)
    anomaly = generator(pixels, rng=4)
    top, left, bottom, right = anomaly.stats["source"]
    rows, columns = np.flatnonzero(anomaly.mask.any(axis=1)), np.flatnonzero(anomaly.mask.any(axis=0))
    pasted = anomaly.sample[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert (pasted == pixels[top:bottom, left:right]).all()


@pytest.mark.parametrize(("shape", "aspect"), [((128, 512), 3.0), ((512, 128), 0.3), ((100, 100), 1.0)])
def test_area_and_aspect_hold_on_images_that_are_not_square(shape, aspect):
    pixels = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    covered = np.zeros(shape, np.bool_)
    for seed in range(60):
        edit = Cutpaste(mode="normal", area=0.08, aspect=aspect).edit(Image(pixels), Rng(seed), free_of(pixels))
        top, left, bottom, right = edit.box
        assert (bottom - top) * (right - left) / pixels.size == pytest.approx(0.08, rel=0.03)
        assert (right - left) / (bottom - top) == pytest.approx(aspect, rel=0.05)
        covered[top:bottom, left:right] = True
    assert covered.any(axis=0).mean() > 0.95, "some columns can never change"
    assert covered.any(axis=1).mean() > 0.95


def test_union_is_either_with_equal_probability():
    pixels = numbered(40, 40)
    image = Image(pixels)
    modes = [Cutpaste().edit(image, Rng(seed), free_of(pixels)).stats["mode"] for seed in range(400)]
    assert set(modes) == {"normal", "scar"}
    assert abs(modes.count("scar") - 200) < 50


def test_a_scar_has_its_width_and_length_at_any_angle():
    """Pixels with at least half of alpha cover the strip's area; its second moments are those of a rectangle."""
    pixels = np.random.default_rng(2).integers(0, 255, (256, 300)).astype(np.uint8)
    varied = Vary(Cutpaste, mode="scar", width=0.04, length=0.2)
    leans, told = [], []
    for seed in range(40):
        generator = varied.draw(Rng(seed))
        alpha = generator.edit(Image(pixels), Rng(seed), free_of(pixels)).alpha.astype(np.float64)
        assert alpha.sum() == pytest.approx(10 * 51, rel=0.02)
        row, column = np.indices(alpha.shape)
        y, x = row - (alpha * row).sum() / alpha.sum(), column - (alpha * column).sum() / alpha.sum()
        yy, xx, xy = ((alpha * a * b).sum() / alpha.sum() for a, b in ((y, y), (x, x), (x, y)))
        short, long = np.linalg.eigvalsh([[yy, xy], [xy, xx]])
        assert np.sqrt(12 * long) == pytest.approx(51, abs=1.0)
        assert np.sqrt(12 * short) == pytest.approx(10, abs=0.8)
        leans.append(0.5 * np.degrees(np.arctan2(2 * xy, xx - yy)) % 180)
        told.append(generator.orientation)
    assert np.allclose(leans, told, atol=1.5), "from right towards down"
    assert 45 <= min(told) < 65 < 115 < max(told) <= 135


def test_a_scar_that_is_not_turned_is_a_plain_copy():
    pixels = numbered(64, 64)
    edit = Cutpaste(mode="scar", orientation=90, jitter=0, width=0.1, length=0.2).edit(
        Image(pixels), Rng(1), free_of(pixels)
    )
    top, left, bottom, right = edit.stats["source"]
    assert (bottom - top, right - left) == (13, 6)
    inside = edit.alpha == 1
    assert inside.sum() == edit.alpha.sum() == 13 * 6
    cut = edit.pixels[inside].reshape(13, 6, 3)
    assert (np.rint(cut * 65535) == pixels[top:bottom, left:right]).all()


@pytest.mark.parametrize("degrees", [-45, -13, 0, 30, 45])
def test_turning_is_bilinear_as_scipy_has_it(degrees):
    piece = np.random.default_rng(3).random((17, 6, 2)).astype(np.float32)
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    size = (23, 21)
    pixels, alpha = turned(piece, sine, cosine, size)
    y, x = np.mgrid[0:23, 0:21] - np.array([11.0, 10.0])[:, None, None]
    where = np.stack([y * cosine - x * sine + 8, x * cosine + y * sine + 2.5])
    padded = np.pad(np.ones((17, 6)), 3)
    assert np.allclose(alpha, map_coordinates(padded, where + 3, order=1, mode="constant"), atol=1e-6)
    for channel in range(2):
        expected = map_coordinates(piece[:, :, channel].astype(np.float64), where, order=1, mode="nearest")
        assert np.allclose(pixels[:, :, channel], expected, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_jitter_is_bounded_and_none_is_none(channels):
    piece = np.random.default_rng(4).random((9, 8, channels)).astype(np.float32) * 0.5 + 0.25
    assert jittered(piece, 0, Rng(0)) is piece
    copy = piece.copy()
    changes = [np.abs(jittered(piece, 0.1, Rng(seed)) - piece).max() for seed in range(40)]
    assert (piece == copy).all()
    assert 0.01 < max(changes) < 0.5
    wide = [np.abs(jittered(piece, 0.4, Rng(seed)) - piece).mean() for seed in range(40)]
    narrow = [np.abs(jittered(piece, 0.05, Rng(seed)) - piece).mean() for seed in range(40)]
    assert np.mean(wide) > 4 * np.mean(narrow)


def test_channels_that_are_no_colours_are_jittered_one_by_one():
    """Each is an affine function of what it was; grey stays grey in three channels."""
    piece = np.random.default_rng(5).random((12, 12, 4)).astype(np.float32) * 0.4 + 0.3
    new = jittered(piece, 0.2, Rng(1))
    slopes = []
    for channel in range(4):
        slope, offset = np.polyfit(piece[:, :, channel].ravel(), new[:, :, channel].ravel(), 1)
        assert np.allclose(new[:, :, channel], slope * piece[:, :, channel] + offset, atol=1e-5)
        slopes.append(slope)
    assert np.ptp(slopes) > 0.01
    grey = np.repeat(piece[:, :, :1], 3, axis=2)
    assert np.ptp(jittered(grey, 0.3, Rng(1)), axis=2).max() < 1e-4


def test_turning_the_hue_keeps_the_luma():
    piece = np.random.default_rng(6).random((6, 6, 3)).astype(np.float32) * 0.2 + 0.4
    weights = np.array([0.299, 0.587, 0.114])
    for seed in range(10):
        new = jittered(piece, 0.2, Rng(seed))
        old_luma, new_luma = (part @ weights for part in (piece.astype(np.float64), new.astype(np.float64)))
        slope, offset = np.polyfit(old_luma.ravel(), new_luma.ravel(), 1)
        assert np.allclose(new_luma, slope * old_luma + offset, atol=1e-4)
        assert np.abs(new - piece).max() > 0.001


def test_jitter_is_brightness_then_contrast_then_saturation_and_hue():
    piece = np.random.default_rng(8).random((7, 9, 3)).astype(np.float32) * 0.3 + 0.35
    weights = np.array([0.299, 0.587, 0.114])
    for seed in range(8):
        rng = Rng(seed)
        brightness, contrast = 1 + 0.1 * (2 * rng.child("tone").random(2) - 1)
        saturation = 1 + 0.1 * rng.child("saturation").uniform(-1, 1)
        angle = 2 * np.pi * 0.1 * rng.child("hue").uniform(-1, 1)
        bright = piece.astype(np.float64) * brightness
        mean = (bright @ weights).mean()
        toned = mean + (bright - mean) * contrast
        expected = toned @ recolouring(saturation, angle).T
        assert np.allclose(jittered(piece, 0.1, rng), expected, atol=1e-5)


def test_recolouring_keeps_luma_and_grey_and_turns_back():
    weights = np.array([0.299, 0.587, 0.114])
    assert np.allclose(recolouring(1.0, 0.0), np.eye(3), atol=1e-5)
    for saturation, angle in ((0.7, 0.4), (1.4, -1.0)):
        matrix = recolouring(saturation, angle)
        assert np.allclose(weights @ matrix, weights, atol=1e-5)
        assert np.allclose(matrix.sum(axis=1), 1, atol=1e-5)
        assert np.allclose(matrix @ recolouring(1 / saturation, -angle), np.eye(3), atol=1e-4)
        assert np.linalg.det(matrix) == pytest.approx(saturation**2, rel=1e-4)


def test_small_images_have_another_place_for_every_strip():
    for shape in ((8, 8), (8, 30), (30, 8)):
        pixels = np.random.default_rng(7).integers(0, 255, shape).astype(np.uint8)
        for seed in range(20):
            anomaly = Cutpaste(mode="scar", width=0.5, length=1.0)(pixels, rng=seed)
            assert anomaly.mask.any()


def test_a_flat_image_records_the_shift_that_makes_the_paste_visible():
    flat = np.full((50, 60, 3), 250, np.uint8)
    anomaly = Cutpaste(mode="normal", jitter=0)(flat, rng=0)
    assert -0.12 <= anomaly.stats["shift"] <= -0.06
    assert anomaly.stats["contrast"] == pytest.approx(abs(anomaly.stats["shift"]), abs=0.003)


def test_the_three_classes_of_one_image():
    pixels = numbered(64, 80)
    image, cut, scar = three_way(pixels, rng=3)
    assert image is pixels
    assert (cut.stats["mode"], scar.stats["mode"]) == ("normal", "scar")
    assert cut.mask.mean() > 2 * scar.mask.mean()
    again = three_way(pixels, rng=3)
    assert (again[1].sample == cut.sample).all()
    assert (again[2].sample == scar.sample).all()
    assert (three_way(pixels, rng=4)[1].sample != cut.sample).any()
    assert three_way(pixels, rng=3, generator=Cutpaste(area=0.3))[1].mask.mean() > 0.25


def test_the_recipe_of_three_classes_tells_which_one_it_is():
    pixels = numbered(48, 48)
    modes = [Recipe.read("cutpaste-3way").draw(Rng(seed))(pixels, rng=seed).stats["mode"] for seed in range(60)]
    assert 15 < modes.count("scar") < 45
    assert set(modes) == {"normal", "scar"}


def test_a_tenth_of_jitter_turns_the_hue_by_up_to_36_degrees():
    """Torchvision's hue of 0.1, which the paper used, is a tenth of the circle."""
    red = np.full((4, 4, 3), (0.6, 0.4, 0.4), np.float32)
    weights = np.array([[0.595901, -0.274557, -0.321344], [0.211537, -0.522736, 0.311199]])
    turns = []
    for seed in range(200):
        (i0, q0), (i1, q1) = (
            weights @ colour[0, 0].astype(np.float64) for colour in (red, jittered(red, 0.1, Rng(seed)))
        )
        turns.append(np.degrees(np.arctan2(i0 * q1 - q0 * i1, i0 * i1 + q0 * q1)))
    assert 30 < np.abs(turns).max() <= 36.01
    assert np.abs(np.mean(turns)) < 5


def test_lengths_and_areas_with_units():
    pixels = numbered(90, 60)
    edit = Cutpaste(mode="normal", area="600px2").edit(Image(pixels), Rng(0), free_of(pixels))
    assert edit.alpha.size == pytest.approx(600, rel=0.05)
    scar = Cutpaste(mode="scar", width="5px", length="2mm").edit(Image(pixels, mm_per_px=0.1), Rng(0), free_of(pixels))
    assert scar.alpha.sum() == pytest.approx(5 * 20, rel=0.02)
