"""Masks at several scales, for reconstruction from what is left, after MMAE-ECG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, Union, get_args

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import ParameterError, did_you_mean
from anosynth.noise._check import whole
from anosynth.seeding import Rng, RngLike

from ._arrays import streams
from ._grid import Shape, Sizes, check_ratio, count_of, frozen, grid_of, spread, steps_of
from ._layout import Layout, layout_for
from ._plan import contiguous_passes, random_passes, strided_passes

Placing = Literal["random", "contiguous", "strided"]


@dataclass(frozen=True)
class Scale:
    """One way of masking segments.

    Attributes:
        name: what its masks are called; it also names its random stream.
        ratio: share of the segments that a pass masks, above 0 and up to 1; at least one segment is.
        layout: "random", "contiguous": one connected run in each window, or "strided": evenly spaced in row-major
            order.
        window: of "contiguous", in segments along each axis; those at the end of an axis may be smaller.
        block: of "random", in segments along each axis: what is drawn together.
        share_channels: mask the same segments in all channels.
    """

    name: str
    ratio: float
    layout: Placing = "random"
    window: Sizes = 10
    block: Sizes = 1
    share_channels: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ParameterError(f"name: {self.name!r}: expected a text")
        object.__setattr__(self, "ratio", check_ratio("ratio", self.ratio))
        if self.layout not in get_args(Placing):
            raise ParameterError(f"layout: {self.layout!r}: expected random, contiguous or strided")
        for name in ("window", "block"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    def plan(self, grid: Shape, passes: int | None, rng: Rng) -> NDArray[np.bool_]:
        """Return (P, *grid) bool; with `passes` None as many passes as cover the grid."""
        count = count_of(self.ratio, int(np.prod(grid)))
        if self.layout == "random":
            block = steps_of("block", self.block, grid, cut=True)
            found = random_passes(grid, block, count, passes, rng)
        elif self.layout == "strided":
            found = strided_passes(grid, count, passes, rng)
        else:
            window = steps_of("window", self.window, grid, cut=True)
            found = contiguous_passes(grid, window, count, passes, rng)
        return found.reshape(-1, *grid)


GLOBAL = Scale("global", 0.30, "random")
LOCAL = Scale("local", 0.30, "contiguous", window=10)


class Ids(NamedTuple):
    """Segments by their row-major number, for those who work on tokens.

    Attributes:
        kept: (..., K) int64, ascending: what is not masked.
        masked: (..., M) int64, ascending.
        restore: (..., K + M) int64: `concatenate([kept, masked])[restore]` is in order again.
    """

    kept: Any
    masked: Any
    restore: Any


@dataclass(frozen=True, eq=False)
class ScaleMasks:
    """The masks of one scale; axes that the input does not have are not there.

    Attributes:
        scale: what they were drawn by.
        segments: ([B], P, [C], *grid) bool, P passes; C only if channels do not share their masks.
        grid: number of segments along each axis.
        segment: their size.
        padding: by how many samples the last segment along each axis sticks out of the sample.
    """

    scale: Scale
    segments: Any
    grid: Shape
    segment: Shape
    padding: Shape
    _bits: NDArray[np.bool_]
    _layout: Layout

    @property
    def passes(self) -> int:
        return int(self._bits.shape[1])

    @property
    def count(self) -> int:
        """Number of segments that every pass masks."""
        return count_of(self.scale.ratio, int(np.prod(self.grid)))

    @property
    def counts(self) -> Any:
        """([B], [C], *grid) int64: how many passes mask each segment."""
        return self._give(self._bits.sum(axis=1, dtype=np.int64), 1)

    def samples(self, number: int) -> Any:
        """Return the mask of pass `number`, counted from 0, for every element of the input: its shape, bool."""
        wide = spread(self._pass(number), self._layout.shape, self.segment)
        return self._layout.kind.give(self._layout.back(np.broadcast_to(wide, self._layout.canonical)))

    def ids(self, number: int) -> Ids:
        """Return what pass `number` keeps and masks, ([B], [C], ...) numbers of segments."""
        bits = self._pass(number)
        flat = bits.reshape(*bits.shape[:2], -1)
        order = np.argsort(flat, axis=-1, kind="stable")
        back = np.argsort(order, axis=-1, kind="stable")
        kept = flat.shape[-1] - self.count
        return Ids(*(self._give(part, 1) for part in (order[..., :kept], order[..., kept:], back)))

    def _pass(self, number: int) -> NDArray[np.bool_]:
        if not 0 <= whole("number", number) < self.passes:
            raise ParameterError(f"number: {number}: expected a pass from 0 to {self.passes - 1}")
        return self._bits[:, number]

    def _give(self, array: NDArray[Any], channel: int) -> Any:
        return self._layout.kind.give(_dropped(array, channel, self._layout, self.scale))


@dataclass(frozen=True)
class MultiScale:
    """Masks of segments at several scales, in passes that together mask everything.

    A sample of any number of axes is cut into equal segments; every scale masks round(ratio n) of its n segments in
    each pass, no more and no less. With `passes="cover"` there are the fewest passes that mask every segment, and each
    is masked once or twice; a number of passes gives that many independent ones.

    After MMAE-ECG (Zhou et al., 2025), whose code is not public: that masks are of several scales and segments do not
    overlap is the paper's. All figures and rules are ours: segments of 48, 30 % at random over the whole, and 30 % as
    one run in every window of ten segments. They lean on MCF (Jiang et al., 2023), its benchmark's first method, which
    masks 30 of 100 segments of 48 samples, and one run of 30 % in a window of 480.

    Args:
        segment: size of a segment in samples, one number or one for each axis of space.
        scales: `Scale`s, or mappings of their values, each of another name.
        passes: "cover", or how many.
    """

    segment: Sizes = 48
    scales: Sequence[Union[Scale, Mapping[str, Any]]] = (GLOBAL, LOCAL)
    passes: Union[int, Literal["cover"]] = "cover"

    def __post_init__(self) -> None:
        object.__setattr__(self, "segment", frozen(self.segment))
        object.__setattr__(self, "scales", tuple(_scale(one) for one in self.scales))
        names = [scale.name for scale in self._scales()]
        if not names or len(set(names)) < len(names):
            raise ParameterError(f"scales: {', '.join(names) or 'none'}: expected at least one, each of another name")
        if self.passes != "cover" and whole("passes", self.passes) < 1:
            raise ParameterError(f'passes: {self.passes}: expected "cover" or at least 1')

    def __call__(
        self,
        x: Any,
        rng: Union[RngLike, Sequence[RngLike]] = None,
        *,
        batch: int | None = None,
        channels: int | None = None,
        batch_dim: int | None = 0,
        channel_dim: int | None = 1,
    ) -> dict[str, ScaleMasks]:
        """Return the masks of every scale by name.

        Args:
            x: an array or a tensor, of which only the shape matters, and the kind and device for what is returned;
                or the shape of a sample: a tuple such as (4800,) or (224, 224).
            rng: of the whole, whose child ("sample", i) is the stream of sample i; or one for each sample.
            batch, channels: of a shape, how many there are, if there are such axes.
            batch_dim, channel_dim: their axes in `x`, None if there is none: 1 for (B, C, H, W), -1 for (B, L, leads).

        Raises:
            ParameterError: a segment is larger than the sample, or does not have its number of axes.
            DataError: `x` has no elements.
        """
        layout = layout_for(x, batch, channels, batch_dim, channel_dim)
        steps = steps_of("segment", self.segment, layout.shape)
        grid = grid_of(layout.shape, steps)
        padding = tuple(n * step - size for n, step, size in zip(grid, steps, layout.shape, strict=True))
        passes = None if self.passes == "cover" else self.passes
        roots, found = streams(rng, layout.batch), {}
        for scale in self._scales():
            bits = np.stack([_of_sample(scale, grid, passes, root, layout) for root in roots])
            segments = layout.kind.give(_dropped(bits, 2, layout, scale))
            found[scale.name] = ScaleMasks(scale, segments, grid, steps, padding, bits, layout)
        return found

    def _scales(self) -> Sequence[Scale]:
        return [scale for scale in self.scales if isinstance(scale, Scale)]


def _of_sample(scale: Scale, grid: Shape, passes: int | None, root: Rng, layout: Layout) -> NDArray[np.bool_]:
    """Return (P, C, *grid), of one channel if it goes for all."""
    own = root.child("multi-scale", scale.name)
    if scale.share_channels:
        return scale.plan(grid, passes, own)[:, None]
    parts = [scale.plan(grid, passes, own.child("channel", c)) for c in range(layout.channels or 1)]
    return np.stack(parts, axis=1)


def _dropped(array: NDArray[Any], channel: int, layout: Layout, scale: Scale) -> NDArray[Any]:
    """Return an array without the axes of batch and channel that the input does not have."""
    if scale.share_channels or layout.channels is None:
        array = array.squeeze(channel)
    return array if layout.batch is not None else array[0]


def _scale(value: Scale | Mapping[str, Any]) -> Scale:
    if isinstance(value, Scale):
        return value
    known = [field.name for field in fields(Scale)]
    for name in value:
        if name not in known:
            raise ParameterError(f"a scale has no parameter `{name}`{did_you_mean(str(name), known)}")
    for name in ("name", "ratio"):
        if name not in value:
            raise ParameterError(f"{name}: of a scale: expected a value")
    return Scale(**value)
