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
from anosynth.seeding import Rng

_JUST_VISIBLE = 1.25
"""Contrast at severity 0, in floors."""

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
        grade: (h, w) float32 in [0, 1], how anomalous each pixel is, of generators that grade their labels.
    """

    box: Box
    pixels: NDArray[np.float32]
    alpha: NDArray[np.float32]
    stats: dict[str, Any] = field(default_factory=dict)
    grade: NDArray[np.float32] | None = None


class ImageGenerator(Generator):
    """Base of the family: subclasses write `edit`; blending, rounding, floor, foreground and mask are settled here."""

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

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        """Return one defect on the pixels `free` (H, W) bool; raise DataError to have it drawn again."""
        raise NotImplementedError

    def make(self, sample: Image | Array, rng: Rng) -> Anomaly:
        image = sample if isinstance(sample, Image) else Image(np.asarray(sample))
        free = np.ones(image.shape, dtype=np.bool_) if image.foreground is None else image.foreground.copy()
        if not free.any():
            raise Impossible("the foreground is empty: there is nowhere to put a defect")
        image = seated(image, self.place, self.centre)
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
    grade = np.zeros(size, dtype=np.float32) if any(edit.grade is not None for edit in edits) else None
    touched = []
    for number, edit in enumerate(edits, 1):
        place, rows, columns = _meant(image, edit)
        touched.append(place)
        before, alpha = after[place], edit.alpha[rows, columns]
        new = _blended(before, edit.pixels[rows, columns], alpha, image.white)
        if generator.fades and generator.severity < 1:
            alpha = alpha * _weight(generator.severity, before, new, image.white)
            new = _blended(before, edit.pixels[rows, columns], alpha, image.white)
        change = (new.astype(np.float32) - before.astype(np.float32)) / np.float32(image.white)
        largest = change[np.arange(len(place)), np.abs(change).argmax(axis=1)]
        if generator.mask == "changed":
            seen = np.abs(largest) >= np.float32(FLOOR)
            place, new, largest = place[seen], new[seen], largest[seen]
            rows, columns = rows[seen], columns[seen]
        if grade is not None:
            grade[place] = 1 if edit.grade is None else edit.grade[rows, columns]
        after[place], mask[place], effect[place], instances[place] = new, True, largest, number
    for place in touched:
        changed[place] = (after[place] != pixels[place]).any(axis=1)
        if generator.mask == "changed":
            # A later defect may have put back what an earlier one changed.
            back = place[~changed[place]]
            mask[back], effect[back], instances[back] = False, 0, 0
            if grade is not None:
                grade[back] = 0
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
        grade=None if grade is None else grade.reshape(image.shape),
    )


def _weight(severity: float, before: Array, new: Array, white: float) -> np.float32:
    """Return the weight of an edit of this severity: 0 lets its strongest quarter just be seen, 1 is the whole edit."""
    change = np.abs(new.astype(np.float32) - before.astype(np.float32)).max(axis=1)
    number = max(1, len(change) // 4, min(2 * LEAST_PIXELS, len(change)))
    strong = float(np.partition(change, len(change) - number)[len(change) - number]) / white if len(change) else 0.0
    least = min(1.0, _JUST_VISIBLE * FLOOR / strong) if strong > 0 else 1.0
    return np.float32(least + (1.0 - least) * severity)


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
