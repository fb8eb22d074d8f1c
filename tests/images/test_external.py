"""The hook for functions of others: what they get, what of theirs is taken, and how their mistakes are told."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from anosynth.errors import NotMade, ParameterError
from anosynth.generator import from_record
from anosynth.images import External, Image
from anosynth.recipe import Vary
from anosynth.seeding import Rng

SEEN: list = []


def brighter(image, mask, rng):
    SEEN.append((image, mask, rng))
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[image.dtype.name]
    return (image + white * (0.3 + 0.1 * rng.random())).astype(image.dtype)


def writing(image, mask, rng):
    image[mask] = 255
    return image


def failing(image, mask, rng):
    raise RuntimeError("out of memory")


def listing(image, mask, rng):
    return image.tolist()


def smaller(image, mask, rng):
    return image[1:]


def wider(image, mask, rng):
    return image.astype(np.float64)


def broken(image, mask, rng):
    image[mask] = np.nan
    return image


def nothing(image, mask, rng):
    return image


NUMBER = 3


def ground(channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    white = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    value = 0.3 + 0.02 * np.random.default_rng(0).random((60, 80, channels))
    pixels = (value * white).astype(dtype)
    pixels = pixels[:, :, 0] if channels == 1 else pixels
    pixels.setflags(write=False)
    return pixels


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_it_gets_the_whole_photo_and_only_the_region_is_taken(channels, dtype):
    before = ground(channels, dtype)
    SEEN.clear()
    anomaly = External(function=brighter)(before, rng=1)
    ((image, mask, rng),) = SEEN
    assert (image.dtype, image.shape) == (before.dtype, before.shape)
    assert (image == before).all()
    assert (mask.dtype, mask.shape) == (np.bool_, (60, 80))
    assert isinstance(rng, np.random.Generator)
    assert (anomaly.mask == mask).all()
    assert (anomaly.sample[~mask] == before[~mask]).all(), "it brightened everything"
    step = (anomaly.sample[mask].astype(float) - before[mask]) / {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    assert 0.295 < step.min() <= step.max() < 0.405
    if dtype == "float32":
        assert np.ptp(step) < 1e-5


def test_its_values_arrive_bit_for_bit():
    before = ground(3, "uint16")
    anomaly = External(function=brighter)(before, rng=1)
    SEEN.clear()
    External(function=brighter)(before, rng=1)
    image, mask, _ = SEEN[0]
    again = External(function=brighter)(before, rng=1).sample
    assert (anomaly.sample == again).all()
    assert (anomaly.sample != External(function=brighter)(before, rng=2).sample).any()
    assert (image == before).all()
    assert anomaly.sample[mask].min() > before.max()


def test_it_may_write_into_its_copy():
    before = ground()
    anomaly = External(function=writing)(before, rng=0)
    assert (anomaly.sample[anomaly.mask] == 255).all()
    assert (before == ground()).all()


def test_a_soft_edge_mixes_the_two():
    before = ground()
    hard, soft = (External(function=writing, area=0.1, softness=softness)(before, rng=0) for softness in (0.0, 1.0))
    assert (hard.sample[hard.mask] == 255).all()
    assert soft.sample[soft.mask].mean() < 215


def test_the_region_has_its_area_and_lies_on_the_foreground():
    before = ground()
    assert External(function=writing, area=0.1, outline="ellipse")(before, rng=0).mask.mean() == pytest.approx(
        0.1, rel=0.1
    )
    assert External(function=writing, area="300px2", outline="rectangle")(before, rng=0).mask.sum() == pytest.approx(
        300, rel=0.06
    )
    foreground = np.zeros((60, 80), np.bool_)
    foreground[20:40, 30:60] = True
    assert not (External(function=brighter)(Image(before, foreground), rng=0).mask & ~foreground).any()


def test_every_defect_has_draws_of_its_own():
    SEEN.clear()
    External(function=brighter, instances=3, area=0.01)(ground(), rng=0)
    draws = [rng.random() for _, _, rng in SEEN]
    assert len(set(draws)) == 3


def test_functions_are_recorded_by_name():
    by_function, by_name = External(function=brighter), External(function=f"{__name__}.brighter")
    assert by_function == by_name == External(function=f"{__name__}:brighter")
    assert by_function.record()["function"] == f"{__name__}.brighter"
    assert from_record(by_function.record()) == by_function
    assert Vary(External, function=brighter).draw(Rng(0)).function == f"{__name__}.brighter"


def test_what_has_no_name_is_refused():
    def inner(image, mask, rng):
        return image

    for function in (lambda image, mask, rng: image, inner):
        with pytest.raises(ParameterError, match="a lambda or an inner one has no such name"):
            External(function=function)
    moved = types.FunctionType(brighter.__code__, {}, "brighter")
    moved.__module__, moved.__qualname__ = __name__, "brighter"
    with pytest.raises(ParameterError, match="is something else"):
        External(function=moved)
    for text in ("brighter", "a b.c", "package.", ".name", "package.3", 7):
        with pytest.raises(ParameterError, match=r"`function`: .*expected `package"):
            External(function=text)
    with pytest.raises(ParameterError, match="`function`: none: expected"):
        External()(ground(), rng=0)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (failing, r"failing: RuntimeError: out of memory \(test_external\.py, line \d+\)"),
        (listing, r"listing: returned list: expected uint8 \(60, 80, 3\)"),
        (smaller, r"smaller: returned uint8 \(59, 80, 3\): expected uint8 \(60, 80, 3\)"),
        (wider, r"wider: returned float64 \(60, 80, 3\): expected uint8"),
        (nothing, r"0 visibly changed pixels"),
    ],
)
def test_its_mistakes_are_told_with_its_name(function, text):
    with pytest.raises(NotMade, match=f"no `external` could be made of it.*{text}"):
        External(function=function)(ground(), rng=0)


def test_pixels_that_are_no_numbers_are_refused():
    with pytest.raises(NotMade, match="broken: returned pixels that are not finite"):
        External(function=broken)(ground(dtype="float32"), rng=0)


def test_what_cannot_be_imported_is_told(tmp_path, monkeypatch):
    with pytest.raises(NotMade, match=r"(?s)no_such\.f: cannot be imported: ModuleNotFoundError.*hint: PYTHONPATH"):
        External(function="no_such.f")(ground(), rng=0)
    with pytest.raises(NotMade, match=f"{__name__}.missing: `{__name__}` has no function `missing`"):
        External(function=f"{__name__}.missing")(ground(), rng=0)
    with pytest.raises(NotMade, match="has no function `NUMBER`"):
        External(function=f"{__name__}.NUMBER")(ground(), rng=0)
    (tmp_path / "falling_over.py").write_text("raise KeyError('model')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotMade, match=r"falling_over\.f: cannot be imported: KeyError: 'model'"):
        External(function="falling_over.f")(ground(), rng=0)
    assert "falling_over" not in sys.modules
