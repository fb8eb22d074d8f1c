"""Lengths and areas in pixels and millimetres, and what is far too large or too small for a photo."""

from __future__ import annotations

import contextlib
import math
import typing

import numpy as np
import pytest

from anosynth.errors import NotMade, ParameterError
from anosynth.generator import find
from anosynth.images import Image
from anosynth.images._strokes import stroke_size
from anosynth.params import extra_of

SIDE = 128
NAMES = (
    *("blank", "crack", "dent", "edge-chip", "fibre", "missing-part", "mosaic", "noise-patch", "pit", "rust"),
    *("scratch", "smudge", "spatter", "stain", "warp"),
)
LENGTHS = {"length", "width", "size", "spread", "grain", "cell", "scale"}


def photo(mm_per_px: float | None = None, side: int = SIDE) -> Image:
    row, column = np.mgrid[0:side, 0:side]
    inside = np.hypot(row - side / 2, column - side / 2) < 0.4 * side
    value = 0.35 + 0.3 * inside + 0.12 * np.sin(row / 5) * np.cos(column / 6)
    value = value + np.random.default_rng(0).normal(0, 0.01, value.shape)
    return Image(np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8), inside, mm_per_px=mm_per_px)


def measured(name: str) -> list[str]:
    """The fields that take a unit."""
    fields = find("images", name).model_fields
    return [key for key, field in fields.items() if typing.get_args(field.annotation) == (float, str)]


PAIRS = [(name, key) for name in NAMES for key in measured(name)]


def plain(name: str, key: str) -> float:
    """A power of two near the default: on 128 pixels no unit can round it."""
    return 2.0 ** round(math.log2(find("images", name).model_fields[key].default))


@pytest.mark.parametrize("name", NAMES)
def test_every_length_and_every_area_takes_a_unit(name):
    fields = find("images", name).model_fields
    lengths = {key for key in fields if key in LENGTHS}
    assert set(measured(name)) == lengths | ({"area"} & set(fields))
    assert measured(name)
    for key in measured(name):
        assert extra_of(fields[key])["exclusiveMinimum" if key != "spread" or name != "pit" else "minimum"] == 0
        assert extra_of(fields[key])["unit"] == ("of the image" if key == "area" else "of the shorter side")


@pytest.mark.parametrize(("name", "key"), PAIRS, ids=str)
def test_pixels_millimetres_and_fractions_are_one(name, key):
    cls, value = find("images", name), plain(name, key)
    pixels = value * SIDE * SIDE if key == "area" else value * SIDE
    unit = "2" if key == "area" else ""
    factor = 0.25 if key == "area" else 0.5
    plainly = cls(**{key: value})(photo(), rng=3)
    for text, mm in ((f"{pixels}px{unit}", None), (f"{pixels * factor}mm{unit}", 0.5)):
        anomaly = cls(**{key: text})(photo(mm), rng=3)
        assert (anomaly.sample.pixels == plainly.sample.pixels).all(), text
        assert getattr(anomaly.generator, key) == text


@pytest.mark.parametrize(("name", "key"), PAIRS, ids=str)
def test_without_the_size_of_a_pixel_millimetres_are_refused(name, key):
    value = "5mm2" if key == "area" else "0.5mm"
    with pytest.raises(NotMade, match=f"{value.replace('5', '5.0', 1) if key == 'area' else value}: what a pixel"):
        find("images", name)(**{key: value})(photo(), rng=0)


@pytest.mark.parametrize(("name", "key"), PAIRS, ids=str)
def test_what_is_larger_than_the_photo_is_cut_and_what_is_tiny_is_floored(name, key):
    area = key == "area"
    for value in ("1e12px2", "1e5px2", "1e-9px2") if area else ("1e12px", "4000px", "1e-9px"):
        for seed in range(2):
            image = photo(side=48)
            with contextlib.suppress(NotMade):
                anomaly = find("images", name)(**{key: value})(image, rng=seed)
                changed = anomaly.sample.pixels != image.pixels
                assert (changed == anomaly.mask).all()
                assert anomaly.mask.sum() >= 8


def test_strokes_keep_within_the_photo_and_above_a_pixel():
    image = Image(np.zeros((300, 400), np.uint8), mm_per_px=0.1)
    assert stroke_size(image, 0.5, "3px") == (150.0, 3.0)
    assert stroke_size(image, "4mm", "0.5mm") == pytest.approx((40.0, 5.0))
    assert stroke_size(image, "1px", "0.001mm") == (8.0, 1.2)
    assert stroke_size(image, "1e9px", "1m") == (1500.0, 60.0)
    assert stroke_size(Image(np.zeros((8, 8), np.uint8)), 0.1, 9.0)[1] == pytest.approx(1.6)


@pytest.mark.parametrize(("name", "key"), PAIRS, ids=str)
def test_wrong_units_and_signs_name_the_parameter(name, key):
    cls = find("images", name)
    wrong = ("3px", "3mm") if key == "area" else ("3px2", "3mm2")
    for value in (*wrong, "3 parsec"):
        with pytest.raises(ParameterError, match=f"`{key}`: {value}: expected a number or a number with a unit"):
            cls(**{key: value})
    with pytest.raises(ParameterError, match=f"`{key}`: -1.0px"):
        cls(**{key: "-1px2" if key == "area" else "-1px"})
    with pytest.raises(ParameterError, match=f"`{key}`: "):
        cls(**{key: extra_of(cls.model_fields[key])["maximum"] * 2})
