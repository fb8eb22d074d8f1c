"""Messages read `what: value: expectation`, in lower case, without a full stop, the way out on a `hint:` line."""

from __future__ import annotations

import re

import pytest

from anosynth import errors
from anosynth.errors import did_you_mean
from anosynth.generator import find, names
from anosynth.io.clouds import read_cloud
from anosynth.params import extra_of, parse_value
from anosynth.pointclouds import Dent, PointCloud
from anosynth.recipe import Recipe, Vary, load_yaml
from anosynth.run import Plan, replay, verify


def form(text: str) -> None:
    """Assert the house form of a message."""
    lines = text.split("\n")
    assert lines[0].strip()
    assert not lines[0].endswith((".", "!", " "))
    assert not re.match(r"[A-Z][a-z]", lines[0]), "begins with a capital"
    assert all(line.startswith(("hint: ", "      ")) for line in lines[1:])
    assert "Traceback" not in text
    assert not re.search(r"<(class|function|object)|object at 0x", text)


def make_plan(tmp_path, **values):
    from anosynth.datasets.layout import find_layout

    return Plan(tmp_path, find_layout("folder"), Recipe([Dent]), **values)


CALLS = {
    "unknown parameter": lambda p: Dent(strengh=1),
    "unknown parameter, nothing near": lambda p: Dent(zzz=1),
    "out of bounds": lambda p: Dent(strength=9),
    "not a number": lambda p: Dent(strength="wide"),
    "nan": lambda p: Dent(strength=float("nan")),
    "true for a number": lambda p: Dent(instances=True),
    "list": lambda p: Vary(Dent, strength=[1, 2, 3]),
    "range backwards": lambda p: Vary(Dent, strength="2:1"),
    "choice with a hole": lambda p: parse_value("x", "a||b"),
    "unknown generator": lambda p: find("pointclouds", "dnet"),
    "unknown family": lambda p: find("sounds", "dent"),
    "unknown recipe": lambda p: Recipe.read("machned"),
    "no recipe": lambda p: Recipe.from_record({}),
    "no parts": lambda p: Recipe([]),
    "weight": lambda p: Recipe([(0, Dent)]),
    "yaml": lambda p: load_yaml("[", "mix.yaml"),
    "shard": lambda p: make_plan(p, shard=(3, 2)),
    "count": lambda p: make_plan(p, count=0),
    "no samples": lambda p: make_plan(p).sources,
    "no such file": lambda p: read_cloud(p / "no.ply"),
    "folder for a file": lambda p: read_cloud(p),
    "no manifest": lambda p: list(verify(p)),
    "no manifest to replay": lambda p: list(replay(p)),
    "two points": lambda p: Dent()(PointCloud(__import__("numpy").zeros((2, 3)))),
    "bad rows": lambda p: PointCloud(__import__("numpy").zeros((2, 2))),
}


@pytest.mark.parametrize("call", CALLS)
def test_messages_have_the_form(call, tmp_path):
    with pytest.raises(errors.AnosynthError) as caught:
        CALLS[call](tmp_path)
    form(str(caught.value))


def test_each_error_is_also_the_builtin_that_fits():
    assert issubclass(errors.ParameterError, ValueError)
    assert issubclass(errors.UnknownGenerator, LookupError)
    assert issubclass(errors.DataError, ValueError)
    assert issubclass(errors.WriteError, OSError)
    assert issubclass(errors.NotMade, errors.DataError)
    assert str(errors.WriteError("x: cannot be written")) == "x: cannot be written"


@pytest.mark.parametrize(
    ("word", "known", "text"),
    [
        ("dnet", ["dent", "bulge"], "; did you mean `dent`?"),
        ("flat_spot", ["flat-spot"], "; did you mean `flat-spot`?"),
        ("DENT", ["dent"], "; did you mean `dent`?"),
        ("mean_abs", ["mean_abs", "other"], "; did you mean `mean_abs`?"),
        ("qqq", ["b", "a"], "; known: a, b"),
        ("qqq", [], ""),
    ],
)
def test_guesses(word, known, text):
    assert did_you_mean(word, known) == text


@pytest.mark.parametrize("name", names("pointclouds"))
def test_help_of_parameters_is_a_line_in_the_same_manner(name):
    for field in find("pointclouds", name).model_fields.values():
        text = field.description
        assert "\n" not in text
        assert not text.endswith(".")
        assert len(text) <= 90
        assert not re.match(r"[A-Z][a-z]", text)
        assert extra_of(field).get("unit", "x").strip()
