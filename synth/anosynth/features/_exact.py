"""Random combinations of stored samples by matrix products whose every sum is exact.

A matrix product adds in an order that depends on the processor, the number of threads and the size of the batch. If
all its terms are whole multiples of one number, and no sum reaches 2^53 times that number, float64 rounds nowhere, so
no order can be told from another. Weights are multiples of 2^-17 by their making; the samples are rounded to as many
bits as that leaves, 24 for 200 samples, which is what float32 has for the largest of them.
"""

from __future__ import annotations

import math

from anosynth.seeding import Rng

from ._cells import Cells
from ._normals import BITS, LARGEST
from ._rows import Tensor
from ._torch import torch

_MOST = 24
_BLOCK = 1 << 20


def quantised(samples: Tensor) -> None:
    """Round (N, ...) samples in place, to whole multiples of one power of two."""
    top = max(float(sample.abs().max()) for sample in samples)
    if top == 0:
        return
    # A weight less the mean of all is below 2 LARGEST, and the rest of a sum below N times that.
    spare = 53 - BITS - int(math.log2(2 * LARGEST)) - math.ceil(math.log2(len(samples)))
    quantum = 2.0 ** (math.frexp(top)[1] - min(spare, _MOST))
    for sample in samples:
        sample.copy_((sample.double() / quantum).round() * quantum)


def weights(cells: Cells, rng: Rng, count: int, samples: int) -> Tensor:
    """Return (count, samples) float64: normals less their mean in each row, as whole multiples of 2^-17.

    Rows sum to 0 exactly, so that samples need not be centred; what the mean leaves over, below 2^-17 each, is taken
    off the first weights.
    """
    whole = (cells.normal(rng, count, samples).double() * 2.0**BITS).round()
    total = whole.sum(dim=1, keepdim=True)
    each = (total / samples).floor()
    left = total - each * samples
    first = torch.arange(samples, device=whole.device) < left
    return (whole - each - first.to(whole.dtype)) * 2.0**-BITS


def combined(out: Tensor, table: Tensor, samples: Tensor, targets: Tensor, sources: Tensor) -> None:
    """Add to (P, B, C) float64 `out`, at each target cell, the samples of its source cell weighted by its weights.

    Args:
        table: (P, B, N) float64 weights.
        samples: (N, P, C).
        targets, sources: (K,) int64.
    """
    count, _, channels = samples.shape
    step = max(1, _BLOCK // (count * channels))
    # Blocks that stay in the cache, in memory that is taken once: fresh pages would cost more than the product.
    narrow = samples.new_zeros((count, step, channels))
    wide = narrow.double()
    for start in range(0, len(targets), step):
        block = targets[start : start + step]
        if len(block) < step:
            narrow, wide = narrow[:, : len(block)].contiguous(), wide[:, : len(block)].contiguous()
        torch.index_select(samples, 1, sources[start : start + step], out=narrow)
        wide.copy_(narrow)
        out[block] += torch.bmm(table[block], wide.transpose(0, 1))
