"""MVTec AD: photos as PNG, a mask for every anomalous one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly

from ._names import claim_stem, entries, remark_masks
from .layout import Labelled, Layout, Output, Source, Truth

_PATTERN = r"(?P<category>[^/]+)/(?P<split>train|test|ground_truth)/(?P<kind>[^/]+)/(?P<stem>[^/]+)\.(png|PNG)"


class MVTec(Layout):
    """`CATEGORY/train/good/000.png`, `CATEGORY/test/KIND/000.png`, `CATEGORY/ground_truth/KIND/000_mask.png`.

    Variant V of `train/good/000.png` becomes `test/DEFECT/000_V.png`, with a mask of 8 bit and one channel, 0 or 255.
    Readers take every PNG below a category for a sample or a mask and pair the two by sorted paths, so nothing else is
    written there: the numbers of the defects, where there are several in a photo, are in `_truth/`.
    """

    name: ClassVar[str] = "mvtec"
    family: ClassVar[str] = "images"
    folder: ClassVar[str] = "MVTecAD"
    home: ClassVar[str] = "MVTec AD comes from MVTec (CC BY-NC-SA 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[Path, Path] = {}
        masks: set[Path] = set()
        missing: list[Path] = []
        for path, part in entries(root, frozenset([".png"]), _PATTERN, "`bottle/train/good/000.png`"):
            category, split, kind = part["category"], part["split"], part["kind"]
            if split == "ground_truth":
                masks.add(path)
            elif kind == "good":
                claim_stem(taken, root, path, path.with_suffix(""))
                yield Labelled(path, split, "good", category)
            elif split == "train":
                raise DataError(f"{root / path}: expected nothing but `good` in {category}/train")
            else:
                # Of ASCII names `ground_truth` comes before `test`, so the masks of a category are known by now.
                mask = Path(category, "ground_truth", kind, f"{part['stem']}_mask.png")
                truth = mask if mask in masks else None
                if truth is None:
                    missing.append(path)
                masks.discard(mask)
                yield Labelled(path, "test", kind, category, truth)
        remark_masks(root, missing, sorted(masks))

    def target(self, source: Source, kind: str, variant: int) -> str:
        return f"{source.category}/test/{kind}/{source.path.stem}_{variant:03d}.png"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .photos import write_photo
        from .truth import ASIDE

        path = PurePosixPath(target)
        labels = f"{source.category}/ground_truth/{path.parent.name}/{path.stem}_mask.png"
        return write_photo(out, target, labels, f"{ASIDE}/{target}", anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        from .photos import read_photo

        return read_photo(out, record)
