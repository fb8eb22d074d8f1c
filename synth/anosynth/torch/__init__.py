"""Anomalies made while training: data sets and transforms, for PyTorch (`pip install 'anosynth[torch]'`).

    from anosynth import Recipe
    from anosynth.torch import SyntheticDataset

    data = SyntheticDataset(photos, Recipe.read("photo-defects"), seed=1, key=names)
    loader = DataLoader(data, batch_size=8, shuffle=True, num_workers=4, persistent_workers=True)
    for epoch in range(10):
        data.set_epoch(epoch)
        for batch in loader: ...

`SyntheticDataset` and `Synthesize` take point clouds or images, as the recipe does; `Transform` stands among the other
transforms of an image pipeline. A sample is a pure function of (seed, key, epoch): workers, ranks, order and batches
change nothing, and no global random state is read or written. At epoch 0, with `probability=1`, the files' paths
relative to their root as keys and the same foreground, it is byte for byte the first variant that the command line
writes with the same recipe and seed.

`ManifestDataset` reads what the command line made: `anosynth images good/ out/`, then `ManifestDataset("out")`.
"""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("torch: not installed: anosynth.torch needs it\nhint: pip install 'anosynth[torch]'") from None

from ._dataset import SyntheticDataset
from ._items import Untouched
from ._manifest import ManifestDataset
from ._synthesize import Synthesize
from ._transform import Transform
from .clouds import concatenate

__all__ = ["ManifestDataset", "Synthesize", "SyntheticDataset", "Transform", "Untouched", "concatenate"]
