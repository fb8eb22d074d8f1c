"""Piece broken off the edge of the foreground."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import DataError, Impossible
from anosynth.generator import Anomaly
from anosynth.noise import lattice
from anosynth.params import Area, Size, param
from anosynth.seeding import Rng, RngLike

from ._base import ImageGenerator
from ._edit import Box, Edit
from ._fill import continued, halo, widened
from ._outline import BLOB_SHARE, blob
from ._place import box_around, centre_of
from ._rim import with_rim
from ._sample import Image, Mask
from ._seats import fractions, nearest
from ._visible import graded
from ._warp import resample

Alpha = NDArray[np.float32]

_DARK = 0.35
_LEAST_BACKGROUND = 8


class EdgeChip(ImageGenerator):
    """Piece broken off the foreground's edge, with the background in its place

    An irregular outline around a pixel of the foreground's edge, made ragged by gradient noise and in one piece without
    crumbs, is filled with what lies outside of the foreground there, continued by Laplace's equation, with its grain.
    Along the break, a rim of `width` is shaded by s, 1 at the break and 0 at its end: old (1 - strength s), or
    old + strength s (1 - old) on a dark foreground. At severities below 1 a smaller piece is missing, with the same
    outline.

    Ours. The foreground has to be known; it is what the piece is broken off from. The pixels beside it that show the
    part too, up to 3 away or 1/96 of the shorter side, break off with it: a mask that ends within the blur of the edge
    would leave a hairline of the old rim across the gap. No other generator leaves the foreground.
    """

    version: ClassVar[int] = 2
    fades: ClassVar[bool] = False

    strength: float = param(0.5, gt=0, le=1, vary=(0.3, 0.7), help="depth of the shade along the break")
    area: Area = param(0.01, gt=0, le=0.3, vary=(0.003, 0.02), unit="of the image", help="size of the missing piece")
    elongation: float = param(1.3, ge=1, le=10, vary=(1.0, 2.0), help="ratio of the longer to the shorter side")
    orientation: float = param(
        0.0,
        ge=-180,
        le=180,
        vary=(-45.0, 45.0),
        unit="degrees",
        help="direction of the long side, from along the edge (0) to into the part (90)",
    )
    softness: float = param(0.05, ge=0, le=1, vary=(0.0, 0.1), help="share of the piece's depth over which it fades")
    width: Size = param(0.012, gt=0, le=0.1, unit="of the shorter side", help="width of the shaded rim")
    roughness: float = param(0.08, ge=0, le=0.3, vary=(0.04, 0.12), unit="of the piece", help="raggedness of the break")

    def __call__(self, sample: Any, rng: RngLike = None) -> Anomaly:
        if not isinstance(sample, Image) or sample.foreground is None:
            return super().__call__(sample, rng)
        anomaly = super().__call__(replace(sample, foreground=with_rim(sample, sample.foreground)), rng)
        stats = {**anomaly.stats, "foreground": float(sample.foreground.mean())}
        return replace(anomaly, sample=replace(sample, pixels=anomaly.sample.pixels), before=sample, stats=stats)

    def edit(self, image: Image, rng: Rng, free: Mask) -> Edit:
        from scipy.ndimage import distance_transform_edt

        if image.foreground is None:
            raise Impossible("the foreground is not known\nhint: give the image one, Image(pixels, foreground=mask)")
        edge = _edge(image.foreground)
        if not edge.any():
            raise Impossible("the foreground fills the image: it has no edge to break a piece off")
        centre = self._seat(image, edge & free, rng)
        rim = min(max(1.5, image.length(self.width)), 0.5 * image.side)
        near = halo(image)
        alpha, box = self._bite(image, image.foreground, rng, centre, margin=max(near + 2, math.ceil(rim) + 2))
        top, left, bottom, right = box
        inside = image.foreground[top:bottom, left:right]
        background = ~widened(inside, near)
        if int(background.sum()) < _LEAST_BACKGROUND:
            raise DataError("there is too little background around this place of the edge")
        old = image.crop(box)
        new = continued(old, ~background, rng.child("grain"))
        wear = np.float32(0.7) + np.float32(0.6) * _rough(alpha.shape, rng.child("rim"), 2 * rim)
        bright = float(old[inside].astype(np.float64).mean()) > _DARK
        depth = np.asarray(distance_transform_edt(np.pad(alpha > 0, 1)))[1:-1, 1:-1].astype(np.float32)
        deepest = float(depth.max())

        def broken(amount: float, step: int = 1) -> Edit:
            some = (slice(None, None, step), slice(None, None, step))
            # Pared down from all sides, the piece stays where it was: around a pixel of the edge.
            bite = alpha[some] * np.minimum(np.maximum(depth[some] - np.float32((1 - amount) * deepest), 0), 1)
            away = step * np.asarray(distance_transform_edt(bite <= 0)).astype(np.float32)
            shade = np.minimum(np.maximum(1 - (away - 1) / np.float32(rim), 0), 1) * (bite < 1) * inside[some]
            shade *= wear[some]
            whole = (bite > 0) | (shade > 0)
            shade *= np.float32(self.strength)
            pixels = old[some].copy()
            for channel in range(image.channels):
                # Where the bite's edge is soft, the background mixes with the shaded rim, not with the old pixels.
                shaded = pixels[:, :, channel]
                shaded += shade * (-shaded if bright else 1 - shaded)
                shaded += bite * (new[some][:, :, channel] - shaded)
            return Edit(box, pixels, whole.astype(np.float32), {"centre": list(centre), "rim": rim})

        return graded(self.severity, broken, image, broken)

    def _seat(self, image: Image, edge: Mask, rng: Rng) -> tuple[int, int]:
        """Return a pixel of the edge; the nearest one to a given centre, which may lie off the edge."""
        if self.centre:
            return nearest(edge, *fractions(self.centre))
        if image.prior is not None and not (edge & (image.prior > 0)).any():
            raise Impossible(f"no pixel of the foreground's edge is left to break a piece off (place: {self.place})")
        return centre_of(image, edge, rng.child("place"))

    def _bite(
        self, image: Image, foreground: Mask, rng: Rng, centre: tuple[int, int], margin: int
    ) -> tuple[Alpha, Box]:
        # About half of an outline around a pixel of the edge lies on the foreground.
        pixels = 2 * min(image.share(self.area), 0.3) * image.shape[0] * image.shape[1] / BLOB_SHARE
        stretch = math.sqrt(self.elongation)
        h, w = (max(6, round(math.sqrt(pixels) * factor)) for factor in (1 / stretch, stretch))
        turn = _edge_way(foreground, centre, max(4, round(0.5 * math.sqrt(pixels)))) + self.orientation
        # A dome rather than a plateau, so that the noise has an outline to move.
        dome = np.pad(blob((h, w), rng.child("outline"), softness=1.0, orientation=turn), margin)
        reach = np.float32(self.roughness * math.sqrt(h * w))
        down, right = (
            _rough(dome.shape, rng.child("rough", axis), min(h, w) / 6) * reach for axis in ("down", "right")
        )
        ragged = resample(dome[:, :, None], down, right)[:, :, 0] > 0
        box = box_around(centre, ragged.shape, image.shape)
        top, left = box[0] - (centre[0] - ragged.shape[0] // 2), box[1] - (centre[1] - ragged.shape[1] // 2)
        gone = ragged[top : top + box[2] - box[0], left : left + box[3] - box[1]]
        return _in_one_piece(gone, foreground[box[0] : box[2], box[1] : box[3]], self.softness), box


def _in_one_piece(gone: Mask, inside: Mask, softness: float) -> Alpha:
    """Return the alpha of the largest part of `gone` (h, w) bool, with the crumbs of the foreground that it cuts off.

    Args:
        inside: (h, w) bool, the foreground.
        softness: share of its depth over which it fades, from a pixel on.
    """
    from scipy.ndimage import distance_transform_edt, label

    gone = _largest(label(gone)[0])
    rest, _ = label(inside & ~gone)
    # What reaches the border of the box goes on beyond it.
    held = np.unique(np.concatenate([rest[0], rest[-1], rest[:, 0], rest[:, -1]]))
    crumbs = (rest > 0) & ~np.isin(rest, held) & ~_largest(rest)
    depth = np.asarray(distance_transform_edt(gone | crumbs)).astype(np.float32)
    slope = np.float32(max(1.0, softness * float(depth.max())))
    alpha: Alpha = np.minimum(np.maximum(depth - np.float32(0.5), 0) / slope, np.float32(1))
    return alpha


def _largest(parts: NDArray[Any]) -> Mask:
    """Return the largest part of (h, w), whose parts are numbered from 1; nothing if there are none."""
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest: Mask = (parts == sizes.argmax()) & (parts > 0)
    return largest


def _rough(shape: tuple[int, ...], rng: Rng, wavelength: float) -> Alpha:
    """Return noise of three octaves, (h, w) float32 from -1 to 1, the coarsest of `wavelength` pixels."""
    h, w = shape
    return lattice((h, w), (max(1.0, h / wavelength), max(1.0, w / wavelength)), rng, octaves=3)


def _edge_way(foreground: Mask, centre: tuple[int, int], reach: int) -> float:
    """Return the way of the foreground's edge around `centre` in degrees from right to down, the part at +90 of it."""
    top, left = max(0, centre[0] - reach), max(0, centre[1] - reach)
    part = foreground[top : centre[0] + reach + 1, left : centre[1] + reach + 1]
    y = (np.arange(part.shape[0]) + top - centre[0])[:, None]
    x = (np.arange(part.shape[1]) + left - centre[1])[None, :]
    side = np.where(part, 1, -1) * (y * y + x * x <= reach * reach)
    return math.degrees(float(steady.arctan2(float((side * y).sum()), float((side * x).sum())))) - 90.0


def _edge(foreground: Mask) -> Mask:
    """Return the pixels of the foreground with one of their four neighbours in the background."""
    lonely = np.zeros_like(foreground)
    lonely[1:] |= ~foreground[:-1]
    lonely[:-1] |= ~foreground[1:]
    lonely[:, 1:] |= ~foreground[:, :-1]
    lonely[:, :-1] |= ~foreground[:, 1:]
    return foreground & lonely
