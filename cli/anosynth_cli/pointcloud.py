"""`anosynth pointcloud`: defective copies of clouds, meshes and depth maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from anosynth.errors import ParameterError
from anosynth.generator import find
from anosynth.params import METRES, Length, split_length
from anosynth.run.reading import Reading

from . import making, running

EXAMPLE = "anosynth pointcloud --octaves 4 --strength 0.02 in.ply out/"

_DEFAULT = "perlin-surface"
_HELP = """Make labelled anomalies on point clouds, meshes and depth maps.

PATHS are the inputs (files, folders or patterns) and, last, the folder OUT to write to. With --dataset, PATHS is OUT
alone, ./anosynth-out/DATASET if not given. With --generator NAME, --help lists the options of that generator.

Values: 0.02, a range 0.005:0.03 or 0.005:0.03:log, a choice a|b. Lengths are fractions of the bounding-box diagonal,
or 0.15mm, if the file says its unit or --unit does for files that do not.
"""


def command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command; its options are those of the generator that the line names."""
    _run.__doc__ = _HELP
    return making.command(_run, "pointclouds", _DEFAULT, arguments)


def _run(
    given: making.Given,
    *,
    unit: Annotated[
        making.Text, typer.Option(help="Unit of the coordinates, for files that do not say it: mm, cm, um, m, inch.")
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Sample this many points from each mesh; 0 keeps meshes.")] = 0,
) -> None:
    if unit is not None and unit not in METRES:
        raise ParameterError(f"--unit: {unit}: must be one of {', '.join(METRES)}")
    plan, out = making.plan_of(given, "pointclouds", "folder", EXAMPLE, reading=Reading(unit=unit, sample=sample))
    if given.dry_run:
        running.print_plan(plan, as_json=given.json)
        return
    running.carry_out(given, plan, out, say=_say_lengths)


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
