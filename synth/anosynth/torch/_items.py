"""What all of them share: the item that a sample becomes, and an epoch that reaches running workers."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from anosynth.errors import ParameterError
from anosynth.generator import Anomaly, Generator

Item = dict[str, Any]
_MAX_EPOCH = 2**63 - 1


@dataclass(frozen=True, eq=False)
class Untouched:
    """A sample that stays normal.

    Attributes:
        sample: the normal sample, a `PointCloud` or an `Image`.
        reason: empty if the draw said so, else why no honest anomaly could be made of it.
        generator: the one that could not be made, if there was one.
    """

    sample: Any
    reason: str = ""
    generator: Generator | None = None


class Epoch:
    """A number >= 0 that is seen by worker processes too, those included that run already."""

    def __init__(self, number: int) -> None:
        # Persistent workers hold their copy of everything for good; shared memory is what still reaches them.
        self._number = _shared(torch.zeros(1, dtype=torch.int64))
        self.set(number)

    def get(self) -> int:
        return int(self._number[0])

    def set(self, epoch: int) -> None:
        number = operator.index(epoch)
        if not 0 <= number <= _MAX_EPOCH:
            raise ParameterError(f"`epoch`: {number}: must be >= 0 and fit into 64 bits")
        self._number[0] = number

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        # A plain pickle or a deep copy brings the number by value, in memory that workers would not share.
        self._number = _shared(self._number)


def item_of(found: Anomaly | Untouched, family: Any) -> Item:
    """Return the tensors of a sample, in memory of their own; `family` is the module `clouds` or `images`."""
    shape = family.elements(found.sample)
    if isinstance(found, Anomaly):
        mask, effect, instances = found.mask, found.effect, found.instances
    else:
        mask, effect, instances = (np.zeros(shape, dtype=kind) for kind in (np.bool_, np.float32, np.uint16))
    labels = {
        name: torch.from_numpy(np.array(values, dtype=kind, order="C").reshape(family.labels(shape)))
        for name, values, kind in (
            ("mask", mask, np.bool_),
            ("effect", effect, np.float32),
            # To this day torch can do little with uint16.
            ("instances", instances, np.int32),
        )
    }
    return {
        "sample": torch.from_numpy(family.values(found.sample)),
        **labels,
        "label": torch.tensor(int(isinstance(found, Anomaly)), dtype=torch.int64),
        "generator": found.generator.name if isinstance(found, Anomaly) else "",
    }


def beside(item: Item, sample: Any) -> Item:
    """Return the item with its tensors on the device that the sample came from."""
    if not isinstance(sample, torch.Tensor) or sample.device.type == "cpu":
        return item
    return {name: value.to(sample.device) if isinstance(value, torch.Tensor) else value for name, value in item.items()}


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    untyped: Any = tensor  # torch leaves this one method without types
    untyped.share_memory_()
    return tensor
