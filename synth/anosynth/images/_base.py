"""The base of image generators: from intended edits to an anomaly whose mask is what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, Impossible
from anosynth.generator import Anomaly, Generator
from anosynth.images._sample import Array, Image, Mask
from anosynth.images._seats import fractions, seated
from anosynth.labels import faith
from anosynth.params import param
from anosynth.seeding import Rng, RngLike

JUST_VISIBLE = 1.25
"""Contrast at severity 0, in floors."""

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, the last two beyond the last row and column."""

Places = NDArray[np.intp]

FLOOR = 4.0 / 255.0
"""A pixel counts as changed from this share of full scale on, in the channel that changed most."""

LEAST_PIXELS = 8
"""An anomaly of fewer pixels is none."""


@dataclass(frozen=True, eq=False)
class Edit:
    """What one defect means to do, inside a box, so that its cost follows the defect and not the image.

    Attributes:
        box: where; within the image.
        pixels: (h, w, C) float32 new values as fractions of full scale; clipped to [0, 1] for integer images.
        alpha: (h, w) float32 in [0, 1]: share of the new values; 0 keeps the old pixel's bits.
        stats: numbers and texts for the record.
        grade: (h, w) float32 in [0, 1], how anomalous each pixel is, of generators that grade their labels.
    """

    box: Box
    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32]
    stats: dict[str, Any] = field(default_factory=dict)
    grade: NDArray[np.float32] | None = None


class ImageGenerator(Generator):
    """Base of the family: subclasses write `edit`; blending, rounding, floor, foreground and mask are settled here.

    Of an image with opacity they see the colours alone, as if it had none: what is measured, mixed or moved is what is
    seen, and opacity stays as it was.
    """

    family: ClassVar[str] = "images"
    fades: ClassVar[bool] = True
    """Whether `severity` is the weight of the edit; generators that set it to False answer to it themselves."""

    severity: float = param(1.0, ge=0, le=1, help="from 0, just visible, to 1, all that the other parameters say")
    place: Literal["anywhere", "edge", "interior"] = param(
        "anywhere", help="where defects are centred: near the border of the foreground, away from it, or both"
    )
    centre: str = param("", help="`row,column` of the defect's centre as fractions of the photo; empty for any")
    instances: int = param(1, ge=1, le=50, help="number of separate defects in a sample")
    mask: Literal["changed", "region"] = param(
        "changed", help="label the pixels that visibly changed, or the whole intended region"
    )

    def check(self) -> None:
        if self.centre:
            fractions(self.centre)

    def __call__(self, sample: Any, rng: RngLike = None) -> Anomaly:
        if not (isinstance(sample, Image) and sample.opacity):
            return super().__call__(sample, rng)
        return _with_opacity(sample, super().__call__(_coloured(sample), rng))

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        """Return one defect on the pixels `free` (H, W) bool; raise DataError to have it drawn again."""
        raise NotImplementedError

    def make(self, sample: Image | Array, rng: Rng) -> Anomaly:
        image = sample if isinstance(sample, Image) else Image(np.asarray(sample))
        free = np.ones(image.shape, dtype=np.bool_) if image.foreground is None else image.foreground.copy()
        if not free.any():
            raise Impossible("the foreground is empty: there is nowhere to put a defect")
        image = seated(image, self.place, self.centre)
        edits: list[Edit] = []
        for number in range(self.instances):
            if edits:
                top, left, bottom, right = edits[-1].box
                free[top:bottom, left:right] &= edits[-1].alpha <= 0
            edits.append(self.edit(image, rng.child("defect", number), free))
        anomaly = labelled(self, image, edits)
        return anomaly if isinstance(sample, Image) else replace(anomaly, sample=anomaly.sample.pixels, before=sample)


def labelled(generator: ImageGenerator, image: Image, edits: Sequence[Edit]) -> Anomaly:
    """Apply edits and read the mask off the difference; what nobody could see keeps its old bits.

    Only the pixels that an edit means to change are looked at.

    Raises:
        DataError: nothing visible is left.
    """
    channels, size, white = image.channels, image.shape[0] * image.shape[1], image.white
    original = image.pixels.reshape(-1)
    after = original.copy()
    mask, effect = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.float32)
    instances = np.zeros(size, dtype=np.uint16)
    grade = np.zeros(size, dtype=np.float32) if any(edit.grade is not None for edit in edits) else None
    touched = []
    for number, edit in enumerate(edits, 1):
        place, inside = _meant(image, edit)
        touched.append(place)
        before = _taken(after.reshape(*image.shape, channels), place)
        wanted, alpha = _taken(edit.pixels, inside), edit.alpha.reshape(-1).take(inside)
        new = _blended(before, wanted, alpha, white)
        if generator.fades and generator.severity < 1:
            alpha = alpha * _weight(generator.severity, before, new, white)
            new = _blended(before, wanted, alpha, white)
        largest = _largest_change(before, new, white)
        if generator.mask == "changed":
            seen = np.flatnonzero(np.abs(largest) >= np.float32(FLOOR))
            place, inside, new, largest = place[seen], inside[seen], new.take(seen, axis=1), largest[seen]
        for channel in range(channels):
            after[place * channels + channel] = new[channel]
        if grade is not None:
            grade[place] = 1 if edit.grade is None else edit.grade.reshape(-1).take(inside)
        mask[place], effect[place], instances[place] = True, largest, number
    place = np.unique(np.concatenate(touched)) if len(touched) > 1 else place
    changed = np.zeros(len(place), dtype=np.bool_)
    for channel in range(channels):
        at = place * channels + channel
        changed |= after.take(at) != original.take(at)
    if generator.mask == "changed":
        # A later defect may have put back what an earlier one changed.
        back = place[~changed]
        mask[back], effect[back], instances[back] = False, 0, 0
        if grade is not None:
            grade[back] = 0
    kept = mask.take(place)
    truth = faith(changed, kept)
    count = np.count_nonzero(kept)
    if count < LEAST_PIXELS or not changed.any():
        raise DataError(f"{count} visibly changed pixels: expected at least {LEAST_PIXELS}")
    stats: dict[str, Any] = {"area": count / size, "leak": truth.leak, "dead": truth.dead}
    stats["contrast"] = float(np.abs(effect.take(place[kept])).astype(np.float64).mean())
    if image.foreground is not None:
        stats["foreground"] = np.count_nonzero(image.foreground) / size
    for number, edit in enumerate(edits, 1):
        stats.update(edit.stats if len(edits) == 1 else {f"{key}_{number}": value for key, value in edit.stats.items()})
    return Anomaly(
        replace(image, pixels=after.reshape(image.pixels.shape)),
        mask.reshape(image.shape),
        effect.reshape(image.shape),
        instances.reshape(image.shape),
        generator,
        stats,
        before=image,
        grade=None if grade is None else grade.reshape(image.shape),
    )


def _coloured(image: Image) -> Image:
    """Return an image's colours, with no place for defects where it is wholly transparent."""
    solid = image.solid
    assert solid is not None
    inside = None if solid.all() else solid
    if image.foreground is not None:
        inside = solid & image.foreground
    return replace(image, pixels=np.ascontiguousarray(image.colours), foreground=inside, opacity=False)


def _with_opacity(image: Image, anomaly: Anomaly) -> Anomaly:
    """Return what was made of an image's colours, with its opacity again."""
    pixels = image.pixels.copy()
    pixels[:, :, :-1] = anomaly.sample.pixels.reshape(*image.shape, -1)
    before = replace(anomaly.before, pixels=image.pixels, opacity=True)
    return replace(anomaly, sample=replace(before, pixels=pixels), before=before)


def _weight(severity: float, before: Array, new: Array, white: float) -> np.float32:
    """Return the weight of an edit of this severity: 1 is all of it, 0 lets a quarter of what is seen just be seen."""
    change = np.abs(new.astype(np.float32) - before.astype(np.float32)).max(axis=0) / np.float32(white)
    seen = change[change >= np.float32(FLOOR)]
    number = min(max(2 * LEAST_PIXELS, len(seen) // 4), len(seen))
    strong = float(np.partition(seen, len(seen) - number)[len(seen) - number]) if number else 0.0
    least = min(1.0, JUST_VISIBLE * FLOOR / strong) if strong > 0 else 1.0
    return np.float32(least + (1.0 - least) * severity)


def _meant(image: Image, edit: Edit) -> tuple[Places, Places]:
    """Return the pixels that an edit means to change: their places in the flattened image and in the flattened box."""
    top, left, bottom, right = edit.box
    meant = edit.alpha > 0
    if image.foreground is not None:
        meant &= image.foreground[top:bottom, left:right]
    inside = np.flatnonzero(meant)
    whole, width = image.shape[1], right - left
    place = inside + (top * whole + left)
    if width < whole:
        place += inside // width * (whole - width)
    return place, inside


# numpy runs a loop of its own for each pixel's few channels, so from here on each channel is an array of its own.


def _taken(values: Array, places: Places) -> Array:
    """Return the pixels of `values` (h, w, C) at `places` (K,) of the flattened rows and columns, as (C, K)."""
    channels = values.shape[2]
    out = np.zeros((channels, len(places)), dtype=values.dtype)
    if values.flags.c_contiguous:
        flat, at = values.reshape(-1), places * channels
        for channel in range(channels):
            out[channel] = flat[channel:].take(at)
    else:
        rows, columns = np.divmod(places, values.shape[1])
        for channel in range(channels):
            out[channel] = values[rows, columns, channel]
    return out


def _blended(before: Array, pixels: NDArray[np.float32], alpha: NDArray[np.float32], white: float) -> Array:
    """Return before + alpha * (pixels - before), (C, K), rounded to the dtype of `before`."""
    old = before.astype(np.float32)
    new = pixels * np.float32(white)
    new -= old
    new *= alpha
    new += old
    if before.dtype != np.float32:
        np.minimum(np.maximum(new, 0, out=new), np.float32(white), out=new)
        np.rint(new, out=new)
    return new.astype(before.dtype, copy=False)


def _largest_change(before: Array, new: Array, white: float) -> NDArray[np.float32]:
    """Return (K,): the change of the channel that changed most, the first of several, as a fraction of full scale."""
    changes = new.astype(np.float32)
    changes -= before
    changes /= np.float32(white)
    largest: NDArray[np.float32] = changes[0]
    for change in changes[1:]:
        largest = np.where(np.abs(change) > np.abs(largest), change, largest)
    return largest
