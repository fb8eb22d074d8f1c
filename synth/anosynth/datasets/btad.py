"""BTAD: photos as BMP or PNG, `ok` and `ko` in place of `good` and names of defects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.generator import Anomaly

from ._names import claim_stem, entries, remark_masks
from .layout import Labelled, Layout, Output, Source, Truth

_SUFFIXES = frozenset([".bmp", ".png"])
_PATTERN = r"(?P<category>[^/]+)/(?P<split>train|test|ground_truth)/(?P<kind>[^/]+)/(?P<stem>[^/]+)\.[^/.]+"


class BTAD(Layout):
    """`{01,02,03}/train/ok/0000.bmp`, `test/{ok,ko}/0000.bmp`, `ground_truth/ko/0000.png`; masks 8 bit, 0 or 255.

    Photos are BMP in 01 and 03, PNG in 02; masks are PNG in 01 and 02, BMP in 03 as it comes from its makers. Some
    readers look for one of the suffixes, others take both, so a sample has the suffix of its source and a mask that of
    the masks of its category in the input, PNG if there are none (anomalib takes PNG alone, and makes PNG of the masks
    of 03 when it fetches the set). Both forms keep every bit.

    Variant V of `train/ok/0000.bmp` becomes `test/ko/0000_DEFECT_V.bmp`: a number ends the name, as some readers strip
    the letters of suffixes from it. The numbers of the defects, where there are several in a photo, are in `_truth/`.
    """

    name: ClassVar[str] = "btad"
    family: ClassVar[str] = "images"
    folder: ClassVar[str] = "BTAD"
    home: ClassVar[str] = "BTAD comes from beanTech, avires.dimi.uniud.it/papers/btad/btad.zip (CC BY-NC-SA 4.0)"

    def samples(self, root: Path) -> Iterator[Labelled]:
        taken: dict[Path, Path] = {}
        masks: dict[Path, Path] = {}
        used: set[Path] = set()
        missing: list[Path] = []
        for path, part in entries(root, _SUFFIXES, _PATTERN, "`01/train/ok/0000.bmp`"):
            category, split, kind = part["category"], part["split"], part["kind"]
            if split == "ground_truth":
                masks[path.with_suffix("")] = path
            elif kind == "ok":
                claim_stem(taken, root, path, path.with_suffix(""))
                yield Labelled(path, split, "good", category)
            elif split == "train":
                raise DataError(f"{root / path}: expected nothing but `ok` in {category}/train")
            else:
                # Of ASCII names `ground_truth` comes before `test`, so the masks of a category are known by now.
                truth = masks.get(Path(category, "ground_truth", kind, part["stem"]))
                if truth is None:
                    missing.append(path)
                else:
                    used.add(truth)
                yield Labelled(path, "test", kind, category, truth)
        remark_masks(root, missing, sorted(set(masks.values()) - used))

    def target(self, source: Source, kind: str, variant: int) -> str:
        return f"{source.category}/test/ko/{source.path.stem}_{kind}_{variant:03d}{source.path.suffix.lower()}"

    def write(self, root: Path, out: Path, source: Source, target: str, anomaly: Anomaly) -> list[Output]:
        from .photos import write_photo
        from .truth import ASIDE

        path = PurePosixPath(target)
        labels = f"{source.category}/ground_truth/ko/{path.stem}{_suffix_of_masks(root, source.category)}"
        return write_photo(out, target, labels, f"{ASIDE}/{path.with_suffix('.png')}", anomaly)

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        from .photos import read_photo

        return read_photo(out, record)


def _suffix_of_masks(root: Path, category: str) -> str:
    folder = root / category / "ground_truth" / "ko"
    found = {path.suffix.lower() for path in folder.iterdir()} if folder.is_dir() else set()
    return ".bmp" if ".bmp" in found and ".png" not in found else ".png"
