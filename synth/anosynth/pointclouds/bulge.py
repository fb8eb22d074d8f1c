"""Rounded bump."""

from __future__ import annotations

from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator, cosine


class Bulge(BumpGenerator):
    """Rounded bump, zero with zero slope on its rim

    h(t) = strength * (1 + cos(pi t)) / 2, t the elliptic geodesic radius over its size.

    The cosine kernel and the name follow AF3AD (preset "bulge"); the geodesic patch, the true outward normal of each
    point and the size from `area` are ours.
    """

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        return cosine(t)
