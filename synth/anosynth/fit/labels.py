"""The labels of a real defect, and what is refused as such."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from anosynth.audit.findings import Limits, percent
from anosynth.audit.measure import read_masks
from anosynth.audit.pairs import Found, Sample
from anosynth.errors import DataError
from anosynth.images import Image


def labels_of(real: Found, sample: Sample, image: Image) -> NDArray[np.bool_]:
    """Return the union of a sample's masks, (H, W).

    Layouts whose masks hold codes may have any values; all others black and one other tone.

    Raises:
        DataError: there is no mask, it cannot be read, has another size, looks like a photo, or labels more of
            the photo than an audit's `full` allows.
    """
    if not sample.masks:
        raise DataError("no mask")
    names = ", ".join(sample.masks)
    if sample.path in sample.masks:
        raise DataError("its mask is the photo itself: expected the folder of the masks")
    codes = real.values == "codes"
    mask, faults = read_masks(real.root, sample, image, "codes" if codes else "tones")
    if mask is None:
        raise DataError(": ".join(faults[0]) if faults else "its mask cannot be used")
    odd = [text for code, text in faults if code == "mask-values" and not codes]
    if odd:
        raise DataError(f"its mask {names}: {odd[0]}")
    share, most = float(mask.mean()), Limits().full
    if share > most:
        raise DataError(f"its mask {names}: labels {percent(share)} of the photo: expected at most {percent(most)}")
    return mask
