"""The samples of one tensor of features, whatever its layout: each as (C, H, W) or (P, C)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.io.tensors import Stored

Array = NDArray[Any]
Grid = tuple[int, int]


class Maps:
    """Samples in the order of the file, read one by one.

    (N, C, H, W) are N samples, (C, H, W) is one; with another `channel_dim` three dimensions are N samples of P cells.
    (N, C) are N samples of one cell, or N / (H W) samples if `grid` is given.

    Args:
        name: of the file, for messages.
        read: gives the tensor; called when it is first needed.
        channel_dim: which dimension the channels are; None for the second of two or four, the first of three.
        grid: (H, W) of the cells, row by row, for layouts that do not tell.
    """

    def __init__(self, name: str, read: Callable[[], Stored], channel_dim: int | None, grid: Grid | None) -> None:
        self.name, self._read, self._given, self._grid = name, read, channel_dim, grid

    def instead(self, stored: Stored) -> Maps:
        """Return another tensor in the layout of this one."""
        return Maps(self.name, lambda: stored, self._given, self._grid)

    @cached_property
    def stored(self) -> Stored:
        stored = self._read()
        if len(stored.shape) not in (2, 3, 4) or 0 in stored.shape:
            forms = "(N, C, H, W), (C, H, W), (N, P, C) or (N, C)"
            raise DataError(f"{self.name}: {stored.shape}: expected {forms}, none of them 0")
        return stored

    @cached_property
    def channel(self) -> int:
        """The dimension of the channels."""
        shape = self.stored.shape
        if self._given is None:
            return {2: 1, 3: 0, 4: 1}[len(shape)]
        channel = self._given + len(shape) if self._given < 0 else self._given
        if not 0 <= channel < len(shape) or (channel == 0 and len(shape) != 3):
            first = 0 if len(shape) == 3 else 1
            raise DataError(
                f"{self.name}: {shape}: --channel-dim {self._given}: expected {first} to {len(shape) - 1}"
                + ("; dimension 0 is that of the samples" if first else "")
            )
        return channel

    @cached_property
    def single(self) -> bool:
        """Whether the whole tensor is one sample."""
        return len(self.stored.shape) == 3 and self.channel == 0

    @cached_property
    def grid(self) -> Grid | None:
        """(H, W) of the cells, if known."""
        given, found = self._grid, self.cells_shape
        if given and (found != given if len(found) == 2 else found[0] != given[0] * given[1]):
            raise DataError(f"{self.name}: {self.stored.shape}: does not fit --grid {given[0]}x{given[1]}")
        return (found[0], found[1]) if len(found) == 2 else given

    @property
    def cells_shape(self) -> tuple[int, ...]:
        """The shape of the mask of a sample: (H, W) or (P,)."""
        shape = self.stored.shape
        if len(shape) == 2:
            size = self._grid[0] * self._grid[1] if self._grid else 1
            if shape[0] % size:
                raise DataError(f"{self.name}: {shape}: expected a multiple of the {size} cells of --grid")
            return (size,)
        first = 0 if self.single else 1
        return tuple(size for place, size in enumerate(shape) if place not in range(first) and place != self.channel)

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """The shape of the masks of all samples: that of the features without the channels."""
        return tuple(size for place, size in enumerate(self.stored.shape) if place != self.channel)

    @property
    def channels(self) -> int:
        return self.stored.shape[self.channel]

    @property
    def cells(self) -> int:
        return int(np.prod(self.cells_shape))

    def __len__(self) -> int:
        if self.single:
            return 1
        shape = self.stored.shape
        return shape[0] // self.cells if len(shape) == 2 else shape[0]

    def raw(self, i: int) -> Array:
        """Return the values of sample i as the file has them; of bfloat16 the words."""
        values = self.stored.values
        if len(values.shape) == 2:
            part = values[i * self.cells : (i + 1) * self.cells]
        else:
            part = values if self.single else values[i]
        return np.array(part, dtype=part.dtype.newbyteorder("="), order="C")

    def sample(self, i: int) -> Any:
        """Return sample i, (C, H, W) or (P, C): an array, of bfloat16 a tensor.

        Raises:
            DataError: a value is not finite; the message names the file, the sample and the place.
        """
        moved = np.moveaxis(self.raw(i), self._inner, self._wanted)
        half = self.stored.dtype == "bfloat16"
        finite = (moved & 0x7F80) != 0x7F80 if half else np.isfinite(moved)
        if not finite.all():
            place = tuple(int(index) for index in np.argwhere(~finite)[0])
            value = "not finite" if half else str(moved[place])
            raise DataError(f"{self.name}: sample {i}, at {place} of {moved.shape}: {value}: expected finite values")
        if not half:
            return moved
        from anosynth.features._torch import torch

        return torch.from_numpy(np.ascontiguousarray(moved).view(np.int16)).view(torch.bfloat16)

    def rows(self, i: int) -> NDArray[np.float64]:
        """Return sample i as (P, C) float64, as far as finite."""
        values = self.sample(i)
        plain = values if isinstance(values, np.ndarray) else values.float().numpy()
        rows: NDArray[np.float64] = np.moveaxis(plain, self._wanted, -1).reshape(self.cells, -1).astype(np.float64)
        return rows

    def back(self, values: Any) -> Array:
        """Return what `raw` would give of a sample that `sample` gave."""
        if self.stored.dtype == "bfloat16":
            from anosynth.features._torch import torch

            values = values.contiguous().view(torch.int16).numpy().view(np.uint16)
        return np.moveaxis(values, self._wanted, self._inner)

    def changed(self, before: Array, after: Array) -> NDArray[np.bool_]:
        """Return which cells of two samples, as `raw` gives them, differ in any value, in the shape of a mask."""
        differ: NDArray[np.bool_] = (before != after).any(axis=self._inner)
        return differ.reshape(self.cells_shape)

    def __str__(self) -> str:
        cells = " x ".join(map(str, self.grid or self.cells_shape))
        many = "1 sample" if len(self) == 1 else f"{len(self)} samples"
        return f"{many} of {self.channels} channels on {cells} cells, {self.stored.dtype}"

    @property
    def _inner(self) -> int:
        """The dimension of the channels within a sample."""
        return self.channel if self.single or len(self.stored.shape) == 2 else self.channel - 1

    @property
    def _wanted(self) -> int:
        """The one that generators want it to be."""
        return 0 if len(self.cells_shape) == 2 else 1
