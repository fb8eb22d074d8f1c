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
from anosynth.labels import faith
from anosynth.params import param
from anosynth.seeding import Rng

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, the last two beyond the last row and column."""

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
    """

    box: Box
    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32]
    stats: dict[str, Any] = field(default_factory=dict)


class ImageGenerator(Generator):
    """Base of the family: subclasses write `edit`; blending, rounding, floor, foreground and mask are settled here."""

    family: ClassVar[str] = "images"

    instances: int = param(1, ge=1, le=50, help="number of separate defects in a sample")
    mask: Literal["changed", "region"] = param(
        "changed", help="label the pixels that visibly changed, or the whole intended region"
    )

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        """Return one defect on the pixels `free` (H, W) bool; raise DataError to have it drawn again."""
        raise NotImplementedError

    def make(self, sample: Image | Array, rng: Rng) -> Anomaly:
        image = sample if isinstance(sample, Image) else Image(np.asarray(sample))
        free = np.ones(image.shape, dtype=np.bool_) if image.foreground is None else image.foreground.copy()
        if not free.any():
            raise Impossible("the foreground is empty: there is nowhere to put a defect")
        edits = []
        for number in range(self.instances):
            edit = self.edit(image, rng.child("defect", number), free)
            edits.append(edit)
            top, left, bottom, right = edit.box
            free[top:bottom, left:right] &= edit.alpha <= 0
        anomaly = labelled(self, image, edits)
        return anomaly if isinstance(sample, Image) else replace(anomaly, sample=anomaly.sample.pixels, before=sample)


def labelled(generator: ImageGenerator, image: Image, edits: Sequence[Edit]) -> Anomaly:
    """Apply edits and read the mask off the difference; what nobody could see keeps its old bits.

    Only the pixels that an edit means to change are looked at.

    Raises:
        DataError: nothing visible is left.
    """
    pixels, size = image.pixels.reshape(-1, image.channels), image.shape[0] * image.shape[1]
    after = pixels.copy()
    mask, changed = np.zeros(size, dtype=np.bool_), np.zeros(size, dtype=np.bool_)
    effect, instances = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.uint16)
    touched = []
    for number, edit in enumerate(edits, 1):
        place, rows, columns = _meant(image, edit)
        touched.append(place)
        before = after[place]
        new = _blended(before, edit.pixels[rows, columns], edit.alpha[rows, columns], image.white)
        change = (new.astype(np.float32) - before.astype(np.float32)) / np.float32(image.white)
        largest = change[np.arange(len(place)), np.abs(change).argmax(axis=1)]
        if generator.mask == "changed":
            seen = np.abs(largest) >= np.float32(FLOOR)
            place, new, largest = place[seen], new[seen], largest[seen]
        after[place], mask[place], effect[place], instances[place] = new, True, largest, number
    for place in touched:
        changed[place] = (after[place] != pixels[place]).any(axis=1)
        if generator.mask == "changed":
            # A later defect may have put back what an earlier one changed.
            back = place[~changed[place]]
            mask[back], effect[back], instances[back] = False, 0, 0
    if int(mask.sum()) < LEAST_PIXELS or not changed.any():
        raise DataError(f"{int(mask.sum())} visibly changed pixels: expected at least {LEAST_PIXELS}")
    truth = faith(changed, mask)
    stats: dict[str, Any] = {"area": truth.area, "leak": truth.leak, "dead": truth.dead}
    stats["contrast"] = float(np.abs(effect[mask]).astype(np.float64).mean())
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
    )


def _meant(image: Image, edit: Edit) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the pixels that an edit means to change: their places in the image, and rows and columns in the box."""
    top, left, bottom, right = edit.box
    meant = edit.alpha > 0
    if image.foreground is not None:
        meant &= image.foreground[top:bottom, left:right]
    rows, columns = np.nonzero(meant)
    return (rows + top) * image.shape[1] + (columns + left), rows, columns


def _blended(before: Array, pixels: NDArray[np.float32], alpha: NDArray[np.float32], white: float) -> Array:
    """Return before + alpha * (pixels - before), (K, C), rounded to the dtype of `before`."""
    old = before.astype(np.float32)
    new = old + alpha[:, None] * (pixels * np.float32(white) - old)
    if before.dtype != np.float32:
        new = np.rint(np.clip(new, 0, np.float32(white)))
    return new.astype(before.dtype)
