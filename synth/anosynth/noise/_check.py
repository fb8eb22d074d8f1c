"""What the parameters of all noise functions have in common."""

from __future__ import annotations

import operator
from itertools import accumulate
from typing import Any

from anosynth.errors import ParameterError

MAX_OCTAVES = 32
# 16 ** 31 is still a float32.
MAX_RATIO = 16.0


def check_fractal(octaves: int, persistence: float, lacunarity: float) -> None:
    """Refuse octaves, persistence or lacunarity without a meaning.

    Raises:
        ParameterError: octaves is not a whole number from 1 to 32, persistence is not in 0..16, or lacunarity is not
            above 0 and up to 16.
    """
    if not 1 <= whole("octaves", octaves) <= MAX_OCTAVES:
        raise ParameterError(f"octaves: {octaves}: expected 1 to {MAX_OCTAVES}")
    if not 0 <= real("persistence", persistence) <= MAX_RATIO:
        raise ParameterError(f"persistence: {persistence}: expected 0 to {MAX_RATIO:g}")
    if not 0 < real("lacunarity", lacunarity) <= MAX_RATIO:
        raise ParameterError(f"lacunarity: {lacunarity}: expected more than 0 and up to {MAX_RATIO:g}")


def powers(factor: float, count: int) -> list[float]:
    """Return factor**0 .. factor**(count - 1) by multiplication, whose rounding is the same everywhere."""
    return list(accumulate([1.0] + [float(factor)] * (count - 1), operator.mul))


def whole(name: str, value: Any) -> int:
    """Return `value` as an int, or raise ParameterError; a bool is not a number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ParameterError(f"{name}: {value!r}: expected a whole number") from None


def real(name: str, value: Any) -> float:
    """Return `value` as a float, or raise ParameterError; neither a bool nor a text is a number."""
    try:
        if isinstance(value, (bool, str, bytes)):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(f"{name}: {value!r}: expected a number") from None
