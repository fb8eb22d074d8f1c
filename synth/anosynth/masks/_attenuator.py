"""The network that finds what to attenuate, after FADeR."""

from __future__ import annotations

from typing import Any

from anosynth.errors import DataError, ParameterError
from anosynth.noise._check import whole
from anosynth.seeding import RngLike, as_rng

try:
    import torch
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError(
        "torch: not installed: anosynth.masks.Attenuator needs it\nhint: pip install 'anosynth[torch]'"
    ) from None

import torch.nn.functional as F
from torch import nn

from anosynth.features._heads import linear

from ._mosaic import attenuate

Tensor = torch.Tensor

_POOLS: dict[int, Any] = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


class Attenuator(nn.Module):
    """Two linear layers that say of every patch feature how defective it looks, and turn it down by that much.

    m = sigmoid(W2 gelu(W1 u + b1) + b2) for the feature u of a patch, and what leaves is u (1 - m). It stands on the
    skip connection of a trained reconstructing detector, whose own weights do not change, and learns from targets by
    patch that come from that detector's reconstruction errors:

        module.calibrate(errors_of_normal_images)
        loss = module.loss(features, module.targets(errors, features.shape[2:]))

    Source: FADeR (Park et al., 2024): two layers, a soft mask that multiplies, targets by patch from the
    reconstruction error of a trained detector. Its code is not public. Ours: the hidden width, GELU, the mapping
    of errors to targets, the loss, and that the last layer begins with weights of 0 and a bias of -4, so that an
    untrained module lets 98 % of everything pass.

    Args:
        channels: C of the features.
        hidden: width of the first layer, a quarter of the channels by default.
        channel_dim: their axis, not that of the batch; 1 for (B, C, H, W), -1 for (B, P, C).
        seed: of the first weights; global random state is not used.
    """

    low: Tensor
    high: Tensor

    def __init__(self, channels: int, hidden: int | None = None, *, channel_dim: int = 1, seed: RngLike = 0) -> None:
        super().__init__()
        width = max(1, channels // 4) if hidden is None else hidden
        if min(whole("channels", channels), whole("hidden", width)) < 1:
            raise ParameterError(f"channels, hidden: {channels}, {width}: expected at least 1")
        if whole("channel_dim", channel_dim) == 0:
            raise ParameterError("channel_dim: 0: expected another dimension than that of the batch")
        rng = as_rng(seed).child("attenuator")
        self.channels, self.channel_dim = channels, channel_dim
        self.first = linear(channels, width, rng.child("first"))
        self.last = linear(width, 1, rng.child("last"))
        with torch.no_grad():
            self.last.weight.zero_()
            self.last.bias.fill_(-4.0)
        self.register_buffer("low", torch.tensor(float("nan")))
        self.register_buffer("high", torch.tensor(float("nan")))

    def logits(self, features: Tensor) -> Tensor:
        """Return the soft mask before its sigmoid: the shape of the features, with one channel."""
        dim = self.channel_dim
        if not -features.ndim <= dim < features.ndim or features.shape[dim] != self.channels:
            raise DataError(f"features: {tuple(features.shape)}: expected {self.channels} channels in dimension {dim}")
        rows = features.movedim(dim, -1)
        out: Tensor = self.last(F.gelu(self.first(rows)))
        moved: Tensor = out.movedim(-1, dim)
        return moved

    def soft_mask(self, features: Tensor) -> Tensor:
        """Return how defective each patch looks, 0 to 1: the shape of the features, with one channel."""
        mask: Tensor = torch.sigmoid(self.logits(features))
        return mask

    def forward(self, features: Tensor) -> Tensor:
        """Return the attenuated features."""
        out: Tensor = attenuate(features, self.soft_mask(features), channel_dim=self.channel_dim)
        return out

    def calibrate(self, errors: Tensor, *, low: float = 0.5, high: float = 0.99) -> Attenuator:
        """Learn which reconstruction errors are normal; needed once, before `targets`.

        Args:
            errors: those of normal images by element, any shape.
            low, high: quantiles of them; errors up to the first are to pass, errors from the second on to vanish.

        Raises:
            DataError: there are none, they are not finite, or they do not differ.
        """
        if not 0 <= low < high <= 1:
            raise ParameterError(f"low, high: {low}, {high}: expected 0 to 1, low below high")
        values = errors.detach().flatten().float().sort().values
        if not len(values) or not bool(values.isfinite().all()):
            raise DataError(f"errors: {tuple(errors.shape)}: expected finite values, at least one")
        ends = [values[round(share * (len(values) - 1))] for share in (low, high)]
        if not ends[0] < ends[1]:
            raise DataError(f"errors: both quantiles are {float(ends[0]):g}: expected errors that differ")
        self.low.copy_(ends[0])
        self.high.copy_(ends[1])
        return self

    def targets(self, errors: Tensor, grid: Any) -> Tensor:
        """Return what the soft mask should be by patch: its mean error, from 0 at `low` to 1 at `high`.

        Args:
            errors: (B, *shape) or (B, 1, *shape), reconstruction errors of elements.
            grid: number of patches along each axis.

        Returns:
            (B, 1, *grid) float32, without gradient.

        Raises:
            DataError: the module is not calibrated, or the errors have another number of axes.
        """
        cells = tuple(int(size) for size in grid)
        if not bool(self.low < self.high):
            raise DataError("errors: not calibrated: expected calibrate(errors of normal images) before")
        maps = errors.detach().float()
        if maps.ndim == len(cells) + 1:
            maps = maps[:, None]
        if len(cells) not in _POOLS or maps.ndim != len(cells) + 2 or maps.shape[1] != 1:
            form = f"(B, *shape) or (B, 1, *shape) for a grid of {cells}"
            raise DataError(f"errors: {tuple(errors.shape)}: expected {form}")
        pooled: Tensor = _POOLS[len(cells)](maps, cells)
        return ((pooled - self.low) / (self.high - self.low)).clamp(0, 1)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return the mean binary cross entropy between the soft mask and its targets of the same shape."""
        logits = self.logits(features)
        if logits.shape != targets.shape:
            raise DataError(f"targets: {tuple(targets.shape)}: expected {tuple(logits.shape)}")
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, calibrated={bool(self.low < self.high)}"
