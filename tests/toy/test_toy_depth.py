"""The toy depth map: every point on its ray, honest gaps, a picture that fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import ParameterError
from anosynth.seeding import as_rng
from anosynth.toy.depth import _PROJECTOR, DISTANCE, FOCAL, NOISE, _Cookie, _lit, _meet, depth_map, pixel_rays


@pytest.fixture(scope="module")
def made():
    return depth_map(0)


def test_what_a_map_carries(made):
    cloud, picture = made
    assert cloud.grid == (240, 320)
    assert cloud.points.dtype == np.float32
    assert cloud.unit == "m"
    assert np.array_equal(cloud.viewpoint, np.zeros(3))
    assert picture.shape == (240, 320, 3)
    assert picture.dtype == np.uint8


def test_pixel_rays_are_those_of_a_pinhole():
    rays = pixel_rays((30, 40)).reshape(30, 40, 3)
    assert np.all(rays[..., 2] == 1)
    assert np.diff(rays[..., 0], axis=1) == pytest.approx(1 / (FOCAL * 40))
    assert np.diff(rays[..., 1], axis=0) == pytest.approx(1 / (FOCAL * 40))
    assert np.all(rays[:, 0, 0] < 0)
    assert np.all(rays[0, :, 1] < 0)


@given(st.integers(0, 2**32), st.integers(16, 90), st.integers(16, 90))
@settings(max_examples=15)
def test_points_lie_on_their_rays_and_the_rest_is_zero(seed, height, width):
    cloud, _ = depth_map(seed, (height, width))
    rays = pixel_rays((height, width))
    points = cloud.points.astype(np.float64)
    off = np.linalg.norm(np.cross(points, rays), axis=1)
    assert off.max() < 1e-7
    assert np.array_equal(cloud.points[~cloud.valid], np.zeros(((~cloud.valid).sum(), 3)))
    # Some readers take any coordinate of 0 for a missing point.
    assert np.all(cloud.points[cloud.valid] != 0)
    assert np.all((points[cloud.valid, 2] > DISTANCE - 0.05) & (points[cloud.valid, 2] < DISTANCE + 0.001))
    assert 0.10 <= 1 - cloud.valid.mean() <= 0.25


@pytest.mark.parametrize("seed", range(5))
def test_what_is_lost(seed):
    cloud, _ = depth_map(seed)
    invalid = ~cloud.valid.reshape(cloud.grid)
    assert 0.10 <= invalid.mean() <= 0.25
    corners = [invalid[:12, :12], invalid[:12, -12:], invalid[-12:, :12], invalid[-12:, -12:]]
    assert np.mean([c.mean() for c in corners]) > 0.7
    # Preprocessing fits the table to a frame of ten pixels, so some of it must be there.
    frame = np.ones(cloud.grid, dtype=bool)
    frame[10:-10, 10:-10] = False
    assert (frame & ~invalid).sum() > 500
    assert 0.002 < invalid[100:140, 140:180].mean() < 0.05


@pytest.mark.parametrize("seed", range(3))
def test_rays_end_where_they_first_meet_the_relief(seed):
    cookie = _Cookie(as_rng(seed), 0.0675)
    rays = pixel_rays((60, 80))
    u, v = rays[:, 0], rays[:, 1]
    z = _meet(cookie, u, v)
    assert np.all(z <= DISTANCE)
    # Walking down in small steps, as the slow oracle.
    reached = np.full(len(u), DISTANCE)
    for here in np.linspace(DISTANCE, DISTANCE - cookie.top, 1500):
        reached = np.where(cookie(u * here, v * here) >= DISTANCE - here, here, reached)
    on_part = z < DISTANCE - 1e-4
    assert np.abs(z - reached)[on_part].max() < 2.5e-5
    assert on_part.mean() > 0.15
    assert np.all(cookie(u * z, v * z) <= cookie.top)


def test_shadows_lie_behind_the_part():
    cookie = _Cookie(as_rng(1), 0.0675)
    x, y = (a.ravel() for a in np.meshgrid(np.linspace(-0.1, 0.1, 101), np.linspace(-0.1, 0.1, 101)))
    table = cookie(x, y) == 0
    lit = _lit(cookie, x, y, np.full(len(x), DISTANCE))
    dark = table & ~lit
    # The projector stands to the left, so what it cannot light is to the right and lies on the side turned away.
    away = -_PROJECTOR[:2] / np.hypot(*_PROJECTOR[:2])
    behind = (x - cookie.centre[0]) * away[0] + (y - cookie.centre[1]) * away[1]
    assert dark.sum() > 50
    # Seen from where it stands, the outline is a little on this side of the middle.
    assert behind[dark].min() > -0.3 * cookie.radius
    assert behind[dark].max() > cookie.radius + 0.1 * cookie.height
    assert away[0] > 0.9
    # The whole way to the projector in small steps, as the slow oracle.
    free = np.ones(len(x), dtype=bool)
    for share in np.linspace(0, 1, 1500):
        way = [a + share * (b - a) for a, b in zip((x, y, DISTANCE), _PROJECTOR, strict=True)]
        free &= cookie(way[0], way[1]) <= DISTANCE - way[2] + 1e-4
    assert np.mean(free[table] != lit[table]) < 0.002
    distance = np.hypot(x - cookie.centre[0], y - cookie.centre[1])
    assert np.all(distance[dark] < cookie.radius + cookie.top)


def test_the_picture_shows_what_the_map_measures(made):
    cloud, picture = made
    height = np.where(cloud.valid, DISTANCE - cloud.points[:, 2], np.nan).reshape(cloud.grid)
    warm = picture[..., 0].astype(int) > picture[..., 2].astype(int) + 5
    assert np.mean(warm[height > 0.003]) > 0.99
    assert np.mean(warm[height < 0.0005]) < 0.01
    assert np.nanstd(height[height < 0.0005]) == pytest.approx(NOISE, rel=0.1)
    assert np.nanmax(height) > 0.008


def test_a_seed_is_a_map():
    (first, rgb), (again, rgb_again), (other, rgb_other) = (depth_map(seed, (48, 64)) for seed in (3, 3, 4))
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(rgb, rgb_again)
    assert not np.array_equal(first.points, other.points)
    assert not np.array_equal(rgb, rgb_other)


def test_too_small_a_map():
    with pytest.raises(ParameterError, match="shape: 15 x 40: expected at least 16 pixels each way"):
        depth_map(0, (15, 40))
