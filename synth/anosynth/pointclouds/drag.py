"""Smeared material."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._bump import Array, BumpGenerator
from ._geometry.patch import Patch
from ._local import STRENGTH
from .shear import slid


class Drag(BumpGenerator):
    """Material dragged along the surface, slowly on one side and abruptly on the other

    p' = p + strength * k(t, x) * d, k = (1 - t^2)^2 * s((x + 1) / 2), s(a) = 3a^2 - 2a^3, d the long axis made
    tangent at p, x from -1 to 1 along it.

    Inspired by AF3AD's preset "drag" (elongated, gated on one side); the kernel is ours. A depth map cannot hold it.
    """

    version: ClassVar[int] = 2

    strength: Length = param(0.01, gt=0, le=0.2, vary=(0.005, 0.015), unit=STRENGTH, help="largest displacement")
    elongation: float = param(2.5, ge=1, le=10, vary=(1.5, 3.0), help="ratio of the longer to the shorter axis")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        gate = np.clip((x + 1) / 2, 0, 1)
        return np.where(t < 1, (1 - np.minimum(t, 1) ** 2) ** 2 * gate * gate * (3 - 2 * gate), 0.0)

    def moved(self, patch: Patch, height: Array, size: float) -> Change:
        return slid(patch, height, size)
