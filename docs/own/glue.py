"""A drop of dried glue on a photo."""

from __future__ import annotations

import numpy as np

from anosynth.images import Edit, Image, ImageGenerator
from anosynth.params import Size, param
from anosynth.seeding import Rng


class Glue(ImageGenerator):
    """Round drop of clear glue, lighter towards one side

    new = old + strength (1 - old) (0.3 + 0.7 c), c from 0 to 1 across the drop in a
    drawn direction; the edge fades over a tenth of the radius.

    Ours.
    """

    strength: float = param(0.4, ge=0.05, le=1, vary=(0.2, 0.6), help="how much lighter it is")
    width: Size = param(0.1, gt=0, le=1, vary=(0.05, 0.15), unit="of the shorter side", help="diameter")

    def edit(self, image: Image, rng: Rng, free: np.ndarray) -> Edit:
        height, width = image.shape
        places = np.flatnonzero(free)
        place = places[rng.child("place").integer(0, len(places) - 1)]
        row, column = divmod(int(place), width)

        radius = max(2.0, image.length(self.width) / 2)
        top, bottom = max(0, int(row - radius)), min(height, int(row + radius) + 2)
        left, right = max(0, int(column - radius)), min(width, int(column + radius) + 2)
        y, x = np.mgrid[top:bottom, left:right].astype(np.float64)
        y, x = (y - row) / radius, (x - column) / radius

        alpha = np.clip((1 - np.sqrt(x * x + y * y)) / 0.1, 0, 1)
        across = rng.child("light").direction()
        light = 0.3 + 0.7 * np.clip(0.5 + 0.5 * (across[0] * x + across[1] * y), 0, 1)
        box = (top, left, bottom, right)
        old = image.crop(box).astype(np.float64)
        new = old + self.strength * (1 - old) * light[:, :, None]
        return Edit(box, new.astype(np.float32), alpha.astype(np.float32))
