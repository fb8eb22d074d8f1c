"""Pit with a raised lip."""

from __future__ import annotations

import numpy as np

from anosynth import steady
from anosynth.params import param
from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator

_BOWL = 0.7


class Crater(BumpGenerator):
    """Pit with a raised lip, as an impact leaves it

    h(t) = -strength * (1 - (t / 0.7)^2) for t < 0.7, strength * lip * sin^2(pi (t - 0.7) / 0.3) up to t = 1; times
    (1 + skew * x) / (1 + skew), x the position on the long axis over its size, so that one side is deeper.

    Inspired by AF3AD's preset "skewed crater"; bowl, lip and skew are ours.
    """

    lip: float = param(0.3, ge=0, le=1, vary=(0.1, 0.4), help="height of the lip as a share of the depth")
    skew: float = param(0.0, ge=0, le=0.9, vary=(0.0, 0.6), help="how much deeper one side is")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        bowl = -(1 - (t / _BOWL) ** 2)
        lip = self.lip * steady.sin(np.pi * (t - _BOWL) / (1 - _BOWL)) ** 2
        tilt: Array = (1 + self.skew * np.clip(x, -1, 1)) / (1 + self.skew)
        return np.where(t < _BOWL, bowl, np.where(t < 1, lip, 0.0)) * tilt
