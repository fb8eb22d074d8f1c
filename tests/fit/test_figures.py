"""What is measured of a defect, on figures whose measures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from anosynth.fit.figures import figures_of
from anosynth.fit.rules import FOLLOWS, RULES, kind_of
from anosynth.generator import find
from anosynth.images._foreground import foreground
from anosynth.seeding import stream
from anosynth.toy.images import toy_image

ROWS, COLUMNS = np.mgrid[:200, :300].astype(float)


def bar(angle: float, length: float, width: float, centre=(100.5, 150.5)) -> np.ndarray:
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = COLUMNS - centre[1], ROWS - centre[0]
    return (np.abs(x * c + y * s) <= length / 2) & (np.abs(y * c - x * s) <= width / 2)


def one(mask, level=60.0, soft=0.0, part=None):
    base = np.full(mask.shape, 150.0)
    amount = gaussian_filter(mask.astype(float), soft) if soft else mask.astype(float)
    pixels = np.clip(base + level * amount + np.random.default_rng(0).normal(0, 1.5, mask.shape), 0, 255)
    found = figures_of(pixels.astype(np.uint8), mask, part)
    assert len(found) == 1
    return found[0]


def coloured(mask, levels):
    """Measure a change by channel on a greenish grey."""
    pixels = np.array([140.0, 150.0, 130.0]) + mask[:, :, None] * np.array(levels, dtype=float)
    grain = np.random.default_rng(0).normal(0, 1.5, (*mask.shape, 1))
    return figures_of(np.clip(pixels + grain, 0, 255).astype(np.uint8), mask, None)[0]


@pytest.mark.parametrize("angle", [0, 23, 45, 67, 90, -30])
def test_a_bar_is_measured_whichever_way_it_lies(angle):
    found = one(bar(angle, 120, 8), level=-50)
    assert found.length == pytest.approx(120 / 200, rel=0.08)
    assert found.width == pytest.approx(8 / 200, rel=0.15)
    assert found.elongation == pytest.approx(15, rel=0.12)
    assert abs((found.orientation - angle + 90) % 180 - 90) < 1
    assert found.bend < 0.1
    assert found.area == pytest.approx(120 * 8 / 60000, rel=0.08)
    assert found.contrast == pytest.approx(50 / 255, abs=0.02)
    assert (found.sign, kind_of(found)) == (-1, "scratch")
    assert found.branches < 1.3


@pytest.mark.parametrize("half", [0.5, 1.0, 1.4])
def test_an_arc_bends_by_half_its_turn(half):
    radius = 60.0
    turn = np.arctan2(COLUMNS - 150, ROWS - 30)
    away = np.hypot(COLUMNS - 150, ROWS - 30)
    found = one((np.abs(turn) <= half) & (np.abs(away - radius) <= 2.5))
    assert found.bend == pytest.approx(half, abs=0.2)
    assert found.length == pytest.approx(2 * half * radius / 200, rel=0.1)
    assert kind_of(found) == ("fibre" if half > 1.2 else kind_of(found))


def test_a_disc_is_round_and_its_kind_goes_by_size_and_sign():
    def disc(radius):
        return np.hypot(ROWS - 80, COLUMNS - 90) <= radius

    found = one(disc(5), level=-60)
    assert found.elongation == pytest.approx(1, abs=0.05)
    assert kind_of(found) == "pit"
    assert kind_of(one(disc(30), level=-60)) == "stain"
    for radius, tinted in ((5, "spatter"), (30, "smudge")):
        assert kind_of(one(disc(radius), level=60)) == "blank"
        assert kind_of(coloured(disc(radius), (60, 20, -20))) == tinted
        assert kind_of(coloured(disc(radius), (60, 55, 50))) == "blank"
    for levels, kind in (((-60, -50, -20), "stain"), ((-60, -50, 20), "smudge"), ((0, -60, -60), "rust")):
        assert kind_of(coloured(disc(30), levels)) == kind
    assert found.centre == pytest.approx((80 / 200, 90 / 300), abs=0.01)
    assert found.near is None


def test_softness_rises_with_blur_and_does_not_depend_on_a_loose_mask():
    disc = np.hypot(ROWS - 100, COLUMNS - 150) <= 30
    found = [one(disc, soft=soft).softness for soft in (0, 3, 6)]
    assert found[0] < 0.03
    assert found[0] < found[1] < found[2]
    loose = np.hypot(ROWS - 100, COLUMNS - 150) <= 33
    pixels = np.where(disc, 210, 150).astype(np.uint8)
    assert figures_of(pixels, loose, None)[0].softness < 0.05


def test_a_cross_has_branches():
    mask = bar(0, 140, 5) | bar(60, 90, 5) | bar(-60, 90, 5)
    assert kind_of(one(mask, level=-60)) == "crack"


def test_texture_is_the_spread_over_that_around():
    mask = bar(0, 60, 40)
    pixels = np.full(mask.shape, 150.0) + np.random.default_rng(1).normal(0, 3, mask.shape)
    pixels[mask] += np.random.default_rng(2).normal(0, 20, int(mask.sum()))
    found = figures_of(np.clip(pixels, 0, 255).astype(np.uint8), mask, None)[0]
    assert found.texture > 4
    assert kind_of(found) == "perlin-texture"


def test_what_lies_outside_of_the_part_is_a_chip_and_leans_into_it():
    disc = np.hypot(ROWS - 100, COLUMNS - 150) <= 80
    notch = bar(90, 50, 16, centre=(45, 150)) & (np.hypot(ROWS - 100, COLUMNS - 150) <= 80)
    pixels = np.where(disc & ~notch, 200, 30).astype(np.uint8)
    found = figures_of(pixels, notch, disc & ~notch)[0]
    assert found.outside == 1
    assert abs(found.lean) == pytest.approx(90, abs=3)
    assert kind_of(found) == "edge-chip"
    along = figures_of(pixels, bar(0, 50, 16, centre=(30, 150)), disc & ~bar(0, 50, 16, centre=(30, 150)))[0]
    assert along.lean == pytest.approx(0, abs=3)


PLATE = np.hypot(ROWS - 100, COLUMNS - 150) <= 80


def on_plate(defect, value, part):
    """Measure a defect of one tone on a bright plate (200) on a dark ground (30)."""
    pixels = np.where(PLATE, 200.0, 30.0) + np.random.default_rng(3).normal(0, 2, PLATE.shape)
    pixels[defect] += value - pixels[defect].mean()
    return figures_of(np.clip(pixels, 0, 255).astype(np.uint8), defect, part)[0]


@pytest.mark.parametrize("seen", [True, False])
def test_what_the_background_is_seen_through_is_a_hole_and_at_the_rim_a_chip(seen):
    inner, rim = (np.hypot(ROWS - 100, COLUMNS - column) <= 14 for column in (160, 222))
    # The foreground may be found with the hole in it or filled, and a little larger than the mask.
    wide = np.hypot(ROWS - 100, COLUMNS - 160) <= 16
    found = on_plate(inner, 30, PLATE & ~wide if seen else PLATE)
    assert (found.open, kind_of(found)) == (0, "hole")
    assert found.through > 0.95
    found = on_plate(rim & PLATE, 30, PLATE & ~rim if seen else PLATE)
    assert found.open == pytest.approx(0.4, abs=0.1)
    assert kind_of(found) == "edge-chip"
    assert kind_of(on_plate(inner, 120, PLATE & ~inner if seen else PLATE)) == "stain"


def test_black_is_a_hole_where_no_background_is_known_unless_all_is_dark():
    disc = np.hypot(ROWS - 80, COLUMNS - 90) <= 20
    for base, level, kind in ((150, -145, "hole"), (150, -110, "stain"), (50, -45, "stain")):
        pixels = base + level * disc + np.random.default_rng(4).normal(0, 1, disc.shape)
        found = figures_of(np.clip(pixels, 0, 255).astype(np.uint8), disc, None)[0]
        assert kind_of(found) == kind
        assert np.isnan(found.through)


def test_a_dark_line_to_the_rim_is_a_scratch():
    line = bar(0, 60, 6, centre=(100.5, 200.5)) & PLATE
    halves = np.where(ROWS < 100, 60, 240)
    pixels = np.where(line, halves, np.where(PLATE, 200, 30)).astype(np.uint8)
    found = figures_of(pixels, line, PLATE)[0]
    assert found.open > 0.1
    assert 0.2 < found.outside < 0.6
    assert kind_of(found) == "scratch"


def test_at_the_rim_a_defect_is_compared_with_the_part_and_not_with_the_ground():
    spot = (np.hypot(ROWS - 100, COLUMNS - 224) <= 10) & PLATE
    found = on_plate(spot, 170, PLATE)
    assert found.around == pytest.approx((200 / 255,), abs=0.01)
    assert found.colour == pytest.approx((-30 / 255,), abs=0.01)


def test_what_goes_on_as_around_it_is_a_missing_part():
    disc = np.hypot(ROWS - 80, COLUMNS - 90) <= 25
    weave = 150.0 + 30 * np.sign(np.sin(ROWS / 3) * np.sin(COLUMNS / 3))
    for shift, spread, kind in ((0, 0.5, "missing-part"), (0, 0.0, "missing-part"), (-25, 0.5, "stain")):
        inside = weave.mean() + shift + spread * (weave - weave.mean())
        found = figures_of(np.where(disc, inside, weave).astype(np.uint8), disc, None)[0]
        assert kind_of(found) == kind
    grain = np.random.default_rng(5).normal(0, 60, disc.shape)
    rough = np.clip(np.where(disc, 150 + grain, weave), 0, 255).astype(np.uint8)
    assert kind_of(figures_of(rough, disc, None)[0]) != "missing-part"


@pytest.mark.parametrize(
    ("kind", "defect", "generator"),
    [
        ("washer", "chip", "edge-chip"),
        ("washer", "scratch", "scratch"),
        ("tablet", "chip", "edge-chip"),
        ("tablet", "stain", "stain"),
        ("fabric", "stain", "stain"),
        ("fabric", "scratch", "scratch"),
    ],
)
def test_toy_defects_are_told_apart(kind, defect, generator):
    for number in range(4):
        pixels, mask = toy_image(kind, stream(3, "toy", str(number)), size=192, defect=defect)
        assert kind_of(figures_of(pixels, mask, foreground(pixels))[0]) == generator


def test_near_and_far_from_the_border():
    disc = np.hypot(ROWS - 100, COLUMNS - 150) <= 80
    spot = np.hypot(ROWS - 100, COLUMNS - 150) <= 6
    assert one(spot, part=disc).near is False
    spot = np.hypot(ROWS - 100, COLUMNS - 220) <= 6
    assert one(spot, part=disc).near is True


def test_pieces_of_one_line_are_one_and_crumbs_are_none():
    mask = bar(0, 100, 6)
    mask[:, 148:150] = False
    mask[10, 10] = True
    mask[150:153, 20:23] = True
    found = figures_of(np.full(mask.shape, 150, np.uint8), mask, None)
    assert len(found) == 1
    assert found[0].length == pytest.approx(0.5, rel=0.05)
    assert figures_of(np.full(mask.shape, 150, np.uint8), np.zeros_like(mask), None) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 1, 3, 5])
def test_every_kind_of_photo_is_measured(dtype, channels):
    mask = bar(20, 60, 20)
    full = {np.uint8: 255, np.uint16: 65535, np.float32: 1.0}[dtype]
    pixels = (np.where(mask, 0.3, 0.6) * full).astype(dtype)
    pixels = np.repeat(pixels[:, :, None], channels, 2) if channels else pixels
    before = pixels.copy()
    found = figures_of(pixels, mask, None)[0]
    assert found.contrast == pytest.approx(0.3, abs=0.01)
    assert found.colour == pytest.approx((-0.3,) * max(channels, 1), abs=0.01)
    assert np.array_equal(pixels, before)


def test_every_rule_has_a_generator_with_the_parameters_that_follow():
    assert set(RULES) == set(FOLLOWS)
    for name, follows in FOLLOWS.items():
        fields = find("images", name).model_fields
        for follow in follows:
            assert follow.parameter in fields
