"""The rim of an object: what a foreground leaves out of it because it is only partly the object's colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._fill import halo, widened
from ._sample import Image, Mask

Pixels = NDArray[np.float32]

_COARSE, _WINDOW = 160, 15
_SHARE, _DEVIATIONS = 0.15, 3.0
"""Share of the object's colour from which on a pixel is of its rim, beyond so many deviations of the background's."""
_LEAST_CONTRAST = 0.06


def with_rim(image: Image, foreground: Mask) -> Mask:
    """Return the foreground (H, W) with the pixels joined to it, at most a halo away, that show the object.

    A pixel's share of the object's colour is where it lies on the way from the background's colour to the object's,
    each that of the nearest place a halo off the outline; it has to be more than the background's grain explains.
    Where the two colours hardly differ, as at the border of a region that ends within the object, nothing is added,
    nor is what is wholly transparent.
    """
    from scipy.ndimage import binary_dilation

    near = halo(image)
    if not near:
        return foreground
    beside = widened(foreground, near) & ~foreground
    if image.solid is not None:
        beside &= image.solid
    rows, columns = np.nonzero(beside)
    colours = _colours(image, foreground, near)
    if not len(rows) or colours is None:
        return foreground
    step = max(1, image.side // _COARSE)
    object_, ground = (plane[rows // step, columns // step] for plane in colours[:2])
    here = _fractions(image.colours[rows, columns], image)
    way, off = object_ - ground, here - ground
    length = (way * way).sum(axis=1)
    grain = np.sqrt(((way * colours[2]) ** 2).sum(axis=1))
    shows = (off * way).sum(axis=1) > np.float32(_SHARE) * length + np.float32(_DEVIATIONS) * grain
    shows &= length >= np.float32(_LEAST_CONTRAST**2)
    allowed = foreground.copy()
    allowed[rows[shows], columns[shows]] = True
    # Grain of the background that happens to be like the object is not joined to it.
    return np.asarray(binary_dilation(foreground, iterations=near, mask=allowed))


def _colours(image: Image, foreground: Mask, near: int) -> tuple[Pixels, Pixels, Pixels] | None:
    """Return the colours of the object and of the background nearest to every so manieth pixel; None without one.

    The third is the deviation (C,) of the background about them, that of a normal law with their median.
    """
    from scipy.ndimage import distance_transform_edt, uniform_filter

    step = max(1, image.side // _COARSE)
    inside, pixels = foreground[::step, ::step], _fractions(image.colours[::step, ::step], image)
    apart = -(-near // step) + 1
    planes = []
    for part in (inside, ~inside):
        known = np.asarray(distance_transform_edt(np.pad(part, 1, mode="edge")))[1:-1, 1:-1] > apart
        if not known.any():
            return None
        weight = uniform_filter(known.astype(np.float32), _WINDOW)
        mean = np.stack([uniform_filter(plane * known, _WINDOW) for plane in np.moveaxis(pixels, 2, 0)], axis=2)
        mean /= np.maximum(weight, np.float32(1e-6))[:, :, None]
        row, column = distance_transform_edt(~known, return_distances=False, return_indices=True)
        planes.append(mean[row, column])
    off = np.median(np.abs(pixels - planes[1])[known], axis=0)
    return planes[0], planes[1], (1.4826 * off).astype(np.float32)


def _fractions(pixels: NDArray[Any], image: Image) -> Pixels:
    """Return colours (...) or (..., C) of the image as (..., C) float32 fractions of full scale."""
    values: Pixels = pixels.astype(np.float32) / np.float32(image.white)
    return values if image.colours.ndim == 3 else values[..., None]
