"""Natural synthetic anomalies: the width law, the blends and the foreground rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import gamma, kstest

from anosynth.errors import NotMade, ParameterError
from anosynth.images import Image, Nsa
from anosynth.images.nsa import _resized
from anosynth.seeding import Rng


def photo(h=120, w=160, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    value = sum(gaussian_filter(rng.standard_normal((h, w, channels)), (s, s, 0)) * s for s in (1, 4, 12))
    return ((value - value.min()) / np.ptp(value) * 255).astype(np.uint8)


def test_half_widths_follow_the_gamma_law():
    """On an axis so long that pixels and fast sizes do not matter, before the bounds bite."""
    nsa = Nsa(smallest=0.0301, largest=0.4)
    sizes = np.array([nsa._size((100_000, 100_000), Rng(seed)) for seed in range(400)]) / 200_000
    assert sizes.min() >= 0.0295
    assert sizes.max() <= 0.4
    free = sizes.ravel()[(sizes.ravel() > 0.035) & (sizes.ravel() < 0.39)]
    law = gamma(a=2, loc=0.03, scale=0.05)

    def conditional(x):
        return (law.cdf(x) - law.cdf(0.035)) / (law.cdf(0.39) - law.cdf(0.035))

    assert kstest(free, conditional).pvalue > 0.01
    assert np.mean(sizes) == pytest.approx(0.13, rel=0.05)


def test_the_source_patch_is_scaled_within_its_bounds():
    nsa = Nsa(shrink=0.5, grow=2.0)
    sides = np.array([nsa._source_size((1000, 1000), (10_000, 10_000), Rng(s))[0] for s in range(300)])
    assert 500 <= sides.min() <= sides.max() <= 2000
    assert (sides == 500).any()
    assert (sides == 2000).any()
    assert np.median(1000 / sides) == pytest.approx(1.0, abs=0.08)
    assert nsa._source_size((100, 100), (60, 300), Rng(1))[0] <= 60


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


def test_both_patches_lie_on_the_foreground():
    image = photo()
    foreground = np.zeros(image.shape[:2], dtype=bool)
    foreground[30:90, 40:120] = True
    for seed in range(12):
        anomaly = Nsa(overlap=0.7, largest=0.2)(Image(image, foreground), rng=seed)
        top, left, bottom, right = anomaly.stats["from"]
        assert foreground[top:bottom, left:right].mean() >= 0.7
        assert not (anomaly.mask & ~foreground).any()


def test_what_does_not_fit_is_refused():
    image = photo()
    foreground = np.zeros(image.shape[:2], dtype=bool)
    foreground[10:13, 10:13] = True
    with pytest.raises(NotMade, match="no visible patch at 64 places"):
        Nsa(overlap=1, smallest=0.2)(Image(image, foreground), rng=0)
    with pytest.raises(NotMade, match="no visible patch"):
        Nsa()(np.full((64, 64), 100, np.uint8), rng=0)
    with pytest.raises(ParameterError, match=r"`smallest`: 0\.3: must be <= `largest`"):
        Nsa(smallest=0.3, largest=0.2)


def test_resizing_keeps_a_ramp_a_ramp():
    ramp = np.broadcast_to(np.linspace(0, 1, 40, dtype=np.float32)[None, :, None], (20, 40, 2))
    half, double = _resized(ramp, (20, 20)), _resized(ramp, (40, 80))
    assert half.shape == (20, 20, 2)
    assert np.allclose(np.diff(half[0, :, 0]), 2 / 39, atol=1e-5)
    assert np.allclose(np.diff(double[0, 2:-2, 0]), 0.5 / 39, atol=1e-5)
    assert (_resized(ramp, (20, 40)) == ramp).all()
