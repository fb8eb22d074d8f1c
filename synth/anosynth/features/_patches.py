"""Patch features as PBAS, GLASS and SimpleNet make them of a backbone's maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anosynth.errors import DataError, ParameterError

from ._heads import stacked
from ._torch import F, nn, torch

if TYPE_CHECKING:
    from .backbone import Backbone

Tensor = torch.Tensor


class Patches(nn.Module):
    """Images to one feature vector for each cell of the first layer's grid.

    Of each layer, the vectors of the `patch` x `patch` cells around a cell (zeros beyond the border) are put in a row,
    channel by channel, and pooled to `pretrain_dim` numbers; other layers' grids are resized bilinearly to that of
    the first. All layers' numbers, layer by layer, are pooled to `target_dim`. Source: PatchCore (Roth et al. 2022),
    as used by PBAS.

    Args:
        backbone: one, or the name of one.
        layers: names of its layers, the first of which gives the grid; the backbone's own choice if None.
        patch: cells on a side, odd.
        pretrain_dim: numbers of a layer; 1536 as in PBAS. More than patch^2 x channels only repeats them.
        target_dim: channels C of the result.

    Raises:
        ParameterError: there is no such layer, or a number is out of range.
    """

    def __init__(
        self,
        backbone: Backbone | str = "filters",
        layers: Sequence[str] | None = None,
        *,
        patch: int = 3,
        pretrain_dim: int = 1536,
        target_dim: int = 1536,
    ) -> None:
        super().__init__()
        if patch < 1 or patch % 2 == 0:
            raise ParameterError(f"`patch`: {patch}: must be odd and >= 1")
        for name, number in (("pretrain_dim", pretrain_dim), ("target_dim", target_dim)):
            if number < 1:
                raise ParameterError(f"`{name}`: {number}: must be >= 1")
        self.backbone = _made(backbone)
        self.layers = self.backbone.layers if layers is None else self.backbone.known(layers)
        self.patch, self.pretrain_dim, self.target_dim = patch, pretrain_dim, target_dim

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return (B, target_dim, H, W) of (B, C, height, width) images; see `Backbone` for what they may be."""
        maps = self.backbone(images, self.layers)
        return aggregate(maps, patch=self.patch, pretrain_dim=self.pretrain_dim, target_dim=self.target_dim)

    def batches(self, images: Sequence[Tensor] | Tensor, size: int = 8) -> Tensor:
        """Return the features of many images (N, target_dim, H, W), made `size` at a time.

        Args:
            images: (N, C, H, W), or a sequence of (C, H, W) of one size.
            size: of a batch, >= 1.

        Raises:
            DataError: there are no images, or they are not of one size.
        """
        if not len(images):
            raise DataError("images: none: expected at least one")
        return torch.cat([self(stacked("images", images[at : at + size])) for at in range(0, len(images), size)])


def patchify(maps: Tensor, patch: int = 3) -> Tensor:
    """Return (B, C patch^2, H, W): each cell's neighbourhood, stride 1, zeros beyond the border.

    Channel c patch^2 + row patch + column is channel c of the cell at (row, column) of the neighbourhood.
    """
    rows = F.unfold(maps, patch, padding=patch // 2)
    return rows.view(len(maps), -1, *maps.shape[2:])


def aggregate(maps: Sequence[Tensor], *, patch: int = 3, pretrain_dim: int = 1536, target_dim: int = 1536) -> Tensor:
    """Return (B, target_dim, H, W) on the grid of the first of `maps`, each (B, C_i, H_i, W_i); see `Patches`."""
    grid = maps[0].shape[2:]
    layers = []
    for layer in maps:
        # Pooling over channels and resizing over cells are linear on different axes: the cheaper one goes first.
        pooled = _pooled(patchify(layer, patch), pretrain_dim)
        if pooled.shape[2:] != grid:
            pooled = F.interpolate(pooled, size=grid, mode="bilinear", align_corners=False)
        layers.append(pooled)
    return _pooled(torch.cat(layers, dim=1), target_dim).contiguous()


def _pooled(maps: Tensor, size: int) -> Tensor:
    """(B, C, H, W) -> (B, size, H, W) by the means of runs of channels, as adaptive pooling cuts them."""
    rows = F.adaptive_avg_pool1d(maps.flatten(2).transpose(1, 2), size)
    return rows.transpose(1, 2).reshape(len(maps), size, *maps.shape[2:])


def _made(net: Backbone | str) -> Backbone:
    from .backbone import Backbone, backbone

    if isinstance(net, str):
        return backbone(net)
    if not isinstance(net, Backbone):
        raise ParameterError(f"`backbone`: {type(net).__name__}: expected a Backbone or a name")
    return net
