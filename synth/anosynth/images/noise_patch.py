"""A region with noise on it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.noise import fbm
from anosynth.params import Area, Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Edit
from ._outline import Outline, shaped
from ._sample import Image, Mask
from ._seats import oriented

Pixels = NDArray[np.float32]

_FRACTAL = 0.2
_FLOOR = 0.05


class NoisePatch(ImageGenerator):
    """Region with fractal, white or local Gaussian noise on it

    fractal: old + 0.2 * strength * n, n the sum of `octaves` terms of Perlin noise, the first with bumps of `scale`,
    each `persistence` times the one before, not divided by their sum; the channels are 1 px apart on a third axis.
    white: (1 - strength) * old + strength * u, u uniform from 0 to 1 in every pixel and channel; strength counts up to
    1 here. gaussian: old + z, z ~ N(0, strength^2 (S + 0.05^2)), S the covariance of the region's own channels.

    Source: fractal after RD++ (Tien et al., CVPR 2023), with Perlin noise where RD++ has simplex noise; white after
    CDO (Cao et al., 2023). gaussian is inspired by HetNet, whose description leaves mean, covariance and sizes open;
    S and the floor that makes it visible on flat images are ours, and so are ellipses, blobs and turned
    regions.
    """

    kind: Literal["fractal", "white", "gaussian"] = param("fractal", help="which noise")
    strength: float = param(1.0, gt=0, le=3, vary=(0.5, 1.0), help="amplitude of the noise, 1 for the published one")
    area: Area = param(0.03, gt=0, le=0.5, vary=(0.01, 0.08), unit="of the image", help="area of the region")
    aspect: float = param(1.0, ge=0.05, le=20, vary=(0.5, 2.0, "log"), help="width of the region over its height")
    orientation: float = oriented("the width")
    outline: Outline = param("rectangle", help="shape of the region")
    softness: float = param(0.0, ge=0, le=1, help="share of the region's radius over which its edge fades")
    scale: Size = param(
        0.125, gt=0, le=1, vary=(0.06, 0.2), unit="of the shorter side", help="size of the largest bumps (fractal)"
    )
    octaves: int = param(6, ge=1, le=12, help="number of noise octaves (fractal)")
    persistence: float = param(0.6, gt=0, le=1, help="amplitude of an octave over the one before (fractal)")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        box, alpha = shaped(self, image, rng, free)
        old, noise = image.crop(box), rng.child("noise")
        if self.kind == "fractal":
            new = old + self._fractal(old.shape, max(2.0, image.length(self.scale)), noise)
        elif self.kind == "gaussian":
            new = old + correlated(old, alpha > 0, noise) * np.float32(self.strength)
        else:
            white = noise.random(old.size).astype(np.float32).reshape(old.shape)
            new = old + np.float32(min(1.0, self.strength)) * (white - old)
        return Edit(box, np.clip(new, np.float32(0), np.float32(1)), alpha, {"kind": self.kind})

    def _fractal(self, shape: tuple[int, ...], period: float, rng: Rng) -> Pixels:
        points = np.indices(shape, dtype=np.float64).reshape(3, -1).T / period
        unit = fbm(points, rng, octaves=self.octaves, persistence=self.persistence)
        total = math.fsum(self.persistence**k for k in range(self.octaves))
        return unit.reshape(shape) * np.float32(_FRACTAL * self.strength * total)


def correlated(region: Pixels, inside: Mask, rng: Rng) -> Pixels:
    """Return Gaussian noise (h, w, C) whose covariance is that of the channels inside the region, plus 0.05^2.

    Args:
        region: (h, w, C) float32.
        inside: (h, w) bool, the pixels whose covariance counts; at least one.
    """
    h, w, channels = region.shape
    values = region[inside].astype(np.float64)
    values -= values.mean(axis=0)
    covariance = np.zeros((channels, channels))
    for a in range(channels):
        covariance[a, : a + 1] = (values[:, a : a + 1] * values[:, : a + 1]).mean(axis=0)
    factor = cholesky(covariance + _FLOOR**2 * np.eye(channels))
    normal = rng.normal(h * w * channels).reshape(h * w, channels)
    noise = np.zeros((h * w, channels))
    for a in range(channels):
        for b in range(a + 1):
            noise[:, a] += factor[a, b] * normal[:, b]
    return noise.reshape(h, w, channels).astype(np.float32)


def cholesky(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower L with L L^T = `matrix` (C, C), of which the lower half is read; positive definite.

    By columns and plain sums: the library's kernel, and with it the last bits, would depend on the processor.
    """
    size = len(matrix)
    factor = np.zeros((size, size))
    for j in range(size):
        column = matrix[j:, j] - (factor[j:, :j] * factor[j, :j]).sum(axis=1)
        factor[j:, j] = column / np.sqrt(column[0])
    return factor
