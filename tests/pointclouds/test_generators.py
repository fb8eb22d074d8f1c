"""What each defect is: its shape against the formula in its docstring, on surfaces where that is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from anosynth.errors import NotMade, ParameterError
from anosynth.pointclouds import (
    Bend,
    Bulge,
    Chip,
    Contamination,
    Crack,
    Dent,
    Dimples,
    FlatSpot,
    Hole,
    NormAs,
    PatchGen,
    PerlinSurface,
    PointCloud,
    Ripple,
    Scratch,
    Shear,
)
from anosynth.seeding import Rng
from anosynth.toy.depth import depth_map
from anosynth.toy.meshes import bracket
from clouds_kit import box_mesh

MODES = ("pca", "solid", "local")


def sheet(step: float = 0.5, size: float = 100.0) -> PointCloud:
    """A flat square sheet, normals up, slightly jittered so that no distance repeats."""
    draw = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(0, size, step), np.arange(0, size, step))
    flat = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    flat[:, :2] += draw.uniform(-0.2, 0.2, (len(flat), 2)) * step
    return PointCloud(flat, normals=np.tile([0.0, 0.0, 1.0], (len(flat), 1)), unit="mm")


def wall(thickness: float, step: float = 0.5) -> PointCloud:
    """Two parallel sheets that face away from each other."""
    top, bottom = sheet(step), sheet(step)
    points = np.concatenate([top.points + np.array([0, 0, thickness]), bottom.points])
    return PointCloud(points, normals=np.concatenate([top.normals, -bottom.normals]), unit="mm")


@pytest.fixture(scope="module")
def flat() -> PointCloud:
    return sheet()


def test_a_dent_has_its_depth_and_its_cosine(flat):
    anomaly = Dent(strength="2mm", area=0.03, elongation=1)(flat, rng=1)
    height = anomaly.sample.points[:, 2]
    assert height.min() == pytest.approx(-2.0, rel=1e-6)
    middle = anomaly.sample.points[height.argmin(), :2]
    radius = np.linalg.norm(flat.points[:, :2] - middle, axis=1)
    size = anomaly.stats["size"]
    wanted = np.where(radius < size, -1.0 - np.cos(np.pi * radius / size), 0.0)
    assert np.abs(height - np.where(np.abs(wanted) < 0.1, height, wanted)).max() < 0.05
    assert (anomaly.effect[anomaly.mask] < 0).all()


def test_elongation_is_the_ratio_of_the_axes(flat):
    ratios = []
    for seed in range(7):
        anomaly = Bulge(strength="1mm", area=0.01, elongation=4)(flat, rng=seed)
        spread = np.cov(flat.points[anomaly.mask, :2].T)
        longer, shorter = np.sqrt(np.linalg.eigvalsh(spread)[::-1])
        ratios.append(longer / shorter)
    # Where the sheet ends, so does the bulge: the median is of those that lie inside.
    assert np.median(ratios) == pytest.approx(4, rel=0.05)


def test_ripple_oscillates(flat):
    anomaly = Ripple(strength="1mm", area=0.05, waves=3)(flat, rng=2)
    effect = anomaly.effect[anomaly.mask]
    assert effect.min() < -0.6
    assert effect.max() > 0.6


def test_flat_spot_is_flat():
    draw = np.random.default_rng(1)
    ball = draw.normal(size=(20_000, 3))
    ball *= 50 / np.linalg.norm(ball, axis=1, keepdims=True)
    anomaly = FlatSpot(strength=0.01, area=0.2)(PointCloud(ball), rng=0)
    spot = anomaly.sample.points[anomaly.mask]
    spot = spot - spot.mean(axis=0)
    thickness = np.linalg.svd(spot, compute_uv=False)[2] / np.sqrt(len(spot))
    assert thickness < 0.02 * np.abs(anomaly.effect).max()
    assert np.linalg.norm(anomaly.sample.points[anomaly.mask], axis=1).max() < 50


def test_a_scratch_is_as_deep_and_wide_as_asked(flat):
    anomaly = Scratch(strength="1mm", length="40mm", width="4mm", bend=0, lip=0)(flat, rng=5)
    assert anomaly.effect.min() == pytest.approx(-1, abs=0.02)
    line = flat.points[anomaly.mask, :2]
    line = line - line.mean(axis=0)
    along = np.linalg.svd(line, full_matrices=False)[2][0]
    position, off = line @ along, line @ np.array([-along[1], along[0]])
    assert np.ptp(position) == pytest.approx(40, rel=0.1)
    assert np.ptp(off) == pytest.approx(4, rel=0.1)


def test_a_line_that_no_point_would_show_is_refused(flat):
    with pytest.raises(NotMade, match=r"`width`: 0\.4 is under two point spacings"):
        Scratch(width="0.4mm")(flat, rng=0)
    with pytest.raises(NotMade, match="`width`"):
        Crack(width="0.4mm")(flat, rng=0)


@pytest.mark.parametrize("seed", range(4))
def test_a_hole_removes_its_share_and_labels_its_rim(flat, seed):
    anomaly = Hole(area=0.01, roughness=0.3)(flat, rng=seed)
    assert len(anomaly.removed) == pytest.approx(0.01 * len(flat), abs=1)
    assert len(anomaly.sample) == len(flat) - len(anomaly.removed)
    left = np.setdiff1d(np.arange(len(flat)), anomaly.removed)
    assert (anomaly.origin == left).all()
    gap, _ = cKDTree(flat.points[anomaly.removed]).query(flat.points[left])
    assert (anomaly.mask == (gap <= 2 * flat.surface.spacing)).all()


def test_a_gap_is_a_hole_along_a_crack(flat):
    anomaly = Crack(opening="gap", width="3mm", length="40mm", branches=0)(flat, rng=1)
    assert len(anomaly.removed) > 100
    assert anomaly.mask.any()
    assert not anomaly.effect.any()


def test_contamination_stands_on_the_surface(flat):
    anomaly = Contamination(strength="3mm", length="12mm", elongation=2)(flat, rng=0)
    added = anomaly.origin < 0
    assert (anomaly.mask == added).all()
    heights = anomaly.sample.points[added, 2]
    assert np.abs(heights - anomaly.effect[added]).max() < 1e-4
    assert heights.min() >= 0
    assert (anomaly.sample.points[~added] == flat.points).all()
    density = added.sum() / (np.pi * 6 * 3)
    assert 0.5 < density / (1 / flat.surface.spacing**2) < 2


def test_the_far_end_of_a_bend_is_rigid():
    draw = np.random.default_rng(3)
    bar = draw.uniform(-1, 1, (8000, 3)) * [100, 20, 4]
    bar[np.arange(8000), 2] = np.sign(bar[:, 2]) * 4
    cloud = PointCloud(bar)
    anomaly = Bend(angle=20, area=0.3, onset=0.5)(cloud, rng=2)
    moved = anomaly.sample.points - bar
    far = np.argsort(-np.linalg.norm(moved, axis=1))[:400]
    before, after = bar[far], anomaly.sample.points[far]

    def gaps(p):
        return np.linalg.norm(p[:200] - p[200:], axis=1)

    assert np.abs(gaps(before) - gaps(after)).max() < 1e-9
    turn = np.linalg.lstsq(before - before.mean(axis=0), after - after.mean(axis=0), rcond=None)[0]
    assert np.degrees(np.arccos((np.trace(turn) - 1) / 2)) == pytest.approx(20, abs=1e-6)


def test_norm_as_is_a_cone(flat):
    anomaly = NormAs(strength="2mm", patches=64)(flat, rng=4)
    height = np.abs(anomaly.sample.points[:, 2])
    middle = anomaly.sample.points[height.argmax(), :2]
    radius = np.linalg.norm(flat.points[:, :2] - middle, axis=1)
    size = radius[anomaly.mask].max() / 0.95
    inside = anomaly.mask
    assert np.abs(height[inside] - 2 * (1 - radius[inside] / size)).max() < 0.08
    assert anomaly.mask.sum() == pytest.approx(len(flat) / 64, rel=0.15)


def test_patch_gen_moves_the_nearest_points_by_sorted_draws(make_torus):
    cloud = make_torus(dtype=np.float64)
    anomaly = PatchGen(strength=0.05, area=0.1)(cloud, rng=0)
    rows = np.flatnonzero(anomaly.mask)
    delta = anomaly.sample.points[rows] - cloud.points[rows]
    size = np.linalg.norm(delta, axis=1)
    # All rays meet in the view point: solve for it, then the nearest must have moved the most.
    way = delta / size[:, None]
    flat_way = np.eye(3) - way[:, :, None] * way[:, None, :]
    view = np.linalg.solve(flat_way.sum(axis=0), (flat_way @ cloud.points[rows][:, :, None]).sum(axis=0)[:, 0])
    order = np.argsort(np.linalg.norm(cloud.points[rows] - view, axis=1))
    assert (np.diff(size[order]) <= 1e-9).all()
    assert size.max() <= 0.05 * cloud.diagonal * (1 + 1e-9)


def test_shear_stays_in_the_surface(flat):
    anomaly = Shear(strength="2mm", area=0.05)(flat, rng=0)
    assert not anomaly.sample.points[:, 2].any()
    assert np.linalg.norm(anomaly.sample.points - flat.points, axis=1).max() == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize("sign", ["out", "in", "both"])
def test_perlin_fades_at_its_rim_and_keeps_its_side(flat, sign):
    anomaly = PerlinSurface(strength="2mm", area=0.04, sign=sign)(flat, rng=6)
    effect = anomaly.effect
    assert np.abs(effect).max() == pytest.approx(2, rel=1e-5)
    assert {"out": effect.min() >= 0, "in": effect.max() <= 0, "both": effect.min() < 0 < effect.max()}[sign]
    tree = cKDTree(flat.points)
    _, near = tree.query(flat.points[anomaly.mask], 9)
    at_rim = (~anomaly.mask[near]).any(axis=1)
    assert np.median(np.abs(effect[anomaly.mask][at_rim])) < 0.3


def test_a_sharp_rim_steps(flat):
    anomaly = PerlinSurface(strength="2mm", area=0.04, rim="sharp", sign="out")(flat, rng=6)
    assert anomaly.effect[anomaly.mask].min() >= 0.99


def test_pca_moves_front_and_back_alike_and_the_others_do_not():
    cloud = wall(20.0)
    half = len(cloud) // 2
    effect = {m: PerlinSurface(mode=m, area=0.1, strength=0.01, sign="out")(cloud, rng=2).effect for m in MODES}
    assert np.corrcoef(effect["pca"][:half], effect["pca"][half:])[0, 1] > 0.98
    assert np.corrcoef(effect["solid"][:half], effect["solid"][half:])[0, 1] < 0.2
    assert effect["local"][:half].any() != effect["local"][half:].any()


@pytest.mark.parametrize("thickness", [4.0, 8.0])
def test_a_dent_takes_at_most_half_of_the_wall(thickness):
    cloud = wall(thickness)
    anomaly = Dent(strength="3.5mm", area=0.02)(cloud, rng=1)
    depth = np.abs(anomaly.effect).max()
    if thickness == 8.0:
        assert depth == pytest.approx(3.5, rel=1e-3)
    else:
        assert 1.0 < depth <= 2.0 + 1.5 * cloud.surface.spacing * 0.5
        assert anomaly.stats["budget"] < 1


def test_a_wall_too_thin_for_the_dent_is_refused():
    with pytest.raises(NotMade, match="no place for a displacement"):
        Dent(strength="16mm", area=0.05)(wall(4.0, step=1.0), rng=1)


def test_a_strength_that_nobody_could_see_is_refused(flat):
    with pytest.raises(NotMade, match="under the visible"):
        Dent(strength="0.01mm")(flat, rng=0)


def test_a_length_with_a_unit_needs_the_file_to_have_one(make_torus):
    with pytest.raises(ParameterError, match=r"`strength`: 0\.5mm: the file does not say its unit"):
        Dent(strength="0.5mm")(make_torus(), rng=0)
    with pytest.raises(ParameterError, match=r"`strength`: .*must be <= 0.2"):
        Dent(strength="90mm")(make_torus(unit="mm"), rng=0)


@pytest.mark.parametrize(("unit", "text"), [("mm", "0.001m"), ("m", "1000mm"), ("inch", "25.4mm"), ("cm", "10mm")])
def test_units_are_converted(unit, text):
    cloud = sheet()
    cloud = PointCloud(cloud.points, normals=cloud.normals, unit=unit)
    assert np.abs(Dent(strength=text, area=0.05)(cloud, rng=0).effect).max() == pytest.approx(1.0, rel=1e-4)


def test_the_defect_lands_on_the_part_and_not_on_the_table():
    cloud, _ = depth_map(1)
    part = cloud.foreground
    assert part is not None
    for seed in range(12):
        anomaly = Bulge(area=0.005)(cloud, rng=seed)
        assert part[np.abs(anomaly.effect).argmax()]


def test_a_map_without_a_table_has_no_foreground(wavy_map):
    assert wavy_map.foreground is None


def test_normals_follow_the_surface_where_it_moved(flat):
    anomaly = Bulge(strength="6mm", area=0.1, elongation=1)(flat, rng=0)
    before, after = flat.normals, anomaly.sample.normals
    assert (after[~anomaly.mask] == before[~anomaly.mask]).all()
    steep = np.abs(np.abs(anomaly.effect) - 3) < 0.3
    middle = flat.points[anomaly.effect.argmax()]
    slope = np.pi / 2 * 6 / anomaly.stats["size"]
    outward = flat.points[steep] - middle
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    wanted = outward * slope + [0, 0, 1]
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert (after[steep] * wanted).sum(axis=1).min() > 0.97


@pytest.mark.parametrize(("generator", "seed"), [(Bulge(area=0.05, instances=4), 2), (Chip(instances=3), 1)])
def test_defects_that_find_no_room_at_first_are_drawn_again_on_a_mesh(generator, seed):
    """Each try refines the mesh elsewhere, so that the clouds of tries differ in their number of points."""
    anomaly = generator(box_mesh(), rng=seed)
    assert sorted(set(anomaly.instances.tolist())) == list(range(generator.instances + 1))


@pytest.mark.parametrize("seed", range(6))
def test_lumps_do_not_stand_on_one_another(seed, make_torus):
    changes = Contamination(instances=6, length=0.15).changes(make_torus(6000), Rng(seed))
    covered = np.concatenate([np.unique(change.added_from) for change in changes])
    assert len(covered) == len(np.unique(covered))


def test_a_later_hole_leaves_nothing_standing_in_an_earlier_one():
    """Each hole refines the mesh; vertices put into what an earlier one cuts out would stay behind."""
    changes = Hole(area=0.01, instances=3).changes(bracket(0, fine=12.0), Rng(2))
    faces = changes[-1].cloud.faces
    for change in changes:
        gone = np.isin(faces, change.removed).sum(axis=1)
        assert not (gone[(faces >= len(change.cloud)).any(axis=1)] >= 2).any()


@pytest.mark.parametrize("pits", [1, 2, 5, 9])
def test_as_many_pits_as_asked(flat, pits):
    side = int(np.sqrt(len(flat)))
    for seed in (0, 1):
        anomaly = Dimples(pits=pits, area=0.03, strength="1mm", spread=0.5, elongation=1)(flat, rng=seed)
        assert ndimage.label(anomaly.mask.reshape(side, side), np.ones((3, 3)))[1] == pits
