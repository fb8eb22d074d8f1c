"""Orientation, elongation and softness, measured on the pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.generator import find, names
from anosynth.images import Image
from anosynth.images._outline import blob, outline_alpha, outlined
from anosynth.images._seats import heading
from anosynth.images._strokes import coverage, pointed, smooth_line
from anosynth.images._warp import turned_axes
from anosynth.params import extra_of
from anosynth.recipe import Vary
from anosynth.seeding import Rng

DIRECTED = {
    "blank": {"aspect": 4.0, "fill": "black"},
    "crack": {"branches": 0, "jitter": 0.1},
    "dent": {"elongation": 4.0, "area": 0.05},
    "fibre": {"bend": 0.3, "shadow": 0.0},
    "missing-part": {"elongation": 4.0, "area": 0.06},
    "mosaic": {"aspect": 4.0, "outline": "ellipse"},
    "noise-patch": {"aspect": 4.0, "outline": "blob"},
    "pit": {"pits": 40, "elongation": 8.0, "size": 0.02},
    "rust": {"elongation": 5.0},
    "scratch": {"bend": 0.2},
    "smudge": {"outline": "blob", "aspect": 4.0},
    "spatter": {"droplets": 80, "elongation": 8.0, "spread": 0.12},
    "stain": {"elongation": 4.0},
    "warp": {"elongation": 4.0, "area": 0.05},
}
"""What a single direction can be measured of, and values that make it plain."""


def photo(size: int = 200) -> Image:
    row, column = np.mgrid[0:size, 0:size]
    value = 0.55 + 0.2 * np.sin(row / 6) * np.cos(column / 5)
    value = value + np.random.default_rng(0).normal(0, 0.01, value.shape)
    return Image(np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8))


def shape_of(weights: np.ndarray) -> tuple[float, float, float]:
    """Standard deviations along and across the main axis, and its direction in degrees, from right to down."""
    y, x = np.nonzero(weights > 0)
    values, vectors = np.linalg.eigh(np.cov(np.stack([x, y]).astype(float)))
    return *np.sqrt(values[::-1]), np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))


def apart(a: float, b: float) -> float:
    """Degrees between two axes."""
    return float(abs((a - b + 90) % 180 - 90))


def test_every_type_with_a_direction_is_measured():
    turning = {name for name in names("images") if "orientation" in find("images", name).model_fields}
    assert turning >= set(DIRECTED) | {"edge-chip"}


@pytest.mark.parametrize("name", sorted(DIRECTED))
def test_the_long_axis_points_where_it_is_told(name):
    cls, image = find("images", name), photo()
    for seed, orientation in enumerate((0.0, 30.0, 90.0, -50.0, 160.0)):
        generator = cls(orientation=orientation, centre="0.5,0.5", **DIRECTED[name])
        anomaly = generator(image, rng=seed)
        weights = anomaly.mask
        if name in ("missing-part", "warp", "mosaic", "dent"):
            # Where they are seen depends on what is under them: take what they mean to change.
            weights = cls(mask="region", **generator.model_dump(exclude={"mask"}))(image, rng=seed).mask
        long_axis, short_axis, angle = shape_of(weights)
        assert long_axis > 1.8 * short_axis, "nothing to measure"
        assert apart(angle, orientation) < 9, (orientation, angle)


@pytest.mark.parametrize("name", sorted([*DIRECTED, "edge-chip"]))
def test_a_plain_generator_lies_flat_and_a_draw_does_not(name):
    cls = find("images", name)
    assert cls().orientation == 0.0
    assert cls.model_fields["orientation"].annotation is float
    extra = extra_of(cls.model_fields["orientation"])
    assert (extra["minimum"], extra["maximum"], extra["unit"]) == (-180, 180, "degrees")
    drawn = [Vary(cls).draw(Rng(seed)).orientation for seed in range(20)]
    assert len(set(drawn)) == 20
    assert min(drawn) < -15
    assert max(drawn) > 15


def test_a_scratch_knows_its_end_from_its_beginning():
    """It sets in sharply and runs out slowly: half a turn is not no turn."""
    image = photo()
    values = {"bend": 0.0, "length": 0.6, "width": 0.03, "centre": "0.5,0.5", "highlight": 0.0, "polarity": "dark"}
    right, left = (find("images", "scratch")(orientation=o, **values)(image, rng=2).effect for o in (0.0, 180.0))
    assert np.abs(right[:, :60]).sum() > 1.3 * np.abs(right[:, 140:]).sum()
    assert np.abs(left[:, 140:]).sum() > 1.3 * np.abs(left[:, :60]).sum()


def test_the_direction_of_a_chip_is_that_of_the_edge_there():
    """Along a vertical edge 0 is upright, and 90 cuts into the part, on either side of it."""
    pixels = np.full((200, 200), 60, np.uint8)
    inside = np.zeros((200, 200), np.bool_)
    inside[:, 60:140] = True
    pixels[inside] = 190
    for seed in range(3):
        for column in ("0.3", "0.7"):
            sizes = {}
            for orientation in (0.0, 90.0):
                generator = find("images", "edge-chip")(
                    elongation=4.0, orientation=orientation, centre=f"0.5,{column}", area=0.015, width=0.001
                )
                anomaly = generator(Image(pixels, inside), rng=seed)
                rows, columns = np.nonzero(np.abs(anomaly.effect) > 0.3)
                sizes[orientation] = (np.ptp(rows), np.ptp(columns))
            assert sizes[0.0][0] > 1.8 * sizes[0.0][1]
            assert sizes[90.0][1] > 0.8 * sizes[90.0][0]
            assert sizes[90.0][1] > 1.5 * sizes[0.0][1]


@settings(max_examples=60)
@given(orientation=st.floats(-180, 180))
def test_a_heading_is_a_unit_way_and_quarters_are_exact(orientation):
    sine, cosine = heading(orientation)
    assert sine == pytest.approx(np.sin(np.radians(orientation)), abs=1e-12)
    assert cosine == pytest.approx(np.cos(np.radians(orientation)), abs=1e-12)
    quarters = {-180.0: (0, -1), -90.0: (-1, 0), 0.0: (0, 1), 90.0: (1, 0), 180.0: (0, -1)}
    for quarter, expected in quarters.items():
        assert heading(quarter) == expected


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), orientation=st.floats(-180, 180), bend=st.floats(0, 3))
def test_a_pointed_line_leads_its_way_and_keeps_its_shape(seed, orientation, bend):
    centre = (30, 50)
    line = smooth_line(centre, 40.0, bend, Rng(seed))
    other = line[:5] + 3.0
    turned, follower = pointed([line, other], centre, orientation)
    way = turned[-1] - turned[0]
    reach = np.hypot(*way)
    assert reach == pytest.approx(np.hypot(*(line[-1] - line[0])), abs=1e-9)
    if reach > 1e-3:
        expected = np.radians(orientation)
        assert way / reach == pytest.approx([np.sin(expected), np.cos(expected)], abs=1e-6)
    both, before = np.concatenate([turned, follower]), np.concatenate([line, other])
    assert np.allclose(np.hypot(*(both - both[0]).T), np.hypot(*(before - before[0]).T), atol=1e-9)
    assert np.allclose(np.hypot(*(both - centre).T), np.hypot(*(before - centre).T), atol=1e-9)
    (a, b), (c, d) = ((p[9] - p[0], p[-1] - p[0]) for p in (both, before))
    assert a[0] * b[1] - a[1] * b[0] == pytest.approx(c[0] * d[1] - c[1] * d[0], abs=1e-6), "mirrored"


def test_a_line_without_a_way_stays():
    ring = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 9.0], [0.0, 0.0]])
    assert np.allclose(pointed([ring], (3, 3), 77.0)[0], ring)


@settings(max_examples=60)
@given(h=st.integers(4, 40), w=st.integers(4, 40), orientation=st.floats(-180, 180), softness=st.floats(0, 1))
def test_turning_keeps_the_area_and_stays_in_the_box(h, w, orientation, softness):
    for outline in ("rectangle", "ellipse", "blob"):
        flat, turned = (
            outline_alpha(outline, (h, w), Rng(1), orientation=o, softness=softness) for o in (0.0, orientation)
        )
        assert flat.shape == (h, w)
        assert turned.min() >= 0
        assert turned.max() <= 1
        assert turned.sum() == pytest.approx(flat.sum(), rel=0.12, abs=6) or outline == "blob"
    assert (blob((h, w), Rng(1), softness=0, orientation=orientation) > 0).sum() == pytest.approx(0.45 * h * w, abs=2)


@pytest.mark.parametrize("outline", ["rectangle", "ellipse", "blob"])
def test_quarter_turns_swap_height_and_width(outline):
    flat, quarter, half = (outline_alpha(outline, (12, 31), Rng(0), orientation=o) for o in (0.0, 90.0, 180.0))
    assert (flat.shape, quarter.shape, half.shape) == ((12, 31), (31, 12), (12, 31))
    if outline != "blob":
        assert (quarter == flat.T).all()
        assert (half == flat).all()
    across, down = turned_axes((12, 31), 0.0, corners=True)
    assert np.ptp(across) == 30
    assert np.ptp(down) == 11


def test_a_turned_rectangle_has_smooth_edges():
    alpha = outline_alpha("rectangle", (30, 60), Rng(0), orientation=20.0)
    assert ((alpha > 0.05) & (alpha < 0.95)).sum() > 100
    assert (outline_alpha("rectangle", (30, 60), Rng(0)) == 1).all()


def test_what_sticks_out_of_the_image_is_cut_off():
    image = photo(64)
    for outline in ("rectangle", "ellipse", "blob"):
        box, alpha = outlined(
            image,
            Rng(0),
            np.ones(image.shape, np.bool_),
            outline=outline,
            area=0.5,
            aspect=20.0,
            orientation=45.0,
            softness=0.2,
        )
        assert alpha.shape == (box[2] - box[0], box[3] - box[1])
        assert min(box) >= 0
        assert max(box) <= 64


@pytest.mark.parametrize("width", [1.0, 2.5, 6.0])
@pytest.mark.parametrize("softness", [0.0, 0.5, 1.0])
def test_a_blurred_stroke_keeps_its_sum(width, softness):
    blur = 1 + softness * width
    distance = (np.arange(-40, 41) / 4).astype(np.float32)
    share = coverage(distance, width, blur)
    assert share.sum() / 4 == pytest.approx(width, rel=0.02)
    assert (share > 0).sum() / 4 == pytest.approx(width + blur, abs=0.6)
    low, high = np.maximum(distance - blur / 2, -width / 2), np.minimum(distance + blur / 2, width / 2)
    assert np.allclose(share, np.maximum(high - low, 0) / blur, atol=1e-6)


SOFT = {
    "blank": {"fill": "black"},
    "crack": {"width": 0.03},
    "fibre": {"width": 0.03, "shadow": 0.0},
    "scratch": {"width": 0.03, "highlight": 0.0},
    "pit": {"size": 0.1, "highlight": 0.0},
    "spatter": {"area": 0.03, "droplets": 5},
    "smudge": {"outline": "blob", "strength": 1.0},
}


@pytest.mark.parametrize("name", sorted(SOFT))
def test_softness_makes_slopes_of_edges(name):
    image = Image(np.full((200, 200), 200, np.uint8))

    def steepest(softness: float) -> float:
        steps = []
        for seed in range(3):
            effect = find("images", name)(softness=softness, **SOFT[name])(image, rng=seed).effect
            steps.append(np.abs(np.diff(effect, axis=0)).max() / np.abs(effect).max())
        return float(np.mean(steps))

    assert steepest(1.0) < 0.8 * steepest(0.0)


@pytest.mark.parametrize("name", ["pit", "spatter"])
def test_clusters_are_round_unless_told_otherwise(name):
    image = Image(np.full((300, 300), 200, np.uint8))
    more = {"pits": 60, "size": 0.015} if name == "pit" else {"droplets": 120, "area": 0.004}
    ratios = {}
    for elongation in (1.0, 4.0):
        generator = find("images", name)(elongation=elongation, centre="0.5,0.5", spread=0.15, **more)
        axes = [shape_of(generator(image, rng=seed).mask)[:2] for seed in range(4)]
        ratios[elongation] = np.mean([a / b for a, b in axes])
    assert ratios[1.0] < 1.5
    assert 2.4 < ratios[4.0] < 6
