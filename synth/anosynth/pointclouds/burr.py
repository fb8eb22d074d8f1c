"""Material left standing on an edge."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible
from anosynth.noise import fbm
from anosynth.params import Length, param
from anosynth.seeding import Rng

from ._base import Change
from ._cloud import PointCloud
from ._edges import pick_edge
from ._lines import taper
from ._local import STRENGTH, LocalGenerator, Mask, find_patch, local_spacing
from .chip import edge_frame

Array = NDArray[Any]


class Burr(LocalGenerator):
    """Thin ragged flag of material standing on a convex edge: points are added

    Over the crest of the edge, at positions s along it, stands a flag of height
    h(s) = strength * taper(s) * (0.6 + 0.4 |f(s)| / max |f|), f fBm noise, in the direction of the mean normal of the
    edge; its points are as dense as the cloud and all of them are labelled.

    Ours. A depth map cannot hold it: one pixel has one depth.
    """

    version: ClassVar[int] = 2
    strength: Length = param(0.015, gt=0, le=0.2, vary=(0.008, 0.025), unit=STRENGTH, help="largest height")
    length: Length = param(0.12, gt=0, le=0.8, vary=(0.06, 0.2), unit=STRENGTH, help="length along the edge")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        if cloud.grid is not None:
            raise Impossible("a depth map cannot hold a burr: one pixel has one depth")
        height, length = self.length_in("strength", cloud), self.length_in("length", cloud)
        centre = pick_edge(cloud, rng.child("edge"), allowed)
        patch = find_patch(cloud, rng, allowed, radius=0.7 * length, centre=centre)
        spacing = local_spacing(patch)
        m, along = edge_frame(patch, 4 * spacing)
        points = patch.cloud.points[patch.index].astype(np.float64)
        gap = points - points[0]
        s, z = (gap * along).sum(axis=1), (gap * m).sum(axis=1)
        step = 0.8 * spacing
        columns = int(length / step)
        rows = max(1, int(height / step))
        if columns < 4 or height < spacing:
            raise DataError("a burr this small falls between the points\nhint: raise length or strength")
        crest = _crest(s, z, length, columns)
        place = (np.arange(columns) + 0.5) / columns
        rag = np.abs(
            fbm(np.stack([place * 6, np.zeros(columns)], axis=1), rng.child("rag"), octaves=4).astype(np.float64)
        )
        tall = height * taper(place) * (0.6 + 0.4 * rag / max(float(rag.max()), 1e-9))
        up = (np.arange(rows) + 1) / rows
        lift = (tall[:, None] * up).ravel()
        base = np.repeat(points[crest], rows, axis=0)
        side = np.cross(m, along)
        grid = np.arange(columns * rows, dtype=np.int64).reshape(columns, rows)
        a, b, c, d = grid[:-1, :-1].ravel(), grid[1:, :-1].ravel(), grid[1:, 1:].ravel(), grid[:-1, 1:].ravel()
        seen = lift >= 0.1 * spacing
        if patch.cloud.triangles is None:
            base, lift, crest_rows = base[seen], lift[seen], np.repeat(crest, rows)[seen]
            faces = np.zeros((0, 3), dtype=np.int64)
        else:
            crest_rows = np.repeat(crest, rows)
            faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
        return Change(
            patch.cloud,
            added=base + m * lift[:, None],
            added_from=patch.index[crest_rows],
            added_height=lift,
            added_normals=np.broadcast_to(side, (len(base), 3)),
            added_faces=faces,
            stats={"peak": float(lift.max()), "length": length},
        )


def _crest(s: Array, z: Array, length: float, columns: int) -> Array:
    """Return, for each column along the edge, the row of the highest point of the patch near it."""
    rows = np.zeros(columns, dtype=np.int64)
    for column in range(columns):
        off = np.abs(s - ((column + 0.5) / columns - 0.5) * length)
        few = min(len(off) - 1, 6)
        window = max(float(np.partition(off, few)[few]), length / columns)
        near = np.flatnonzero(off <= window)
        rows[column] = near[z[near].argmax()]
    return rows
