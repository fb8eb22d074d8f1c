"""Anomalies made while training: a map-style `Dataset` and a transform, for PyTorch (`pip install 'anosynth[torch]'`).

    from anosynth import Recipe
    from anosynth.torch import SyntheticDataset

    data = SyntheticDataset(clouds, Recipe.read("3d-pnas"), seed=1, key=names)
    loader = DataLoader(data, batch_size=8, shuffle=True, num_workers=4, persistent_workers=True)
    for epoch in range(10):
        data.set_epoch(epoch)
        for batch in loader: ...

A sample is a pure function of (seed, key, epoch): workers, ranks, order and batches change nothing, and no global
random state is read or written. At epoch 0, with `probability=1` and the files' paths relative to their root as keys,
it is byte for byte the first variant that the command line writes with the same recipe and seed.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from anosynth.errors import DataError, NotMade, ParameterError
from anosynth.generator import Anomaly, Generator
from anosynth.pointclouds import PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.seeding import normalise_key, stream

try:
    import torch
    from torch.utils.data import Dataset
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("torch: not installed: anosynth.torch needs it\nhint: pip install 'anosynth[torch]'") from None

__all__ = ["Synthesize", "SyntheticDataset", "Untouched", "concatenate"]

Item = dict[str, Any]
_MAX_EPOCH = 2**63 - 1


class Indexable(Protocol):
    """What a base data set must be: a list, a torch Dataset, anything with a length and an index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Untouched:
    """A sample that stays normal.

    Attributes:
        sample: the normal sample.
        reason: empty if the draw said so, else why no honest anomaly could be made of it.
        generator: the one that could not be made, if there was one.
    """

    sample: PointCloud
    reason: str = ""
    generator: Generator | None = None


class Synthesize:
    """The transform: a pure function of (sample, key, epoch) that makes a share of all samples anomalous.

    Args:
        recipe: what to draw anomalies from; a Vary, a generator or a generator class will do.
        seed: 0 is a seed like any other.
        probability: that a sample becomes anomalous, in [0, 1]. Raising it leaves the anomalies there already as
            they are and adds others.

    Raises:
        ParameterError: `probability` is out of range, or `recipe` is nothing to draw from.
    """

    def __init__(
        self, recipe: Recipe | Vary | Generator | type[Generator], *, seed: int = 0, probability: float = 0.5
    ) -> None:
        if not 0 <= probability <= 1:
            raise ParameterError(f"`probability`: {probability}: must be in [0, 1]")
        self.recipe = recipe if isinstance(recipe, (Recipe, Generator)) else Recipe([recipe])
        self.seed = operator.index(seed)
        self.probability = float(probability)

    def __call__(self, sample: Any, key: str, epoch: int = 0) -> Item:
        """Return the sample as tensors that share no memory with it.

        Returns:
            `sample`: (N, 3) points, in the dtype that came in; `mask`: (N,) bool; `effect`: (N,) float32, the signed
            displacement in file units; `label`: () int64, 1 if anomalous; `generator`: its name, or "". Points that
            are not valid come out as they came in; generators that remove or add points change N.

        Raises:
            DataError: the sample is not a cloud of points, whatever the draw says.
        """
        return _item(self.anomaly(sample, key, epoch))

    def anomaly(self, sample: Any, key: str, epoch: int = 0) -> Anomaly | Untouched:
        """Return the `Anomaly` with all that is known about it, or the `Untouched` sample."""
        cloud = _cloud(sample, key)
        if stream(self.seed, "torch.probability", key, epoch=epoch).uniform() >= self.probability:
            return Untouched(cloud)
        generator = self.recipe
        if isinstance(generator, Recipe):
            generator = generator.draw(stream(self.seed, "recipe", key, epoch=epoch))
        try:
            return generator(cloud, stream(self.seed, generator.name, key, epoch=epoch))
        except NotMade as error:
            return Untouched(cloud, str(error), generator)


class SyntheticDataset(Dataset[Item]):
    """A map-style data set of normal samples, a share of which is made anomalous as it is read.

    `data[i]` is what `Synthesize` returns, and `index`: i. `default_collate` takes items of one size; use
    `collate_fn=concatenate` for clouds of different sizes.

    Args:
        base: the normal samples: `PointCloud`, or (N, 3) float32 or float64 arrays or tensors. A `PointCloud`
            that stays in memory keeps what was found out about its surface, so that later epochs are faster.
        recipe, seed, probability: see `Synthesize`.
        key: names of the samples, which with seed and epoch decide everything: one text each, or a function from
            index to text (a plain function, not a lambda, if workers are spawned). Without it the index is the name,
            and a sample that is put in the middle changes all that follow; stable names, such as paths relative to
            the data set's root, keep them.
        epoch: the first epoch, >= 0.

    Raises:
        ParameterError: a value is out of range, or `key` has not one text of its own for each sample.
    """

    def __init__(
        self,
        base: Indexable,
        recipe: Recipe | Vary | Generator | type[Generator],
        *,
        seed: int = 0,
        probability: float = 0.5,
        key: Sequence[str] | Callable[[int], str] | None = None,
        epoch: int = 0,
    ) -> None:
        self.base = base
        self.synthesize = Synthesize(recipe, seed=seed, probability=probability)
        self._key = _checked_keys(key, len(base)) if key is not None and not callable(key) else key
        # Persistent workers hold their copy of this object for good; shared memory is what still reaches them.
        self._epoch = _shared(torch.zeros(1, dtype=torch.int64))
        self.set_epoch(epoch)

    @property
    def epoch(self) -> int:
        return int(self._epoch[0])

    def set_epoch(self, epoch: int) -> None:
        """Draw other anomalies from now on, here and in workers that run already; call it between two epochs.

        Raises:
            ParameterError: `epoch` is negative.
        """
        number = operator.index(epoch)
        if not 0 <= number <= _MAX_EPOCH:
            raise ParameterError(f"`epoch`: {number}: must be >= 0 and fit into 64 bits")
        self._epoch[0] = number

    def key(self, index: int) -> str:
        """Return the name of a sample."""
        if self._key is None:
            return f"{index}"
        name = self._key(index) if callable(self._key) else self._key[index]
        if not isinstance(name, str):
            raise ParameterError(f"`key` of sample {index}: {name!r}: must be a text")
        return name

    def anomaly(self, index: int) -> Anomaly | Untouched:
        """Return sample `index` of the present epoch with all that is known about it."""
        row = range(len(self))[operator.index(index)]
        return self.synthesize.anomaly(self.base[row], self.key(row), self.epoch)

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> Item:
        row = range(len(self))[operator.index(index)]
        return {**_item(self.anomaly(row)), "index": row}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        # A plain pickle or a deep copy brings the epoch by value, in memory that workers would not share.
        self._epoch = _shared(self._epoch)


def concatenate(items: Sequence[Item]) -> Item:
    """Collate items of any sizes: M points of all B samples in a row.

    Returns:
        `sample` (M, 3), `mask` (M,), `effect` (M,) as in the items; `batch` (M,) int64, which of the B samples each
        point is of; `label` (B,) int64; `generator`, a list of B names; `index` (B,) int64 if the items have it.
    """
    sizes = torch.tensor([len(item["mask"]) for item in items])
    batch: Item = {name: torch.cat([item[name] for item in items]) for name in ("sample", "mask", "effect")}
    batch["batch"] = torch.repeat_interleave(torch.arange(len(items)), sizes)
    batch["label"] = torch.stack([item["label"] for item in items])
    batch["generator"] = [item["generator"] for item in items]
    if all("index" in item for item in items):
        batch["index"] = torch.tensor([item["index"] for item in items])
    return batch


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    untyped: Any = tensor  # torch leaves this one method without types
    untyped.share_memory_()
    return tensor


def _item(found: Anomaly | Untouched) -> Item:
    points = torch.from_numpy(np.array(found.sample.points, order="C"))
    if isinstance(found, Untouched):
        mask = torch.zeros(len(points), dtype=torch.bool)
        effect, name = torch.zeros(len(points), dtype=torch.float32), ""
    else:
        mask = torch.from_numpy(np.array(found.mask, dtype=np.bool_))
        effect, name = torch.from_numpy(np.array(found.effect, dtype=np.float32)), found.generator.name
    label = torch.tensor(int(isinstance(found, Anomaly)), dtype=torch.int64)
    return {"sample": points, "mask": mask, "effect": effect, "label": label, "generator": name}


def _cloud(sample: Any, key: str) -> PointCloud:
    if isinstance(sample, PointCloud):
        return sample
    if isinstance(sample, torch.Tensor) and sample.dtype in (torch.float32, torch.float64):
        sample = sample.detach().cpu().numpy()
    if not isinstance(sample, np.ndarray):
        kind = f"{sample.dtype} tensor" if isinstance(sample, torch.Tensor) else type(sample).__name__
        raise DataError(f"sample `{key}`: {kind}: expected a PointCloud or (N, 3) float32 or float64 points")
    try:
        return PointCloud(sample)
    except DataError as error:
        raise DataError(f"sample `{key}`: {error}") from None


def _checked_keys(keys: Sequence[str], count: int) -> list[str]:
    names = list(keys)
    if isinstance(keys, str) or len(names) != count:
        raise ParameterError(f"`key`: {len(names)} names: must be one for each of the {count} samples")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str):
            raise ParameterError(f"`key`: {name!r}: must be a text\nhint: such as the path relative to the root")
        if normalise_key(name) in seen:
            raise ParameterError(f"`key`: {name!r}: two samples have it, and would get one and the same draw")
        seen.add(normalise_key(name))
    return names
