"""Values are written in one way everywhere, mean the same everywhere, and are refused in words."""

from __future__ import annotations

import json
import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anosynth.errors import ParameterError
from anosynth.generator import Generator
from anosynth.params import METRES, Choice, Length, Range, param, parse_value, shown, spell, split_length
from anosynth.recipe import Vary
from anosynth.seeding import Rng


class Sample(Generator):
    """A generator with one parameter of each sort."""

    family = "pointclouds"
    strength: Length = param(0.02, gt=0, le=0.2, vary=(0.005, 0.03), unit="of the diagonal", help="height")
    ratio: float = param(0.5, ge=0, lt=1, help="a share")
    count: int = param(4, ge=1, le=12, vary=(3, 6), help="a whole number")
    mode: Literal["local", "pca"] = param("local", vary="local|pca", help="a word")
    closed: bool = param(False, help="a switch")
    free: float = param(0.0, help="without bounds")


plain = st.floats(allow_nan=False, allow_infinity=False)
units = st.sampled_from(sorted(METRES))
words = st.text("abcxyz-", min_size=1).filter(lambda word: word.lower() not in ("true", "false"))


@given(plain)
def test_a_number_reads_back_as_itself(value):
    assert parse_value("x", repr(value)) == value
    assert parse_value("x", f"  {value!r} ") == value
    assert parse_value("x", value) == value


@given(st.integers(-(10**12), 10**12))
def test_a_whole_number_stays_whole(value):
    assert type(parse_value("x", str(value))) is int
    assert parse_value("x", str(value)) == value


@given(plain, plain)
def test_a_range_is_the_same_in_every_written_form(a, b):
    low, high = sorted((a, b))
    wanted = Range(low, high)
    for form in (f"{low!r}:{high!r}", f" {low!r} : {high!r} ", (low, high), [low, high], Range(low, high)):
        assert parse_value("x", form) == wanted
    assert parse_value("x", spell(wanted)) == wanted
    assert parse_value("x", json.loads(json.dumps([low, high]))) == wanted


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_a_log_range_is_the_same_in_every_written_form(a, b):
    low, high = sorted((a, b))
    wanted = Range(low, high, log=True)
    for form in (f"{low!r}:{high!r}:log", (low, high, "log"), [low, high, "log"], wanted):
        assert parse_value("x", form) == wanted
    assert parse_value("x", spell(wanted)) == wanted


@given(st.lists(st.one_of(words, st.integers(-99, 99), st.floats(-9, 9)), min_size=2, max_size=5))
def test_a_choice_reads_back_as_itself(values):
    found = parse_value("x", "|".join(map(str, values)))
    assert found == Choice(tuple(values))
    assert parse_value("x", spell(found)) == found


@given(st.floats(1e-9, 1e9), units)
def test_a_length_keeps_its_number_and_unit(value, unit):
    for text in (f"{value!r}{unit}", f" {value!r} {unit} "):
        found = parse_value("x", text)
        assert split_length(found) == (value, unit)
        assert parse_value("x", spell(found)) == found
        assert split_length(Sample(strength=text).strength) == (value, unit)


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), units)
def test_a_range_of_lengths(a, b, unit):
    low, high = sorted((a, b))
    found = parse_value("x", f"{low!r}{unit}:{high!r}{unit}")
    assert found == parse_value("x", [f"{low!r}{unit}", f"{high!r} {unit}"])
    assert parse_value("x", spell(found)) == found


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ([1], '`x`: [1]: a list is a range of two ends, [low, high] or [low, high, "log"]\nhint: write a choice'),
        ([1, 2, 3], 'hint: write a choice as "1|2|3"'),
        (["a", "b", "c"], 'hint: write a choice as "a|b|c"'),
        ([], 'hint: write a choice as "a|b"'),
        ([1, 2, "lin"], "a list is a range of two ends"),
        (["a", "b"], "`x`: a:b: a range needs two numbers"),
        ([None, 1], "a range needs two numbers"),
        ([[1], [2]], "a range needs two numbers"),
        ([1, 10**400], "a range needs two numbers"),
        ("1:2:3", "`x`: 1:2:3: a range is written low:high or low:high:log"),
        ("1:2:log:4", "a range is written low:high or low:high:log"),
        (":", "a range needs two numbers"),
        ("1:", "a range needs two numbers"),
        ("a:b", "a range needs two numbers"),
        ("3:1", "`x`: 3:1: the low end of a range must not exceed the high end"),
        ("nan:1", "the low end of a range must not exceed"),
        ("1:inf", "the low end of a range must not exceed"),
        ("0:1:log", "`x`: 0:1:log: a log range needs ends > 0"),
        ("-1:1:log", "a log range needs ends > 0"),
        ("1mm:2", "both ends of a range need the same unit"),
        ("1mm:2cm", "both ends of a range need the same unit"),
        ("a||b", "`x`: a||b: a choice has an empty part; write it as a|b|c"),
        ("|a", "a choice has an empty part"),
    ],
)
def test_what_is_no_value_is_refused_in_words(form, message):
    with pytest.raises(ParameterError) as caught:
        parse_value("x", form)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ratio": 1}, "`ratio`: 1.0: must be < 1 (allowed: 0 to 1)"),
        ({"ratio": -0.1}, "`ratio`: -0.1: must be >= 0 (allowed: 0 to 1)"),
        ({"strength": 0}, "`strength`: 0.0: must be > 0 (allowed: 0 to 0.2)"),
        ({"strength": 0.21}, "`strength`: 0.21: must be <= 0.2 (allowed: 0 to 0.2)"),
        ({"strength": "-1mm"}, "`strength`: -1.0mm: must be > 0"),
        ({"strength": "0mm"}, "`strength`: 0.0mm: must be > 0"),
        ({"strength": "1ft"}, "`strength`: 1ft: expected a number or a number with a unit (um, mm, cm, m, inch)"),
        ({"strength": "1e999mm"}, "expected a number or a number with a unit"),
        ({"strength": None}, "expected a number or a number with a unit"),
        ({"strength": True}, "expected a number or a number with a unit"),
        ({"strength": [0.1]}, "`strength`: [0.1]: expected a number or a number with a unit"),
        ({"count": 13}, "`count`: 13: must be <= 12 (allowed: 1 to 12)"),
        ({"count": 2.5}, "`count`: 2.5: must be"),
        ({"count": "many"}, "`count`: many: must be"),
        ({"count": True}, "`count`: True: must be a number"),
        ({"ratio": False}, "`ratio`: False: must be a number"),
        ({"ratio": np.True_}, "`ratio`: True: must be a number"),
        ({"ratio": math.nan}, "`ratio`: nan: must be a finite number"),
        ({"free": math.inf}, "`free`: inf: must be a finite number"),
        ({"free": -math.inf}, "`free`: -inf: must be a finite number"),
        ({"free": 10**400}, "`free`: 1000"),
        ({"count": 10**400}, "must be <= 12"),
        ({"strength": 10**400}, "`strength`: inf: must be a finite number"),
        ({"strength": "nan"}, "`strength`: nan: must be a finite number"),
        ({"mode": "Local"}, "`mode`: Local: must be one of `local` or `pca`"),
        ({"mode": 3}, "`mode`: 3: must be one of `local` or `pca`"),
        ({"strenth": 1}, "`sample` has no parameter `strenth`; did you mean `strength`?"),
        ({"zzz": 1}, "`sample` has no parameter `zzz`; known: closed, count, free, mode, ratio, strength"),
    ],
)
def test_values_that_cannot_be_are_named_with_their_bounds(values, message):
    with pytest.raises(ParameterError) as caught:
        Sample(**values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    with pytest.raises(ParameterError, match=f"`{next(iter(values))}`"):
        Vary(Sample, **values)


@pytest.mark.parametrize("name", ["ratio", "count", "strength"])
@pytest.mark.parametrize("form", ["0.5:99", "-1:0.5", (0.5, 99), "0.5|99"])
def test_the_ends_of_ranges_and_choices_obey_the_bounds(name, form):
    with pytest.raises(ParameterError, match=f"`{name}`: "):
        Vary(Sample, **{name: form})


def test_numbers_of_numpy_are_numbers():
    gen = Sample(strength=np.float32(0.125), ratio=np.float32(0.25), count=np.int64(3))
    assert gen == Sample(strength=0.125, ratio=0.25, count=3)
    json.dumps(gen.record(), allow_nan=False)
    vary = Vary(
        Sample, strength=(np.float32(0.125), np.float64(0.15)), count=(np.int8(2), np.int64(3)), ratio=np.float32(0)
    )
    assert json.loads(json.dumps(vary.record())) == vary.record()
    assert vary.record()["strength"] == "0.125:0.15"
    assert vary.record()["count"] == "2:3"


@given(
    st.one_of(
        st.floats(1e-6, 0.2),
        st.tuples(st.floats(1e-6, 0.2), st.floats(1e-6, 0.2)).map(lambda ends: tuple(sorted(ends))),
        st.tuples(st.floats(1e-6, 0.2), st.floats(1e-6, 0.2)).map(lambda ends: (*sorted(ends), "log")),
        st.floats(1e-6, 9).map(lambda value: f"{value!r}mm"),
        st.floats(1e-6, 9).map(lambda value: f"{value!r}mm:{2 * value!r}mm"),
        st.lists(st.floats(1e-6, 0.2), min_size=2, max_size=4).map(lambda many: "|".join(map(repr, many))),
    ),
    st.one_of(st.integers(1, 12), st.tuples(st.integers(1, 6), st.integers(6, 12))),
    st.integers(0, 2**32),
)
def test_record_and_back_draws_the_same(strength, count, seed):
    vary = Vary(Sample, strength=strength, count=count)
    record = json.loads(json.dumps(vary.record()))
    again = Vary(Sample, **{name: value for name, value in record.items() if name != "generator"})
    assert again.record() == record
    assert again.draw(Rng(seed)) == vary.draw(Rng(seed))


@given(st.floats(1e-6, 0.19), st.floats(1e-6, 0.01), st.booleans(), st.integers(0, 2**32))
def test_draws_lie_between_the_ends(low, span, log, seed):
    form = (low, low + span, "log") if log else (low, low + span)
    assert low <= Vary(Sample, strength=form).draw(Rng(seed)).strength <= low + span
    assert Vary(Sample, strength=(low, low, "log")).draw(Rng(seed)).strength == low


@given(st.integers(1, 12), st.integers(0, 11), st.booleans(), st.integers(0, 2**32))
def test_whole_draws_lie_between_the_ends(low, span, log, seed):
    high = min(12, low + span)
    value = Vary(Sample, count=(low, high, "log") if log else (low, high)).draw(Rng(seed)).count
    assert type(value) is int
    assert low <= value <= high


def test_whole_numbers_of_a_log_range_follow_the_logarithm():
    vary = Vary(Sample, count="1:8:log")
    drawn = np.bincount([vary.draw(Rng(seed)).count for seed in range(4000)], minlength=9)[1:] / 4000
    wanted = np.diff(np.log(np.arange(1, 10))) / math.log(9)
    assert np.abs(drawn - wanted).max() < 0.03
    assert (drawn > 0).all()


def test_uniform_and_log_uniform_differ_as_they_say():
    middle = [
        np.median([Vary(Sample, strength=form).draw(Rng(seed)).strength for seed in range(1000)])
        for form in ("0.002:0.2", "0.002:0.2:log")
    ]
    assert middle[0] == pytest.approx(0.101, rel=0.1)
    assert middle[1] == pytest.approx(0.02, rel=0.2)


def test_lengths_are_drawn_in_their_unit():
    drawn = {Vary(Sample, strength="0.1mm:0.3mm").draw(Rng(seed)).strength for seed in range(50)}
    assert len(drawn) == 50
    for text in drawn:
        number, unit = split_length(text)
        assert unit == "mm"
        assert 0.1 <= number <= 0.3


def test_a_parameter_draws_the_same_whatever_the_others_do():
    loose = Vary(Sample).draw(Rng(5))
    tight = Vary(Sample, count=7, mode="pca", ratio="0.1:0.2").draw(Rng(5))
    assert tight.strength == loose.strength
    assert (tight.count, tight.mode) == (7, "pca")
    assert Vary(Sample, strength=0.1).draw(Rng(5)).count == loose.count


def test_what_is_not_named_varies_as_declared_or_keeps_its_default():
    assert Vary(Sample).record() == {
        "generator": "sample",
        "strength": "0.005:0.03",
        "ratio": 0.5,
        "count": "3:6",
        "mode": "local|pca",
        "closed": False,
        "free": 0.0,
    }


def test_switches_are_read_and_chosen():
    assert Vary(Sample, closed="true").draw(Rng(1)).closed is True
    assert {Vary(Sample, closed="true|false").draw(Rng(seed)).closed for seed in range(20)} == {True, False}


def test_a_parameter_that_does_not_exist_is_guessed():
    with pytest.raises(ParameterError, match=r"^`sample` has no parameter `ratoi`; did you mean `ratio`\?$"):
        Vary(Sample, ratoi=0.5)


def test_long_and_deep_values_are_shown_short():
    bomb: list[object] = [1, 2, 3]
    for _ in range(60):  # written out, this would be 3^60 numbers
        bomb = [bomb, bomb, bomb]
    for value in (bomb, [bomb, bomb], {"a": bomb}, "x" * 10_000, [1] * 10_000):
        with pytest.raises(ParameterError) as caught:
            Vary(Sample, ratio=value)
        assert len(str(caught.value)) < 900
    assert shown("short") == "short"
    assert shown(0.5) == "0.5"
