"""Losses of the discriminators, on logits that grow with the anomaly, and the optimisers that go with them.

A class without a cell adds nothing to a loss.
"""

from __future__ import annotations

from typing import Any

from ._torch import F, torch

Tensor = torch.Tensor


def bce(normal: Tensor, anomalous: Tensor) -> Tensor:
    """Return BCE(D(u), 0) + BCE(D(a), 1), each a mean, of (K,) and (L,) logits: PBAS and GLASS."""
    return _mean(F.softplus(normal)) + _mean(F.softplus(-anomalous))


def truncated_l1(normal: Tensor, anomalous: Tensor, margin: float = 0.5) -> Tensor:
    """Return mean max(0, margin + s_u) + mean max(0, margin - s_a) of (K,) and (L,) scores: SimpleNet.

    SimpleNet's discriminator grows with normality; s is its negative.
    """
    return _mean((margin + normal).clamp(min=0)) + _mean((margin - anomalous).clamp(min=0))


def focal(logits: Tensor, target: Tensor, gamma: float = 4.0) -> Tensor:
    """Return the mean of -(1 - p)^gamma log p, p the probability given to the truth (Lin et al. 2017, without alpha).

    Args:
        logits: any shape.
        target: the same shape, bool, or 0 and 1.
        gamma: 4 in SuperSimpleNet; 0 gives plain cross entropy.
    """
    right = torch.where(target > 0, logits, -logits)
    # log p and 1 - p by functions that are exact at both ends; a power of exactly 0 has no finite slope below 1.
    return _mean(F.softplus(-right) * torch.exp(-gamma * F.softplus(right)))


def l1_focal(logits: Tensor, target: Tensor, image_logits: Tensor, labels: Tensor) -> Tensor:
    """Return truncated L1 and focal loss of the cells and focal loss of the images: SuperSimpleNet.

    Args:
        logits, target: (K,) of all cells, `target` bool.
        image_logits, labels: (B,), `labels` bool.
    """
    cells = truncated_l1(logits[~target], logits[target]) + focal(logits, target)
    return cells + focal(image_logits, labels)


def centre_distance(rows: Tensor, centres: Tensor) -> Tensor:
    """Return (K,) distances ||u - c*|| of (K, C) rows to the centre c* of (M, C) of greatest cosine: ABL of PBAS.

    The gradient reaches the rows alone, and is 0 where the distance is 0.
    """
    with torch.no_grad():
        units = F.normalize(centres, dim=1)
        chosen = torch.cat([(part @ units.T).argmax(dim=1) for part in torch.split(F.normalize(rows, dim=1), 4096)])
    squares = (rows - centres.detach()[chosen]).square().sum(dim=1)
    nothing = squares == 0
    return squares.masked_fill(nothing, 1.0).sqrt().masked_fill(nothing, 0.0)


def dice(predicted: Tensor, mask: Tensor, smooth: float = 1.0) -> Tensor:
    """Return 1 - (2 sum(p g) + smooth) / (sum(p^2) + sum(g^2) + smooth), the mean over images.

    Args:
        predicted: (B, ...) from 0 to 1.
        mask: the same shape, bool, or 0 to 1.
    """
    p, g = predicted.flatten(1), mask.to(predicted.dtype).flatten(1)
    overlap = 2 * (p * g).sum(dim=1) + smooth
    return (1 - overlap / ((p * p).sum(dim=1) + (g * g).sum(dim=1) + smooth)).mean()


def refiner_loss(
    predicted: Tensor,
    mask: Tensor,
    restored: Tensor | None = None,
    target: Tensor | None = None,
    *,
    dice_weight: float = 0.5,
    mse_weight: float = 1.0,
) -> Tensor:
    """Return dice_weight x Dice of the mask + mse_weight x mean squared error of the restored features: OneNIP.

    Args:
        predicted: (B, 1, h, w) from `MaskRefiner`; mask: the truth, the same shape.
        restored, target: (B, C, H, W) features as restored, and those of the normal image; without them it is the
            Dice part alone.
    """
    loss = dice_weight * dice(predicted, mask)
    if restored is not None and target is not None:
        loss = loss + mse_weight * F.mse_loss(restored, target)
    return loss


def optimizers_of(
    loss: str, adaptor: list[Any], heads: list[Any], rates: tuple[float, float], epochs: int
) -> tuple[list[Any], list[Any]]:
    """Return the optimisers that go with a loss, and their schedules, which step once an epoch.

    "bce" (PBAS) has Adam with weight decay 1e-5 for the adaptor and AdamW for the discriminator; "truncated-l1"
    (SimpleNet) the other way round; "l1-focal" (SuperSimpleNet) AdamW for both, with rates x 0.4 at 80 and 90 %.
    """
    adam, adamw = (torch.optim.Adam, 1e-5), (torch.optim.AdamW, 1e-2)
    kinds: dict[str, Any] = {"bce": (adam, adamw), "truncated-l1": (adamw, adam), "l1-focal": (adamw, adamw)}
    made = [
        kind(parameters, lr=rate, weight_decay=decay)
        for parameters, rate, (kind, decay) in zip((adaptor, heads), rates, kinds[loss], strict=True)
        if parameters
    ]
    if loss != "l1-focal":
        return made, []
    stages = [int(0.8 * epochs), int(0.9 * epochs)]
    return made, [torch.optim.lr_scheduler.MultiStepLR(one, stages, gamma=0.4) for one in made]


def _mean(values: Tensor) -> Tensor:
    return values.mean() if values.numel() else values.sum()
