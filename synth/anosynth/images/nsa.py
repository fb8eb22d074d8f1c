"""Patches of normal photos, resized and blended in seamlessly."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, ParameterError
from anosynth.params import param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import Box, Edit
from ._nsa import (
    Seat,
    Source,
    apart,
    at_points,
    channel_mean,
    cut_around,
    ellipses,
    every,
    grades,
    painted,
    resized,
    share_seen,
    smoothed,
    step_of,
    strided,
)
from ._place import centre_of, placed
from ._poisson import clone, fast_side
from ._sample import Image, Mask
from ._textures import texture_folder
from ._visible import CLEAR, LEAST

Pixels = NDArray[np.float32]
Size2 = tuple[int, int]

_TRIES = 64
_PLACES = 12
_PREVIEW = 40
HEIGHT, WIDTH = "of the height", "of the width"


class Nsa(ImageGenerator):
    """Patch of a normal photo, resized and blended in by its gradients

    Half-height of the source patch: clip((base + Gamma(order, spread)) H, least_down H, most_down H), or uniform
    between the bounds; half-width likewise. It is resized by s = clip(N(1, 0.5^2), shrink, grow), its sides kept within
    the bounds, and put anywhere. Blends: `normal` solves lap f = div grad(source) with the image on the patch's border,
    `mixed` takes the stronger gradient of the two, `uniform` and `swap` paste; `strength` weighs the result against
    the image, for `swap` it is 1. Beside `instances`, each of `patches` - 1 further patches comes with probability 0.5
    onto the image as the others left it.

    With d the mean absolute change over the channels in levels of 255, after a median over a disk of 5 px, the graded
    label is `continuous`: strength, `intensity`: d / 255, `logistic`: 1 / (1 + exp(-slope (d - middle))), and 0 outside
    the mask, which is what changed. It is that of the full severity.

    Source: Schlueter et al., "Natural synthetic anomalies for self-supervised anomaly detection and localization",
    ECCV 2022, whose tables are the recipes nsa-bottle to nsa-zipper. As there, the bounds are those of half the source
    patch but of the whole resized one. Deviations: the patch comes from the image itself, or from a random one of the
    folder `others` at the image's size (there from the worker's previous sample, which cannot be made again). The
    object is the foreground, also in others; without one it is what differs from `background` by more than
    `tolerance`. The shares of object are estimated at 32 x 32 points; 64 places are tried, and of up to 12 that fit,
    the first is taken where a change would be seen. The median takes every second pixel of large patches. A mask from
    which a patch sticks out is joined with it, not replaced by it. `ellipses` is ours: the published rotation had a
    sign wrong, which made endless bands of them at 45 degrees.
    """

    blend: Literal["normal", "mixed", "uniform", "swap"] = param(
        "normal", vary="normal|mixed", help="how the patch is joined to the image"
    )
    strength: float = param(1.0, gt=0, le=1, vary=(0.6, 1.0), help="weight of the blended patch")
    outline: Literal["rectangle", "ellipses"] = param(
        "rectangle", help="shape of the patch: all of it, or some turned ellipses in it"
    )
    ellipses: int = param(5, ge=1, le=50, help="number of ellipses")
    law: Literal["gamma", "uniform"] = param("gamma", help="law of the half-sides of the source patch")
    order: int = param(2, ge=1, le=20, help="order of the gamma law")
    spread: float = param(0.05, gt=0, le=0.5, unit="of the side", help="scale of the gamma law")
    base: float = param(0.03, ge=0, le=0.5, unit="of the side", help="what the gamma law is added to")
    least_down: float = param(0.03, gt=0, le=0.5, unit=HEIGHT, help="least half-height")
    most_down: float = param(0.4, gt=0, le=0.5, unit=HEIGHT, help="largest half-height")
    least_across: float = param(0.03, gt=0, le=0.5, unit=WIDTH, help="least half-width")
    most_across: float = param(0.4, gt=0, le=0.5, unit=WIDTH, help="largest half-width")
    shrink: float = param(0.7, ge=0.1, le=1, help="least scale of the source patch")
    grow: float = param(1.3, ge=1, le=10, help="largest scale of the source patch")
    patches: int = param(1, ge=1, le=20, help="most patches, each after the first one with probability 0.5")
    object_share: float = param(0.7, ge=0, le=1, help="least share of object in the source patch")
    overlap: float = param(0.25, ge=0, le=1, help="least share of the source's object that falls on object")
    background: float = param(
        -1.0, ge=-1, le=1, unit="of full scale", help="grey level of the background if no foreground is known; -1: none"
    )
    tolerance: float = param(0.1, ge=0, le=1, unit="of full scale", help="greatest difference from `background`")
    others: str = param("", help="folder of further normal photos to take patches from; empty for the image itself")
    label: Literal["binary", "continuous", "intensity", "logistic"] = param("binary", help="graded label, if any")
    slope: float = param(1 / 6, gt=0, le=10, unit="per level of 255", help="slope of the logistic label")
    middle: float = param(20.0, ge=0, le=255, unit="levels of 255", help="change whose logistic label is 0.5")

    def check(self) -> None:
        super().check()
        for axis in ("down", "across"):
            least, most = getattr(self, f"least_{axis}"), getattr(self, f"most_{axis}")
            if least > most:
                raise ParameterError(f"`least_{axis}`: {least}: must be <= `most_{axis}` ({most})")

    def edits(self, image: Image, rng: Rng, free: Mask) -> list[Edit]:
        further = sum(rng.child("further", number).uniform() < 0.5 for number in range(1, self.patches))
        canvas, edits = image, list[Edit]()
        for number in range(self.instances + further):
            try:
                edit = self._patched(image, canvas, rng.child("defect", number), free)
            except DataError:
                if number < self.instances:
                    raise
                continue
            edits.append(edit)
            if number + 1 < self.instances + further:
                free = edit.cleared(free)
                canvas = painted(canvas, edit)
        return edits

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        return self._patched(image, image, rng, free)

    def _patched(self, image: Image, canvas: Image, rng: Rng, free: Mask) -> Edit:
        """Return one patch blended into `canvas`: the image with the patches before it."""
        source = self._source(image, rng.child("file"))
        here = self._objects(None, image)
        half = self._half_sides(image.shape, rng.child("size"))
        scale = min(max(1.0 + 0.5 * float(rng.child("scale").normal(1)[0]), self.shrink), self.grow)
        flips = (rng.child("mirror", "down").sign(), rng.child("mirror", "across").sign())
        found = self._seat(source, here, canvas, half, scale, flips, rng, free)
        if found is None:
            raise DataError(
                f"no visible patch at {_TRIES} places: the image is even, or less than {self.object_share:g} of a "
                "patch is object"
            )
        box, origin, new = found
        old = canvas.crop(box)
        alpha = np.full(old.shape[:2], 1.0 if self.blend == "swap" else self.strength, np.float32)
        if new is None:
            patch = resized(source.read(origin), (old.shape[0], old.shape[1]))[:: flips[0], :: flips[1]]
            new, alpha = self._blended(patch, old, alpha, rng.child("outline"))
        original = old if canvas is image else image.crop(box)
        grade = self._grade(new, original, alpha)
        return Edit(box, new, alpha, {"blend": self.blend, "from": list(origin), **source.stats}, grade)

    def _source(self, image: Image, rng: Rng) -> Source:
        if not self.others:
            return Source(image.crop, None, {}, image.pixels)
        try:
            folder = texture_folder(self.others)
        except ParameterError as error:
            raise ParameterError(str(error).replace("`textures`", "`others`")) from None
        name, step = folder.choose(rng), step_of(image)
        small = (-(-image.shape[0] // step), -(-image.shape[1] // step))
        return Source(
            lambda box: folder.crop(name, image.shape, box, image.channels),
            folder.crop(name, small, (0, 0, *small), image.channels),
            {"other": name},
            None,
        )

    def _objects(self, small: Pixels | None, image: Image) -> Mask | None:
        """Return where the object is on every so manieth pixel, or None for everywhere."""
        if image.foreground is not None:
            step = step_of(image)
            return image.foreground[::step, ::step]
        if self.background < 0:
            return None
        return apart(strided(image) if small is None else small, self.background, self.tolerance, 3)

    def _half_sides(self, shape: Size2, rng: Rng) -> tuple[float, float]:
        """Return half of the sides of the source patch in pixels."""
        halves = []
        for dim, (least, most) in zip(shape, self._bounds(), strict=True):
            if self.law == "uniform":
                half = rng.uniform(least, most)
            else:
                # A gamma variable of whole order is a sum of exponential ones.
                gamma = -self.spread * float(steady.log(1.0 - rng.random(self.order)).sum())
                half = min(max(self.base + gamma, least), most)
            halves.append(half * dim)
        return halves[0], halves[1]

    def _bounds(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (self.least_down, self.most_down), (self.least_across, self.most_across)

    def _resized_sides(self, origin: Box, scale: float, shape: Size2) -> Size2:
        """Return the sides of the patch in the image for the box that it comes from."""
        h, w = origin[2] - origin[0], origin[3] - origin[1]
        tall, wide = float(h), float(w)
        if self.shrink < 1 or self.grow > 1:
            (low, high), (left, right) = (
                (least * dim, most * dim) for dim, (least, most) in zip(shape, self._bounds(), strict=True)
            )
            tall = min(max(scale * h, low), high)
            wide = min(max(tall / h * w, left), right)
            tall = min(max(wide / w * h, low), high)
        sides = [min(max(round(side), 6), dim) for side, dim in zip((tall, wide), shape, strict=True)]
        if self.blend in ("normal", "mixed"):
            sides = [fast_side(side) for side in sides]
        return sides[0], sides[1]

    def _seat(
        self,
        source: Source,
        here: Mask | None,
        canvas: Image,
        half: tuple[float, float],
        scale: float,
        flips: Size2,
        rng: Rng,
        free: Mask,
    ) -> Seat | None:
        """Return the first seat where the patch is clear, else the one where most of it is seen."""
        places, origins = rng.child("place"), rng.child("origin")
        there = self._objects(source.small, canvas) if self.others and canvas.foreground is None else here
        anywhere, all_object = replace(canvas, prior=None), np.ones((1, 1), np.bool_)
        step, best, most, fitting = step_of(canvas), None, -1.0, 0
        for _ in range(_TRIES):
            if canvas.foreground is None:
                row, column = (min(int(origins.uniform() * dim), dim - 1) for dim in canvas.shape)
            else:
                row, column = centre_of(anywhere, canvas.foreground, origins)
            origin = cut_around((row, column), half, canvas.shape)
            box = placed(canvas, free, self._resized_sides(origin, scale, canvas.shape), places)
            ours = at_points(there, origin, step, (1, 1)) if there is not None else all_object
            theirs = at_points(here, box, step, flips) if here is not None else all_object
            if box == origin or ours.mean() < self.object_share or not ours.any():
                continue
            if np.count_nonzero(ours & theirs) < self.overlap * np.count_nonzero(ours):
                continue
            fitting += 1
            pixels, means, new = self._seen(source, origin, canvas, box, flips)
            if pixels >= LEAST and means >= CLEAR:
                return Seat(box, origin, new)
            if pixels >= LEAST and means + 1e-3 * pixels > most:
                best, most = Seat(box, origin, new), means + 1e-3 * pixels
            if fitting == _PLACES:
                break
        return best

    def _seen(
        self, source: Source, origin: Box, canvas: Image, box: Box, flips: Size2
    ) -> tuple[float, float, Pixels | None]:
        """Return the shares of pixels and of local means that would visibly change, on every so manieth pixel.

        If these are all pixels, also what is blended in.
        """
        from scipy.ndimage import uniform_filter

        step = max(1, min(box[2] - box[0], box[3] - box[1]) // _PREVIEW)
        old = every(canvas, box, step)
        wide = max(1, min(origin[2] - origin[0], origin[3] - origin[1]) // _PREVIEW)
        patch = source.read(origin)[::wide, ::wide] if source.stats else every(canvas, origin, wide)
        patch = resized(patch, (old.shape[0], old.shape[1]))[:: flips[0], :: flips[1]]
        seamless = self.blend in ("normal", "mixed")
        new = clone(patch, old, mixed=self.blend == "mixed") if seamless else patch
        change = (np.clip(new, 0, 1) - old) * np.float32(1.0 if self.blend == "swap" else self.strength)
        single, local = share_seen(change), share_seen(uniform_filter(change, (3, 3, 1)))
        # The source is the untouched image: a canvas with patches on it may differ from it there.
        own = bool(source.stats) or canvas.pixels is source.pixels
        whole = step == 1 and wide == 1 and own and seamless and self.outline == "rectangle"
        return single, local, new if whole else None

    def _blended(self, patch: Pixels, old: Pixels, alpha: Pixels, rng: Rng) -> tuple[Pixels, Pixels]:
        """Return the new pixels and their alpha, which may be `alpha`."""
        inside = ellipses(alpha.shape, self.ellipses, rng) if self.outline == "ellipses" else None
        if self.blend in ("normal", "mixed"):
            return clone(patch, old, mixed=self.blend == "mixed", mask=inside), alpha
        if inside is not None:
            alpha[~inside] = 0
        if self.background >= 0:
            there, here = (apart(pixels, self.background, self.tolerance, 7) for pixels in (patch, old))
            alpha[~(there | here)] = 0
        return patch, alpha

    def _grade(self, new: Pixels, old: Pixels, alpha: Pixels) -> Pixels | None:
        if self.label == "binary":
            return None
        if self.label == "continuous":
            return np.minimum(np.float32(self.strength), alpha)
        change = channel_mean(np.abs(np.clip(new, 0, 1) - old), np.float32) * alpha
        levels = smoothed(np.rint(np.minimum(change, 1) * np.float32(255)).astype(np.uint8))
        return grades(self.label, self.slope, self.middle)[levels]
