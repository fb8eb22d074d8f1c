"""Gradient noise: Perlin on an image lattice, fractal Perlin at scattered points, and the `noise` package's functions.

numpy only. `pnoise2` and `pnoise3` take no seed, they are fixed functions of the plane and of space; `fbm` and
`lattice` are what generators use.
"""

from __future__ import annotations

from anosynth.noise._fbm import fbm
from anosynth.noise._lattice import lattice
from anosynth.noise._pnoise import pnoise2, pnoise3

__all__ = ["fbm", "lattice", "pnoise2", "pnoise3"]
