"""Features without weights: Gaussian derivatives, gradients and local statistics at three scales, in plain torch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ._torch import F, torch
from .backbone import Backbone

Tensor = torch.Tensor

_SIGMA = 1.0
_CELL = 4


class Filters(Backbone):
    """Bank of filters at three scales, each octave on an image of half the size: strides 4, 8 and 16.

    Each channel gives 15 maps at each scale, means over cells of 4 x 4 pixels of that octave: brightness and its local
    deviation; the gradient's magnitude, and its direction as cos and sin of the doubled angle times the magnitude;
    first derivatives, rising and falling apart (4); second derivatives, positive and negative apart (6). Derivatives
    are of Gaussians with a sigma of one pixel of the octave. A map of stride s is ceil(H / s) x ceil(W / s).
    The doubled angle is from Granlund 1978; the choice of the set is ours.
    """

    channels = ()
    smooth: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, layers: Sequence[str] | None = None) -> None:
        wanted = ("scale1", "scale2") if layers is None else layers
        super().__init__("filters", ("scale1", "scale2", "scale4"), wanted)
        for name, kernel in zip(("smooth", "first", "second"), _kernels(_SIGMA), strict=True):
            self.register_buffer(name, kernel, persistent=False)

    def maps(self, images: Tensor, layers: Sequence[str]) -> list[Tensor]:
        last = max(self.available.index(name) for name in layers)
        x, found = images, {}
        # Squares of small numbers do not survive half precision.
        with torch.autocast(images.device.type, enabled=False):
            for octave, name in enumerate(self.available[: last + 1]):
                if octave:
                    x = self._along(self._along(x, self.smooth, 2), self.smooth, 3)[:, :, ::2, ::2]
                if name in layers:
                    found[name] = self._responses(x)
        return [found[name] for name in layers]

    def _responses(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 15 C, H / 4, W / 4), sizes rounded up."""
        rows = [self._along(x, kernel, 2) for kernel in (self.smooth, self.first, self.second)]
        mean, dx, dxx = (self._along(rows[0], kernel, 3) for kernel in (self.smooth, self.first, self.second))
        dy, dxy = (self._along(rows[1], kernel, 3) for kernel in (self.smooth, self.first))
        dyy = self._along(rows[2], self.smooth, 3)
        square = self._along(self._along(x * x, self.smooth, 2), self.smooth, 3)
        size = (dx * dx + dy * dy + 1e-12).sqrt()
        parts = [mean, (square - mean * mean).clamp(min=0).add(1e-12).sqrt(), size]
        parts += [(dx * dx - dy * dy) / size, 2 * dx * dy / size]
        for signed in (dx, dy, dxx, dyy, dxy):
            parts += [signed.clamp(min=0), (-signed).clamp(min=0)]
        return F.avg_pool2d(torch.cat(parts, dim=1), _CELL, ceil_mode=True)

    def _along(self, x: Tensor, kernel: Tensor, dim: int) -> Tensor:
        # Three times as fast on a processor as conv2d of single channels.
        radius, size = len(kernel) // 2, x.shape[dim]
        wide = F.pad(x, (0, 0, radius, radius) if dim == 2 else (radius, radius, 0, 0), mode="replicate")
        out = wide.narrow(dim, 0, size) * kernel[0]
        for place in range(1, len(kernel)):
            out.addcmul_(wide.narrow(dim, place, size), kernel[place])
        return out


def _kernels(sigma: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return a Gaussian and its derivatives: of 1, x and x^2 / 2 they give exactly 1, 1 and 1."""
    radius = math.ceil(4 * sigma)
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    bell = torch.exp(-0.5 * (x / sigma) ** 2)
    smooth = bell / bell.sum()
    first = x * smooth / (x * x * smooth).sum()
    second = (x * x / sigma**2 - 1) * smooth
    second = second - second.sum() * smooth
    second = second / (0.5 * x * x * second).sum()
    return smooth.float(), first.float(), second.float()
