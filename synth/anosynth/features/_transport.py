"""Entropic optimal transport, in logarithms."""

from __future__ import annotations

import math

from ._rows import Tensor
from ._torch import torch

_CHECKED = 10
_CLOSE = 1e-9


def sinkhorn(cost: Tensor, reg: float, iterations: int) -> Tensor:
    """Return the plan (N, M) that minimises <T, cost> + reg sum T (log T - 1) with uniform marginals 1/N and 1/M.

    Both scalings are kept as logarithms, so that small `reg` does not underflow; every round sets the rows' marginals
    and then the columns', which therefore hold to rounding. It ends when the rows hold to 1e-9 in sum.

    Source: Cuturi, NeurIPS 2013; Schmitzer, SIAM J. Sci. Comput. 2019, for the logarithms.

    Args:
        cost: (N, M) float64.
        reg: > 0, in units of the cost.
        iterations: number of rounds at most.
    """
    scaled = cost / -reg
    rows, columns = -math.log(cost.shape[0]), -math.log(cost.shape[1])
    g = torch.zeros(cost.shape[1], dtype=cost.dtype, device=cost.device)
    f = torch.zeros(cost.shape[0], dtype=cost.dtype, device=cost.device)
    for number in range(1, iterations + 1):
        f = rows - torch.logsumexp(scaled + g[None, :], dim=1)
        g = columns - torch.logsumexp(scaled + f[:, None], dim=0)
        if number % _CHECKED == 0:
            off = (torch.logsumexp(scaled + g[None, :], dim=1) + f).exp() - 1 / cost.shape[0]
            if float(off.abs().sum()) < _CLOSE:
                break
    return (scaled + f[:, None] + g[None, :]).exp()


def fused_cost(features: Tensor, prototypes: Tensor, where: Tensor, there: Tensor, alpha: float) -> Tensor:
    """Return (N, M) float64: (1 - alpha) (1 - cos) + alpha distance, each of the two divided by its largest.

    Args:
        features, prototypes: (N, C) and (M, C).
        where, there: (N, 2) and (M, 2) coordinates from 0 to 1.
    """
    cost = torch.zeros((len(features), len(prototypes)), dtype=torch.float64, device=features.device)
    if alpha < 1:
        unlike = 1 - _units(features) @ _units(prototypes).T
        cost += (1 - alpha) * unlike / unlike.max().clamp_min(1e-12)
    if alpha > 0:
        apart = torch.cdist(where.double(), there.double(), compute_mode="donot_use_mm_for_euclid_dist")
        cost += alpha * apart / apart.max().clamp_min(1e-12)
    return cost


def _units(rows: Tensor) -> Tensor:
    wide = rows.double()
    return wide / (wide * wide).sum(dim=1, keepdim=True).sqrt().clamp_min(1e-300)
