"""When the compiled kernels of the extra `fast` stand in for numpy: the bytes are the same with and without.

Kernels are the modules whose names begin with `_compiled`. They need numba, whose import and stored code take about a
second of a process, and once on a machine, or for each new version, some ten seconds to be compiled. So by default they
are loaded only when a process has made photos of `PAYS` pixels in all, which short runs and single photos never do, and
only where compiled code can be stored (in `__pycache__` beside the module, else in the user's cache or in
NUMBA_CACHE_DIR). The environment variable ANOSYNTH_FAST, read at the first use, says otherwise: 0 is never, 1 is from
the first photo on, wherever numba is. Without numba, nothing is loaded.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar, cast

import numpy as np

from anosynth import steady
from anosynth.errors import ParameterError

VARIABLE = "ANOSYNTH_FAST"
PAYS = 256_000_000
"""Pixels of photos made in a process from which on the kernels are loaded: 3900 photos of 256 x 256, 244 of 1024 x
1024, a few seconds of work."""

SERIES = tuple(np.array(numbers) for numbers in (steady._SIN, steady._COS, steady._HALF_PI))
"""The coefficients of `steady`, given to kernels: stored code goes by the kernel's own file, whatever it imports."""

F = TypeVar("F", bound=Callable[..., Any])


class _State:
    """What this process has made and decided."""

    mode: str | None = None
    pixels = 0
    loaded: dict[str, ModuleType | None] = {}  # noqa: RUF012 - there is one of it


class NotStored(RuntimeError):
    """Compiled code could not be stored, and compiling it in every process is not worth its time."""


def choose(mode: str) -> None:
    """Decide when kernels are used: "0" never, "1" at once, "auto" as soon as they pay.

    Raises:
        ParameterError: it is none of these.
    """
    if mode not in ("0", "1", "auto"):
        raise ParameterError(f"{VARIABLE}: {mode}: must be 0 (never), 1 (at once) or auto (as soon as it pays)")
    _State.mode = mode
    # What could not be loaded may be wanted in any case now.
    _State.loaded = {name: module for name, module in _State.loaded.items() if module is not None}


def worked(pixels: int) -> None:
    """Tell that a photo of so many pixels is being made."""
    _State.pixels += pixels


def compiled(name: str) -> ModuleType | None:
    """Return a module of kernels, or None where numpy does the work.

    Raises:
        ParameterError: the environment variable is none of its values.
    """
    if _State.mode is None:
        choose(os.environ.get(VARIABLE, "auto"))
    if _State.mode == "0" or (_State.mode == "auto" and _State.pixels < PAYS):
        return None
    if name not in _State.loaded:
        try:
            _State.loaded[name] = importlib.import_module(name)
        except (ImportError, NotStored):
            _State.loaded[name] = None
    return _State.loaded[name]


def sine_cosine(angle: float) -> tuple[float, float]:
    """Return the sine and the cosine of an angle in radians, those of `steady`."""
    kernels = compiled("anosynth.noise._compiled")
    if kernels is None:
        return float(steady.sin(angle)), float(steady.cos(angle))
    sine, cosine = kernels.direction(angle, *SERIES)
    return sine, cosine


def kernel(function: F) -> F:
    """Compile a function when it is first called.

    Neither reordered nor contracted to fused operations: every float32 or float64 operation rounds as in numpy.

    Raises:
        ImportError: there is no numba, or it is switched off.
        NotStored: the code can be stored nowhere, and it was not asked for in any case.
    """
    import numba

    if numba.config.DISABLE_JIT:
        raise ImportError("numba is switched off")
    try:
        made = numba.njit(cache=True, fastmath=False, error_model="numpy")(function)
    except RuntimeError:
        # Neither beside the module nor in the user's cache.
        if _State.mode != "1":
            raise NotStored from None
        made = numba.njit(cache=False, fastmath=False, error_model="numpy")(function)
    return cast(F, made)
