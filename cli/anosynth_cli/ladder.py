"""`anosynth ladder`: a grid of severities and sizes, with the table that `anosynth threshold` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Optional

import typer

from anosynth.errors import ParameterError
from anosynth.params import METRES

from . import making, options, running

EXAMPLE = "anosynth ladder good/ ladder/ --generator scratch --severities 0:1:5 --sizes 0.05,0.1,0.2,0.4"

_LAYOUTS = {"images": "photos", "pointclouds": "folder"}
_WITHOUT = ("recipe", "dataset", "root", "category", "held_out", "split", "count", "sink", "shard_size")
_HELP = """Make a grid of severities and sizes of one defect, to see from where on a detector finds it.

PATHS are normal photos (or clouds, with --family pointclouds) that the detector has not learned from, and, last, the
folder OUT. Along a row of the grid, place, shape and random numbers stay the same and only the severity rises, so that
the effect does. OUT/ladder.csv lists every sample and every normal source: add a column `score` and give it to
`anosynth threshold`. OUT/ladder.html shows the grid.
"""


def command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command; its options are those of the generator that the line names."""
    _run.__doc__ = _HELP
    family = options.given(arguments, "--family") or "images"
    if family not in _LAYOUTS:
        raise ParameterError(f"--family: {family}: must be one of {', '.join(_LAYOUTS)}")
    return making.command(_run, family, "scratch", arguments, without=_WITHOUT)


def _run(
    given: making.Given,
    *,
    severities: Annotated[
        str,
        typer.Option(
            help="low:high:n for n even steps, or a list 0.1,0.3; by default 0:1:5, of clouds 0.25:1:4, multiples of "
            "the strength.",
            show_default=False,
        ),
    ] = "",
    sizes: Annotated[
        str,
        typer.Option(
            help="A list 0.02,0.05 or 0.5mm,1mm, or low:high:n for n steps even in the logarithm; by default as drawn.",
            show_default=False,
        ),
    ] = "",
    by: Annotated[
        str,
        typer.Option(
            help="The parameter that sizes are of, not the severity or strength; by default the generator's length, "
            "area, size, diameter, width or scale, the first that it has.",
            show_default=False,
        ),
    ] = "",
    count: Annotated[int, typer.Option(min=1, help="Samples in a cell, spread over the sources.")] = 30,
    family: Annotated[str, typer.Option(help="images or pointclouds.")] = "images",
    foreground: Annotated[
        str, typer.Option(help="Photos: auto, none, a folder of masks, or a function as package.module:name.")
    ] = "auto",
    roi: Annotated[str, typer.Option(help="Photos: where defects may lie, as of `anosynth images`.")] = "",
    exclude: Annotated[str, typer.Option(help="Photos: where they must not.")] = "",
    mm_per_px: Annotated[
        Optional[float],  # noqa: UP045 - evaluated at run time
        typer.Option("--mm-per-px", help="Photos: what a pixel measures, for sizes such as 0.5mm."),
    ] = None,
    image_format: Annotated[
        str, typer.Option("--image-format", help="Photos: png or tiff; by default PNG, and TIFF of what is TIFF.")
    ] = "",
    unit: Annotated[
        making.Text, typer.Option(help="Clouds: unit of files that do not say it: mm, cm, um, m or inch.")
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Clouds: sample this many points from each mesh.")] = 0,
) -> None:
    from anosynth.run._rungs import write_table
    from anosynth.run.ladder import ladder_of
    from anosynth.run.reading import Reading

    if unit is not None and unit not in METRES:
        raise ParameterError(f"--unit: {unit}: must be one of {', '.join(METRES)}")
    _check_free(given, family, sizes, by)
    reading = Reading(unit=unit, sample=sample, foreground=foreground, roi=roi, exclude=exclude, mm_per_px=mm_per_px)
    base, out = making.plan_of(given, family, _LAYOUTS[family], EXAMPLE, reading=reading, sample_format=image_format)
    plan = ladder_of(
        base.recipe,
        severities=severities,
        sizes=sizes,
        by=by,
        root=base.root,
        layout=base.layout,
        seed=base.seed,
        count=count,
        reading=reading,
        split=base.split,
        only=base.only,
        shard=base.shard,
        sample_format=image_format,
    )
    if given.dry_run:
        running.print_plan(plan, as_json=given.json)
        return

    def finish() -> None:
        in_place = write_table(plan, out)
        if given.report:
            from anosynth.run._grid import write_grid

            write_grid(plan, out)
        rows = count * (len(plan.sizes) or 1)
        if not given.json:
            running.say(f"{out / 'ladder.csv'}: {in_place} of {rows} rows with one place for all severities")
            if given.report:
                running.say(f"grid: {out / 'ladder.html'}")
            running.say("next: add a column score, then: anosynth threshold " + str(out / "ladder.csv"))

    try:
        running.carry_out(given, plan, out)
    except typer.Exit as end:
        if end.exit_code == 3:
            finish()
        raise
    finish()


def _check_free(given: making.Given, family: str, sizes: str, by: str) -> None:
    """Raise ParameterError if a parameter is given both by itself and by the grid."""
    from anosynth.generator import find
    from anosynth.run.ladder import main_size

    if "severity" in given.values:
        raise ParameterError(f"--severity: {given.values['severity']}: the grid has its own: --severities")
    name = main_size(find(family, str(given.generator)), by)
    if sizes and name in given.values:
        option = name.replace("_", "-")
        raise ParameterError(f"--{option}: {given.values[name]}: the grid has its own: --sizes {sizes}")
    if sizes and not name:
        raise ParameterError(f"--sizes: `{given.generator}` has no parameter that is a size: --by names one")
