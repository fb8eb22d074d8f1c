"""What the tests of features share: normal features whose law is known, and a fitted module of every generator."""

from __future__ import annotations

import torch

from anosynth.features import FeatureSynthesis
from anosynth.features._base import FeatureGenerator
from anosynth.generator import find, names
from anosynth.seeding import Rng, as_rng

ALL = names("features")
LEARNS = ("codebook-swap", "distance-guided", "gradient-ascent", "hypersphere", "local-gaussian", "prototype-swap")
CHANNELS, GRID = 16, (6, 5)
CELLS = GRID[0] * GRID[1]


def normal_features(
    batch: int = 8, seed: int = 0, channels: int = CHANNELS, grid: tuple[int, int] = GRID, apart: float = 3.0
) -> torch.Tensor:
    """(B, C, H, W) float32: means `apart` from cell to cell, and a spread that grows with the channel."""
    draw = torch.Generator().manual_seed(1000 + seed)
    means = torch.randn(1, channels, *grid, generator=torch.Generator().manual_seed(5)) * apart
    spread = torch.linspace(0.5, 1.5, channels)[None, :, None, None]
    return means + spread * torch.randn(batch, channels, *grid, generator=draw)


def scorer(rows: torch.Tensor) -> torch.Tensor:
    return (rows * torch.linspace(-1, 1, rows.shape[1], dtype=rows.dtype)).sum(dim=1)


def fitted(generator: FeatureGenerator | str, **how) -> FeatureSynthesis:
    made = find("features", generator)() if isinstance(generator, str) else generator
    how.setdefault("scorer", scorer)
    return made.module(**how).fit([normal_features(4, seed) for seed in range(3)])


def streams(seed: int, count: int) -> list[Rng]:
    return [as_rng(seed).child("sample", i) for i in range(count)]


def bits(x: torch.Tensor) -> bytes:
    return x.detach().contiguous().view(torch.uint8).numpy().tobytes()


def rows_of(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (B, P, C)."""
    return x.flatten(2).transpose(1, 2).contiguous()
