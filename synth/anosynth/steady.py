"""Elementary functions whose bytes do not depend on the processor.

The C library and numpy choose among several kernels of sin, cos, log and exp by the processor at hand, and those
differ in the last bit. The ones here use only + - * / and rounding, which IEEE 754 fixes; their error is within 3 ulp,
next to a zero of sin and cos within 1e-26.
All take and return float64 arrays or scalars, with the same bits; scalars and small arrays are spared what numpy needs
to start, which is ten times their own time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_FEW = 8
"""Arrays of so many values are worked out one by one."""

_ROOT_HALF = 0.7071067811865476
_HALF_PI = (1.5707963109016418, 1.5893254712295857e-08, 6.123233995736766e-17)
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)
_SIN = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(9)]
_COS = [(-1.0) ** k / math.factorial(2 * k) for k in range(10)]
_ATANH = [1.0 / (2 * k + 1) for k in range(13)]
_ATAN = [(-1.0) ** k / (2 * k + 1) for k in range(22)]
_EXP = [1.0 / math.factorial(k) for k in range(15)]


def sin(x: ArrayLike) -> Any:
    """Return the sine of `x` in radians, |x| up to about 1e5."""
    return _each(lambda value: _turned(value, 0), lambda values: _all_turned(values, 0), x, 1e9)


def cos(x: ArrayLike) -> Any:
    """Return the cosine of `x` in radians, |x| up to about 1e5."""
    return _each(lambda value: _turned(value, 1), lambda values: _all_turned(values, 1), x, 1e9)


def log(x: ArrayLike) -> Any:
    """Return the natural logarithm of `x` > 0."""
    return _each(_log, _all_logs, x, math.inf)


def exp(x: ArrayLike) -> Any:
    """Return e to the power of `x`, |x| up to 700."""
    return _each(_exp, _all_exp, x, 700.0)


def arctan2(y: ArrayLike, x: ArrayLike) -> Any:
    """Return the angle of the vector (x, y) in radians, (-pi, pi]; 0 for the zero vector."""
    x64, y64 = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    across, up = np.abs(x64), np.abs(y64)
    large = np.maximum(across, up)
    t = np.minimum(across, up) / np.where(large > 0, large, 1.0)
    steep = t > 0.41421356237309503
    t = np.where(steep, (t - 1.0) / (t + 1.0), t)
    value = t * _series(_ATAN, t * t) + np.where(steep, 0.7853981633974483, 0.0)
    value = np.where(up > across, 1.5707963267948966 - value, value)
    value = np.where(x64 < 0, 3.141592653589793 - value, value)
    value = np.where(y64 < 0, -value, value)
    return value if np.ndim(value) else float(value)


def total(values: NDArray[np.float64]) -> float:
    """Return the sum of (N,) float64, added one after the other: numpy's own order changes from version to version."""
    return float(np.cumsum(values)[-1]) if len(values) else 0.0


def _each(one: Callable[[float], float], many: Callable[[Floats], Any], x: Any, most: float) -> Any:
    """Return a function of each value: `one` takes floats up to `most`, `many` arrays; their bits are the same."""
    if isinstance(x, (float, int)) and -most <= x <= most:
        return one(x)
    x64 = np.asarray(x, dtype=np.float64)
    if x64.size <= _FEW:
        few = x64.ravel().tolist()
        if all(-most <= value <= most for value in few):
            made = np.array([one(value) for value in few], dtype=np.float64).reshape(x64.shape)
            return made if x64.ndim else float(made)
    value = many(x64)
    return value if x64.ndim else float(value)


def _turned(x: float, quarter: int) -> float:
    number = round(x * 0.6366197723675814)
    # The sum makes a negative zero a positive one, which the first difference of arrays does by itself.
    rest = (((x + 0.0) - number * _HALF_PI[0]) - number * _HALF_PI[1]) - number * _HALF_PI[2]
    place = (number + quarter) & 3
    value: float = _series(_COS, rest * rest) if place & 1 else rest * _series(_SIN, rest * rest)
    return -value if place & 2 else value


def _all_turned(x: Floats, quarter: int) -> Any:
    number = np.rint(x * 0.6366197723675814)
    rest = ((x - number * _HALF_PI[0]) - number * _HALF_PI[1]) - number * _HALF_PI[2]
    square = rest * rest
    place = (number.astype(np.int64) + quarter) & 3
    value = np.where(place & 1, _series(_COS, square), rest * _series(_SIN, square))
    return np.where(place & 2, -value, value)


def _log(x: float) -> float:
    mantissa, exponent = math.frexp(x)
    if mantissa < _ROOT_HALF:
        mantissa, exponent = 2 * mantissa, exponent - 1
    s = (mantissa - 1) / (mantissa + 1)
    value: float = exponent * _LN2[0] + (exponent * _LN2[1] + 2 * s * _series(_ATANH, s * s))
    return value


def _all_logs(x: Floats) -> Any:
    mantissa, exponent = np.frexp(x)
    small = mantissa < _ROOT_HALF
    mantissa, exponent = np.where(small, 2 * mantissa, mantissa), exponent - small
    s = (mantissa - 1) / (mantissa + 1)
    return exponent * _LN2[0] + (exponent * _LN2[1] + 2 * s * _series(_ATANH, s * s))


def _exp(x: float) -> float:
    whole = round(x / 0.6931471805599453)
    return math.ldexp(_series(_EXP, (x - whole * _LN2[0]) - whole * _LN2[1]), whole)


def _all_exp(x: Floats) -> Any:
    whole = np.rint(x / 0.6931471805599453)
    rest = (x - whole * _LN2[0]) - whole * _LN2[1]
    return np.ldexp(_series(_EXP, rest), whole.astype(np.int64))


def _series(coefficients: list[float], x: Any) -> Any:
    value: Any = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value
