"""Bumps of one profile: what bulge, dent, ridge, trench, crater, ripple and their kin share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError
from anosynth.params import Length, param
from anosynth.pointclouds._base import Change
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.patch import Patch
from anosynth.pointclouds._local import AREA, STRENGTH, LocalGenerator, Mask, elliptic, find_patch, fit_size, raised
from anosynth.seeding import Rng

Array = NDArray[Any]

_WIDENINGS = 6


class BumpGenerator(LocalGenerator):
    """Base of defects h(t) = side * strength * profile(t), t the elliptic geodesic radius over its size R.

    R follows by bisection from `area`: the share of the surface on which |h| reaches the visible floor.
    """

    side: ClassVar[int] = 1

    strength: Length = param(0.02, gt=0, le=0.2, vary=(0.005, 0.03), unit=STRENGTH, help="largest displacement")
    area: float = param(0.02, gt=0, le=0.5, vary=(0.005, 0.03), unit=AREA, help="share of the surface that changes")
    elongation: float = param(1.0, ge=1, le=10, vary=(1.0, 2.0), help="ratio of the longer to the shorter axis")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        """Return heights in [-1, 1], (K,), 0 from t = 1 on.

        `t` (K,) are elliptic radii, `x` and `y` (K,) positions along and across the long axis, all over R:
        t^2 = x^2 + y^2.
        """
        raise NotImplementedError

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        strength = self.length_in("strength", cloud)
        stretch = float(np.sqrt(self.elongation))

        def height(patch: Patch, size: float) -> Array:
            t, x = elliptic(patch, self.elongation) / size, patch.uv[:, 0] / stretch / size
            return self.profile(t, x, patch.uv[:, 1] * stretch / size, rng.child("profile"))

        patch, size = sized_patch(cloud, rng, allowed, self.area, self.elongation, strength, height)
        return self.moved(patch, height(patch, size) * (self.side * strength), size)

    def moved(self, patch: Patch, height: Array, size: float) -> Change:
        """Move the patch by `height` (K,) in file units; along the normals by default."""
        return raised(patch, height, size=size)


def sized_patch(
    cloud: PointCloud,
    rng: Rng,
    allowed: Mask | None,
    area: float,
    elongation: float,
    strength: float,
    height: Callable[[Patch, float], Array],
) -> tuple[Patch, float]:
    """Return a patch and the size R for which `height(patch, R)`, in [-1, 1], is visible on `area` of the surface.

    Raises:
        DataError: the connected surface around the drawn place is too small.
    """
    share = min(1.0, 1.6 * area * elongation)
    for _ in range(_WIDENINGS):
        patch = find_patch(cloud, rng, allowed, share=share, reach=2 * strength)
        most = patch.radius / float(np.sqrt(elongation))
        size = fit_size(patch, area, partial(height, patch), strength, most)
        if size < 0.999 * most:
            return patch, size
        if share == 1.0:
            break
        share = min(1.0, 1.6 * share)
    raise DataError(
        f"the surface around this place is too small for an area of {area:g}\nhint: lower area or elongation"
    )


def cosine(t: Array) -> Array:
    """(1 + cos(pi t)) / 2 for t < 1, else 0."""
    return np.where(t < 1, 0.5 + 0.5 * steady.cos(np.pi * np.minimum(t, 1)), 0.0)


def gaussian(t: Array, sigma: float) -> Array:
    """exp(-t^2 / 2 sigma^2), shifted and scaled to be 1 at t = 0 and 0 from t = 1 on."""
    rim = float(steady.exp(-0.5 / sigma**2))
    return np.where(t < 1, (steady.exp(-0.5 * (t / sigma) ** 2) - rim) / (1 - rim), 0.0)
