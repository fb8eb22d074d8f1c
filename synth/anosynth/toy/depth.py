"""An organised XYZ map with its picture: a cookie on a table, seen by a structured-light camera from above.

Camera frame: x to the right, y down, z forward, in metres, the camera at the origin. The scene is a relief over the
table plane z = DISTANCE, so every pixel's ray meets it once, and where the ray meets it is found by marching.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.seeding import Rng, RngLike, as_rng

Floats = NDArray[np.float64]

DISTANCE = 0.5
"""From the camera to the table, in metres."""
FOCAL = 2.0
"""Focal length as a multiple of the picture's longer side."""
NOISE = 4e-5
"""Standard deviation of the measured distance, in metres."""

_PROJECTOR = np.array([-0.25, 0.06, 0.0])
_MARCH = 32
_HALVINGS = 12


class _Cookie:
    """The relief: a rounded disc with chips on it and a gently uneven top."""

    def __init__(self, rng: Rng, radius: float) -> None:
        self.radius = radius * rng.child("radius").uniform(0.92, 1.0)
        self.height = 0.2 * self.radius * rng.child("height").uniform(0.9, 1.1)
        where = rng.child("where")
        self.centre = (where.uniform(-0.1, 0.1) * radius, where.uniform(-0.1, 0.1) * radius)
        self._waves = _waves(rng.child("waves"), 4, 9.0 / self.radius)
        chips = rng.child("chips")
        count = chips.integer(9, 14)
        reach = 0.8 * self.radius * np.sqrt(chips.random(count))
        angle = 2.0 * math.pi * chips.random(count)
        size = self.radius * (0.06 + 0.05 * chips.random(count))
        self._chips = np.stack([reach * np.cos(angle), reach * np.sin(angle), size], axis=1)
        self.top = self.height * 1.5

    def chip(self, x: Floats, y: Floats) -> Floats:
        """Return how much of a chip is at (x, y), 0 to 1."""
        most = np.zeros(x.shape)
        for cx, cy, size in self._chips:
            rest = 1.0 - ((x - cx) ** 2 + (y - cy) ** 2) / (size * size)
            most = np.maximum(most, np.maximum(rest, 0.0))
        return np.asarray(np.sqrt(most))

    def __call__(self, x: Floats, y: Floats) -> Floats:
        """Return the height over the table at the table's coordinates, in metres, 0 beside the cookie."""
        x, y = x - self.centre[0], y - self.centre[1]
        inside = 1.0 - ((x * x + y * y) / (self.radius * self.radius)) ** 2
        on = inside > 0
        relief = np.zeros(x.shape)
        rim = np.sqrt(np.sqrt(inside[on]))
        x, y = x[on], y[on]
        relief[on] = self.height * rim * (1.0 + 0.08 * _sum_waves(self._waves, x, y) + 0.22 * self.chip(x, y))
        return relief


def depth_map(rng: RngLike, shape: tuple[int, int] = (240, 320)) -> tuple[PointCloud, NDArray[np.uint8]]:
    """Return an organised map of a toy scene and the picture that the camera took of it.

    Args:
        rng: see `anosynth.seeding.RngLike`.
        shape: (height, width) in pixels, at least 16 each.

    Returns:
        The cloud: (height * width, 3) float32 points in metres with `grid` and `viewpoint` set, every valid one on its
        pixel's ray (see `pixel_rays`) with no coordinate exactly 0; 10 to 25 % are invalid, exactly (0, 0, 0): what
        the projector cannot light, lost pixels at steep places, and the far background. And the picture,
        (height, width, 3) uint8, without gaps.

    Raises:
        ParameterError: the shape is too small.
    """
    height, width = shape
    if min(height, width) < 16:
        raise ParameterError(f"shape: {height} x {width}: expected at least 16 pixels each way")
    base = as_rng(rng)
    rays = pixel_rays(shape)
    cookie = _Cookie(base.child("cookie"), 0.36 * min(shape) / max(shape) / FOCAL * DISTANCE)
    u, v = rays[:, 0], rays[:, 1]
    z = _meet(cookie, u, v)
    x, y = u * z, v * z
    shade = _shading(cookie, x, y, DISTANCE - z)
    lit = _lit(cookie, x, y, z)

    z = z + NOISE * base.child("noise").normal(len(z))
    lost = base.child("lost").random(len(z)) < 0.004 + 0.5 * np.clip(0.35 - shade[1], 0.0, 1.0)
    invalid = ~lit | lost
    invalid |= _background(base.child("background"), u, v, invalid, on_part=cookie(x, y) > 0)
    points = (rays * z[:, None]).astype(np.float32)
    points[invalid] = 0.0
    cloud = PointCloud(points, grid=(height, width), viewpoint=np.zeros(3), unit="m")
    return cloud, _picture(base.child("picture"), cookie, x, y, shade[0], lit).reshape(height, width, 3)


def pixel_rays(shape: tuple[int, int]) -> Floats:
    """Return the direction of every pixel's ray with z = 1, (height * width, 3) float64 in row-major order."""
    height, width = shape
    focal = FOCAL * max(shape)
    # A principal point between the pixels keeps x and y off 0, which some readers take for a missing point.
    u = (np.arange(width) - (width - 1) / 2 - 0.25) / focal
    v = (np.arange(height) - (height - 1) / 2 - 0.25) / focal
    return np.stack([np.tile(u, height), np.repeat(v, width), np.ones(height * width)], axis=1)


def _meet(cookie: _Cookie, u: Floats, v: Floats) -> Floats:
    """Return the z at which each ray first meets the relief: marching down to a crossing, then halving."""
    z = np.full(len(u), DISTANCE)
    reach = cookie.radius / (DISTANCE - cookie.top)
    near = (u - cookie.centre[0] / DISTANCE) ** 2 + (v - cookie.centre[1] / DISTANCE) ** 2 < (1.1 * reach) ** 2
    u, v = u[near], v[near]
    low, high = np.full(len(u), DISTANCE - cookie.top), np.full(len(u), DISTANCE)
    open_ = np.ones(len(u), dtype=bool)
    for step in range(1, _MARCH):
        here = DISTANCE - cookie.top * (1.0 - step / _MARCH)
        under = cookie(u[open_] * here, v[open_] * here) > DISTANCE - here
        low[open_] = np.where(under, low[open_], here)
        found = np.flatnonzero(open_)[under]
        high[found] = here
        open_[found] = False
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        under = cookie(u * middle, v * middle) > DISTANCE - middle
        low, high = np.where(under, low, middle), np.where(under, middle, high)
    z[near] = high
    return z


def _lit(cookie: _Cookie, x: Floats, y: Floats, z: Floats) -> NDArray[np.bool_]:
    """Return where the way to the projector is free of the relief."""
    lit = np.ones(len(x), dtype=bool)
    # The projector stands higher than it stands aside: a shadow is shorter than the relief is high.
    reach = cookie.radius + cookie.top
    near = np.flatnonzero((x - cookie.centre[0]) ** 2 + (y - cookie.centre[1]) ** 2 < reach * reach)
    x, y, z = x[near], y[near], z[near]
    up = cookie.top / DISTANCE
    for share in np.linspace(0.0, 1.0, 25)[1:]:
        # The part of the way that matters ends where it rises above the highest point of the relief.
        s = share * up
        px, py = x + s * (_PROJECTOR[0] - x), y + s * (_PROJECTOR[1] - y)
        above = DISTANCE - (z + s * (_PROJECTOR[2] - z))
        lit[near] &= cookie(px, py) <= above + 1e-4
    return lit


def _shading(cookie: _Cookie, x: Floats, y: Floats, height: Floats) -> tuple[Floats, Floats]:
    """Return the light that falls on each point, 0 to 1, and how far it faces the camera, 0 to 1."""
    step = 4e-4
    slope_x = (cookie(x + step, y) - cookie(x - step, y)) / (2.0 * step)
    slope_y = (cookie(x, y + step) - cookie(x, y - step)) / (2.0 * step)
    size = np.sqrt(slope_x**2 + slope_y**2 + 1.0)
    z = DISTANCE - height
    # The normal towards the camera is (-slope_x, -slope_y, -1) / size.
    facing = (slope_x * x + slope_y * y + z) / (size * np.sqrt(x * x + y * y + z * z))
    # The projector is the lamp, so that bright sides and shadows agree.
    lx, ly, lz = _PROJECTOR - np.array([0.0, 0.0, DISTANCE])
    light = np.clip(-(lx * slope_x + ly * slope_y + lz) / (size * math.hypot(lx, ly, lz)), 0.0, 1.0)
    return np.asarray(light), np.asarray(np.clip(facing, 0.0, 1.0))


def _background(
    rng: Rng, u: Floats, v: Floats, invalid: NDArray[np.bool_], *, on_part: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which table pixels to drop besides: ragged corners, as many as make the invalid share come true."""
    share = rng.child("share").uniform(0.13, 0.21)
    missing = round(share * len(u)) - int(invalid.sum())
    candidates = np.flatnonzero(~invalid & ~on_part)
    far = (u / u[-1]) ** 2 + (v / v[-1]) ** 2
    score = far + 0.18 * _sum_waves(_waves(rng.child("ragged"), 8, 18.0 / float(u[-1])), u, v)
    order = np.argsort(-score[candidates], kind="stable")
    drop = np.zeros(len(u), dtype=bool)
    drop[candidates[order[: max(0, missing)]]] = True
    return drop


def _picture(
    rng: Rng, cookie: _Cookie, x: Floats, y: Floats, light: Floats, lit: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the colours, (N, 3) uint8: baked dough with dark chips on a grey-blue table, shadows and grain."""
    relief = cookie(x, y)
    dough, chocolate, table = (
        np.array([205.0, 150.0, 88.0]),
        np.array([84.0, 52.0, 36.0]),
        np.array([92.0, 104.0, 120.0]),
    )
    chip = (cookie.chip(x - cookie.centre[0], y - cookie.centre[1]) > 0.25)[:, None]
    # Browner towards the rim, where an oven bakes more.
    browning = 1.0 - 0.25 * (1.0 - np.clip(relief / cookie.height, 0.0, 1.0))[:, None]
    colour = np.where((relief > 0)[:, None], np.where(chip, chocolate, dough * browning), table)
    brightness = (0.3 + 0.85 * light) * np.where(lit, 1.0, 0.8)
    grain = 3.0 * rng.normal(len(x))
    return np.clip(np.rint(colour * brightness[:, None] + grain[:, None]), 0, 255).astype(np.uint8)


def _waves(rng: Rng, count: int, frequency: float) -> Floats:
    """Return (count, 3) plane waves as (kx, ky, phase), in radians a length."""
    angle = 2.0 * math.pi * rng.random(count)
    size = frequency * (0.5 + rng.random(count))
    return np.stack([size * np.cos(angle), size * np.sin(angle), 2.0 * math.pi * rng.random(count)], axis=1)


def _sum_waves(waves: Floats, x: Floats, y: Floats) -> Floats:
    """Return the mean of the waves times the square root of their number: about -1 to 1."""
    total = np.zeros(x.shape)
    for kx, ky, phase in waves:
        total += np.sin(kx * x + ky * y + phase)
    return np.asarray(total / math.sqrt(len(waves)))
