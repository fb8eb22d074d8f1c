"""Rounded hollow."""

from __future__ import annotations

from typing import ClassVar

from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator, cosine


class Dent(BumpGenerator):
    """Rounded hollow, zero with zero slope on its rim

    h(t) = -strength * (1 + cos(pi t)) / 2, t the elliptic geodesic radius over its size.

    The cosine kernel and the name follow AF3AD (preset "dent"); the depth is kept within half of the wall (ours).
    """

    side: ClassVar[int] = -1

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        return cosine(t)
