"""Photos as the judge sees them: reduced, cut into cells, with the features of a frozen backbone."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.features._heads import upsampled
from anosynth.features._torch import torch
from anosynth.images import Image
from anosynth.io.images import image_digest, read_image
from anosynth.seeding import stream

from ._files import File
from ._samples import GOOD, Floats, Judged, Mask, pooled

LONGEST = 2
"""Photos are reduced until no side is longer than this times `Eye.size`; anomalies are made on what is left."""
CHANNELS = 256
"""The most channels that are kept; which ones of more is drawn once and for all."""

_LAYERS: dict[str, tuple[tuple[str, ...], int]] = {"filters": (("scale1", "scale2", "scale4"), 1)}


@dataclass(frozen=True)
class Eye:
    """How photos become cells; small, so that it can be sent to other processes.

    Attributes:
        backbone: name, as `anosynth.features.backbone.backbone` takes it.
        layers: of the backbone; () for our choice. The grid is that of the first, of filters that of stride 8.
        weights: file of weights, "" for the backbone's own.
        size: side in pixels that photos are resized to, both ways.
    """

    backbone: str = "filters"
    layers: tuple[str, ...] = ()
    weights: str = ""
    size: int = 256

    def cells(self, image: Image) -> Floats:
        """Return (H, W, C) float32 features; each layer is averaged over 3 x 3 cells and resized to one grid.

        Raises:
            DataError: the backbone does not take such images.
        """
        net, layers, grid_of = _network(self)
        with torch.no_grad():
            maps = net(_tensor(image, self.size), layers)
            smooth = [F.avg_pool2d(one, 3, 1, 1, count_include_pad=False) for one in maps]
            grid = smooth[grid_of].shape[2:]
            cells = torch.cat([_fitted(one, grid) for one in smooth], dim=1)[0].permute(1, 2, 0)
        values = np.asarray(cells[:, :, _kept(cells.shape[2])].contiguous().numpy(), dtype=np.float32)
        if not np.isfinite(values).all():
            raise DataError("its features are not finite")
        return values


def judged(file: File, eye: Eye) -> Judged:
    """Return a photo with what is known about it.

    Raises:
        DataError: it cannot be read or used; the message names it.
    """
    image, key = _opened(file, eye)
    kind, truth = _labels(file, image, eye)
    try:
        cells = eye.cells(image)
    except DataError as error:
        raise DataError(f"{file.path}: {error}") from None
    cover = None if truth is None else _cover(truth, cells)
    shown = None if truth is None else _at(truth, eye.size)
    expand = functools.partial(_expanded, size=eye.size)
    return Judged(file.name, kind, cells, shown, expand, cover, key=key, gist=_gist(image))


def made(image: Image, mask: Mask, eye: Eye, *, name: str, kind: str, source: str) -> Judged:
    """Return a photo that was made anomalous, with its labels."""
    cells = eye.cells(image)
    return Judged(name, kind, cells, None, functools.partial(_expanded, size=eye.size), _cover(mask, cells), source)


@functools.lru_cache(maxsize=256)
def source(file: File, eye: Eye, foreground: str, mm_per_px: float | None = None) -> Image:
    """Return a normal photo as anomalies are made on it, with its foreground if that is "auto".

    Args:
        mm_per_px: what a pixel of the file measures; of a reduced photo one measures more.
    """
    from anosynth.run.of_images import part_of

    image = _opened(file, eye, mm_per_px)[0]
    return replace(image, foreground=part_of(image) if foreground == "auto" else None)


def _opened(file: File, eye: Eye, mm_per_px: float | None = None) -> tuple[Image, str]:
    image = replace(read_image(file.path), mm_per_px=mm_per_px)
    return _reduced(image, LONGEST * eye.size), image_digest(image)


def _labels(file: File, image: Image, eye: Eye) -> tuple[str, Mask | None]:
    """Return the kind of a photo and its mask at its own resolution, None if that is not known."""
    from anosynth.audit.measure import read_masks
    from anosynth.audit.pairs import Sample

    if file.kind == GOOD:
        return GOOD, np.zeros(image.shape, dtype=np.bool_)
    if not file.masks:
        return file.kind, None
    whole = read_image(file.path)
    sample = Sample(str(file.path), kind=file.kind, masks=tuple(str(mask) for mask in file.masks))
    mask, faults = read_masks(Path(), sample, whole, "codes")
    if mask is None:
        raise DataError(f"{file.path}: {'; '.join(text for _, text in faults)}")
    if mask.any():
        return file.kind, mask
    return (file.kind, None) if file.sure else (GOOD, mask)


@functools.lru_cache(maxsize=2)
def _network(eye: Eye) -> tuple[Any, tuple[str, ...], int]:
    from anosynth.features.backbone import backbone

    layers, grid_of = (eye.layers, 0) if eye.layers else _LAYERS.get(eye.backbone, ((), 0))
    net = backbone(eye.backbone, layers=layers or None, weights=eye.weights or None)
    return net, net.layers, grid_of


def _tensor(image: Image, size: int) -> torch.Tensor:
    colours = image.colours.astype(np.float32) / np.float32(image.white)
    planes = colours[None] if colours.ndim == 2 else np.moveaxis(colours, 2, 0)
    if len(planes) == 1:
        planes = np.repeat(planes, 3, axis=0)
    return _resized(torch.from_numpy(np.ascontiguousarray(planes))[None], (size, size)).clamp(0, 1)


def _resized(values: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(values.shape[2:]) == size:
        return values
    return F.interpolate(values, size=size, mode="bilinear", align_corners=False, antialias=True)


def _reduced(image: Image, longest: int) -> Image:
    height, width = image.shape
    if max(height, width) <= longest:
        return image
    factor = longest / max(height, width)
    size = max(8, round(height * factor)), max(8, round(width * factor))
    pixels = image.pixels.reshape(height, width, -1).astype(np.float32)
    small = _resized(torch.from_numpy(np.moveaxis(pixels, 2, 0).copy())[None], size)[0].numpy()
    if image.pixels.dtype != np.float32:
        small = np.clip(np.rint(small), 0, image.white)
    out = np.ascontiguousarray(np.moveaxis(small, 0, 2)).astype(image.pixels.dtype)
    pixel = None if image.mm_per_px is None else image.mm_per_px / factor
    return replace(image, pixels=out[:, :, 0] if image.pixels.ndim == 2 else out, mm_per_px=pixel)


def _fitted(values: torch.Tensor, grid: torch.Size) -> torch.Tensor:
    if values.shape[2:] == grid:
        return values
    if values.shape[2] > grid[0]:
        return F.adaptive_avg_pool2d(values, (grid[0], grid[1]))
    return F.interpolate(values, size=tuple(grid), mode="bilinear", align_corners=False)


@functools.lru_cache(maxsize=4)
def _kept(channels: int) -> NDArray[np.int64]:
    if channels <= CHANNELS:
        return np.arange(channels)
    return np.sort(stream(0, "rank.channels", str(channels)).permutation(channels)[:CHANNELS])


def _cover(mask: Mask, cells: Floats) -> Floats:
    return pooled(mask, cells.shape[0], cells.shape[1])


def _at(mask: Mask, size: int) -> Mask:
    """Return a mask at the size of judgement; what is too thin to fill half a pixel keeps its fullest ones."""
    share = pooled(mask, size, size)
    return np.asarray((share > 0) & (share >= min(0.5, float(share.max()))))


def _expanded(scores: Floats, size: int) -> Floats:
    """Return (size, size) scores: bilinear, then smoothed by 4 pixels at a size of 256."""
    wide = upsampled(torch.from_numpy(np.ascontiguousarray(scores))[None], size, size / 64)
    return np.asarray(wide[0].numpy(), dtype=np.float32)


def _gist(image: Image) -> tuple[float, ...]:
    """Return mean, deviation, and the 1st, 25th, 50th, 75th and 99th percentile of the grey levels."""
    colours = image.colours.astype(np.float64) / image.white
    grey = colours if colours.ndim == 2 else colours.mean(axis=2)
    some = np.percentile(grey, (1, 25, 50, 75, 99))
    return (float(grey.mean()), float(grey.std()), *(float(value) for value in some))
