"""Elementary functions whose bytes do not depend on the processor.

The C library and numpy choose among several kernels of sin, cos, log and exp by the processor at hand, and those
differ in the last bit. The ones here use only + - * / and rounding, which IEEE 754 fixes; their error is within 3 ulp,
next to a zero of sin and cos within 1e-26.
All take and return float64 arrays or scalars.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_HALF_PI = (1.5707963109016418, 1.5893254712295857e-08, 6.123233995736766e-17)
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)
_SIN = [(-1.0) ** k / math.factorial(2 * k + 1) for k in range(9)]
_COS = [(-1.0) ** k / math.factorial(2 * k) for k in range(10)]
_ATANH = [1.0 / (2 * k + 1) for k in range(13)]
_ATAN = [(-1.0) ** k / (2 * k + 1) for k in range(22)]
_EXP = [1.0 / math.factorial(k) for k in range(15)]


def sin(x: ArrayLike) -> Any:
    """Return the sine of `x` in radians, |x| up to about 1e5."""
    return _turned(x, 0)


def cos(x: ArrayLike) -> Any:
    """Return the cosine of `x` in radians, |x| up to about 1e5."""
    return _turned(x, 1)


def log(x: ArrayLike) -> Any:
    """Return the natural logarithm of `x` > 0."""
    mantissa, exponent = np.frexp(np.asarray(x, dtype=np.float64))
    small = mantissa < 0.7071067811865476
    mantissa, exponent = np.where(small, 2 * mantissa, mantissa), exponent - small
    s = (mantissa - 1) / (mantissa + 1)
    value = exponent * _LN2[0] + (exponent * _LN2[1] + 2 * s * _series(_ATANH, s * s))
    return value if np.ndim(x) else float(value)


def exp(x: ArrayLike) -> Any:
    """Return e to the power of `x`, |x| up to 700."""
    x64 = np.asarray(x, dtype=np.float64)
    whole = np.rint(x64 / 0.6931471805599453)
    rest = (x64 - whole * _LN2[0]) - whole * _LN2[1]
    value = np.ldexp(_series(_EXP, rest), whole.astype(np.int64))
    return value if np.ndim(x) else float(value)


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


def _turned(x: ArrayLike, quarter: int) -> Any:
    x64 = np.asarray(x, dtype=np.float64)
    number = np.rint(x64 * 0.6366197723675814)
    rest = ((x64 - number * _HALF_PI[0]) - number * _HALF_PI[1]) - number * _HALF_PI[2]
    square = rest * rest
    place = (number.astype(np.int64) + quarter) & 3
    value = np.where(place & 1, _series(_COS, square), rest * _series(_SIN, square))
    value = np.where(place & 2, -value, value)
    return value if np.ndim(x) else float(value)


def _series(coefficients: list[float], x: Floats) -> Floats:
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value
