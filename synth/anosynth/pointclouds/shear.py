"""Material pushed along the surface."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from anosynth.errors import DataError, Impossible
from anosynth.seeding import Rng

from ._base import Change
from ._bump import Array, BumpGenerator, cosine
from ._geometry.patch import Patch
from ._local import pushed

_STEEPEST = 0.6


class Shear(BumpGenerator):
    """Patch pushed along the surface, the shape unchanged where it is flat

    p' = p + strength * (1 + cos(pi t)) / 2 * d, d the patch's long axis made tangent at p.

    Follows AF3AD's presets "shear u" and "shear v"; the direction is tangent at every point and a push that would fold
    the surface over itself is drawn again (ours). Heights are |p' - p|. A depth map cannot hold it.
    """

    version: ClassVar[int] = 2

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        return cosine(t)

    def moved(self, patch: Patch, height: Array, size: float) -> Change:
        return slid(patch, height, size)


def slid(patch: Patch, distance: Array, size: float) -> Change:
    """Move the patch by `distance` (K,) along its long axis, tangent to the surface at every point."""
    if patch.cloud.grid is not None:
        raise Impossible("a depth map cannot hold a move along the surface")
    if float(np.abs(distance).max()) > _STEEPEST * size:
        raise DataError(
            f"a push of {np.abs(distance).max():.4g} folds a patch of radius {size:.4g}\nhint: lower the strength"
        )
    axis = patch.frame[0]
    tangent = axis - patch.normals * (patch.normals * axis).sum(axis=1)[:, None]
    return pushed(patch, tangent * distance[:, None], size=size)
