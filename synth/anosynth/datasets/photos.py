"""Plain photos: one file, or a folder of them of any depth; written in the form that anomalib's `Folder` reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.images import Image
from anosynth.io.images import SUFFIXES, UNREAD

from ._names import claim_stem, remark
from .layout import Labelled, Layout, Output, Source, Truth

SAMPLES, LABELS, INSTANCES, GRADES = "anomalous", "ground_truth", "instances", "grades"
"""The folders of OUT."""


class PhotosLayout(Layout):
    """Every photo is a normal sample; `sub/in.jpg` becomes `anomalous/sub/in_000.png`, `in_001.png`, ...

    Masks among the photos are passed over with a remark, and so are photos whose mask is not black: see `_labels`.

    The mask of `anomalous/sub/in_000.png` is `ground_truth/sub/in_000.png`, 8 bit, one channel, 0 or 255; where there
    are several defects, `instances/sub/in_000.png` holds their numbers; of generators that grade their labels,
    `grades/sub/in_000.png` holds 65535 times the grade, 16 bit. Samples of TIFF stay TIFF, all others become
    PNG, so that nothing is lost, unless one format is asked for. The normal photos stay where they are; `splits.csv`
    says which of them and of the anomalous ones are for training, validation and test.
    """

    name: ClassVar[str] = "photos"
    family: ClassVar[str] = "images"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    unread: ClassVar[frozenset[str]] = UNREAD
    formats: ClassVar[Mapping[str, str]] = {"png": ".png", "tiff": ".tiff"}
    holds_out: ClassVar[bool] = False
    maps_splits: ClassVar[bool] = True

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
        problems: dict[Path, str] = {}
        # A file that was named although its format is not read must not take the place of one that is.
        for path in sorted(good, key=lambda path: path.suffix.lower() not in SUFFIXES):
            try:
                claim_stem(taken, root, path, path.with_suffix(""))
            except DataError as error:
                # One file too many is no reason to refuse the others.
                problems[path] = str(error)
        for path in good:
            yield Labelled(path, "train", "good", problem=problems.get(path, ""))

    def target(self, source: Source, kind: str, variant: int) -> str:
        suffix = ".tiff" if source.path.suffix.lower() in (".tif", ".tiff") else ".png"
        return PurePosixPath(SAMPLES, source.path.with_name(f"{source.path.stem}_{variant:03d}{suffix}")).as_posix()

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        if not target.startswith(f"{SAMPLES}/"):
            raise DataError(f"{target}: expected a path in {SAMPLES}/")
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
    check_holds(target, image)
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


def check_holds(target: str, image: Image) -> None:
    """Refuse pixels that the format of `target` cannot hold.

    Raises:
        DataError: it cannot, or its readers would take them for something else.
    """
    kind, channels, opacity = image.pixels.dtype, image.channels, image.opacity
    shown = f"{kind} of {channels} channel{'s' if channels > 1 else ''}"
    if target.endswith(".png"):
        if kind == np.float32 or channels > 4:
            raise DataError(f"{shown}: PNG holds 8 and 16 bit and up to 4 channels\nhint: {_KEPT_IN_TIFF}")
        if channels in (2, 4) and not opacity:
            raise DataError(f"{shown}: PNG takes the last of them for opacity\nhint: {_KEPT_IN_TIFF}")
    if target.endswith(".bmp") and (kind != np.uint8 or channels not in (1, 3)):
        raise DataError(f"{shown}: BMP of this layout holds 8 bit, grey or RGB\nhint: {_KEPT_IN_TIFF}")


_KEPT_IN_TIFF = "plain photos can be written as TIFF, which holds everything: without --dataset, --image-format tiff"


def read_photo(out: Path, record: Mapping[str, Any], *, one: int = 255) -> Truth:
    """Read back what `write_photo` wrote; its mask holds 0 and `one`.

    Raises:
        DataError: a file cannot be read, or the mask is not one of this image.
    """
    from anosynth.io.images import read_image, read_mask

    from .truth import paths_of

    paths = paths_of(out, record)
    image, mask = read_image(paths["sample"]), read_mask(paths["labels"], one=one)
    if mask.shape != image.shape:
        raise DataError(f"{paths['labels']}: {mask.shape[0]} x {mask.shape[1]}: expected the size of its image")
    return Truth(image, mask)


def _remark(root: Path, labels: Sequence[Path], bad: Sequence[Path]) -> None:
    if labels:
        defects = f"; photos with a defect by them: {len(bad)} ({bad[0].as_posix()}, ...)" if bad else ""
        remark(f"{root}: passed over what looks like masks: {len(labels)} ({labels[0].as_posix()}, ...){defects}")
