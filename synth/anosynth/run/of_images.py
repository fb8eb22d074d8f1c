"""What the run layer needs to know of images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.images import Image
from anosynth.images._foreground import foreground
from anosynth.io.images import read_image
from anosynth.labels import Faith, faith
from anosynth.report.images import image_view as view

if TYPE_CHECKING:
    from anosynth.datasets.layout import Truth

    from .execute import Place

__all__ = ["box", "compare", "read", "reading", "unit", "view"]


def reading(place: Place, key: str) -> tuple[Any, ...]:
    """Return what decides, beside the file, what is read."""
    return (place.foreground, place.roi)


def read(path: Path, place: Place, key: str) -> Image:
    """Read a source with where defects may lie: the part found in it, and the region of interest if one is given."""
    image = read_image(path)
    inside = foreground(image.pixels) if place.foreground == "auto" else None
    if place.roi:
        region = read_image(Path(place.roi)).pixels > 0
        region = np.asarray(region.any(axis=2) if region.ndim == 3 else region)
        if region.shape != image.shape:
            raise DataError(f"{place.roi}: {region.shape[0]} x {region.shape[1]}: does not fit {path}'s {image.shape}")
        inside = region if inside is None else region & inside
    return replace(image, foreground=inside)


def unit(anomaly: Anomaly) -> str | None:
    """Return the unit of effects."""
    return "of full scale"


def box(anomaly: Anomaly, inside: NDArray[np.bool_]) -> list[list[float]]:
    """Return [row, column] of the first and of the last pixel of some elements."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return [[int(rows[0]), int(columns[0])], [int(rows[-1]), int(columns[-1])]]


def compare(before: Image, truth: Truth) -> Faith | str:
    """Compare the mask that was read back with what differs from the source; a text says why they do not fit."""
    after = truth.sample.pixels
    if after.shape != before.pixels.shape or after.dtype != before.pixels.dtype:
        return f"{after.dtype} {after.shape}: does not fit the source's {before.pixels.dtype} {before.pixels.shape}"
    changed = after != before.pixels
    return faith(changed.any(axis=2) if changed.ndim == 3 else changed, truth.mask)
