"""The worst samples as small pictures: the photo, and the photo with its mask and what changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.images._sample import FULL_SCALE
from anosynth.images._shrink import shrunk
from anosynth.io.images import read_image
from anosynth.io.png import encode_png

from .judge import Audit
from .measure import read_masks
from .shapes import difference
from .sources import Sources

Mask = NDArray[np.bool_]

LONGEST = 240
"""Of the longer side, in pixels."""

LABELLED, OUTSIDE, STILL = (0, 190, 90), (235, 40, 60), (60, 120, 255)
"""Colours of what is labelled, of what changed outside of the mask, and of what is labelled and did not change."""

_COVER = 0.55


class Pictures:
    """Reads samples of an audited data set again; `sources` and `match` as given to `audit`."""

    def __init__(self, audit: Audit, sources: str | Path | None, *, match: bool) -> None:
        self._found, self._limits = audit.found, audit.limits
        where = None if sources is None else Path(sources)
        self._sources = Sources(audit.found, where, match=match, tolerance=audit.limits.tolerance)

    def photo(self, row: int) -> bytes | None:
        """Return the PNG of a sample without its mask, None if it cannot be read."""
        try:
            return encode_png(_small(self._found.photo(self._found.samples[row]).pixels))
        except DataError:
            return None

    def of(self, row: int) -> tuple[bytes, bytes] | None:
        """Return two PNG of a sample, None if it cannot be read."""
        sample = self._found.samples[row]
        try:
            with self._found.opened(sample) as folder:
                image = read_image(folder / sample.path)
                mask, _ = read_masks(folder, sample, image, self._found.values)
        except DataError:
            return None
        if mask is None:
            mask = np.zeros(image.shape, dtype=np.bool_)
        changed = mask
        origin = self._sources.of(sample, image, mask) if sample.defective else None
        if origin is not None and origin.image is not None:
            changed = difference(origin.image.pixels, image.pixels) > np.float32(self._limits.tolerance)
        photo = _small(image.pixels)
        size = (photo.shape[0], photo.shape[1])
        marked = photo.astype(np.float64)
        for part, colour in ((mask & changed, LABELLED), (mask & ~changed, STILL), (changed & ~mask, OUTSIDE)):
            # A single pixel of many must still be seen.
            cover = np.minimum(shrunk(part.astype(np.uint8), size) * 4, 1.0)[:, :, None] * _COVER
            marked = marked * (1 - cover) + np.array(colour) * cover
        return encode_png(photo), encode_png(np.rint(marked).astype(np.uint8))


def _small(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return (h, w, 3) uint8; what has neither one nor three channels is shown by those it has."""
    height, width = pixels.shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    small = shrunk(pixels, (max(1, round(height * scale)), max(1, round(width * scale)))) / FULL_SCALE[pixels.dtype]
    if small.ndim == 3:
        small = small[:, :, :3] if small.shape[2] >= 3 else small[:, :, 0]
    if small.ndim == 2:
        small = np.repeat(small[:, :, None], 3, axis=2)
    return np.rint(np.clip(np.nan_to_num(small), 0, 1) * 255).astype(np.uint8)
