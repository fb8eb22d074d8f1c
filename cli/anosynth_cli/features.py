"""`anosynth features`: anomalies in feature space, of files of features or of photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from anosynth.errors import ParameterError
from anosynth.run.reading import FeatureReading, Reading

from . import making, parsing, running

EXAMPLE = "anosynth features train.npy fakes/"

_DEFAULT = "hypersphere"
_HELP = """Make labelled anomalies of features: of maps and embeddings that a network gave, or of photos by way of one.

PATHS are the inputs (files, folders or patterns) and, last, the folder OUT to write to. Inputs are .npy, .npz, .pt or
.safetensors: (N, C, H, W), (C, H, W), (N, C), and with --channel-dim others; or photos, with --backbone. Of train.npy,
OUT/anomalous/train_000.npy has the shape of train.npy, and masks/, labels/ and samples/ say which cells, which samples
and by what. Files may be larger than memory. With --dataset the inputs are the normal photos of a data set and PATHS
is OUT alone.

Without --generator and --recipe it is hypersphere, because it goes by the distances of the features themselves: the
noise of gaussian is a number of one backbone's features. Generators that learn from normal features learn from --fit,
else from the inputs; what they learned is in OUT/_fit, and can be given again by --fitted.

Values: 0.02, a range 0.005:0.03 or 0.005:0.03:log, a choice a|b. A worker takes a file at a time.
"""


def command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command; its options are those of the generator that the line names."""
    _run.__doc__ = _HELP
    return making.command(_run, "features", _DEFAULT, arguments, without=("held_out", "split"))


def _run(
    given: making.Given,
    *,
    fit: Annotated[str, typer.Option(help="Normal features (or photos) to learn from: a file or a folder.")] = "",
    fitted: Annotated[str, typer.Option(help="What was learned earlier: OUT/_fit/fitted.safetensors.")] = "",
    channel_dim: Annotated[
        Optional[int],  # noqa: UP045 - evaluated at run time
        typer.Option(help="Which dimension the channels are: -1 for (N, P, C). Default: 1 of (N, C, H, W)."),
    ] = None,
    grid: Annotated[str, typer.Option(help="HxW of the cells of (N, P, C), or of the rows of (N, C).")] = "",
    key: Annotated[str, typer.Option(help="Which tensor of a file that holds several.")] = "",
    form: Annotated[str, typer.Option("--format", help="npy, npz, pt or safetensors; default: as the input.")] = "",
    backbone: Annotated[str, typer.Option(help="For photos: filters, efficientnet-lite0 or timm:NAME.")] = "",
    layers: Annotated[str, typer.Option(help="Layers of the backbone: a,b. Default: its own choice.")] = "",
    weights: Annotated[str, typer.Option(help="File of the backbone's weights.")] = "",
    size: Annotated[int, typer.Option(min=0, help="Pixels on a side that photos are brought to; 0: as is.")] = 0,
    dim: Annotated[int, typer.Option(min=1, help="Channels of the features of photos.")] = FeatureReading.dim,
) -> None:
    from anosynth.datasets.layout import find_layout
    from anosynth.run.of_features import check

    if (layers or weights or size or dim != FeatureReading.dim or given.dataset) and not backbone:
        raise ParameterError("--layers, --weights, --size, --dim and --dataset: only for photos, with --backbone")
    if backbone and (key or grid or channel_dim is not None):
        raise ParameterError("--key, --grid and --channel-dim: only for files of features, not with --backbone")
    if fit and fitted:
        raise ParameterError("--fit and --fitted: what was fitted learns no more: give one of the two")
    reading = FeatureReading(
        channel_dim=channel_dim,
        grid=_grid(grid),
        key=key,
        backbone=backbone,
        layers=tuple(layer.strip() for layer in layers.split(",") if layer.strip()),
        weights=weights,
        dim=dim,
        size=size,
        fit=fit,
        fitted=fitted,
    )
    plain = "photo-features" if backbone else "features"
    if form and form not in find_layout(plain).formats:
        raise ParameterError(f"--format: {form}: must be {', '.join(find_layout(plain).formats)}")
    only: tuple[Path, ...] = ()
    plain_files = given
    if given.dataset is not None:
        paths, only = _of_dataset(given.paths, given.dataset, given.root, given.category)
        plain_files = replace(given, paths=paths, dataset=None, root=None, category=[])
    plan, out = making.plan_of(
        replace(plain_files, split="1:0:0"),
        "features",
        plain,
        EXAMPLE,
        sample_format=form,
        reading=Reading(features=reading),
    )
    plan = replace(plan, only=only) if only else plan
    if given.dry_run:
        running.print_plan(plan, as_json=given.json)
        return
    check(plan)
    _say_fit(plan)
    running.carry_out(given, plan, out, say=_say_made, noun="files of features")


def _of_dataset(
    paths: Sequence[Path], name: str, root: Path | None, category: Sequence[str]
) -> tuple[list[Path], tuple[Path, ...]]:
    """Return root and OUT, and the normal photos of a data set relative to the root."""
    from anosynth.datasets.layout import find_layout

    layout = find_layout(name)
    if layout.family != "images":
        raise ParameterError(f"--dataset: {name}: holds {layout.family}, this command reads photos")
    if len(paths) > 1:
        raise ParameterError(f"{paths[0]}: with --dataset give OUT alone; --root says where the data set is")
    home = parsing.dataset_root(layout, root)
    found = [source for source in layout.sources(home) if not category or source.category in category]
    if not found:
        which = f" of {', '.join(category)}" if category else ""
        raise ParameterError(f"--dataset: {home}: no normal photos{which}")
    return [home, paths[0] if paths else Path("anosynth-out") / name], tuple(source.path for source in found)


def _grid(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ParameterError(f"--grid: {text}: must be HxW, e.g. 28x28")
    return int(height), int(width)


def _say_fit(plan: Any) -> None:
    from anosynth.run.of_features import learning

    given = plan.reading.features
    names = ", ".join(sorted({plan.recipe.parts[i][1].generator.name for i in learning(plan.recipe)}))
    if names and not given.fitted:
        number = len(plan.sources)
        where = given.fit or f"the inputs, {number} file{'s' * (number > 1)} (--fit names others)"
        running.say(f"{names}: learns from {where}")


def _say_made(record: dict[str, Any]) -> str:
    """Say of the first file how it was read and what became of it."""
    stats = record["stats"]
    stays = f", {stats['normal']} stay normal: {stats['reason']}" if stats["normal"] else ""
    return f"{record['id']}: {stats['read']}{stays}"
