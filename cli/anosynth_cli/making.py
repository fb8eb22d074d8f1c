"""What the commands that make data sets share: their options, the plan that these make, and the run."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from glob import glob, has_magic
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Optional, get_type_hints

import typer

from anosynth.errors import DataError, ParameterError
from anosynth.generator import Generator, find, names
from anosynth.io.remote import mirror, url_of
from anosynth.run import Plan

from . import options, parsing

Text = Optional[str]  # noqa: UP045 - evaluated at run time


@dataclass(frozen=True)
class Given:
    """The options that all these commands have, as a command line gives them: declared here and nowhere else.

    Attributes:
        values: the options of the generator that were given, as they were written.
    """

    paths: Annotated[list[Path], typer.Argument(metavar="PATHS...", help="Inputs, then OUT.", show_default=False)] = (
        field(default_factory=list)
    )
    generator: Annotated[Text, typer.Option("--generator", "-g", help="Generator; see `anosynth list`.")] = None
    recipe: Annotated[Text, typer.Option("--recipe", "-r", help="Weighted mix: a YAML file or a name.")] = None
    dataset: Annotated[Text, typer.Option(help="Layout of the input and of OUT; a wrong name lists all.")] = None
    root: Annotated[Optional[Path], typer.Option(help="Where the data set is (with --dataset).")] = None  # noqa: UP045
    category: Annotated[list[str], typer.Option(help="Category of the data set; may be repeated.")] = field(
        default_factory=list
    )
    held_out: Annotated[
        float,
        typer.Option(
            help="Share of the normal samples that anomalies are made of and training loses (with --dataset)."
        ),
    ] = 0.2
    split: Annotated[
        str,
        typer.Option(help="Shares of the inputs for training, validation and test; what is made of one follows it."),
    ] = "0.7:0.1:0.2"
    count: Annotated[int, typer.Option(min=1, help="Anomalous samples for each input.")] = 1
    seed: Annotated[str, typer.Option(help="A whole number, or `random` to draw and print one.")] = "0"
    workers: Annotated[int, typer.Option(min=1, help="Local processes; the result does not depend on it.")] = 1
    engine: Annotated[str, typer.Option(help="local, or dask: the workers of a cluster (or --workers here).")] = "local"
    address: Annotated[str, typer.Option(help="Scheduler of the cluster: tcp://HOST:PORT (with --engine dask).")] = ""
    shard: Annotated[str, typer.Option(help="Make only part i of n, 1 <= i <= n: i/n.")] = "1/1"
    sink: Annotated[str, typer.Option(help="files; webdataset: into tars; recipe: store the manifest alone.")] = "files"
    shard_size: Annotated[int, typer.Option(help="Samples in a tar (with --sink webdataset).")] = 1000
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be made, and make nothing.")] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what anosynth wrote in OUT before.")] = False
    report: Annotated[bool, typer.Option(help="Write OUT/report.html.")] = True
    on_error: Annotated[str, typer.Option(help="skip: go on without a bad file (exit code 3); stop: end there.")] = (
        "skip"
    )
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False
    values: dict[str, str] = field(default_factory=dict)


_MAKERS = ("images", "pointcloud", "features")
"""The commands that make data sets, each with options of its own; `ladder` takes some of them over."""

_AFTER_OWN = "seed"
"""In help, a command's own options stand before this one."""


def command(
    run: Callable[..., None], family: str, default: str | None, arguments: Sequence[str], *, without: Sequence[str] = ()
) -> Callable[..., None]:
    """Return `run(given, **own)` as a command that has the common options and those of the generator.

    Args:
        default: the generator if the line names none; None for no generator's options then.
        without: common options that this command does not have.

    Raises:
        ParameterError: the line names a generator and a recipe.
        UnknownGenerator: there is no such generator.
    """
    name = options.given(arguments, "--generator", "-g")
    recipe = options.given(arguments, "--recipe", "-r")
    if name and recipe:
        raise ParameterError("--generator and --recipe: a recipe names its generators itself; give one of the two")
    chosen = None if recipe else name or default
    joined = _joined(run, {"generator": None if recipe else default}, without)
    whole = options.with_parameters(joined, find(family, chosen) if chosen else Generator)
    _check_options(arguments, whole, family, chosen)
    return whole


def _check_options(arguments: Sequence[str], whole: Callable[..., None], family: str, chosen: str | None) -> None:
    """Raise ParameterError for an option of other generators or commands: the parser would only say there is none."""
    known = _flags(whole) | {"--help"}
    before_files = takewhile(lambda word: word != "--", arguments)
    for flag in (word.partition("=")[0] for word in before_files if word.startswith("--")):
        if flag in known:
            continue
        owners = [name for name in names(family) if flag[2:].replace("-", "_") in find(family, name).model_fields]
        if owners and chosen:
            raise ParameterError(f"{flag}: `{chosen}` has no such parameter\nhint: see anosynth show {chosen}")
        if owners:
            some = ", ".join(owners[:4]) + (", ..." if len(owners) > 4 else "")
            raise ParameterError(
                f"{flag}: a parameter of generators ({some}): give --generator, too, or write a recipe"
            )
        others = [name for name in _MAKERS if flag in _flags(import_module(f"anosynth_cli.{name}")._run)]
        if others:
            raise ParameterError(f"{flag}: an option of `anosynth {others[0]}`, not of this command")


def _flags(function: Callable[..., None]) -> set[str]:
    """Return the long options of a command, and those that switch one of them off."""
    found = set()
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if name == "given":
            continue
        flag = name.replace("_", "-")
        told = [getattr(extra, "param_decls", None) for extra in getattr(parameter.annotation, "__metadata__", ())]
        found |= {f"--{flag}", f"--no-{flag}", *(word for words in told for word in words or ())}
    return found


def _joined(run: Callable[..., None], defaults: dict[str, Any], without: Sequence[str]) -> Callable[..., None]:
    hints = get_type_hints(Given, include_extras=True)
    common = [
        inspect.Parameter(
            f.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=hints[f.name],
            default=defaults.get(f.name, f.default if f.default_factory is MISSING else f.default_factory()),
        )
        for f in fields(Given)
        if f.name not in without
    ]
    own = [p for name, p in inspect.signature(run, eval_str=True).parameters.items() if name != "given"]
    place = [parameter.name for parameter in common].index(_AFTER_OWN)

    def joined(**given: Any) -> None:
        mine = {parameter.name: given.pop(parameter.name) for parameter in own}
        run(Given(**given), **mine)

    joined.__doc__ = run.__doc__
    joined.__signature__ = inspect.Signature([*common[:place], *own, *common[place:]])  # type: ignore[attr-defined]
    return joined


def plan_of(
    given: Given, family: str, plain: str, example: str, *, mix: str | None = None, **more: Any
) -> tuple[Plan, Path]:
    """Return the plan of a command line and its OUT.

    Args:
        plain: the layout of plain files of this family.
        mix: the recipe if the line names neither one nor a generator.
        more: passed on to `Plan`.
    """
    from anosynth.datasets.layout import find_layout
    from anosynth.recipe import Recipe, Vary

    if given.shard_size != Given.shard_size and given.sink != "webdataset":
        raise ParameterError("--shard-size: only together with --sink webdataset")
    if not 0 < given.held_out < 1:
        raise ParameterError(f"--held-out: {given.held_out}: must be > 0 and < 1")
    name = given.recipe or (None if given.generator else mix)
    generator = str(given.generator)
    recipe = Recipe.read(name) if name else Recipe([Vary(find(family, generator), **given.values)], name=generator)
    if recipe.family != family:
        raise ParameterError(f"recipe `{recipe.name}`: makes {recipe.family}, this command makes {family}")
    common = {
        "recipe": recipe,
        "seed": parsing.parse_seed(given.seed),
        "shard": parsing.parse_shard(given.shard),
        "sink": given.sink,
        "shard_size": given.shard_size,
        "count": given.count,
        **more,
    }
    paths = given.paths
    if given.dataset is not None:
        layout = find_layout(given.dataset)
        if layout.family != family:
            raise ParameterError(f"--dataset: {given.dataset}: holds {layout.family}, this command makes {family}")
        if len(paths) > 1:
            raise ParameterError(f"{paths[0]}: with --dataset give OUT alone; --root says where the data set is")
        origin = url_of(given.root or "")
        home = parsing.dataset_root(layout, mirror(origin) if origin else given.root)
        out = paths[0] if paths else Path("anosynth-out") / given.dataset
        common["origin"] = origin
        return Plan(home, layout, held_out=given.held_out, categories=tuple(given.category), **common), out
    if given.held_out != Given.held_out:
        raise ParameterError("--held-out: only together with --dataset")
    if given.root is not None or given.category:
        raise ParameterError("--root and --category: only together with --dataset")
    if len(paths) < 2:
        raise ParameterError(f"PATHS: expected inputs and OUT\nhint: {example}")
    if os.path.isfile(paths[-1]):  # noqa: PTH113 - a name that is too long is told where OUT is made
        raise DataError(f"{paths[-1]}: is not a folder\nhint: the last path is OUT, the folder to write to")
    home, only, origin = _inputs_by_url(paths[:-1], plain)
    split = parsing.parse_split(given.split)
    return Plan(home, find_layout(plain), only=only, split=split, origin=origin, **common), paths[-1]


def _inputs_by_url(paths: Sequence[Path], plain: str) -> tuple[Path, tuple[Path, ...], str]:
    """Return what `_inputs` does, of the mirror of a URL, and the URL of the root, "" without."""
    url = next(filter(None, map(url_of, paths)), "")
    if not url:
        return *_inputs(paths, plain), ""
    if len(paths) > 1:
        raise ParameterError(f"{url}: with an input by URL give this one and OUT alone")
    local = mirror(url)
    return *_inputs([local], plain), url if local.is_dir() else url.rpartition("/")[0]


def _inputs(paths: Sequence[Path], plain: str) -> tuple[Path, tuple[Path, ...]]:
    """Return the root of the inputs and the files below it; () stands for all files of a folder."""
    from anosynth.datasets.layout import find_layout
    from anosynth.run._inputs import plain_inputs

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
