"""Files in OUT that no line of its manifests names: of runs that were killed and then replaced, or a user's own."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from .manifest import is_manifest
from .splits import MAP

_BESIDE = {"report.html", MAP, "ladder.html", "README.md", "croissant.json", "croissant-samples.csv"}
"""What else anosynth writes beside the samples of a data set."""


def hash64(text: str) -> int:
    """Return 64 bits that stand for a text: that two of ten million share them has a chance of one in 400,000."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Named:
    """The names of all files that some manifests name, in eight bytes each: there may be tens of millions."""

    def __init__(self) -> None:
        self._names = array("q")

    def add(self, paths: Iterable[str]) -> None:
        self._names.extend(map(hash64, paths))

    def others(self, out: Path) -> Iterator[str]:
        """Yield the files below OUT that are none of these, nor what belongs to a data set beside its samples.

        Hidden files and folders, and folders with a manifest of their own, are passed over.
        """
        known = np.sort(np.frombuffer(self._names, np.int64)) if self._names else np.zeros(0, np.int64)
        for folder, below, files in os.walk(out):
            home = os.path.relpath(folder, out)
            if home != "." and any(map(is_manifest, files)):
                below.clear()
                continue
            below[:] = sorted(name for name in below if not name.startswith("."))
            beside = _BESIDE if home == "." else ()
            names = sorted(n for n in files if not (n.startswith(".") or n in beside or is_manifest(n)))
            paths = names if home == "." else [f"{home}/{name}" for name in names]
            hashes = np.array([hash64(path) for path in paths], np.int64)
            found = np.searchsorted(known, hashes, "left") < np.searchsorted(known, hashes, "right")
            yield from (path for path, is_known in zip(paths, found.tolist(), strict=True) if not is_known)
