"""Toy photos: folders of one kind, and data sets in the layouts of real ones, to try `--dataset` without their data."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import UnknownGenerator, did_you_mean
from anosynth.seeding import stream

from .images import DEFECTS, make_mvtec, toy_image

Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_VIEWS = 5
_EXTRA = 254
"""Code of a logical defect in toy masks; structural ones have 255."""


def make_photos(kind: str, out: Path, *, seed: int, count: int) -> list[Path]:
    """Write toy photos of a kind, or a toy data set in a layout, under the folder `out`; return its files, sorted.

    A kind of photo (`washer`) gives `count` of them in `good`, and in `defects` and `masks` half as many, at least
    one, of each of its defects. In a layout, each category has about `count` normal training photos (specimens of
    five views in `real-iad`) and half as many, at least one, of each other sort: normal ones and kinds of defect, with
    their masks. A photo or mask depends on the seed and its own path alone, tables on what there is.

    Raises:
        UnknownGenerator: there is no such kind or layout.
        WriteError: a file cannot be written.
    """
    if kind not in PHOTO_SETS:
        raise UnknownGenerator(f"no toy `{kind}`{did_you_mean(kind, PHOTO_SETS)}")
    return sorted(PHOTO_SETS[kind](out, seed, count))


def _plain(kind: str) -> Callable[[Path, int, int], list[Path]]:
    def make(out: Path, seed: int, count: int) -> list[Path]:
        written, some = [], max(1, count // 2)
        for sort, number in [("", count), *((defect, some) for defect in DEFECTS[kind])]:
            for index in range(number):
                target = f"defects/{sort}_{index:03d}.png" if sort else f"good/{index:03d}.png"
                photo, mask = _drawn(kind, seed, f"{kind}/{target}", defect=sort)
                written.append(_png(out, target, photo))
                if mask is not None:
                    written.append(_png(out, f"masks/{sort}_{index:03d}.png", mask.astype(np.uint8) * np.uint8(255)))
        return written

    return make


def _mvtec(out: Path, seed: int, count: int) -> list[Path]:
    return make_mvtec(out, seed=seed, count=count)


def _mvtec_loco(out: Path, seed: int, count: int) -> list[Path]:
    from anosynth.datasets._tables import json_bytes

    written, some = [], max(1, count // 2)
    codes = [{"defect_name": "extra_part", "pixel_value": _EXTRA}, {"defect_name": "damage", "pixel_value": 255}]
    for kind in ("tablet", "washer"):
        sorts = [("train/good", count), ("validation/good", some), ("test/good", some)]
        for folder, number in [*sorts, ("test/logical_anomalies", some), ("test/structural_anomalies", some)]:
            for index in range(number):
                target = f"{kind}/{folder}/{index:03d}.png"
                photo, mask = _drawn(kind, seed, target, damaged=folder.startswith("test/struct"))
                masks = [] if mask is None else [(mask, 255)]
                if folder.startswith("test/logical"):
                    photo, masks = _with_extra_parts(photo, 1 + index % 2)
                written.append(_png(out, target, photo))
                for at, (part, code) in enumerate(masks):
                    place = f"{kind}/ground_truth/{folder.removeprefix('test/')}/{index:03d}/{at:03d}.png"
                    written.append(_png(out, place, part.astype(np.uint8) * np.uint8(code)))
        config = [{**code, "saturation_threshold": 1.0, "relative_saturation": True} for code in codes]
        written.append(_file(out, f"{kind}/defects_config.json", json_bytes(config)))
    return written


def _visa(out: Path, seed: int, count: int) -> list[Path]:
    from anosynth.datasets._tables import csv_bytes

    written, rows, some = [], [], max(1, count // 2)
    for kind, defects in sorted(DEFECTS.items()):
        lines = []
        for index in range(count + some):
            image = f"{kind}/Data/Images/Normal/{index:04d}.JPG"
            written.append(_jpeg(out, image, _drawn(kind, seed, image)[0]))
            # Of three photos the third is a test photo, so that a greater count changes no file but the tables.
            rows.append([kind, "test" if index % 3 == 2 else "train", "normal", image, ""])
            lines.append([image, "normal", ""])
        for index in range(2 * some):
            image, mask = f"{kind}/Data/Images/Anomaly/{index:03d}.JPG", f"{kind}/Data/Masks/Anomaly/{index:03d}.png"
            name = defects[index % 2]
            photo, shape = _drawn(kind, seed, image, defect=name)
            written.append(_jpeg(out, image, photo))
            written.append(_png(out, mask, _of(shape).astype(np.uint8) * np.uint8(1 + index % 2)))
            rows.append([kind, "test", "anomaly", image, mask])
            lines.append([image, name, mask])
        written.append(_file(out, f"{kind}/image_anno.csv", csv_bytes(("image", "label", "mask"), lines)))
    header = ("object", "split", "label", "image", "mask")
    return [*written, _file(out, "split_csv/1cls.csv", csv_bytes(header, rows))]


def _btad(out: Path, seed: int, count: int) -> list[Path]:
    written, some = [], max(1, count // 2)
    sorts = [("01", "washer", "bmp", "png"), ("02", "fabric", "png", "png"), ("03", "tablet", "bmp", "bmp")]
    for category, kind, suffix, of_mask in sorts:
        for folder, number in [("train/ok", count), ("test/ok", some), ("test/ko", 2 * some)]:
            for index in range(number):
                target = f"{category}/{folder}/{index:04d}.{suffix}"
                defect = DEFECTS[kind][index % 2] if folder.endswith("ko") else ""
                photo, mask = _drawn(kind, seed, target, defect=defect)
                written.append(_lossless(out, target, photo))
                if mask is not None:
                    place = f"{category}/ground_truth/ko/{index:04d}.{of_mask}"
                    written.append(_lossless(out, place, mask.astype(np.uint8) * np.uint8(255)))
    return written


def _real_iad(out: Path, seed: int, count: int) -> list[Path]:
    from anosynth.datasets._tables import json_bytes

    written, some = [], max(1, count // 2)
    codes = {"chip": "PS", "scratch": "HS", "stain": "ZW"}
    for kind in ("tablet", "washer"):
        base, rows = f"realiad_256/{kind}", {"train": list[object](), "test": list[object]()}
        for number in range(1, count + some + 1):
            split = "test" if number % 3 == 0 else "train"
            for target, view, _ in _views(kind, seed, f"OK/S{number:04d}", f"{kind}_{number:04d}_OK", ""):
                written.append(_jpeg(out, f"{base}/{target}.jpg", view))
                row = {"category": kind, "anomaly_class": "OK", "image_path": f"{target}.jpg", "mask_path": None}
                rows[split].append(row)
        for defect in DEFECTS[kind]:
            code = codes[defect]
            for number in range(1, some + 1):
                place, stem = f"NG/{code}/S{number:04d}", f"{kind}_{number:04d}_NG_{code}"
                for target, view, mask in _views(kind, seed, place, stem, defect):
                    image, truth = f"{target}.jpg", f"{target}_mask.png"
                    written.append(_jpeg(out, f"{base}/{image}", view))
                    written.append(_png(out, f"{base}/{truth}", _of(mask).astype(np.uint8) * np.uint8(255)))
                    row = {"category": kind, "anomaly_class": code, "image_path": image, "mask_path": truth}
                    rows["test"].append(row)
        data = {"meta": {"normal_class": "OK", "prefix": f"{kind}/"}, **rows}
        written.append(_file(out, f"realiad_jsons/realiad_jsons/{kind}.json", json_bytes(data)))
    return written


def _views(kind: str, seed: int, place: str, stem: str, defect: str) -> Iterator[tuple[str, Photo, Mask | None]]:
    """Yield (path without suffix, photo, mask) of a specimen from five sides: quarter turns, and mirrored."""
    photo, mask = _drawn(kind, seed, f"{kind}/{place}", defect=defect)
    for number in range(_VIEWS):
        view, shape = np.rot90(photo, number), None if mask is None else np.rot90(mask, number)
        if number == _VIEWS - 1:
            view, shape = view[:, ::-1], None if shape is None else shape[:, ::-1]
        yield f"{place}/{stem}_C{number + 1}_20240101000000", view, shape


def _drawn(kind: str, seed: int, target: str, *, damaged: bool = False, defect: str = "") -> tuple[Photo, Mask | None]:
    return toy_image(kind, stream(seed, "toy", target), defect=defect or damaged)


def _with_extra_parts(photo: Photo, number: int) -> tuple[Photo, list[tuple[Mask, int]]]:
    """Put small second copies of the part into corners, which have none; return their masks and codes."""
    small, photo = photo[::5, ::5], photo.copy()
    size, masks = len(small), []
    for at in range(number):
        mask = np.zeros(photo.shape[:2], dtype=np.bool_)
        mask[:size, :size] = True
        mask = mask[:, :: -1 if at else 1]
        photo[mask] = small.reshape(-1, 3)
        masks.append((mask, _EXTRA))
    return photo, masks


def _of(mask: Mask | None) -> Mask:
    assert mask is not None
    return mask


def _lossless(out: Path, target: str, pixels: Photo) -> Path:
    from anosynth.datasets._bmp import encode_bmp

    return _file(out, target, encode_bmp(pixels)) if target.endswith(".bmp") else _png(out, target, pixels)


def _png(out: Path, target: str, pixels: Photo) -> Path:
    from anosynth.io.png import encode_png

    return _file(out, target, encode_png(pixels, flat=pixels.ndim == 2))


def _jpeg(out: Path, target: str, pixels: Photo) -> Path:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="JPEG", quality=95, subsampling=0)
    return _file(out, target, buffer.getvalue())


def _file(out: Path, target: str, data: bytes) -> Path:
    from anosynth.datasets.truth import placed
    from anosynth.io.atomic import atomic_write

    path = placed(out, target)
    with atomic_write(path) as file:
        file.write(data)
    return path


PHOTO_SETS: dict[str, Callable[[Path, int, int], list[Path]]] = {
    **{kind: _plain(kind) for kind in DEFECTS},
    "mvtec": _mvtec,
    "mvtec-loco": _mvtec_loco,
    "mpdd": _mvtec,
    "visa": _visa,
    "btad": _btad,
    "real-iad": _real_iad,
}
"""What makes each layout, from (folder, seed, count)."""
