"""Cut-outs of real defects, as the generator `defect-bank` reads them: NAME.png with NAME_mask.png."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from anosynth.audit.pairs import Found
from anosynth.errors import DataError, WriteError
from anosynth.io.atomic import atomic_write
from anosynth.io.images import read_image
from anosynth.io.png import encode_png

from .labels import labels_of

MARGIN = 8
"""Pixels around a defect that are cut out with it: what it is joined by."""


def write_cutouts(real: Found, folder: Path) -> int:
    """Write the defects of each photo with their surroundings and masks to a folder; return how many were written.

    Cut-outs of an earlier fit there are removed; other files stay. Photos that PNG has no room for (float, more than
    four channels) are left out.

    Raises:
        WriteError: the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if re.fullmatch(r"\d{4}(_mask)?\.png", path.name):
                path.unlink()
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made: {(error.strerror or str(error)).lower()}") from None
    number = 0
    for sample in real.samples:
        if not (sample.defective and sample.masks):
            continue
        try:
            image = read_image(real.root / sample.path)
            mask = labels_of(real, sample, image)
        except DataError:
            continue
        if not mask.any() or image.pixels.dtype == np.float32 or image.channels > 4:
            continue
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        box = tuple(
            slice(max(0, int(at[0]) - MARGIN), min(end, int(at[-1]) + 1 + MARGIN))
            for at, end in zip((rows, columns), mask.shape, strict=True)
        )
        name = f"{number:04d}"
        for stem, pixels, flat in (
            (name, image.colours[box], False),
            (f"{name}_mask", mask[box].astype(np.uint8) * np.uint8(255), True),
        ):
            with atomic_write(folder / f"{stem}.png") as file:
                file.write(encode_png(np.ascontiguousarray(pixels), flat=flat))
        number += 1
    return number
