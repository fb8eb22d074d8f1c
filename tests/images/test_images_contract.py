"""What every image generator promises, checked on every one there is; a new one is tested by being there."""

from __future__ import annotations

import contextlib
import inspect
import pickle
import re
from typing import Union

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anosynth.errors import NotMade, ParameterError
from anosynth.generator import Anomaly, Generator, find, from_record, names
from anosynth.images import Image
from anosynth.images._edit import FLOOR, LEAST_PIXELS
from anosynth.params import extra_of
from anosynth.recipe import Vary
from anosynth.seeding import Rng
from needs import given as given_values

ALL = names("images")
WHITE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}
FIXED_OPTIONS = {"count", "seed", "unit", "sample", "root", "category", "workers", "shard", "json", "report"} | {
    *("recipe", "dataset", "generator", "held_out", "overwrite")
}
NEEDS_DETAIL = {
    "mosaic": "the mean of equal pixels is what they are",
    "missing-part": "there is no part",
    "nsa": "a patch of the same colour, blended in, is the same",
    "warp": "equal pixels moved about are the same",
}
"""What cannot be made of an image of one colour, and why; it must be refused."""
NEEDS_FOREGROUND = {"edge-chip": "the edge is the foreground's"}
"""What cannot be made without a foreground, and why; it must be refused."""


def natural(height: int, width: int, channels: int = 0, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """A bright, grained, textured disc on a darker ground with a gradient; 0 channels for (H, W)."""
    draw = np.random.default_rng(seed)
    row, column = np.mgrid[0:height, 0:width]
    y, x = row / height - 0.5, column / width - 0.5
    level = 0.3 + 0.1 * x + 0.3 * (np.hypot(y, x) < 0.36) + 0.06 * np.sin(row / 2.3) * np.cos(column / 3.1)
    tint = 1 - 0.12 * np.arange(max(1, channels))
    value = level[:, :, None] * tint + draw.normal(0, 0.015, (height, width, max(1, channels)))
    value = np.clip(value, 0, 1) * WHITE[dtype]
    value = value if dtype == "float32" else np.rint(value)
    value = value.astype(dtype)
    return value if channels else value[:, :, 0]


def disc(height: int, width: int) -> np.ndarray:
    row, column = np.mgrid[0:height, 0:width]
    return np.hypot(row / height - 0.5, column / width - 0.5) < 0.36


KINDS = {
    "17x33 grey": lambda: natural(17, 33),
    "33x17 RGB 16 bit": lambda: natural(33, 17, 3, "uint16"),
    "64x64 RGB": lambda: natural(64, 64, 3),
    "64x64 grey 16 bit": lambda: natural(64, 64, 0, "uint16"),
    "64x64 RGB float": lambda: natural(64, 64, 3, "float32"),
    "300x300 grey float": lambda: natural(300, 300, 1, "float32"),
    "256x384 5 channels": lambda: natural(256, 384, 5),
}
FLAT = {
    "grey": lambda: np.full((64, 72), 128, np.uint8),
    "colour": lambda: np.full((64, 72, 3), (200, 90, 30), np.uint8),
    "black": lambda: np.zeros((64, 72, 3), np.uint8),
    "white": lambda: np.ones((64, 72), np.float32),
}


def bits(pixels: np.ndarray) -> np.ndarray:
    """(H, W, bytes of a pixel)."""
    return np.ascontiguousarray(pixels).view(np.uint8).reshape(*pixels.shape[:2], -1)


def check_labels(anomaly: Anomaly, before: np.ndarray, after: np.ndarray) -> None:
    """Leak 0 and dead 0 from the bits alone; effect, instances and floor from the values."""
    changed = (bits(before) != bits(after)).any(axis=2)
    mask, effect = anomaly.mask, anomaly.effect
    assert mask.shape == effect.shape == anomaly.instances.shape == before.shape[:2]
    assert (mask.dtype, effect.dtype, anomaly.instances.dtype) == (np.bool_, np.float32, np.uint16)
    assert not (changed & ~mask).any(), "leak: a changed pixel outside the mask"
    assert not (mask & ~changed).any(), "dead: an unchanged pixel inside the mask"
    assert int(mask.sum()) >= LEAST_PIXELS
    assert ((anomaly.instances > 0) == mask).all()
    assert (effect[~mask] == 0).all()
    if anomaly.generator.instances == 1:
        change = (after.astype(np.float64) - before).reshape(*mask.shape, -1) / WHITE[str(before.dtype)]
        largest = np.abs(change).max(axis=2)
        assert np.allclose(np.abs(effect), np.where(mask, largest, 0), atol=1e-6)
        assert largest[mask].min() >= FLOOR - 1e-6, "a labelled pixel that nobody could see"


def labels_of(made: tuple[Anomaly, np.ndarray], before: np.ndarray) -> tuple[Anomaly, np.ndarray, np.ndarray]:
    return made[0], before, made[1]


def generator_of(name: str, **values) -> Generator:
    """Return a generator with what it cannot run without."""
    cls = find("images", name)
    return cls(**{**given_values(cls), **values})


def varied(name: str) -> Vary:
    cls = find("images", name)
    return Vary(cls, **given_values(cls))


def make(name: str, pixels: np.ndarray, seed: int, generator=None) -> tuple[Anomaly, np.ndarray]:
    """Return the anomaly and its pixels, of an image whose foreground is given only where one is needed."""
    generator = generator or generator_of(name)
    given = Image(pixels, disc(*pixels.shape[:2])) if name in NEEDS_FOREGROUND else pixels
    anomaly = generator(given, rng=seed)
    assert type(anomaly.sample) is type(given)
    assert anomaly.generator is generator
    return anomaly, anomaly.sample.pixels if isinstance(anomaly.sample, Image) else anomaly.sample


def locked(pixels: np.ndarray) -> np.ndarray:
    """Whoever writes to it gets an error on the spot."""
    pixels.setflags(write=False)
    return pixels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ALL)
def test_labels_are_what_changed(name, kind):
    before = locked(KINDS[kind]())
    copy = before.copy()
    anomaly, after = make(name, before, 1)
    assert before.tobytes() == copy.tobytes(), "the input was written to"
    assert (after.dtype, after.shape) == (before.dtype, before.shape)
    assert np.isfinite(after).all()
    assert (anomaly.stats["leak"], anomaly.stats["dead"]) == (0.0, 0.0)
    check_labels(anomaly, before, after)
    assert anomaly.mask.mean() < 0.7, "a defect, not another image"


@pytest.mark.parametrize("kind", FLAT)
@pytest.mark.parametrize("name", ALL)
def test_flat_images_get_visible_defects(name, kind):
    before = locked(FLAT[kind]())
    for seed in range(2):
        if name in NEEDS_DETAIL:
            with pytest.raises(NotMade, match=f"no `{name}` could be made of it"):
                make(name, before, seed)
        else:
            check_labels(*labels_of(make(name, before, seed), before))


@pytest.mark.parametrize("name", sorted(NEEDS_FOREGROUND))
def test_what_needs_a_foreground_says_so(name):
    with pytest.raises(NotMade, match="the foreground is not known"):
        generator_of(name)(natural(64, 64, 3), rng=0)


@pytest.mark.parametrize("name", ALL)
def test_nearly_every_draw_is_made_and_honest(name):
    before = locked(natural(72, 96, 3))
    made = 0
    for seed in range(10):
        with contextlib.suppress(NotMade):
            check_labels(*labels_of(make(name, before, seed, varied(name).draw(Rng(seed))), before))
            made += 1
    assert made >= 9


@pytest.mark.parametrize("name", ALL)
def test_same_stream_same_bytes_other_stream_other_bytes(name):
    before = locked(natural(64, 64, 3))
    (first, one), (again, two), (_, other) = (make(name, before, seed) for seed in (5, 5, 6))
    assert one.tobytes() == two.tobytes()
    assert first.effect.tobytes() == again.effect.tobytes()
    assert first.stats == again.stats
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("name", ALL)
def test_the_layout_in_memory_does_not_matter(name):
    before = natural(40, 56, 3)
    view = np.ascontiguousarray(before[:, ::-1])[:, ::-1]
    plain, fortran, seen = (make(name, pixels, 4)[1] for pixels in (before, np.asfortranarray(before), view))
    assert (plain == fortran).all()
    assert (plain == seen).all()


@pytest.mark.parametrize("name", ALL)
def test_grey_with_and_without_a_channel_axis_are_one(name):
    before = natural(48, 40)
    two, three = (make(name, pixels, 2)[1] for pixels in (before, before[:, :, None]))
    assert (two == three[:, :, 0]).all()


@pytest.mark.parametrize("name", ALL)
def test_nothing_changes_outside_the_foreground(name):
    pixels, foreground = locked(natural(80, 64, 3)), locked(disc(80, 64))
    for seed in range(3):
        anomaly = generator_of(name)(Image(pixels, foreground, document="kept"), rng=seed)
        assert isinstance(anomaly.sample, Image)
        assert anomaly.sample.document == "kept"
        assert anomaly.sample.foreground is foreground
        check_labels(anomaly, pixels, anomaly.sample.pixels)
        assert not (anomaly.mask & ~foreground).any()


@pytest.mark.parametrize("name", ALL)
def test_an_empty_foreground_is_refused(name):
    with pytest.raises(NotMade, match="the foreground is empty"):
        generator_of(name)(Image(natural(20, 20), np.zeros((20, 20), np.bool_)), rng=0)


@pytest.mark.parametrize("name", ALL)
def test_instances_are_separate(name):
    before = locked(natural(128, 144))
    anomaly, after = make(name, before, 3, generator_of(name, instances=3))
    assert sorted(set(anomaly.instances.ravel().tolist())) == [0, 1, 2, 3]
    check_labels(anomaly, before, after)


@pytest.mark.parametrize("name", ALL)
def test_the_region_holds_what_changed(name):
    before = locked(natural(64, 64, 3))
    anomaly, after = make(name, before, 7, generator_of(name, mask="region"))
    changed = (bits(before) != bits(after)).any(axis=2)
    assert not (changed & ~anomaly.mask).any()
    assert anomaly.stats["dead"] == pytest.approx((anomaly.mask & ~changed).sum() / anomaly.mask.sum())


@pytest.mark.parametrize("name", ALL)
def test_more_strength_is_more_effect(name):
    cls = find("images", name)
    vary = extra_of(cls.model_fields["strength"]).get("vary") if "strength" in cls.model_fields else None
    if not isinstance(vary, list):
        pytest.skip("no range of strengths")
    before = locked(natural(72, 72, 3))
    low, high = (
        sum(
            float(np.abs(make(name, before, seed, generator_of(name, strength=strength))[0].effect).sum())
            for seed in range(3)
        )
        for strength in vary[:2]
    )
    assert high > low


@pytest.mark.parametrize("name", ALL)
def test_record_and_pickle_give_the_same_generator(name):
    generator = varied(name).draw(Rng(3))
    assert from_record(generator.record()) == generator
    assert pickle.loads(pickle.dumps(generator)) == generator
    stale = {**generator.record(), "version": generator.version + 1}
    with pytest.raises(ParameterError, match=f"generator `{name}`: version"):
        from_record(stale)


@pytest.mark.parametrize("name", ALL)
def test_it_is_documented(name):
    cls = find("images", name)
    text = inspect.getdoc(cls)
    assert text
    first = text.split("\n")[0]
    assert len(first) < 100
    assert not first.endswith(".")
    assert re.search(r"Source:|Ours|ours|follow|[Ii]nspired", text), "say where it comes from"
    assert not FIXED_OPTIONS & set(cls.model_fields)
    for field in cls.model_fields.values():
        assert field.description
        extra = extra_of(field)
        if field.annotation in (int, float, Union[float, str]):
            assert "minimum" in extra or "exclusiveMinimum" in extra
            assert "maximum" in extra or "exclusiveMaximum" in extra


@pytest.mark.parametrize("name", ALL)
def test_values_out_of_range_name_the_parameter_and_the_bound(name):
    cls = find("images", name)
    for field_name, field in cls.model_fields.items():
        extra = extra_of(field)
        if "maximum" in extra:
            with pytest.raises(ParameterError, match=rf"`{field_name}`: .*must be <= {extra['maximum']}"):
                cls(**{field_name: extra["maximum"] * 2 + 1})
        if "exclusiveMinimum" in extra:
            with pytest.raises(ParameterError, match=rf"`{field_name}`: .*must be > {extra['exclusiveMinimum']}"):
                cls(**{field_name: extra["exclusiveMinimum"]})
    with pytest.raises(ParameterError, match="has no parameter `strengh`"):
        cls(strengh=1)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(8, 48), st.integers(8, 48)),
    channels=st.sampled_from([0, 1, 2, 3, 4]),
    dtype=st.sampled_from(sorted(WHITE)),
)
def test_any_draw_is_honest_or_refused(name, seed, size, channels, dtype):
    before = locked(natural(*size, channels, dtype, seed % 7))
    generator = varied(name).draw(Rng(seed))
    with contextlib.suppress(NotMade):
        check_labels(*labels_of(make(name, before, seed, generator), before))


@pytest.mark.parametrize("size", [(8, 8), (8, 40), (40, 8), (9, 15), (16, 17)], ids=str)
@pytest.mark.parametrize("name", ALL)
def test_the_smallest_images_are_made_or_refused(name, size):
    for seed in range(4):
        before = locked(natural(*size, 3, seed=seed))
        generator = varied(name).draw(Rng(seed))
        with contextlib.suppress(NotMade):
            check_labels(*labels_of(make(name, before, seed, generator), before))


@pytest.mark.parametrize("wrong", ["leak", "dead", "effect", "instances"])
def test_the_check_itself_can_fail(wrong):
    before = natural(32, 32, 3)
    anomaly, after = make("blank", before, 0)
    inside = tuple(np.argwhere(anomaly.mask)[0])
    outside = tuple(np.argwhere(~anomaly.mask)[0])
    check_labels(anomaly, before, after)
    if wrong == "leak":
        after[outside] ^= 1
    elif wrong == "dead":
        after[inside] = before[inside]
    elif wrong == "effect":
        anomaly.effect[inside] += np.float32(0.01)
    else:
        anomaly.instances[inside] = 0
    with pytest.raises(AssertionError):
        check_labels(anomaly, before, after)
