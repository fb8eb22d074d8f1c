"""Run-length codes of masks: those of COCO and of Label Studio.

Source: the C API of pycocotools (maskApi: `rleEncode`, `rleToString`) and the format of thi.ng's rle-pack, which Label
Studio's brush uses; both reimplemented from their formats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def runs(values: NDArray[np.bool_]) -> tuple[NDArray[np.int64], bool]:
    """Return the lengths of the runs of equal values in a flat array (n,), n >= 1, and the value of the first."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    ends = np.concatenate([[0], edges, [len(values)]])
    return np.diff(ends).astype(np.int64), bool(values[0])


def coco_counts(mask: Mask) -> list[int]:
    """Return the runs of a mask (H, W) column by column, the first of them of zeros (maybe none)."""
    lengths, first = runs(mask.ravel(order="F"))
    return [0, *lengths.tolist()] if first else lengths.tolist()


def coco_string(counts: list[int]) -> str:
    """Return the compressed form of runs: from the fourth on the difference to the one two before, 5 bits a letter."""
    letters = []
    for position, count in enumerate(counts):
        left = count - counts[position - 2] if position > 2 else count
        while True:
            piece, left = left & 0x1F, left >> 5
            # What is left must be the sign of the last piece, repeated.
            more = left != (-1 if piece & 0x10 else 0)
            letters.append(chr(48 + (piece | (0x20 if more else 0))))
            if not more:
                break
    return "".join(letters)


def coco_rle(mask: Mask) -> dict[str, object]:
    """Return a mask (H, W) as `segmentation` of COCO: `{"size": [h, w], "counts": ...}`, compressed."""
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": coco_string(coco_counts(mask))}


_SIZES = (3, 4, 8, 16)
_WORD = 8


def brush_rle(mask: Mask) -> list[int]:
    """Return a mask (H, W) as Label Studio's brush holds it: row by row, 0 or 255 four times for a pixel (RGBA).

    32 bits hold the number of values, 5 the size of a value less one, four times 4 the sizes of counts less one; then,
    for a run, a bit 1, 2 bits for the size of the count, the count less one, and the value.
    """
    lengths, value = runs(mask.ravel())
    bits = [f"{4 * mask.size:032b}", f"{_WORD - 1:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for length in (4 * lengths).tolist():
        left = length
        while left:
            now = min(left, 1 << _SIZES[-1])
            which = next(number for number, size in enumerate(_SIZES) if now <= 1 << size)
            bits.append(f"1{which:02b}{now - 1:0{_SIZES[which]}b}{255 if value else 0:08b}")
            left -= now
        value = not value
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
