"""A picture of every generator of photos: the same defect at three severities, its mask outlined."""

from __future__ import annotations

import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.generator import Anomaly, Generator, find
from anosynth.images import Image
from anosynth.images._foreground import foreground
from anosynth.seeding import stream
from anosynth.toy.images import toy_image

from .canvas import Pixels, beside, enlarged, outlined

SEVERITIES = (0.2, 0.5, 1.0)
SIZE, PANEL = 480, 232

_KINDS = ("washer", "tablet", "fabric")
_SHOWN_ON = {
    "blank": "fabric",
    "crack": "tablet",
    "cutpaste": "fabric",
    "defect-bank": "washer",
    "dent": "washer",
    "edge-chip": "tablet",
    "external": "tablet",
    "fibre": "tablet",
    "fpi": "fabric",
    "hole": "fabric",
    "missing-part": "fabric",
    "mosaic": "fabric",
    "noise-patch": "washer",
    "nsa": "fabric",
    "perlin-texture": "tablet",
    "pii": "fabric",
    "pit": "washer",
    "rust": "washer",
    "scratch": "washer",
    "smudge": "fabric",
    "spatter": "tablet",
    "stain": "fabric",
    "structure": "tablet",
    "warp": "fabric",
}
"""The part that shows a generator best; one that is not named here takes the next kind in turn."""

_SEEDS = {"cutpaste": 2, "stain": 2}
"""Where the first draw is one that shows little."""


def pictured(name: str) -> tuple[Pixels, str]:
    """Return the picture of a generator, (h, w, 3) uint8, and what it shows in words."""
    generator = find("images", name)
    kind = _SHOWN_ON.get(name, _KINDS[len(name) % len(_KINDS)])
    image = _photo(kind)
    made = _series(generator, image, name)
    top, left, side = _close(made[-1].mask)
    place = slice(top, top + side), slice(left, left + side)
    panels = [enlarged(np.ascontiguousarray(image.pixels[place]), PANEL)]
    for anomaly in made:
        pixels = enlarged(np.ascontiguousarray(anomaly.sample.pixels[place]), PANEL)
        panels.append(outlined(pixels, enlarged(np.ascontiguousarray(anomaly.mask[place]), PANEL)))
    captions = ["before", *(f"severity {severity:g}" for severity in SEVERITIES)]
    return beside(panels, captions), f"{name} on a toy {kind}: before, and at the severities 0.2, 0.5 and 1"


def _series(generator: type[Generator], image: Image, name: str) -> list[Anomaly]:
    """Return one draw at each severity; the first stream in which all of them can be made."""
    given = {field: _given(field) for field in getattr(generator, "needs", ())}
    problem = None
    for variant in range(_SEEDS.get(name, 0), 40):
        rng = stream(0, "handbook", name, variant)
        try:
            return [generator(severity=severity, **given)(image, rng) for severity in SEVERITIES]
        except DataError as error:
            problem = error
    raise RuntimeError(f"{name}: no picture: {problem}")


def _close(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return top, left and side of a square of the photo with the mask in its middle."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    reach = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = int(min(max(1.35 * reach, 0.4 * SIZE), SIZE))
    corner = [(ends[0] + ends[-1] + 1 - side) // 2 for ends in (rows, columns)]
    top, left = (int(min(max(place, 0), SIZE - side)) for place in corner)
    return top, left, side


@cache
def _photo(kind: str) -> Image:
    pixels = toy_image(kind, stream(0, "handbook", kind), size=SIZE)[0]
    return Image(pixels, foreground=foreground(pixels))


def _given(field: str) -> Any:
    """Return a value for a parameter without which a generator cannot run."""
    return _bank() if field == "bank" else painted


@lru_cache(maxsize=1)
def _bank() -> str:
    """Return a folder of toy photos with defects that owe nothing to the generators, and their masks."""
    from anosynth.io.images import write_image, write_mask

    folder = Path(tempfile.mkdtemp(prefix="bank-"))
    for number in range(4):
        pixels, mask = toy_image("washer", stream(0, "handbook", "bank", number), size=SIZE, defect="scratch")
        assert mask is not None
        write_image(folder / f"scratch_{number}.png", Image(pixels))
        write_mask(folder / f"scratch_{number}_mask.png", mask)
    return str(folder)


def painted(image: NDArray[Any], mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[Any]:
    """Stand for a model: rings of two colours in the region."""
    row, column = np.mgrid[0 : len(image), 0 : len(image[0])]
    middle = np.argwhere(mask).mean(axis=0)
    rings = np.hypot(row - middle[0], column - middle[1]) % 14 < 7
    return np.where(rings[:, :, None], (90, 60, 160), (230, 200, 120)).astype(image.dtype)
