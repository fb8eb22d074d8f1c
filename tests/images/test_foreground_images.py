from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from anosynth.images._foreground import _histogram, _otsu, _triangle, foreground
from anosynth.images._shrink import blocks, shrunk

RED, SAND, INK = (0.75, 0.2, 0.15), (0.8, 0.65, 0.4), (0.12, 0.1, 0.2)
TRAY, PAPER = (0.2, 0.21, 0.22), (0.93, 0.92, 0.9)


def disc(y, x):
    return np.hypot(y - 0.5, x - 0.52) < 0.3


def ring(y, x):
    away = np.hypot(y - 0.48, x - 0.5)
    return (away < 0.36) & (away > 0.17)


def box(y, x):
    u, v = (y - 0.5) * 0.94 + (x - 0.5) * 0.34, (x - 0.5) * 0.94 - (y - 0.5) * 0.34
    return (np.abs(u) < 0.18) & (np.abs(v) < 0.34)


SHAPES = {"disc": disc, "ring": ring, "box": box}


def photo(shape, size=(240, 320), back=TRAY, front=SAND, noise=0.02, gradient=0.0, shadow=0.0, seed=0):
    """An object on a background, with uneven light, a soft shadow and noise; (H, W, 3) float64 and its truth."""
    height, width = size
    y, x = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width)[None, :] + 0.5) / width
    middle = (x - 0.5) * width / min(size) + 0.5, (y - 0.5) * height / min(size) + 0.5
    inside = SHAPES[shape](middle[1], middle[0])
    cast = SHAPES[shape](middle[1] - 0.04, middle[0] - 0.03).astype(float)
    cast = ndimage.gaussian_filter(cast, min(size) / 30)
    light = 1 + gradient * (x + y - 1 - 0.6 * (y - 0.5) ** 2)
    ground = np.array(back) * (1 - shadow * cast)[:, :, None]
    whole = np.where(inside[:, :, None], np.array(front), ground) * light[:, :, None]
    whole = whole + noise * np.random.default_rng(seed).standard_normal(whole.shape)
    return np.clip(whole, 0, 1), inside


def stored(values, kind):
    if kind == "float32":
        return values.astype(np.float32)
    top = 255 if kind == "uint8" else 65535
    return np.rint(values * top).astype(kind)


def iou(found, truth):
    assert found is not None
    assert found.shape == truth.shape
    assert found.dtype == np.bool_
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("back", "front"), [(TRAY, SAND), (PAPER, RED), (PAPER, INK), (SAND, INK)])
@pytest.mark.parametrize(
    ("noise", "gradient", "shadow"), [(0.01, 0, 0), (0.06, 0, 0), (0.02, 0.25, 0), (0.02, 0.1, 0.2)]
)
def test_the_object_is_found(shape, back, front, noise, gradient, shadow):
    values, truth = photo(shape, back=back, front=front, noise=noise, gradient=gradient, shadow=shadow)
    assert iou(foreground(stored(values, "uint8")), truth) > 0.93


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(97, 61), (256, 256), (1000, 700)])
@pytest.mark.parametrize("channels", [0, 1, 3, 5])
def test_any_dtype_size_and_number_of_channels(kind, size, channels):
    values, truth = photo("disc", size=size, gradient=0.15)
    colours = [values[:, :, 0], values[:, :, :1], None, values, None, values[:, :, [0, 1, 2, 1, 0]]]
    pixels = stored(colours[channels], kind)
    kept = pixels.copy()
    assert iou(foreground(pixels), truth) > 0.93
    assert np.array_equal(pixels, kept)


def test_a_tiny_image_works_too():
    values, truth = photo("disc", size=(17, 33))
    assert iou(foreground(stored(values, "uint8")), truth) > 0.7


def test_the_hole_of_a_ring_is_background_and_a_speck_in_a_disc_is_not():
    values, truth = photo("ring", noise=0.01)
    assert not foreground(stored(values, "uint8"))[115, 160]
    values, truth = photo("disc", noise=0.01)
    values[110:122, 150:162] = TRAY
    assert foreground(stored(values, "uint8"))[truth].mean() > 0.98


def test_dirt_and_the_edge_of_the_table_are_left_out():
    values, truth = photo("disc", noise=0.01)
    values[:8] = RED
    values[30:37, 30:37] = SAND
    found = foreground(stored(values, "uint8"))
    assert iou(found, truth) > 0.93
    assert not found[:40, :60].any()


def test_parts_of_one_object_are_all_kept():
    values, _ = photo("disc", front=TRAY)
    truth = np.zeros(values.shape[:2], bool)
    truth[60:180, 40:120] = truth[100:150, 180:230] = True
    values[truth] = SAND
    assert iou(foreground(stored(values, "uint8")), truth) > 0.95


def test_an_object_that_runs_out_of_the_image_is_found():
    values, truth = photo("disc")
    assert iou(foreground(stored(values[:, 100:], "uint8")), truth[:, 100:]) > 0.93


@pytest.mark.parametrize("what", ["flat", "noise", "weave", "stripes", "gradient", "smear", "black", "checks"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_texture_is_all_foreground(what, channels):
    y, x = np.mgrid[0:200, 0:200] / 200.0
    draw = np.random.default_rng(4)
    values = {
        "flat": np.full((200, 200), 0.5),
        "noise": 0.5 + 0.15 * draw.standard_normal((200, 200)),
        "weave": 0.5 + 0.3 * np.sin(150 * x) * np.sin(130 * y),
        "stripes": 0.5 + 0.35 * np.sin(25 * x),
        "gradient": 0.2 + 0.6 * x * y,
        "smear": 0.6
        - 0.25 * np.exp(-(((x - 0.7) / 0.2) ** 2) - ((y - 0.2) / 0.5) ** 2)
        + 0.01 * draw.standard_normal((200, 200)),
        "black": np.zeros((200, 200)),
        "checks": 0.3 + 0.4 * ((np.floor(8 * x) + np.floor(8 * y)) % 2),
    }[what]
    pixels = stored(np.repeat(np.clip(values, 0, 1)[:, :, None], channels, axis=2), "uint8")
    assert foreground(pixels) is None


def test_what_is_too_small_or_too_faint_is_no_object():
    values, _ = photo("disc", front=TRAY, noise=0.01)
    values[100:112, 100:112] = RED
    assert foreground(stored(values, "uint8")) is None
    values, _ = photo("disc", front=np.array(TRAY) + 0.06, noise=0.01)
    assert foreground(stored(values, "uint8")) is None


def test_values_that_are_no_numbers_do_no_harm():
    values, truth = photo("disc", noise=0.01)
    pixels = stored(values, "float32")
    pixels[100:104, 150:153] = np.nan
    assert iou(foreground(pixels), truth) > 0.93


@given(st.integers(8, 60), st.integers(8, 60), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 4]))
@settings(max_examples=60)
def test_any_pixels_give_a_mask_of_their_size_or_none(height, width, seed, channels):
    draw = np.random.default_rng(seed)
    shape = (height, width, channels) if channels else (height, width)
    pixels = draw.integers(0, 1 + draw.integers(1, 255), shape).astype(np.uint8)
    pixels[height // 3 : height // 2 + 1, width // 4 : width // 2 + 1] = draw.integers(0, 256)
    found = foreground(pixels)
    again = foreground(pixels.copy())
    assert (found is None) == (again is None)
    if found is not None:
        assert found.shape == (height, width)
        assert np.array_equal(found, again)
        assert 0.01 < found.mean() < 0.97


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=80)
def test_shrinking_averages_over_equal_areas(height, width, rows, columns, seed):
    size = (min(rows, height), min(columns, width))
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 2)).astype(np.uint8)
    out = shrunk(values, size)
    # The oracle: cut each pixel into as many pieces as there are cells, then average whole blocks.
    fine = np.repeat(np.repeat(values.astype(float), size[0], axis=0), size[1], axis=1)
    wanted = fine.reshape(size[0], height, size[1], width, 2).mean(axis=(1, 3))
    assert out.dtype == np.float64
    assert np.abs(out - wanted).max() < 1e-9
    top, left = seed % size[0], seed % size[1]
    bottom, right = top + 1 + seed % (size[0] - top), left + 1 + seed % (size[1] - left)
    part = shrunk(values, size, ((top, bottom), (left, right)))
    assert np.array_equal(part, out[top:bottom, left:right])


def test_otsu_parts_two_classes_and_the_triangle_finds_the_foot_of_the_peak():
    draw = np.random.default_rng(0)
    low, high = draw.normal(1, 0.1, 7000), draw.normal(5, 0.3, 3000)
    counts, step = _histogram(np.abs(np.concatenate([low, high])))
    assert 2 < _otsu(counts) * step < 4
    # One peak at 0 and a long flat tail: the foot is where the peak has died away, far before the middle of the tail.
    skewed = np.concatenate([np.abs(draw.normal(0, 0.1, 9000)), draw.uniform(0, 10, 1000)])
    counts, step = _histogram(skewed)
    assert counts.sum() == 10_000
    assert 0.1 < _triangle(counts) * step < 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.sampled_from(["uint8", "uint16", "float32"]))
@settings(max_examples=40)
def test_blocks_are_means_and_leave_out_what_does_not_fill_one(rows, columns, side, kind):
    draw = np.random.default_rng(rows * 41 + columns)
    values = stored(draw.random((rows * side + side - 1, columns * side + side // 2, 3)), kind)
    out = blocks(values, side)
    whole = values[: rows * side, : columns * side].astype(float)
    oracle = whole.reshape(rows, side, columns, side, 3).mean(axis=(1, 3))
    assert out.dtype == np.float64
    assert np.abs(np.moveaxis(out, 0, 2) - oracle).max() <= 1e-9 * oracle.max()


def test_blocks_of_white_pixels_stay_white_however_large():
    for kind, white in (("uint8", 255), ("uint16", 65535)):
        assert (blocks(np.full((300, 300), white, kind), 300) == white).all()


@pytest.mark.parametrize("size", [(257, 383), (512, 384), (1024, 771)])
def test_the_outline_lies_between_the_blocks_where_the_object_ends(size):
    values, truth = photo("disc", size=size, noise=0.01)
    found = foreground(stored(values, "uint8"))
    # Ground truth within one pixel: nearly no pixel farther than that from the true outline is wrong.
    away = np.maximum(ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(~truth))
    assert iou(found, truth) > 0.97
    assert not (found ^ truth)[away > 0.75 * max(size) / 192 + 1.5].any()
