"""Fractal Perlin displacement along the surface normals, after 3D-PNAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import fbm
from anosynth.params import Length, param
from anosynth.pointclouds._base import Change
from anosynth.pointclouds._cloud import PointCloud
from anosynth.pointclouds._geometry.patch import Patch
from anosynth.pointclouds._local import AREA, STRENGTH, LocalGenerator, Mask, find_patch, raised, visible
from anosynth.pointclouds._whole import principal_axes, refined_whole, whole
from anosynth.seeding import Rng

Array = NDArray[Any]

_FADE = 0.35
_PATCH_OF_AREA = 1.7
_APART = 0.5


class PerlinSurface(LocalGenerator):
    """Fractal Perlin displacement along the surface normals (3D-PNAS)

    h = strength * s((f - tau) / (max f - tau)), s(x) = 3x^2 - 2x^3, where f is fBm noise (octaves, persistence,
    lacunarity) and tau is the quantile of f that makes `area` of the surface visible; p' = p + sign * h * n.

    Source: Cheng & Du, 3D-PNAS, arXiv 2504.12856, 2025 (Perlin noise on a plane parameterisation, displacement along
    the normals). `mode="pca"` is that paper's parameterisation: the noise lives on the plane of the two largest
    principal axes, so a closed part moves alike on its front and back. `mode="local"` (default, ours) puts the noise
    on the tangent coordinates of one connected geodesic patch and fades it to zero on the patch's rim;
    `mode="solid"` (ours) samples 3-D noise half a cell off the surface. The quantile threshold, the smooth step and
    the sign are ours too.
    """

    mode: Literal["local", "pca", "solid"] = param(
        "local", help="where the noise lives: a patch, the principal plane, space"
    )
    octaves: int = param(4, ge=1, le=12, vary=(3, 6), help="number of noise octaves")
    persistence: float = param(0.5, gt=0, le=1, help="amplitude of an octave relative to the one before")
    lacunarity: float = param(2.0, ge=1, le=4, help="frequency of an octave relative to the one before")
    scale: float = param(
        3.0,
        gt=0,
        le=64,
        vary=(2.0, 5.0),
        unit="noise cells across the patch or, in pca and solid, the diagonal",
        help="frequency of the first octave",
    )
    strength: Length = param(0.02, gt=0, le=0.2, vary=(0.005, 0.03), unit=STRENGTH, help="largest displacement")
    area: float = param(0.02, gt=0, le=0.5, vary=(0.01, 0.05), unit=AREA, help="share of the surface that changes")
    sign: Literal["out", "in", "both"] = param("out", vary="out|in", help="side of the surface that the defect goes to")
    rim: Literal["smooth", "sharp"] = param("smooth", help="fade to zero on the rim, or step")
    backend: Literal["numpy", "noise"] = param("numpy", help="noise engine; both give the same bits")

    def changes(self, cloud: PointCloud, rng: Rng) -> Sequence[Change]:
        if self.mode == "local":
            return super().changes(cloud, rng)
        return [self._whole(cloud, rng)]

    def defect(self, cloud: PointCloud, rng: Rng, allowed: Mask | None) -> Change:
        strength = self.length_in("strength", cloud)
        patch = find_patch(cloud, rng, allowed, share=min(1.0, _PATCH_OF_AREA * self.area), reach=2 * strength)
        cells = patch.uv * (self.scale / (2 * patch.radius))
        window = np.clip((1 - patch.distance / patch.radius) / _FADE, 0, 1) if self.rim == "smooth" else None
        return raised(patch, self._height(patch, cells, window, strength, rng))

    def _whole(self, cloud: PointCloud, rng: Rng) -> Change:
        strength = self.length_in("strength", cloud)
        patch = whole(refined_whole(cloud))
        points = patch.cloud.points[patch.index].astype(np.float64)
        points = (points - points.mean(axis=0)) * (self.scale / cloud.diagonal)
        if self.mode == "pca":
            axes = principal_axes(points)
            points = np.stack([(points * axis).sum(axis=1) for axis in axes[:2]], axis=1)
        else:
            # The two sides of a wall thinner than a cell would move alike; half a cell along the normals parts them.
            points = points + _APART * patch.normals
        return raised(patch, self._height(patch, points, None, strength, rng))

    def _height(self, patch: Patch, cells: Array, window: Array | None, strength: float, rng: Rng) -> Array:
        octaves, noise = self.octaves, rng.child("noise")
        field = fbm(
            cells,
            noise,
            octaves=octaves,
            persistence=self.persistence,
            lacunarity=self.lacunarity,
            backend=self.backend,
        ).astype(np.float64)
        level = np.abs(field) if self.sign == "both" else field
        if window is not None:
            # Noise is signed: lifting it first lets the window pull every rim below the threshold.
            level = (level - level.min()) * window * window * (3 - 2 * window)
        height = _thresholded(
            level, patch.cloud.surface.weights[patch.index], self.area, visible(patch, strength), self.rim
        )
        side = np.where(field < 0, -1.0, 1.0) if self.sign == "both" else (-1.0 if self.sign == "in" else 1.0)
        return strength * height * side


def _thresholded(level: Array, weights: Array, area: float, floor: float, rim: str) -> Array:
    """Return heights in [0, 1] that reach `floor` on exactly the top `area` of the surface.

    tau follows from smoothstep((q - tau) / (max - tau)) = floor at the area's quantile q.
    """
    order = np.argsort(-level, kind="stable")
    running = np.cumsum(weights[order])
    last = min(int(np.searchsorted(running, area)), len(order) - 1)
    quantile, peak = float(level[order[last]]), float(level[order[0]])
    if not peak > quantile:
        raise DataError("the noise is flat here")
    if rim == "sharp":
        return np.where(level >= quantile, np.maximum(level - quantile, 0) / (peak - quantile) * 0.5 + 0.5, 0.0)
    start = _smoothstep_inverse(floor)
    tau = (quantile - start * peak) / (1 - start)
    x = np.clip((level - tau) / (peak - tau), 0, 1)
    height: Array = x * x * (3 - 2 * x)
    return height


def _smoothstep_inverse(value: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if middle * middle * (3 - 2 * middle) < value:
            low = middle
        else:
            high = middle
    return low
