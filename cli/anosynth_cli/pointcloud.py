"""`anosynth pointcloud`: defective copies of clouds, meshes and depth maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from glob import glob, has_magic
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from anosynth.errors import DataError, ParameterError
from anosynth.generator import Generator, find
from anosynth.params import METRES, Length, split_length

from . import options, running

EXAMPLE = "anosynth pointcloud --octaves 4 --strength 0.02 in.ply out/"

_DEFAULT = "perlin-surface"
_HELP = """Make labelled anomalies on point clouds, meshes and depth maps.

PATHS are the inputs (files, folders or patterns) and, last, the folder OUT to write to. With --dataset, PATHS is OUT
alone (default: ./anosynth-out/DATASET).

Values: 0.02, a range 0.005:0.03 or 0.005:0.03:log, a choice a|b. Lengths are fractions of the bounding-box diagonal,
or 0.15mm together with --unit.
"""

Text = Optional[str]  # noqa: UP045 - evaluated at run time


def command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command; its options are those of the generator that the line names."""
    name = options.given(arguments, "--generator", "-g")
    recipe = options.given(arguments, "--recipe", "-r")
    if name and recipe:
        raise ParameterError("--generator and --recipe: a recipe names its generators itself; give one of the two")
    _run.__doc__ = _HELP
    if recipe:
        return options.with_parameters(_run, Generator)
    return options.with_parameters(_run, find("pointclouds", name or _DEFAULT))


def _run(
    paths: Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Inputs, then OUT.", show_default=False)] = [],  # noqa: B006 - typer's form
    *,
    values: dict[str, str],
    generator: Annotated[str, typer.Option("--generator", "-g", help="Generator; see `anosynth list`.")] = _DEFAULT,
    recipe: Annotated[Text, typer.Option("--recipe", "-r", help="Weighted mix: a YAML file or a name.")] = None,
    dataset: Annotated[Text, typer.Option(help="Layout of the input and of OUT: mvtec3d, real3d, ...")] = None,
    root: Annotated[Optional[Path], typer.Option(help="Where the data set is (with --dataset).")] = None,  # noqa: UP045
    category: Annotated[list[str], typer.Option(help="Category of the data set; may be repeated.")] = [],  # noqa: B006
    held_out: Annotated[
        float,
        typer.Option(
            help="Share of the normal samples that anomalies are made of and training loses (with --dataset)."
        ),
    ] = 0.2,
    count: Annotated[int, typer.Option(min=1, help="Anomalous samples for each input.")] = 1,
    unit: Annotated[Text, typer.Option(help="Unit of the coordinates: mm, cm, um, m or inch.")] = None,
    sample: Annotated[int, typer.Option(min=0, help="Sample this many points from each mesh; 0 keeps meshes.")] = 0,
    seed: Annotated[str, typer.Option(help="A whole number, or `random` to draw and print one.")] = "0",
    workers: Annotated[int, typer.Option(min=1, help="Local processes; the result does not depend on it.")] = 1,
    shard: Annotated[str, typer.Option(help="Make only part i of n, 1 <= i <= n: i/n.")] = "1/1",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be made, and make nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what anosynth wrote in OUT before.")] = False,
    report: Annotated[bool, typer.Option(help="Write OUT/report.html.")] = True,
    on_error: Annotated[
        str, typer.Option(help="skip: go on without a bad file (exit code 3); stop: end there.")
    ] = "skip",
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    from anosynth.datasets.layout import find_layout
    from anosynth.recipe import Recipe, Vary
    from anosynth.run import Plan

    if unit is not None and unit not in METRES:
        raise ParameterError(f"--unit: {unit}: must be one of {', '.join(METRES)}")
    if on_error not in ("skip", "stop"):
        raise ParameterError(f"--on-error: {on_error}: must be skip or stop")
    if not 0 < held_out < 1:
        raise ParameterError(f"--held-out: {held_out}: must be > 0 and < 1")
    if recipe:
        mix = Recipe.read(recipe)
    else:
        mix = Recipe([Vary(find("pointclouds", generator), **values)], name=generator)
    common: dict[str, Any] = {
        "recipe": mix,
        "seed": running.parse_seed(seed),
        "count": count,
        "unit": unit,
        "sample": sample,
        "shard": running.parse_shard(shard),
    }
    if dataset is not None:
        layout = find_layout(dataset)
        if len(paths) > 1:
            raise ParameterError(f"{paths[0]}: with --dataset give OUT alone; --root says where the data set is")
        home = running.dataset_root(layout, root)
        out = paths[0] if paths else Path("anosynth-out") / dataset
        plan = Plan(home, layout, held_out=held_out, categories=tuple(category), **common)
    else:
        if root is not None or category:
            raise ParameterError("--root and --category: only together with --dataset")
        if len(paths) < 2:
            raise ParameterError(f"PATHS: expected inputs and OUT\nhint: {EXAMPLE}")
        out = paths[-1]
        home, only = _inputs(paths[:-1])
        plan = Plan(home, find_layout("folder"), only=only, **common)
    if dry_run:
        running.print_plan(plan, as_json=json)
        return
    running.carry_out(
        plan,
        out,
        workers=workers,
        overwrite=overwrite,
        on_error=on_error,
        report=report,
        as_json=json,
        say=_say_lengths,
    )


def _inputs(paths: Sequence[Path]) -> tuple[Path, tuple[Path, ...]]:
    """Return the root of the inputs and the files below it; () stands for all files of a folder."""
    from anosynth.datasets.folder import SUFFIXES
    from anosynth.datasets.layout import walk
    from anosynth.run.plan import unwritten

    if len(paths) == 1 and paths[0].is_dir():
        return paths[0], ()
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            within = unwritten(path, walk(path, SUFFIXES))
            if not within:
                raise DataError(f"{path}: no clouds in this folder")
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


def _say_lengths(record: dict[str, Any]) -> str:
    """Say the lengths of a made sample as fractions of the diagonal, in file units and in mean spacings."""
    drawn, stats = record["generator"], record["stats"]
    fields = find("pointclouds", drawn["generator"]).model_fields
    unit = record["effect"]["unit"] or "file units"
    parts = []
    for name, field in fields.items():
        if field.annotation != Length.__origin__:  # type: ignore[attr-defined]
            continue
        number, own = split_length(drawn[name])
        if own is None:
            size = number * stats["diagonal"]
        else:
            size = number * METRES[own] / METRES[record["effect"]["unit"]]
        share = size / stats["diagonal"]
        parts.append(
            f"{name} {share:.4g} of the diagonal = {size:.4g} {unit} = {size / stats['spacing']:.3g} mean spacings"
        )
    return f"{record['id']}: {drawn['generator']}: {'; '.join(parts)}" if parts else ""
