"""A cluster of small pits."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from anosynth import steady
from anosynth.params import param
from anosynth.seeding import Rng

from ._bump import Array, BumpGenerator, cosine


class Dimples(BumpGenerator):
    """Cluster of small pits, as porosity or shot marks

    h = -strength * max_i s_i * (1 + cos(pi d_i)) / 2, d_i the distance to pit i over its radius, s_i in [0.5, 1].

    The pits lie on a sunflower pattern (angles of the golden ratio) with jitter. Inspired by AF3AD's preset
    "micro dimple"; pattern and depths are ours. `area` is what all pits together change.
    """

    version: ClassVar[int] = 2
    side: ClassVar[int] = -1
    pits: int = param(5, ge=1, le=60, vary=(3, 9), help="number of pits in a cluster")
    spread: float = param(0.5, gt=0, le=1, vary=(0.4, 0.7), help="radius of a pit over half the distance to the next")

    def profile(self, t: Array, x: Array, y: Array, rng: Rng) -> Array:
        number = np.arange(self.pits)
        radius = 0.8 / np.sqrt(self.pits)
        ring = (1 - radius) * np.sqrt((number + 0.5) / self.pits)
        angle = number * (np.pi * (3 - np.sqrt(5))) + rng.uniform(0, 2 * np.pi)
        deep = 0.5 + 0.5 * rng.random(self.pits)
        height = np.zeros(len(t))
        for distance, turn, share in zip(ring, angle, deep, strict=True):
            dx, dy = x - distance * steady.cos(turn), y - distance * steady.sin(turn)
            height = np.maximum(height, share * cosine(np.sqrt(dx * dx + dy * dy) / (radius * self.spread)))
        return height
