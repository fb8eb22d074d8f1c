"""Holes: what is seen through them, how large they are, and how they look dark on all but the darkest."""

from __future__ import annotations

import numpy as np
import pytest

from anosynth.errors import NotMade
from anosynth.images import Hole, Image
from anosynth.seeding import Rng


def plate(height: int = 200, width: int = 240) -> Image:
    """A grey plate on a striped blue table."""
    row, column = np.mgrid[0:height, 0:width]
    pixels = np.full((height, width, 3), (30, 40, 150), np.uint8)
    pixels[(row + column) % 6 < 3] = (50, 60, 190)
    inside = np.zeros((height, width), np.bool_)
    inside[60:-60, 60:-60] = True
    pixels[inside] = 180
    return Image(pixels, inside)


def deep(anomaly) -> np.ndarray:
    """What lies far inside the hole, (N, C)."""
    rows, columns = np.nonzero(anomaly.mask)
    row, column = round(rows.mean()), round(columns.mean())
    return anomaly.sample.pixels[row - 3 : row + 4, column - 3 : column + 4].reshape(49, -1)


def test_the_background_is_seen_through_with_its_texture():
    image = plate()
    generator = Hole(width=0.12, depth=0.1, place="interior")
    for seed in range(5):
        anomaly = generator(image, rng=seed)
        assert anomaly.stats["fill"] == "background"
        seen = {tuple(pixel) for pixel in deep(anomaly).tolist()}
        assert {(30, 40, 150), (50, 60, 190)} <= seen
        assert not (anomaly.mask & ~image.foreground).any()


def test_without_a_background_it_is_dark_and_on_the_dark_light():
    for level, low, high in ((180, 0, 15), (60, 0, 15), (10, 150, 255)):
        pixels = np.full((100, 100), level, np.uint8)
        anomaly = Hole(width=0.3)(Image(pixels), rng=1)
        assert anomaly.stats["fill"] == "dark"
        assert low <= deep(anomaly).min()
        assert deep(anomaly).max() <= high


def test_a_background_like_the_surface_is_not_taken():
    image = plate()
    grey = Image(np.full_like(image.pixels, 180), image.foreground)
    assert Hole()(grey, rng=0).stats["fill"] == "dark"
    assert Hole(fill="dark")(image, rng=0).stats["fill"] == "dark"
    with pytest.raises(NotMade, match="no background is known that differs from the surface"):
        Hole(fill="background")(grey, rng=0)
    with pytest.raises(NotMade, match="no background is known"):
        Hole(fill="background")(Image(image.pixels), rng=0)


@pytest.mark.parametrize(("width", "pixels"), [(0.2, 40), ("30px", 30), ("6mm", 60), (0.001, 5)])
def test_the_hole_has_its_width(width, pixels):
    """The area of what is dark, of a circle without roughness or wall."""
    image = Image(np.full((200, 240), 200, np.uint8), mm_per_px=0.1)
    generator = Hole(width=width, elongation=1, roughness=0, depth=0, centre="0.5,0.5")
    for seed in range(3):
        sample = generator(image, rng=seed).sample.pixels
        assert (sample < 100).sum() == pytest.approx(np.pi / 4 * pixels**2, rel=0.05, abs=4)


@pytest.mark.parametrize("orientation", [0, 30, 90, -45])
def test_the_long_axis_has_its_ratio_and_direction(orientation):
    image = Image(np.full((300, 300), 200, np.uint8))
    generator = Hole(width=0.1, elongation=2.5, roughness=0, depth=0, orientation=orientation, centre="0.5,0.5")
    rows, columns = np.nonzero(generator(image, rng=2).sample.pixels < 100)
    y, x = rows - rows.mean(), columns - columns.mean()
    values, vectors = np.linalg.eigh([[(x * x).mean(), (x * y).mean()], [(x * y).mean(), (y * y).mean()]])
    assert np.sqrt(values[1] / values[0]) == pytest.approx(2.5, rel=0.04)
    lean = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    assert (lean - orientation + 90) % 180 - 90 == pytest.approx(0, abs=2)


def test_the_wall_is_a_crescent_as_wide_as_the_depth_says():
    image = Image(np.full((300, 300), 200, np.uint8))
    area = []
    for depth in (0.0, 0.3, 0.8):
        generator = Hole(width=0.3, elongation=1, roughness=0, depth=depth, centre="0.5,0.5")
        sample = generator(image, rng=2).sample.pixels
        area.append(int((sample < 30).sum()))
    radius = 45
    for depth, seen in zip((0.3, 0.8), area[1:], strict=True):
        half = depth * radius / 2
        lens = 2 * radius**2 * np.arccos(half / radius) - 2 * half * np.sqrt(radius**2 - half**2)
        assert seen == pytest.approx(lens, rel=0.05)
    assert area[0] == pytest.approx(np.pi * radius**2, rel=0.03)


def test_the_rim_is_lighter_on_one_side_and_darker_on_the_other():
    image = Image(np.full((200, 200), 128, np.uint8))
    anomaly = Hole(width=0.3, depth=0, roughness=0, elongation=1, centre="0.5,0.5")(image, rng=3)
    sample = anomaly.sample.pixels.astype(int)
    row, column = np.indices(sample.shape) - 100
    ring = anomaly.mask & (np.hypot(row, column) > 31.5)
    lit, shaded = ring & (sample > 128), ring & (sample < 128)
    assert min(lit.sum(), shaded.sum()) > 40
    apart = np.array([row[lit].mean() - row[shaded].mean(), column[lit].mean() - column[shaded].mean()])
    assert np.hypot(*apart) > 30


def test_a_rough_edge_is_uneven():
    image = Image(np.full((200, 200), 200, np.uint8))

    def spread(roughness):
        sample = Hole(width=0.3, depth=0, roughness=roughness, elongation=1, centre="0.5,0.5")(image, rng=4).sample
        hole = sample.pixels < 100
        edge = hole & ~(np.roll(hole, 1, 0) & np.roll(hole, -1, 0) & np.roll(hole, 1, 1) & np.roll(hole, -1, 1))
        rows, columns = np.nonzero(edge)
        return float(np.hypot(rows - 100, columns - 100).std())

    assert spread(0.0) < 0.6
    assert spread(0.3) > 1.5


def test_a_lower_severity_is_a_smaller_hole_and_no_ghost():
    image = Image(np.full((120, 120), 200, np.uint8))
    areas = []
    for severity in (0.0, 0.3, 0.7, 1.0):
        anomaly = Hole(width=0.3, severity=severity)(image, rng=5)
        areas.append(int((anomaly.sample.pixels < 100).sum()))
        assert anomaly.sample.pixels.min() < 60
    assert areas == sorted(areas)
    assert areas[0] < 0.3 * areas[-1]


def test_holes_at_the_border_are_cut_off_there():
    image = Image(np.full((64, 64), 200, np.uint8))
    edit = Hole(width=0.5).edit(_seated(image), Rng(0), np.ones((64, 64), np.bool_))
    assert edit.box[:2] == (0, 0)
    assert edit.box[2] < 64


def test_holes_are_not_cut_open_by_the_edge_of_the_part():
    image = plate()
    rim = image.foreground.copy()
    rim[61:-61, 61:-61] = False
    for seed in range(20):
        anomaly = Hole(width=0.15, elongation=1.5, roughness=0.0)(image, rng=seed)
        assert np.abs(anomaly.effect[rim]).max() < 0.3, "more than the shade around a hole"
    assert Hole(width=0.8)(image, rng=0).mask.any(), "where it fits nowhere, the best place is taken"


def _seated(image: Image) -> Image:
    prior = np.zeros(image.shape, np.float32)
    prior[0, 0] = 1
    return Image(image.pixels, prior=prior)
