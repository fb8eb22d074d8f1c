"""MVTec 3D-AD: organised XYZ maps with photos and masks as pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.generator import Anomaly

from ._names import entries
from .layout import Labelled, Layout, Output, Source, Truth, walk

AnyPath = TypeVar("AnyPath", bound=PurePath)

_PATTERN = r"(?P<category>[^/]+)/(?P<split>train|validation|test)/(?P<kind>[^/]+)/xyz/(?P<stem>[^/]+)\.tiff"


class MVTec3D(Layout):
    """`CATEGORY/{train,validation,test}/KIND/{xyz/NAME.tiff,rgb/NAME.png,gt/NAME.png}`, KIND `good` or the defect's.

    Variant V of `train/good/xyz/000.tiff` becomes `test/DEFECT/xyz/000_V.tiff` with the photo of its source (which
    shows no defect) and a mask of the map's size, 8 bit, one channel, 0 or 255. A point that is gone is (0, 0, 0), as
    all missing ones are, and labelled. Readers pair the three folders by sorted names and cut stems at the first dot.
    Heights and defect numbers are in `_truth/`.
    """

    name: ClassVar[str] = "mvtec3d"
    home: ClassVar[str] = "MVTec 3D-AD comes from MVTec (CC BY-NC-SA 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        pictures = {path.as_posix() for path in walk(root, frozenset([".png"]))}
        for path, part in entries(root, frozenset([".tiff"]), _PATTERN, "`bagel/train/good/xyz/000.tiff`"):
            if "." in part["stem"]:
                raise DataError(f"{root / path}: expected a name without dots: readers cut it at the first one")
            truth = _sibling(path, "gt")
            needed = [_sibling(path, "rgb"), *([truth] if part["split"] == "test" else [])]
            for picture in needed:
                if picture.as_posix() not in pictures:
                    raise DataError(f"{root / picture}: no such file: expected one for {path.as_posix()}")
            here = truth if truth.as_posix() in pictures else None
            yield Labelled(path, part["split"], part["kind"], part["category"], here)

    def companions(self, root: Path, sample: Labelled) -> Sequence[Path]:
        return [_sibling(sample.path, "rgb"), *super().companions(root, sample)]

    def target(self, source: Source, kind: str, variant: int) -> str:
        return f"{source.category}/test/{kind}/xyz/{source.path.stem}_{variant:03d}.tiff"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .truth import copy_along, write_aside, write_bare

        grid = anomaly.sample.grid
        if grid is None:
            raise DataError(f"{source.path.as_posix()}: expected an organised map, found points without a grid")
        gt, rgb = (_sibling(PurePosixPath(target), folder).as_posix() for folder in ("gt", "rgb"))
        return [
            write_bare(out, target, anomaly.sample),
            write_mask(out, gt, anomaly.mask.reshape(grid)),
            copy_along(root, _sibling(source.path, "rgb"), out, rgb, "rgb"),
            *write_aside(out, target, anomaly),
        ]

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth | None:
        from anosynth.io.clouds import read_cloud
        from anosynth.io.images import read_mask

        from .truth import paths_of, read_aside

        paths = paths_of(out, record)
        cloud, mask = read_cloud(paths["sample"]), read_mask(paths["labels"])
        if cloud.grid != mask.shape:
            raise DataError(f"{paths['labels']}: {mask.shape[0]} x {mask.shape[1]}: expected the size of its map")
        return read_aside(cloud, mask.reshape(-1), paths)


def write_mask(out: Path, target: str, mask: NDArray[np.bool_]) -> Output:
    """Write a mask (H, W) as a PNG of 8 bit and one channel, 0 or 255."""
    from PIL import Image

    from anosynth.io.atomic import atomic_write

    from .truth import placed

    pixels = mask.astype(np.uint8) * np.uint8(255)
    with atomic_write(placed(out, target)) as file:
        Image.fromarray(pixels).save(file, format="PNG")
    return Output("labels", target, hashlib.sha256(pixels.tobytes()).hexdigest())


def _sibling(path: AnyPath, folder: str) -> AnyPath:
    """Return the picture in the folder next to `xyz` that belongs to a map."""
    return path.parent.parent / folder / f"{path.stem}.png"
