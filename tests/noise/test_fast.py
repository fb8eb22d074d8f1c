"""When compiled kernels are used, and that what they return is numpy's, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth import steady
from anosynth.errors import ParameterError
from anosynth.noise import _fast, lattice
from anosynth.seeding import as_rng

NAME = "anosynth.noise._compiled"


@pytest.fixture(autouse=True)
def _own_choice(monkeypatch):
    for name in ("mode", "pixels", "loaded"):
        monkeypatch.setattr(_fast._State, name, {"mode": None, "pixels": 0, "loaded": {}}[name])


def both(make):
    """Return what numpy makes and what the kernels make."""
    pytest.importorskip("numba")
    made = []
    for mode in ("0", "1"):
        _fast.choose(mode)
        assert (_fast.compiled(NAME) is not None) == (mode == "1")
        made.append(make())
    return made


# When.


def test_they_are_loaded_once_enough_has_been_made():
    pytest.importorskip("numba")
    _fast.choose("auto")
    _fast.worked(_fast.PAYS - 1)
    assert _fast.compiled(NAME) is None
    _fast.worked(1)
    assert _fast.compiled(NAME) is sys.modules[NAME]


def test_zero_is_never():
    _fast.choose("0")
    _fast.worked(2 * _fast.PAYS)
    assert _fast.compiled(NAME) is None


def test_the_environment_decides_at_the_first_use(monkeypatch):
    monkeypatch.setenv("ANOSYNTH_FAST", "yes")
    with pytest.raises(ParameterError, match=r"ANOSYNTH_FAST: yes: must be 0 \(never\), 1 \(at once\) or auto"):
        _fast.compiled(NAME)
    monkeypatch.setenv("ANOSYNTH_FAST", "0")
    assert _fast.compiled(NAME) is None
    monkeypatch.setenv("ANOSYNTH_FAST", "yes")
    assert _fast.compiled(NAME) is None


def test_without_numba_numpy_does_the_work(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    _fast.choose("1")
    assert _fast.compiled(NAME) is None
    assert lattice((8, 8), (2, 2), 1).shape == (8, 8)


@pytest.mark.parametrize(("mode", "used"), [("auto", False), ("1", True)])
def test_code_that_cannot_be_stored_is_compiled_only_if_asked_for(monkeypatch, mode, used):
    numba = pytest.importorskip("numba")
    options = []

    def njit(**given):
        options.append(given["cache"])
        if given["cache"]:
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(numba, "njit", njit)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    _fast.choose(mode)
    _fast.worked(_fast.PAYS)
    assert (_fast.compiled(NAME) is not None) == used
    assert options[:2] == ([True, False] if used else [True])
    monkeypatch.delitem(sys.modules, NAME, raising=False)


@pytest.mark.slow
def test_where_nothing_can_be_written_nothing_fails(tmp_path):
    """The cache of numba beside the modules and that of the user are both taken away."""
    pytest.importorskip("numba")
    program = (
        "import numba, numpy as np\n"
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from anosynth.noise import _fast, lattice\n"
        "_fast.worked(_fast.PAYS)\n"
        "print(lattice((9, 9), (2, 2), 1).sum(), _fast._State.loaded)\n"
    )
    environment = {**os.environ, "ANOSYNTH_FAST": "auto", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split(" ", 1)[1].strip() == "{'anosynth.noise._compiled': None}"


def test_importing_the_package_loads_neither_numba_nor_kernels():
    program = (
        "import sys, anosynth, anosynth.images, anosynth.noise; from anosynth.images import Cutpaste\n"
        "print([name for name in sys.modules if name == 'numba' or '_compiled' in name and 'anosynth' in name])"
    )
    source = str(Path(_fast.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": source, "ANOSYNTH_FAST": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


# What.


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.tuples(st.floats(1, 90), st.floats(1, 90)),
    st.integers(1, 3),
    st.integers(0, 2**32),
)
def test_noise_is_the_same(shape, cells, octaves, seed):
    """Also with more cells than pixels, so that some rows of nodes are not used."""
    plain, fast = both(lambda: lattice(shape, cells, as_rng(seed), octaves=octaves, lacunarity=1.5))
    assert plain.dtype == fast.dtype == np.float32
    assert plain.tobytes() == fast.tobytes()


@pytest.mark.parametrize("cells", [(4, 2), (2, 6)])
def test_noise_that_repeats_is_the_same(cells):
    plain, fast = both(lambda: lattice((64, 48), cells, 3, octaves=2, repeat=True))
    assert plain.tobytes() == fast.tobytes()


@settings(max_examples=60)
@given(st.floats(-20, 20))
def test_sine_and_cosine_are_those_of_steady(angle):
    plain, fast = both(lambda: _fast.sine_cosine(angle))
    assert plain == fast == (float(steady.sin(angle)), float(steady.cos(angle)))
