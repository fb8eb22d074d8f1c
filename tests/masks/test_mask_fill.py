"""What is written into a mask: against explicit loops, and nothing outside of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_kit import blocks, cut_shapes, digest, signals

from anosynth.errors import DataError, ParameterError
from anosynth.masks import MultiScale, Scale, attenuate, fill, mosaic
from anosynth.seeding import as_rng

MODES = ["zero", "mean", "interpolate", "noise", "copy", "shift"]
DTYPES = [np.float16, np.float32, np.float64, np.uint8, np.int16]


def a_mask(x: np.ndarray, seed: int = 0) -> np.ndarray:
    return MultiScale(9, [Scale("a", 0.3)])(x, rng=seed, channel_dim=-1)["a"].samples(0)


def bits(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).view(f"u{x.itemsize}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_only_the_mask_changes_and_the_mask_is_what_changed(mode, dtype):
    x = signals(dtype=dtype)
    mask, kept = a_mask(x), x.copy()
    out = fill(x, mask, mode, rng=3, channel_dim=-1)
    assert np.array_equal(bits(x), bits(kept)), "the input was written to"
    assert (out.values.dtype, out.values.shape) == (dtype, x.shape)
    assert (out.mask.dtype, out.mask.shape) == (np.bool_, x.shape)
    assert np.array_equal(out.mask, bits(out.values) != bits(x))
    assert not (out.mask & ~mask).any()
    assert out.mask.sum() > 0.5 * mask.sum()
    assert np.isfinite(out.values.astype(float)).all()


@pytest.mark.parametrize("mode", MODES)
def test_samples_do_not_depend_on_the_batch(mode):
    x = signals(batch=5)
    mask = a_mask(x)
    whole = fill(x, mask, mode, rng=8, channel_dim=-1).values
    for i in range(5):
        own = as_rng(8).child("sample", i)
        one = fill(x[i], mask[i], mode, rng=own, batch_dim=None, channel_dim=-1).values
        assert np.array_equal(bits(one), bits(whole[i]))
        listed = fill(x[i : i + 1], mask[i : i + 1], mode, rng=[own], channel_dim=-1).values
        assert np.array_equal(bits(listed[0]), bits(whole[i]))
    other = fill(x, mask, mode, rng=9, channel_dim=-1).values
    assert np.array_equal(other, whole) == (mode in ("zero", "mean", "interpolate"))


def test_layouts_change_no_bit():
    x = signals()
    mask = a_mask(x)
    for mode in MODES:
        wanted = fill(x, mask, mode, rng=2, channel_dim=-1).values
        first = fill(x.swapaxes(1, 2), mask.swapaxes(1, 2), mode, rng=2).values.swapaxes(1, 2)
        last = fill(x.transpose(2, 1, 0), mask.transpose(2, 1, 0), mode, rng=2, batch_dim=2, channel_dim=0).values
        places = fill(x, mask[:, :, 0], mode, rng=2, channel_dim=-1).values
        single = fill(x, mask[:, :, :1], mode, rng=2, channel_dim=-1).values
        turned = fill(x.transpose(2, 1, 0), mask[:, :, 0], mode, rng=2, batch_dim=2, channel_dim=0).values
        for same in (first, last.transpose(2, 1, 0), places, single, turned.transpose(2, 1, 0)):
            assert np.array_equal(bits(same), bits(wanted))
        common = np.broadcast_to(mask[:1], x.shape)
        assert np.array_equal(
            fill(x, common, mode, rng=2, channel_dim=-1).values,
            fill(x, mask[0, :, 0], mode, rng=2, channel_dim=-1).values,
        )


def test_means_are_those_of_what_is_not_masked():
    x = signals(dtype=np.float64)
    mask = a_mask(x)
    out = fill(x, mask, "mean", channel_dim=-1).values
    for i in range(3):
        for c in range(4):
            here = mask[i, :, c]
            assert np.allclose(out[i, here, c], x[i, ~here, c].mean(), rtol=1e-12)
    whole = fill(x, np.ones_like(mask), "mean", channel_dim=-1).values
    assert np.allclose(whole, x.mean(axis=1, keepdims=True), rtol=1e-12)


def test_along_one_axis_it_is_the_straight_line():
    x = signals(dtype=np.float64)
    mask = a_mask(x)
    mask[0, :5] = True
    out = fill(x, mask, "interpolate", channel_dim=-1).values
    time = np.arange(x.shape[1])
    for i in range(3):
        for c in range(4):
            here = mask[i, :, c]
            line = np.interp(time[here], time[~here], x[i, ~here, c])
            assert np.allclose(out[i, here, c], line, rtol=1e-12)


@settings(max_examples=40)
@given(cut=cut_shapes(), seed=st.integers(0, 2**32), density=st.floats(0, 1))
def test_interpolation_weighs_the_nearest_along_each_axis(cut, seed, density):
    draw = np.random.default_rng(seed)
    x, mask = draw.normal(size=cut[0]), draw.random(cut[0]) < density
    out = fill(x, mask, "interpolate", batch_dim=None, channel_dim=None).values
    for place in np.argwhere(mask):
        found = []
        for axis in range(x.ndim):
            for step in (-1, 1):
                way = np.array(place)
                way[axis] += step
                while 0 <= way[axis] < x.shape[axis]:
                    if not mask[tuple(way)]:
                        found.append((1 / abs(way[axis] - place[axis]), x[tuple(way)]))
                        break
                    way[axis] += step
        mean = x[~mask].mean() if not mask.all() else x.mean()
        wanted = sum(w * v for w, v in found) / sum(w for w, _ in found) if found else mean
        assert math.isclose(out[tuple(place)], wanted, rel_tol=1e-9, abs_tol=1e-12)


@pytest.mark.parametrize("snr", [-6, 0, 12])
def test_noise_has_the_asked_power(snr):
    x = signals(length=20_000, dtype=np.float64)
    out = fill(x, np.ones(x.shape[1], bool), "noise", rng=0, snr=snr, channel_dim=-1).values
    power = ((out - x) ** 2).mean(axis=1)
    assert np.allclose(10 * np.log10(x.var(axis=1) / power), snr, atol=0.2)
    assert np.abs((out - x).mean(axis=1) / np.sqrt(power)).max() < 0.05
    few = a_mask(x)
    same = fill(x, few, "noise", rng=0, snr=snr, channel_dim=-1).values
    assert np.array_equal(same[few], out[few]), "the noise at a place depends on the mask"


@pytest.mark.parametrize("shift", [7, -30])
def test_a_shift_is_what_lies_there(shift):
    x = signals()
    mask = a_mask(x)
    out = fill(x, mask, "shift", shift=shift, channel_dim=-1).values
    assert np.array_equal(out, np.where(mask, np.roll(x, -shift, axis=1), x))
    plane = np.arange(30.0).reshape(1, 1, 5, 6)
    moved = fill(plane, np.ones((5, 6), bool), "shift", shift=(1, -2)).values
    assert moved[0, 0, 0, 0] == plane[0, 0, 1, 4]


@pytest.mark.parametrize("shape", [(200,), (1, 64), (12, 9), (2, 3, 5)])
@pytest.mark.parametrize("mode", ["copy", "shift"])
def test_drawn_ways_are_within_what_is_said(mode, shape):
    places = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape)).reshape(len(shape), *shape)
    x = np.broadcast_to(places, (20, *places.shape)).astype(np.float64)
    out = fill(x, np.ones(shape, bool), mode, rng=0).values
    ways = set()
    for i in range(20):
        way = []
        for axis, size in enumerate(shape):
            steps = np.unique((out[i, axis] - x[i, axis]) % size)
            assert len(steps) == 1, "not one way for a sample"
            way.append(int(steps[0]))
            near = min(way[-1], size - way[-1])
            if size > 1:
                assert (near >= size / 4) if mode == "copy" else 1 <= near <= max(1, size // 16)
        ways.add(tuple(way))
    assert len(ways) > 1 or shape == (2, 3, 5)


def test_copies_come_from_the_source():
    x, other = signals(), signals() + 100
    mask = a_mask(x)
    out = fill(x, mask, "copy", rng=0, source=other, channel_dim=-1)
    assert (out.values[mask] > 50).all()
    assert np.isin(out.values[mask], other).all()
    assert np.array_equal(out.mask, mask)


def test_what_cannot_change_is_not_labelled():
    flat = np.full((2, 3, 50), 4, np.float32)
    for mode in ("mean", "interpolate", "noise", "copy", "shift"):
        out = fill(flat, np.ones(50, bool), mode, rng=0)
        assert not out.mask.any()
        assert np.array_equal(out.values, flat)
    assert not fill(np.full((1, 1, 9), np.nan), np.ones(9, bool), "copy", rng=0).mask.any()
    assert np.array_equal(bits(fill(np.array([[[-0.0]]]), np.ones(1, bool)).values), bits(np.array([[[-0.0]]])))


@settings(max_examples=60)
@given(
    cut=cut_shapes(), seed=st.integers(0, 2**32), density=st.floats(0, 1), dtype=st.sampled_from([np.uint8, np.float64])
)
def test_a_mosaic_has_the_means_of_its_blocks(cut, seed, density, dtype):
    shape, cell = cut
    draw = np.random.default_rng(seed)
    x, mask = draw.integers(0, 256, (2, 3, *shape)).astype(dtype), draw.random((2, *shape)) < density
    kept = x.copy()
    out = mosaic(x, mask, cell=cell)
    assert np.array_equal(x, kept)
    assert out.values.dtype == dtype
    for i in range(2):
        for c in range(3):
            for _, slices in blocks(shape, cell):
                mean = x[i, c][slices].astype(np.float64).mean()
                wanted = mean if dtype is np.float64 else round(mean)
                assert np.allclose(out.values[i, c][slices][mask[i][slices]], wanted, rtol=1e-12, atol=1e-12)
    outside = np.broadcast_to(~mask[:, None], x.shape)
    assert np.array_equal(bits(out.values[outside]), bits(x[outside]))
    assert np.array_equal(out.mask, out.values != x)


def test_attenuation_is_the_formula():
    x, soft = signals(), np.random.default_rng(0).random((3, 200)).astype(np.float32)
    out = attenuate(x, soft, channel_dim=-1)
    assert np.array_equal(bits(out), bits(x * (1 - soft[:, :, None])))
    assert np.array_equal(bits(attenuate(x, np.zeros((3, 200)), channel_dim=-1)), bits(x))
    assert not attenuate(x, np.ones(200, bool), channel_dim=-1).any()
    half = attenuate(x, soft, strength=0.5, channel_dim=-1)
    assert np.allclose(half, x * (1 - 0.5 * soft[:, :, None]), rtol=1e-6)
    assert np.array_equal(attenuate(x, soft, strength=0, channel_dim=-1), x)
    assert np.array_equal(attenuate(x.swapaxes(1, 2), soft[:, None]), out.swapaxes(1, 2))


GOLDEN = {
    "zero": "7a859e55ba180963",
    "mean": "7d7ad3e878c5bb73",
    "interpolate": "d3a8d85a0ea8e9bc",
    "noise": "de77b8274db75c38",
    "copy": "7d30985d12397ad9",
    "shift": "d362a17f2dc57d96",
}


@pytest.mark.parametrize("mode", MODES)
def test_the_bits_are_pinned(mode):
    # Whole numbers by a rule: what is pinned are the fills, not the sines or the draws of another library.
    x = (np.arange(2 * 90 * 3) * 7919 % 1009 - 500).astype(np.float32).reshape(2, 90, 3)
    out = fill(x, a_mask(x), mode, rng=1, channel_dim=-1)
    assert digest(out.values, out.mask) == GOLDEN[mode]


X = np.ones((2, 3, 8))
ON = np.ones(8, bool)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: fill(X, ON, "zeros"), ParameterError, "mode: 'zeros': expected one of zero, mean"),
        (lambda: fill(X, ON, "noise", snr=math.nan), ParameterError, "snr: nan: expected -60 to 60 decibels"),
        (lambda: fill(X, ON, "zero", source=X), ParameterError, "source: of mode 'zero': expected only with copy"),
        (lambda: fill(X, ON, "shift", shift=8), ParameterError, "shift: 8: expected less than the sample of"),
        (lambda: fill(X, ON, "shift", shift=0), ParameterError, "shift: 0: expected less than the sample of"),
        (lambda: fill(X, ON, "shift", shift=(1, 2)), ParameterError, r"shift: \(1, 2\): expected one number, or one"),
        (lambda: fill(X, np.ones(8)), DataError, "mask: float64: expected bool\nhint: compare it"),
        (
            lambda: fill(X, np.ones(7, bool)),
            DataError,
            r"mask: \(7,\): expected one of \(2, 3, 8\), \(2, 1, 8\), \(2, 8\), \(8,\)$",
        ),
        (lambda: fill(X, ON, "copy", source=X[:1]), DataError, r"source: \(1, 3, 8\): expected \(2, 3, 8\)"),
        (lambda: fill(X.astype(complex), ON), DataError, "x: complex128: expected floats, booleans, or integers"),
        (lambda: fill(X.astype(np.int64), ON), DataError, "x: int64: expected floats, booleans, or integers"),
        (lambda: fill(X * math.nan, ON, "mean"), DataError, r"x: nan at \(0, 0, 0\): expected finite values"),
        (lambda: mosaic(X, ON, cell=9), ParameterError, "cell: 9: larger than the sample of 8"),
        (lambda: mosaic(X, np.ones(8)), DataError, "mask: float64: expected bool"),
        (lambda: attenuate(X, np.full(8, 1.5)), DataError, "soft_mask: 1.5: expected 0 to 1"),
        (lambda: attenuate(X, np.full(8, math.nan)), DataError, "soft_mask: nan: expected 0 to 1"),
        (lambda: attenuate(X, np.ones(4)), DataError, r"soft_mask: \(4,\): expected one of"),
        (lambda: attenuate(X, ON, strength=2), ParameterError, "strength: 2: expected 0 to 1"),
        (lambda: attenuate(X.astype(np.uint8), ON), DataError, "features: uint8: expected floats"),
    ],
)
def test_what_cannot_be_is_named(call, kind, text):
    with pytest.raises(kind, match=f"^{text}"):
        call()


def test_the_global_state_is_not_touched():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    x = signals()
    for mode in MODES:
        fill(x, a_mask(x), mode, channel_dim=-1)
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002
