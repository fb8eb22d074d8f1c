"""Pictures that look alike: fingerprints of pixels, thumbnails, and the search for near-duplicates among them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.images._sample import FULL_SCALE
from anosynth.images._shrink import shrunk

Array = NDArray[Any]
Floats = NDArray[np.float32]

SIDE = 12
"""Rows and columns of a thumbnail."""

MOST = 50_000
"""Photos of a category up to which near-duplicates are sought: the work grows with the square of their number."""

LOOKED_AT = 2000
"""Likely pairs of a category that are read again."""

_ALIKE = 0.95
_FLAT = 1e-3
_AGREE = 3.0 / 255.0
_BLOCK = 512
_FEW = 8


def fingerprint(pixels: Array) -> bytes:
    """Return 16 bytes that only pictures of the same shape, dtype and pixels share."""
    plain = np.ascontiguousarray(pixels)
    total = hashlib.blake2b(f"{plain.dtype.str}{plain.shape}".encode(), digest_size=16)
    total.update(plain.data)
    return total.digest()


def thumbnail(pixels: Array) -> NDArray[np.uint16]:
    """Return (SIDE, SIDE): the picture's mean grey, 65535 for white."""
    height, width = pixels.shape[:2]
    if min(height, width) < SIDE:
        rows, columns = (np.arange(SIDE) * length // SIDE for length in (height, width))
        small = pixels[np.ix_(rows, columns)].astype(np.float64)
    else:
        small = shrunk(pixels, (SIDE, SIDE))
    grey = small if small.ndim == 2 else small.mean(axis=2)
    share = np.clip(np.nan_to_num(grey / FULL_SCALE[pixels.dtype]), 0, 1)
    return np.rint(share * 65535).astype(np.uint16)


def candidates(
    thumbnails: NDArray[np.uint16], splits: NDArray[np.integer[Any]], origins: NDArray[np.integer[Any]]
) -> Iterator[tuple[int, int, bool]]:
    """Yield (row, row, between splits) of photos that may be near-duplicates: the nearest in the split and out of it.

    Fixtures and lighting are common to all photos of a category, so what counts is what a photo has beside their mean:
    the correlation of that.

    Args:
        thumbnails: (N, SIDE, SIDE) of one category.
        splits: (N,) number of each one's split.
        origins: (N,) number of what each was made of; photos of one origin are alike by intent.
    """
    rest, plain = _figures(thumbnails)
    seen: set[tuple[int, int]] = set()
    for start in range(0, len(rest), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(rest)))
        best = np.full((2, len(rows)), -1.0, dtype=np.float32)
        nearest = np.zeros((2, len(rows)), dtype=np.int64)
        for first in range(0, len(rest), _BLOCK):
            columns = np.arange(first, min(first + _BLOCK, len(rest)))
            alike = _unit(rest[rows]) @ _unit(rest[columns]).T
            # Photos without any figure are alike by that.
            alike[np.ix_(plain[rows], plain[columns])] = 1.0
            alike[origins[rows][:, None] == origins[columns][None, :]] = -1.0
            same = splits[rows][:, None] == splits[columns][None, :]
            for between in (0, 1):
                kept = np.where(same ^ bool(between), alike, -1.0)
                place = kept.argmax(axis=1)
                most = kept[np.arange(len(rows)), place]
                better = most > best[between]
                best[between][better], nearest[between][better] = most[better], columns[place[better]]
        for between in (0, 1):
            for row, other, value in zip(rows.tolist(), nearest[between].tolist(), best[between].tolist(), strict=True):
                pair = (min(row, other), max(row, other))
                if value >= _ALIKE and pair not in seen:
                    seen.add(pair)
                    yield (*pair, bool(between))


def _figures(thumbnails: NDArray[np.uint16]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return (N, SIDE * SIDE): what each thumbnail has beside the mean of all; and which have next to nothing."""
    count = len(thumbnails)
    flat = thumbnails.reshape(count, -1)
    common = flat.mean(axis=0, dtype=np.float64) if count >= _FEW else np.zeros(flat.shape[1])
    figures = np.zeros(flat.shape, dtype=np.int8)
    plain = np.zeros(count, dtype=np.bool_)
    for start in range(0, count, _BLOCK):
        rest = flat[start : start + _BLOCK] - common
        rest -= np.median(rest, axis=1, keepdims=True)
        # A defect changes a few cells by much; the others tell whether the photo is the same.
        most = 2.5 * np.median(np.abs(rest), axis=1, keepdims=True)
        rest = np.clip(rest, -most, most)
        plain[start : start + _BLOCK] = np.sqrt((rest * rest).mean(axis=1)) < _FLAT * 65535
        figures[start : start + _BLOCK] = np.rint(rest / np.maximum(most, 1e-9) * 127)
    return figures, plain


def _unit(figures: NDArray[np.int8]) -> Floats:
    rows = figures.astype(np.float32)
    return np.asarray(rows / np.maximum(np.sqrt((rows * rows).sum(axis=1, keepdims=True)), np.float32(1e-9)))


def near_duplicates(
    read: Callable[[int], Array], pairs: Iterable[tuple[int, int, bool]]
) -> tuple[list[tuple[int, int]], int]:
    """Return those pairs of rows whose photos agree, by reading them again, and the number of pairs left unread.

    Those between splits are read first.

    Args:
        read: gives the pixels of a row; may raise DataError.
    """
    found = []
    ordered = sorted(pairs, key=lambda pair: (not pair[2], *pair[:2]))
    for one, other, _ in ordered[:LOOKED_AT]:
        try:
            pair = read(one), read(other)
        except DataError:
            continue
        if agree(*pair):
            found.append((one, other))
    return found, max(0, len(ordered) - LOOKED_AT)


def agree(one: Array, other: Array) -> bool:
    """Tell whether two pictures differ by no more than saving one anew and a local change do.

    Their median difference counts, over the quarter of the pixels with most detail: plain backgrounds are alike in all
    photos, and a defect is small.
    """
    if one.shape[:2] == other.shape[:2]:
        step = max(1, max(one.shape) // 512)
        first, second = _grey(one[::step, ::step]), _grey(other[::step, ::step])
    else:
        first, second = _grey(one), _grey(other)
        size = min(64, *first.shape, *second.shape)
        first, second = shrunk(first, (size, size)), shrunk(second, (size, size))
    slopes = [
        np.abs(np.diff(pixels, axis=axis, append=pixels.take([-1], axis)))
        for pixels in (first, second)
        for axis in (0, 1)
    ]
    detail = np.max(slopes, axis=0).reshape(-1)
    most = np.argsort(-detail, kind="stable")[: max(1, detail.size // 4)]
    most = most[detail[most] > _AGREE / 3] if detail.max() > _AGREE / 3 else most
    return bool(np.median(np.abs(first - second).reshape(-1)[most]) <= _AGREE)


def _grey(pixels: Array) -> NDArray[np.float64]:
    grey = pixels.astype(np.float64) if pixels.ndim == 2 else pixels.mean(axis=2, dtype=np.float64)
    return np.asarray(grey / FULL_SCALE[pixels.dtype])
