"""Lines of text become rows of numbers, or an error that names the line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from anosynth.errors import DataError
from anosynth.io._rows import as_type, cut_lines, exact_integers, integer_columns, parse_rows, trims_zeros


@given(rows=hnp.arrays("f8", st.tuples(st.integers(1, 6), st.integers(1, 5))), gap=st.sampled_from([" ", "\t", "   "]))
def test_numbers_are_rounded_as_python_does(rows, gap):
    text = "".join(f"{gap}{gap.join(map(repr, row))} \r\n" for row in rows.tolist()).encode()
    assert np.array_equal(parse_rows(text, rows.shape[1]), rows, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1 2 3\n4 5\n6 7 8\n9\n", "row 2: 2 fields: expected 3"),
        (b"1 2\n3 4 5 6\n", "row 1: 2 fields: expected 3"),
        (b"1 2 3\n\n4 5 x6\n", "row 3: `x6`: expected a number"),
        (b"1 2 3 4 5 6\n", "row 1: 6 fields: expected 3"),
        (b"1 2 0x3\n", "`0x3`: expected a number"),
        (b"1 2 3\0\n", "expected"),
        (b"1 2 3_0\n", "expected"),
    ],
)
def test_bad_lines_are_named(text, message):
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        parse_rows(text, 3)


def test_blank_text_has_no_rows():
    assert parse_rows(b" \n\n", 4).shape == (0, 4)


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=4), ended=st.booleans())
def test_blocks_of_lines_follow_one_another(counts, ended):
    blocks = [b"".join(b"%d\n" % i for i in range(count)) for count in counts]
    data = b"head\n" + b"".join(blocks)
    if not ended and sum(counts):
        data = data[:-1]
        last = max(i for i, count in enumerate(counts) if count)
        blocks[last] = blocks[last][:-1]
    spans = cut_lines(data, 5, [("k", count) for count in counts])
    assert [data[a:b] for a, b in spans] == blocks
    with pytest.raises(DataError, match="more lines"):
        cut_lines(data + b"\n1\n" if data.endswith(b"\n") else data + b"\n1", 5, [("k", count) for count in counts])
    with pytest.raises(DataError, match="k: "):
        cut_lines(data, 5, [*(("k", count) for count in counts), ("k", 1)])


@pytest.mark.parametrize(("dtype", "value"), [("u1", 256), ("u1", -1), ("i4", 0.5), ("i2", np.nan), ("u4", np.inf)])
def test_numbers_that_do_not_fit_are_refused(dtype, value):
    with pytest.raises(DataError, match=r"label: .*expected a whole number"):
        as_type(np.array([0.0, value]), np.dtype(dtype), "label")


@given(column=hnp.arrays("u8", 5) | hnp.arrays("i8", 5))
def test_long_integers_are_exact(column):
    text = "".join(f"1.5 {v}\n" for v in column).encode()
    assert np.array_equal(exact_integers(text, 2, 1, column.dtype, "t"), column)


@pytest.mark.parametrize("word", ["-1", "1.0", "18446744073709551616"])
def test_long_integers_out_of_range_are_refused(word):
    with pytest.raises(DataError, match="t: expected whole numbers"):
        exact_integers(f"1 {word}\n".encode(), 2, 1, np.dtype("u8"), "t")


def test_columns_of_integers_are_told_by_their_spelling():
    text = b"1 1 1.0 1e1 nan 2\n2 2.5 2 2 1 -3\n"
    assert integer_columns(text, parse_rows(text, 6)) == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    ("text", "trims"), [(b"1 0.5", True), (b"1.0 2", False), (b"3.000\n", False), (b"2.,1", False)]
)
def test_manner_of_whole_floats(text, trims):
    assert trims_zeros(text) is trims
