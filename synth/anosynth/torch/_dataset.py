"""A map-style data set of normal samples, a share of which is made anomalous as it is read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch.utils.data import Dataset

from anosynth.errors import ParameterError
from anosynth.generator import Anomaly
from anosynth.seeding import normalise_key

from ._items import Epoch, Item, Untouched
from ._synthesize import Drawable, Synthesize
from .images import Found


class Indexable(Protocol):
    """What a base data set must be: a list, a torch Dataset, anything with a length and an index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class SyntheticDataset(Dataset[Item]):
    """A map-style data set of normal samples, a share of which is made anomalous as it is read.

    `data[i]` is what `Synthesize` returns, and `index`: i. `default_collate` takes items of one size; use
    `collate_fn=concatenate` for clouds of different sizes.

    Args:
        base: the normal samples, in any form that `Synthesize` takes. A `PointCloud` that stays in memory keeps what
            was found out about its surface, so that later epochs are faster.
        recipe, seed, probability, foreground: see `Synthesize`.
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
        recipe: Drawable,
        *,
        seed: int = 0,
        probability: float = 0.5,
        foreground: str | Found = "none",
        key: Sequence[str] | Callable[[int], str] | None = None,
        epoch: int = 0,
    ) -> None:
        self.base = base
        self.synthesize = Synthesize(recipe, seed=seed, probability=probability, foreground=foreground)
        self._key = _checked_keys(key, len(base)) if key is not None and not callable(key) else key
        self._epoch = Epoch(epoch)

    @property
    def epoch(self) -> int:
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """Draw other anomalies from now on, here and in workers that run already; call it between two epochs.

        Raises:
            ParameterError: `epoch` is negative.
        """
        self._epoch.set(epoch)

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
        return {**self.synthesize(self.base[row], self.key(row), self.epoch), "index": row}


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
