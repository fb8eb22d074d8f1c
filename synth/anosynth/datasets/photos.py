"""Plain photos: one file, or a folder of them of any depth; written in the form that anomalib's `Folder` reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.images import Image
from anosynth.io.images import SUFFIXES

from .layout import Labelled, Layout, Output, Source, Truth, walk

SAMPLES, LABELS, INSTANCES = "anomalous", "ground_truth", "instances"
"""The folders of OUT."""


class PhotosLayout(Layout):
    """Every photo is a normal sample; `sub/in.jpg` becomes `anomalous/sub/in_000.png`, `in_001.png`, ...

    The mask of `anomalous/sub/in_000.png` is `ground_truth/sub/in_000.png`, 8 bit, one channel, 0 or 255; where there
    are several defects, `instances/sub/in_000.png` holds their numbers. Samples of TIFF stay TIFF, all others become
    PNG, so that nothing is lost. The normal photos stay where they are: anomalib reads all as `Folder(root=OUT,
    abnormal_dir="anomalous", mask_dir="ground_truth", normal_dir=...)`.
    """

    name: ClassVar[str] = "photos"
    family: ClassVar[str] = "images"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    holds_out: ClassVar[bool] = False
    maps_splits: ClassVar[bool] = True

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[Path, Path] = {}
        for path in walk(root, SUFFIXES):
            other = taken.setdefault(path.with_suffix(""), path)
            if other != path:
                raise DataError(
                    f"{root / path}: differs from {other.name} in the suffix alone: their masks would have one name\n"
                    "hint: rename one of them"
                )
            yield Labelled(path, "train", "good")

    def target(self, source: Source, kind: str, variant: int) -> str:
        suffix = ".tiff" if source.path.suffix.lower() in (".tif", ".tiff") else ".png"
        return PurePosixPath(SAMPLES, source.path.with_name(f"{source.path.stem}_{variant:03d}{suffix}")).as_posix()

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        place = PurePosixPath(target).relative_to(SAMPLES).with_suffix(".png")
        labels, instances = ((PurePosixPath(folder) / place).as_posix() for folder in (LABELS, INSTANCES))
        return write_photo(out, target, labels, instances, anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        return read_photo(out, record)


def write_photo(out: Path, target: str, labels: str, instances: str, anomaly: Anomaly) -> list[Output]:
    """Write a sample, its mask, and the numbers of its defects if there are several; shared by layouts of photos."""
    from anosynth.io.images import image_digest, write_image, write_map, write_mask

    from .truth import placed

    image: Image = anomaly.sample
    write_image(placed(out, target), image)
    write_mask(placed(out, labels), anomaly.mask)
    outputs = [Output("sample", target, image_digest(image)), Output("labels", labels)]
    if int(anomaly.instances.max()) > 1:
        write_map(placed(out, instances), anomaly.instances)
        outputs.append(Output("instances", instances))
    return outputs


def read_photo(out: Path, record: Mapping[str, Any]) -> Truth:
    """Read back what `write_photo` wrote.

    Raises:
        DataError: a file cannot be read, or the mask is not one of this image.
    """
    from anosynth.io.images import read_image

    from .mvtec3d import read_mask
    from .truth import paths_of

    paths = paths_of(out, record)
    image, mask = read_image(paths["sample"]), read_mask(paths["labels"])
    if mask.shape != image.shape:
        raise DataError(f"{paths['labels']}: {mask.shape[0]} x {mask.shape[1]}: expected the size of its image")
    return Truth(image, mask)
