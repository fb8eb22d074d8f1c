"""Numbers as text read back to the same numbers, in as few digits as `repr`."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from io_kit import floats

from anosynth.io._numbers import number_text, table_chunks, write_table

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def words(column, **options):
    return [row[row != 0].tobytes().decode() for row in number_text(column, **options)]


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data())
def test_integers_are_spelt_as_python_does(dtype, data):
    info = np.iinfo(dtype)
    near = st.sampled_from([info.min, info.max, 0, 9, 10, 99]).filter(lambda v: info.min <= v <= info.max)
    column = data.draw(hnp.arrays(dtype, st.integers(1, 20), elements=st.integers(info.min, info.max) | near))
    assert words(column) == [str(int(v)) for v in column]


@given(column=st.sampled_from(["f4", "f8"]).flatmap(lambda dtype: floats(dtype, st.integers(1, 20))))
@example(column=np.array([0.0, -0.0, 1e-4, 9.9999e-5, 999999999, 1e9, 1e16, 5e-324, np.inf, -np.inf, np.nan]))
def test_floats_of_any_bits_read_back_to_the_same_number(column):
    for trim in (False, True):
        with np.errstate(over="ignore"):
            back = np.array([float(word) for word in words(column, trim=trim)]).astype(column.dtype)
        assert np.array_equal(back, column, equal_nan=True)
        assert np.array_equal(np.signbit(back), np.signbit(column) & ~np.isnan(column))


@given(column=hnp.arrays("f8", st.integers(1, 20), elements=st.floats(1e-4, 1e15) | st.floats(-1e15, -1e-4)))
@example(column=np.array([1e-4, 0.1, 1 / 3, 123456789.123, 999999999.5, 1e9]))
@example(column=np.array([0.0001234567890123456, 0.000123456789012345]))
def test_doubles_are_spelt_as_repr_does(column):
    assert words(column) == [repr(v) for v in column.tolist()]


@given(decimals=st.integers(0, 9), column=hnp.arrays("i8", st.integers(1, 20), elements=st.integers(-(10**9), 10**9)))
def test_decimals_of_a_file_are_written_as_they_were(decimals, column):
    numbers = [int(v) / 10**decimals for v in column]
    assert words(np.array(numbers)) == list(map(repr, numbers))


@given(column=hnp.arrays("f4", st.integers(1, 20), elements=st.floats(2.0**-12, 2.0**19, width=32)))
def test_singles_take_no_more_digits_than_numpy_needs(column):
    for word, value in zip(words(column), column, strict=True):
        assert len(word) <= len(str(value)), (word, value)
        # As exact decimals: no reader that rounds once may come to another number.
        assert np.float32(word) == value


def test_trim_drops_only_the_point_of_whole_numbers():
    column = np.array([1.0, -0.0, 100.0, 0.5, 10.25, 1e20, 1e15])
    assert words(column, trim=True) == ["1", "-0", "100", "0.5", "10.25", "1e+20", "1000000000000000"]
    assert words(column)[:4] == ["1.0", "-0.0", "100.0", "0.5"]


@pytest.mark.parametrize("rows", [0, 1, 2, 70000])
def test_tables_agree_with_plain_formatting(rows):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(rows, 3)).astype(np.float32)
    label = rng.integers(0, 2, rows).astype(bool)
    file = io.BytesIO()
    write_table(file, [points, label], ",")
    lines = file.getvalue().decode().splitlines()
    assert len(lines) == rows
    for line, point, flag in zip(lines, points, label, strict=True):
        *numbers, last = line.split(",")
        assert [np.float32(number) for number in numbers] == point.tolist()
        assert last == str(int(flag))


def test_a_trail_stands_before_the_line_end():
    assert b"".join(table_chunks([np.arange(2)], b", ", b"\r\n", trail=b" ")) == b"0 \r\n1 \r\n"
