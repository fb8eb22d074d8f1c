"""Long hollow."""

from __future__ import annotations

from typing import ClassVar

from anosynth.params import param
from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator, cosine


class Trench(BumpGenerator):
    """Long hollow with a cosine cross-section

    h(t) = -strength * (1 + cos(pi t)) / 2, t the elliptic geodesic radius over its size.

    The axis ratio follows AF3AD (preset "trench", radii 3 : 0.7).
    """

    side: ClassVar[int] = -1
    elongation: float = param(4.3, ge=1, le=10, vary=(3.0, 6.0), help="ratio of the longer to the shorter axis")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        return cosine(t)
