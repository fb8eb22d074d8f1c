"""Hollow or bulge, seen by how it catches the light."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.params import Area, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._place import centre_of, moved_inside
from ._sample import Image, Mask
from ._seats import oriented
from ._visible import graded
from ._warp import ellipse_box, elliptic_axes, resample

Field = NDArray[np.float32]

_DEPTH = 0.35
_DARK = 0.35


class Dent(ImageGenerator):
    """Hollow that is lit from one side

    Depth z(t) = 1 for t < 1 - softness, falling with (1 + cos) / 2 to 0 at the rim t = 1, t the elliptic radius; its
    normals n are those of a depth of 0.35 short axes. With the light l from a drawn direction 45 degrees above the
    surface, r = (n . l - l_z), scaled to at most 1: new = old + strength r (0.35 + 0.65 old). The floor of 0.35 lets
    dents show on black. What lies in it is also shifted along the slope, by up to `shift` of the short axis. At
    severities below 1 both are smaller.

    Ours: Lambert's law on a cosine hollow.
    """

    fades: ClassVar[bool] = False

    strength: float = param(0.45, gt=0, le=1, vary=(0.25, 0.6), help="largest change of brightness on white")
    area: Area = param(0.02, gt=0, le=0.5, vary=(0.005, 0.04), unit="of the image", help="size of the ellipse")
    elongation: float = param(1.5, ge=1, le=10, vary=(1.0, 2.5), help="ratio of the longer to the shorter axis")
    orientation: float = oriented()
    softness: float = param(0.8, ge=0.1, le=1, vary=(0.5, 1.0), help="share of the radius that slopes")
    shift: float = param(0.06, ge=0, le=0.2, unit="of the short axis", help="largest shift of the image in the slope")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        angle, light = math.radians(self.orientation), rng.child("light").uniform(0.0, 2 * math.pi)
        size = ellipse_box(min(image.share(self.area), 0.5), angle, self.elongation, image.shape)
        box = moved_inside(centre_of(image, free, rng.child("place")), size, image.shape)
        along, across, long_axis, short_axis = elliptic_axes(*size, angle, self.elongation)
        radius = np.sqrt(along * along + across * across).astype(np.float64)
        down, right = _slope(radius, along, across, angle, long_axis, short_axis, self.softness)
        shade = _shade(down, right, light)
        steepest = max(float(np.sqrt(down * down + right * right).max()), 1e-6)
        old, alpha = image.crop(box), (radius < 1).astype(np.float32)
        stats = {"light": math.degrees(light), "radius": [long_axis, short_axis]}

        def pressed(amount: float, step: int = 1) -> Edit:
            some = (slice(None, None, step), slice(None, None, step))
            reach = np.float32(amount * self.shift * short_axis / steepest)
            pixels = resample(old, down[some] * reach, right[some] * reach, step)
            light = np.float32(amount * self.strength) * shade[some]
            for channel in range(image.channels):
                moved = pixels[:, :, channel]
                pixels[:, :, channel] = moved + light * (np.float32(_DARK) + np.float32(1 - _DARK) * moved)
            return Edit(box, pixels, alpha[some], stats)

        return graded(self.severity, pressed, image, pressed)


def _slope(
    radius: NDArray[np.float64],
    along: Field,
    across: Field,
    angle: float,
    long_axis: float,
    short_axis: float,
    softness: float,
) -> tuple[Field, Field]:
    """Return the slope of the surface, (h, w) each: height gained per pixel down and right."""
    inside = np.clip((radius - (1 - softness)) / softness, 0, 1)
    steepness = _DEPTH * short_axis * 0.5 * math.pi / softness * steady.sin(math.pi * inside)
    steepness = (steepness / np.maximum(radius, 1e-6)).astype(np.float32)
    u, v = steepness * along / np.float32(long_axis), steepness * across / np.float32(short_axis)
    cosine, sine = (np.float32(f(angle)) for f in (steady.cos, steady.sin))
    return u * sine + v * cosine, u * cosine - v * sine


def _shade(down: Field, right: Field, light: float) -> Field:
    """Return n . l - l_z of a light 45 degrees high, scaled to at most 1 in amount."""
    level = math.sqrt(0.5)
    toward_down, toward_right = (np.float32(level * f(light)) for f in (steady.sin, steady.cos))
    lit = (np.float32(level) - down * toward_down - right * toward_right) / np.sqrt(1 + down * down + right * right)
    change: Field = np.maximum(lit, np.float32(0)) - np.float32(level)
    change /= np.maximum(np.abs(change).max(), np.float32(1e-6))
    return change
