"""Waves on the surface."""

from __future__ import annotations

import numpy as np

from anosynth import steady
from anosynth.params import param
from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator, cosine


class Ripple(BumpGenerator):
    """Parallel waves that fade out at the rim, as chatter or a wrinkle leaves them

    h(t, x) = strength * cos(2 pi waves x + phase) * (1 + cos(pi t)) / 2, x from -1 to 1 along the long axis.

    Ours: AF3AD's "ripple" does not oscillate. The lines where the wave crosses zero did not change and are not
    labelled.
    """

    waves: float = param(2.0, ge=0.5, le=20, vary=(1.5, 4.0), help="wave crests on half of the long axis")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        phase = rng.uniform(0, 2 * np.pi)
        wave: Array = steady.cos(2 * np.pi * self.waves * x + phase) * cosine(t)
        return wave
