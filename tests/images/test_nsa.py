"""Natural synthetic anomalies: the width law, the blends and the foreground rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, median_filter
from scipy.stats import gamma, kstest, norm

from anosynth.errors import NotMade, ParameterError
from anosynth.images import Image, Nsa
from anosynth.images._nsa import ellipses, resized, smoothed
from anosynth.io.images import write_image
from anosynth.recipe import Recipe, recipe_names
from anosynth.seeding import Rng


def photo(h=120, w=160, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    value = sum(gaussian_filter(rng.standard_normal((h, w, channels)), (s, s, 0)) * s for s in (1, 4, 12))
    return ((value - value.min()) / np.ptp(value) * 255).astype(np.uint8)


def sides(nsa: Nsa, draws: int = 400, size: int = 1000) -> np.ndarray:
    return np.array([nsa._half_sides((size, size), Rng(seed)) for seed in range(draws)]) / size


@pytest.mark.parametrize(("order", "spread", "base"), [(2, 0.05, 0.03), (2, 0.03, 0.05), (1, 0.08, 0.02)])
def test_half_sides_follow_the_gamma_law(order, spread, base):
    """Between the bounds; those outside lie on them, in their due number."""
    nsa = Nsa(order=order, spread=spread, base=base, least_down=0.06, most_down=0.2, least_across=0.06, most_across=0.2)
    drawn = sides(nsa).ravel()
    assert (drawn.min(), drawn.max()) == pytest.approx((0.06, 0.2))
    law = gamma(a=order, loc=base, scale=spread)
    low, high = law.cdf([0.06, 0.2])
    inner = drawn[(drawn > 0.06) & (drawn < 0.2)]
    assert kstest(inner, lambda x: (law.cdf(x) - low) / (high - low)).pvalue > 0.01
    assert (drawn == 0.06).mean() == pytest.approx(low, abs=0.06)
    assert (drawn == 0.2).mean() == pytest.approx(1 - high, abs=0.06)


def test_uniform_half_sides_and_bounds_of_each_axis():
    drawn = sides(Nsa(law="uniform", least_down=0.1, most_down=0.2, least_across=0.03, most_across=0.4))
    assert kstest(drawn[:, 0], "uniform", (0.1, 0.1)).pvalue > 0.01
    assert kstest(drawn[:, 1], "uniform", (0.03, 0.37)).pvalue > 0.01
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.15


def test_the_patch_is_scaled_and_kept_within_the_bounds():
    """The published order: scale the height, bound it, keep the aspect, bound the width, keep the aspect again."""
    nsa = Nsa(blend="swap", least_down=0.1, most_down=0.4, least_across=0.1, most_across=0.3)
    assert nsa._resized_sides((0, 0, 200, 100), 1.2, (1000, 1000)) == (240, 120)
    assert nsa._resized_sides((0, 0, 200, 100), 0.7, (1000, 1000)) == (200, 100)
    assert nsa._resized_sides((0, 0, 200, 300), 1.3, (1000, 1000)) == (200, 300)
    assert nsa._resized_sides((0, 0, 500, 100), 1.3, (1000, 1000)) == (400, 100)
    plain = Nsa(blend="swap", shrink=1, grow=1)
    assert plain._resized_sides((0, 0, 777, 13), 1.0, (1000, 1000)) == (777, 13)
    fast = Nsa(blend="normal", shrink=1, grow=1)._resized_sides((0, 0, 410, 13), 1.0, (1000, 1000))
    assert fast == (406, 13)


def test_scales_are_a_clipped_normal():
    image = photo(400, 400, 1)
    generator = Nsa(blend="swap", shrink=0.5, grow=2.0, base=0.1, spread=1e-6, least_down=0.05, least_across=0.05)
    ratios = []
    for seed in range(150):
        edit = generator.edit(Image(image), Rng(seed), np.ones((400, 400), bool))
        top, _, bottom, _ = edit.stats["from"]
        # Source patches that the border cut off keep their aspect, which the bounds may change.
        if bottom - top == 80 and edit.stats["from"][3] - edit.stats["from"][1] == 80:
            ratios.append(edit.alpha.shape[0] / 80)
    ratios = np.array(ratios)
    law, sure = norm(1, 0.5), 3 * 0.5 / np.sqrt(len(ratios))
    assert len(ratios) > 60
    assert (ratios == 0.5).mean() == pytest.approx(law.cdf(0.5), abs=sure)
    assert (ratios == 2.0).mean() == pytest.approx(law.sf(2.0), abs=sure)
    inner = ratios[(ratios > 0.51) & (ratios < 1.99)] + np.random.default_rng(0).uniform(-0.5, 0.5, 1) / 80
    low, high = law.cdf([0.51, 1.99])
    assert kstest(inner, lambda x: (law.cdf(x) - low) / (high - low)).pvalue > 0.005


def test_swap_is_a_copy_of_the_recorded_place():
    image = photo()
    found = 0
    for seed in range(20):
        anomaly = Nsa(blend="swap", shrink=1, grow=1)(image, rng=seed)
        top, left, bottom, right = anomaly.stats["from"]
        rows, columns = np.nonzero(anomaly.mask)
        edit_size = (bottom - top, right - left)
        if (np.ptp(rows) + 1, np.ptp(columns) + 1) != edit_size:
            continue
        here = anomaly.sample[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(int)
        there = image[top:bottom, left:right].astype(int)
        flips = [there[::a, ::b] for a in (1, -1) for b in (1, -1)]
        # Pixels whose change nobody sees keep their old value, at most 4 levels away.
        assert min(np.abs(here - flip).max() for flip in flips) <= 4
        found += 1
    assert found >= 5


def test_a_seamless_patch_has_no_border_and_a_swapped_one_has():
    image = photo(seed=3)

    def seam(blend):
        steps = []
        for seed in range(12):
            anomaly = Nsa(blend=blend, mask="region")(image, rng=seed)
            rows, columns = np.nonzero(anomaly.mask)
            top, bottom = rows.min(), rows.max()
            change = anomaly.effect[:, columns.min() : columns.max() + 1].astype(np.float64)
            steps.append(max(np.abs(change[top]).mean(), np.abs(change[bottom]).mean()))
        return float(np.mean(steps))

    assert seam("normal") < 0.02 < 0.08 < seam("swap")


@pytest.mark.parametrize("blend", ["normal", "mixed", "uniform", "swap"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_labels_are_what_changed_and_stay_in_the_box(blend, channels):
    image = photo(channels=channels)
    for seed in range(4):
        anomaly = Nsa(blend=blend)(image, rng=seed)
        assert ((anomaly.sample != image).any(axis=2) == anomaly.mask).all()
        assert anomaly.stats["blend"] == blend
    assert (image == photo(channels=channels)).all()


def test_the_weight_is_a_weight():
    image = photo()
    sums = [np.abs(Nsa(strength=s)(image, rng=1).effect.astype(np.float64)).sum() for s in (0.3, 0.6, 1.0)]
    assert sums[0] < sums[1] < sums[2]


def test_the_source_patch_is_object_and_falls_on_object():
    image = photo()
    foreground = np.zeros(image.shape[:2], dtype=bool)
    foreground[30:90, 40:120] = True
    small = {"most_down": 0.2, "most_across": 0.2}
    for seed in range(12):
        anomaly = Nsa(object_share=0.7, overlap=0.9, **small)(Image(image, foreground), rng=seed)
        top, left, bottom, right = anomaly.stats["from"]
        assert foreground[top:bottom, left:right].mean() >= 0.65
        assert not (anomaly.mask & ~foreground).any()


def test_without_a_foreground_the_object_is_what_differs_from_the_background():
    """A grained square on a ground of level 0.2: patches come from the square and land on it."""
    image = np.full((128, 128), 51, np.uint8)
    image[40:100, 30:100] = np.clip(photo(60, 70, 1, seed=2)[:, :, 0], 110, 255)
    rule = {"background": 0.2, "tolerance": 0.1, "most_down": 0.15, "most_across": 0.15}
    for seed in range(10):
        anomaly = Nsa(object_share=0.9, overlap=0.9, **rule)(image, rng=seed)
        top, left, bottom, right = anomaly.stats["from"]
        assert (image[top:bottom, left:right] > 80).mean() > 0.8
        rows, columns = np.nonzero(anomaly.mask)
        assert ((rows >= 36) & (rows < 104) & (columns >= 26) & (columns < 104)).mean() > 0.8
    for seed in range(10):
        swapped = Nsa(blend="swap", mask="region", object_share=0.5, **rule)(image, rng=seed)
        other = (image == 51) & (swapped.sample == 51) & swapped.mask
        # Where both are background, the paper's patch mask is 0; the median of 7 px rounds its corners.
        assert other.mean() < 0.01


def test_further_patches_come_with_probability_one_half_and_join_the_mask():
    image = photo(96, 96)
    small = {"most_down": 0.06, "most_across": 0.06}
    numbers = [Nsa(patches=3, **small)(image, rng=seed).instances.max() for seed in range(80)]
    counts = np.bincount(numbers, minlength=4)
    assert counts[0] == 0
    assert np.abs(counts[1:] - np.array([20, 40, 20])).max() < 14
    for seed in range(12):
        anomaly = Nsa(patches=4, blend="swap")(image, rng=seed)
        assert ((anomaly.sample != image).any(axis=2) == anomaly.mask).all()
    two = Nsa(instances=2, **small)(image, rng=1)
    assert two.instances.max() == 2


def test_patches_of_other_photos(tmp_path):
    """The other photo is bright, this one dark: what is pasted can be from there only."""
    dark, bright = (photo(60, 80, 3, seed=s) // 4 + level for s, level in ((1, 0), (2, 190)))
    write_image(tmp_path / "a.png", Image(bright))
    anomaly = Nsa(blend="swap", others=str(tmp_path))(dark, rng=3)
    assert anomaly.stats["other"] == "a.png"
    assert anomaly.sample[anomaly.mask].min() > 180
    with pytest.raises(ParameterError, match=r"`others`: .*: is not a folder"):
        Nsa(others=str(tmp_path / "none"))(dark, rng=3)


def test_the_grades_are_the_published_ones():
    """d by its definition from the pixels, its median by sorting, the laws by hand."""
    image = photo(60, 70, 3)
    small = {"blend": "swap", "most_down": 0.12, "most_across": 0.12}

    def made(label, **more):
        return Nsa(label=label, **small, **more)(image, rng=5)

    assert made("binary").grade is None
    anomaly = made("intensity")
    d = np.rint(np.abs(anomaly.sample.astype(float) - image).mean(axis=2))
    rows, columns = np.nonzero(d > 0)
    box = d[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    y, x = np.mgrid[-5:6, -5:6]
    padded, disk = np.pad(box, 5, mode="edge"), y * y + x * x <= 25
    row, column = box.shape[0] // 2, box.shape[1] // 2
    median = np.sort(padded[row : row + 11, column : column + 11][disk])[disk.sum() // 2]
    here = (rows.min() + row, columns.min() + column)
    assert anomaly.mask[here]
    assert anomaly.grade[here] == pytest.approx(median / 255, abs=2.1 / 255)
    logistic = made("logistic", slope=1 / 12, middle=24)
    levels = anomaly.grade[anomaly.mask].astype(np.float64) * 255
    expected = 1 / (1 + np.exp(-(levels - 24) / 12))
    assert np.allclose(logistic.grade[anomaly.mask], expected, atol=1e-5)
    assert (logistic.grade[~anomaly.mask] == 0).all()
    assert anomaly.grade.dtype == logistic.grade.dtype == np.float32


def test_a_weighted_patch_has_its_weight_for_a_grade():
    anomaly = Nsa(blend="uniform", label="continuous", strength=0.4)(photo(), rng=1)
    assert set(np.unique(anomaly.grade)) == {0, np.float32(0.4)}
    assert ((anomaly.grade > 0) == anomaly.mask).all()


@pytest.mark.parametrize("shape", [(20, 30), (47, 80), (60, 75), (61, 90)])
def test_the_median_is_that_of_a_disk(shape):
    levels = gaussian_filter(np.random.default_rng(0).random(shape), 3)
    levels = np.rint((levels - levels.min()) / np.ptp(levels) * 255).astype(np.uint8)
    y, x = np.mgrid[-5:6, -5:6]
    exact = median_filter(levels, footprint=y * y + x * x <= 25, mode="nearest").astype(int)
    difference = np.abs(smoothed(levels).astype(int) - exact)
    assert difference.max() == 0 if min(shape) < 48 else difference.mean() < 6


def test_ellipses_are_turned_and_not_bands():
    """The published formula had both signs alike: at 45 degrees its ellipse is an endless band."""
    turned = 0
    for seed in range(60):
        inside = ellipses((90, 90), 1, Rng(seed))
        row, column = np.indices(inside.shape)
        assert 0 < inside.sum() <= np.pi * 45 * 45
        y, x = row[inside] - row[inside].mean(), column[inside] - column[inside].mean()
        clipped = inside[0].any() or inside[-1].any() or inside[:, 0].any() or inside[:, -1].any()
        if clipped:
            continue
        # The second moments of a full ellipse give its area back.
        area = 4 * np.pi * np.sqrt(max((y * y).mean() * (x * x).mean() - (x * y).mean() ** 2, 0))
        assert area == pytest.approx(inside.sum(), rel=0.03)
        turned += abs((x * y).mean()) > 20
    assert turned >= 5
    assert ellipses((40, 90), 6, Rng(1)).sum() > ellipses((40, 90), 1, Rng(1)).sum()


@pytest.mark.parametrize("blend", ["normal", "swap"])
def test_patches_of_ellipses_are_honest(blend):
    image = photo()
    for seed in range(4):
        anomaly = Nsa(outline="ellipses", blend=blend)(image, rng=seed)
        assert ((anomaly.sample != image).any(axis=2) == anomaly.mask).all()


TABLE = {
    "bottle": (0.03, 0.4, 0.03, 0.4, 3, 1 / 12, 24, 200, 60, 0.7),
    "cable": (0.05, 0.4, 0.05, 0.4, 3, 1 / 12, 24, None, None, None),
    "capsule": (0.03, 0.15, 0.03, 0.4, 3, 1 / 2, 4, 200, 60, 0.7),
    "carpet": (0.03, 0.4, 0.03, 0.4, 4, 1 / 3, 7, None, None, None),
    "grid": (0.03, 0.4, 0.03, 0.4, 4, 1 / 3, 7, None, None, None),
    "hazelnut": (0.03, 0.35, 0.03, 0.35, 3, 1 / 12, 24, 20, 20, 0.7),
    "leather": (0.03, 0.4, 0.03, 0.4, 4, 1 / 3, 7, None, None, None),
    "metal-nut": (0.03, 0.4, 0.03, 0.4, 3, 1 / 3, 7, 20, 20, 0.5),
    "pill": (0.03, 0.2, 0.03, 0.4, 3, 1 / 3, 7, 20, 20, 0.7),
    "screw": (0.03, 0.12, 0.03, 0.12, 4, 1, 3, 200, 60, 0.5),
    "tile": (0.03, 0.4, 0.03, 0.4, 4, 1 / 3, 7, None, None, None),
    "toothbrush": (0.03, 0.4, 0.03, 0.2, 3, 1 / 6, 15, 20, 20, 0.25),
    "transistor": (0.03, 0.4, 0.03, 0.4, 3, 1 / 6, 15, None, None, None),
    "wood": (0.03, 0.4, 0.03, 0.4, 4, 1 / 6, 15, None, None, None),
    "zipper": (0.03, 0.4, 0.03, 0.2, 4, 1 / 6, 15, 200, 60, 0.7),
}


@pytest.mark.parametrize("category", TABLE)
def test_the_recipes_have_the_tables_of_the_paper(category):
    generator = Recipe.read(f"nsa-{category}").draw(Rng(0))
    *bounds, patches, slope, middle, level, tolerance, share = TABLE[category]
    texture = category in ("carpet", "grid", "leather", "tile", "wood")
    assert [generator.least_down, generator.most_down, generator.least_across, generator.most_across] == bounds
    assert (generator.order, generator.spread, generator.base) == (2, 0.05, 0.03)
    assert (generator.shrink, generator.grow) == ((0.5, 2) if texture else (0.7, 1.3))
    assert (generator.patches, generator.middle, generator.label) == (patches, middle, "logistic")
    assert generator.slope == pytest.approx(slope, rel=1e-5)
    assert (generator.blend, generator.strength) == ("mixed" if texture else "normal", 1)
    if level is None:
        assert generator.background == -1
    else:
        assert generator.background * 255 == pytest.approx(level, abs=0.02)
        assert generator.tolerance * 255 == pytest.approx(tolerance, abs=0.02)
        assert (generator.object_share, generator.overlap) == (share, 0.25)


def test_there_is_a_recipe_for_every_class_and_a_general_one():
    assert {name for name in recipe_names() if name.startswith("nsa")} == {"nsa", *(f"nsa-{name}" for name in TABLE)}
    anomaly = Recipe.read("nsa").draw(Rng(0))(photo(64, 64), rng=0)
    assert anomaly.grade is not None


def test_what_does_not_fit_is_refused():
    image = photo()
    foreground = np.zeros(image.shape[:2], dtype=bool)
    foreground[10:13, 10:13] = True
    with pytest.raises(NotMade, match="no visible patch at 64 places"):
        Nsa(object_share=1, least_down=0.2)(Image(image, foreground), rng=0)
    with pytest.raises(NotMade, match="no visible patch"):
        Nsa()(np.full((64, 64), 100, np.uint8), rng=0)
    with pytest.raises(ParameterError, match=r"`least_across`: 0\.3: must be <= `most_across` \(0\.2\)"):
        Nsa(least_across=0.3, most_across=0.2)


def test_resizing_keeps_a_ramp_a_ramp():
    ramp = np.broadcast_to(np.linspace(0, 1, 40, dtype=np.float32)[None, :, None], (20, 40, 2))
    half, double = resized(ramp, (20, 20)), resized(ramp, (40, 80))
    assert half.shape == (20, 20, 2)
    assert np.allclose(np.diff(half[0, :, 0]), 2 / 39, atol=1e-5)
    assert np.allclose(np.diff(double[0, 2:-2, 0]), 0.5 / 39, atol=1e-5)
    assert (resized(ramp, (20, 40)) == ramp).all()
