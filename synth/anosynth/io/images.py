"""Reading photos of any common format into arrays, bit for bit, and writing them without loss."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.images._sample import Image
from anosynth.io.atomic import atomic_write
from anosynth.io.clouds import _kind
from anosynth.io.png import SIGNATURE, decode_png16, encode_png, first_chunks, too_many
from anosynth.io.tiff import ORIENTATION, decode_tiff, encode_tiff, squeezed

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Array = NDArray[Any]

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp"])
"""The file name suffixes of photos, in lower case."""

UNREAD = frozenset(
    [".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".heic", ".heif", ".avif"]
).union(
    [".exr", ".hdr", ".dcm", ".psd", ".tga", ".ico", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf"]
)
"""Those of photos in formats that are not read."""

MAX_PIXELS = 250_000_000
"""Number of pixels that a photo may have unless told otherwise: more than any camera's, less than fills a memory."""

EXPECTED = "expected PNG, JPEG, BMP, TIFF or WebP"
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
    "I;16B": "I;16",
}


@dataclass(frozen=True)
class Origin:
    """What a file had beside its pixels: its format ("PNG", "JPEG", ...) and what was done to them in reading."""

    format: str
    notes: tuple[str, ...] = ()


_limit: ContextVar[int] = ContextVar("anosynth-max-pixels", default=MAX_PIXELS)


@contextmanager
def limited(largest: int) -> Iterator[None]:
    """Let photos that are read in the block have up to `largest` pixels: those of a run, its maps, banks and masks."""
    token = _limit.set(largest)
    try:
        yield
    finally:
        _limit.reset(token)


def read_image(path: str | os.PathLike[str], *, largest: int | None = None) -> Image:
    """Read a photo as it is meant to be seen; the content decides on the format, not the suffix.

    Grey images have the shape (H, W), others (H, W, C), with `opacity` where the last channel is one: 8 and 16 bit and
    float32 are kept bit for bit, 1 bit becomes 0 and 255, palettes and CMYK become RGB (RGBA where a palette has
    transparency). The orientation of a camera is applied. Colour profiles and transparent colours are dropped.
    `document` is an `Origin` that says so.

    Args:
        path: a regular file of PNG, JPEG, BMP, TIFF or WebP.
        largest: number of pixels that an image may have, looked up before anything is unpacked; None for what
            `limited` says, else `MAX_PIXELS`, 250 million.

    Raises:
        DataError: there is no such file, it cannot be read, is no image, is damaged, has several frames or too many
            pixels, is smaller than 8 x 8, or has a type that cannot be kept.
    """
    name = os.fspath(path)
    data = _bytes(path)
    try:
        pixels, origin, opacity = _decoded(data, _limit.get() if largest is None else largest)
        if pixels.dtype == np.float32:
            _check_range(pixels)
        return Image(pixels, document=origin, opacity=opacity)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def read_stored(path: str | os.PathLike[str]) -> Array:
    """Return the values that a picture of up to 8 bit stores, bool for 1 bit, indices for palettes; of any size.

    Raises:
        DataError: there is no such file, it cannot be read, or has more pixels than photos may have.
    """
    data = _bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(data) as picture:
                _check_size(picture.size[::-1], _limit.get())
                return np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{os.fspath(path)}: cannot be read: {error}") from None


def write_image(path: str | os.PathLike[str], image: Image) -> None:
    """Write an image without loss as PNG or TIFF, by the suffix; the file appears whole or not at all.

    PNG takes 8 and 16 bit with up to four channels, of which it takes the second or fourth for opacity; TIFF takes
    everything and is told what the last channel is.

    Raises:
        WriteError: the suffix is another one, PNG cannot hold the pixels, or the disk refuses.
    """
    name, suffix = os.fspath(path), Path(path).suffix.lower()
    if suffix == ".png":
        try:
            data = encode_png(image.pixels)
        except WriteError as error:
            raise WriteError(f"{name}: {error}") from None
    elif suffix in (".tif", ".tiff"):
        data = encode_tiff(image.pixels, opacity=image.opacity)
    else:
        raise WriteError(f"{name}: suffix `{suffix}`: expected .png or .tiff, which keep every bit")
    _write(path, data)


def write_mask(path: str | os.PathLike[str], mask: NDArray[np.bool_]) -> None:
    """Write a mask (H, W) as a PNG of 8 bit and one channel, 0 or 255.

    Raises:
        WriteError: the disk refuses.
    """
    _write(path, encode_png(mask.astype(np.uint8) * np.uint8(255), flat=True))


def write_map(path: str | os.PathLike[str], numbers: NDArray[np.uint16]) -> None:
    """Write numbers (H, W) as a grey PNG of 8 bit, or of 16 if there are greater ones than 255.

    Raises:
        WriteError: the disk refuses.
    """
    small = int(numbers.max()) <= 255
    _write(path, encode_png(numbers.astype(np.uint8) if small else numbers, flat=True))


def image_digest(image: Image) -> str:
    """Return the SHA-256, in hex, of the pixels by dtype, shape and little-endian bytes, whatever file they came from.

    (H, W, 1) counts as (H, W), which is how it is read back.
    """
    pixels = squeezed(image.pixels)
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    head = json.dumps([little.dtype.str, list(little.shape)]).encode("ascii") + b"\n"
    total = hashlib.sha256(head)
    total.update(little.data)
    return total.hexdigest()


Decoded = tuple[Array, Origin, bool]
"""Pixels, what was beside them, and whether the last channel is opacity."""


def _decoded(data: bytes, largest: int) -> Decoded:
    try:
        if data.startswith(SIGNATURE):
            return _png(data, largest)
        if data.startswith(_TIFFS):
            found = _tiff(data, largest)
            if found is not None:
                return found
        return _by_pillow(data, largest)
    except (DataError, MemoryError):
        raise
    # Damaged files make Pillow and tifffile fail in many ways (syntax, struct, index, key, type errors, their own).
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else "damaged"
        raise DataError(f"cannot be read: {text}") from None


def _png(data: bytes, largest: int) -> Decoded:
    from PIL import Image as Pillow

    found = first_chunks(data)
    if b"acTL" in found:
        raise DataError("an animation: expected one picture")
    if found.get(b"IHDR", b"")[8:9] != b"\x10":
        return _by_pillow(data, largest)
    exif = Pillow.Exif()
    if b"eXIf" in found:
        exif.load(b"Exif\0\0" + found[b"eXIf"])
    pixels = _upright(decode_png16(data, largest=largest), exif.get(ORIENTATION, 1))
    dropped = [("colour profile", b"iCCP"), ("transparent colour", b"tRNS")]
    origin = Origin("PNG", tuple(f"{text} dropped" for text, kind in dropped if kind in found))
    return pixels, origin, pixels.ndim == 3 and pixels.shape[2] in (2, 4)


def _by_pillow(data: bytes, largest: int) -> Decoded:
    from PIL import Image as Pillow
    from PIL import ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        picture: Pillow.Image = opened(data)
        with picture:
            _check_size(picture.size[::-1], largest)
            form, mode = picture.format or "", picture.mode
            # Cameras store a preview as the second picture of an MPO, whose first is the photo.
            if form != "MPO" and getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{getattr(picture, 'n_frames', 1)} frames or pages: expected one picture")
            try:
                picture.load()
            except Pillow.DecompressionBombError:
                raise DataError(f"{form}: more pixels than Pillow reads of {_PACKED}") from None
            notes = [text for key, text in _NOTES.items() if key in picture.info]
            picture = ImageOps.exif_transpose(picture)
            target = _MODES.get(mode)
            if target is None:
                raise DataError(f"colours of kind {mode}: expected grey, RGB, RGBA, CMYK or a palette")
            if mode == "P" and "transparency" in picture.info:
                target = "RGBA"
                notes.remove(_NOTES["transparency"])
            if mode == "CMYK":
                notes.append("CMYK converted to RGB without a profile")
            pixels = np.array(picture if target == mode else picture.convert(target))
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return native, Origin(form, tuple(notes)), target in ("LA", "RGBA")


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
            text = str(error).splitlines()[0] if str(error) else "damaged"
            raise DataError(f"{form}: cannot be read: {text}") from None
    raise DataError(f"not an image that can be read{_other(data)}: {EXPECTED}")


_PACKED = "this format: expected PNG or plain TIFF"


def _other(data: bytes) -> str:
    form = _BOXED.get(data[8:12], "HEIF") if data[4:8] == b"ftyp" else ""
    form = form or next((name for start, name in _OTHERS.items() if data.startswith(start)), "")
    return f" ({form})" if form else ""


_NOTES = {"icc_profile": "colour profile dropped", "transparency": "transparent colour dropped"}


def _tiff(data: bytes, largest: int) -> Decoded | None:
    found = decode_tiff(data, largest=largest)
    if found is None:
        return None
    pixels, orientation, profile, opacity = found
    return _upright(pixels, orientation), Origin("TIFF", ("colour profile dropped",) * profile), opacity


def _upright(pixels: Array, orientation: int) -> Array:
    """Turn pixels as the orientation tag of TIFF 6.0 and EXIF says: 1 to 8, others count as 1."""
    turned = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def _check_size(shape: tuple[int, int], largest: int) -> None:
    if shape[0] * shape[1] > largest:
        raise DataError(too_many(shape, largest))


def _check_range(pixels: Array) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    # Sharpening overshoots a little; counts of a sensor or depths are of another scale altogether.
    if not (low >= -1.0 and high <= 2.0):
        raise DataError(f"float32 from {low:g} to {high:g}: expected 0 to 1\nhint: divide by the value of white")


def _write(path: str | os.PathLike[str], data: bytes) -> None:
    with atomic_write(path) as file:
        file.write(data)


def _bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file; anything else is refused before it is opened (a pipe would block)."""
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116
        if not Path(name).is_file():
            raise DataError(f"{name}: {_kind(mode)}: expected a file")
        data = Path(name).read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name}: no such file: expected a photo") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None
    if not data:
        raise DataError(f"{name}: an empty file (0 bytes): expected a photo")
    return data
