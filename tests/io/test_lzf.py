"""LZF against vectors worked out by hand and against itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anosynth.errors import DataError
from anosynth.io._lzf import compress, decompress

PIECES = st.one_of(
    st.binary(max_size=50),
    st.tuples(st.binary(min_size=1, max_size=5), st.integers(1, 200)).map(lambda pair: pair[0] * pair[1]),
)


@pytest.mark.parametrize(
    ("packed", "plain"),
    [
        (b"\x02abc", b"abc"),
        (b"\x00a\x20\x00", b"aaaa"),
        (b"\x01ab\x60\x01", b"abababa"),
        (b"\x03abcd\xe0\x00\x03", b"abcdabcdabcda"),
        (b"\x1f" + bytes(range(32)) + b"\x40\x1f", bytes(range(32)) + bytes(range(4))),
        (b"\x1f" + bytes(32) + b"\xe0\xff\x00" * 32 + b"\x00x\x21\x00", bytes(32 + 264 * 32) + b"x" + bytes(3)),
        (b"", b""),
    ],
)
def test_hand_made_streams(packed, plain):
    assert decompress(packed, len(plain)) == plain


@given(plain=st.lists(PIECES, max_size=8).map(b"".join))
def test_there_and_back(plain):
    packed = compress(plain)
    assert decompress(packed, len(plain)) == plain
    assert len(packed) <= len(plain) + -(-len(plain) // 32)


@pytest.mark.parametrize("size", [263, 264, 265, 266, 267, 268, 269, 270, 271, 272, 535, (1 << 20) + 9])
def test_repeats_shrink(size):
    plain = b"abcd" * (size // 4) + b"abcd"[: size % 4]
    packed = compress(plain)
    assert decompress(packed, size) == plain
    assert len(packed) < size / 50 + 20


@given(plain=st.binary(min_size=1, max_size=200), cut=st.integers(1, 200))
def test_cut_streams_are_refused(plain, cut):
    packed = compress(plain)[:-cut]
    with pytest.raises(DataError):
        decompress(packed, len(plain))


@pytest.mark.parametrize("packed", [b"\x20\x00", b"\x00a\x20\x01", b"\x00a\xe0", b"\x05a"])
def test_damaged_streams_are_refused(packed):
    with pytest.raises(DataError):
        decompress(packed, 4)
