"""Defects that live on one connected patch: how the patch is found, sized, moved and kept inside the wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.labels import FLOOR_OF_PEAK
from anosynth.params import param
from anosynth.pointclouds._base import Change, PointCloudGenerator, least_displacement
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.clearance import clearance, pierces
from anosynth.pointclouds._geometry.patch import Patch, grow, pick_centre
from anosynth.pointclouds._geometry.refine import refine
from anosynth.pointclouds._geometry.triangles import face_areas
from anosynth.seeding import Rng

Array = NDArray[Any]
Mask = NDArray[np.bool_]

STRENGTH = "of the bounding-box diagonal, or a length with a unit"
AREA = "fraction of the surface"

SHARE_OF_WALL = 0.5
"""A defect may use at most this share of the way to the opposite wall."""

_EDGE_SHARE = 1 / 14
"""Meshes are refined until edges are at most this share of the patch's radius."""

_LEAST_STRENGTH = 0.25
_HALVINGS = 4
_ROOM_TRIES = 6
_STEEPEST_RAY = 0.5


class LocalGenerator(PointCloudGenerator):
    """Base of defects on a patch: `instances` of them a sample, none touching another."""

    instances: int = param(1, ge=1, le=50, help="number of separate defects in a sample")

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        """Return one defect centred on an `allowed` point; raise DataError to have it drawn again."""
        raise NotImplementedError

    def changes(self, cloud: PointCloud, rng: Rng) -> Sequence[Change]:
        done: list[Change] = []
        taken = np.zeros(len(cloud), dtype=np.bool_)
        for number in range(self.instances):
            for attempt in range(_ROOM_TRIES if done else 1):
                change = self.defect(cloud, rng.child("defect", number, attempt), ~taken if done else None)
                touched = change.touched()
                if not taken[touched[touched < len(taken)]].any() and not _splits(change.cloud, taken):
                    break
            else:
                raise DataError(f"no room for {self.instances} separate defects of this size\nhint: lower instances")
            cloud = change.cloud
            taken = np.pad(taken, (0, len(cloud) - len(taken)))
            taken[touched] = True
            done.append(change)
        return done


def _splits(cloud: PointCloud, taken: Mask) -> bool:
    """Tell whether refining a mesh put new vertices, which follow those of `taken`, among the taken ones."""
    faces = cloud.triangles
    if faces is None or len(cloud) == len(taken):
        return False
    near = faces[(faces >= len(taken)).any(axis=1)]
    held = np.pad(taken, (0, len(cloud) - len(taken)))[near]
    return bool((held.sum(axis=1) >= 2).any())


def find_patch(
    cloud: PointCloud,
    rng: Rng,
    allowed: Mask | None,
    *,
    share: float | None = None,
    radius: float | None = None,
    reach: float = 0.0,
    edge: float | None = None,
    centre: int | None = None,
) -> Patch:
    """Grow a connected patch of a share of the surface or of a geodesic radius around a point that `rng` draws.

    A mesh is refined around the place first, to edges of at most `edge` (default: a fourteenth of the radius), and as
    deep as `reach` below the surface, so that the opposite wall can be seen.

    Args:
        share: fraction of the surface, (0, 1]; or
        radius: geodesic radius in file units.
        centre: row to grow from instead of a drawn one.
    """
    angle = rng.child("angle").uniform(0.0, 2.0 * np.pi)
    if cloud.triangles is not None:
        if centre is None:
            spot = _spot_on_mesh(cloud, rng.child("centre"), allowed)
        else:
            spot = cloud.points[centre].astype(np.float64)
        size = (
            radius
            if radius is not None
            else float(np.sqrt(face_areas(cloud.points, cloud.triangles).sum() * (share or 0.0) / np.pi))
        )
        step = edge if edge is not None else size * _EDGE_SHARE
        cloud = refine(cloud, spot, 1.3 * size + reach, step)
        gap = cloud.points.astype(np.float64) - spot
        # Vertices that no face refers to are no part of the surface.
        centre = int(np.where(cloud.surface.weights > 0, (gap * gap).sum(axis=1), np.inf).argmin())
    elif centre is None:
        centre = pick_centre(cloud, rng.child("centre"), allowed=on_part(cloud, allowed))
    try:
        return grow(cloud, centre, share=share, radius=radius, angle=angle, one_side=True)
    except DataError:
        # A large defect on a small part has to go round it.
        return grow(cloud, centre, share=share, radius=radius, angle=angle)


def on_part(cloud: PointCloud, allowed: Mask | None) -> Mask | None:
    """Return where a defect may be centred: in a depth map with a part on a table, on the part."""
    part = cloud.foreground
    if part is None or allowed is None:
        return part if allowed is None else allowed
    return part & allowed if (part & allowed).any() else allowed


def elliptic(patch: Patch, elongation: float) -> Array:
    """Return (K,) float64 in file units: the radius of the ellipse of axis ratio `elongation` through a point."""
    stretch = np.sqrt(elongation)
    x, y = patch.uv[:, 0] / stretch, patch.uv[:, 1] * stretch
    level: Array = np.sqrt(x * x + y * y)
    return level


def fit_size(patch: Patch, area: float, height: Callable[[float], Array], strength: float, most: float) -> float:
    """Return the size R, up to `most`, for which `height(R)` (K,) is visible on `area` of the surface; by bisection.

    `height` gives the patch's heights in [-1, 1], as shares of `strength`; what is visible grows with R.
    """
    share = patch.cloud.surface.weights[patch.index]
    floor = visible(patch, strength)
    low, high = 0.0, most
    for _ in range(26):
        size = 0.5 * (low + high)
        if float(share[np.abs(height(size)) >= floor].sum()) < area:
            low = size
        else:
            high = size
    return high


def visible(patch: Patch, strength: float) -> float:
    """Return the least height, as a share of `strength`, that counts as changed."""
    least = least_displacement(patch.cloud)
    if strength <= least:
        raise DataError(
            f"a strength of {strength:.4g} is under the visible {least:.4g} (for clouds a tenth of the point spacing)\n"
            "hint: raise the strength"
        )
    return max(FLOOR_OF_PEAK, least / strength)


def local_spacing(patch: Patch) -> float:
    """Return the distance between neighbours in the patch; a mesh may be far coarser elsewhere."""
    if patch.cloud.triangles is None:
        return patch.spacing
    return patch.radius * float(np.sqrt(np.pi / len(patch)))


def raised(patch: Patch, height: Array, **stats: Any) -> Change:
    """Move the patch by `height` (K,) in file units along the outward normals, as far as the wall allows.

    In an organised map a point moves along its pixel's ray, by height / |n . ray|, so that it stays on its pixel;
    where the ray grazes the surface, by at most twice the height.
    """
    return pushed(patch, patch.normals * height[:, None], **stats)


def pushed(patch: Patch, vectors: Array, **stats: Any) -> Change:
    """Move the patch by `vectors` (K, 3), as far as the wall allows; an organised map takes their normal part."""
    cloud, rows = patch.cloud, patch.index
    points = cloud.points[rows].astype(np.float64)
    if cloud.grid is not None:
        moved = _along_rays(cloud, points, patch.normals, (vectors * patch.normals).sum(axis=1))
        return Change(cloud, rows, moved, patch.normals, stats=dict(stats))
    factor, crowded = _budget(patch, vectors)
    if crowded:
        factor = _without_piercing(patch, points, vectors, factor)
    if factor < 1:
        stats["budget"] = factor
    return Change(cloud, rows, points + factor * vectors, patch.normals, stats=dict(stats))


def pushed_freely(patch: Patch, vectors: Array, **stats: Any) -> Change:
    """Move the patch by `vectors` (K, 3) without regard to walls: for defects that take the whole wall with them."""
    cloud = patch.cloud
    if cloud.grid is not None:
        return pushed(patch, vectors, **stats)
    points = cloud.points[patch.index].astype(np.float64)
    return Change(cloud, patch.index, points + vectors, patch.normals, stats=dict(stats))


def _without_piercing(patch: Patch, points: Array, vectors: Array, factor: float) -> float:
    """Return the factor, halved until no point passes through another sheet on its way."""
    for _ in range(_HALVINGS):
        if not pierces(patch.cloud, patch.index, points + factor * vectors, patch.normals, local_spacing(patch)).any():
            return factor
        factor *= 0.5
    raise DataError("the surface would pass through itself here\nhint: lower the strength")


def _along_rays(cloud: PointCloud, points: Array, normals: Array, height: Array) -> Array:
    eye = cloud.sensor
    ray = points - eye
    distance = np.sqrt((ray * ray).sum(axis=1))
    facing = np.maximum(-(ray * normals).sum(axis=1) / distance, _STEEPEST_RAY)
    moved: Array = eye + ray * (1.0 - height / facing / distance)[:, None]
    return moved


def _budget(patch: Patch, vectors: Array) -> tuple[float, bool]:
    """Return the factor in (0, 1] by which the defect shrinks to stay within its share of the wall or gap.

    Also tell whether any other sheet is near enough to be met at all.
    """
    size = np.sqrt((vectors * vectors).sum(axis=1))
    peak = float(size.max())
    rows = np.flatnonzero(size >= FLOOR_OF_PEAK * peak)
    if not peak or not len(rows):
        return 1.0, False
    across = np.abs((vectors * patch.normals).sum(axis=1))[rows]
    if float(across.max()) < 0.1 * peak:
        return 1.0, False
    way = vectors[rows] / size[rows][:, None]
    reach = 1.05 * peak / SHARE_OF_WALL
    room = clearance(patch.cloud, patch.index[rows], way, reach, local_spacing(patch))
    factor = min(1.0, float((SHARE_OF_WALL * room / size[rows]).min()))
    if factor < _LEAST_STRENGTH:
        raise DataError(
            f"the wall or gap is {float(room.min()):.4g} wide here: no place for a displacement of {peak:.4g}\n"
            "hint: lower the strength"
        )
    return factor, float(room.min()) < reach


def _spot_on_mesh(cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Array:
    """Return a (3,) point drawn uniformly on the faces: the vertices of a CAD mesh sit on its edges only."""
    assert cloud.triangles is not None
    area = face_areas(cloud.points, cloud.triangles)
    if allowed is not None:
        area = np.where(allowed[cloud.triangles].all(axis=1), area, 0.0)
    running = np.cumsum(area)
    if not running[-1] > 0:
        raise DataError("no face with an area is left for a defect")
    face = int(np.searchsorted(running, rng.uniform() * running[-1], side="right"))
    a, b = rng.uniform(), rng.uniform()
    if a + b > 1:
        a, b = 1 - a, 1 - b
    corner = cloud.points[cloud.triangles[min(face, len(area) - 1)]].astype(np.float64)
    spot: Array = corner[0] + a * (corner[1] - corner[0]) + b * (corner[2] - corner[0])
    return spot
