"""The toy parts against closed-form volumes and trimesh."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad

from anosynth.errors import ParameterError
from anosynth.toy._build import border_edges, divided, revolve, zip_rings
from anosynth.toy.meshes import NOMINAL, PARTS, PRESSURE_ANGLE, TEETH

EULER = {"plate": 2 - 2 * 5, "shaft": 2, "gear": 0, "bracket": 2 - 2 * 2, "shell": 2, "torus": 0}


def nominal(part, fine=2.0):
    return PARTS[part](0, fine=fine, variation=0.0)


def as_trimesh(cloud):
    return trimesh.Trimesh(cloud.points, cloud.faces, process=False)


def exact_volume(part):
    """The volume in mm^3 of the part with its round things round."""
    d = NOMINAL[part]
    if part == "plate":
        holes = math.pi / 4 * (4 * d["bore"] ** 2 + d["centre"] ** 2)
        return d["thickness"] * (d["length"] * d["width"] - holes)
    if part == "shaft":
        c = d["chamfer"]

        def cylinder(diameter, length):
            return math.pi / 4 * diameter**2 * length

        def chamfer(diameter):
            big, small = diameter / 2, diameter / 2 - c
            return math.pi * c * (big**2 - (big**2 + big * small + small**2) / 3)

        whole = (
            cylinder(d["journal"], d["shoulder_1"])
            + cylinder(d["body"], d["shoulder_2"] - d["shoulder_1"])
            + cylinder(d["seat"], d["length"] - d["shoulder_2"])
        )
        groove = cylinder(d["seat"], d["groove_width"]) - cylinder(d["seat"] - 2 * d["groove_depth"], d["groove_width"])
        return whole - groove - chamfer(d["journal"]) - 2 * chamfer(d["body"]) - chamfer(d["seat"])
    if part == "gear":
        m = d["module"]
        pitch, root, tip = m * TEETH / 2, m * (TEETH / 2 - 1.25), m * (TEETH / 2 + 1)
        base = pitch * math.cos(PRESSURE_ANGLE)

        def involute(angle):
            return math.tan(angle) - angle

        def tooth_width(r):
            pressure = math.acos(min(1.0, base / r))
            return 2 * r * (math.pi / (2 * TEETH) + involute(PRESSURE_ANGLE) - involute(pressure))

        teeth = TEETH * quad(tooth_width, root, tip, points=[base])[0]
        return d["width"] * (teeth + math.pi * (root**2 - d["bore"] ** 2 / 4))
    if part == "bracket":
        t = d["thickness"]
        section = t * (d["leg_x"] + d["leg_z"]) + math.pi / 4 * ((d["fillet"] + t) ** 2 - d["fillet"] ** 2)
        return d["width"] * section - 2 * t * math.pi / 4 * d["bore"] ** 2
    if part == "shell":
        # Steiner: a layer of thickness t about a surface has the volume t A + t^3 / 12 times the integral of the
        # Gaussian curvature K; for a graph, K dA = fxx fyy / (1 + |grad f|^2)^(3/2) dx dy.
        rx, ry, t = d["radius_x"], d["radius_y"], d["thickness"]

        def layer(y, x):
            g = 1 + (x / rx) ** 2 + (y / ry) ** 2
            return t * math.sqrt(g) + t**3 / 12 / (rx * ry) / g**1.5

        return 4 * dblquad(layer, 0, d["length"] / 2, 0, d["width"] / 2)[0]
    return 2 * math.pi**2 * (d["ring"] / 2) * (d["tube"] / 2) ** 2


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("fine", [None, 0.8, 3.0, 8.0])
def test_closed_wound_outwards_and_in_one_piece(part, fine):
    cloud = PARTS[part](3) if fine is None else PARTS[part](3, fine=fine)
    mesh = as_trimesh(cloud)
    assert cloud.unit == "mm"
    assert cloud.points.dtype == np.float64
    assert cloud.faces.dtype == np.int64
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0
    assert mesh.euler_number == EULER[part]
    assert mesh.body_count == 1
    assert mesh.area_faces.min() > 0
    assert np.array_equal(np.unique(cloud.faces), np.arange(len(cloud)))


@pytest.mark.parametrize("part", PARTS)
def test_volume_comes_to_the_exact_one(part):
    exact = exact_volume(part)
    off = [abs(as_trimesh(nominal(part, fine)).volume / exact - 1) for fine in (2.0, 1.0, 0.5)]
    assert off[2] < 6e-4
    assert off[2] < 0.6 * off[1] < 0.6 * off[0]


@pytest.mark.parametrize(
    ("part", "size"),
    [
        ("plate", (100, 60, 8)),
        ("shaft", (120, 32, 32)),
        ("gear", (40, 40, 12)),
        ("bracket", (55, 40, 49)),
        ("torus", (108, 108, 28)),
    ],
)
def test_nominal_size(part, size):
    low, high = nominal(part).bounds
    assert high - low == pytest.approx(size, rel=0.012 if part == "gear" else 1e-9)


def test_shell_is_equally_thick_everywhere():
    mesh = as_trimesh(nominal("shell"))
    d = NOMINAL["shell"]
    w = NOMINAL["shell"]["thickness"] / 2
    x, y = np.meshgrid(np.linspace(-44, 44, 5), np.linspace(-33, 33, 5))
    normal = np.stack([x / d["radius_x"], y / d["radius_y"], np.ones_like(x)], axis=-1).reshape(-1, 3)
    normal /= np.linalg.norm(normal, axis=1)[:, None]
    middle = np.stack([x, y, -(x**2) / (2 * d["radius_x"]) - y**2 / (2 * d["radius_y"])], axis=-1).reshape(-1, 3)
    for side in (-1, 1):
        _, distance, _ = trimesh.proximity.closest_point_naive(mesh, middle + side * w * normal)
        assert distance.max() < 0.02
    _, distance, _ = trimesh.proximity.closest_point_naive(mesh, middle)
    assert distance == pytest.approx(w, abs=0.02)


def test_plate_bores_are_where_and_as_wide_as_they_should_be():
    d = NOMINAL["plate"]
    points = nominal("plate", 1.0).points
    for cx, cy, diameter in [(36, 18, d["bore"]), (-36, 18, d["bore"]), (36, -18, d["bore"]), (0, 0, d["centre"])]:
        distance = np.hypot(points[:, 0] - cx, points[:, 1] - cy)
        assert distance.min() == pytest.approx(diameter / 2)
        assert np.isclose(distance, diameter / 2).sum() >= 24 * 9


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("fine", [1.0, 2.0])
def test_edges_are_about_as_long_as_asked(part, fine):
    edges = as_trimesh(nominal(part, fine)).edges_unique_length
    assert 0.9 * fine < np.median(edges) < 1.2 * fine
    # The narrow land on top of a gear tooth cannot have longer ones.
    assert np.quantile(edges, 0.05) > 0.3 * fine
    assert edges.max() < 2.7 * fine


@pytest.mark.parametrize("part", PARTS)
def test_a_seed_is_a_part(part):
    first, again, other = PARTS[part](5), PARTS[part](5), PARTS[part](6)
    assert np.array_equal(first.points, again.points)
    assert np.array_equal(first.faces, again.faces)
    assert not np.allclose(first.bounds, other.bounds, atol=1e-3)


@pytest.mark.parametrize("part", ["plate", "shaft", "bracket", "torus"])
def test_dimensions_stay_in_tolerance(part):
    size = np.diff(nominal(part).bounds, axis=0)
    shares = np.concatenate([np.diff(PARTS[part](seed, fine=8.0).bounds, axis=0) / size for seed in range(40)])
    assert np.all(np.abs(shares - 1) <= 0.01 + 1e-9)
    assert np.all(np.ptp(shares, axis=0) > 0.005)


def test_no_variation_needs_no_seed():
    assert np.array_equal(PARTS["gear"](1, variation=0.0).points, PARTS["gear"](2, variation=0.0).points)


@pytest.mark.parametrize("fine", [0.0, -1.0, math.nan, math.inf])
def test_fine_must_be_a_length(fine):
    with pytest.raises(ParameterError, match=r"fine: .*: expected an edge length in mm"):
        PARTS["plate"](0, fine=fine)


@pytest.mark.parametrize("variation", [-0.01, 0.06, math.nan])
def test_variation_must_be_a_small_fraction(variation):
    with pytest.raises(ParameterError, match=r"variation: .*: expected a fraction of 0 to 0.05"):
        PARTS["plate"](0, variation=variation)


def spread(shifts: list[float]) -> np.ndarray:
    """One parameter in each of as many equal parts of [0, 1)."""
    return (np.arange(len(shifts)) + shifts) / len(shifts)


parameters = st.lists(st.floats(0, 0.999), min_size=3, max_size=30).map(spread)


@given(parameters, parameters)
@settings(max_examples=60)
def test_zipped_rings_border_on_the_rings_alone(t_inner, t_outer):
    n, m = len(t_inner), len(t_outer)
    inner, outer = np.arange(n), n + np.arange(m)
    faces = zip_rings(inner, outer, t_inner, t_outer)
    assert len(faces) == n + m
    edges = [(int(f[k]), int(f[(k + 1) % 3])) for f in faces for k in range(3)]
    assert len(set(edges)) == len(edges)
    alone = {e for e in edges if e[::-1] not in set(edges)}
    ring_in = {(int(b), int(a)) for a, b in zip(inner, np.roll(inner, -1), strict=True)}
    ring_out = {(int(a), int(b)) for a, b in zip(outer, np.roll(outer, -1), strict=True)}
    assert alone == ring_in | ring_out
    assert {(int(a), int(b)) for a, b in border_edges(faces, n + m)} == alone


def test_a_turned_cone_is_a_cone():
    points, faces = revolve(divided([(0.0, 9.0), (6.0, 0.0), (0.0, 0.0)], 0.3), 0.3)
    mesh = trimesh.Trimesh(points, faces, process=False)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(math.pi * 36 * 9 / 3, rel=2e-3)
