"""What a ranking is told: how to rank, and which recipes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anosynth.errors import ParameterError, UnknownGenerator, did_you_mean
from anosynth.generator import find, names
from anosynth.params import METRES, Choice, unit_of
from anosynth.recipe import Recipe, Vary, recipe_names

from . import _space
from ._tallies import FIGURES


@dataclass(frozen=True)
class Settings:
    """How to rank; all of it is fixed before a test sample is looked at.

    Attributes:
        backbone, layers, weights, size: see `_photos.Eye`; of photos.
        seeds: heads and sets of anomalies for each recipe.
        seed: of the split, of the first head, and the first that anomalies are made with.
        made: synthetic anomalies for each seed.
        held_out: share of the normal samples that is kept for the test.
        space, align: see `_space.learn`.
        foreground: "auto" or "none", where on photos anomalies may lie.
        mm_per_px: photos: what a pixel of the files measures in millimetres, for recipes with such lengths.
        unit: clouds: of the coordinates, where files do not say it.
        draws: resamples.
        by: the figure that the order goes by.
        layout, masks: see `_files.real_files`.
        workers: processes.
        looks: whether to measure what anomalies look like where there are real defects; without, that is all there is.
        pictures: whether to draw the real defects that were missed.
    """

    backbone: str = "filters"
    layers: tuple[str, ...] = ()
    weights: str = ""
    size: int = 256
    seeds: int = 5
    seed: int = 0
    made: int = 96
    held_out: float = 0.3
    space: str = "whitened"
    align: str = "auto"
    foreground: str = "auto"
    mm_per_px: float | None = None
    unit: str | None = None
    draws: int = 500
    by: str = "image_auroc"
    layout: str = ""
    masks: Path | None = None
    workers: int = 1
    looks: bool = True
    pictures: bool = False

    def check(self) -> None:
        """Raise ParameterError if a value is out of range."""
        for name, low, high in (
            ("size", 64, 1024),
            ("seeds", 1, 50),
            ("made", 4, 10_000),
            ("draws", 20, 100_000),
            ("workers", 1, 256),
        ):
            if not low <= getattr(self, name) <= high:
                raise ParameterError(f"`{name}`: {getattr(self, name)}: must be from {low} to {high}")
        if not 0.1 <= self.held_out <= 0.6:
            raise ParameterError(f"`held_out`: {self.held_out}: must be from 0.1 to 0.6")
        if self.mm_per_px is not None and not 0 < self.mm_per_px < float("inf"):
            raise ParameterError(f"`mm_per_px`: {self.mm_per_px}: must be a number > 0")
        if self.unit is not None and self.unit not in METRES:
            raise ParameterError(f"`unit`: {self.unit}: must be one of {', '.join(METRES)}")
        for name, known in (
            ("by", FIGURES),
            ("space", _space.SPACES),
            ("align", _space.ALIGNS),
            ("foreground", ("auto", "none")),
        ):
            value = getattr(self, name)
            if value not in known:
                raise ParameterError(f"`{name}`: {value}: must be one of {', '.join(known)}")


def check_lengths(recipes: Sequence[Recipe], given: Settings, family: str) -> None:
    """Raise ParameterError if a setting is of another family, or a value in millimetres has no scale."""
    if given.unit is not None and family != "pointclouds":
        raise ParameterError("`unit`: of point clouds: the samples are photos\nhint: say what a pixel measures")
    if given.mm_per_px is not None and family != "images":
        raise ParameterError("`mm_per_px`: of photos: the samples are point clouds\nhint: say the unit")
    if family != "images" or given.mm_per_px is not None:
        return
    for recipe in recipes:
        for name, value in ((name, value) for _, vary in recipe.parts for name, value in vary.values.items()):
            for end in value.values if isinstance(value, Choice) else (value,):
                if (unit_of(end) or "px").rstrip("2") in METRES:
                    raise ParameterError(
                        f"recipe `{recipe.name}`: `{name}`: {value}: what a pixel measures is not known\n"
                        "hint: give it with --mm-per-px"
                    )


def chosen(recipes: Sequence[str | Recipe], family: str) -> list[Recipe]:
    """Return recipes under different names; those of generators mix nothing.

    Raises:
        UnknownGenerator: there is no recipe, file or generator of that name.
        ParameterError: there are none, a name is given twice, or a recipe is of another family.
    """
    found = [one if isinstance(one, Recipe) else _recipe(one, family) for one in recipes]
    if not found:
        raise ParameterError("`recipes`: none: expected at least one")
    seen: set[str] = set()
    for recipe in found:
        if recipe.name in seen:
            raise ParameterError(f"`recipes`: {recipe.name}: given twice")
        seen.add(recipe.name)
        if recipe.family not in (family, "features"):
            raise ParameterError(f"recipe `{recipe.name}`: of {recipe.family}: the samples are {family}")
    return found


def _recipe(name: str, family: str) -> Recipe:
    if name in recipe_names() or Path(name).is_file():
        recipe = Recipe.read(name)
        # Two files may hold recipes that call themselves alike; it is the file that was asked for.
        if name not in recipe_names():
            recipe.name = Path(name).stem
        return recipe
    for home in (family, "features"):
        if name in names(home):
            return Recipe([Vary(find(home, name))], name=name)
    known = sorted({*recipe_names(), *names(family), *names("features")})
    raise UnknownGenerator(f"no recipe, recipe file or generator `{name}`{did_you_mean(name, known)}")
