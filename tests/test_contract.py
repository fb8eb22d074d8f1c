"""What every generator promises, checked on every generator there is; a new one is tested by being there."""

from __future__ import annotations

import contextlib
import inspect
import pickle
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anosynth.errors import NotMade, ParameterError
from anosynth.generator import Anomaly, find, from_record, names
from anosynth.params import extra_of
from anosynth.recipe import Vary
from anosynth.seeding import Rng

ALL = names("pointclouds")
IMPOSSIBLE = {
    ("shear", "map"),
    ("drag", "map"),
    ("burr", "map"),
    ("burr", "torus"),
    ("chip", "torus"),
    ("chip", "map"),
}
"""What a shape cannot take, and is refused: a torus has no edge, a depth map no move along the surface."""


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before.view(f"u{before.itemsize}") != after.view(f"u{after.itemsize}")).any(axis=1)


def check_labels(anomaly: Anomaly) -> None:
    """Leak 0 and dead 0, from the coordinates' bits alone."""
    known = anomaly.origin >= 0
    rows = anomaly.origin[known]
    moved = changed(
        np.ascontiguousarray(anomaly.before.points[rows]), np.ascontiguousarray(anomaly.sample.points[known])
    )
    mask, effect = anomaly.mask[known], anomaly.effect[known]
    assert not (moved & ~mask).any(), "leak: a changed point outside the mask"
    still = mask & ~moved
    if not len(anomaly.removed):
        assert not still.any(), "dead: an unchanged point inside the mask"
    assert not effect[still].any()
    vanished = ~anomaly.sample.valid[known] & anomaly.before.valid[rows]
    assert (effect[moved & ~vanished] != 0).all()
    assert anomaly.mask[~known].all(), "an added point without a label"
    assert (anomaly.effect[~anomaly.mask] == 0).all()
    assert ((anomaly.instances > 0) == anomaly.mask).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_are_what_changed(name, shape, seed, request):
    generator = find("pointclouds", name)()
    if (name, request.node.callspec.params["shape"]) in IMPOSSIBLE:
        with pytest.raises(NotMade, match=f"no `{name}` could be made of it"):
            generator(shape, rng=seed)
        return
    points = shape.points.copy()
    anomaly = generator(shape, rng=seed)
    assert (changed(points, shape.points) == 0).all(), "the input was written to"
    check_labels(anomaly)
    assert anomaly.mask.any()
    assert anomaly.mask.dtype == np.bool_
    assert anomaly.effect.dtype == np.float32
    assert anomaly.instances.dtype == np.uint16
    assert len(anomaly.mask) == len(anomaly.effect) == len(anomaly.instances) == len(anomaly.sample)
    assert anomaly.sample.points.dtype == shape.points.dtype
    assert anomaly.generator is generator
    assert (anomaly.before.points[: len(shape)] == shape.points).all()


@pytest.mark.parametrize("name", ALL)
def test_same_stream_same_bytes_other_stream_other_bytes(name, cube):
    generator = find("pointclouds", name)()
    first, again, other = (generator(cube, rng=seed) for seed in (5, 5, 6))
    assert first.sample.points.tobytes() == again.sample.points.tobytes()
    assert first.effect.tobytes() == again.effect.tobytes()
    assert first.sample.points.tobytes() != other.sample.points.tobytes()


@pytest.mark.parametrize("name", ALL)
def test_a_depth_map_stays_a_camera_image(name, wavy_map):
    cloud = wavy_map
    if (name, "map") in IMPOSSIBLE:
        return
    anomaly = find("pointclouds", name)()(cloud, rng=3)
    after = anomaly.sample.points.astype(np.float64)
    assert anomaly.sample.grid == cloud.grid
    assert (after[~cloud.valid] == 0).all()
    both = cloud.valid & anomaly.sample.valid
    before = cloud.points.astype(np.float64)
    off = np.cross(before[both], after[both])
    assert np.abs(off).max() < 1e-6 * np.abs(before).max() ** 2, "a point left its pixel's ray"


@pytest.mark.parametrize("name", ALL)
def test_record_and_pickle_give_the_same_generator(name):
    generator = Vary(find("pointclouds", name)).draw(Rng(3))
    assert from_record(generator.record()) == generator
    assert pickle.loads(pickle.dumps(generator)) == generator
    stale = {**generator.record(), "version": generator.version + 1}
    with pytest.raises(ParameterError, match=f"generator `{name}`: version"):
        from_record(stale)


@pytest.mark.parametrize("name", ALL)
def test_it_is_documented(name):
    cls = find("pointclouds", name)
    text = inspect.getdoc(cls)
    assert text
    assert len(text.split("\n")[0]) < 100
    assert re.search(r"Source:|Ours|ours|follow|Inspired", text), "say where it comes from"
    for field in cls.model_fields.values():
        assert field.description
        extra = extra_of(field)
        if field.annotation in (int, float):
            assert "minimum" in extra or "exclusiveMinimum" in extra


@pytest.mark.parametrize("name", ALL)
def test_values_out_of_range_name_the_parameter_and_the_bound(name):
    cls = find("pointclouds", name)
    for field_name, field in cls.model_fields.items():
        extra = extra_of(field)
        if "maximum" in extra:
            with pytest.raises(ParameterError, match=rf"`{field_name}`: .*must be <= {extra['maximum']}"):
                cls(**{field_name: extra["maximum"] * 2 + 1})
    with pytest.raises(ParameterError, match=r"`strengh`.*|has no parameter `strengh`"):
        cls(strengh=1)


@pytest.mark.parametrize("name", ["bulge", "scratch", "perlin-surface", "hole"])
def test_instances_are_separate(name, make_torus):
    cloud = make_torus(8000)
    small = {"area": 0.01} if name in ("bulge", "perlin-surface", "hole") else {"length": 0.1}
    anomaly = find("pointclouds", name)(instances=3, **small)(cloud, rng=1)
    assert sorted(set(anomaly.instances.tolist())) == [0, 1, 2, 3]
    check_labels(anomaly)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(ALL), seed=st.integers(0, 2**32))
def test_any_draw_of_any_generator_is_honest_or_refused(name, seed, cube):
    generator = Vary(find("pointclouds", name)).draw(Rng(seed))
    with contextlib.suppress(NotMade):
        check_labels(generator(cube, rng=seed))


@pytest.mark.parametrize("name", ["bulge", "dent", "ridge", "trench", "crater", "dimples", "ripple", "perlin-surface"])
@pytest.mark.parametrize("area", [0.01, 0.04])
def test_the_area_asked_is_the_area_made(name, area, make_torus):
    anomaly = find("pointclouds", name)(area=area, strength=0.02)(make_torus(20_000), rng=2)
    assert anomaly.stats["area"] == pytest.approx(area, rel=0.08)


@pytest.mark.parametrize(("name", "sign"), [("bulge", 1), ("ridge", 1), ("dent", -1), ("trench", -1), ("scratch", -1)])
def test_out_is_out_and_in_is_in(name, sign, make_torus):
    """On a torus the outside is known: farther from the tube's centre line."""
    cloud = make_torus(20_000)
    for seed in range(6):
        anomaly = find("pointclouds", name)()(cloud, rng=seed)
        deep = np.abs(anomaly.effect).argmax()

        def depth(p):
            return np.hypot(np.hypot(p[0], p[1]) - 30, p[2])

        assert np.sign(depth(anomaly.sample.points[deep]) - depth(cloud.points[deep])) == sign
        assert np.sign(anomaly.effect[deep]) == sign


@pytest.mark.parametrize("name", ["bulge", "perlin-surface", "scratch"])
def test_it_scales_with_the_part(name, make_torus):
    """Nothing in a default depends on the unit: a part in inches gets the same defect as one in millimetres."""
    small, large = make_torus(dtype=np.float64), make_torus(dtype=np.float64)
    large = type(large)(large.points * 1024.0)  # a power of two, so that rounding is the same too
    a, b = (find("pointclouds", name)()(cloud, rng=4) for cloud in (small, large))
    assert (a.mask == b.mask).all()
    assert np.allclose(a.sample.points * 1024.0, b.sample.points, rtol=1e-9)
