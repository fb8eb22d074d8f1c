"""One sample outside of training: the `Anomaly` that every family gives."""

from __future__ import annotations

from typing import Any

import numpy as np

from anosynth.errors import DataError, Impossible
from anosynth.generator import Anomaly
from anosynth.seeding import Rng

from ._base import FeatureGenerator
from ._cells import Cells, lengths
from ._masks import masks_of, saliency_of
from ._module import check_learned, places_of, synthesise
from ._rows import Tensor, changed, check_finite, layout_of
from ._sample import Features
from ._torch import torch


def anomaly(generator: FeatureGenerator, sample: Any, rng: Rng) -> Anomaly:
    """Return the anomaly of one sample, (C, H, W) or (P, C): array, tensor or `Features`.

    Raises:
        DataError: this draw changed nothing, or no float of the sample's dtype can hold what it gave.
        Impossible: no draw would help: it is no sample, or nothing was learned.
    """
    given = sample if isinstance(sample, Features) else Features(sample)
    try:
        x = _tensor(given.values)
        if x.ndim not in (2, 3):
            raise DataError(f"features: {tuple(x.shape)}: expected (C, H, W) or (P, C)")
        layout = layout_of(x[None], 1 if x.ndim == 3 else 2, 0, given.grid)
        rows = layout.rows(x[None])[0]
        check_finite([rows])
        state = given.module.state() if given.module is not None else {}
        check_learned(generator, state, layout)
        allowed = masks_of("mask", given.mask, layout, x.device)
        saliency = None if given.saliency is None else saliency_of(given.saliency, layout.cells)
    except DataError as error:
        raise Impossible(str(error)) from None
    free = None if allowed is None else allowed[0]
    cells = Cells(
        rows=rows,
        places=places_of(generator, layout.grid, free, rng, x, full=True),
        grid=layout.grid,
        state=state,
        scorer=None if given.module is None else given.module.scorer,
        saliency=saliency,
    )
    with torch.no_grad():
        new, drawn = synthesise([generator], [cells], [rng])[0]
        before, rounded = rows.to(x.dtype), new.to(x.dtype)
        differ = changed(before, rounded)
        # A cell whose values are equal keeps its bits too: 0 may have become -0.
        rounded = torch.where(differ[:, None], rounded, before)
        moved = lengths(rounded.to(rows.dtype) - rows)
        check_result(rounded, moved)
    if not bool(differ.any()):
        raise DataError("no cell changed")
    shape = layout.grid or (layout.cells,)
    mask = differ.cpu().numpy().reshape(shape)
    stats = {"area": float(mask.mean()), "leak": 0.0, "dead": 0.0, **_sizes(rows, moved, differ)}
    stats |= {name: value.item() if isinstance(value, torch.Tensor) else value for name, value in drawn.items()}
    after = layout.back([rounded], x[None])[0]
    out = after if isinstance(given.values, torch.Tensor) else after.numpy()
    return Anomaly(
        Features(out, given.module, given.mask, given.grid, given.saliency) if isinstance(sample, Features) else out,
        mask,
        np.where(mask, moved.cpu().numpy().reshape(shape), 0).astype(np.float32),
        mask.astype(np.uint16),
        generator,
        stats,
        before=sample,
    )


def check_result(after: Tensor, moved: Tensor) -> None:
    """Raise DataError if a value, or the length of a displacement, is too large for its dtype."""
    if not bool(torch.isfinite(after).all() & torch.isfinite(moved).all()):
        raise DataError(f"a value too large for {str(after.dtype).removeprefix('torch.')}")


def _sizes(rows: Tensor, moved: Tensor, inside: Tensor) -> dict[str, float]:
    """Return the mean displacement of the cells that changed, by itself and as a share of the features' norms."""
    there = lengths(rows)[inside].to("cpu", torch.float64).numpy()
    length = moved[inside].to("cpu", torch.float64).numpy()
    some = there > 0
    share = float((length[some] / there[some]).mean()) if some.any() else 0.0
    return {"displacement": float(length.mean()), "relative": share}


def _tensor(values: Any) -> Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach()
    array = np.array(values, order="C")
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise DataError(f"features: {array.dtype}: expected float16, float32 or float64")
    return torch.from_numpy(array)
