"""The one picture that is kept: photos with defects, their masks, and a scan coloured by its effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.generator import find
from anosynth.images import Image
from anosynth.images._foreground import foreground
from anosynth.pointclouds import PointCloud
from anosynth.report._facing import basis
from anosynth.seeding import stream
from anosynth.toy import meshes
from anosynth.toy.clouds import scan
from anosynth.toy.images import toy_image

from .canvas import Pixels, enlarged, saved
from .shaded import coloured, painted

WHERE = Path("docs/assets/anosynth.png")
LIMIT = 200_000
"""Bytes that it may have: it is in every clone."""

TILE, GAP, FINE = 172, 6, 2
_STEP = 8.0
_PAPER = (255, 255, 255)
_PHOTOS: tuple[tuple[str, str, int, dict[str, Any]], ...] = (
    ("washer", "scratch", 3, {"strength": 0.5, "length": 0.45, "width": 0.012}),
    ("tablet", "crack", 0, {"strength": 0.6, "width": 0.008}),
    ("fabric", "hole", 0, {"width": 0.12}),
    ("washer", "rust", 2, {"area": 0.04}),
    ("tablet", "spatter", 1, {"strength": 0.5, "area": 0.02}),
)
_SCAN: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("perlin-surface", 15, {"strength": 0.02, "area": 0.03}),
    ("dent", 13, {"strength": 0.025, "area": 0.02}),
    ("ridge", 12, {"strength": 0.02, "area": 0.02}),
    ("crater", 13, {"strength": 0.02, "area": 0.02}),
)
"""Generators, the numbers of draws that lie on the side in sight, and values."""


def montage() -> Pixels:
    """Return the picture, (h, w, 3) uint8: photos over their masks, and the scan at their right."""
    photos = [_photo(*one) for one in _PHOTOS]
    pair = 2 * TILE + GAP
    wide = len(photos) * (TILE + GAP)
    out = np.full((pair, wide + pair, 3), _PAPER, dtype=np.uint8)
    for number, (pixels, mask) in enumerate(photos):
        left = number * (TILE + GAP)
        # Under the noise of the photos nobody sees fewer levels, and they are most of the file.
        out[:TILE, left : left + TILE] = np.minimum(np.rint(pixels / _STEP) * _STEP, 255).astype(np.uint8)
        out[TILE + GAP :, left : left + TILE] = mask
    out[:, wide:] = _scan(pair) & 0xFE
    return out


def write(home: Path) -> Path:
    """Write the picture into the repository at `home` and return its path."""
    path = home / WHERE
    saved(montage(), path)
    if path.stat().st_size > LIMIT:
        raise RuntimeError(f"{path}: {path.stat().st_size} bytes: expected at most {LIMIT}")
    return path


def _photo(kind: str, name: str, variant: int, values: dict[str, Any]) -> tuple[Pixels, Pixels]:
    """Return a toy photo with a defect and its mask in white on black, both (TILE, TILE, 3)."""
    size = TILE * FINE
    pixels = toy_image(kind, stream(0, "montage", kind, variant), size=size)[0]
    image = Image(pixels, foreground=foreground(pixels))
    anomaly = find("images", name)(**values)(image, stream(0, "montage", name, variant))
    mask = np.where(anomaly.mask, 255, 0).astype(np.uint8)
    return _smaller(anomaly.sample.pixels), _smaller(np.repeat(mask[:, :, None], 3, axis=2))


def _smaller(pixels: Pixels) -> Pixels:
    return np.asarray(enlarged(pixels, TILE))


def _scan(size: int) -> Pixels:
    cloud = scan(meshes.torus(stream(0, "montage", "torus"), fine=0.7), 60_000, rng=stream(0, "montage", "scan"))
    spacing, effect = cloud.surface.spacing, np.zeros(len(cloud))
    mask = np.zeros(len(cloud), dtype=np.bool_)
    for name, variant, values in _SCAN:
        anomaly = find("pointclouds", name)(**values)(cloud, stream(0, "montage", name, variant))
        cloud, effect, mask = anomaly.sample, effect + anomaly.effect, mask | anomaly.mask
    return _drawn(cloud, coloured(effect, mask, float(np.abs(effect).max())), spacing, size)


def _drawn(cloud: PointCloud, rgb: NDArray[np.float64], spacing: float, size: int) -> Pixels:
    look = np.array([0.35, -1.0, 0.95])
    (right, up), towards = basis(look), look / np.sqrt((look * look).sum())
    assert cloud.normals is not None
    points, normals = cloud.points.astype(np.float64), cloud.normals.astype(np.float64)
    across, down, near = ((points * way).sum(axis=1) for way in (right, up, towards))
    scale = 0.96 * size / float(max(np.ptp(across), np.ptp(down)))
    middle = [(axis.max() + axis.min()) / 2 for axis in (across, down)]
    places = [size / 2 + scale * (across - middle[0]), size / 2 - scale * (down - middle[1]), scale * near]
    turned = np.stack([(normals * way).sum(axis=1) for way in (right, up, towards)], axis=1)
    return painted(np.stack(places, axis=1), turned, rgb, scale * 2.4 * spacing, (size, size), _PAPER)
