"""What generators of features learn before the first sample is made: kept in OUT, so that nothing learns it again."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anosynth.datasets.features import FITTED
from anosynth.datasets.layout import walk
from anosynth.datasets.truth import placed
from anosynth.errors import DataError, ParameterError
from anosynth.features._base import template
from anosynth.io.tensors import read_state, write_state
from anosynth.recipe import Recipe, Vary

from ._inputs import unwritten
from ._maps import Maps
from .manifest import is_manifest

if TYPE_CHECKING:
    from .plan import Plan
    from .reading import FeatureReading

BATCH = 8
"""Samples that are learned from at once; as in PBAS. The aligned bank of centres depends on it."""


def learning(recipe: Recipe) -> list[int]:
    """Return which parts of a recipe learn from normal features; torch is not needed to know."""
    return [index for index, (_, vary) in enumerate(recipe.parts) if template(vary).names_learned()]


def check(plan: Plan) -> None:
    """Raise ParameterError if a plan cannot be carried out whatever the files hold, before anything is written."""
    given = plan.reading.of_features
    for _, vary in plan.recipe.parts:
        if vary.generator.name == "gradient-ascent":
            raise ParameterError(
                "`gradient-ascent`: climbs a scorer, which no line can give\n"
                "hint: in Python, GradientAscent().module(scorer=...)"
            )
    if (given.fit or given.fitted) and not learning(plan.recipe):
        names = ", ".join(sorted({f"`{vary.generator.name}`" for _, vary in plan.recipe.parts}))
        raise ParameterError(
            f"--fit{'ted' if given.fitted else ''}: {given.fit or given.fitted}: {names} learns nothing"
        )
    try:
        importlib.import_module("anosynth.features._torch")

        if given.backbone:
            from .of_features import network

            network(given.backbone, given.layers, given.weights, given.dim)
    except ImportError as error:
        raise ParameterError(str(error)) from None


def begin(plan: Plan, out: Path) -> Plan:
    """Let the generators of a plan learn, and return the plan that knows where in OUT that is kept.

    They learn from the normal features that were named, in batches of eight, or else from the plan's own sources;
    what is here already and was learned from the same files is used again.

    Raises:
        DataError: the normal features, or what was learned earlier, cannot be used.
    """
    check(plan)
    given = plan.reading.of_features
    if not learning(plan.recipe):
        return plan
    home = out / FITTED
    if given.fitted:
        tensors, texts = read_state(Path(given.fitted))
        _keep(out, _named(tensors, plan.recipe, given.fitted), texts)
    else:
        files = _normals(plan)
        origin = _origin(plan.recipe, given, files)
        if not _is_of(home, origin):
            _keep(out, _fit(plan.recipe, given, files, strict=bool(given.fit)), {"of": origin})
    return replace(plan, reading=replace(plan.reading, features=replace(given, fitted=str(home))))


def _keep(out: Path, tensors: dict[str, Any], texts: dict[str, str]) -> None:
    """Write what was learned, unless samples in OUT were made with something else: their lines must stay true."""
    home = out / FITTED
    if home.exists() and any(is_manifest(path.name) for path in out.glob("manifest*")):
        held, _ = read_state(home)
        if set(held) != set(tensors) or any(not np.array_equal(held[name], tensors[name]) for name in held):
            raise DataError(
                f"{out}: holds a data set whose generators learned from other normal features\n"
                "hint: choose another OUT, or --overwrite"
            )
        return
    write_state(placed(out, FITTED), tensors, texts)


def learned(given: FeatureReading, recipe: Recipe) -> dict[int, Any]:
    """Return the module of each part that learns, with what it learned.

    Raises:
        DataError: what it learned is not there, or is of other generators.
    """
    if not learning(recipe):
        return {}
    path = Path(given.fitted)
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}: expected what the generators learned") from None
    return _loaded(path, json.dumps(recipe.record()), (status.st_ino, status.st_size, status.st_mtime_ns))


@functools.lru_cache(maxsize=1)
def _loaded(path: Path, recipe: str, version: tuple[int, ...]) -> dict[int, Any]:
    from anosynth.features._torch import torch

    mix = Recipe.from_record(json.loads(recipe))
    tensors = _named(read_state(path)[0], mix, str(path))
    modules = {index: _module(mix.parts[index][1]) for index in learning(mix)}
    for index, module in modules.items():
        start = f"{index}."
        module.load_state_dict(
            {name.rpartition(".")[2]: torch.from_numpy(v) for name, v in tensors.items() if name.startswith(start)}
        )
    return modules


def _named(tensors: dict[str, Any], recipe: Recipe, where: str) -> dict[str, Any]:
    """Return what was learned under the names that a recipe's parts give; a `state_dict` of one module has none."""
    parts = learning(recipe)
    names = {i: template(recipe.parts[i][1]).names_learned() for i in parts}
    if len(parts) == 1 and set(tensors) == set(names[parts[0]]):
        tensors = {_name(recipe, parts[0], name): values for name, values in tensors.items()}
    wanted = {_name(recipe, i, name) for i in parts for name in names[i]}
    if set(tensors) != wanted:
        held = ", ".join(sorted(tensors)) or "nothing"
        raise DataError(
            f"{where}: holds {held}: expected what this recipe's generators learn, {', '.join(sorted(wanted))}"
        )
    return tensors


def _name(recipe: Recipe, index: int, name: str) -> str:
    return f"{index}.{recipe.parts[index][1].generator.name}.{name}"


def _fit(recipe: Recipe, given: FeatureReading, files: list[Path], *, strict: bool) -> dict[str, Any]:
    found = {}
    for index in learning(recipe):
        vary = recipe.parts[index][1]
        if not strict and {"centres", "samples"} & set(template(vary).names_learned()):
            _check_several(vary.generator.name, files, given)
        module = _module(vary)
        module.fit(_batches(files, given, strict, module))
        for name, values in module.state_dict().items():
            found[_name(recipe, index, name)] = values.numpy()
    return found


def _check_several(name: str, files: list[Path], given: FeatureReading) -> None:
    """Raise DataError if there is but one sample to learn from: it would be its own mean, and be left as it is."""
    from .of_features import maps_of

    if len(files) == 1 and len(maps_of(files[0], given)) == 1:
        raise DataError(
            f"{files[0]}: 1 sample: `{name}` learns from several normal ones\nhint: --fit says where they are"
        )


def _batches(files: list[Path], given: FeatureReading, strict: bool, module: Any) -> Iterator[Any]:
    """Yield (B, C, H, W) or (B, P, C) tensors of the samples of files, one after the other.

    With `strict` a bad file is an error; else its own job will say what is wrong with it.
    """
    from anosynth.features._torch import torch

    from .of_features import maps_of

    waiting: list[Any] = []
    first: Maps | None = None
    problem = ""
    for path in files:
        maps = maps_of(path, given)
        try:
            alike = maps if first is None else first
            if (maps.cells_shape, maps.channels) != (alike.cells_shape, alike.channels):
                raise DataError(
                    f"{path}: {maps}: expected {alike.channels} channels on {alike.cells_shape} cells as the first"
                )
            grid_like = len(maps.cells_shape) == 2
            for i in range(len(maps)):
                values = maps.sample(i)
                waiting.append(values if isinstance(values, torch.Tensor) else torch.from_numpy(values.copy()))
                if first is None:
                    first = maps
                    module.channel_dim, module.grid = (1, None) if grid_like else (2, maps.grid)
                if len(waiting) == BATCH:
                    yield torch.stack(waiting)
                    waiting = []
        except DataError as error:
            if strict:
                raise
            problem = problem or str(error)
    if waiting:
        yield torch.stack(waiting)
    if first is None:
        raise DataError(problem or "--fit: no features: expected at least one sample")


def _normals(plan: Plan) -> list[Path]:
    """Return the files that are learned from, in the order in which they are."""
    given = plan.reading.of_features
    if not given.fit:
        return [plan.root / source.path for source in plan.sources if not source.problem]
    home = Path(given.fit)
    if home.is_file():
        return [home]
    if not home.is_dir():
        raise DataError(f"--fit: {home}: no such file or folder")
    named = plan.layout.named(home, unwritten(home, walk(home, plan.layout.suffixes)))
    files = [home / sample.path for sample in named]
    if not files:
        raise DataError(f"--fit: {home}: nothing to read in this folder")
    return files


def _origin(recipe: Recipe, given: FeatureReading, files: list[Path]) -> str:
    """Return a SHA-256 of what is learned from: by whom, and the contents of the files."""
    from .execute import file_sha256

    digest = hashlib.sha256(json.dumps([recipe.record(), given.origin()]).encode())
    for path in files:
        try:
            digest.update(bytes.fromhex(file_sha256(path)))
        except OSError:
            digest.update(b"cannot be read")
    return digest.hexdigest()


def _is_of(home: Path, origin: str) -> bool:
    try:
        return home.is_file() and read_state(home)[1].get("of") == origin
    except DataError:
        return False


def _module(vary: Vary) -> Any:
    from anosynth.features import FeatureSynthesis

    return FeatureSynthesis(vary)
