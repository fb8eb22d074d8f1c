"""Training, validation and test: which of them the samples made of a source belong to, and the map of it.

All anomalies of a source follow their source, so that no picture is in two splits.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from anosynth.errors import ParameterError
from anosynth.io.atomic import atomic_write
from anosynth.seeding import stream

SPLITS = ("train", "validation", "test")

MAP = "splits.csv"
"""The file of OUT that says which split each source, and all that was made of it, belongs to."""


def check_shares(shares: Sequence[float]) -> None:
    """Raise ParameterError unless `shares` are three numbers >= 0 that add up to 1."""
    if len(shares) != len(SPLITS) or not all(0 <= share <= 1 for share in shares) or abs(sum(shares) - 1) > 1e-6:
        given = ":".join(f"{share:g}" for share in shares)
        raise ParameterError(f"--split: {given}: expected three shares that add up to 1, e.g. 0.7:0.1:0.2")


def split_of(key: str, seed: int, shares: Sequence[float]) -> str:
    """Return the split of the source of this key, drawn with the probabilities `shares` from its own stream.

    It depends on no other source, so that a set that grows never moves a picture from test to training; a set of few
    sources may have none in a split.
    """
    mark = stream(seed, "split", key).uniform()
    return "test" if mark < shares[2] else "validation" if mark < shares[2] + shares[1] else "train"


def write_map(out: Path, splits: Iterable[tuple[str, str]]) -> None:
    """Write (source, split) pairs to OUT, in their order: the same file for every shard and worker."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["source", "split"])
    rows.writerows(splits)
    with atomic_write(out / MAP) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
