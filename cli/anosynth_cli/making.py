"""What `anosynth pointcloud` and `anosynth images` share: their options, and the plan that these make."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from anosynth.errors import DataError, ParameterError
from anosynth.generator import Generator, find
from anosynth.run import Plan

from . import options, running

Text = Optional[str]  # noqa: UP045 - evaluated at run time

Paths = Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Inputs, then OUT.", show_default=False)]
GeneratorName = Annotated[Text, typer.Option("--generator", "-g", help="Generator; see `anosynth list`.")]
RecipeName = Annotated[Text, typer.Option("--recipe", "-r", help="Weighted mix: a YAML file or a name.")]
Dataset = Annotated[Text, typer.Option(help="Layout of the input and of OUT; see the README.")]
Root = Annotated[Optional[Path], typer.Option(help="Where the data set is (with --dataset).")]  # noqa: UP045
Category = Annotated[list[str], typer.Option(help="Category of the data set; may be repeated.")]
HeldOut = Annotated[
    float,
    typer.Option(help="Share of the normal samples that anomalies are made of and training loses (with --dataset)."),
]
Split = Annotated[
    str, typer.Option(help="Shares of the inputs for training, validation and test; what is made of one follows it.")
]
Count = Annotated[int, typer.Option(min=1, help="Anomalous samples for each input.")]
Seed = Annotated[str, typer.Option(help="A whole number, or `random` to draw and print one.")]
Workers = Annotated[int, typer.Option(min=1, help="Local processes; the result does not depend on it.")]
Shard = Annotated[str, typer.Option(help="Make only part i of n, 1 <= i <= n: i/n.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be made, and make nothing.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what anosynth wrote in OUT before.")]
Report = Annotated[bool, typer.Option(help="Write OUT/report.html.")]
OnError = Annotated[str, typer.Option(help="skip: go on without a bad file (exit code 3); stop: end there.")]
Json = Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")]


def with_generator(
    run: Callable[..., None], family: str, default: str | None, arguments: Sequence[str]
) -> Callable[..., None]:
    """Return `run` with the options of the generator that the line names; of none if a recipe makes the choice.

    Raises:
        ParameterError: the line names a generator and a recipe.
        UnknownGenerator: there is no such generator.
    """
    name = options.given(arguments, "--generator", "-g")
    recipe = options.given(arguments, "--recipe", "-r")
    if name and recipe:
        raise ParameterError("--generator and --recipe: a recipe names its generators itself; give one of the two")
    chosen = None if recipe else name or default
    return options.with_parameters(run, find(family, chosen) if chosen else Generator)


def plan_of(
    family: str,
    plain: str,
    paths: Sequence[Path],
    *,
    mix: str | None,
    generator: str | None,
    values: dict[str, str],
    dataset: str | None,
    root: Path | None,
    category: Sequence[str],
    held_out: float,
    split: str,
    seed: str,
    shard: str,
    example: str,
    **more: Any,
) -> tuple[Plan, Path]:
    """Return the plan of a command line and its OUT.

    Args:
        plain: the layout of plain files of this family.
        mix: recipe, a file or a name; or None to use `generator` with `values`.
        more: passed on to `Plan`.
    """
    from anosynth.datasets.layout import find_layout
    from anosynth.recipe import Recipe, Vary

    if not 0 < held_out < 1:
        raise ParameterError(f"--held-out: {held_out}: must be > 0 and < 1")
    recipe = Recipe.read(mix) if mix else Recipe([Vary(find(family, str(generator)), **values)], name=str(generator))
    if recipe.family != family:
        raise ParameterError(f"recipe `{recipe.name}`: makes {recipe.family}, this command makes {family}")
    common = {"recipe": recipe, "seed": running.parse_seed(seed), "shard": running.parse_shard(shard), **more}
    if dataset is not None:
        layout = find_layout(dataset)
        if layout.family != family:
            raise ParameterError(f"--dataset: {dataset}: holds {layout.family}, this command makes {family}")
        if len(paths) > 1:
            raise ParameterError(f"{paths[0]}: with --dataset give OUT alone; --root says where the data set is")
        home = running.dataset_root(layout, root)
        out = paths[0] if paths else Path("anosynth-out") / dataset
        return Plan(home, layout, held_out=held_out, categories=tuple(category), **common), out
    if root is not None or category:
        raise ParameterError("--root and --category: only together with --dataset")
    if len(paths) < 2:
        raise ParameterError(f"PATHS: expected inputs and OUT\nhint: {example}")
    home, only = _inputs(paths[:-1], plain)
    return Plan(home, find_layout(plain), only=only, split=running.parse_split(split), **common), paths[-1]


def _inputs(paths: Sequence[Path], plain: str) -> tuple[Path, tuple[Path, ...]]:
    """Return the root of the inputs and the files below it; () stands for all files of a folder."""
    from anosynth.datasets.layout import find_layout
    from anosynth.run.plan import plain_inputs

    if len(paths) == 1 and paths[0].is_dir():
        return paths[0], ()
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            within = plain_inputs(path, find_layout(plain))
            if not within:
                raise DataError(f"{path}: nothing to read in this folder")
            files += [path / file for file in within]
            continue
        if path.exists() or path.is_symlink():
            files.append(path)
            continue
        # The pattern may be absolute or climb with `..`, which Path.glob refuses.
        matches = sorted(map(Path, glob(str(path), recursive=True))) if has_magic(str(path)) else []  # noqa: PTH207
        if not matches and len(paths) == 1:
            raise DataError(f"{path}: {'matches no file' if has_magic(str(path)) else 'no such file'}")
        files += matches or [path]
    # Without resolving links: a file is named as the user named it.
    absolute = [Path(os.path.normpath(Path.cwd() / file)) for file in files]
    root = Path(os.path.commonpath([file.parent for file in absolute]))
    return root, tuple(sorted({file.relative_to(root) for file in absolute}))
