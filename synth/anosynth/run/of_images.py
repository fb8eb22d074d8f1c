"""What the run layer needs to know of images."""

from __future__ import annotations

import functools
import importlib
import struct
import warnings
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.generator import Anomaly
from anosynth.images import Image
from anosynth.images._foreground import foreground
from anosynth.io.images import SUFFIXES, read_image
from anosynth.io.tiff import ORIENTATION
from anosynth.labels import Faith, faith
from anosynth.report.images import image_view as view

if TYPE_CHECKING:
    from anosynth.datasets.layout import Truth

    from .execute import Place

__all__ = ["box", "compare", "frame", "read", "reading", "unit", "view"]


def reading(place: Place, key: str) -> tuple[Any, ...]:
    """Return what decides, beside the file, what is read."""
    return (place.reading,)


def read(path: Path, place: Place, key: str) -> Image:
    """Read a source with where defects may lie: the part found in it, less what the options rule out."""
    given, image = place.reading, read_image(path)
    inside = _part(image, given.foreground, path, key)
    if given.roi:
        roi = _map(given.roi, key, image, path) > 0
        inside = roi if inside is None else inside & roi
    if given.exclude:
        kept = _map(given.exclude, key, image, path) <= 0
        inside = kept if inside is None else inside & kept
    prior = _map(given.prior, key, image, path) if given.prior else None
    return replace(image, foreground=inside, prior=prior, mm_per_px=given.mm_per_px)


def _part(image: Image, how: str, path: Path, key: str) -> NDArray[np.bool_] | None:
    if how in ("auto", "none"):
        return part_of(image) if how == "auto" else None
    if ":" not in how or "/" in how:
        return _map(how, key, image, path) > 0
    pixels = image.pixels.copy()
    try:
        inside = np.asarray(_function(how)(pixels))
    except ParameterError:
        raise
    except Exception as error:  # the user's own function may raise anything
        raise DataError(f"{path}: --foreground {how}: {type(error).__name__}: {error}") from None
    if inside.dtype != np.bool_ or inside.shape != image.shape:
        raise DataError(f"{path}: --foreground {how}: gave {inside.dtype} {inside.shape}: expected bool {image.shape}")
    return inside


def part_of(image: Image) -> NDArray[np.bool_] | None:
    """Return the part of a photo: what is not wholly transparent where that leaves some of it out, else as found."""
    solid = image.solid
    if solid is None or solid.all():
        return foreground(image.colours)
    # A photo that is cut out says itself where its part is; colours below full transparency say nothing.
    if solid.mean() <= _CUT_OUT or not solid.any():
        return solid
    found = foreground(image.colours)
    return solid if found is None or not (found & solid).any() else found & solid


_CUT_OUT = 0.95
"""Share of visible pixels up to which the rest is taken for a background that was removed."""


@functools.lru_cache(maxsize=1)
def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ParameterError(f"--foreground: {name}: cannot be imported: {error}") from None
    if not callable(found):
        raise ParameterError(f"--foreground: {name}: is not a function")
    return found


def _map(where: str, key: str, image: Image, path: Path) -> NDArray[np.float32]:
    """Return the map of a photo as (H, W) float32, the largest of its channels, from 0 to 1."""
    file = _map_file(where, key, path)
    status = file.stat() if file.exists() else None
    values = _values(file, (status.st_size, status.st_mtime_ns) if status else ())
    if values.shape != image.shape:
        sizes = [" x ".join(map(str, shape)) for shape in (values.shape, image.shape)]
        raise DataError(f"{file}: {sizes[0]}: does not fit the {sizes[1]} pixels of {path}")
    return values


@functools.lru_cache(maxsize=2)
def _values(path: Path, version: tuple[int, ...]) -> NDArray[np.float32]:
    image = read_image(path)
    seen = image.colours
    largest = seen if seen.ndim == 2 else seen.max(axis=2)
    values: NDArray[np.float32] = (largest / np.float32(image.white)).astype(np.float32)
    if image.solid is not None:
        values[~image.solid] = 0
    values.flags.writeable = False
    return values


def _map_file(where: str, key: str, path: Path) -> Path:
    home = Path(where)
    if not home.is_dir():
        return home
    stem = home / PurePosixPath(key).with_suffix("")
    found = sorted(
        f for f in stem.parent.glob("*") if f.stem in (stem.name, f"{stem.name}_mask") and f.suffix.lower() in SUFFIXES
    )
    if len(found) != 1:
        many = f"{len(found)} images" if found else "no image"
        raise DataError(f"{path}: {many} of its name in {home}: expected one")
    return found[0]


def frame(path: Path) -> tuple[int, int] | None:
    """Return height and width of a photo, upright, as the head of its file says, None if that cannot be told."""
    from PIL import Image as pillow

    if not path.is_file():
        return None
    try:
        with warnings.catch_warnings():
            # Nothing is decoded here: photos of any size are fine.
            warnings.simplefilter("ignore")
            with pillow.open(path) as photo:
                return (photo.width, photo.height) if _lies(photo) else (photo.height, photo.width)
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError):
        return None


def _lies(photo: Any) -> bool:
    """Tell whether a photo that pillow has opened must be turned by 90 degrees; of TIFF, pillow gives turned sizes."""
    # What a PNG says of it may stand behind its pixels, which would all be unpacked first.
    if photo.format == "TIFF" or (photo.format == "PNG" and "exif" not in photo.info):
        return False
    try:
        return photo.getexif().get(ORIENTATION) in (5, 6, 7, 8)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return False


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
