"""The pixels of an entry: its image, and which of its pixels belong to which defect."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, WriteError
from anosynth.images import Image

from ._run import Entry

Mask = NDArray[np.bool_]

_ORIENTATION = 274


@dataclass(frozen=True, eq=False)
class Picture:
    """An entry's image as `anosynth.io.images.read_image` gives it, and the numbers (H, W) of its defects, 0 for none.

    `path` is its file. `turned` tells that this holds the pixels in another orientation, which many readers do not
    heed.
    """

    path: Path
    image: Image
    numbers: NDArray[np.uint16]
    turned: bool

    @property
    def mask(self) -> Mask:
        """Return which pixels are defective."""
        return self.numbers > 0

    @property
    def count(self) -> int:
        """Return the number of defects that have pixels."""
        return int(np.count_nonzero(np.bincount(self.numbers.ravel())[1:]))

    @property
    def area(self) -> float:
        """Return the defective share of the image."""
        return int(np.count_nonzero(self.numbers)) / self.numbers.size


@contextmanager
def opened(entry: Entry) -> Iterator[Picture]:
    """Yield an entry's picture, of the file that the manifest speaks of; the file is there while the block lasts.

    Raises:
        DataError: its files are others, cannot be read or had, or its masks do not fit.
    """
    if entry.source:
        yield _good(entry, entry.run.root / entry.path, "--root says where the sources are")
        return
    with entry.shard.opened(entry.line) as folder:
        yield _defective(entry, folder) if entry.defective else _good(entry, folder / entry.path, _VERIFY)


_VERIFY = "anosynth verify tells more"


def _good(entry: Entry, path: Path, hint: str) -> Picture:
    from anosynth.io.images import read_image

    check_file(path, entry.sha256, hint)
    with _bounds(entry):
        image = read_image(path)
    return Picture(path, image, np.zeros(image.shape, dtype=np.uint16), _turned(path))


def _defective(entry: Entry, folder: Path) -> Picture:
    from anosynth.io.images import read_image

    outputs = {output["role"]: output for output in entry.record["outputs"]}
    for output in entry.record["outputs"]:
        if output["role"] in ("sample", "instances") or output["role"].startswith("labels"):
            check_file(folder / output["path"], output["sha256"], _VERIFY)
    with _bounds(entry):
        try:
            truth = entry.run.layout.read_truth(folder, entry.record)
        except KeyError as error:
            raise DataError(f"{entry.id}: the manifest names no file with the role {error}") from None
        if truth is None:
            raise DataError(f"{entry.id}: has no mask")
        numbers = truth.mask.astype(np.uint16)
        if "instances" in outputs:
            path = folder / outputs["instances"]["path"]
            found = read_image(path).pixels
            if found.shape != numbers.shape or not np.array_equal(found > 0, truth.mask):
                raise DataError(f"{path}: numbers other pixels than the mask of its image")
            numbers = found.astype(np.uint16)
    return Picture(folder / entry.path, truth.sample, numbers, False)


def _bounds(entry: Entry) -> AbstractContextManager[None]:
    from anosynth.io.images import MAX_PIXELS, limited

    largest = entry.run.header.get("max_pixels")
    return limited(largest if isinstance(largest, int) else MAX_PIXELS)


def instances(entry: Entry, picture: Picture) -> Iterator[tuple[int, str, Mask]]:
    """Yield (number, type, mask) of each defect of an entry that has pixels.

    Raises:
        DataError: the mask has a defect that the manifest does not name.
    """
    types = {part["id"]: part["type"] for part in entry.record["instances"]} if entry.defective else {}
    present = np.flatnonzero(np.bincount(picture.numbers.ravel()))
    for number in present[present > 0].tolist():
        if number not in types:
            raise DataError(f"{entry.id}: its mask has a defect {number}, which the manifest does not name")
        yield number, types[number], picture.numbers == number


def check_file(path: Path, digest: str, hint: str) -> None:
    """Raise DataError unless the file is there, `hint` saying what helps, and has this SHA-256."""
    from anosynth.run.execute import file_sha256

    try:
        found = file_sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}\nhint: {hint}") from None
    if found != digest:
        raise DataError(f"{path}: is not the file that the manifest speaks of\nhint: {_VERIFY}")


def place_image(entry: Entry, picture: Picture, folder: Path, name: str, *, link: bool = False) -> str:
    """Put an entry's image at `folder / name` byte for byte, as a link if asked for and possible; return the name.

    An image that its file holds turned is written upright as PNG, so that it fits its mask whoever reads it.
    """
    if picture.turned:
        name = PurePosixPath(name).with_suffix(".png").as_posix()
        ready(folder / name).write_bytes(png_of(entry, picture))
        return name
    path = ready(folder / name)
    if link:
        # Another disk, or one without links: a copy serves.
        with suppress(OSError):
            os.link(picture.path, path)
            return name
    shutil.copyfile(picture.path, path)
    return name


def png_of(entry: Entry, picture: Picture) -> bytes:
    """Return the image's pixels as PNG, or raise DataError if PNG cannot hold them."""
    from anosynth.io.png import encode_png

    try:
        return encode_png(picture.image.pixels)
    except WriteError:
        pixels = picture.image.pixels
        raise DataError(f"{entry.id}: {pixels.dtype} {pixels.shape}: expected what PNG can hold") from None


def mask_png(mask: Mask) -> bytes:
    """Return a mask (H, W) as PNG of 8 bit and one channel, 0 or 255."""
    from anosynth.io.png import encode_png

    return encode_png(mask.astype(np.uint8) * np.uint8(255), flat=True)


def ready(path: Path) -> Path:
    """Return the path of a file to be written, in a folder that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _turned(path: Path) -> bool:
    from anosynth.io._pictures import opened as head_of

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with head_of(path.read_bytes()) as picture:
                return picture.getexif().get(_ORIENTATION, 1) not in (0, 1)
    except (OSError, SyntaxError, ValueError):
        # What tifffile reads and Pillow does not has been turned by no tag that Pillow's users would heed.
        return False
