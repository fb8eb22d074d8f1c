"""Plain files of features: one file, or a folder of them of any depth, each with any number of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from anosynth.errors import DataError
from anosynth.io.tensors import FORMATS, SUFFIXES, Stored, map_npy, read_tensor

from ._names import claim_stem
from .layout import Labelled, Layout, Source, Truth

SAMPLES, MASKS, LABELS, TABLES, NORMAL, FIT = "anomalous", "masks", "labels", "samples", "normal", "_fit"
"""The folders of OUT."""

FITTED = f"{FIT}/fitted.safetensors"
"""What generators learned from normal features."""


@dataclass(frozen=True, eq=False)
class Written:
    """A file of OUT read back.

    Attributes:
        features: as they came out; `normal`: as they went in, where these were made of a photo.
        labels: (N,) bool.
    """

    features: Stored
    labels: Any
    normal: Stored | None = None


class FeaturesLayout(Layout):
    """Every file is a source; of `sub/train.npy` with N samples, and the variant 0, OUT gets

    - `anomalous/sub/train_000.npy`: the features, of the same shape and dtype, sample by sample;
    - `masks/sub/train_000.npy`: bool, the shape of the features without channels: the cells that changed;
    - `labels/sub/train_000.npy`: (N,) bool: the samples with such a cell; one that could not be made stays normal;
    - `samples/sub/train_000.jsonl`: a line a sample: what was drawn for it, and how much that changed.
    """

    name: ClassVar[str] = "features"
    family: ClassVar[str] = "features"
    suffixes: ClassVar[frozenset[str]] = SUFFIXES
    formats: ClassVar[Mapping[str, str]] = {name: f".{name}" for name in FORMATS}
    holds_out: ClassVar[bool] = False
    holds_many: ClassVar[bool] = True

    def named(self, root: Path, paths: Iterable[Path]) -> Iterator[Labelled]:
        taken: dict[Path, Path] = {}
        for path in paths:
            problem = ""
            try:
                claim_stem(taken, root, path, path.with_suffix(""))
            except DataError as error:
                # One file too many is no reason to refuse the others.
                problem = str(error)
            yield Labelled(path, "train", "good", problem=problem)

    def target(self, source: Source, kind: str, variant: int) -> str:
        suffix = source.path.suffix.lower()
        name = f"{source.path.stem}_{variant:03d}{suffix if suffix in SUFFIXES - {'.pth'} else '.pt'}"
        return PurePosixPath(SAMPLES, source.path.with_name(name)).as_posix()

    def beside(self, target: str, folder: str, suffix: str = ".npy") -> str:
        """Return the path of what belongs to the sample `target` in another folder of OUT."""
        if not target.startswith(f"{SAMPLES}/"):
            raise DataError(f"{target}: expected a path in {SAMPLES}/")
        return (PurePosixPath(folder) / PurePosixPath(target).relative_to(SAMPLES)).with_suffix(suffix).as_posix()

    def tables(self, categories: Iterable[str], kinds: Iterable[str]) -> list[str]:
        from anosynth.generator import find

        # One that wraps others may learn what they do.
        learns = any(getattr(find(self.family, kind), "learns", ()) or kind == "perlin-masked" for kind in kinds)
        return [FITTED] if learns else []

    def read_truth(self, out: Path, record: Mapping[str, Any]) -> Truth:
        from .truth import paths_of

        paths = paths_of(out, record)
        normal = read_tensor(paths["normal"]) if "normal" in paths else None
        written = Written(read_tensor(paths["sample"]), map_npy(paths["labels"]), normal)
        return Truth(written, map_npy(paths["masks"]))
