"""The base of image generators: from intended edits to an anomaly whose mask is what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np

from anosynth.errors import DataError, Impossible
from anosynth.generator import Anomaly, Generator
from anosynth.labels import Faith
from anosynth.noise import _fast
from anosynth.params import param
from anosynth.seeding import Rng, RngLike

from ._edit import FLOOR as FLOOR
from ._edit import JUST_VISIBLE as JUST_VISIBLE
from ._edit import LEAST_PIXELS as LEAST_PIXELS
from ._edit import Box as Box
from ._edit import Canvas, in_image
from ._edit import Edit as Edit
from ._sample import Array, Image, Mask, everywhere
from ._seats import fractions, seated


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
        """Return one defect on the pixels `free` (H, W) bool, not to be written to; DataError has it drawn again."""
        raise NotImplementedError

    def edits(self, image: Image, rng: Rng, free: Mask) -> list[Edit]:
        """Return the defects of a sample, each on what those before it left of the pixels `free` (H, W) bool."""
        edits: list[Edit] = []
        for number in range(self.instances):
            if edits:
                free = edits[-1].cleared(free)
            edits.append(self.edit(image, rng.child("defect", number), free))
        return edits

    def make(self, sample: Image | Array, rng: Rng) -> Anomaly:
        image = sample if isinstance(sample, Image) else Image(np.asarray(sample))
        free = everywhere(image.shape) if image.foreground is None else image.foreground
        if not free.any():
            raise Impossible("the foreground is empty: there is nowhere to put a defect")
        image = seated(image, self.place, self.centre)
        anomaly = labelled(self, image, self.edits(image, rng, free))
        return anomaly if isinstance(sample, Image) else replace(anomaly, sample=anomaly.sample.pixels, before=sample)


def labelled(generator: ImageGenerator, image: Image, edits: Sequence[Edit]) -> Anomaly:
    """Apply edits and read the mask off the difference; what nobody could see keeps its old bits.

    Only the pixels that an edit means to change are looked at.

    Raises:
        DataError: nothing visible is left.
    """
    size, region = image.shape[0] * image.shape[1], generator.mask == "region"
    _fast.worked(size)
    canvas, touched = Canvas(image), []
    grade = np.zeros(image.shape, dtype=np.float32) if any(edit.grade is not None for edit in edits) else None
    severity = generator.severity if generator.fades else 1.0
    alone = len(edits) == 1 and not region
    for number, edit in enumerate(edits, 1):
        effect = canvas.apply(edit, number, image.foreground, severity, region=region)
        if grade is None and alone:
            continue
        top, left, bottom, right = edit.box
        own = canvas.instances[top:bottom, left:right] == number
        touched.append(in_image(np.flatnonzero(own), edit.box, image.shape[1]))
        if grade is not None:
            np.copyto(grade[top:bottom, left:right], 1 if edit.grade is None else edit.grade, where=own)
    # What one edit visibly changes has changed.
    truth = Faith(0.0, 0.0, len(effect) / size)
    if not alone:
        effect, truth = canvas.judged(image, touched, grade, region=region)
    if len(effect) < LEAST_PIXELS or truth.dead == 1:
        raise DataError(f"{len(effect)} visibly changed pixels: expected at least {LEAST_PIXELS}")
    stats: dict[str, Any] = {"area": len(effect) / size, "leak": truth.leak, "dead": truth.dead}
    stats["contrast"] = float(np.abs(effect).astype(np.float64).mean())
    if image.foreground is not None:
        stats["foreground"] = np.count_nonzero(image.foreground) / size
    for number, edit in enumerate(edits, 1):
        stats.update(edit.stats if len(edits) == 1 else {f"{key}_{number}": value for key, value in edit.stats.items()})
    after = replace(image, pixels=canvas.pixels)
    return Anomaly(after, canvas.mask, canvas.effect, canvas.instances, generator, stats, before=image, grade=grade)


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
