"""Missing parts and chips: the harmonic filling, its grain, and where the background comes through."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter, label, laplace
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from anosynth.errors import DataError, NotMade
from anosynth.images import EdgeChip, Image, MissingPart
from anosynth.images._fill import continued, grain, grain_spreads, membranes
from anosynth.images._rim import with_rim
from anosynth.seeding import Rng


def direct(pixels, hole):
    """Laplace's equation in the hole by a sparse direct solver; no slope across the border of the box."""
    h, w = hole.shape
    number = np.cumsum(hole.ravel()).reshape(h, w) - 1
    entries, right = [], np.zeros((hole.sum(), pixels.shape[2]))
    for y, x in zip(*np.nonzero(hole), strict=True):
        me = number[y, x]
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < h and 0 <= u < w:
                entries.append((me, me, 1.0))
                if hole[v, u]:
                    entries.append((me, number[v, u], -1.0))
                else:
                    right[me] += pixels[v, u]
    row, column, value = zip(*entries, strict=True)
    matrix = coo_array((value, (row, column)), shape=(len(right), len(right))).tocsr()
    out = pixels.astype(np.float64)
    out[hole] = np.stack([spsolve(matrix, right[:, c]) for c in range(right.shape[1])], axis=1)
    return out


def membrane(pixels, hole):
    return membranes(pixels.transpose(2, 0, 1), hole).transpose(1, 2, 0)


def field(h, w, channels=1, sigma=8.0, seed=0):
    value = gaussian_filter(np.random.default_rng(seed).standard_normal((h, w, channels)), (sigma, sigma, 0))
    return ((value - value.min()) / np.ptp(value)).astype(np.float32)


def irregular(h, w, seed=1):
    value = gaussian_filter(np.random.default_rng(seed).standard_normal((h, w)), h / 10)
    hole = value > np.quantile(value, 0.6)
    hole[0] = False
    return hole


@pytest.mark.parametrize("shape", [(12, 15), (40, 33), (90, 90)])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_filling_solves_laplaces_equation(shape, seed):
    hole = irregular(*shape, seed=seed)
    smooth = field(*shape, channels=2, sigma=shape[0] / 8)
    assert np.abs(membrane(smooth, hole) - direct(smooth, hole))[hole].max() < 0.01
    noise = np.random.default_rng(0).random((*shape, 2)).astype(np.float32)
    assert np.abs(membrane(noise, hole) - direct(noise, hole))[hole].max() < (0.05 if hole.sum() <= 2000 else 0.2)


def test_a_plane_is_continued_exactly_and_known_pixels_keep_their_bits():
    row, column = np.mgrid[0:50, 0:70].astype(np.float32)
    plane = (0.2 + 0.004 * row + 0.006 * column)[:, :, None]
    hole = np.zeros((50, 70), dtype=bool)
    hole[12:35, 20:50] = True
    torn = np.where(hole[:, :, None], np.float32(9), plane)
    filled = membrane(torn, hole)
    assert np.abs(filled - plane).max() < 0.004
    assert (filled[~hole] == torn[~hole]).all()
    assert (torn[hole] == 9).all()


def test_the_filling_stays_within_the_values_around_it_when_large():
    """The few sweeps of large boxes start from the coarser solution: no overshoot, no seam."""
    pixels = field(420, 400, sigma=40.0)
    hole = np.zeros((420, 400), dtype=bool)
    hole[60:360, 50:350] = True
    filled = membrane(pixels, hole)
    assert pixels[~hole].min() - 1e-3 <= filled[hole].min() <= filled[hole].max() <= pixels[~hole].max() + 1e-3
    assert np.abs(laplace(filled[:, :, 0].astype(np.float64)))[hole].max() < 0.01


def test_nothing_known_is_refused_and_no_hole_is_no_change():
    pixels = field(10, 10)
    with pytest.raises(DataError, match="nothing around the hole is known"):
        membrane(pixels, np.ones((10, 10), dtype=bool))
    assert (membrane(pixels, np.zeros((10, 10), dtype=bool)) == pixels).all()


@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.5])
def test_grain_is_as_strong_as_the_surroundings(sigma):
    noise = gaussian_filter(np.random.default_rng(3).standard_normal((128, 128, 2)), (sigma, sigma, 0))
    noise *= np.array([0.02, 0.05]) / noise.std(axis=(0, 1))
    pixels = (0.5 + noise).astype(np.float32)
    known = np.ones((128, 128), dtype=bool)
    known[40:90, 40:90] = False
    made = grain((128, 128), grain_spreads(pixels, known), Rng(0)).std(axis=(1, 2))
    assert made == pytest.approx([0.02, 0.05], rel=0.35)
    assert grain_spreads(np.full_like(pixels, 0.4), known).max() < 1e-5


def test_one_edge_does_not_become_grain():
    pixels = np.full((80, 80, 1), 0.2, np.float32)
    pixels[:, 30:] = 0.9
    known = np.ones((80, 80), dtype=bool)
    assert grain_spreads(pixels, known).max() < 1e-3
    known[20:60, 50:70] = False
    assert np.abs(continued(pixels, ~known, Rng(0)) - pixels).max() < 1e-2


def test_two_colours_that_take_turns_are_continued_with_no_third():
    row, column = np.mgrid[0:90, 0:90]
    weave = np.where((row // 5 + column // 5) % 2, 0.7, 0.3)[:, :, None].astype(np.float32).repeat(3, axis=2)
    weave[:, :, 2] = 0.5
    hole = np.hypot(row - 45, column - 45) < 22
    for seed in range(5):
        filled = continued(weave, hole, Rng(seed))[hole]
        assert 0.05 < filled[:, 0].min() < filled[:, 0].max() < 0.95
        assert filled[:, 0].std() > 0.05, "as flat as a membrane"
        assert np.abs(filled[:, 2] - 0.5).max() < 1e-6


def spots(h=120, w=150, seed=0):
    """Dark spots on an even, grained ground: parts that can go missing."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:h, 0:w]
    image = 170 + 3 * rng.standard_normal((h, w, 3))
    for y, x in ((30, 30), (80, 60), (50, 110), (95, 120)):
        image[np.hypot(row - y, column - x) < 9] -= 110
    return np.clip(image, 0, 255).astype(np.uint8)


def test_what_is_gone_is_replaced_by_its_surroundings():
    image = spots()
    gone = 0
    for seed in range(10):
        anomaly = MissingPart(area=0.05)(image, rng=seed)
        assert ((anomaly.sample != image).any(axis=2) == anomaly.mask).all()
        gone += int((anomaly.effect > 0.3).sum() > 60)
    assert gone >= 8, "places with nothing on them were chosen"


def test_of_an_object_its_own_surface_goes_on_and_not_the_table():
    image = biscuit()
    pixels = image.pixels.copy()
    row, column = np.mgrid[0:140, 0:160]
    angle = np.degrees(np.arctan2(row - 70, column - 80))
    pixels[image.foreground & (np.hypot(row - 70, column - 80) > 30) & (angle % 40 < 15)] = 240
    reached = 0
    for seed in range(10):
        anomaly = MissingPart(area=0.02)(Image(pixels, image.foreground), rng=seed)
        assert anomaly.sample.pixels[anomaly.mask].min() > 165
        reached += int((anomaly.mask & (np.hypot(row - 70, column - 80) > 43)).any())
    assert reached >= 5, "no part at the edge of the object"


def test_missing_parts_are_reproducible_and_refused_on_even_images():
    image = spots()
    first, again = (MissingPart()(image, rng=5) for _ in (0, 1))
    assert first.sample.tobytes() == again.sample.tobytes()
    with pytest.raises(NotMade, match="too even"):
        MissingPart()(np.full((50, 50), 90, np.uint8), rng=0)


def biscuit(dtype=np.uint8, dark=False):
    row, column = np.mgrid[0:140, 0:160]
    inside = np.hypot(row - 70, column - 80) < 45
    rng = np.random.default_rng(2)
    bright, low = (0.2, 0.85) if dark else (0.75, 0.25)
    value = np.where(inside, bright, low)[:, :, None] + 0.01 * rng.standard_normal((140, 160, 3))
    white = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    return Image((np.clip(value, 0, 1) * white).astype(dtype), inside)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("dark", [False, True])
def test_a_chip_lets_the_background_through(dtype, dark):
    image = biscuit(dtype, dark)
    for seed in range(5):
        anomaly = EdgeChip(area=0.02)(image, rng=seed)
        assert (anomaly.mask & ~image.foreground).sum() == 0
        assert ((anomaly.sample.pixels != image.pixels).any(axis=2) == anomaly.mask).all()
        after = anomaly.sample.crop((0, 0, 140, 160))[anomaly.mask].mean(axis=1)
        level = 0.85 if dark else 0.25
        assert (np.abs(after - level) < 0.08).mean() > 0.5
        row, column = np.nonzero(anomaly.mask)
        assert np.hypot(row - 70, column - 80).max() > 43, "the chip does not reach the edge"


def test_a_stronger_rim_is_shaded_more_and_the_bite_stays_the_same():
    image = biscuit()
    darker = [EdgeChip(strength=s)(image, rng=1).effect.astype(np.float64) for s in (0.1, 0.4, 0.9)]
    assert darker[0].sum() > darker[1].sum() > darker[2].sum()


def test_the_area_of_a_chip_is_about_what_is_asked():
    image = biscuit()
    area = np.median([EdgeChip(area=0.02, width=0.001)(image, rng=s).stats["area"] for s in range(30)])
    assert area == pytest.approx(0.02, rel=0.45)


@pytest.mark.parametrize("softness", [0.0, 0.1])
def test_a_ragged_chip_leaves_no_crumbs_and_is_sharp(softness):
    image = biscuit()
    for seed in range(12):
        chip = EdgeChip(area=0.03, roughness=0.3, softness=softness, strength=0.01)
        anomaly = chip(image, rng=seed)
        assert label(image.foreground & ~anomaly.mask)[1] == 1, "crumbs of the part in the gap"
        half = (np.abs(anomaly.effect) < 0.4) & anomaly.mask
        assert half.sum() < 0.4 * anomaly.mask.sum(), "the gap fades like a cloud"


def unsharp(width=1.5):
    """A biscuit under a blur, with a mask that ends two pixels within its edge."""
    sharp = biscuit()
    value = gaussian_filter(sharp.pixels.astype(float), (width, width, 0))
    return Image(np.rint(value).astype(np.uint8), binary_erosion(sharp.foreground, iterations=2))


def test_no_hairline_of_the_old_rim_is_left_across_the_gap():
    image = unsharp()
    for seed in range(6):
        after = EdgeChip(area=0.02)(image, rng=seed).sample.pixels.mean(axis=2)
        gap = (after < 75) & image.foreground
        rim = binary_dilation(binary_erosion(gap, iterations=2, mask=image.foreground), iterations=3)
        rim &= ~image.foreground
        assert image.pixels.mean(axis=2)[rim].max() > 115, "no gap at the edge"
        assert after[rim].max() < 95


def test_the_rim_is_what_shows_the_object_and_not_more():
    image = unsharp()
    wide = with_rim(image, image.foreground)
    assert (wide >= image.foreground).all()
    row, column = np.mgrid[0:140, 0:160]
    assert np.hypot(row - 70, column - 80)[wide].max() < 48
    assert 44 < np.sqrt(wide.sum() / np.pi) < 46.5
    half = image.foreground & (column < 80)
    assert not (with_rim(image, half) & (column >= 80))[40:100].any(), "a region that ends within the object"
    clear = np.dstack([image.pixels, np.where(image.foreground, 255, 0).astype(np.uint8)])
    assert (with_rim(Image(clear, opacity=True), image.foreground) == image.foreground).all()
    everywhere = np.ones((140, 160), bool)
    assert with_rim(Image(image.pixels), everywhere) is everywhere


def test_without_an_edge_there_is_no_chip():
    image = biscuit()
    with pytest.raises(NotMade, match="the foreground is not known\nhint: "):
        EdgeChip()(image.pixels, rng=0)
    with pytest.raises(NotMade, match="it has no edge"):
        EdgeChip()(Image(image.pixels, np.ones((140, 160), dtype=bool)), rng=0)
