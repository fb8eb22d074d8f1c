"""Branching crack."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from anosynth.errors import DataError
from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._geometry.path import branching
from ._lines import check_width, distance_to_lines, reach_of
from ._local import STRENGTH, LocalGenerator, Mask, find_patch, raised
from .hole import cut_out


class Crack(LocalGenerator):
    """Branching crack: a sharp groove, or a gap where points are missing

    h(d) = -strength * (1 - d / w) for d < w, d the distance to the nearest of the crack's lines in the patch's
    geodesic chart, w half of `width`. With opening="gap" the points with d < w are removed instead.

    The lines are a zigzag random walk whose branches start on their parent (ours). 3D-DefectStudio cuts a plane gap.
    """

    version: ClassVar[int] = 2
    opening: Literal["groove", "gap"] = param("groove", help="move points into the crack, or remove them")
    strength: Length = param(0.008, gt=0, le=0.1, vary=(0.004, 0.012), unit=STRENGTH, help="depth of the groove")
    length: Length = param(0.25, gt=0, le=1, vary=(0.12, 0.35), unit=STRENGTH, help="length of the main line")
    width: Length = param(0.016, gt=0, le=0.2, vary=(0.012, 0.02), unit=STRENGTH, help="width of the crack")
    branches: int = param(2, ge=0, le=12, vary=(0, 4), help="number of branches")
    jitter: float = param(0.35, ge=0, le=1, vary=(0.2, 0.5), unit="radians", help="how much the line zigzags")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        depth, length, width = (self.length_in(name, cloud) for name in ("strength", "length", "width"))
        check_width("width", width, cloud)
        lines = branching(rng.child("lines"), length, branches=self.branches, jitter=self.jitter)
        margin = width + 4 * cloud.surface.spacing * (self.opening == "gap")
        patch = find_patch(cloud, rng, allowed, radius=reach_of(lines, margin), reach=2 * depth, edge=width / 4)
        d = distance_to_lines(patch, lines) / (0.5 * width)
        if not (d < 1).any():
            raise DataError("the crack falls between the points")
        if self.opening == "gap":
            return cut_out(patch, d < 1, length=length, width=width)
        return raised(patch, -depth * np.maximum(1 - d, 0), length=length, width=width)
