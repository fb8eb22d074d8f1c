"""Arrays and tensors alike: numpy draws and adds up, and what comes back is of the kind that went in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.seeding import Rng, as_rng


@dataclass(frozen=True)
class Kind:
    """numpy, or torch on a device."""

    device: Any = None

    def give(self, array: NDArray[Any]) -> Any:
        """Return a copy of `array`, or a tensor of the same bits, that may be written to."""
        own = np.array(array, order="C")
        return own if self.device is None else sys.modules["torch"].from_numpy(own).to(self.device)


def torch_of(x: Any) -> Any:
    """Return the module torch if `x` is a tensor, else None; there is no tensor where torch was not imported."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else None


def kind_of(x: Any) -> Kind:
    return Kind(x.device) if torch_of(x) else Kind()


def as_array(what: str, x: Any) -> NDArray[Any]:
    """Return the values of an array, a tensor or nested lists; not to be written to.

    Raises:
        DataError: they are neither booleans nor integers of up to 32 bits nor floats.
    """
    torch = torch_of(x)
    if torch:
        plain = x.detach().cpu()
        # numpy has no such numbers, and every one of them is a float32.
        array: NDArray[Any] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    else:
        array = np.asarray(x)
    if array.dtype.kind not in "biuf" or (array.dtype.kind in "iu" and array.itemsize > 4) or array.itemsize > 8:
        raise DataError(f"{what}: {array.dtype}: expected floats, booleans, or integers of up to 32 bits")
    return array


def as_bool(what: str, x: Any) -> NDArray[np.bool_]:
    """Return a mask as an array; numbers are refused, because a soft mask has no one threshold."""
    array = as_array(what, x)
    if array.dtype != np.bool_:
        raise DataError(f"{what}: {array.dtype}: expected bool\nhint: compare it with a threshold first")
    return array


def check_finite(what: str, values: NDArray[Any]) -> None:
    """Raise DataError, naming the place, if a value is NaN or infinite."""
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        place = tuple(int(i) for i in bad[0])
        raise DataError(f"{what}: {values[place]} at {place}: expected finite values")


def streams(rng: Any, count: int | None) -> list[Rng]:
    """Return one stream for each sample: children of one `rng` by index, or those of a list.

    A sample without a batch (count None) has `rng` itself.
    """
    if isinstance(rng, Sequence) and not isinstance(rng, str):
        if len(rng) != (count or 1):
            raise DataError(f"rng: {len(rng)} streams: expected one for each of the {count or 1} samples")
        return [as_rng(one) for one in rng]
    root = as_rng(rng)
    return [root] if count is None else [root.child("sample", i) for i in range(count)]
