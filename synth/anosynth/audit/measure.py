"""Facts of one sample: its mask against its source, its figure, and what is wrong with its files."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.images import Image
from anosynth.io.images import read_image

from .looks import fingerprint, thumbnail
from .pairs import Found, Sample
from .shapes import against_ring, against_source, shape_of
from .sources import Sources

NOT_KNOWN = math.nan


@dataclass(frozen=True, eq=False)
class Facts:
    """What was measured of one photo; numbers are NaN where they are not known.

    Attributes:
        problems: (code, text) of what cannot be used; see `findings`.
        fingerprint: of its pixels, b"" if they cannot be read; `source` is that of the source's.
        thumbnail: (12, 12) uint16, None if the photo cannot be read.
        size: (H, W), (0, 0) if it cannot be read.
        pixels, area, components, size_of_largest, elongation: see `shapes.Shape`.
        leak, dead, invisible, change: see `shapes.Faithful`.
        contrast, faint: mean contrast against a ring around the mask, share of the mask under the floor.
        instances: number of its defects.
    """

    problems: tuple[tuple[str, str], ...] = ()
    fingerprint: bytes = b""
    source: bytes = b""
    thumbnail: NDArray[np.uint16] | None = None
    size: tuple[int, int] = (0, 0)
    pixels: float = NOT_KNOWN
    area: float = NOT_KNOWN
    components: float = NOT_KNOWN
    size_of_largest: float = NOT_KNOWN
    elongation: float = NOT_KNOWN
    leak: float = NOT_KNOWN
    dead: float = NOT_KNOWN
    invisible: float = NOT_KNOWN
    change: float = NOT_KNOWN
    contrast: float = NOT_KNOWN
    faint: float = NOT_KNOWN
    instances: float = NOT_KNOWN


def measure(found: Found, sample: Sample, sources: Sources, *, floor: float, tolerance: float) -> Facts:
    """Return the facts of a sample of a data set by reading its files.

    Args:
        floor, tolerance: see `shapes.against_source`.
    """
    folder = found.place
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(found.opened(sample))
            image = read_image(folder / sample.path)
        except DataError as error:
            return Facts((("unreadable", _short(error, folder / sample.path)),))
        mask, faults = read_masks(folder, sample, image, found.values)
    return _facts(sample, image, mask, faults, sources, floor, tolerance)


def _facts(
    sample: Sample,
    image: Image,
    mask: NDArray[np.bool_] | None,
    faults: list[tuple[str, str]],
    sources: Sources,
    floor: float,
    tolerance: float,
) -> Facts:
    seen: dict[str, Any] = {"fingerprint": fingerprint(image.pixels), "thumbnail": thumbnail(image.pixels)}
    seen["size"] = image.shape
    if not sample.masks:
        problems = (("no-mask", ""),) if sample.defective else ()
        return Facts(problems, **seen)
    if mask is None:
        return Facts(tuple(faults), **seen)
    if not sample.defective:
        if mask.any():
            faults.append(("labelled-normal", f"{int(mask.sum())} labelled pixels"))
        return Facts(tuple(faults), **seen)
    origin = sources.of(sample, image, mask)
    if origin is not None and origin.image is not None:
        seen["source"] = fingerprint(origin.image.pixels)
    if not mask.any():
        code = "empty-mask" if sample.sure else "maybe-normal"
        return Facts((*faults, (code, "")), **seen, area=0.0, pixels=0.0)
    shape = shape_of(mask)
    contrast, faint = against_ring(image.pixels, mask, floor=floor)
    seen |= {"pixels": float(shape.pixels), "area": shape.area, "components": float(shape.components)}
    seen |= {"size_of_largest": shape.size, "elongation": shape.elongation, "contrast": contrast, "faint": faint}
    seen["instances"] = float(sample.instances) if sample.instances else NOT_KNOWN
    if origin is None:
        return Facts(tuple(faults), **seen)
    if origin.problem or origin.image is None:
        return Facts((*faults, ("unlike-source", origin.problem)), **seen)
    truth = against_source(origin.image.pixels, image.pixels, mask, floor=floor, tolerance=tolerance)
    seen |= {"leak": truth.leak, "dead": truth.dead, "invisible": truth.invisible, "change": truth.change}
    return Facts(tuple(faults), **seen)


def read_masks(
    root: Path, sample: Sample, image: Image, values: str
) -> tuple[NDArray[np.bool_] | None, list[tuple[str, str]]]:
    """Return the union of a sample's masks (H, W), None if one cannot be used, and what is wrong with them.

    `values` is as `Found.values` has it, or "tones": black and one other colour, of any type and number of channels.
    """
    whole = np.zeros(image.shape, dtype=np.bool_)
    faults: list[tuple[str, str]] = []
    usable = True
    for path in sample.masks:
        try:
            pixels = read_image(root / path).pixels
        except DataError as error:
            faults.append(("unreadable", f"its mask: {_short(error, root / path)}"))
            usable = False
            continue
        if pixels.shape[:2] != image.shape:
            sizes = [f"{shape[0]} x {shape[1]}" for shape in (pixels.shape, image.shape)]
            faults.append(("mask-size", f"{sizes[0]}, the photo {sizes[1]}"))
            usable = False
            continue
        fault = _values_fault(pixels, values)
        if fault:
            faults.append(("mask-values", fault))
        whole |= _marked(pixels)
    return (whole if usable else None), faults


def _colours(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels if pixels.ndim == 2 else pixels[:, :, : 3 if pixels.shape[2] != 2 else 1]


def _marked(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    colours = _colours(pixels)
    return np.asarray(colours > 0 if colours.ndim == 2 else (colours > 0).any(axis=2))


def _values_fault(pixels: NDArray[Any], values: str) -> str:
    """Return what is wrong with the type or the values of a mask, "" if nothing."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if values == "tones":
        tones = _colours(pixels)[_marked(pixels)]
        alike = not len(tones) or bool((tones == tones[0]).all())
        return "" if alike else "several tones, as a photo has: expected black and one other"
    if channels > 1 and (values != "two" or not _grey(pixels)):
        return f"{channels} channels, expected one"
    flat = pixels if pixels.ndim == 2 else pixels[:, :, 0]
    if flat.dtype != np.uint8:
        return f"{flat.dtype}, expected 8 bit"
    if values == "codes":
        return ""
    present = np.flatnonzero(np.bincount(flat.reshape(-1), minlength=256))
    marks = [int(value) for value in present if value]
    if values == "255" and any(mark != 255 for mark in marks):
        return f"{_listed(marks)}, expected 0 and 255"
    if values == "two" and len(marks) > 1:
        return f"{_listed(marks)}, expected 0 and one other"
    return ""


def _grey(pixels: NDArray[Any]) -> bool:
    return pixels.shape[2] == 3 and bool((pixels == pixels[:, :, :1]).all())


def _listed(marks: list[int]) -> str:
    text = ", ".join(map(str, marks[:4]))
    return f"holds {text}" if len(marks) <= 4 else f"holds {text} and {len(marks) - 4} more values"


def _short(error: DataError, path: Path) -> str:
    """Return a reader's message without the path, which stands beside it, and without its hint."""
    return str(error).removeprefix(f"{path}: ").split("\n")[0]
