"""Images in and out of tensors, and where on them defects may lie."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.images import Image

Array = NDArray[Any]
Mask = NDArray[np.bool_]
Found = Callable[[Array], "Mask | None"]
"""A function from pixels (H, W[, C]) to where the object is, (H, W) bool, or None for everywhere."""

_DTYPES = (torch.uint8, torch.float32, getattr(torch, "uint16", torch.uint8))
_CACHE = 64 << 20
_EXPECTED = (
    "expected an Image, a PIL image, an array (H, W) or (H, W, C), or a tensor (C, H, W) or (H, W), "
    "of uint8, uint16 or float32"
)


class Foreground:
    """Narrows where on an image defects may lie.

    Args:
        how: "none" leaves it as the image says, "auto" looks for the object as the command line does, a function is
            asked; what is found is cut with the image's own foreground, if it has one.

    Raises:
        ParameterError: `how` is nothing of these.
    """

    def __init__(self, how: str | Found) -> None:
        if not (how in ("none", "auto") if isinstance(how, str) else callable(how)):
            raise ParameterError(f"`foreground`: {how!r}: must be `none`, `auto` or a function from pixels to a mask")
        self.how = how
        self._known: dict[str, Array | None] = {}
        self._bytes = 0

    def __call__(self, image: Image) -> Image:
        """Return the image with the foreground it has from here on.

        Raises:
            ParameterError: the function returned something else than a mask of the image's size.
        """
        if isinstance(self.how, str):
            found = None if self.how == "none" else self._automatic(image)
        else:
            found = self._asked(self.how, image.pixels)
        return within(image, found)

    def _automatic(self, image: Image) -> Mask | None:
        from anosynth.images._foreground import foreground

        # The search takes many times what a defect takes, and finds the same whenever the pixels are the same.
        key = digest(image)
        if key not in self._known:
            found = foreground(image.pixels)
            packed = None if found is None else np.packbits(found)
            self._bytes += 200 if packed is None else packed.nbytes
            if self._bytes > _CACHE:
                return found
            self._known[key] = packed
        packed = self._known[key]
        if packed is None:
            return None
        height, width = image.shape
        return np.unpackbits(packed, count=height * width).reshape(height, width).astype(np.bool_)

    def _asked(self, function: Found, pixels: Array) -> Mask | None:
        shown = pixels.view()
        shown.flags.writeable = False
        found: Any = function(shown)
        if found is None:
            return None
        kind = f"{found.dtype} {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        if kind != f"bool {pixels.shape[:2]}":
            raise ParameterError(f"`foreground`: returned {kind}: must be a bool array {pixels.shape[:2]} or None")
        return np.asarray(found, dtype=np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        return {"how": self.how, "_known": {}, "_bytes": 0}


def within(image: Image, where: Mask | None) -> Image:
    """Return the image with its foreground cut with `where` (H, W)."""
    if where is None:
        return image
    return replace(image, foreground=where if image.foreground is None else where & image.foreground)


def sample_of(sample: Any) -> Image:
    """Return what came in as an image, which may share its memory; one channel becomes (H, W), as files are read.

    Raises:
        DataError: it is no image, or of another dtype or size, or floats are far from 0 to 1.
    """
    if isinstance(sample, torch.Tensor):
        image = Image(_of_tensor(sample))
    elif isinstance(sample, np.ndarray):
        image = _of_array(sample)
    elif is_pillow(sample):
        from anosynth.io._pictures import pixels_of

        pixels, mode = pixels_of(sample)
        image = Image(pixels, opacity=mode in ("LA", "RGBA"))
    elif isinstance(sample, Image):
        image = sample
    else:
        raise DataError(f"{type(sample).__name__}: {_EXPECTED}")
    pixels = image.pixels
    if pixels.dtype == np.uint16 and not hasattr(torch, "uint16"):
        raise DataError(f"uint16: torch {torch.__version__} has no such tensors\nhint: they came with torch 2.3")
    if pixels.dtype == np.float32:
        _check_range(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        return replace(image, pixels=pixels[:, :, 0])
    return image


def values(image: Image) -> Array:
    """Return a copy of the pixels, (C, H, W)."""
    pixels = image.pixels
    return np.array(pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0), order="C")


def elements(image: Image) -> tuple[int, ...]:
    """Return the shape of what is told of each pixel."""
    return image.shape


def labels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that it has as a tensor: with a channel, as the output of a network for it has."""
    return (1, *shape)


def digest(image: Image) -> str:
    """Return a name for the pixels, in hex: BLAKE2b of dtype, shape and little-endian bytes."""
    pixels = image.pixels
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    total = hashlib.blake2b(f"{little.dtype.str} {little.shape}\n".encode("ascii"), digest_size=16)
    total.update(little.data)
    return total.hexdigest()


def is_pillow(sample: Any) -> bool:
    # Whoever has such an image has imported Pillow.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(sample, pillow.Image)


def _of_tensor(tensor: torch.Tensor) -> Array:
    kind = f"{tensor.dtype} tensor {tuple(tensor.shape)}"
    if tensor.dtype not in _DTYPES or tensor.ndim not in (2, 3):
        hint = "\nhint: `batch` takes (N, C, H, W)" if tensor.ndim == 4 else ""
        raise DataError(f"{kind}: expected uint8, uint16 or float32 of shape (C, H, W) or (H, W){hint}")
    if min(tensor.shape[-2:]) < 8 or 0 in tensor.shape:
        raise DataError(f"{kind}: expected (C, H, W) or (H, W), at least 8 x 8 pixels")
    pixels = tensor.detach().cpu().numpy()
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, 0, 2))


def _of_array(array: Array) -> Image:
    kind = f"array {array.dtype} {array.shape}"
    if array.ndim in (2, 3) and (min(array.shape[:2]) < 8 or 0 in array.shape):
        raise DataError(f"{kind}: expected (H, W) or (H, W, C), at least 8 x 8 pixels")
    if array.dtype not in (np.uint8, np.uint16, np.float32) or array.ndim not in (2, 3):
        raise DataError(f"{kind}: expected uint8, uint16 or float32 of shape (H, W) or (H, W, C)")
    return Image(np.ascontiguousarray(array))


def _check_range(pixels: Array) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    # Resizing overshoots a little; normalised to mean and deviation, or 0 to 255, is another scale altogether.
    if not (low >= -1.0 and high <= 2.0):
        hint = "divide by 255" if low >= 0 and 2.0 < high <= 256.0 else "normalise after it, not before"
        raise DataError(f"float32 from {low:g} to {high:g}: expected 0 to 1\nhint: {hint}")
