"""Traces that compositing leaves in a photo, measured around a mask, as blind to what the mask shows as can be.

All are logarithms of ratios or plain shares, so brightness and contrast of the content cancel to first order. They are
measured in bands by distance to the mask's border, in pixels: the inside, the rim across the border, a ring around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.images._sample import FULL_SCALE

Array = NDArray[Any]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

NAMES = (
    "noise fine",
    "noise coarse",
    "noise median",
    "noise along rows",
    "noise along columns",
    "noise equal pixels",
    "rim step",
    "rim curvature",
    "rim direction",
    "rim coherence",
    "outside fine",
    "outside coarse",
    "outside blocks",
)
"""What `traces` measures; the first word is the group."""

GROUPS = ("noise", "rim", "outside")

_REACH = 16
"""Pixels around the mask's box that are looked at."""

_FEW = 16
_LEAST = 0.1 / 255
"""Added to all means before their logarithm: flat photos have no noise at all."""


def traces(pixels: Array, mask: Mask) -> Floats:
    """Return (13,) the traces of compositing around a mask, one for each of `NAMES`.

    - noise: high-pass residuals inside over those in the ring: of the operator [1 -2 1]' [1 -2 1] (Immerkaer 1996),
      which gives nothing on slopes, at a step of one and two pixels, by mean and by median; of [1 -2 1] along rows and
      columns; and the share of pixels that equal their right neighbour, inside less outside.
    - rim: the slope across the border over that near it; the residual likewise; slope across over slope along the
      border, compared with the same near it; and how far the steps along the border have one sign, the slope near it
      taken off.
    - outside: the residuals in the ring themselves, and steps at every eighth row and column over all others: what
      compressing the whole photo again leaves.

    Args:
        pixels: (H, W) or (H, W, C), uint8, uint16 or float32 from 0 to 1.
        mask: (H, W) bool with pixels of both kinds.

    Raises:
        DataError: they do not fit, or all or none of the pixels is labelled.
    """
    if pixels.dtype not in FULL_SCALE or pixels.ndim not in (2, 3) or mask.shape != pixels.shape[:2]:
        raise DataError(f"pixels, mask: {pixels.dtype} {pixels.shape}, {mask.shape}: expected a photo and its mask")
    if not mask.any() or mask.all():
        raise DataError("mask: all or none of the pixels is labelled: expected some")
    box = _box(mask)
    part = pixels[box].astype(np.float64) / FULL_SCALE[pixels.dtype]
    part = part.reshape(*part.shape[:2], -1)
    bands = _bands(mask[box])
    found = [_of_channel(part[:, :, channel], bands, box) for channel in range(part.shape[2])]
    equal = (part[:, 1:] == part[:, :-1]).all(axis=2)
    equal = np.concatenate([equal, equal[:, -1:]], axis=1).astype(np.float64)
    total = np.mean(found, axis=0)
    total[NAMES.index("noise equal pixels")] = _mean(equal, bands["inside"]) - _mean(equal, bands["ring"])
    return np.asarray(total, dtype=np.float64)


def _of_channel(x: Floats, bands: dict[str, Any], box: tuple[slice, slice]) -> Floats:
    inside, ring, rim, near = (bands[name] for name in ("inside", "ring", "rim", "near"))
    fine, coarse = (np.abs(_second(_second(x, 0, step), 1, step)) for step in (1, 2))
    rows, columns = (np.abs(_second(x, axis, 1)) for axis in (1, 0))
    slope = np.array(np.gradient(x))
    across = (slope * bands["normal"]).sum(axis=0)
    along = slope[1] * bands["normal"][0] - slope[0] * bands["normal"][1]
    # Less the slope that the content has on both sides: what is left is a step of the border alone.
    steps = across[rim] - (float(across[near].mean()) if near.any() else 0.0)
    lean = _ratio(np.abs(across), rim, np.abs(along), rim) - _ratio(np.abs(across), near, np.abs(along), near)
    return np.array(
        [
            _ratio(fine, inside, fine, ring),
            _ratio(coarse, inside, coarse, ring),
            _log(np.median(fine[inside])) - _log(np.median(fine[ring])) if ring.any() else 0.0,
            _ratio(rows, inside, rows, ring),
            _ratio(columns, inside, columns, ring),
            0.0,  # of all channels together
            _ratio(np.abs(across), rim, np.abs(across), near),
            _ratio(fine, rim, fine, near),
            lean,
            abs(float(steps.mean())) / (float(np.abs(steps).mean()) + _LEAST),
            _log(_mean(fine, ring)),
            _log(_mean(coarse, ring)),
            _blocks(x, ring, box),
        ]
    )


def _box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = (max(0, int(part[0]) - _REACH) for part in (rows, columns))
    return slice(top, int(rows[-1]) + 1 + _REACH), slice(left, int(columns[-1]) + 1 + _REACH)


def _bands(mask: Mask) -> dict[str, Any]:
    """Return the bands (h, w) bool around a mask, and the unit vectors (2, h, w) that lead into it."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
    away = ndimage.distance_transform_edt(~mask)
    # Half a pixel on either side of the border.
    place = np.where(mask, depth - 0.5, 0.5 - away)
    inside = place >= 2.5
    if inside.sum() < _FEW:
        inside = mask
    near = (np.abs(place) >= 2.5) & (np.abs(place) <= 7)
    normal = np.array(np.gradient(ndimage.gaussian_filter(place, 1.0)))
    length = np.sqrt((normal * normal).sum(axis=0))
    ring = (place <= -2.5) & (place >= -_REACH)
    return {
        "inside": inside,
        "ring": ring if ring.sum() >= _FEW else ~mask,
        "rim": np.abs(place) <= 1,
        "near": near if near.sum() >= _FEW else ~mask,
        "normal": normal / np.where(length > 0, length, 1.0),
    }


def _second(x: Floats, axis: int, step: int) -> Floats:
    """Return x(-step) - 2 x + x(step) along an axis, the borders mirrored."""
    from scipy import ndimage

    kernel = np.zeros(2 * step + 1)
    kernel[[0, step, -1]] = 1.0, -2.0, 1.0
    return np.asarray(ndimage.correlate1d(x, kernel, axis=axis, mode="mirror"))


def _blocks(x: Floats, band: Mask, box: tuple[slice, slice]) -> float:
    """Return the logarithm of the mean step at block borders, multiples of 8 from the photo's corner, over others."""
    at_border, other = list[Floats](), list[Floats]()
    for axis in (0, 1):
        step = np.abs(np.diff(x, axis=axis))
        kept = band[1:] & band[:-1] if axis == 0 else band[:, 1:] & band[:, :-1]
        # numpy's diff at place i is the step onto row i + 1.
        border = (np.arange(step.shape[axis]) + 1 + box[axis].start) % 8 == 0
        where = np.broadcast_to(border[:, None] if axis == 0 else border[None, :], step.shape)
        at_border.append(step[kept & where])
        other.append(step[kept & ~where])
    first, rest = np.concatenate(at_border), np.concatenate(other)
    return _log(float(first.mean())) - _log(float(rest.mean())) if first.size and rest.size else 0.0


def _mean(values: Floats, band: Mask) -> float:
    return float(values[band].mean()) if band.any() else 0.0


def _log(value: float | np.floating[Any]) -> float:
    return float(np.log(value + _LEAST))


def _ratio(over: Floats, where: Mask, under: Floats, there: Mask) -> float:
    return _log(_mean(over, where)) - _log(_mean(under, there))
