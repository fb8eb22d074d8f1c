"""Exact counts in every pass, every segment masked once or twice, and the same masks however they are asked for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_kit import blocks, cut_shapes, digest, signals
from scipy import ndimage

from anosynth.errors import DataError, ParameterError
from anosynth.masks import GLOBAL, LOCAL, MultiScale, Scale
from anosynth.seeding import as_rng

LAYOUTS = ["random", "contiguous", "strided"]


@settings(max_examples=150)
@given(
    cut=cut_shapes(),
    layout=st.sampled_from(LAYOUTS),
    ratio=st.floats(0.001, 1),
    window=st.integers(1, 12),
    block=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_covering_passes_are_exact_and_even(cut, layout, ratio, window, block, seed):
    shape, segment = cut
    scale = Scale("a", ratio, layout, window=window, block=block)
    masks = MultiScale(segment, [scale])(shape, rng=seed)["a"]
    number = math.prod(masks.grid)
    wanted = max(1, math.floor(ratio * number + 0.5))
    each = masks.segments.reshape(masks.passes, -1).sum(axis=1)
    assert (each == wanted).all()
    assert masks.count == wanted
    assert masks.passes == math.ceil(number / wanted), "more passes than it takes"
    assert masks.counts.min() >= 1
    assert masks.counts.max() - masks.counts.min() <= 1
    assert np.array_equal(masks.counts, masks.segments.sum(axis=0))
    assert masks.padding == tuple(-size % step for size, step in zip(shape, segment, strict=True))


@pytest.mark.parametrize(("number", "count", "window"), [(11, 5, 3), (15, 7, 3), (19, 9, 5), (21, 10, 3), (7, 6, 2)])
def test_runs_that_one_overlap_cannot_take_still_fit(number, count, window):
    """Three runs of 1, 1 and 2 in a window of 2 fit only with the longest in the middle: rare, so looked for."""
    made = MultiScale(1, [Scale("a", count / number, "contiguous", window=window)])
    masks = made((number,), rng=0, batch=200)["a"]
    assert (masks.segments.sum(axis=-1) == count).all(), "a run sticks out of its window"
    assert (masks.counts.min(), masks.counts.max()) == (1, 2)


@settings(max_examples=60)
@given(cut=cut_shapes(), layout=st.sampled_from(LAYOUTS), ratio=st.floats(0.01, 1), passes=st.integers(1, 5))
def test_a_number_of_passes_is_that_many_independent_ones(cut, layout, ratio, passes):
    shape, segment = cut
    scale = Scale("a", ratio, layout, window=4)
    masks, fewer = (MultiScale(segment, [scale], passes=n)(shape, rng=3)["a"] for n in (passes, 1))
    assert masks.passes == passes
    assert (masks.segments.reshape(passes, -1).sum(axis=1) == masks.count).all()
    assert np.array_equal(masks.segments[:1], fewer.segments), "a pass depends on how many there are"


@settings(max_examples=80)
@given(cut=cut_shapes(), ratio=st.floats(0.01, 1), window=st.integers(1, 6), passes=st.sampled_from(["cover", 3]))
def test_contiguous_is_one_connected_run_in_each_window(cut, ratio, window, passes):
    shape, segment = cut
    masks = MultiScale(segment, [Scale("a", ratio, "contiguous", window=window)], passes=passes)(shape, rng=5)["a"]
    count, number = masks.count, math.prod(masks.grid)
    sizes = tuple(min(window, size) for size in masks.grid)
    for mask in masks.segments:
        for _, place in blocks(masks.grid, sizes):
            assert ndimage.label(mask[place])[1] <= 1
            share = mask[place].size * count / number
            assert math.floor(share) <= mask[place].sum() <= math.ceil(share)


def test_strided_is_evenly_spaced():
    masks = MultiScale(1, [Scale("a", 0.2, "strided")])((103,), rng=0)["a"]
    for mask in masks.segments:
        places = np.flatnonzero(mask)
        gaps = np.diff([*places, places[0] + 103])
        assert set(gaps) <= {4, 5, 6}
        assert len(places) == 21


def test_blocks_are_drawn_together():
    masks = MultiScale(1, [Scale("a", 0.25, block=4)])((16, 16), rng=0)["a"]
    assert masks.passes == 4
    for mask in masks.segments:
        inside = mask.reshape(4, 4, 4, 4).swapaxes(1, 2).reshape(16, 16)
        assert sorted(inside.sum(axis=1)) == [0] * 12 + [16] * 4


def test_the_defaults_are_those_of_the_paper_s_benchmark():
    masks = MultiScale()((4800,), rng=0, batch=2, channels=12)
    assert list(masks) == ["global", "local"]
    for name, scale in {"global": GLOBAL, "local": LOCAL}.items():
        assert masks[name].scale == scale
        assert masks[name].segments.shape == (2, 4, 100)
        assert masks[name].count == 30
        assert masks[name].samples(3).shape == (2, 12, 4800)
        assert masks[name].samples(3).sum() == 2 * 12 * 30 * 48
    assert (masks["local"].segments.reshape(2, 4, 10, 10).sum(axis=-1) == 3).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_places_are_as_likely_as_they_should_be(layout):
    masks = MultiScale(1, [Scale("a", 0.3, layout, window=10)], passes=2000)((40,), rng=1)["a"]
    share = masks.segments.mean(axis=0)
    if layout == "contiguous":
        # A run of 3 has 8 places in a window of 10: the first segment is in one of them, those inside in three.
        assert np.allclose(share.reshape(4, 10), np.array([1, 2, 3, 3, 3, 3, 3, 3, 2, 1]) / 8, atol=0.05)
    else:
        assert np.allclose(share, 0.3, atol=0.05)


@settings(max_examples=60)
@given(cut=cut_shapes(), seed=st.integers(0, 99))
def test_samples_are_segments_repeated(cut, seed):
    shape, segment = cut
    masks = MultiScale(segment, [Scale("a", 0.4)])(shape, rng=seed)["a"]
    for number in range(masks.passes):
        wide = masks.samples(number)
        assert (wide.shape, wide.dtype) == (shape, np.bool_)
        for place, slices in blocks(shape, segment):
            assert (wide[slices] == masks.segments[(number, *place)]).all()


@pytest.mark.parametrize("share", [True, False])
def test_ids_restore_the_order(share):
    masks = MultiScale((4, 5), [Scale("a", 0.3, share_channels=share)])((21, 33), rng=2, batch=3, channels=2)["a"]
    grid, flat = masks.segments.shape[2:] if share else masks.segments.shape[3:], masks.segments
    assert grid == (6, 7)
    for number in range(masks.passes):
        kept, masked, restore = masks.ids(number)
        ahead = (3,) if share else (3, 2)
        assert kept.shape == (*ahead, 29)
        assert masked.shape == (*ahead, 13)
        tokens = np.concatenate([kept, masked], axis=-1)
        assert (np.take_along_axis(tokens, restore, axis=-1) == np.arange(42)).all()
        one = flat[:, number].reshape(*ahead, 42)
        assert np.take_along_axis(one, masked, axis=-1).all()
        assert not np.take_along_axis(one, kept, axis=-1).any()
        assert (np.diff(kept, axis=-1) > 0).all()
        assert (np.diff(masked, axis=-1) > 0).all()


def test_channels_share_or_do_not():
    scales = [Scale("shared", 0.3), Scale("own", 0.3, share_channels=False)]
    masks = MultiScale(10, scales)(signals(), rng=0, channel_dim=-1)
    shared, own = masks["shared"].samples(0), masks["own"].samples(0)
    assert shared.shape == own.shape == (3, 200, 4)
    assert (shared == shared[:, :, :1]).all()
    assert not (own == own[:, :, :1]).all()
    assert masks["own"].segments.shape == (3, 4, 4, 20)
    assert masks["own"].counts.shape == (3, 4, 20)
    assert (masks["own"].segments.sum(axis=-1) == 6).all()
    wider = MultiScale(10, scales)((200,), rng=0, batch=3, channels=6)["own"]
    assert np.array_equal(wider.segments[:, :, :4], masks["own"].segments), "a channel depends on the others"


def test_a_scale_does_not_depend_on_the_others():
    both = MultiScale(10)((200,), rng=4)
    alone = MultiScale(10, [LOCAL])((200,), rng=4)
    assert np.array_equal(both["local"].segments, alone["local"].segments)


def test_one_batch_of_eight_is_eight_samples():
    mask, rng = MultiScale(7), as_rng(9)
    whole = mask((100,), rng=9, batch=8)
    for name in whole:
        for i in range(8):
            own = rng.child("sample", i)
            assert np.array_equal(mask((100,), rng=own)[name].segments, whole[name].segments[i])
            assert np.array_equal(mask((100,), rng=[own], batch=1)[name].segments[0], whole[name].segments[i])
        assert len({sample.tobytes() for sample in whole[name].segments}) == 8


@pytest.mark.parametrize("make", [lambda: 0, lambda: np.random.SeedSequence(3), lambda: np.random.default_rng(3)])
def test_every_kind_of_rng(make):
    first, again = (MultiScale(10)((300,), rng=make())["global"].segments for _ in range(2))
    assert np.array_equal(first, again)
    fresh = {MultiScale(10)((300,))["global"].segments.tobytes() for _ in range(4)}
    assert len(fresh) > 1


def test_what_is_returned_is_one_s_own():
    masks = MultiScale(10)((200,), rng=4, batch=2)["global"]
    wanted = [masks.samples(1), masks.counts]
    masks.segments[:] = True
    masks.samples(1)[:] = True
    assert np.array_equal(masks.samples(1), wanted[0])
    assert np.array_equal(masks.counts, wanted[1])


def test_plain_values_make_it_and_it_is_frozen():
    made = MultiScale([4, 4], [{"name": "a", "ratio": 0.5, "layout": "contiguous", "window": [2, 3]}], passes=2)
    assert made == MultiScale((4, 4), (Scale("a", 0.5, "contiguous", window=(2, 3)),), 2)
    assert hash(made) == hash(MultiScale((4, 4), (Scale("a", 0.5, "contiguous", window=(2, 3)),), 2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.passes = 3
    assert MultiScale(**dataclasses.asdict(made)) == made


GOLDEN = {
    ("random", 1): "f999ed0dc0f51ed0",
    ("random", 2): "f8c5090f816a5674",
    ("contiguous", 1): "a3964c0eb67e2d17",
    ("contiguous", 2): "b37e1b3f6c620fdc",
    ("strided", 1): "b9a2349b4fab171d",
    ("strided", 2): "2436b6bab3414233",
}


@pytest.mark.parametrize(("layout", "dims"), GOLDEN)
def test_the_bits_are_pinned(layout, dims):
    shape, scale = ((1000,), (61, 47))[dims - 1], Scale("a", 0.3, layout, window=7, block=2)
    cover = MultiScale(6, [scale])(shape, rng=1, batch=2)["a"].segments
    some = MultiScale(6, [scale], passes=3)(shape, rng=1)["a"].segments
    assert digest(cover, some) == GOLDEN[layout, dims]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: Scale("a", 0), "ratio: 0: expected more than 0 and up to 1"),
        (lambda: Scale("a", 1.5), "ratio: 1.5: expected more than 0 and up to 1"),
        (lambda: Scale("a", float("nan")), "ratio: nan: expected more than 0 and up to 1"),
        (lambda: Scale("a", "half"), "ratio: 'half': expected a number"),
        (lambda: Scale("", 0.5), "name: '': expected a text"),
        (lambda: Scale("a", 0.5, "zigzag"), "layout: 'zigzag': expected random, contiguous or strided"),
        (lambda: MultiScale(4, []), "scales: none: expected at least one, each of another name"),
        (lambda: MultiScale(4, [GLOBAL, GLOBAL]), "scales: global, global: expected at least one, each of another"),
        (lambda: MultiScale(4, [{"name": "a", "ratoi": 1}]), "a scale has no parameter `ratoi`; did you mean `ratio`"),
        (lambda: MultiScale(4, [{"name": "a"}]), "ratio: of a scale: expected a value"),
        (lambda: MultiScale(4, passes=0), 'passes: 0: expected "cover" or at least 1'),
        (lambda: MultiScale(48)((40,)), "segment: 48: larger than the sample of 40"),
        (lambda: MultiScale(48)((40, 50)), r"segment: \(48, 48\): larger than the sample of \(40, 50\)"),
        (lambda: MultiScale((4, 4))((40,)), r"segment: \(4, 4\): expected one number, or one for each of 1 axes"),
        (lambda: MultiScale(0)((40,)), "segment: 0: expected at least 1"),
        (lambda: MultiScale(1.5)((40,)), "segment: 1.5: expected a whole number"),
        (lambda: MultiScale(4)((0,)), r"shape: \(0,\): expected sizes of at least 1"),
        (lambda: MultiScale(4)((40,), batch=0), r"shape: \(0, 40\): expected sizes of at least 1"),
        (lambda: MultiScale(4)(np.zeros((2, 3, 9)), batch=2), "batch, channels: the array tells"),
        (lambda: MultiScale(4)(np.zeros((2, 3, 9)), channel_dim=3), "channel_dim: 3: an array of"),
        (lambda: MultiScale(4)(np.zeros((2, 3, 9)), channel_dim=0), "channel_dim: 0: expected another dimension"),
        (lambda: MultiScale(4)((40,))["global"].samples(9), "number: 9: expected a pass from 0 to 3"),
    ],
)
def test_values_that_cannot_be_are_named(call, text):
    with pytest.raises(ParameterError, match=f"^{text}"):
        call()


def test_arrays_that_cannot_be_are_named():
    with pytest.raises(
        DataError, match=r"^array: \(2, 3\): expected at least one dimension beside batch and channels$"
    ):
        MultiScale(4)(np.zeros((2, 3)))
    with pytest.raises(DataError, match=r"^array: \(2, 0, 9\): .*none of them 0$"):
        MultiScale(4)(np.zeros((2, 0, 9)))
    with pytest.raises(DataError, match=r"^rng: 2 streams: expected one for each of the 3 samples"):
        MultiScale(4)((40,), rng=[1, 2], batch=3)
    with pytest.raises(TypeError, match="rng: str"):
        MultiScale(4)((40,), rng="7")
