"""What is kept of each sample while a data set streams by: a few hundred bytes, and what they add up to."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compare import PROPERTIES
from .findings import Findings, Limits
from .looks import LOOKED_AT, MOST, SIDE, candidates, near_duplicates
from .measure import Facts
from .pairs import Found, Sample

_FIELDS = {"size": "size_of_largest"}


class Ledger:
    """Columns of numbers, fingerprints and thumbnails of the samples so far, and the findings about them."""

    def __init__(self, found: Found, limits: Limits, *, asked: bool) -> None:
        self.found, self.limits = found, limits
        self.findings = Findings(limits)
        self.values = {name: array("d") for name in PROPERTIES}
        self.compared = self.normal_after_all = 0
        self._rows = array("q")
        self._asked = asked
        self._first: dict[bytes, int] = {}
        self._origins: dict[bytes, int] = {}
        self._origin_of = array("q")
        self._prints = bytearray()
        self._looks = bytearray()
        self._sizes: dict[str, Counter[tuple[int, int]]] = {}
        self._size_of = array("q")

    def add(self, row: int, sample: Sample, facts: Facts) -> None:
        """Add the sample of that row; rows come in order."""
        add = self.findings.add
        for code, text in facts.problems:
            add(code, sample.path, text=text, row=row)
        self._judge(row, sample, facts)
        self.note(row, sample, facts)
        readable = facts.thumbnail is not None
        self._looks += facts.thumbnail.tobytes() if facts.thumbnail is not None else bytes(2 * SIDE * SIDE)
        self._prints += facts.fingerprint if readable else bytes(16)
        self._size_of.append(facts.size[0] << 32 | facts.size[1])
        if readable:
            self._sizes.setdefault(sample.category, Counter())[facts.size] += 1
            self._seen(row, sample, facts.fingerprint)
            self._source(row, sample, facts)
        else:
            self._origin_of.append(-1)

    def note(self, row: int, sample: Sample, facts: Facts) -> None:
        """Add the properties of a sample, without a look at what is wrong with it."""
        self.normal_after_all += _has(facts, "maybe-normal")
        if sample.defective and facts.pixels > 0:
            self._rows.append(row)
            for name, column in self.values.items():
                column.append(getattr(facts, _FIELDS.get(name, name)))

    def faintest(self, number: int) -> list[int]:
        """Return the rows of so many anomalous photos whose mask stands out least, from the source or from around."""
        change, contrast = (np.array(self.values[name]) for name in ("change", "contrast"))
        order = np.argsort(np.where(np.isnan(change), contrast, change), kind="stable")[:number]
        return [self._rows[place] for place in order.tolist()]

    def finish(self) -> None:
        """Look at what only the whole data set shows."""
        for code, paths in (
            ("orphan-mask", self.found.orphans),
            ("stray-file", self.found.strays),
            ("missing-file", self.found.lost),
        ):
            for path in paths:
                self.findings.add(code, path)
        if self.found.layout in ("folder", "photos", "real-iad", "pairs") and not self.found.made:
            # Their readers go by names or tables, not by all that lies in a folder.
            self.findings.told.add("stray-file")
        self._other_sizes()
        # What follows needs room of its own.
        self._first.clear()
        self._origins.clear()
        self._alike()

    def _judge(self, row: int, sample: Sample, facts: Facts) -> None:
        limits = self.limits
        if not math.isnan(facts.leak):
            self.compared += 1
        elif self._asked and sample.defective and facts.pixels > 0 and not _has(facts, "unlike-source"):
            self.findings.add("no-source", sample.path, row=row)
        over = [
            ("full-mask", facts.area, limits.full),
            ("leak", facts.leak, limits.leak),
            ("dead", facts.dead, limits.dead),
            ("invisible", facts.invisible, limits.invisible),
            # Where the source tells what changed, the ring has nothing to add.
            ("faint", facts.faint if math.isnan(facts.leak) else math.nan, limits.faint),
        ]
        for code, value, limit in over:
            if value > limit:
                self.findings.add(code, sample.path, value, row=row)
        if 0 < facts.pixels < limits.least:
            self.findings.add("small-mask", sample.path, facts.pixels, row=row)

    def _seen(self, row: int, sample: Sample, fingerprint: bytes) -> None:
        first = self._first.setdefault(fingerprint, row)
        if first == row:
            return
        other = self.found.samples[first]
        code = "duplicate-splits" if other.split != sample.split else "duplicate"
        text = f"as {other.path}"
        if other.split != sample.split:
            text += f" ({other.split or 'no split'}, {sample.split or 'no split'})"
        if other.defective != sample.defective:
            text += ", one called normal and one anomalous"
        self.findings.add(code, sample.path, text=text, row=row, other=first)

    def _source(self, row: int, sample: Sample, facts: Facts) -> None:
        """Note what a photo was made of; a normal one counts as made of itself."""
        if self.found.made and sample.origin:
            key = b"path:" + sample.origin.encode("utf-8", "surrogateescape")
        else:
            key = facts.source or facts.fingerprint
        first = self._origins.setdefault(key, row)
        self._origin_of.append(first)
        other = self.found.samples[first]
        copies = self._prints[16 * first : 16 * first + 16] == facts.fingerprint
        if first != row and other.split != sample.split and not copies:
            text = f"as {other.path} ({other.split or 'no split'}, {sample.split or 'no split'})"
            self.findings.add("shared-source", sample.path, text=text, row=row, other=first)

    def _other_sizes(self) -> None:
        usual = {category: counts.most_common(1)[0][0] for category, counts in self._sizes.items()}
        for row, sample in enumerate(self.found.samples):
            size = (self._size_of[row] >> 32, self._size_of[row] & 0xFFFFFFFF)
            if size != (0, 0) and size != usual[sample.category]:
                common = usual[sample.category]
                text = f"{size[0]} x {size[1]}, most have {common[0]} x {common[1]}"
                self.findings.add("sizes", sample.path, text=text, row=row)

    def _alike(self) -> None:
        samples = self.found.samples
        looks = np.frombuffer(self._looks, dtype=np.uint16).reshape(-1, SIDE, SIDE)
        origins = np.array(self._origin_of, dtype=np.int64)
        categories: dict[str, list[int]] = {}
        for row in np.flatnonzero(origins >= 0).tolist():
            categories.setdefault(samples[row].category, []).append(row)
        for category, rows in sorted(categories.items()):
            if len(rows) > MOST:
                text = f"{len(rows)} photos, at most {MOST}"
                self.findings.add("not-sought", category or "all photos", text=text)
                continue
            self._alike_in(np.array(rows), looks, origins)

    def _alike_in(self, rows: NDArray[np.int64], looks: NDArray[np.uint16], origins: NDArray[Any]) -> None:
        samples = self.found.samples
        names = sorted({samples[row].split for row in rows.tolist()})
        splits = np.array([names.index(samples[row].split) for row in rows.tolist()])
        pairs = candidates(looks[rows], splits, origins[rows])
        similar, left = near_duplicates(lambda place: self.found.photo(samples[int(rows[place])]).pixels, pairs)
        if left:
            text = f"{left + LOOKED_AT} pairs look alike, {LOOKED_AT} were read again"
            self.findings.add("not-sought", samples[int(rows[0])].category or "all photos", text=text)
        for one, other in similar:
            first, second = int(rows[one]), int(rows[other])
            if self._prints[16 * first : 16 * first + 16] == self._prints[16 * second : 16 * second + 16]:
                continue
            here, there = samples[second], samples[first]
            between = here.split != there.split
            text = f"as {there.path}" + (f" ({there.split}, {here.split})" if between else "")
            code = "near-duplicate-splits" if between else "near-duplicate"
            self.findings.add(code, here.path, text=text, row=second, other=first)


def _has(facts: Facts, code: str) -> bool:
    return any(name == code for name, _ in facts.problems)
