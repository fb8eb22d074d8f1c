"""Six toy parts as closed triangle meshes in mm: plate, shaft, gear, bracket, shell, torus.

Every part takes `rng` (see `anosynth.seeding.RngLike`), `fine`, the edge length aimed at in mm, and `variation`, the
tolerance: each dimension is drawn within +-`variation` of its nominal value, so that no two parts of a class are quite
alike; 0 gives the nominal part whatever `rng` is. All return a `PointCloud` with (N, 3) float64 vertices, (F, 3) int64
faces that are counter-clockwise seen from outside, and unit "mm"; all raise ParameterError for a `fine` that is not a
length and a `variation` outside [0, 0.05].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from anosynth.errors import ParameterError
from anosynth.pointclouds._cloud import PointCloud
from anosynth.seeding import RngLike, as_rng
from anosynth.toy._build import (
    Bore,
    Floats,
    Ints,
    Mesher,
    check_fine,
    circle,
    divided,
    drilled_sheet,
    even,
    revolve,
    ring_count,
    segments,
    slab,
)

NOMINAL: dict[str, dict[str, float]] = {
    "plate": {
        "length": 100.0,
        "width": 60.0,
        "thickness": 8.0,
        "bore": 10.0,
        "pitch_x": 72.0,
        "pitch_y": 36.0,
        "centre": 24.0,
    },
    "shaft": {
        "length": 120.0,
        "journal": 20.0,
        "body": 32.0,
        "seat": 24.0,
        "shoulder_1": 28.0,
        "shoulder_2": 74.0,
        "groove_at": 98.0,
        "groove_width": 4.0,
        "groove_depth": 2.5,
        "chamfer": 1.5,
    },
    "gear": {"module": 2.0, "width": 12.0, "bore": 14.0},
    "bracket": {"leg_x": 44.0, "leg_z": 38.0, "width": 40.0, "thickness": 5.0, "fillet": 6.0, "bore": 9.0},
    "shell": {"length": 100.0, "width": 80.0, "thickness": 2.0, "radius_x": 95.0, "radius_y": 70.0},
    "torus": {"ring": 80.0, "tube": 28.0},
}
"""Nominal dimensions in mm; `bore`, `centre`, `journal`, `body`, `seat`, `ring` and `tube` are diameters."""

TEETH = 18
PRESSURE_ANGLE = math.radians(20.0)


def plate(rng: RngLike, *, fine: float = 2.0, variation: float = 0.01) -> PointCloud:
    """A flange plate with four through bores and a bigger one in the middle, lying centred on z = 0."""
    d = _dimensions("plate", rng, fine, variation)
    x, y = d["length"] / 2, d["width"] / 2
    corner = d["bore"] / 2
    bores = [
        Bore(sx * d["pitch_x"] / 2, sy * d["pitch_y"] / 2, corner, 1.6 * corner) for sx in (-1, 1) for sy in (-1, 1)
    ]
    bores.append(Bore(0.0, 0.0, d["centre"] / 2, 1.25 * d["centre"] / 2))
    sheet, faces = drilled_sheet([-x, x], [-y, y], bores, fine)
    return _mesh(*slab(sheet, faces, 0.0, d["thickness"], fine))


def shaft(rng: RngLike, *, fine: float = 2.0, variation: float = 0.01) -> PointCloud:
    """A turned shaft of three steps with chamfered ends and a ring groove, along x from x = 0."""
    d = _dimensions("shaft", rng, fine, variation)
    end, c = d["length"], d["chamfer"]
    journal, body, seat = d["journal"] / 2, d["body"] / 2, d["seat"] / 2
    s1, s2, g = d["shoulder_1"], d["shoulder_2"], d["groove_at"]
    floor = seat - d["groove_depth"]
    upwards = [
        *[(0.0, 0.0), (journal - c, 0.0), (journal, c), (journal, s1), (body - c, s1), (body, s1 + c)],
        *[(body, s2 - c), (body - c, s2), (seat, s2), (seat, g), (floor, g), (floor, g + d["groove_width"])],
        *[(seat, g + d["groove_width"]), (seat, end - c), (seat - c, end), (0.0, end)],
    ]
    points, faces = revolve(divided(upwards[::-1], fine), fine)
    return _mesh(points[:, [2, 0, 1]], faces)


def gear(rng: RngLike, *, fine: float = 1.5, variation: float = 0.01) -> PointCloud:
    """A spur gear with a bore: 18 involute teeth of 20 degrees, addendum 1 and dedendum 1.25 modules."""
    d = _dimensions("gear", rng, fine, variation)
    m = d["module"]
    root, tip = m * (TEETH / 2 - 1.25), m * (TEETH / 2 + 1.0)
    radii = np.linspace(root, tip, segments(tip - root, fine) + 1)
    half = tooth_half_angle(radii, m)
    across = max(2, segments(2.0 * root * float(half[0]), fine))
    gap = max(2, segments(2.0 * root * (math.pi / TEETH - float(half[0])), fine))
    centres = np.arange(TEETH)[:, None] * (2.0 * math.pi / TEETH)

    # The root circle carries the feet of the teeth and the floors of the gaps in turn, counter-clockwise.
    foot = centres + half[0] * np.linspace(-1.0, 1.0, across + 1)
    floor = centres + np.linspace(half[0], 2.0 * math.pi / TEETH - half[0], gap + 1)[1:-1]
    angles = np.concatenate([foot, floor], axis=1)
    mesh = Mesher(2)
    root_ids = mesh.add(root * np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(-1, 2))
    start = angles[0, 0]
    count = ring_count(d["bore"] / 2, fine, least=24)
    bore_ids = mesh.add(circle(d["bore"] / 2, count, start))
    turns = (angles.ravel() - start) / (2.0 * math.pi)
    mesh.band(bore_ids, root_ids, even(count), turns, segments(root - d["bore"] / 2, fine))

    sideways = np.linspace(-1.0, 1.0, across + 1)
    feet = root_ids.reshape(TEETH, -1)[:, : across + 1]
    for tooth, centre in enumerate(centres.ravel()):
        a = centre + half[1:, None] * sideways
        rows = radii[1:, None, None] * np.stack([np.cos(a), np.sin(a)], axis=-1)
        grid = np.concatenate([feet[tooth][None], mesh.add(rows.reshape(-1, 2)).reshape(a.shape)])
        mesh.quads(grid)
    sheet, faces = mesh.finish()
    return _mesh(*slab(sheet, faces, 0.0, d["width"], fine))


def tooth_half_angle(radii: Floats, module: float) -> Floats:
    """Return half the angle in radians that a tooth takes up at each radius in mm, (K,) to (K,).

    Between two involutes pi / (2 z) + inv(alpha) - inv(alpha_r) with cos(alpha_r) = base radius / r and
    inv(x) = tan(x) - x; below the base circle the flanks are radial.
    """
    base = module * TEETH / 2 * math.cos(PRESSURE_ANGLE)
    # tan(alpha_r) from Pythagoras, which spares an arccos of something that may round to above 1.
    tangent = np.sqrt(np.maximum((radii / base) ** 2 - 1.0, 0.0))
    inv = math.tan(PRESSURE_ANGLE) - PRESSURE_ANGLE
    return np.asarray(math.pi / (2 * TEETH) + inv - (tangent - np.arctan2(tangent, 1.0)))


def bracket(rng: RngLike, *, fine: float = 1.5, variation: float = 0.01) -> PointCloud:
    """An L bracket bent from sheet: a leg along x on z = 0, a leg up z at x = 0, a bore in each, a rounded bend."""
    d = _dimensions("bracket", rng, fine, variation)
    t, r, y = d["thickness"], d["bore"] / 2, d["width"] / 2
    middle = d["fillet"] + t / 2
    a, arc = d["leg_x"], middle * math.pi / 2
    length = a + arc + d["leg_z"]
    bores = [Bore(0.45 * a, 0.0, r, 1.6 * r), Bore(length - 0.45 * d["leg_z"], 0.0, r, 1.6 * r)]
    sheet, faces = drilled_sheet([0.0, a, a + arc, length], [-y, y], bores, fine)
    points, faces = slab(sheet, faces, 0.0, t, fine)

    u, v, w = points.T
    along = np.clip(u - a, 0.0, arc)
    straight = u - a - along
    cos, sin = np.cos(along / middle), np.sin(along / middle)
    centre, radius = d["fillet"] + t, d["fillet"] + w
    bent = np.stack([centre - radius * sin - straight * cos, v, centre - radius * cos + straight * sin], axis=1)
    return _mesh(bent, faces)


def shell(rng: RngLike, *, fine: float = 2.0, variation: float = 0.01) -> PointCloud:
    """A thin dome, curved both ways, of the same thickness everywhere, its top at z = thickness / 2.

    The middle surface is z = -x^2 / (2 Rx) - y^2 / (2 Ry); the sides of the sheet are offset along its normals.
    """
    d = _dimensions("shell", rng, fine, variation)
    x, y, t = d["length"] / 2, d["width"] / 2, d["thickness"] / 2
    sheet, faces = drilled_sheet([-x, x], [-y, y], [], fine)
    points, faces = slab(sheet, faces, -t, t, fine)
    u, v, w = points.T
    slope_u, slope_v = u / d["radius_x"], v / d["radius_y"]
    shift = w / np.sqrt(1.0 + slope_u * slope_u + slope_v * slope_v)
    height = -0.5 * (u * slope_u + v * slope_v)
    return _mesh(np.stack([u + shift * slope_u, v + shift * slope_v, height + shift], axis=1), faces)


def torus(rng: RngLike, *, fine: float = 2.0, variation: float = 0.01) -> PointCloud:
    """A ring of round section about z, centred on the origin: no edges, and normals known in closed form."""
    d = _dimensions("torus", rng, fine, variation)
    tube = d["tube"] / 2
    count = ring_count(tube, fine, least=12)
    section = circle(tube, count, start=math.pi / 2) * np.array([-1.0, 1.0]) + np.array([d["ring"] / 2, 0.0])
    return _mesh(*revolve(section, fine, closed=True))


PARTS: dict[str, Callable[..., PointCloud]] = {
    "plate": plate,
    "shaft": shaft,
    "gear": gear,
    "bracket": bracket,
    "shell": shell,
    "torus": torus,
}
"""All parts by name."""


def _dimensions(part: str, rng: RngLike, fine: float, variation: float) -> dict[str, float]:
    check_fine(fine)
    if not 0 <= variation <= 0.05:
        raise ParameterError(f"variation: {variation}: expected a fraction of 0 to 0.05")
    base = as_rng(rng)
    return {
        name: value * (1.0 + variation * base.child(part, name).uniform(-1.0, 1.0))
        for name, value in NOMINAL[part].items()
    }


def _mesh(points: Floats, faces: Ints) -> PointCloud:
    # The last bits of sines come from whatever the C library found best for this CPU; a grid of about a nanometre
    # hides them. Adding 0 makes one zero of two.
    on_grid = np.rint(points * 2.0**20) / 2.0**20 + 0.0
    return PointCloud(np.ascontiguousarray(on_grid), faces=faces, unit="mm")
