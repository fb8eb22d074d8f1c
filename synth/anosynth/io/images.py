"""Reading photos of any common format into arrays, bit for bit, and writing them without loss."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.images._sample import Image
from anosynth.io.atomic import atomic_write
from anosynth.io.clouds import _kind
from anosynth.io.png import SIGNATURE, decode_png16, encode_png, first_chunks

Array = NDArray[Any]

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"])
"""The file name suffixes of photos, in lower case."""

_EXPECTED = "expected PNG, JPEG, BMP, TIFF or WebP"
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 274
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


def read_image(path: str | os.PathLike[str], *, largest: int = 178_956_970) -> Image:
    """Read a photo as it is meant to be seen; the content decides on the format, not the suffix.

    Grey images have the shape (H, W), others (H, W, C) with alpha last: 8 and 16 bit and float32 are kept bit for bit,
    1 bit becomes 0 and 255, palettes and CMYK become RGB (RGBA where a palette has transparency). The orientation of a
    camera is applied. Colour profiles and transparent colours are dropped. `document` is an `Origin` that says so.

    Args:
        path: a regular file of PNG, JPEG, BMP, TIFF or WebP.
        largest: number of pixels that an image may have; Pillow sets a limit of its own, which is the default.

    Raises:
        DataError: there is no such file, it cannot be read, is no image, is damaged, has several frames or too many
            pixels, is smaller than 8 x 8, or has a type that cannot be kept.
    """
    name = os.fspath(path)
    data = _bytes(path)
    try:
        pixels, origin = _decoded(data, largest)
        if pixels.dtype == np.float32:
            _check_range(pixels)
        return Image(pixels, document=origin)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def write_image(path: str | os.PathLike[str], image: Image) -> None:
    """Write an image without loss as PNG or TIFF, by the suffix; the file appears whole or not at all.

    PNG takes 8 and 16 bit with up to four channels, TIFF everything.

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
        data = _tiff(image.pixels)
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
    pixels = _squeezed(image.pixels)
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    head = json.dumps([little.dtype.str, list(little.shape)]).encode("ascii") + b"\n"
    total = hashlib.sha256(head)
    total.update(little.data)
    return total.hexdigest()


def _decoded(data: bytes, largest: int) -> tuple[Array, Origin]:
    try:
        if data.startswith(SIGNATURE):
            return _png(data, largest)
        if data.startswith(_TIFF):
            found = _plain_tiff(data, largest)
            if found is not None:
                return found
        return _by_pillow(data, largest)
    except (DataError, MemoryError):
        raise
    # Damaged files make Pillow and tifffile fail in many ways (syntax, struct, index, key, type errors, their own).
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else "damaged"
        raise DataError(f"cannot be read: {text}") from None


def _png(data: bytes, largest: int) -> tuple[Array, Origin]:
    from PIL import Image as Pillow

    found = first_chunks(data)
    if b"acTL" in found:
        raise DataError("an animation: expected one picture")
    if found.get(b"IHDR", b"")[8:9] != b"\x10":
        return _by_pillow(data, largest)
    exif = Pillow.Exif()
    if b"eXIf" in found:
        exif.load(b"Exif\0\0" + found[b"eXIf"])
    pixels = _upright(decode_png16(data, largest=largest), exif.get(_ORIENTATION, 1))
    dropped = [("colour profile", b"iCCP"), ("transparent colour", b"tRNS")]
    return pixels, Origin("PNG", tuple(f"{text} dropped" for text, kind in dropped if kind in found))


def _by_pillow(data: bytes, largest: int) -> tuple[Array, Origin]:
    from PIL import Image as Pillow
    from PIL import ImageOps, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture: Pillow.Image = Pillow.open(io.BytesIO(data), formats=_FORMATS)
        except UnidentifiedImageError:
            raise DataError(f"not an image that can be read: {_EXPECTED}") from None
        except Pillow.DecompressionBombError:
            raise DataError(f"has too many pixels: expected at most {largest} in all") from None
        with picture:
            _check_size(picture.size[::-1], largest)
            form, mode = picture.format or "", picture.mode
            # Cameras store a preview as the second picture of an MPO, whose first is the photo.
            if form != "MPO" and getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{getattr(picture, 'n_frames', 1)} frames or pages: expected one picture")
            picture.load()
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
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False), Origin(form, tuple(notes))


_NOTES = {"icc_profile": "colour profile dropped", "transparency": "transparent colour dropped"}


def _plain_tiff(data: bytes, largest: int) -> tuple[Array, Origin] | None:
    """Return the one picture of a TIFF of grey, RGB or other channels; None for what Pillow converts or unpacks."""
    import tifffile

    quiet = logging.getLogger("tifffile")
    quiet.addFilter(_drop)  # it would say to the log what the error says anyway
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            if len(file.pages) != 1:
                raise DataError(f"{len(file.pages)} frames or pages: expected one picture")
            page: Any = file.pages[0]
            if page.photometric not in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
                return None
            if page.bitspersample == 1 or page.compression not in _UNPACKED:
                return None
            axes, shape, dtype = str(page.axes), tuple(page.shape), np.dtype(page.dtype)
            if axes not in ("YX", "YXS", "SYX"):
                raise DataError(f"axes {axes} {shape}: expected rows, columns and channels")
            if dtype not in (np.uint8, np.uint16, np.float32):
                raise DataError(f"{dtype}: expected uint8, uint16 or float32")
            _check_size((page.imagelength, page.imagewidth), largest)
            _check_strips(page, len(data))
            pixels = np.asarray(page.asarray())
            orientation = page.tags[_ORIENTATION].value if _ORIENTATION in page.tags else 1
            notes = ("colour profile dropped",) if 34675 in page.tags else ()
    finally:
        quiet.removeFilter(_drop)
    if pixels.shape != shape:
        raise DataError(f"{pixels.shape}: expected {shape} by its tags")
    pixels = _squeezed(np.moveaxis(pixels, 0, 2) if axes == "SYX" else pixels)
    native = np.array(pixels, dtype=dtype.newbyteorder("="), order="C")
    return _upright(native, int(orientation)), Origin("TIFF", notes)


# What tifffile unpacks by itself: none, deflate under its two numbers, PackBits.
_UNPACKED = (1, 8, 32946, 32773)


def _check_strips(page: Any, size: int) -> None:
    # tifffile fills strips that lie beyond the end of the file with zeros.
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if not offset or not count or offset + count > size:
            raise DataError("TIFF: ends in the middle")


def _tiff(pixels: Array) -> bytes:
    import tifffile

    # Deflate leaves most floats and noise as they are, at a price in time; plain TIFF is what every reader knows.
    pixels = _squeezed(pixels)
    rgb = pixels.ndim == 3 and pixels.shape[2] in (3, 4) and pixels.dtype != np.float32
    layout: dict[str, Any] = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
    if rgb and pixels.shape[2] == 4:
        layout["extrasamples"] = ["unassalpha"]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder="<") as file:
        kind = "rgb" if rgb else "minisblack"
        file.write(np.ascontiguousarray(pixels), photometric=kind, metadata=None, software="", datetime=None, **layout)
    return buffer.getvalue()


def _upright(pixels: Array, orientation: int) -> Array:
    """Turn pixels as the orientation tag of TIFF 6.0 and EXIF says: 1 to 8, others count as 1."""
    turned = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)


def _squeezed(pixels: Array) -> Array:
    return pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


def _check_size(shape: tuple[int, int], largest: int) -> None:
    if shape[0] * shape[1] > largest:
        raise DataError(f"{shape[0]} x {shape[1]} pixels: expected at most {largest} in all")


def _check_range(pixels: Array) -> None:
    low, high = float(pixels.min()), float(pixels.max())
    # Sharpening overshoots a little; counts of a sensor or depths are of another scale altogether.
    if not (low >= -1.0 and high <= 2.0):
        raise DataError(f"float32 from {low:g} to {high:g}: expected 0 to 1\nhint: divide by the value of white")


def _drop(record: logging.LogRecord) -> bool:
    return False


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
