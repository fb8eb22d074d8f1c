"""`anosynth fit`: from a few real defects with masks to a recipe."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from anosynth.errors import DataError, ParameterError

from . import running

EXAMPLE = "anosynth fit --good good/ --images defects/ --masks masks/ -o recipe.yaml"


def command(arguments: Sequence[str]) -> Callable[..., None]:
    return _run


def _run(
    good: Annotated[
        Optional[Path],  # noqa: UP045 - evaluated at run time
        typer.Option(help="Normal photos, to try the parameters out on; by default those of --real."),
    ] = None,
    images: Annotated[Optional[Path], typer.Option(help="Photos of real defects.")] = None,  # noqa: UP045
    masks: Annotated[Optional[Path], typer.Option(help="Their masks, under the same names or as NAME_mask.")] = None,  # noqa: UP045
    real: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A data set of photos and masks, in place of --images and --masks."),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="Of --real: mvtec, mvtec-loco, visa, btad, mpdd, real-iad, photos or folder; by default as it looks.",
            show_default=False,
        ),
    ] = "",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--output", "-o", help="File to write; without it the recipe is printed."),
    ] = None,
    name: Annotated[str, typer.Option(help="How manifests call the recipe.")] = "fitted",
    bank: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write cut-outs of the defects to this folder, and a defect-bank part that uses them."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file and the cut-outs.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print what was measured and the recipe as one JSON object.")
    ] = False,
) -> None:
    """Estimate a recipe from a few real defects and their masks.

    Three defects are the least; ten or more are better. Each is measured (size, elongation, orientation, bend,
    contrast, edge, place) and given to the generator that it is most like; ranges are those of the measured values,
    drawn towards the defaults where there are few. The file is commented YAML, to be edited, and runs as it is:
    `anosynth images good/ out/ --recipe recipe.yaml`. Compare the outcome with `anosynth audit out/ --against`.
    """
    from anosynth.fit import fit_recipe, recipe_text

    found = _found(images, masks, real, layout)
    _check_free(output, bank, overwrite)
    goods = _goods(good, found)
    with running.counted("photos") as step:
        outcome = fit_recipe(found, goods, name=name, bank=str(bank) if bank else "", progress=step)
    for problem in outcome.passed:
        sys.stderr.write(f"passed over: {problem}\n")
    prior = ""
    if bank is not None:
        from anosynth.fit.cutouts import write_cutouts

        number = write_cutouts(found, bank)
        sys.stderr.write(f"{bank}: {number} cut-outs\n")
    if output is not None and outcome.prior is not None:
        prior = _write_prior(output, outcome.prior)
    text = recipe_text(outcome, prior=prior)
    if output is not None:
        from anosynth.io.atomic import atomic_write

        with atomic_write(output) as file:
            file.write(text.encode("utf-8", "replace"))
    if json:
        sys.stdout.write(jsonlib.dumps({**outcome.record(), "output": str(output) if output else None}) + "\n")
        return
    if output is None:
        sys.stdout.write(text)
        return
    kinds = ", ".join(f"{group.generator} {len(group.figures)}" for group in outcome.groups)
    sys.stdout.write(f"{output}: {outcome.defects} defects in {outcome.photos} photos: {kinds}\n")
    if prior:
        sys.stdout.write(f"prior: {prior}\n")


def _found(images: Path | None, masks: Path | None, real: Path | None, layout: str) -> Any:
    from anosynth.audit import find, plain

    if real is not None:
        for option, value in (("--images", images), ("--masks", masks)):
            if value is not None:
                raise ParameterError(f"{option}: {value}: cannot be given together with --real, {real}")
        return find(real, layout or None)
    if images is None and masks is None:
        raise ParameterError("--real: missing: give a data set, or --images and --masks")
    if images is None or masks is None:
        raise ParameterError(
            f"{'--images' if images is None else '--masks'}: missing: give --images and --masks together"
        )
    if layout:
        raise ParameterError(f"--layout: {layout}: cannot be given together with --images")
    return plain(images, masks)


def _goods(good: Path | None, found: Any) -> list[Path]:
    from anosynth.datasets.layout import walk
    from anosynth.io.images import SUFFIXES

    if good is not None:
        goods = [good / path for path in walk(good, SUFFIXES)] if good.is_dir() else []
        if not goods:
            raise DataError(f"--good: {good}: holds no photos: expected {', '.join(sorted(SUFFIXES))}")
        return goods
    return [found.root / sample.path for sample in found.samples if not sample.defective]


def _check_free(output: Path | None, bank: Path | None, overwrite: bool) -> None:
    if output is not None and output.is_dir():
        raise DataError(f"{output}: a folder: expected the name of a file")
    for path in [] if output is None or overwrite else [output, _prior_of(output)]:
        if path.exists():
            raise DataError(f"{path}: is there already\nhint: --overwrite replaces it")
    if bank is not None and bank.exists() and (not bank.is_dir() or (any(bank.iterdir()) and not overwrite)):
        raise DataError(f"{bank}: is there already and not empty\nhint: --overwrite writes into it")


def _prior_of(output: Path) -> Path:
    return output.with_name(f"{output.stem}-prior.png")


def _write_prior(output: Path, prior: Any) -> str:
    from anosynth.io.atomic import atomic_write
    from anosynth.io.png import encode_png

    path = _prior_of(output)
    with atomic_write(path) as file:
        file.write(encode_png(prior))
    return str(path)
