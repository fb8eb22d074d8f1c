"""Toy photos of three sorts of parts, good and with defects of their own, and a data set of them as MVTec AD has it.

A photo is a `_Scene` - what lies behind, the body before it, and how much of each pixel the body covers - to which a
defect may be done, then light and the noise of a sensor. The defects owe nothing to anosynth's generators, so that
they can stand for real ones in trials of what was trained on synthetic ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anosynth import steady
from anosynth.errors import ParameterError, UnknownGenerator, did_you_mean
from anosynth.noise import lattice
from anosynth.seeding import Rng, RngLike, as_rng, stream

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEFECTS = {"washer": ("chip", "scratch"), "fabric": ("scratch", "stain"), "tablet": ("chip", "stain")}
"""The kinds of toy photos and the defects that each can have."""


@dataclass(frozen=True)
class _Scene:
    """Colours (H, W, 3) from 0 to 1 behind the body, of the body and of its broken inside; its cover (H, W).

    `at(rng, rim)` returns a place on the body, or on its rim, as (x, y) from -1 to 1.
    """

    behind: Floats
    body: Floats
    inside: Floats
    cover: Floats
    at: Callable[[Rng, bool], tuple[float, float]]


def toy_image(
    kind: str, rng: RngLike, *, size: int = 256, defect: bool | str = False
) -> tuple[NDArray[np.uint8], Mask | None]:
    """Return a toy photo (size, size, 3) uint8 RGB and, if it has a defect, the mask (size, size) bool of it.

    The same stream gives the same part in the same light with and without a defect: pixels differ in the mask and in
    the soft edge around it alone.

    Args:
        kind: "washer", a brushed ring on a table; "fabric", a twill that fills the frame; "tablet", a speckled pill
            with a score line on a dark ground.
        rng: stream of pose, light, surface and defect.
        size: of both sides in pixels, 48 to 4096.
        defect: False for none, True for any that the kind can have, or the name of one: see `DEFECTS`.

    Raises:
        UnknownGenerator: there is no such kind, or no such defect of it.
        ParameterError: `size` is outside of its bounds.
    """
    if kind not in DEFECTS:
        raise UnknownGenerator(f"no toy photo `{kind}`{did_you_mean(kind, DEFECTS)}")
    if not 48 <= size <= 4096:
        raise ParameterError(f"size: {size}: expected 48 to 4096")
    base = as_rng(rng)
    if defect is True:
        defect = DEFECTS[kind][base.child("which").integer(0, len(DEFECTS[kind]) - 1)]
    if defect and defect not in DEFECTS[kind]:
        raise UnknownGenerator(f"no defect `{defect}` of the toy `{kind}`{did_you_mean(defect, DEFECTS[kind])}")
    scene = _SCENES[kind](base.child("scene"), size)
    shape: Mask | None = None
    if defect:
        scene, shape = _HARM[defect](scene, base.child("defect"))
    return _taken(scene, base.child("camera")), shape


def make_mvtec(out: str | Path, *, seed: int, count: int) -> list[Path]:
    """Write a toy data set in the layout of MVTec AD under the folder `out` and return its files, sorted.

    Each of the three categories has `count` normal training photos, and half as many (at least one) of each other
    sort: normal and two kinds of defect, with their masks. A file depends on the seed and its own path alone.

    Raises:
        WriteError: a file cannot be written.
    """
    from anosynth.datasets.truth import placed
    from anosynth.images import Image
    from anosynth.io.images import write_image, write_mask

    folder, some, written = Path(out), max(1, count // 2), []
    for kind, defects in DEFECTS.items():
        sorts = [("train", "good", count), ("test", "good", some), *(("test", defect, some) for defect in defects)]
        for split, sort, number in sorts:
            for index in range(number):
                target = f"{kind}/{split}/{sort}/{index:03d}.png"
                rng = stream(seed, "toy", target)
                pixels, mask = toy_image(kind, rng, defect=False if sort == "good" else sort)
                written.append(placed(folder, target))
                write_image(written[-1], Image(pixels))
                if mask is not None:
                    written.append(placed(folder, f"{kind}/ground_truth/{sort}/{index:03d}_mask.png"))
                    write_mask(written[-1], mask)
    return sorted(written)


def _washer(rng: Rng, size: int) -> _Scene:
    pose, x, y = rng.child("pose"), *_frame(size)
    centre = (pose.uniform(-0.07, 0.07), pose.uniform(-0.07, 0.07))
    outer, inner = pose.uniform(0.64, 0.70), pose.uniform(0.29, 0.32)
    light = pose.uniform(-2.6, -1.9)
    dx, dy = x - centre[0], y - centre[1]
    radius, angle = np.sqrt(dx * dx + dy * dy), steady.arctan2(dy, dx)
    apart = np.maximum(radius - outer, inner - radius)

    grain = _noise(size, 90, rng.child("grain"), 2)
    table = 0.40 + 0.05 * _noise(size, 3, rng.child("table"), 3) + 0.05 * grain
    shadow = _shadow(dx - 0.035, dy - 0.045, outer, inner)
    behind = _tinted(table * (1.0 - 0.55 * shadow), (1.03, 0.99, 0.90))

    # Turned metal: grooves along the circles, and the two fans of light that such grooves throw.
    grooves = lattice((2048, 1), (300, 1), rng.child("grooves"), octaves=2)[:, 0].astype(np.float64)
    turned = grooves[np.clip(radius * 1400, 0, 2047).astype(np.int64)]
    fans = np.abs(steady.cos(angle - light - 0.5 * turned)) ** 2
    smear = _noise(size, 6, rng.child("smear"), 3)
    facing = steady.cos(angle - light)
    outward = np.clip((radius - outer + 0.045) / 0.045, 0.0, 1.0)
    inward = np.clip((inner + 0.035 - radius) / 0.035, 0.0, 1.0)
    steel = 0.50 + 0.23 * fans * fans + 0.05 * turned + 0.03 * smear
    steel = steel + 0.20 * facing * outward - 0.20 * facing * inward
    body = _tinted(steel, (0.97, 1.0, 1.04))

    def at(draw: Rng, rim: bool) -> tuple[float, float]:
        turn = draw.uniform(-math.pi, math.pi)
        far = outer - 0.01 if rim else draw.uniform(inner + 0.10, outer - 0.10)
        return centre[0] + far * steady.cos(turn), centre[1] + far * steady.sin(turn)

    return _Scene(behind, body, behind, _cover(apart, size), at)


def _fabric(rng: Rng, size: int) -> _Scene:
    pose, x, y = rng.child("pose"), *_frame(size)
    tilt, pitch = pose.uniform(-0.06, 0.06), pose.uniform(17.0, 19.0)
    cos, sin = steady.cos(tilt), steady.sin(tilt)
    # Threads wander a little.
    u = pitch * (x * cos - y * sin + 0.012 * _noise(size, 5, rng.child("across"), 2)) + pose.uniform(0, 4) + 64
    v = pitch * (x * sin + y * cos + 0.012 * _noise(size, 5, rng.child("down"), 2)) + pose.uniform(0, 4) + 64
    warp, weft = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    across_warp, across_weft = 2 * (u - warp) - 1, 2 * (v - weft) - 1
    above = (warp + weft) % 4 < 2  # a twill of two over two under
    place = np.where(above, across_warp, across_weft)
    # Along the thread the two crossings that it lies over form one arch.
    along = np.where(above, (v + warp) % 4, (u + weft) % 4)
    arch = np.clip(1.0 - ((along - 1.0) % 4 - 1.0) ** 2 / 1.6, 0.0, 1.0)
    round_ = 1.0 - place * place
    yarn = np.where(above, _yarn(rng.child("warp"))[warp % 256], _yarn(rng.child("weft"))[weft % 256])
    fibres = _noise(size, 60, rng.child("fibres"), 2)
    height = (0.42 + 0.42 * round_ + 0.16 * arch) * (1.0 + 0.10 * yarn + 0.10 * fibres)
    height = height * (1.0 + 0.05 * _noise(size, 3, rng.child("wash"), 2))
    blue, pale = np.array([0.25, 0.36, 0.56]), np.array([0.66, 0.68, 0.69])
    body = height[:, :, None] * np.where(above[:, :, None], blue, pale)

    def at(draw: Rng, rim: bool) -> tuple[float, float]:
        return draw.uniform(-0.7, 0.7), draw.uniform(-0.7, 0.7)

    return _Scene(body, body, body, np.ones((size, size)), at)


def _tablet(rng: Rng, size: int) -> _Scene:
    pose, x, y = rng.child("pose"), *_frame(size)
    centre, outer = (pose.uniform(-0.06, 0.06), pose.uniform(-0.06, 0.06)), pose.uniform(0.66, 0.72)
    turn, light = pose.uniform(-0.5, 0.5), pose.uniform(-2.4, -2.0)
    dx, dy = x - centre[0], y - centre[1]
    radius = np.sqrt(dx * dx + dy * dy)
    dark = 0.085 + 0.02 * _noise(size, 3, rng.child("ground"), 2)
    behind = _tinted(dark + 0.03 * (1.0 - y), (0.9, 1.0, 1.1))

    # A flat face with a round shoulder, and a score line pressed into it.
    slope = np.clip((radius - 0.80 * outer) / (0.20 * outer), 0.0, 1.0) ** 2
    towards = (dx * steady.cos(light) + dy * steady.sin(light)) / np.maximum(radius, 1e-9)
    line = dy * steady.cos(turn) - dx * steady.sin(turn)
    valley = np.clip(1.0 - np.abs(line) / 0.035, 0.0, 1.0)
    side = np.where(line > 0, 1.0, -1.0) * steady.sin(light)
    powder = _noise(size, 50, rng.child("powder"), 2)
    value = 0.76 + 0.025 * powder - 0.22 * slope + 0.22 * slope * towards
    value = value - valley * (0.12 + 0.16 * side)
    body = _tinted(value, (1.06, 0.97, 0.88))
    speckle = np.clip(6.0 * (_noise(size, 42, rng.child("speckle"), 1) - 0.38), 0.0, 1.0)
    tone = 0.55 + 0.35 * (_noise(size, 20, rng.child("tone"), 1) > 0)
    body = body * (1.0 - (speckle * tone)[:, :, None] * np.array([0.30, 0.50, 0.62]))
    rough = 0.80 + 0.16 * _noise(size, 26, rng.child("inside"), 3)

    def at(draw: Rng, rim: bool) -> tuple[float, float]:
        angle = draw.uniform(-math.pi, math.pi)
        far = outer - 0.02 if rim else outer * math.sqrt(draw.uniform(0.0, 0.4))
        return centre[0] + far * steady.cos(angle), centre[1] + far * steady.sin(angle)

    return _Scene(behind, body, _tinted(rough, (1.03, 1.0, 0.93)), _cover(radius - outer, size), at)


def _scratch(scene: _Scene, rng: Rng) -> tuple[_Scene, Mask]:
    """A thin bent score, bright on one side and dark on the other."""
    size = len(scene.cover)
    (cx, cy), (x, y) = scene.at(rng, False), _frame(size)
    turn, length, bend = rng.uniform(0.0, math.pi), rng.uniform(0.18, 0.34), rng.uniform(-0.6, 0.6)
    along = (x - cx) * steady.cos(turn) + (y - cy) * steady.sin(turn)
    across = (y - cy) * steady.cos(turn) - (x - cx) * steady.sin(turn)
    across = across - bend * (along * along - length * length / 3) - 0.012 * _noise(size, 8, rng.child("shake"), 2)
    width = rng.uniform(0.011, 0.017) + 0.5 / size
    reach = np.clip((length - np.abs(along)) / (0.4 * length), 0.0, 1.0)
    here = np.clip(1.6 * (1.0 - np.abs(across) / (width * (0.4 + 0.6 * reach))), 0.0, 1.0) * (reach > 0)
    lit = np.where(across > -0.003, 0.92, 0.30)[:, :, None]
    weight = 0.85 * here * scene.cover
    body = scene.body + (0.85 * here)[:, :, None] * (lit - scene.body)
    return replace(scene, body=body), weight > 0.2


def _stain(scene: _Scene, rng: Rng) -> tuple[_Scene, Mask]:
    """A dried drop: a brown film with a darker edge."""
    apart = _blob(scene, scene.at(rng, False), rng.uniform(0.12, 0.22), rng.child("outline"))
    size = len(scene.cover)
    film = np.clip(-apart / 0.025, 0.0, 1.0)
    edge = np.clip(1.0 - np.abs(apart + 0.022) / 0.022, 0.0, 1.0)
    depth = film * (0.36 + 0.10 * _noise(size, 9, rng.child("depth"), 2)) + 0.22 * edge
    body = scene.body * (1.0 - depth[:, :, None] * np.array([0.75, 1.0, 1.25]))
    return replace(scene, body=body), depth * scene.cover > 0.08


def _chip(scene: _Scene, rng: Rng) -> tuple[_Scene, Mask]:
    """A piece broken off the rim: the ground shows, next to the rough face of the break."""
    apart = _blob(scene, scene.at(rng, True), rng.uniform(0.10, 0.17), rng.child("outline"))
    size = len(scene.cover)
    face = _cover(apart, size)
    gone = _cover(apart + rng.uniform(0.03, 0.05), size)
    lit = np.clip(0.75 + 0.25 * apart / -0.06, 0.5, 1.0)
    body = scene.body + face[:, :, None] * (scene.inside * lit[:, :, None] - scene.body)
    shape = (face * scene.cover) > 0.3
    return replace(scene, body=body, cover=scene.cover * (1.0 - gone)), shape


def _blob(scene: _Scene, centre: tuple[float, float], radius: float, rng: Rng) -> Floats:
    """Return about the distance from the outline of a blob, negative inside."""
    size = len(scene.cover)
    x, y = _frame(size)
    dx, dy = x - centre[0], (y - centre[1]) * rng.uniform(0.75, 1.3)
    return np.asarray(np.sqrt(dx * dx + dy * dy) - radius * (1.0 + 0.7 * _noise(size, 7, rng.child("wave"), 3)))


def _taken(scene: _Scene, rng: Rng) -> NDArray[np.uint8]:
    """Light a scene unevenly and take its photo: shot noise and read noise, 8 bit."""
    size = len(scene.cover)
    x, y = _frame(size)
    turn, level = rng.uniform(-math.pi, math.pi), rng.uniform(0.94, 1.06)
    light = level * (1.0 + 0.07 * (x * steady.cos(turn) + y * steady.sin(turn)) - 0.05 * (x * x + y * y))
    share = scene.cover[:, :, None]
    seen = np.clip((scene.behind + share * (scene.body - scene.behind)) * light[:, :, None], 0.0, 1.0)
    grain = rng.child("noise").normal(seen.size).reshape(seen.shape)
    noisy = seen + grain * np.sqrt(0.006**2 + 0.00018 * seen)
    return np.asarray(np.rint(255.0 * np.clip(noisy, 0.0, 1.0)), dtype=np.uint8)


def _frame(size: int) -> tuple[Floats, Floats]:
    """Return x (1, size) and y (size, 1) of the pixels' middles from -1 to 1, y downwards."""
    line = (2.0 * np.arange(size) + 1.0) / size - 1.0
    return line[None, :], line[:, None]


def _noise(size: int, cells: int, rng: Rng, octaves: int) -> Floats:
    return lattice((size, size), (cells, cells), rng, octaves=octaves).astype(np.float64)


def _yarn(rng: Rng) -> Floats:
    return np.clip(rng.normal(256), -2.0, 2.0)


def _cover(apart: Floats, size: int) -> Floats:
    """Return how much of each pixel lies inside an outline, from the distance to it in half sides."""
    return np.clip(0.5 - apart * (0.5 * size), 0.0, 1.0)


def _shadow(dx: Floats, dy: Floats, outer: float, inner: float) -> Floats:
    radius = np.sqrt(dx * dx + dy * dy)
    return np.clip(0.5 - np.maximum(radius - outer, inner - radius) / 0.08, 0.0, 1.0)


def _tinted(value: Floats, tint: tuple[float, float, float]) -> Floats:
    return np.asarray(value[:, :, None] * np.array(tint))


_SCENES = {"washer": _washer, "fabric": _fabric, "tablet": _tablet}
_HARM = {"scratch": _scratch, "stain": _stain, "chip": _chip}
