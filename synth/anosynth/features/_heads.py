"""Parts of the scorers: keyed first weights, small networks, and maps from patch scores."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from anosynth.errors import DataError, ParameterError
from anosynth.seeding import Rng, RngLike, as_rng

from ._torch import F, nn, torch

Tensor = torch.Tensor

# Plain constructors draw first weights from the global stream.
_SKIP_INIT: Any = nn.utils.skip_init


class Scorer(nn.Module, ABC):
    """What scores feature maps (B, C, H, W)."""

    @abstractmethod
    def score(self, features: Tensor) -> Tensor:
        """Return (B, H, W) scores of the patches, higher for more anomalous."""

    def image_scores(self, features: Tensor) -> Tensor:
        """Return (B,): the greatest patch score of each image, not smoothed."""
        return self.score(features).flatten(1).amax(dim=1)

    def maps(self, features: Tensor, size: int | tuple[int, int], sigma: float = 4.0) -> Tensor:
        """Return (B, h, w) patch scores resized bilinearly to the image's size, then smoothed.

        Args:
            features: (B, C, H, W).
            size: (h, w) in pixels, or one number for both.
            sigma: of the Gaussian, in pixels; 0 for none.
        """
        return upsampled(self.score(features), size, sigma)


def upsampled(scores: Tensor, size: int | tuple[int, int], sigma: float = 4.0) -> Tensor:
    """Return (B, h, w) of (B, H, W) scores: bilinear, then a Gaussian of `sigma` pixels cut off at 4 sigma.

    Borders are mirrored with the border pixel repeated, as scipy.ndimage.gaussian_filter has it.
    """
    wanted = (size, size) if isinstance(size, int) else tuple(size)
    if min(wanted) < 1 or sigma < 0:
        raise ParameterError(f"`size`, `sigma`: {wanted}, {sigma}: must be >= 1 and >= 0")
    out = F.interpolate(scores[:, None], size=wanted, mode="bilinear", align_corners=False)
    radius = int(4 * sigma + 0.5)
    if radius:
        places = torch.arange(-radius, radius + 1, dtype=torch.float64)
        bell = torch.exp(-0.5 * (places / sigma) ** 2)
        kernel = (bell / bell.sum()).to(out.device, out.dtype)
        for dim, shape in ((2, (1, 1, -1, 1)), (3, (1, 1, 1, -1))):
            out = F.conv2d(out.index_select(dim, _mirrored(wanted[dim - 2], radius, out.device)), kernel.view(shape))
    return out[:, 0]


class Discriminator(nn.Module):
    """Linear C -> hidden, BatchNorm, LeakyReLU(0.2), Linear hidden -> 1 without bias: logits (K,) of rows (K, C)."""

    def __init__(self, channels: int, hidden: int, rng: Rng) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            linear(channels, hidden, rng.child("in")),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(0.2),
            linear(hidden, 1, rng.child("out"), bias=False),
        )

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.layers(rows)
        return logits[:, 0]


class ImageHead(nn.Module):
    """Logits (B,) of images, as SuperSimpleNet has it: features and map through a 5 x 5 convolution, then the means
    and the maxima of that and of the map through a linear layer."""

    def __init__(self, channels: int, rng: Rng, width: int = 128) -> None:
        super().__init__()
        self.block = nn.Sequential(
            conv(channels + 1, width, 5, rng.child("conv"), bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.last = linear(2 * width + 2, 1, rng.child("last"))

    def forward(self, features: Tensor, logits: Tensor) -> Tensor:
        """Take (B, C, H, W) features and (B, 1, H, W) logits of their cells."""
        parts = [self.block(torch.cat([features, logits], dim=1)), logits]
        pooled = [way for part in parts for way in (part.mean(dim=(2, 3)), part.amax(dim=(2, 3)))]
        out: Tensor = self.last(torch.cat(pooled, dim=1))
        return out[:, 0]


class MaskRefiner(nn.Module):
    """OneNIP's supervised refiner: a mask of four times the grid's size from where restored features differ.

    |restored - features| goes twice through a 3 x 3 convolution, BatchNorm, ReLU and a 2 x 2 transposed convolution
    of stride 2, then through a 1 x 1 convolution and a sigmoid. Train it with `refiner_loss`. Source: Gao, ECCV 2024.

    Args:
        channels: C of the features.
        width: channels inside.
        seed: of the first weights; global random state is not used.
    """

    def __init__(self, channels: int, width: int = 128, *, seed: RngLike = 0) -> None:
        super().__init__()
        rng, blocks = as_rng(seed).child("mask-refiner"), []
        for step, size in enumerate((channels, width)):
            blocks += [
                conv(size, width, 3, rng.child("conv", step), bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                _double(width, rng.child("double", step)),
            ]
        self.layers = nn.Sequential(*blocks, conv(width, 1, 1, rng.child("last")))

    def forward(self, restored: Tensor, features: Tensor) -> Tensor:
        """Return (B, 1, 4 H, 4 W) from 0 to 1 of two (B, C, H, W)."""
        out: Tensor = self.layers((restored - features).abs())
        return out.sigmoid()


def linear(size_in: int, size_out: int, rng: Rng, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer, weights Xavier-normal, bias uniform in +-1 / sqrt(size_in)."""
    layer = _SKIP_INIT(nn.Linear, size_in, size_out, bias=bias)
    assert isinstance(layer, nn.Linear)
    _fill(layer.weight, rng.child("weight").normal(layer.weight.numel()) * math.sqrt(2 / (size_in + size_out)))
    if bias:
        _fill(layer.bias, (2 * rng.child("bias").random(size_out) - 1) / math.sqrt(size_in))
    return layer


def conv(size_in: int, size_out: int, side: int, rng: Rng, *, bias: bool = True) -> nn.Conv2d:
    """Return a convolution that keeps the size, weights Kaiming-normal, bias 0."""
    layer = _SKIP_INIT(nn.Conv2d, size_in, size_out, side, padding=side // 2, bias=bias)
    assert isinstance(layer, nn.Conv2d)
    _fill(layer.weight, rng.child("weight").normal(layer.weight.numel()) * math.sqrt(2 / (size_in * side * side)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def rows_of(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B H W, C), image by image, row by row."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def checked(features: Any, channels: int | None = None, grid: Sequence[int] | None = None) -> Tensor:
    """Return features as float32 (B, C, H, W), or float64 if they are.

    Raises:
        DataError: they are of another shape or dtype, or not finite.
    """
    if not isinstance(features, torch.Tensor) or features.ndim != 4 or 0 in features.shape:
        shape = tuple(features.shape) if isinstance(features, torch.Tensor) else type(features).__name__
        raise DataError(f"features: {shape}: expected a tensor (B, C, H, W)")
    if not features.is_floating_point():
        raise DataError(f"features: {features.dtype}: expected floats")
    if channels is not None and features.shape[1] != channels:
        raise DataError(f"features: {features.shape[1]} channels: expected {channels}")
    if grid is not None and tuple(features.shape[2:]) != tuple(grid):
        raise DataError(f"features: {tuple(features.shape[2:])} cells: expected {tuple(grid)}")
    values = features if features.dtype == torch.float64 else features.float()
    if not bool(torch.isfinite(values.detach()).all()):
        raise DataError("features: NaN or infinite: expected finite values")
    return values


def stacked(what: str, parts: Sequence[Tensor] | Tensor) -> Tensor:
    """Return tensors of one shape as one, or raise DataError."""
    shapes = sorted({tuple(part.shape) for part in parts})
    if len(shapes) > 1:
        raise DataError(f"{what}: {shapes[0]} and {shapes[-1]}: expected one size")
    return torch.stack([*parts])


class Images:
    """Some of the images, in batches."""

    def __init__(
        self, features: Tensor | Sequence[Tensor], rows: Sequence[int] | None, channels: int | None = None
    ) -> None:
        self.features, self.rows = features, list(range(len(features)) if rows is None else rows)
        self.channels = channels

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self, size: int, order: Rng | None = None) -> Iterator[Tensor]:
        places = range(len(self)) if order is None else order.permutation(len(self)).tolist()
        for start in range(0, len(self), size):
            batch = [self.features[self.rows[place]] for place in places[start : start + size]]
            yield checked(stacked("features", batch), self.channels)

    def mean(self, of: Callable[[Tensor], Tensor], size: int) -> Tensor:
        """Return the mean of each channel, (C,)."""
        total = sum(of(part).double().mean(dim=(2, 3)).sum(dim=0) for part in self.batches(size))
        return torch.as_tensor(total) / len(self)


def split(rows: list[int], share: float) -> tuple[list[int], list[int]]:
    if not 0 < share < 1:
        raise ParameterError(f"`held_out`: {share}: must be > 0 and < 1")
    count = max(1, round(share * len(rows)))
    return sorted(rows[count:]), sorted(rows[:count])


def _double(width: int, rng: Rng) -> nn.ConvTranspose2d:
    layer = _SKIP_INIT(nn.ConvTranspose2d, width, width, 2, stride=2)
    assert isinstance(layer, nn.ConvTranspose2d)
    _fill(layer.weight, rng.child("weight").normal(layer.weight.numel()) * math.sqrt(2 / width))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _fill(parameter: Tensor, values: Any) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(values).reshape(parameter.shape))


def _mirrored(size: int, radius: int, device: torch.device) -> Tensor:
    places = torch.arange(-radius, size + radius, device=device).remainder(2 * size)
    return torch.where(places < size, places, 2 * size - 1 - places)
