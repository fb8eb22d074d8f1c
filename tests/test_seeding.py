"""Streams are named by what they are for, and their draws are those of 2026 on every machine and numpy."""

from __future__ import annotations

import hashlib
import json
import math
import os
import pickle
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from anosynth.seeding import SCHEME, Rng, as_rng, normalise_key, stream

KEY = 0x048B8EEBA73DAA0C04E00F6D12A81C67

names = st.text(max_size=8)


def first(rng: Rng) -> list[float]:
    return rng.random(4).tolist()


def hexed(values) -> list[str]:
    return [float(value).hex() for value in values]


# Golden values: pinned by hand from the first run; a change of any of them is a new SCHEME.


def test_the_key_is_the_digest_that_the_docstring_states():
    text = json.dumps([SCHEME, 0, "dent", "a.ply", 0, 0], separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    assert stream(0, "dent", "a.ply").key == int.from_bytes(digest, "little") == KEY


def test_golden_floats():
    assert hexed(Rng(KEY).random(3)) == ["0x1.53e780555442cp-2", "0x1.81e395ae54d0fp-1", "0x1.d7b585233eb26p-2"]
    assert Rng(KEY).uniform(-1, 3).hex() == "0x1.4f9e0155510b0p-2"
    assert Rng(KEY).log_uniform(0.005, 0.03).hex() == "0x1.28f939a0a5bfcp-7"
    assert hexed(Rng(KEY).normal(3)) == ["-0x1.bde45b157e41cp-1", "0x1.b726850763eaep-1", "0x1.c225534e6ccf8p-3"]
    assert hexed(Rng(KEY).direction()) == ["0x1.65ad2ac601efbp-6", "-0x1.e214bf8d60c2cp-1", "-0x1.5830ff55577a8p-2"]


def test_golden_integers():
    assert Rng(KEY).integer(-5, 5) == -2
    assert Rng(KEY).integer(0, 2**40) == 364969465173
    for draw, wanted in [
        (lambda r: r.integer(1, 6), [2, 5, 3, 1, 4, 6, 1, 2, 4, 2]),
        (lambda r: r.choice([1, 2, 3]), [1, 2, 1, 0, 2, 2, 0, 1, 2, 1]),
        (lambda r: r.sign(), [-1, 1, -1, -1, 1, 1, -1, -1, 1, -1]),
    ]:
        rng = Rng(KEY)
        assert [draw(rng) for _ in wanted] == wanted
    assert Rng(KEY).permutation(8).tolist() == [6, 3, 7, 0, 2, 4, 1, 5]


def test_golden_keys():
    assert Rng(KEY).child("octave", 3).key == 0xBC6C0C8FBF44105FB29D0E346389519D
    assert as_rng(0).key == 0x17029BA265126C9864C6C751960B8AE2
    assert as_rng(7).key == 0x6FEFE10D0D0F34614B91A43F49FB8B0A
    assert as_rng(np.random.SeedSequence(7)).key == 0x38B0D3752E37A439BD88484C53CF0FE
    assert as_rng(np.random.default_rng(7)).key == 0xEAD96384F857C07E56052311ECD837DF
    assert as_rng(np.random.Generator(np.random.MT19937(7))).key == 0xA980ABB55EECA2BCF15F4BFECC0EF065


def test_a_uniform_is_the_top_53_bits_of_a_word_that_numpy_promises():
    words = np.random.Philox(key=KEY).random_raw(1000)
    assert Rng(KEY).random(1000).tolist() == [(int(word) >> 11) / 2**53 for word in words]


# What names a stream.


@given(names, names, names, names)
def test_streams_keep_the_border_between_generator_and_key(a, b, c, d):
    same = (a, normalise_key(b)) == (c, normalise_key(d))
    assert (stream(0, a, b).key == stream(0, c, d).key) == same


def test_moving_a_letter_across_the_border_is_another_stream():
    assert stream(0, "ab", "c").key != stream(0, "a", "bc").key
    assert Rng(1).child("ab", "c").key != Rng(1).child("a", "bc").key
    assert Rng(1).child("a", 1).key != Rng(1).child("a", "1").key
    assert Rng(1).child("a", 11).key != Rng(1).child("a", 1, 1).key


@given(st.lists(st.tuples(st.integers(-3, 3), names, names, st.integers(0, 3), st.integers(0, 3)), unique=True))
def test_every_part_of_the_name_counts(calls):
    calls = {(seed, name, normalise_key(key), variant, epoch) for seed, name, key, variant, epoch in calls}
    assert len({stream(*call).key for call in calls}) == len(calls)


def test_spellings_of_one_path_are_one_stream():
    keys = ["größe/a.ply", "gro\u0308ße/a.ply", "größe\\a.ply", "gro\u0308ße\\a.ply"]
    assert len({stream(0, "dent", key).key for key in keys}) == 1
    assert stream(0, "dent", "größe/a.ply").key != stream(0, "dent", "grosse/a.ply").key


def test_names_that_are_not_utf8_have_streams_of_their_own():
    keys = [os.fsdecode(raw) for raw in (b"a\xff.ply", b"a\xfe.ply", b"a\xff\xff.ply", b"a.ply")]
    assert len({stream(0, "dent", key).key for key in keys}) == len(keys)
    assert 0 <= stream(0, "dent", "\ud800").uniform() < 1


# What an `rng` argument may be.


def test_every_seed_is_a_seed():
    seeds = [0, 1, -1, 2**64, 2**200, np.random.SeedSequence(0), np.random.SeedSequence(1)]
    assert len({as_rng(seed).key for seed in seeds}) == len(seeds)
    for seed in seeds:
        assert first(as_rng(seed)) == first(as_rng(seed))
    assert as_rng(np.int64(5)).key == as_rng(np.uint8(5)).key == as_rng(5).key


def test_none_is_fresh_each_time():
    assert as_rng(None).key != as_rng(None).key


def test_a_stream_passes_through():
    rng = Rng(3)
    assert as_rng(rng) is rng


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_numpy_generator_gives_a_new_stream_each_time_and_the_same_ones_again(bits):
    once, again = (np.random.Generator(bits(5)) for _ in range(2))
    keys = [as_rng(once).key for _ in range(3)]
    assert len(set(keys)) == 3
    assert [as_rng(again).key for _ in range(3)] == keys


def test_spawned_sequences_differ():
    children = np.random.SeedSequence(1).spawn(4)
    assert len({as_rng(child).key for child in [np.random.SeedSequence(1), *children]}) == 5


@pytest.mark.parametrize("value", [True, 1.5, "7", [1], np.random.RandomState(1)])
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match=rf"^rng: {type(value).__name__}: expected None, int, SeedSequence"):
        as_rng(value)


# Children.


@given(st.integers(0, 20), st.integers(0, 20))
def test_children_do_not_depend_on_draws(before, after):
    one, two = Rng(9), Rng(9)
    one.random(before), two.random(after)
    assert first(one.child("x")) == first(two.child("x"))


def test_a_child_does_not_disturb_its_parent():
    one, two = Rng(9), Rng(9)
    one.child("x").random(100)
    assert first(one) == first(two)


def test_children_look_independent():
    columns = np.stack([Rng(9).child("x", i).random(500) for i in range(40)])
    off = np.corrcoef(columns)[~np.eye(40, dtype=bool)]
    assert np.abs(off).max() < 0.25
    assert stats.kstest(columns[:, 0], "uniform").pvalue > 1e-4


# Laws, each against scipy; the streams are fixed, so these cannot flicker.

SIZE = 20_000


def fits(values, law, *arguments) -> bool:
    return stats.kstest(values, law, args=arguments).pvalue > 1e-3


def test_random_is_uniform():
    values = Rng(1).random(SIZE)
    assert fits(values, "uniform")
    assert values.dtype == np.float64
    assert values.min() >= 0
    assert values.max() < 1
    assert (np.unique(values).size) == SIZE


def test_single_draws_follow_their_laws():
    rng = Rng(2)
    assert fits([rng.uniform(-2, 5) for _ in range(SIZE)], "uniform", -2, 7)
    assert fits([math.log(rng.log_uniform(0.01, 10)) for _ in range(SIZE)], "uniform", math.log(0.01), math.log(1000))


def test_normal_is_normal_in_both_branches():
    values = Rng(3).normal(SIZE)
    for part in (values, values[: SIZE // 2], values[SIZE // 2 :]):
        assert fits(part, "norm")
    assert abs(np.corrcoef(values[: SIZE // 2], values[SIZE // 2 :])[0, 1]) < 0.03


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_sizes_are_kept(size):
    for draw in (Rng(1).random, Rng(1).normal, Rng(1).permutation):
        assert draw(size).shape == (size,)


@given(st.integers(0, 2**32), st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_integers_stay_within_both_ends(seed, low, span):
    rng = Rng(seed)
    assert all(low <= rng.integer(low, low + span) <= low + span for _ in range(5))


def test_integers_reach_both_ends_equally():
    rng = Rng(4)
    counts = np.bincount([rng.integer(-1, 5) + 1 for _ in range(SIZE)], minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-3
    assert rng.integer(3, 3) == 3


@given(st.integers(0, 2**32), st.floats(1e-12, 1e12), st.floats(1, 1e6))
def test_log_uniform_stays_within_its_ends(seed, low, factor):
    assert low <= Rng(seed).log_uniform(low, low * factor) <= low * factor
    assert Rng(seed).log_uniform(low, low) == low


def test_choice_follows_its_weights():
    rng, weights = Rng(5), [3, 0, 1, 0.5, 0]
    counts = np.bincount([rng.choice(weights) for _ in range(SIZE)], minlength=5)
    assert counts[[1, 4]].tolist() == [0, 0]
    wanted = SIZE * np.array([3, 1, 0.5]) / 4.5
    assert stats.chisquare(counts[[0, 2, 3]], wanted).pvalue > 1e-3
    assert rng.choice([7]) == 0


def test_signs_are_even():
    rng = Rng(6)
    signs = [rng.sign() for _ in range(SIZE)]
    assert set(signs) == {-1, 1}
    assert stats.binomtest(signs.count(1), SIZE).pvalue > 1e-3


@given(st.integers(0, 2**32), st.integers(0, 200))
def test_a_permutation_holds_every_number_once(seed, size):
    assert sorted(Rng(seed).permutation(size).tolist()) == list(range(size))


def test_permutations_are_equally_likely():
    rng = Rng(7)
    seen = [tuple(rng.permutation(3)) for _ in range(6000)]
    counts = [seen.count(order) for order in set(seen)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_directions_cover_the_sphere():
    rng = Rng(8)
    ways = np.array([rng.direction() for _ in range(5000)])
    assert np.allclose((ways**2).sum(axis=1), 1, atol=1e-14)
    for column in ways.T:  # Archimedes: each coordinate of a uniform direction is uniform
        assert fits(column, "uniform", -1, 2)


def test_nothing_global_is_touched():
    before, python = np.random.get_state(), random.getstate()  # noqa: NPY002
    rng = as_rng(None).child("x")
    rng.random(10), rng.normal(3), rng.permutation(5), rng.choice([1, 2]), rng.direction(), rng.integer(1, 9)
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    assert (before[1] == after[1]).all()
    assert before[2:] == after[2:]
    assert python == random.getstate()


@given(st.lists(st.sampled_from(["child", "draw"]), max_size=6))
def test_children_and_draws_do_not_disturb_each_other_in_any_order(steps):
    rng, drawn = Rng(KEY), []
    for step in steps:
        if step == "child":
            assert hexed(rng.child("a").random(2)) == hexed(Rng(KEY).child("a").random(2))
        else:
            drawn.append(rng.uniform())
    assert drawn == Rng(KEY).random(len(drawn)).tolist()


@pytest.mark.parametrize("before", [0, 3])
def test_a_stream_sent_to_another_process_goes_on_where_it_was(before):
    rng = Rng(KEY)
    rng.random(before)
    sent = pickle.loads(pickle.dumps(rng))
    assert sent.key == KEY
    assert hexed(sent.random(4)) == hexed(Rng(KEY).random(before + 4))[before:]


@given(st.integers(0, 2**128 - 1))
def test_a_stream_is_numpys_philox_of_its_key(key):
    assert np.array_equal(Rng(key)._bits.random_raw(9), np.random.Philox(key=key).random_raw(9))


def test_a_stream_that_was_drawn_from_can_be_sent_to_another_process():
    rng = as_rng(3)
    rng.random(5)
    there = pickle.loads(pickle.dumps(rng))
    assert np.array_equal(there.random(5), rng.random(5))
