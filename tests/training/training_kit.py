"""What the tests of training pipelines share."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

LABELS = ("sample", "mask", "effect", "instances")


def name_of(index: int) -> str:
    return f"part/{index:03d}.ply"


def print_of(item: dict[str, Any]) -> tuple[Any, ...]:
    """Everything of an item, in a form that compares byte for byte."""
    tensors = tuple((tuple(item[name].shape), item[name].numpy().tobytes()) for name in LABELS)
    return (*tensors, int(item["label"]), item["generator"])


def prints(items: Iterable[Any]) -> dict[int, tuple[Any, ...]]:
    return {item["index"]: print_of(item) for item in items}


def loaded(loader: Any) -> dict[int, tuple[Any, ...]]:
    """What a loader with `collate_fn=list` gives in one epoch, by index."""
    found = [item for batch in loader for item in batch]
    assert len({item["index"] for item in found}) == len(found)
    return prints(found)


def shuffled(seed: int) -> torch.Generator:
    generator = torch.Generator()
    generator.manual_seed(seed)
    return generator


def random_states() -> tuple[Any, ...]:
    """The global random states of Python, numpy and torch."""
    kind, words, *rest = np.random.get_state()  # noqa: NPY002 - it is what must not move
    return random.getstate(), kind, np.asarray(words).tobytes(), rest, torch.get_rng_state().numpy().tobytes()
