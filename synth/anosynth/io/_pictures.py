"""From the bytes of a picture file to its pixels, bit for bit, and what is said of formats that are not read."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io.files import told
from anosynth.io.png import SIGNATURE, decode_png16, first_chunks, too_many
from anosynth.io.tiff import ORIENTATION, decode_tiff

if TYPE_CHECKING:
    from PIL import Image as Pillow
    from PIL.ImageFile import ImageFile

Array = NDArray[Any]

EXPECTED = "expected PNG, JPEG, BMP, TIFF or WebP"
_PACKED = "this format: expected PNG or plain TIFF"
_NOTES = {"icc_profile": "colour profile dropped", "transparency": "transparent colour dropped"}
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
# First bytes of other formats, whose names say more than that the file is none of the five.
_OTHERS = {
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xffO\xffQ": "JPEG 2000",
    b"v/1\x01": "OpenEXR",
    b"8BPS": "a Photoshop document",
    b"%PDF": "PDF",
}
_BOXED = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"avif": "AVIF"}
# Tags of TIFF.
_BITS, _PHOTOMETRIC = 258, 262
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow's mode becomes; a mode that is not here has no place in `Image`.
_MODES = {
    **{mode: mode for mode in ("L", "LA", "RGB", "RGBA", "I;16", "F")},
    "1": "L",
    "P": "RGB",
    "PA": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "I;16B": "I;16B",
}


@dataclass(frozen=True)
class Origin:
    """What a file had beside its pixels: its format ("PNG", "JPEG", ...) and what was done to them in reading."""

    format: str
    notes: tuple[str, ...] = ()


Decoded = tuple[Array, Origin, bool]
"""Pixels, what was beside them, and whether the last channel is opacity."""


def decoded(data: bytes, largest: int) -> Decoded:
    """Return what a picture file of any of the formats holds.

    Raises:
        DataError: it is no picture, damaged, has several frames, more than `largest` pixels, or a type that cannot be
            kept.
    """
    with _damage_told():
        if data.startswith(SIGNATURE):
            return _png(data, largest)
        if data.startswith(_TIFFS):
            found = _tiff(data, largest)
            if found is not None:
                return found
        return _by_pillow(data, largest)


def stored(data: bytes, largest: int) -> Array:
    """Return the values that a picture of up to 8 bit stores, bool for 1 bit, indices for palettes.

    Raises:
        DataError: it is no picture, damaged, or has more than `largest` pixels.
    """
    with _damage_told(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with opened(data) as picture:
            _check_size(picture.size[::-1], largest)
            return np.asarray(picture)


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (DataError, MemoryError):
        raise
    # Damaged files make Pillow and tifffile fail in many ways (syntax, struct, index, key, type errors, their own).
    except Exception as error:
        raise DataError(f"cannot be read: {told(error)}") from None


def _png(data: bytes, largest: int) -> Decoded:
    from PIL import Image as Pillow

    found = first_chunks(data)
    if b"acTL" in found:
        raise DataError("an animation: expected one picture")
    if found.get(b"IHDR", b"")[8:9] != b"\x10":
        return _by_pillow(data, largest)

    def exif() -> Pillow.Exif:
        tags = Pillow.Exif()
        tags.load(b"Exif\0\0" + found.get(b"eXIf", b""))
        return tags

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        orientation = _orientation(exif)
    pixels = _upright(decode_png16(data, largest=largest), orientation)
    dropped = [("colour profile", b"iCCP"), ("transparent colour", b"tRNS")]
    origin = Origin("PNG", tuple(f"{text} dropped" for text, kind in dropped if kind in found))
    return pixels, origin, pixels.ndim == 3 and pixels.shape[2] in (2, 4)


def _by_pillow(data: bytes, largest: int) -> Decoded:
    from PIL import Image as Pillow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture: Pillow.Image = opened(data)
        with picture:
            _check_size(picture.size[::-1], largest)
            form, mode = picture.format or "", picture.mode
            _check_depth(picture)
            # Cameras store a preview as the second picture of an MPO, whose first is the photo; of TIFF this is known.
            if form not in ("MPO", "TIFF") and getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{getattr(picture, 'n_frames', 1)} frames or pages: expected one picture")
            try:
                picture.load()
            except Pillow.DecompressionBombError:
                raise DataError(f"{form}: more pixels than Pillow reads of {_PACKED}") from None
            notes = [text for key, text in _NOTES.items() if key in picture.info]
            orientation = _orientation(picture.getexif)
            pixels, target = pixels_of(picture)
            if mode == "P" and target == "RGBA":
                notes.remove(_NOTES["transparency"])
            if mode == "CMYK":
                notes.append("CMYK converted to RGB without a profile")
    return _upright(pixels, orientation), Origin(form, tuple(notes)), target in ("LA", "RGBA")


def pixels_of(picture: Pillow.Image) -> tuple[Array, str]:
    """Return the pixels of a picture that Pillow has opened, and the mode that they are in.

    Raises:
        DataError: colours of a kind that `Image` has no place for.
    """
    target = _MODES.get(picture.mode)
    if target is None:
        raise DataError(f"colours of kind {picture.mode}: expected grey, RGB, RGBA, CMYK or a palette")
    if picture.mode == "P" and "transparency" in picture.info:
        target = "RGBA"
    pixels = np.array(picture if target == picture.mode else picture.convert(target))
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False), target


def _check_depth(picture: Pillow.Image) -> None:
    """Raise DataError if Pillow would cut samples of more than 8 bit, or take their black for white."""
    tags = getattr(picture, "tag_v2", None) if picture.format == "TIFF" else None
    if tags is None or max(tags.get(_BITS, (1,))) <= 8:
        return
    deep = picture.mode.startswith("I;16") or picture.mode == "F"
    if (not deep and picture.mode in _MODES and picture.mode != "CMYK") or (deep and tags.get(_PHOTOMETRIC) == 0):
        raise DataError(
            f"TIFF: more than 8 bit in a form that Pillow would change ({picture.mode}): expected plain TIFF\n"
            "hint: save it uncompressed or with deflate, or as PNG"
        )


def opened(data: bytes) -> ImageFile:
    """Return what Pillow sees of a picture, with nothing unpacked: size, mode, tags.

    `PIL.Image.open` holds pictures to a limit of its own, which is the program's and not ours to change.

    Raises:
        DataError: it is of none of the formats, or damaged.
    """
    from PIL import BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
    from PIL import Image as Pillow

    assert all((BmpImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin))
    for form in _FORMATS:
        factory, accepts = Pillow.OPEN.get(form, (None, None))
        if factory is None or accepts is None or accepts(data[:16]) is not True:
            continue
        try:
            return factory(io.BytesIO(data), "")
        except Pillow.DecompressionBombError:
            raise DataError(f"{form}: more pixels than Pillow reads of {_PACKED}") from None
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            raise DataError(f"{form}: cannot be read: {told(error)}") from None
    raise DataError(f"not an image that can be read{_other(data)}: {EXPECTED}")


def _other(data: bytes) -> str:
    form = _BOXED.get(data[8:12], "HEIF") if data[4:8] == b"ftyp" else ""
    form = form or next((name for start, name in _OTHERS.items() if data.startswith(start)), "")
    return f" ({form})" if form else ""


def _tiff(data: bytes, largest: int) -> Decoded | None:
    found = decode_tiff(data, largest=largest)
    if found is None:
        return None
    pixels, orientation, profile, opacity = found
    return _upright(pixels, orientation), Origin("TIFF", ("colour profile dropped",) * profile), opacity


def _orientation(exif: Callable[[], Mapping[int, Any]]) -> int:
    """Return what the tags that a camera wrote say of how it was held: 1, upright, where they are damaged."""
    try:
        found = exif().get(ORIENTATION, 1)
    except (SyntaxError, ValueError, TypeError, LookupError, OSError, struct.error):
        return 1
    return found if isinstance(found, int) else 1


def _upright(pixels: Array, orientation: int) -> Array:
    """Turn pixels as the orientation tag of TIFF 6.0 and EXIF says: 1 to 8, others count as 1."""
    turned = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def _check_size(shape: tuple[int, int], largest: int) -> None:
    """Raise DataError if a picture has too many pixels."""
    if shape[0] * shape[1] > largest:
        raise DataError(too_many(shape, largest))
