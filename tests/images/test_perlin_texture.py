"""Perlin textures and their recipes against the published formulas, written out plainly."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from scipy import ndimage, stats

from anosynth.errors import NotMade, ParameterError
from anosynth.images import Image, PerlinTexture
from anosynth.images._perlin import (
    Field,
    Law,
    drawn_fields,
    highest,
    joined,
    joined_peaks,
    perlin_region,
    turned,
    turned_peaks,
)
from anosynth.images.perlin_texture import clipped_normal
from anosynth.noise import lattice
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import as_rng

DRAEM = Law(0, 5, 90.0, 0.5, 0.0, "single", "upper")
RECIPES = ["anomalib", "destseg", "diffusionad", "draem", "dsr", "glass", "memseg", "onenip", "realnet", "transfusion"]


def photo(shape=(64, 64, 3), seed=0, dtype=np.uint8):
    value = np.random.default_rng(seed).uniform(0.2, 0.8, shape)
    return value.astype(np.float32) if dtype == np.float32 else (value * np.iinfo(dtype).max).astype(dtype)


def mask_of(law, seed, shape=(128, 128)):
    return level_of(law, as_rng(seed), shape) > law.threshold


def filled(region):
    mask = np.zeros(region.shape, np.bool_)
    mask.ravel()[region.places] = True
    return mask


def level_of(law, rng, shape, found=None):
    return joined(*drawn_fields(shape, rng, law, {} if found is None else found))


def plain_mask(size, draw, low=0, high=5):
    """perlin-numpy's steps, then a turn by up to 90 degrees with zeros outside, then > 0.5."""
    down, across = (2 ** draw.integers(low, high + 1) for _ in range(2))
    ways = np.meshgrid(*(np.arange(size) * (cells / size) % 1 for cells in (down, across)), indexing="ij")
    angle = draw.uniform(0, 2 * np.pi, (down + 1, across + 1))
    gradient = [g.repeat(size // down, 0).repeat(size // across, 1) for g in (np.cos(angle), np.sin(angle))]
    ramp = {}
    for i, j in itertools.product((0, 1), repeat=2):
        corner = [g[i * (size // down) :, j * (size // across) :][:size, :size] for g in gradient]
        ramp[i, j] = corner[0] * (ways[0] - i) + corner[1] * (ways[1] - j)
    u, v = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in ways)
    noise = math.sqrt(2) * (
        (1 - v) * ((1 - u) * ramp[0, 0] + u * ramp[1, 0]) + v * ((1 - u) * ramp[0, 1] + u * ramp[1, 1])
    )
    return ndimage.rotate(noise, draw.uniform(-90, 90), reshape=False, order=1) > 0.5


# The mask.


def test_areas_are_those_of_the_published_steps():
    """With the turn against the steps written out, without it against what others measured at this size."""
    draw = np.random.default_rng(1)
    ours, theirs = (
        [mask_of(DRAEM, seed).mean() for seed in range(300)],
        [plain_mask(128, draw).mean() for _ in range(300)],
    )
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
    areas = np.array([mask_of(DRAEM._replace(rotation=0), seed).mean() for seed in range(1000)])
    low, median, high = np.quantile(areas, [0.05, 0.5, 0.95])
    assert low < 0.008
    assert median == pytest.approx(0.052, abs=0.004)
    assert high == pytest.approx(0.096, abs=0.01)
    assert stats.binomtest(int((areas == 0).sum()), 1000, 0.036).pvalue > 1e-3


def test_exponents_are_uniform_and_independent():
    drawn: list[dict[str, object]] = []
    for seed in range(540):
        drawn.append({})
        drawn_fields((128, 128), as_rng(seed), DRAEM._replace(coarsest=3, finest=5, rotation=0), drawn[-1])
    assert stats.chisquare(list(Counter(one["cells"] for one in drawn).values())).pvalue > 1e-3
    assert {one["cells"] for one in drawn} == {f"{a}x{b}" for a in (8, 16, 32) for b in (8, 16, 32)}


def test_ends_of_the_exponents_may_come_in_any_order():
    a, b = (mask_of(DRAEM._replace(coarsest=low, finest=high), 3) for low, high in ((1, 4), (4, 1)))
    assert (a == b).all()


@pytest.mark.parametrize("most", [90.0, 5.0])
def test_rotation_is_uniform(most):
    angles = []
    for seed in range(300):
        found: dict[str, float] = {}
        drawn_fields((16, 16), as_rng(seed), DRAEM._replace(rotation=most), found)
        angles.append(found["rotation"])
    assert stats.kstest(angles, "uniform", args=(-most, 2 * most)).pvalue > 1e-3


@settings(max_examples=30)
@given(st.integers(8, 70), st.integers(8, 70), st.floats(-180, 180), st.floats(-0.2, 0.6), st.integers(0, 2**32))
def test_a_turn_is_a_bilinear_turn_about_the_centre(height, width, degrees, floor, seed):
    noise = lattice((height, width), (3, 2), as_rng(seed))
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    row, column = np.mgrid[:height, :width]
    dy, dx = row - middle[0], column - middle[1]
    y, x = middle[0] + c * dy + s * dx, middle[1] - s * dy + c * dx
    expected = ndimage.map_coordinates(noise.astype(np.float64), [y, x], order=1, mode="nearest")
    edge = np.minimum(np.minimum(y, height - 1 - y), np.minimum(x, width - 1 - x))
    got = turned(noise, degrees)
    np.testing.assert_allclose(got[edge > 1e-6], expected[edge > 1e-6], atol=1e-5)
    assert (got[edge < -1e-6] == -2).all()
    peaks = turned_peaks(noise, degrees, floor)
    flat = got.ravel()
    assert peaks.places.tolist() == np.flatnonzero(flat > np.float32(floor)).tolist()
    assert peaks.values.tobytes() == flat[peaks.places].tobytes()


def rows_and_columns(shape):
    return (np.broadcast_to(part, shape) for part in np.ogrid[: shape[0], : shape[1]])


@pytest.mark.parametrize("degrees", [1.0, 45.0, 90.0, -133.0, 180.0])
@pytest.mark.parametrize("shape", [(16, 16), (33, 48), (97, 31)])
def test_single_pixels_are_found_wherever_they_are_turned_to(shape, degrees):
    """A pixel among zeros is the smallest thing that a shortcut over the rest of the image could lose."""
    row, column = rows_and_columns(shape)
    for y, x in itertools.product((0, 1, shape[0] // 2, shape[0] - 1), (0, 3, shape[1] // 2, shape[1] - 1)):
        noise = ((row == y) & (column == x)).astype(np.float32)
        flat = turned(noise, degrees).ravel()
        peaks = turned_peaks(noise, degrees, 1e-3)
        assert peaks.places.tolist() == np.flatnonzero(flat > np.float32(1e-3)).tolist()


@settings(max_examples=30)
@given(st.sampled_from(["single", "union", "intersection"]), st.floats(-0.1, 0.6), st.integers(0, 2**32))
def test_peaks_of_two_fields_are_those_of_the_fields_joined(combine, floor, seed):
    fields = [Field(lattice((40, 56), (3, 4), as_rng(seed + number)), 31.0 * number - 12) for number in range(2)][
        : 1 if combine == "single" else 2
    ]
    flat = joined(combine, fields).ravel()
    peaks = joined_peaks(combine, fields, floor)
    assert peaks.places.tolist() == np.flatnonzero(flat > np.float32(floor)).tolist()
    assert peaks.values.tobytes() == flat[peaks.places].tobytes()


def test_joined_and_intersected_masks():
    for seed in range(30):
        rng = as_rng(seed)
        _, (first, second) = drawn_fields((96, 80), rng, DRAEM._replace(combine="union"), {})
        first, second = (turned(*field) > 0.5 for field in (first, second))
        masks = {
            name: level_of(DRAEM._replace(combine=name), rng, (96, 80)) > 0.5
            for name in ("single", "union", "intersection")
        }
        assert (masks["single"] == first).all()
        assert (masks["union"] == first | second).all()
        assert (masks["intersection"] == first & second).all()


def test_glass_takes_each_of_the_three_a_third_of_the_time():
    seen: Counter[str] = Counter()
    for seed in range(300):
        found: dict[str, str] = {}
        drawn_fields((16, 16), as_rng(seed), DRAEM._replace(combine="glass"), found)
        seen[found["combine"]] += 1
    assert stats.chisquare([seen[name] for name in ("single", "union", "intersection")]).pvalue > 1e-3


def test_both_tails_are_the_absolute_value():
    law = DRAEM._replace(rotation=0)
    for seed in range(20):
        noise = level_of(law, as_rng(seed), (64, 64))
        assert (mask_of(law._replace(tails="both"), seed, (64, 64)) == (np.abs(noise) > 0.5)).all()


@settings(max_examples=25)
@given(st.floats(0.005, 0.5), st.integers(0, 2**32), st.sampled_from(["single", "union", "intersection"]))
def test_an_area_asked_is_met_to_the_pixel(area, seed, combine):
    foreground = np.zeros((70, 90), np.bool_)
    foreground[10:60, 20:85] = True
    generator = PerlinTexture(area=area, combine=combine, mask="region", source="colour", augment="none", blend=1)
    anomaly = generator(Image(photo((70, 90, 3)), foreground), rng=seed)
    assert anomaly.mask.sum() == max(8, round(area * foreground.sum()))
    assert not (anomaly.mask & ~foreground).any()


@settings(max_examples=25)
@given(
    st.floats(0.005, 0.5),
    st.integers(0, 2**32),
    st.sampled_from(["single", "union", "intersection"]),
    st.sampled_from(["some", "all", "few"]),
)
def test_the_area_takes_the_highest_pixels(area, seed, combine, kind):
    """Also where so few are free that the level guessed for them is too high."""
    free = np.random.default_rng(seed).uniform(size=(70, 60)) < {"all": 1.0, "some": 0.6, "few": 0.02}[kind]
    law = DRAEM._replace(area=area, combine=combine)
    image = Image(photo((70, 60, 3)), free)
    region = perlin_region(image, free, as_rng(seed), law)
    top, left, bottom, right = region.box
    mask = np.zeros(free.shape, np.bool_)
    mask[top:bottom, left:right] = filled(region)
    level = level_of(law, as_rng(seed).child("mask", 0), free.shape)
    assert mask.sum() == min(max(8, round(area * free.sum())), free.sum())
    assert not (mask & ~free).any()
    assert level[mask].min() >= level[free & ~mask].max(initial=-3)
    whole = perlin_region(image, free, as_rng(seed), law, whole=True)
    assert whole.box == region.box
    assert (whole.places == region.places).all()


def test_of_equal_values_the_first_are_the_highest():
    assert highest(np.zeros(16, np.float32), 5).tolist() == [True] * 5 + [False] * 11
    assert highest(np.array([1, 3, 2, 3, 2], np.float32), 3).tolist() == [False, True, True, True, False]
    assert highest(np.zeros(3, np.float32), 10**6).all()


def test_the_box_is_the_least_one_and_the_mask_lies_on_free_pixels():
    image = Image(photo((90, 70, 3)))
    free = np.zeros((90, 70), np.bool_)
    free[20:80, 5:60] = True
    for seed in range(20):
        region = perlin_region(image, free, as_rng(seed), DRAEM, whole=True)
        top, left, bottom, right = region.box
        mask = filled(region)
        assert mask.shape == (bottom - top, right - left)
        assert all(mask[place].any() for place in (0, -1, (slice(None), 0), (slice(None), -1)))
        assert (mask == (region.level > 0.5) & free[top:bottom, left:right]).all()
        other = perlin_region(image, free, as_rng(seed), DRAEM)
        assert other.level is None
        assert other.box == region.box
        assert (other.places == region.places).all()


def test_noise_that_never_gets_so_high_is_refused():
    free = np.zeros((64, 64), np.bool_)
    free[3, 4:8] = True
    with pytest.raises(NotMade, match=r"no noise above 0\.5 on the free pixels in 24 draws"):
        PerlinTexture()(Image(photo(), free), rng=0)


# The blend.


@pytest.mark.parametrize("side", ["anomaly", "image"])
@pytest.mark.parametrize("blend", [0.25, 0.6])
def test_inside_the_mask_it_is_the_formula(side, blend):
    before = photo((64, 72, 4), dtype=np.float32)
    generator = PerlinTexture(source="colour", augment="none", blend=blend, blend_side=side)
    weight = blend if side == "anomaly" else 1 - blend
    for seed in range(5):
        anomaly = generator(before, rng=seed)
        foreign = (anomaly.sample - (1 - weight) * before)[anomaly.mask] / weight
        assert foreign.std(axis=0).max() < 1e-5, "one colour"
        assert foreign.min() >= -1e-5
        assert foreign.max() <= 1 + 1e-5
        assert (anomaly.sample[~anomaly.mask] == before[~anomaly.mask]).all()


def test_sides_are_each_other_s_complement():
    before = photo()
    one = PerlinTexture(blend=0.75)(before, rng=5)
    other = PerlinTexture(blend=0.25, blend_side="image")(before, rng=5)
    assert (one.sample == other.sample).all()


def test_more_blend_is_more_change():
    before = photo()
    for source, seed in itertools.product(("procedural", "colour", "noise"), range(3)):
        made = [PerlinTexture(source=source, blend=blend, mask="region")(before, rng=seed) for blend in (0.3, 0.6, 1.0)]
        change = [np.abs(one.sample.astype(int) - before).sum() for one in made]
        assert change[0] < change[1] < change[2]


def test_a_blend_that_leaves_the_image_is_refused():
    for values in ({"blend": 0.0}, {"blend": 1.0, "blend_side": "image"}):
        with pytest.raises(NotMade, match="leaves the image as it is"):
            PerlinTexture(**values)(photo(), rng=0)


def test_the_law_of_glass():
    drawn = np.array([clipped_normal(as_rng(seed)) for seed in range(2000)])
    assert drawn.min() >= 0.2
    assert drawn.max() <= 0.8
    inner = drawn[(drawn > 0.2) & (drawn < 0.8)]
    assert stats.kstest(inner, stats.truncnorm(-3, 3, 0.5, 0.1).cdf).pvalue > 1e-3


# Sources.


def test_the_noise_source_is_the_noise_of_the_mask():
    before = photo((64, 64, 2), dtype=np.float32)
    anomaly = PerlinTexture(source="noise", augment="none", blend=1.0, mask="region")(before, rng=2)
    value = anomaly.sample[anomaly.mask]
    assert (value[:, 0] == value[:, 1]).all()
    assert value.min() > 0.5
    assert value.max() <= 0.75


def test_a_folder_as_source(tmp_path):
    Picture.fromarray(np.full((5, 5, 3), (200, 10, 90), np.uint8)).save(tmp_path / "one.png")
    generator = PerlinTexture(source="folder", textures=str(tmp_path), augment="none", blend=1.0)
    anomaly = generator(photo(), rng=1)
    assert anomaly.stats["texture"] == "one.png"
    assert (anomaly.sample[anomaly.mask] == (200, 10, 90)).all()
    with pytest.raises(ParameterError, match="`textures`: none: source `folder` needs a folder of pictures"):
        PerlinTexture(source="folder")(photo(), rng=1)


def test_self_without_operators_would_change_nothing_and_is_moved_towards_grey():
    for level, way in ((0.1, 1), (0.9, -1)):
        before = np.full((40, 40), level, np.float32)
        anomaly = PerlinTexture(source="self", augment="none", blend=0.3)(before, rng=0)
        np.testing.assert_allclose(anomaly.effect[anomaly.mask], way * 0.3 * 0.3, atol=1e-6)


def test_structure_is_drawn_by_its_share():
    sources = Counter(
        PerlinTexture(structure=0.3, source="colour")(photo((24, 24, 3)), rng=seed).stats["source"]
        for seed in range(150)
    )
    assert stats.binomtest(sources["grid"], 150, 0.3).pvalue > 1e-3
    assert set(sources) == {"grid", "colour"}


# Recipes.

PUBLISHED = {
    "draem": (0, 90, "single", "upper", (0.2, 1.0), "draem"),
    "destseg": (0, 90, "single", "upper", (0.2, 1.0), "none"),
    "glass": (0, 90, "glass", "upper", None, "glass"),
    "memseg": (0, 90, "single", "upper", (0.15, 1.0), "none"),
    "realnet": (0, 90, "single", "upper", (0.2, 1.0), "none"),
    "diffusionad": (0, 90, "single", "upper", (0.2, 0.8), "draem"),
    "onenip": (1, 5, "single", "upper", (0.2, 1.0), "onenip"),
    "anomalib": (0, 90, "single", "upper", (0.2, 1.0), "anomalib"),
    "transfusion": (0, 90, "single", "both", (0.1, 1.0), "draem"),
    "dsr": (0, 90, "single", "upper", (0.2, 1.0), "none"),
}
"""Least exponent, largest turn, masks, tails, range of the anomaly's weight, operators."""


def perlin_part(name):
    return next(vary for _, vary in Recipe.read(name).parts if vary.generator is PerlinTexture)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_have_the_published_values(name):
    coarsest, rotation, combine, tails, weights, augment = PUBLISHED[name]
    made = [perlin_part(name).draw(as_rng(seed)) for seed in range(120)]
    for generator in made:
        assert generator.law == Law(coarsest, 5, rotation, 0.5, 0.0, combine, tails)
        assert generator.augment == augment
    if weights is None:
        assert {generator.blend_law for generator in made} == {"normal"}
        return
    drawn = [one.blend if one.blend_side == "anomaly" else 1 - one.blend for one in made]
    assert stats.kstest(drawn, "uniform", args=(weights[0], weights[1] - weights[0])).pvalue > 1e-3


def test_recipes_of_two_halves():
    for name, other in (("memseg", "structure"), ("onenip", "cutpaste")):
        parts = Recipe.read(name).parts
        assert [(weight, vary.generator.name) for weight, vary in parts] == [(1, "perlin-texture"), (1, other)]
    for name, shuffle in (("diffusionad", "strips"), ("transfusion", "grid")):
        values = perlin_part(name).values
        assert (values["structure"], values["shuffle"]) == (0.5, shuffle)


@pytest.mark.parametrize(("name", "law"), [("draem", stats.uniform(0.0, 0.8)), ("glass", stats.norm(0.5, 0.1))])
def test_recorded_blends_follow_their_law(name, law):
    before = photo((32, 32, 3))
    recipe = Recipe.read(name)
    drawn = [recipe.draw(as_rng(seed))(before, rng=seed).stats["blend"] for seed in range(120)]
    assert stats.kstest(drawn, law.cdf).pvalue > 1e-3


@settings(max_examples=40)
@given(
    st.sampled_from(RECIPES),
    st.integers(0, 2**32),
    st.integers(8, 60),
    st.integers(8, 60),
    st.sampled_from([(), (1,), (3,), (5,)]),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
)
def test_any_recipe_on_any_image_is_honest(name, seed, height, width, channels, dtype):
    before = photo((height, width, *channels), seed % 7, dtype)
    before.setflags(write=False)
    generator = Recipe.read(name).draw(as_rng(seed))
    try:
        anomaly = generator(before, rng=seed)
    except NotMade:
        return
    changed = (anomaly.sample != before).reshape(height, width, -1).any(axis=2)
    assert (changed == anomaly.mask).all()
    assert generator(before, rng=seed).sample.tobytes() == anomaly.sample.tobytes()


@pytest.mark.parametrize("name", RECIPES)
def test_few_draws_are_refused(name):
    recipe = Recipe.read(name)
    made = 0
    for seed in range(40):
        before = (photo((48, 56, 3)), np.full((48, 56), 128, np.uint8), np.zeros((48, 56, 3), np.float32))[seed % 3]
        try:
            recipe.draw(as_rng(seed))(before, rng=seed)
        except NotMade:
            continue
        made += 1
    assert made >= 39


def test_defaults_vary():
    assert len({Vary(PerlinTexture).draw(as_rng(seed)).blend for seed in range(20)}) == 20
