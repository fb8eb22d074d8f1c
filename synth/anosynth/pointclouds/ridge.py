"""Long raised rib."""

from __future__ import annotations

from anosynth.params import param
from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator, gaussian


class Ridge(BumpGenerator):
    """Long raised rib with a Gaussian cross-section

    h(t) = strength * (g(t) - g(1)) / (1 - g(1)), g(t) = exp(-t^2 / (2 * 0.4^2)), t the elliptic geodesic radius.

    Axis ratio and width follow AF3AD (preset "ridge", radii 2.5 : 0.7, sigma 0.4); cut off at t = 1 (ours), since a
    Gaussian never ends and its mask never would.
    """

    elongation: float = param(3.5, ge=1, le=10, vary=(2.5, 5.0), help="ratio of the longer to the shorter axis")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        return gaussian(t, 0.4)
