"""Where the samples, the channels and the axes of space are in an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import whole

from ._arrays import Kind, as_bool, kind_of, torch_of

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Layout:
    """The axes of an array; those of batch and channel may be missing.

    Attributes:
        full: shape of the array.
        batch_dim, channel_dim: their axes, None if there are none.
        kind: what to give back.
    """

    full: tuple[int, ...]
    batch_dim: int | None
    channel_dim: int | None
    kind: Kind

    @property
    def batch(self) -> int | None:
        return None if self.batch_dim is None else self.full[self.batch_dim]

    @property
    def channels(self) -> int | None:
        return None if self.channel_dim is None else self.full[self.channel_dim]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of space."""
        return tuple(d for d in range(len(self.full)) if d not in (self.batch_dim, self.channel_dim))

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of one sample in space."""
        return tuple(self.full[d] for d in self.axes)

    @property
    def canonical(self) -> tuple[int, ...]:
        """(B, C, *shape), with 1 for what is missing."""
        return (self.batch or 1, self.channels or 1, *self.shape)

    def _order(self) -> list[int]:
        return [d for d in (self.batch_dim, self.channel_dim) if d is not None] + list(self.axes)

    def forth(self, array: NDArray[T]) -> NDArray[T]:
        """Return an array of this layout as (B, C, *shape)."""
        return array.transpose(self._order()).reshape(self.canonical)

    def back(self, array: NDArray[T]) -> NDArray[T]:
        """Return a copy of (B, C, *shape) in this layout."""
        order = self._order()
        inverse = sorted(range(len(order)), key=order.__getitem__)
        return np.array(array.reshape([self.full[d] for d in order]).transpose(inverse), order="C")

    def mask(self, what: str, mask: Any) -> NDArray[np.bool_]:
        """Return a bool mask in one of the forms of `fitted` as (B, C, *shape).

        Raises:
            DataError: it is not bool, or has another shape.
        """
        return self.forth(np.broadcast_to(self.fitted(what, as_bool(what, mask)), self.full))

    def fitted(self, what: str, values: Any) -> Any:
        """Return an array or a tensor so that it broadcasts to this layout.

        It has a value for each element, for each place of a sample, (B, *shape), or for each place, (*shape).

        Raises:
            DataError: it has another shape.
        """
        found, single, many = tuple(values.shape), list(self.full), self.shape
        if self.channel_dim is not None:
            single[self.channel_dim] = 1
        if found in (self.full, tuple(single)):
            return values
        common = list(single)
        if self.batch_dim is not None:
            many, common[self.batch_dim] = (self.full[self.batch_dim], *self.shape), 1
            if found == many:
                dims = (self.batch_dim, *self.axes)
                order = sorted(range(len(dims)), key=dims.__getitem__)
                turned = values.permute(order) if torch_of(values) else values.transpose(order)
                return turned.reshape(single)
        if found == self.shape:
            return values.reshape(common)
        raise DataError(f"{what}: {found}: expected one of {_listed(self.full, single, many, self.shape)}")


def layout_of(x: Any, batch_dim: int | None = 0, channel_dim: int | None = 1) -> Layout:
    """Return the layout of an array or tensor.

    Raises:
        DataError: it has no elements, or no axis of space.
        ParameterError: it has no such dimensions.
    """
    full = tuple(int(size) for size in np.shape(x))
    for name, dim in (("batch_dim", batch_dim), ("channel_dim", channel_dim)):
        if dim is not None and not -len(full) <= whole(name, dim) < len(full):
            raise ParameterError(f"{name}: {dim}: an array of {full} has no such dimension")
    batch, channel = (None if dim is None else dim % len(full) for dim in (batch_dim, channel_dim))
    if batch is not None and batch == channel:
        raise ParameterError(f"channel_dim: {channel_dim}: expected another dimension than batch_dim")
    layout = Layout(full, batch, channel, kind_of(x))
    if not layout.axes or not all(full):
        hint = "" if all(full) else ", none of them 0"
        raise DataError(f"array: {full}: expected at least one dimension beside batch and channels{hint}")
    return layout


def layout_for(
    x: Any, batch: int | None, channels: int | None, batch_dim: int | None, channel_dim: int | None
) -> Layout:
    """Return the layout of an array, or of ([batch], [channels], *x) if `x` is a shape: a tuple of whole numbers."""
    if not isinstance(x, (tuple, int, np.integer)):
        if batch is not None or channels is not None:
            raise ParameterError("batch, channels: the array tells: expected them only with a shape")
        return layout_of(x, batch_dim, channel_dim)
    given = {"batch": batch, "channels": channels}
    sizes = [whole(name, size) for name, size in given.items() if size is not None]
    shape = [whole("shape", size) for size in (x if isinstance(x, tuple) else (x,))]
    if not shape or min(sizes + shape) < 1:
        raise ParameterError(f"shape: {(*sizes, *shape)}: expected sizes of at least 1")
    channel = None if channels is None else int(batch is not None)
    return Layout((*sizes, *shape), None if batch is None else 0, channel, Kind())


def _listed(*shapes: Sequence[int]) -> str:
    return ", ".join(dict.fromkeys(str(tuple(shape)) for shape in shapes))
