"""Asking for help costs nothing: what is heavy is imported when it is needed."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import anosynth
import anosynth_cli
from anosynth import pointclouds
from anosynth.generator import camel, find, names

HEAVY = {"torch", "open3d", "scipy", "trimesh", "tifffile", "PIL", "pydantic", "rich", "pandas", "matplotlib"}
NEEDED = {"pydantic", "scipy"}
"""What generators are made of."""


def modules_after(program: str) -> set[str]:
    """Return the top-level modules of a fresh interpreter after `program`."""
    wrapped = (
        "import sys, json, io\nout, sys.stdout = sys.stdout, io.StringIO()\n"
        f"try:\n    exec({program!r})\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "json.dump(sorted({name.partition('.')[0] for name in sys.modules}), out)"
    )
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(json.loads(done.stdout))


def command(*words: str) -> str:
    return f"import sys; sys.argv = {['anosynth', *words]!r}; from anosynth_cli.main import main; main()"


@pytest.mark.parametrize(
    ("program", "barred"),
    [
        ("import anosynth", HEAVY | {"yaml", "typer", "click", "numpy"}),
        ("import anosynth, anosynth.errors; anosynth.DataError", HEAVY | {"numpy"}),
        ("import anosynth; anosynth.as_rng(0).random(3)", HEAVY),
        ("from anosynth import PointCloud", HEAVY),
        ("from anosynth.pointclouds import Dent; Dent()", HEAVY - NEEDED),
        (command("--version"), HEAVY | {"typer", "click", "numpy", "yaml"}),
        (command("--help"), HEAVY | {"numpy", "yaml"}),
        (command("-h"), HEAVY | {"numpy", "yaml"}),
        # typer brings pydantic from 0.29 on.
        (command("verify", "--help"), (HEAVY - {"pydantic"}) | {"numpy"}),
        (command("pointcloud", "--help"), HEAVY - NEEDED),
        (command("list"), HEAVY - NEEDED),
        (command("schema", "dent"), HEAVY - NEEDED),
    ],
)
def test_what_is_not_needed_is_not_imported(program, barred):
    loaded = modules_after(program)
    assert "anosynth" in loaded
    assert not loaded & barred


def test_the_public_names_are_sorted_and_there():
    assert anosynth.__all__ == sorted(anosynth.__all__)
    assert dir(anosynth) == anosynth.__all__
    for name in anosynth.__all__:
        assert getattr(anosynth, name) is not None
    with pytest.raises(AttributeError, match="module 'anosynth' has no attribute 'Dent'"):
        anosynth.Dent  # noqa: B018


def test_star_import_gives_the_public_names():
    scope: dict[str, object] = {}
    exec("from anosynth import *", scope)
    assert set(anosynth.__all__) <= set(scope)


@pytest.mark.parametrize("name", names("pointclouds"))
def test_generators_are_names_of_their_family(name):
    assert getattr(pointclouds, camel(name)) is find("pointclouds", name)
    assert camel(name) in dir(pointclouds)


@pytest.mark.parametrize("name", ["Dnet", "dent_", "DENT", "__path", "find"])
def test_other_names_are_no_generators(name):
    with pytest.raises(AttributeError, match="has no"):
        getattr(pointclouds, name)


def test_every_module_imports():
    found = [
        module.name
        for package in (anosynth, anosynth_cli)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if not module.name.endswith("__main__") and module.name != "anosynth.torch"
    ]
    assert len(found) > 60
    for name in found:
        importlib.import_module(name)


@pytest.mark.parametrize(
    "name",
    [
        *("anosynth.run.check", "anosynth.datasets.truth", "anosynth.io.clouds", "anosynth.report", "anosynth.recipe"),
        *("anosynth.masks", "anosynth.export", "anosynth.metrics"),
    ],
)
def test_a_module_needs_no_other_one_to_be_imported_before(name):
    assert not modules_after(f"import {name}") & {"torch", "open3d", "trimesh"}
