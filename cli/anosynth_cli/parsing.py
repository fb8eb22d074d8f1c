"""What texts on the command line stand for: seeds, shards, splits, and where a data set lies."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from anosynth.datasets.layout import Layout
from anosynth.errors import DataError, ParameterError

ROOTS = "ANOSYNTH_DATASETS"
"""Environment variable: the folder in which data sets are looked for by the name of their layout."""


def parse_seed(text: str) -> int:
    """Return the seed that `--seed` gives; `random` draws one and says it on stderr."""
    if text == "random":
        seed = secrets.randbits(32)
        sys.stderr.write(f"seed: {seed}\n")
        return seed
    try:
        return int(text)
    except ValueError:
        raise ParameterError(f"--seed: {text}: must be a whole number or `random`") from None


def parse_shard(text: str) -> tuple[int, int]:
    """Return (i, n) of `i/n`."""
    index, slash, number = text.partition("/")
    if not (slash and index.isdecimal() and number.isdecimal()):
        raise ParameterError(f"--shard: {text}: must be i/n, e.g. 1/8")
    return int(index), int(number)


def parse_split(text: str) -> tuple[float, ...]:
    """Return the shares of `train:validation:test`."""
    try:
        return tuple(float(share) for share in text.split(":"))
    except ValueError:
        raise ParameterError(f"--split: {text}: must be three shares, e.g. 0.7:0.1:0.2") from None


def dataset_root(layout: Layout, root: Path | None) -> Path:
    """Return where a data set lies: `--root`, else $ANOSYNTH_DATASETS/NAME, else ./datasets/NAME.

    Raises:
        DataError: it is not there; the message says where it comes from and how to make a stand-in.
    """
    base = os.environ.get(ROOTS)
    place = root or (Path(base) if base else Path("datasets")) / (layout.folder or layout.name)
    if not place.is_dir():
        raise DataError(
            f"{place}: no data set here\n"
            f"hint: {layout.home}; nothing is downloaded (its licence is yours to accept)\n"
            f"      say where it is with --root, or make a licence-free stand-in: anosynth toy {layout.name} {place}"
        )
    return place
