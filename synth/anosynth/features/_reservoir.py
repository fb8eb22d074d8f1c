"""A fixed number of samples of a stream of unknown length, each with equal probability."""

from __future__ import annotations

from anosynth.seeding import Rng

from ._rows import Tensor
from ._torch import torch


def reservoir(kept: Tensor | None, seen: Tensor | None, batch: Tensor, size: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Return what is kept after a batch, and how many were seen, (1,) int64.

    Args:
        kept: (size, ...) or fewer, of which the first min(size, seen) are filled; overwritten.
        seen: (1,) int64.
        batch: (n, ...) to be added, each in place of one that is kept with probability size / (seen so far).
    """
    before = 0 if seen is None else int(seen[0])
    if kept is None or len(kept) < min(size, before + len(batch)):
        room = batch.new_zeros((size, *batch.shape[1:]))
        if kept is not None:
            room[: len(kept)] = kept
        kept = room
    draws = rng.child("reservoir").random(len(batch))
    for i, draw in enumerate(draws.tolist()):
        number = before + i
        place = number if number < size else int(draw * (number + 1))
        if place < size:
            kept[place] = batch[i]
    return kept, torch.tensor([before + len(batch)], device=batch.device)


def filled(kept: Tensor, seen: Tensor) -> Tensor:
    """Return the part that is filled, in memory of its own."""
    count = min(len(kept), int(seen[0]))
    return kept if count == len(kept) else kept[:count].clone()
