"""Which cells of a sample a generator takes: some at random, or the most salient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from anosynth.seeding import Rng

if TYPE_CHECKING:
    from ._cells import Cells
    from ._rows import Tensor

Select = Literal["random", "salient"]


def selected(cells: Cells, rng: Rng, area: float, select: Select, *, least: int = 1) -> Tensor:
    """Return the numbers of some of the K cells that may change, (k,) int64, in random order.

    Args:
        area: share of the K cells; k is rounded, and `least` at least if there are so many.
        select: `random`, or `salient`: those of the largest attention of one head, drawn at random; without attention
            those of the largest norms.
    """
    from ._cells import lengths
    from ._torch import torch

    count = min(cells.count, max(least, round(area * cells.count)))
    order = torch.from_numpy(rng.child("order").permutation(cells.count))
    if select == "salient":
        if cells.saliency is None:
            scores = cells.of_chosen(lengths(cells.rows.detach())).cpu()
        else:
            head = rng.child("head").integer(0, len(cells.saliency) - 1)
            scores = cells.saliency[head]
            scores = scores if cells.places is None else scores[cells.places.cpu()]
        # Stable, so that equal scores are taken in the drawn order, whatever the processor.
        order = order[scores[order].argsort(descending=True, stable=True)[:count]]
        order = order[torch.from_numpy(rng.child("mixed").permutation(count))]
    return order[:count].to(cells.rows.device)
