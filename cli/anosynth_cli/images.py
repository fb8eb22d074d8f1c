"""`anosynth images`: defective copies of photos with exact masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Optional

import typer

from anosynth.errors import ParameterError
from anosynth.io.images import MAX_PIXELS
from anosynth.params import METRES, Choice, unit_of
from anosynth.recipe import Recipe
from anosynth.run.reading import Reading

from . import making, running

EXAMPLE = "anosynth images good/ anomalous/"

_MIX = "photo-defects"
_MAP = "an image, or of a folder's image of the photo's name"
_HELP = """Make labelled anomalies on photos.

PATHS are the inputs (files, folders or patterns) and, last, the folder OUT to write to. With --dataset, PATHS is OUT
alone, ./anosynth-out/DATASET if not given. The recipe is photo-defects, a mix of many kinds of defects, unless
--generator or --recipe names another. With --generator NAME, --help lists the options of that generator, too: severity,
size, place and so on.

Values: 0.02, a range 0.005:0.03 or 0.005:0.03:log, a choice a|b. Lengths are fractions of the photo's shorter side,
12px, or 0.3mm together with --mm-per-px; areas are fractions of the photo, 200px2 or 0.5mm2; strengths of full scale.
"""


def command(arguments: Sequence[str]) -> Callable[..., None]:
    """Return the command; its options are those of the generator that the line names, if it names one."""
    _run.__doc__ = _HELP
    return making.command(_run, "images", None, arguments)


def _run(
    given: making.Given,
    *,
    foreground: Annotated[
        str,
        typer.Option(
            help="auto: keep defects on the part where there is a background; none: anywhere; or a folder of masks, "
            "or a function as package.module:name."
        ),
    ] = "auto",
    roi: Annotated[str, typer.Option(help=f"Where defects may lie: the non-black pixels of {_MAP}.")] = "",
    exclude: Annotated[str, typer.Option(help=f"Where they must not: the non-black pixels of {_MAP}.")] = "",
    prior: Annotated[str, typer.Option(help=f"How likely they are centred where: the grey values of {_MAP}.")] = "",
    mm_per_px: Annotated[
        Optional[float],  # noqa: UP045 - evaluated at run time
        typer.Option("--mm-per-px", help="What a pixel measures, for lengths such as 0.3mm."),
    ] = None,
    max_pixels: Annotated[
        int,
        typer.Option("--max-pixels", min=1, help="Pixels that a photo may have; larger ones are skipped unread."),
    ] = MAX_PIXELS,
    image_format: Annotated[
        str,
        typer.Option(
            "--image-format",
            help="png or tiff for the samples of plain photos; by default PNG, and TIFF of what is TIFF.",
            show_default=False,
        ),
    ] = "",
) -> None:
    plan, out = making.plan_of(
        given,
        "images",
        "photos",
        EXAMPLE,
        mix=_MIX,
        reading=Reading(
            foreground=foreground, roi=roi, exclude=exclude, prior=prior, mm_per_px=mm_per_px, max_pixels=max_pixels
        ),
        sample_format=image_format,
    )
    if mm_per_px is None:
        _check_units(plan.recipe)
    if given.dry_run:
        running.print_plan(plan, as_json=given.json)
        return
    running.carry_out(given, plan, out)


def _check_units(recipe: Recipe) -> None:
    """Raise ParameterError if a value is in millimetres and the like: what a pixel measures is not known."""
    for _, vary in recipe.parts:
        for name, value in vary.values.items():
            for end in value.values if isinstance(value, Choice) else (value,):
                if (unit_of(end) or "px").rstrip("2") in METRES:
                    raise ParameterError(
                        f"`{name}`: {value}: what a pixel measures is not known\nhint: give it with --mm-per-px"
                    )
