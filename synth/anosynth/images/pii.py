"""A mirrored square of another place, its gradients mixed into the image's."""

from __future__ import annotations

from typing import Literal

import numpy as np

from anosynth.params import Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._place import Alpha, kept, seen_share
from ._poisson import fast_side, solve
from ._sample import Image, Mask
from .fpi import square_pair

_LEAST_SEEN = 0.1


class Pii(ImageGenerator):
    """Square of another place of the image, its gradients mixed in and integrated

    Solves lap f = div v inside the square with f = here on its border. `stronger`: v is (1 - blend) grad here or
    blend grad there, whichever is the larger one over the channels; `sum`: their sum, so that f is linear in `blend`.
    The graded label is `blend` wherever a pixel visibly changed, 0 elsewhere; severity does not lower it.

    Source: PII (Tan et al., "Detecting outliers with Poisson image interpolation", MICCAI 2021): `stronger`, factors
    from 0.05 to 0.95 and squares of 0.1 to 0.4 of the side. There the other pixels are those of another image at the
    same place, the square is centred in the middle 80 % of the image, and each channel decides for itself; here they
    are those of another place of the same image, mirrored, and the square lies anywhere (ours). Where the result would
    hardly be seen, as on flat images, a parabolic dome of brightness is added, 0 on the border (ours).
    """

    blend: float = param(0.5, ge=0.05, le=1, vary=(0.05, 0.95), help="weight of the other place's gradients")
    width: Size = param(
        0.2, gt=0, le=0.8, vary=(0.1, 0.4), unit="of the shorter side", help="side of the square, at least 6 px"
    )
    gradients: Literal["stronger", "sum"] = param("stronger", help="how the two gradients are mixed")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        box, source, there = square_pair(image, self.width, rng, free, least=6)
        side = fast_side(box[2] - box[0])
        box = (box[0], box[1], box[0] + side, box[1] + side)
        here, there = image.crop(box), there[:side, :side]
        alpha = kept(np.ones((side, side), np.float32), free, box)
        new = interpolated(here, there, self.blend, stronger=self.gradients == "stronger")
        shift = 0.0
        if seen_share(new, here, alpha) < _LEAST_SEEN:
            level = float(here.mean(dtype=np.float64))
            shift = rng.child("shift").uniform(0.08, 0.16) * (1.0 if level < 0.5 else -1.0)
            new += np.float32(shift) * _dome(side)
        stats = {"label": self.blend, "source": list(source), "shift": shift}
        return Edit(box, new, alpha, stats, alpha * np.float32(self.blend))


def interpolated(here: Alpha, there: Alpha, blend: float, *, stronger: bool) -> Alpha:
    """Return f (h, w, C) float32 with lap f = div v and f = `here` on the border; see `Pii`."""
    if min(here.shape[:2]) < 3:
        return here.copy()
    old, other = here.astype(np.float64), there.astype(np.float64)
    excess = np.zeros(old[1:-1, 1:-1].shape)
    for axis in (0, 1):
        own, foreign = np.diff(old, axis=axis), blend * np.diff(other, axis=axis)
        kept_back = (1 - blend) * own
        if stronger:
            larger = (foreign * foreign).sum(axis=2) > (kept_back * kept_back).sum(axis=2)
            guidance = np.where(larger[:, :, None], foreign, kept_back)
        else:
            guidance = kept_back + foreign
        more = guidance - own
        excess += np.diff(more[:, 1:-1] if axis == 0 else more[1:-1], axis=axis)
    old[1:-1, 1:-1] += solve(excess)
    return old.astype(np.float32)


def _dome(side: int) -> Alpha:
    """Return (side, side, 1) float32: 1 in the middle, 0 on the border."""
    t = np.linspace(-1, 1, side).astype(np.float32)
    return ((1 - t * t)[:, None] * (1 - t * t)[None, :])[:, :, None]
