"""WebDataset: tars of samples for streaming."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from pathlib import Path
from typing import BinaryIO, ClassVar

from anosynth.io import _tar
from anosynth.io.png import SIGNATURE

from ._base import Export, Outcome, Settings
from ._picture import Picture, mask_png, opened, png_of
from ._run import Entry, Run
from ._text import defect_of, described

_RECORD = 10240
"""What a tar's length is a multiple of, as tar itself has it."""


class WebDataset(Export):
    """`SPLIT-%06d.tar` with `KEY.image.png`, `KEY.mask.png` and `KEY.json` of each sample, one after another.

    Every sample has all three, the mask of a good image being black, and every image is PNG (TIFF where PNG cannot hold
    it), so that all have the same fields. A reader ends the key at the first dot, so keys have none. Times, owners and
    modes are fixed: equal samples give equal tars.
    """

    name: ClassVar[str] = "webdataset"
    options: ClassVar[frozenset[str]] = frozenset(["shard_size"])

    def write(self, run: Run, folder: Path, settings: Settings) -> Outcome:
        outcome = Outcome()
        with ExitStack() as stack:
            tars: dict[str, _Tars] = {}
            for entry in run.entries():
                if entry.split not in tars:
                    tars[entry.split] = stack.enter_context(closing(_Tars(folder, entry.split, settings.shard_size)))
                with opened(entry) as picture:
                    suffix, image = _image(entry, picture)
                facts = described(entry, picture.count, defect_of(entry), picture.area)
                height, width = picture.image.shape
                row = {**facts, "split": entry.split, "width": width, "height": height}
                text = json.dumps(row, sort_keys=True, allow_nan=False).encode("ascii")
                tars[entry.split].add(
                    entry.key, [(f"image{suffix}", image), ("mask.png", mask_png(picture.mask)), ("json", text)]
                )
                outcome.count(entry, picture.count)
        return outcome


def _image(entry: Entry, picture: Picture) -> tuple[str, bytes]:
    data = picture.path.read_bytes()
    if data.startswith(SIGNATURE) and not picture.turned:
        return ".png", data
    pixels = picture.image.pixels
    if pixels.dtype.kind == "f" or picture.image.channels > 4:
        return ".tiff", data
    return ".png", png_of(entry, picture)


class _Tars:
    """The tars of a split, each of `size` samples, the last of the rest."""

    def __init__(self, folder: Path, split: str, size: int) -> None:
        self._folder, self._split, self._size, self._number = folder, split, size, 0
        self._tar: BinaryIO | None = None

    def add(self, key: str, files: list[tuple[str, bytes]]) -> None:
        if self._number % self._size == 0:
            self.close()
            self._tar = (self._folder / f"{self._split}-{self._number // self._size:06d}.tar").open("wb")
        assert self._tar is not None
        for name, data in files:
            _tar.append(self._tar, f"{key}.{name}", len(data), [data])
        self._number += 1

    def close(self) -> None:
        if self._tar is not None:
            with self._tar as tar:
                self._tar = None
                tar.write(_tar.END)
                tar.write(bytes(-tar.tell() % _RECORD))
