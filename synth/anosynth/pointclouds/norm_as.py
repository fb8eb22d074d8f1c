"""Norm-AS of PO3AD."""

from __future__ import annotations

import numpy as np

from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._local import STRENGTH, LocalGenerator, Mask, find_patch, raised


class NormAs(LocalGenerator):
    """Cone on a nearest-neighbour patch (Norm-AS of PO3AD)

    h_i = sigma * strength * w_i, w = minmax(1 - d_i / max d), d_i the Euclidean distance to the patch's centre,
    sigma = +-1 drawn once a patch; p' = p + h n.

    Source: PO3AD (CVPR 2025), Norm-AS: patches of N / 64 points, amplitude U(0.06, 0.12) of the object's radius.
    The published code moves points along the absolute values of the normal's components; here it is the true outward
    normal. The patch is connected on the surface (ours), and a radius is taken as half of the diagonal.
    """

    strength: Length = param(0.045, gt=0, le=0.2, vary=(0.03, 0.06), unit=STRENGTH, help="height of the cone's tip")
    patches: int = param(64, ge=4, le=4096, help="the patch is this part of the points")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        strength = self.length_in("strength", cloud)
        patch = find_patch(cloud, rng, allowed, share=1.0 / self.patches, reach=2 * strength)
        gap = patch.cloud.points[patch.index].astype(np.float64) - patch.cloud.points[patch.centre].astype(np.float64)
        distance = np.sqrt((gap * gap).sum(axis=1))
        weight = 1 - distance / distance.max()
        return raised(patch, rng.child("sign").sign() * strength * weight)
