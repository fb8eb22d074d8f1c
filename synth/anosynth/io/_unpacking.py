"""How much a compressed file may become: far more than any real one does, far less than fills a memory or a disk."""

from __future__ import annotations

from anosynth.errors import DataError

FREE = 1 << 28
"""Bytes that any file may become, however small it is."""

MOST = 100
"""Beyond that, how many times its own size. Coordinates and features shrink by a third, and even the labels and gaps
beside them make ten out of one, where runs of one byte, deflated, make a thousand."""

MOST_DEFLATED = 1040
"""What deflate can make of one byte is 1032 at most; files have heads besides."""


def check_unpacked(packed: int, unpacked: int, form: str) -> None:
    """Raise DataError if a file of `packed` bytes claims to hold `unpacked` ones in a way that real data never does."""
    if unpacked > max(FREE, MOST * packed):
        raise DataError(
            f"{form}: {packed} bytes that would become {unpacked}: expected at most {MOST} times as many\n"
            "hint: if it is no trap, store it uncompressed"
        )
