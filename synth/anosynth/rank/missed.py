"""The real defects that a recipe's head passes over, chosen by their scores, and shown as small pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from anosynth.errors import DataError
from anosynth.images._sample import FULL_SCALE
from anosynth.images._shrink import shrunk
from anosynth.io.png import encode_png

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

ALARMS = 0.05
"""A defect counts as missed if more than this share of the normal test samples, and more than one, score as high."""
SHOWN = 6
"""Missed defects of a recipe that are shown."""
LONGEST = 200
"""Of the longer side of a picture, in pixels."""

_OUTLINE, _HALO, _HOT = (0, 200, 100), (0, 0, 0), (255, 120, 0)
_BACK, _POINT = 232, 150


def missed(
    names: Sequence[str], kinds: Sequence[str], scores: ArrayLike, *, good: str = "good", most: int = SHOWN
) -> dict[str, Any]:
    """Return which real defects score no higher than normal samples, the worst first, as plain values.

    Args:
        names, kinds: of the n test samples; those of kind `good` are normal.
        scores: (n,) of the samples, higher for more anomalous; the mean over seeds.
        good: the kind of normal samples.
        most: samples that are listed.

    Returns:
        {"count", "of", "alarms", "samples": [{"name", "kind", "score", "above": share of the normal ones as high}]}

    Raises:
        DataError: there is no normal sample, or the lengths differ.
    """
    values, normal = np.asarray(scores, dtype=np.float64), np.array([kind == good for kind in kinds], dtype=np.bool_)
    if not len(names) == len(kinds) == len(values) or not normal.any():
        raise DataError(f"samples: {len(names)}, {len(kinds)}, {len(values)}: expected as many, some of them normal")
    count = np.array([int((values[normal] >= value).sum()) for value in values])
    # Of a few normal samples, a single odd one would have all defects missed.
    lost = np.flatnonzero(~normal & (count > max(1.0, ALARMS * normal.sum()))).tolist()
    above = count / normal.sum()
    order = sorted(lost, key=lambda place: (-above[place], values[place], names[place]))
    listed = [
        {"name": names[at], "kind": kinds[at], "score": float(values[at]), "above": float(above[at])}
        for at in order[:most]
    ]
    return {"count": len(lost), "of": int((~normal).sum()), "alarms": ALARMS, "samples": listed}


def photo_pictures(
    pixels: Array, truth: Mask | None, scores: ArrayLike, scale: tuple[float, float]
) -> tuple[bytes, bytes]:
    """Return two JPEG: the photo with the outline of its mask, and the photo with its score map.

    Args:
        pixels: (H, W) or (H, W, C), uint8, uint16 or float32 from 0 to 1.
        truth: (h, w) at any resolution, or None.
        scores: (h, w) at any resolution.
        scale: scores that are not and fully coloured, such as the median and the maximum over normal samples.
    """
    photo = _small(pixels)
    size = (photo.shape[0], photo.shape[1])
    outlined = photo.copy()
    if truth is not None and truth.any():
        inside = _fitted(truth.astype(np.float64), size) > 0
        # Drawn around it, so that nothing of the defect is covered.
        ring = _grown(inside) & ~inside
        outlined[_grown(_grown(inside)) & ~inside] = _HALO
        outlined[ring] = _OUTLINE
    heat = _share(_fitted(np.asarray(scores, dtype=np.float64), size), scale)[:, :, None]
    grey = np.repeat(photo.mean(axis=2, keepdims=True) * 0.75, 3, axis=2)
    mapped = np.rint(grey * (1 - heat) + np.array(_HOT) * heat).astype(np.uint8)
    return _jpeg(outlined), _jpeg(mapped)


def cloud_pictures(
    points: Array, truth: Mask | None, scores: ArrayLike, scale: tuple[float, float]
) -> tuple[bytes, bytes]:
    """Return two PNG of a cloud seen along its least principal axis: labelled points, and scores.

    Args:
        points: (N, 3), finite.
        truth: (N,), or None.
        scores: (N,).
        scale: as `photo_pictures`.
    """
    place = points.astype(np.float64) - points.astype(np.float64).mean(axis=0)
    _, axes = np.linalg.eigh(np.einsum("ni,nj->ij", place, place, optimize=False))
    seen = np.stack([place @ axes[:, axis] for axis in (2, 1, 0)], axis=1)
    flat = seen[:, :2] - seen[:, :2].min(axis=0)
    step = max(float(flat.max()), 1e-30) / (LONGEST - 3)
    across, down = (np.floor(flat[:, axis] / step).astype(np.int64) + 1 for axis in (0, 1))
    size = (int(down.max()) + 2, int(across.max()) + 2)
    shade = (seen[:, 2] - seen[:, 2].min()) / max(float(np.ptp(seen[:, 2])), 1e-30)
    heat = _share(np.asarray(scores, dtype=np.float64), scale)
    labelled = np.zeros(len(points)) if truth is None else truth.astype(np.float64)
    found = []
    for share, colour in ((labelled, _OUTLINE), (heat, _HOT)):
        picture = np.full((*size, 3), _BACK, dtype=np.uint8)
        grey = (_POINT - 60 + 60 * shade)[:, None]
        colours = np.rint(grey * (1 - share[:, None]) + np.array(colour) * share[:, None]).astype(np.uint8)
        # What matters is drawn last; the nearer point over the farther one.
        order = np.lexsort([shade, share])
        for right in (0, 1):
            picture[down[order], across[order] + right] = colours[order]
        found.append(encode_png(picture))
    return found[0], found[1]


def _jpeg(pixels: Pixels) -> bytes:
    """Return a photo in a tenth of what it takes without loss; colours keep their full resolution."""
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=88, subsampling=0)
    return held.getvalue()


def _share(values: NDArray[np.float64], scale: tuple[float, float]) -> NDArray[np.float64]:
    low, high = scale
    return np.asarray(np.clip((values - low) / max(high - low, 1e-12), 0.0, 1.0)) * 0.9


def _small(pixels: Array) -> Pixels:
    """Return (h, w, 3) uint8; what has neither one nor three channels is shown by those it has."""
    height, width = pixels.shape[:2]
    factor = min(1.0, LONGEST / max(height, width))
    small = shrunk(pixels, (max(1, round(height * factor)), max(1, round(width * factor)))) / FULL_SCALE[pixels.dtype]
    if small.ndim == 3:
        small = small[:, :, :3] if small.shape[2] >= 3 else small[:, :, 0]
    if small.ndim == 2:
        small = np.repeat(small[:, :, None], 3, axis=2)
    return np.asarray(np.rint(np.clip(np.nan_to_num(small), 0, 1) * 255), dtype=np.uint8)


def _fitted(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (h, w) values at another size: means where it is smaller, the nearest where it is larger."""
    smaller = min(values.shape[0], size[0]), min(values.shape[1], size[1])
    out = shrunk(values, smaller)
    rows, columns = (np.arange(size[axis]) * smaller[axis] // size[axis] for axis in (0, 1))
    return np.asarray(out[rows[:, None], columns[None, :]])


def _grown(mask: Mask) -> Mask:
    wide = np.pad(mask, 1)
    height, width = mask.shape
    around = [wide[row : row + height, column : column + width] for row in range(3) for column in range(3)]
    return np.asarray(np.logical_or.reduce(around))
