"""Banks of real defects: folders of photos with masks, or of crops whose alpha is the mask."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible

from ._augment import grey
from ._edit import LEAST_PIXELS
from ._sample import Mask

Pixels = NDArray[np.float32]

MARGIN = 6
"""Pixels of the photo that are kept around a defect."""

_KEPT = 2**22
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_MASKS = (("test", "ground_truth"), ("images", "masks"))
"""Folders of photos and those of their masks."""
_FORMS = "NAME.png with NAME_mask.png, test/TYPE/NAME.png with ground_truth/TYPE/NAME_mask.png, or crops with alpha"


class Entry(NamedTuple):
    """A photo of the bank and its mask, "" if its alpha is the mask; POSIX paths below the bank."""

    photo: str
    mask: str


@dataclass(frozen=True, eq=False)
class Cut:
    """One defect.

    Attributes:
        pixels: (h, w, C) float32 fractions of the photo's full scale, with what lies around the defect.
        alpha: (h, w) float32, how much of a pixel is defect; 0 on the margin.
        known: (h, w) bool, which pixels were in the photo; a crop knows nothing beyond its alpha.
    """

    pixels: Pixels
    alpha: Pixels
    known: Mask


class Defects(NamedTuple):
    """The defects of one entry, in the order of their first pixels, and the SHA-256 of its files."""

    cuts: tuple[Cut, ...]
    digests: dict[str, str]


class Bank:
    """The defects below a folder: its photos sorted by POSIX path, read when asked for, the last few kept.

    Photos in folders called `good` are no defects. The connected parts of a mask (8 neighbours) are a defect
    each; parts of less than 8 pixels are none.

    Raises:
        DataError: there is no such folder, or no photo in it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise DataError(f"{path}: {'not a folder' if self.path.exists() else 'no such folder'}: expected a bank")
        found = (file for file in self.path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
        names = sorted(file.relative_to(self.path).as_posix() for file in found)
        masks = {_bare(name): name for name in names if _is_mask(name)}
        photos = [name for name in names if not _is_mask(name) and "good" not in name.split("/")[:-1]]
        self.entries = [Entry(name, _mask_of(name, masks)) for name in photos]
        if not self.entries:
            raise DataError(f"{path}: holds no defects: expected {_FORMS}")
        self._read: OrderedDict[int, Defects] = OrderedDict()

    def defects(self, index: int) -> Defects:
        """Return the defects of an entry.

        Raises:
            DataError: a file cannot be read, there is no mask, it is empty, or its size is not the photo's.
        """
        if index not in self._read:
            self._read[index] = _defects(self.path, self.entries[index])
            while len(self._read) > 1 and sum(_size(defects) for defects in self._read.values()) > _KEPT:
                self._read.popitem(last=False)
        self._read.move_to_end(index)
        return self._read[index]


@lru_cache(maxsize=4)
def bank(path: str) -> Bank:
    """Return the bank in a folder, listed once in a process."""
    return Bank(path)


def fitted(pixels: Pixels, channels: int, where: str) -> Pixels:
    """Return `pixels` (h, w, C) with another number of channels: grey is repeated, RGB becomes its luma.

    Raises:
        Impossible: neither is the case.
    """
    own = pixels.shape[2]
    if own == channels:
        return pixels
    if own == 1:
        return np.repeat(pixels, channels, axis=2)
    if own == 3 and channels == 1:
        return grey(pixels)[:, :, :1]
    raise Impossible(f"{where}: {own} channels: do not fit an image of {channels}")


def _is_mask(name: str) -> bool:
    path = PurePosixPath(name)
    return path.stem.endswith("_mask") or any(folder in path.parts[:-1] for _, folder in _MASKS)


def _bare(name: str) -> str:
    """Return the name of a mask without its suffix and without the `_mask` at its end."""
    return PurePosixPath(name).with_suffix("").as_posix().removesuffix("_mask")


def _mask_of(name: str, masks: dict[str, str]) -> str:
    stem = PurePosixPath(name).with_suffix("")
    if stem.as_posix() in masks:
        return masks[stem.as_posix()]
    for photos, folder in _MASKS:
        places = [k for k, part in enumerate(stem.parts[:-1]) if part == photos]
        if places:
            other = PurePosixPath(*stem.parts[: places[-1]], folder, *stem.parts[places[-1] + 1 :]).as_posix()
            if other in masks:
                return masks[other]
    return ""


def _defects(root: Path, entry: Entry) -> Defects:
    from anosynth.io.images import read_image

    photo = root / entry.photo
    image = read_image(photo)
    pixels = image.crop((0, 0, *image.shape))
    digests = {"defect_sha256": _sha256(photo)}
    alpha = pixels[:, :, -1] if image.opacity else None
    pixels = pixels if alpha is None else pixels[:, :, :-1]
    if entry.mask:
        mask = root / entry.mask
        marks = read_image(mask).colours
        inside = marks > 0 if marks.ndim == 2 else (marks > 0).any(axis=2)
        if inside.shape != image.shape:
            size = f"{inside.shape[0]} x {inside.shape[1]}"
            raise DataError(f"{mask}: {size}: does not fit {photo}'s {image.shape[0]} x {image.shape[1]}")
        weight, known = inside.astype(np.float32), np.ones(image.shape, np.bool_)
        digests["mask_sha256"] = _sha256(mask)
    elif alpha is None:
        raise DataError(f"{photo}: no mask: expected {_FORMS}")
    else:
        weight, known = alpha, alpha > 0
        pixels = _spread(pixels, known)
    cuts = _parts(pixels, weight, known)
    if not cuts:
        name = root / (entry.mask or entry.photo)
        raise DataError(f"{name}: an empty mask: expected a defect of at least {LEAST_PIXELS} pixels")
    return Defects(cuts, digests)


def _spread(pixels: Pixels, known: Mask) -> Pixels:
    """Return `pixels` with the nearest known colour where none is known, so that resampling mixes in nothing else."""
    from scipy.ndimage import distance_transform_edt

    if known.all() or not known.any():
        return pixels
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.ascontiguousarray(pixels[rows, columns])


def _parts(pixels: Pixels, weight: Pixels, known: Mask) -> tuple[Cut, ...]:
    from scipy.ndimage import find_objects, label

    parts, _ = label(weight > 0, structure=np.ones((3, 3), np.int8))
    cuts = []
    for number, (rows, columns) in enumerate(find_objects(parts), 1):
        own = parts[rows, columns] == number
        if int(own.sum()) < LEAST_PIXELS:
            continue
        around = tuple(slice(max(0, part.start - MARGIN), part.stop + MARGIN) for part in (rows, columns))
        own = parts[around] == number
        alpha = np.where(own, weight[around], np.float32(0))
        cuts.append(Cut(pixels[around].copy(), alpha, known[around].copy()))
    return tuple(cuts)


def _size(defects: Defects) -> int:
    return sum(cut.alpha.size for cut in defects.cuts)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
