"""How the sources of a run are read, beside what their files say."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from anosynth.errors import DataError, ParameterError
from anosynth.io.images import MAX_PIXELS

_MAPS = ("roi", "exclude", "prior")


@dataclass(frozen=True)
class FeatureReading:
    """What decides, beside the file, which features are read of it, and what generators learned of normal ones.

    Attributes:
        channel_dim: which dimension the channels are; None for the second of two or four, the first of three.
        grid: (H, W) of the cells for layouts that do not tell.
        key: of files that hold several tensors, which; "" for `features`, or the only one.
        backbone: of photos, what makes their features; "" for files of features.
        layers, weights, dim: of the backbone, see `anosynth.features.backbone` and `Patches`.
        size: photos are brought to this many pixels on both sides first; 0 for as they are.
        fit: a file or folder of normal features, or photos, that generators learn from; "" for the sources themselves.
        fitted: a file of what they learned; a run fills it in.
    """

    channel_dim: int | None = None
    grid: tuple[int, int] | None = None
    key: str = ""
    backbone: str = ""
    layers: tuple[str, ...] = ()
    weights: str = ""
    dim: int = 1536
    size: int = 0
    fit: str = ""
    fitted: str = ""

    def __post_init__(self) -> None:
        for name in ("fit", "fitted", "weights"):
            if getattr(self, name) and not Path(getattr(self, name)).exists():
                raise DataError(f"--{name}: {getattr(self, name)}: no such file")

    def record(self, out: Path) -> dict[str, Any]:
        """Return the plain form: paths relative to OUT, and what the files there hold."""
        files = {name: getattr(self, name) for name in ("fit", "fitted", "weights") if getattr(self, name)}
        relative = {
            name: Path(os.path.relpath(Path(p).resolve(), out.resolve())).as_posix() for name, p in files.items()
        }
        digests = {name: _digest(Path(path)) for name, path in files.items() if name != "fit"}
        grid = list(self.grid) if self.grid else None
        return {**asdict(self), "grid": grid, "layers": list(self.layers), **relative, "sha256": digests}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], out: Path) -> FeatureReading:
        """Make of its plain form what `record` was called on, for the OUT where it is now.

        Raises:
            DataError: a file is gone, or holds something else than it did.
        """
        values = {field.name: record[field.name] for field in fields(cls)}
        for name, digest in record["sha256"].items():
            values[name] = str(out / str(values[name]))
            if not Path(values[name]).exists():
                raise DataError(f"{values[name]}: no such file: the data set was made with it (--{name})")
            if _digest(Path(values[name])) != digest:
                raise DataError(f"{values[name]}: does not hold what it held when the data set was made (--{name})")
        grid = tuple(values["grid"]) if values["grid"] else None
        return cls(**{**values, "grid": grid, "layers": tuple(values["layers"]), "fit": ""})

    def origin(self) -> list[Any]:
        """Return what decides, beside the file, which features are read of it."""
        weights = _digest(Path(self.weights)) if self.weights else ""
        return [self.channel_dim, self.grid, self.key, self.backbone, self.layers, weights, self.dim, self.size]


@dataclass(frozen=True)
class Reading:
    """What decides, beside the file, which sample is read of it.

    Attributes:
        unit: clouds: unit of the coordinates, for files that do not say it.
        sample: clouds: number of points to sample from a mesh, 0 to keep it a mesh.
        foreground: photos: "auto" to keep defects on the part, "none" for anywhere, a folder of masks, or a function
            as "package.module:name" that turns pixels (H, W[, C]) into (H, W) bool.
        roi, exclude, prior: photos: an image, or a folder with one for each photo: where defects may lie, where they
            must not (non-black pixels both), and how likely they are centred on a pixel (grey value); "" for none.
        mm_per_px: photos: what a pixel measures in millimetres.
        max_pixels: photos: number of pixels that one may have; more is refused before it is unpacked.
        features: features: how these are read; None for other families.
    """

    unit: str | None = None
    sample: int = 0
    foreground: str = "auto"
    roi: str = ""
    exclude: str = ""
    prior: str = ""
    mm_per_px: float | None = None
    max_pixels: int = MAX_PIXELS
    features: FeatureReading | None = None

    def __post_init__(self) -> None:
        if self.mm_per_px is not None and not 0 < self.mm_per_px < float("inf"):
            raise ParameterError(f"--mm-per-px: {self.mm_per_px}: must be a number > 0")
        if self.max_pixels < 1:
            raise ParameterError(f"--max-pixels: {self.max_pixels}: must be >= 1")
        for name in self._paths():
            if not Path(getattr(self, name)).exists():
                raise DataError(f"--{name}: {getattr(self, name)}: no such file or folder{self._forms(name)}")

    def record(self, out: Path) -> dict[str, Any]:
        """Return the plain form for the manifest: paths relative to OUT, and what the files there hold."""
        paths = {name: getattr(self, name) for name in self._paths()}
        relative = {
            name: Path(os.path.relpath(Path(p).resolve(), out.resolve())).as_posix() for name, p in paths.items()
        }
        own = {"features": self.features.record(out) if self.features else None}
        return {**asdict(self), **own, **relative, "maps": {name: _digest(Path(path)) for name, path in paths.items()}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], out: Path, *, maps: bool = True) -> Reading:
        """Make of its plain form, found among other values, what `record` was called on, for the OUT where it is now.

        Args:
            maps: False leaves out the photos' maps, which comparing a sample with its source does not need.

        Raises:
            DataError: a map is gone, or holds something else than it did.
        """
        values = {field.name: record[field.name] for field in fields(cls)}
        if values["features"]:
            values["features"] = FeatureReading.from_record(values["features"], out)
        if not maps:
            return cls(**{**values, "foreground": "none", **dict.fromkeys(_MAPS, "")})
        paths = {name: str(out / str(values[name])) for name in record["maps"]}
        reading = cls(**{**values, **paths})
        for name, digest in record["maps"].items():
            if _digest(Path(paths[name])) != digest:
                raise DataError(f"{paths[name]}: does not hold what it held when the data set was made (--{name})")
        return reading

    @property
    def of_features(self) -> FeatureReading:
        return self.features or FeatureReading()

    @property
    def function(self) -> str:
        """Return the function that `foreground` names, "" if it is something else."""
        return self.foreground if ":" in self.foreground and "/" not in self.foreground else ""

    def _paths(self) -> list[str]:
        own = self.foreground not in ("auto", "none") and not self.function
        return [*(["foreground"] if own else []), *(name for name in _MAPS if getattr(self, name))]

    def _forms(self, name: str) -> str:
        return "\nhint: auto, none, a folder of masks, or package.module:function" if name == "foreground" else ""


AS_FOUND = Reading()
"""Nothing but what the files say."""


def _digest(path: Path) -> str:
    """Return a SHA-256 over a file, or over names and contents of all files of a folder."""
    digest = hashlib.sha256()
    try:
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                digest.update(
                    b"" if file == path else file.relative_to(path).as_posix().encode("utf-8", "replace") + b"\0"
                )
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()
