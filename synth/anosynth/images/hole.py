"""Punched hole that one sees through."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError
from anosynth.noise import lattice
from anosynth.params import Size, param
from anosynth.seeding import Rng

from ._base import ImageGenerator
from ._edit import FLOOR, Box, Edit
from ._place import box_around, centre_of
from ._sample import Image, Mask
from ._seats import heading, oriented
from ._visible import graded

Field = NDArray[np.float32]

_SMALLEST = 5.0
_DARK_SURFACE = 0.15
_DARK, _LIGHT = 0.03, 0.85
_APART = 0.1
_LEAST_BACKGROUND = 64
_SAMPLES = 160
_PLACES = 24
_SEATS = 16
_RIM = 0.14
_SWING = 1.6
"""What brings the largest swing of the noise to about 1."""


class Hole(ImageGenerator):
    """Punched hole with a wall, a lit rim and what lies behind

    The near edge is an ellipse that gradient noise makes uneven by `roughness`; the far one is shifted by `depth` of
    the short half axis. What lies within both is `fill`, up to a third darker towards the edge; what lies within the
    near one alone is the wall, the surface's mean colour times 0.3 to 0.9 by how it faces the light. Outside, a rim of
    0.14 short half axes is up to 25 % lighter on the side of the light and darker on the other. Of 16 places, the first
    is taken that is not cut by the edge of the part, else the best one. At severities below 1 the hole is smaller.

    fill: `background` is what lies outside of the foreground, a piece of it if one fits, else its median with its
    grain; `dark` is nearly black, or light where the surface is nearly black itself; `auto` takes the background where
    it is known and differs from the surface, else `dark`.

    Ours.
    """

    version: ClassVar[int] = 2
    fades: ClassVar[bool] = False

    width: Size = param(
        0.07, gt=0, le=0.8, vary=(0.03, 0.12), unit="of the shorter side", help="width of the hole, at least 5 px"
    )
    elongation: float = param(1.1, ge=1, le=10, vary=(1.0, 1.4), help="ratio of the longer to the shorter axis")
    orientation: float = oriented()
    depth: float = param(
        0.3, ge=0, le=1, vary=(0.15, 0.5), unit="of half the width", help="how much of the wall is seen"
    )
    roughness: float = param(
        0.06, ge=0, le=0.4, vary=(0.0, 0.15), unit="of half the width", help="unevenness of the edge"
    )
    fill: Literal["auto", "background", "dark"] = param("auto", help="what is seen through the hole")

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        short = 0.5 * min(max(image.length(self.width), _SMALLEST), 0.8 * image.side)
        long = min(short * self.elongation, 0.5 * max(image.shape))
        rim = max(1.0, _RIM * short)
        half = math.ceil((1 + self.roughness) * long + rim + 2)
        centre = self._seat(image, free, short, long, rng.child("place"))
        box = box_around(centre, (2 * half + 1, 2 * half + 1), image.shape)
        down, right = _offsets(centre, box)
        noise = lattice((len(down), len(right)), (4.0, 4.0), rng.child("edge"), octaves=2)
        old = image.crop(box)
        near = _hypot(down[:, None], right[None, :]) < short
        surface = old[near].mean(axis=0, dtype=np.float64).astype(np.float32)
        behind, stats = self._behind(image, box, surface, rng.child("behind"))
        view, light = (rng.child(name).uniform(-180.0, 180.0) for name in ("view", "light"))

        def punched(amount: float) -> Edit:
            inside = (
                self._inside(down, right, amount * short, amount * long)
                + np.float32(amount * _SWING * self.roughness * short) * noise
            )
            sine, cosine = (np.float32(self.depth * amount * short * part) for part in heading(view))
            far = self._inside(down - sine, right - cosine, amount * short, amount * long)
            return _drawn(box, old, behind, surface, inside, far, (down, right), light, max(1.0, amount * rim), stats)

        return graded(self.severity, punched, image)

    def _seat(self, image: Image, free: Mask, short: float, long: float, rng: Rng) -> tuple[int, int]:
        """Return the first (row, column) around which the near edge fits on the part, else the best."""
        half, found, most = math.ceil(long) + 1, (0, 0), -1.0
        for _ in range(_SEATS):
            centre = centre_of(image, free, rng)
            box = box_around(centre, (2 * half + 1, 2 * half + 1), image.shape)
            part = free[box[0] : box[2], box[1] : box[3]]
            if part.all():
                return centre
            # With a pixel around it, or the edge of the part would cut it open.
            hole = self._inside(*_offsets(centre, box), short, long) > -1
            share = np.count_nonzero(part & hole) / np.count_nonzero(hole)
            if share == 1:
                return centre
            if share > most:
                found, most = centre, share
        return found

    def _inside(self, down: Field, right: Field, short: float, long: float) -> Field:
        """Return the distance in pixels inside the ellipse, (h, w), negative outside; exact where it is a circle."""
        sine, cosine = (np.float32(part) for part in heading(self.orientation))
        along = ((right[None, :] * cosine + down[:, None] * sine) / np.float32(long)).astype(np.float32)
        across = ((down[:, None] * cosine - right[None, :] * sine) / np.float32(short)).astype(np.float32)
        return np.float32(short) * (np.float32(1) - _hypot(along, across))

    def _behind(self, image: Image, box: Box, surface: Field, rng: Rng) -> tuple[Field, dict[str, str]]:
        """Return what is seen through, (h, w, C) or (1, 1, C), and what it is."""
        if self.fill != "dark":
            seen = _background(image, box, rng)
            if seen is not None and float(np.abs(np.median(seen, axis=(0, 1)) - surface).max()) >= (
                _APART if self.fill == "auto" else FLOOR
            ):
                return seen, {"fill": "background"}
            if self.fill == "background":
                raise DataError("no background is known that differs from the surface")
        dark = float(surface.mean()) >= _DARK_SURFACE
        return np.full((1, 1, image.channels), _DARK if dark else _LIGHT, np.float32), {"fill": "dark"}


def _offsets(centre: tuple[int, int], box: Box) -> tuple[Field, Field]:
    """Return how far down (h,) and right (w,) of `centre` the rows and columns of `box` lie, in pixels."""
    down, right = (np.arange(box[k], box[k + 2], dtype=np.float32) - np.float32(centre[k]) for k in (0, 1))
    return down, right


def _background(image: Image, box: Box, rng: Rng) -> Field | None:
    """Return a piece (h, w, C) of what lies outside of the foreground, made up of its colours if no piece fits."""
    if image.foreground is None:
        return None
    from scipy.ndimage import binary_dilation

    step = max(1, image.side // _SAMPLES)
    # Next to the foreground lie its shadow and its blurred edge.
    outside = ~binary_dilation(image.foreground[::step, ::step], iterations=2)
    if int(outside.sum()) * step * step < _LEAST_BACKGROUND:
        return None
    rows, columns = np.nonzero(outside)
    h, w = box[2] - box[0], box[3] - box[1]
    for _ in range(_PLACES):
        k = rng.integer(0, len(rows) - 1)
        top, left = int(rows[k]) * step, int(columns[k]) * step
        part = outside[top // step : (top + h - 1) // step + 1, left // step : (left + w - 1) // step + 1]
        if top + h <= image.shape[0] and left + w <= image.shape[1] and part.all():
            piece: Field = image.crop((top, left, top + h, left + w))
            return piece
    known = image.pixels[rows * step, columns * step].reshape(len(rows), -1).astype(np.float32) / np.float32(
        image.white
    )
    middle = np.median(known, axis=0)
    spread = np.minimum(1.4826 * np.median(np.abs(known - middle), axis=0), 0.05)
    grain = rng.child("grain").normal(h * w).reshape(h, w, 1)
    made: Field = (middle + grain * spread).astype(np.float32)
    return made


def _drawn(
    box: Box,
    old: Field,
    behind: Field,
    surface: Field,
    inside: Field,
    far: Field,
    axes: tuple[Field, Field],
    light: float,
    rim: float,
    stats: dict[str, str],
) -> Edit:
    """Return the edit: the hole `inside` the near edge, seen through where it is `far` too, and the rim around it."""
    down, right = axes
    sine, cosine = (np.float32(part) for part in heading(light))
    length = np.maximum(_hypot(down[:, None], right[None, :]), np.float32(1))
    # From -1 on the side away from the light to 1 on the side towards it.
    facing = (down[:, None] * sine + right[None, :] * cosine) / length
    hole = np.clip(inside + np.float32(0.5), 0, 1)
    through = np.minimum(hole, np.clip(far + np.float32(0.5), 0, 1))
    # The wall on the far side faces the light.
    wall = surface * (np.float32(0.6) - np.float32(0.3) * facing)[:, :, None]
    gloom = np.float32(0.67) + np.float32(0.33) * np.clip(far / np.float32(max(2.0, 2 * rim)), 0, 1)
    within = wall + through[:, :, None] * (behind * gloom[:, :, None] - wall)
    edge = np.clip(np.float32(1) + inside / np.float32(rim), 0, 1) * (inside < 0.5)
    shine = (np.float32(0.25) * edge * facing)[:, :, None]
    lit = np.where(shine > 0, old + shine * (1 - old), old * (1 + shine))
    pixels = lit + hole[:, :, None] * (within - lit)
    return Edit(box, pixels, ((hole > 0) | (edge > 0)).astype(np.float32), dict(stats))


def _hypot(a: Field, b: Field) -> Field:
    root: Field = np.sqrt(a * a + b * b)
    return root
