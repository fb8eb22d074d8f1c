"""Damaged files of every form are read or refused by an error of ours; nothing else is raised and nothing hangs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import fuzz_kit
from fuzz_kit import FORMS, attempt, damaged, hurried, random_bytes, seeds

from anosynth.errors import AnosynthError

MORE = int(os.environ.get("FUZZ", "1"))
"""FUZZ=50 tries fifty times as many files as usual."""

# Shrinking would cost more than it tells: the choices are few and the file is written out by `damaged` again.
STEADY = settings(
    max_examples=60 * MORE,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
REFUSED_SEEDS = {"yaml": 1, "value": 7}
"""Of some forms, how many of the seeds are no valid files but near to one."""


@pytest.fixture(autouse=True)
def torch_is_there(request):
    form = request.node.callspec.params.get("form", "") if hasattr(request.node, "callspec") else ""
    if form == "tensor-pt":
        pytest.importorskip("torch")


def quickly(rng):
    return lambda below: rng.randrange(below)


@pytest.mark.parametrize("form", FORMS)
def test_the_seeds_are_read(form):
    refused = [isinstance(attempt(form, data), AnosynthError) for data in seeds(form)]
    assert sum(refused) == REFUSED_SEEDS.get(form, 0)


@pytest.mark.parametrize("form", FORMS)
@STEADY
@given(rng=st.randoms(use_true_random=True))
def test_damage_is_read_or_refused(form, rng):
    data = damaged(form, quickly(rng))
    with hurried():
        attempt(form, data)


@pytest.mark.parametrize("form", FORMS)
@settings(STEADY, max_examples=12 * MORE)
@given(rng=st.randoms(use_true_random=True))
def test_bytes_of_no_form_are_read_or_refused(form, rng):
    with hurried():
        attempt(form, random_bytes(quickly(rng)))


@pytest.mark.parametrize("form", [form for form in FORMS if form != "yaml"])
@settings(STEADY, max_examples=8 * MORE)
@given(share=st.floats(0, 1))
def test_what_is_cut_off_is_read_or_refused(form, share):
    for data in seeds(form):
        with hurried():
            attempt(form, data[: int(share * len(data))])


@settings(STEADY, max_examples=300 * MORE)
@given(text=st.text(max_size=40))
@example("1" * 5000)
@example("1" * 5000 + "|")
@example("0." + "0" * 4000 + "1mm:" + "9" * 4000 + "mm")
@example("\u0663:\u0664")
@example("1e400:2e400:log")
@example("0x10:0b1")
@example("\ud800")
def test_any_value_is_parsed_or_refused(text):
    with hurried(5):
        attempt("value", text.encode("utf-8", "surrogatepass"))


def test_the_kit_sees_what_it_must(monkeypatch):
    """A reader that fails in another way, and one that does not come back, are found."""
    monkeypatch.setattr(fuzz_kit, "_reader", lambda form: lambda data: {}[data])
    with pytest.raises(KeyError):
        attempt("cloud-ply", b"x")

    def loop(data):
        while True:
            pass

    monkeypatch.setattr(fuzz_kit, "_reader", lambda form: loop)
    with pytest.raises(fuzz_kit.Hangs), hurried(1):
        attempt("cloud-ply", b"x")
