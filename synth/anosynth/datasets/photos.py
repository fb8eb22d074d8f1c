"""Plain photos: one file, or a folder of them of any depth; written in the form that anomalib's `Folder` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.images import Image
from anosynth.io.images import SUFFIXES

from ._names import claim_stem, remark
from .layout import Labelled, Layout, Output, Source, Truth, walk

SAMPLES, LABELS, INSTANCES, GRADES = "anomalous", "ground_truth", "instances", "grades"
"""The folders of OUT."""


class PhotosLayout(Layout):
    """Every photo is a normal sample; `sub/in.jpg` becomes `anomalous/sub/in_000.png`, `in_001.png`, ...

    Masks among the photos are passed over with a remark, and so are photos whose mask is not black: see `_labels`.

    The mask of `anomalous/sub/in_000.png` is `ground_truth/sub/in_000.png`, 8 bit, one channel, 0 or 255; where there
    are several defects, `instances/sub/in_000.png` holds their numbers; of generators that grade their labels,
    `grades/sub/in_000.png` holds 65535 times the grade, 16 bit. Samples of TIFF stay TIFF, all others become
    PNG, so that nothing is lost. The normal photos stay where they are: anomalib reads all as `Folder(root=OUT,
    abnormal_dir="anomalous", mask_dir="ground_truth", normal_dir=...)`.
    """

    name: ClassVar[str] = "photos"
    family: ClassVar[str] = "images"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    holds_out: ClassVar[bool] = False
    maps_splits: ClassVar[bool] = True

    def samples(self, root: Path) -> Iterator[Labelled]:
        return self.named(root, walk(root, SUFFIXES))

    def named(self, root: Path, paths: Iterable[Path]) -> Iterator[Labelled]:
        from ._labels import defective, sort_out

        found = sort_out(list(paths))
        if found.unsure:
            raise DataError(
                f"{root / found.unsure[0]}: lies in a folder of labels but belongs to no photo: expected photos\n"
                "hint: give the folder of the normal photos alone; if these are photos, give their own folder"
            )
        bad = set(defective(root, found))
        good = [path for path in found.photos if path not in bad]
        _remark(root, found.labels, sorted(bad))
        if bad and not good:
            raise DataError(
                f"{root / min(bad)}: has a mask that shows a defect, as all photos here: expected normal photos\n"
                "hint: give photos without masks; where defects may lie is said by --roi"
            )
        taken: dict[Path, Path] = {}
        for path in good:
            problem = ""
            try:
                claim_stem(taken, root, path, path.with_suffix(""))
            except DataError as error:
                # One file too many is no reason to refuse the others.
                problem = str(error)
            yield Labelled(path, "train", "good", problem=problem)

    def target(self, source: Source, kind: str, variant: int) -> str:
        suffix = ".tiff" if source.path.suffix.lower() in (".tif", ".tiff") else ".png"
        return PurePosixPath(SAMPLES, source.path.with_name(f"{source.path.stem}_{variant:03d}{suffix}")).as_posix()

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        place = PurePosixPath(target).relative_to(SAMPLES).with_suffix(".png")
        labels, instances = ((PurePosixPath(folder) / place).as_posix() for folder in (LABELS, INSTANCES))
        return write_photo(out, target, labels, instances, anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        return read_photo(out, record)


def write_photo(
    out: Path, target: str, labels: str, instances: str, anomaly: Anomaly, *, one: int = 255
) -> list[Output]:
    """Write a sample, its mask, and the numbers of its defects if there are several; shared by layouts of photos.

    Args:
        target: path of the sample relative to OUT: PNG, TIFF or BMP by its suffix.
        labels: of its mask, PNG or BMP, which holds 0 and `one`.
        instances: of the map of numbers, PNG; the grades, if any, lie in `grades` or beside it as `.grade.png`.
    """
    from anosynth.io.images import image_digest, write_image, write_map

    from ._bmp import write_bmp
    from .truth import placed

    image: Image = anomaly.sample
    mask = anomaly.mask.astype(np.uint16) * np.uint16(one)
    if target.endswith(".bmp"):
        write_bmp(placed(out, target), image.pixels)
    else:
        write_image(placed(out, target), image)
    if labels.endswith(".bmp"):
        write_bmp(placed(out, labels), mask.astype(np.uint8))
    else:
        write_map(placed(out, labels), mask)
    outputs = [Output("sample", target, image_digest(image)), Output("labels", labels)]
    if int(anomaly.instances.max()) > 1:
        write_map(placed(out, instances), anomaly.instances)
        outputs.append(Output("instances", instances))
    if anomaly.grade is not None:
        place = PurePosixPath(instances)
        aside = place.parts[0] != INSTANCES
        grades = (place.with_suffix(".grade.png") if aside else PurePosixPath(GRADES, *place.parts[1:])).as_posix()
        # Always of 16 bit, which `write_map` would not keep for faint ones.
        write_image(placed(out, grades), Image(np.rint(anomaly.grade * np.float32(65535)).astype(np.uint16)))
        outputs.append(Output("grade", grades))
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


def _remark(root: Path, labels: Sequence[Path], bad: Sequence[Path]) -> None:
    if labels:
        defects = f"; photos with a defect by them: {len(bad)} ({bad[0].as_posix()}, ...)" if bad else ""
        remark(f"{root}: passed over what looks like masks: {len(labels)} ({labels[0].as_posix()}, ...){defects}")
