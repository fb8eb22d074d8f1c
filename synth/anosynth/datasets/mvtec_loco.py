"""MVTec LOCO AD: photos as PNG, a folder of masks for every anomalous one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np

from anosynth.errors import DataError
from anosynth.generator import Anomaly
from anosynth.images import Image

from ._names import claim_stem, entries, remark_masks
from .layout import Labelled, Layout, Output, Source, Truth, walk

_PNG = frozenset([".png"])
_PATTERN = (
    r"(?P<category>[^/]+)/((?P<split>train|validation|test)/(?P<kind>[^/]+)/(?P<stem>[^/]+)"
    r"|(?P<masks>ground_truth/[^/]+/[^/]+)/[^/]+)\.(png|PNG)"
)
_OURS = re.compile(r"(?P<category>[^/]+)/ground_truth/(logical|structural)_anomalies/[^/]+_[0-9]{3,}/[0-9]{3,}\.png")

LOGICAL = frozenset(["missing-part", "structure"])
"""Defects that are logical: something absent, or the photo's own parts in wrong places. All others are structural."""


class MVTecLOCO(Layout):
    """`CATEGORY/{train,validation,test}/good/000.png`, `CATEGORY/test/{logical,structural}_anomalies/000.png`.

    The masks of `test/KIND/000.png` are `ground_truth/KIND/000/000.png`, `001.png`, ..., one for each defect, 8 bit
    and one channel: 0 and a code, which `CATEGORY/defects_config.json` explains. Readers pair photos and folders by
    sorted names and cut the latter at the last dot, so a name has none. In a set from elsewhere any code but 0 counts.

    Variant V of `train/good/000.png` becomes `test/KIND/000_DEFECT_V.png`, KIND `logical_anomalies` for missing-part
    and structure, else `structural_anomalies`. The code is always 255, under the name `synthetic`, saturated by the
    whole area. Where there are several defects, their map is also in `_truth/`.
    """

    name: ClassVar[str] = "mvtec-loco"
    family: ClassVar[str] = "images"
    folder: ClassVar[str] = "MVTec_LOCO"
    home: ClassVar[str] = "MVTec LOCO AD comes from MVTec (CC BY-NC-SA 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[Path, Path] = {}
        masks: dict[Path, Path] = {}
        used: set[Path] = set()
        missing: list[Path] = []
        for path, part in entries(root, _PNG, _PATTERN, "`juice_bottle/train/good/000.png`"):
            category, split, kind = part["category"], part["split"], part["kind"]
            if part["masks"]:
                masks.setdefault(path.parent, path)
                continue
            if kind == "good":
                if "." in part["stem"]:
                    raise DataError(f"{root / path}: expected a name without dots: readers cut it at the last one")
                claim_stem(taken, root, path, path.with_suffix(""))
                yield Labelled(path, split, "good", category)
            elif split != "test":
                raise DataError(f"{root / path}: expected nothing but `good` in {category}/{split}")
            else:
                # Of ASCII names `ground_truth` comes before `test`, so the masks of a category are known by now.
                folder = Path(category, "ground_truth", kind, part["stem"])
                used.add(folder)
                if folder not in masks:
                    missing.append(path)
                yield Labelled(path, "test", kind, category, masks.get(folder))
        remark_masks(root, missing, sorted(first for folder, first in masks.items() if folder not in used))

    def target(self, source: Source, kind: str, variant: int) -> str:
        folder = "logical_anomalies" if kind in LOGICAL else "structural_anomalies"
        return f"{source.category}/test/{folder}/{source.path.stem}_{kind}_{variant:03d}.png"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from anosynth.io.images import image_digest, write_image, write_map, write_mask

        from .truth import ASIDE, placed

        path, image = PurePosixPath(target), anomaly.sample
        assert isinstance(image, Image)
        write_image(placed(out, target), image)
        outputs = [Output("sample", target, image_digest(image))]
        parts = [anomaly.mask & (anomaly.instances == number) for number in np.unique(anomaly.instances[anomaly.mask])]
        for number, part in enumerate(parts):
            labels = f"{source.category}/ground_truth/{path.parent.name}/{path.stem}/{number:03d}.png"
            write_mask(placed(out, labels), part)
            outputs.append(Output(f"labels-{number:03d}" if number else "labels", labels))
        if int(anomaly.instances.max()) > 1:
            write_map(placed(out, f"{ASIDE}/{target}"), anomaly.instances)
            outputs.append(Output("instances", f"{ASIDE}/{target}"))
        return outputs

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        from anosynth.io.images import read_image, read_mask

        from .truth import paths_of

        paths = paths_of(out, record)
        image = read_image(paths["sample"])
        mask = np.zeros(image.shape, dtype=np.bool_)
        for path in [paths["labels"], *(path for role, path in paths.items() if role.startswith("labels-"))]:
            part = read_mask(path)
            if part.shape != image.shape:
                raise DataError(f"{path}: {part.shape[0]} x {part.shape[1]}: expected the size of its image")
            mask |= part
        return Truth(image, mask)

    def tables(self, categories: Iterable[str], kinds: Iterable[str]) -> list[str]:
        return sorted(f"{category}/defects_config.json" for category in categories)

    def due(self, out: Path) -> list[str]:
        return sorted(_configs(out))

    def finish(self, out: Path, root: Path | None = None) -> list[Output]:
        """Write `CATEGORY/defects_config.json` for the categories that have anomalies."""
        from ._tables import settle

        return settle(out, _configs)


def _configs(out: Path) -> dict[str, bytes]:
    from ._tables import json_bytes

    code = {"defect_name": "synthetic", "pixel_value": 255, "saturation_threshold": 1.0, "relative_saturation": True}
    found = (_OURS.fullmatch(path.as_posix()) for path in walk(out, _PNG))
    return {f"{match['category']}/defects_config.json": json_bytes([code]) for match in found if match}
