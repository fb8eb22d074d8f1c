"""What a sample of any family is to the judge: features of its cells, and the truth at full resolution.

Cells are what one feature vector stands for: a patch of a photo, a point of a cloud. Nothing beyond this file and the
readers of a family knows which of them it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

GOOD = "good"
"""The kind of normal samples."""


@dataclass(frozen=True, eq=False)
class Judged:
    """One sample, real or made.

    Attributes:
        name: what it is called in messages and tables; for files the path relative to their root.
        kind: "good", or the name of its defect.
        cells: (..., C) float32, finite: (H, W, C) of photos, (n, C) of clouds. Samples that all have one shape (H, W)
            may be compared cell by cell, see `_space`.
        truth: bool at full resolution, (h, w) pixels or (N,) points; all False for normal samples, None if not known.
        expand: takes (...) float32 scores of the cells and returns float32 of the shape of `truth`, also without one.
        cover: (...) float32 from 0 to 1, the share of each cell that `truth` labels; None if not known.
        source: the normal training sample that it was made of, or is; "" of all others.
        key: digest of what the file holds; equal ones are one and the same sample.
        gist: a few numbers of the whole that need no features (of photos grey levels); empty for none.
    """

    name: str
    kind: str
    cells: Floats
    truth: Mask | None
    expand: Callable[[Floats], Floats]
    cover: Floats | None = None
    source: str = ""
    key: str = ""
    gist: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.cells.dtype != np.float32 or self.cells.ndim < 2 or 0 in self.cells.shape:
            raise DataError(f"{self.name}: cells {self.cells.dtype} {self.cells.shape}: expected float32 (..., C)")
        if self.cover is not None and self.cover.shape != self.cells.shape[:-1]:
            raise DataError(f"{self.name}: cover {self.cover.shape}: expected {self.cells.shape[:-1]}")

    @property
    def normal(self) -> bool:
        return self.kind == GOOD

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its cells without channels."""
        return tuple(self.cells.shape[:-1])

    @property
    def channels(self) -> int:
        return int(self.cells.shape[-1])

    @property
    def rows(self) -> Floats:
        """(K, C): the cells in a row; a view."""
        return self.cells.reshape(-1, self.channels)


def unchanged(scores: Floats) -> Floats:
    """Expand nothing: for clouds whose cells are all of their points."""
    return scores


def pooled(mask: Mask, height: int, width: int) -> Floats:
    """Return (height, width) float32: the share of each cell of a grid over `mask` (h, w) that is labelled.

    Cells are cut as adaptive pooling cuts them, so they overlap where the sizes do not divide.
    """
    share = _averages(mask.astype(np.float64), height, 0)
    return _averages(share, width, 1).astype(np.float32)


def _averages(values: NDArray[Any], count: int, axis: int) -> NDArray[np.float64]:
    size = values.shape[axis]
    starts = np.arange(count) * size // count
    ends = -(-(np.arange(count) + 1) * size // count)
    running = np.insert(np.cumsum(values, axis=axis), 0, 0.0, axis=axis)
    total = np.take(running, ends, axis=axis) - np.take(running, starts, axis=axis)
    spread = (ends - starts).reshape((-1, 1) if axis == 0 else (1, -1))
    return np.asarray(total / spread)
