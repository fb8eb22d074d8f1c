"""What one defect means to do to an image, and the canvas on which it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from anosynth.labels import Faith, faith
from anosynth.noise import _fast

from ._sample import Array, Image, Mask

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, the last two beyond the last row and column."""

Floats = NDArray[np.float32]
Places = NDArray[np.intp]

FLOOR = 4.0 / 255.0
"""A pixel counts as changed from this share of full scale on, in the channel that changed most."""

LEAST_PIXELS = 8
"""An anomaly of fewer pixels is none."""

_STRIP = 16384
"""Pixels that are worked on at a time."""

JUST_VISIBLE = 1.25
"""Contrast at severity 0, in floors."""


@dataclass(frozen=True, eq=False)
class Edit:
    """What one defect means to do, inside a box, so that its cost follows the defect and not the image.

    Attributes:
        box: where; within the image.
        pixels: (h, w, C) float32 new values as fractions of full scale; clipped to [0, 1] for integer images.
        alpha: (h, w) float32 in [0, 1]: share of the new values; 0 keeps the old pixel's bits.
        stats: numbers and texts for the record.
        grade: (h, w) float32 in [0, 1], how anomalous each pixel is, of generators that grade their labels.
        places: (K,) rising positions in the flattened box, for defects of few pixels of a large box: `pixels` is then
            (C, K) and `alpha` (K,).
    """

    box: Box
    pixels: Floats
    alpha: Floats
    stats: dict[str, Any] = field(default_factory=dict)
    grade: Floats | None = None
    places: Places | None = None

    def cleared(self, free: Mask) -> Mask:
        """Return `free` (H, W) bool without what this changes."""
        still = free.copy()
        top, left, bottom, right = self.box
        if self.places is None:
            still[top:bottom, left:right] &= self.alpha <= 0
        else:
            still.reshape(-1)[in_image(self.places[self.alpha > 0], self.box, free.shape[1])] = False
        return still


class Canvas:
    """A copy of an image that edits are applied to, with its labels: (H, W) `mask`, `effect` and `instances`."""

    def __init__(self, image: Image) -> None:
        self.white = np.float32(image.white)
        self.pixels = np.array(image.pixels, order="C")
        self.planes = self.pixels.reshape(*image.shape, image.channels)
        self.mask = np.zeros(image.shape, dtype=np.bool_)
        self.effect = np.zeros(image.shape, dtype=np.float32)
        self.instances = np.zeros(image.shape, dtype=np.uint16)

    def apply(self, edit: Edit, number: int, foreground: Mask | None, severity: float, *, region: bool) -> Floats:
        """Blend one edit in, rounded to the image's dtype, and label what it visibly changes as defect `number`.

        Args:
            severity: below 1, the edit is faded.
            region: take and label everything that it means to change.

        Returns:
            (K,) the signed changes of the labelled pixels, each in the channel that changed most (the first of
            several), as fractions of full scale.
        """
        floor = np.float32(-1 if region else FLOOR)
        top, left, bottom, right = edit.box
        inside = None if foreground is None else foreground[top:bottom, left:right]
        if edit.places is not None:
            at, pixels, alpha = edit.places, edit.pixels, edit.alpha
            meant = alpha > 0 if inside is None else (alpha > 0) & inside.reshape(-1).take(at)
            if not meant.all():
                at, pixels, alpha = at[meant], pixels[:, meant], alpha[meant]
            return self._at_places(in_image(at, edit.box, self.mask.shape[1]), pixels, alpha, number, floor, severity)
        kernels = _fast.compiled("anosynth.images._compiled_edit")
        if kernels is not None and severity >= 1:
            return self._compiled_box(kernels, edit, inside, number, floor)
        some = edit.alpha > 0 if inside is None else (edit.alpha > 0) & inside
        if severity >= 1 and some.all():
            return self._in_box(edit, number, floor)
        at = np.flatnonzero(some)
        pixels, alpha = taken(edit.pixels, at), edit.alpha.reshape(-1).take(at)
        return self._at_places(in_image(at, edit.box, self.mask.shape[1]), pixels, alpha, number, floor, severity)

    def _compiled_box(self, kernels: Any, edit: Edit, inside: Mask | None, number: int, floor: np.float32) -> Floats:
        top, left, bottom, right = edit.box
        largest = np.zeros((bottom - top) * (right - left), np.float32)
        where = np.zeros((0, 0), np.bool_) if inside is None else inside.copy()
        blend = (np.ascontiguousarray(edit.pixels), np.ascontiguousarray(edit.alpha), where, top, left)
        labels = (self.mask, self.effect, self.instances, largest)
        count = kernels.blend_box(self.planes, *blend, self.white, floor, self._whole, number, *labels)
        return largest[:count]

    def _in_box(self, edit: Edit, number: int, floor: np.float32) -> Floats:
        """Apply an edit that means all pixels of its box."""
        top, left, bottom, right = edit.box
        seen_changes = []
        for rows in strips(bottom - top, right - left):
            own = (slice(top + rows.start, top + rows.stop), slice(left, right))
            planes, wanted = (np.moveaxis(pixels, 2, 0) for pixels in (self.planes[own], edit.pixels[rows]))
            new, largest = self._blended(planes, wanted, edit.alpha[rows])
            seen = np.abs(largest) >= floor
            for plane, values in zip(planes, new, strict=True):
                self._put(plane, values, seen)
            self.mask[own] |= seen
            self._put(self.effect[own], largest, seen)
            # Of all defects so far, this one has the highest number.
            np.maximum(self.instances[own], seen * np.uint16(number), out=self.instances[own])
            seen_changes.append(largest.reshape(-1).take(np.flatnonzero(seen)))
        return np.concatenate(seen_changes)

    def _at_places(
        self, place: Places, pixels: Floats, alpha: Floats, number: int, floor: np.float32, severity: float
    ) -> Floats:
        """Blend (C, K) `pixels` in at `place` (K,), rising positions in the flattened image."""
        flat, channels = self.pixels.reshape(-1), len(pixels)
        mask, effect, instances = (label.reshape(-1) for label in (self.mask, self.effect, self.instances))
        if severity < 1:
            alpha = alpha * self._weight(severity, taken(self.planes, place), pixels, alpha)
        kernels = _fast.compiled("anosynth.images._compiled_edit")
        if kernels is not None:
            after, largest = flat.reshape(-1, channels), np.zeros(len(place), np.float32)
            blend = (np.ascontiguousarray(pixels), alpha, self.white, floor, self._whole, number)
            return largest[: kernels.blend_places(after, place, *blend, mask, effect, instances, largest)]
        new, largest = self._blended(taken(self.planes, place), pixels, alpha)
        seen = np.flatnonzero(np.abs(largest) >= floor)
        if len(seen) < len(place):
            place, largest, new = place.take(seen), largest.take(seen), [values.take(seen) for values in new]
        for channel, values in enumerate(new):
            flat[place * channels + channel] = values
        mask[place], effect[place], instances[place] = True, largest, number
        return largest

    @property
    def _whole(self) -> bool:
        """Whether the image has whole numbers."""
        return self.pixels.dtype != np.float32

    def _blended(self, planes: Array, wanted: Array, alpha: Floats) -> tuple[list[Floats], Floats]:
        """Return old + alpha * (wanted - old) of each channel, rounded, and the change of the one that changed most."""
        made, largest = [], np.zeros_like(alpha)
        for channel, (plane, values) in enumerate(zip(planes, wanted, strict=True)):
            old = plane.astype(np.float32)
            new = values * self.white
            new -= old
            new *= alpha
            new += old
            if self._whole:
                np.minimum(np.maximum(new, np.float32(0), out=new), self.white, out=new)
                np.rint(new, out=new)
            made.append(new)
            change = np.subtract(new, old, out=old)
            change /= self.white
            if channel == 0:
                largest = change
            else:
                self._put(largest, change, np.abs(change) > np.abs(largest))
        return made, largest

    def _put(self, target: Array, values: Floats, where: Mask) -> None:
        """Enter `values` in `target` where told, exactly."""
        if not self._whole:
            np.copyto(target, values, where=where)
            return
        # Masked copies guess at every pixel whether it is meant: sums with a zero cost a fifth where masks are mixed.
        weight = where.astype(np.float32)
        chosen = values * weight
        np.subtract(np.float32(1), weight, out=weight)
        weight *= target
        chosen += weight
        np.copyto(target, chosen, casting="unsafe")

    def _weight(self, severity: float, before: Array, wanted: Floats, alpha: Floats) -> np.float32:
        """Return the weight of an edit of this severity: 1 is all, 0 lets a quarter of what is seen just be seen."""
        change = np.abs(self._blended(before, wanted, alpha)[1])
        seen = change[change >= np.float32(FLOOR)]
        number = min(max(2 * LEAST_PIXELS, len(seen) // 4), len(seen))
        strong = float(np.partition(seen, len(seen) - number)[len(seen) - number]) if number else 0.0
        least = min(1.0, JUST_VISIBLE * FLOOR / strong) if strong > 0 else 1.0
        return np.float32(least + (1.0 - least) * severity)

    def judged(
        self, image: Image, touched: Sequence[Places], grade: Floats | None, *, region: bool
    ) -> tuple[Floats, Faith]:
        """Return the effect of what is labelled and how far it is what changed, after several edits or whole regions.

        A later defect may have put back what an earlier one changed: unless `region`, it is labelled no more.
        """
        place = np.unique(np.concatenate(touched)) if len(touched) > 1 else touched[0]
        changed = np.zeros(len(place), dtype=np.bool_)
        for now, then in zip(
            taken(self.planes, place), taken(image.pixels.reshape(self.planes.shape), place), strict=True
        ):
            changed |= now != then
        labels = [self.mask, self.effect, self.instances, *([] if grade is None else [grade])]
        if not region:
            back = place[~changed]
            for label in labels:
                label.reshape(-1)[back] = 0
        kept = self.mask.reshape(-1).take(place)
        truth = faith(changed, kept)
        return self.effect.reshape(-1).take(place[kept]), truth


def strips(height: int, width: int) -> Iterator[slice]:
    """Yield rows of a box in turn, as many as stay in the processor's nearer memory with what is made of them."""
    step = max(1, _STRIP // max(1, width))
    for first in range(0, height, step):
        yield slice(first, min(first + step, height))


def in_image(inside: Places, box: Box, width: int) -> Places:
    """Return positions in the flattened image of this width for those in a flattened box."""
    top, left, _, right = box
    place = inside + (top * width + left)
    if right - left < width:
        place += inside // (right - left) * (width - (right - left))
    return place


def taken(values: Array, places: Places) -> Array:
    """Return the pixels of `values` (h, w, C) at `places` (K,) of the flattened rows and columns, as (C, K).

    numpy runs a loop of its own for each pixel's few channels, so each channel is made an array of its own.
    """
    h, w, channels = values.shape
    out = np.zeros((channels, len(places)), dtype=values.dtype)
    if not values.size:
        return out
    if values.flags.c_contiguous:
        flat, at = values.reshape(-1), places * channels
        for channel in range(channels):
            out[channel] = flat[channel:].take(at)
        return out
    row, rest = divmod(values.strides[0], values.itemsize)
    if values.strides[1:] == (channels * values.itemsize, values.itemsize) and row >= w * channels and not rest:
        # Also a box of a larger array lies in one stretch of memory.
        flat = as_strided(values, (row * (h - 1) + w * channels,), values.strides[2:], writeable=False)
        at = places * channels + places // w * (row - w * channels)
        for channel in range(channels):
            out[channel] = flat[channel:].take(at)
    else:
        rows, columns = np.divmod(places, w)
        for channel in range(channels):
            out[channel] = values[rows, columns, channel]
    return out
