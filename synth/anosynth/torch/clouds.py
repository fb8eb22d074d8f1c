"""Point clouds in and out of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.pointclouds import PointCloud

from ._items import Item


def concatenate(items: Sequence[Item]) -> Item:
    """Collate clouds of any sizes: M points of all B samples in a row.

    Returns:
        `sample` (M, 3), `mask` (M,), `effect` (M,) and `instances` (M,); `batch` (M,) int64, which of the B samples
        each point is of; `label` (B,) int64; `generator`, `id`, `split` and `category`, lists of B texts; `index` (B,)
        int64; all as far as the items have them.
    """
    sizes = torch.tensor([len(item["mask"]) for item in items])
    each = [name for name in ("sample", "mask", "effect", "instances") if name in items[0]]
    texts = [name for name in ("generator", "id", "split", "category") if name in items[0]]
    batch: Item = {name: torch.cat([item[name] for item in items]) for name in each}
    batch["batch"] = torch.repeat_interleave(torch.arange(len(items)), sizes)
    batch["label"] = torch.stack([item["label"] for item in items])
    batch |= {name: [item[name] for item in items] for name in texts}
    if "index" in items[0]:
        batch["index"] = torch.tensor([item["index"] for item in items])
    return batch


def sample_of(sample: Any) -> PointCloud:
    """Return what came in as a cloud, which may share its memory.

    Raises:
        DataError: it is neither a cloud nor (N, 3) float32 or float64 points.
    """
    if isinstance(sample, PointCloud):
        return sample
    if isinstance(sample, torch.Tensor) and sample.dtype in (torch.float32, torch.float64):
        sample = sample.detach().cpu().numpy()
    if not isinstance(sample, np.ndarray):
        kind = f"{sample.dtype} tensor" if isinstance(sample, torch.Tensor) else type(sample).__name__
        raise DataError(f"{kind}: expected a PointCloud or (N, 3) float32 or float64 points")
    return PointCloud(sample)


def values(cloud: PointCloud) -> NDArray[Any]:
    """Return a copy of the points, (N, 3)."""
    return np.array(cloud.points, order="C")


def elements(cloud: PointCloud) -> tuple[int, ...]:
    """Return the shape of what is told of each point."""
    return (len(cloud),)


def labels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that it has as a tensor."""
    return shape
