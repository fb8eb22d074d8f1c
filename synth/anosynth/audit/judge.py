"""The audit itself: samples stream by, findings and distributions stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anosynth.errors import DataError
from anosynth.io.images import limited
from anosynth.run.splits import SPLITS

from .compare import PROPERTIES, Distance, Distribution, distance, distribution
from .findings import Finding, Limits
from .ledger import Ledger
from .measure import measure
from .pairs import Found, find
from .sources import Sources

FORM = 1
"""Version of the JSON form."""

FAINTEST = 12


@dataclass
class Audit:
    """The outcome.

    Attributes:
        found: the data set.
        counts: numbers of `normal`, `anomalous` and of `compared` samples, the last being those with a source.
        splits: number of samples by split.
        findings: faults first.
        properties: distribution of each property over the anomalous samples, None where nothing is known.
        against: the reference, with its properties and the distances from it; None without one.
        faintest: rows of a few anomalous photos whose mask stands out least.
    """

    found: Found
    limits: Limits
    counts: dict[str, int]
    splits: dict[str, int]
    findings: list[Finding]
    properties: dict[str, Distribution | None]
    against: Against | None = None
    faintest: list[int] = field(default_factory=list)

    @property
    def honest(self) -> bool:
        """Whether no fault was found."""
        return not any(finding.fault for finding in self.findings)

    def record(self) -> dict[str, Any]:
        """Return the outcome as one JSON object of stable keys."""
        return {
            "audit": FORM,
            "data": _data(self.found),
            "honest": self.honest,
            "counts": self.counts,
            "splits": self.splits,
            "limits": asdict(self.limits),
            "findings": [finding.record() for finding in self.findings],
            "properties": _records(self.properties),
            "against": None if self.against is None else self.against.record(),
        }


@dataclass
class Against:
    """A reference data set with real defects, and how far the audited one is from it."""

    found: Found
    anomalous: int
    properties: dict[str, Distribution | None]
    distances: dict[str, Distance | None] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "data": _data(self.found),
            "counts": {"anomalous": self.anomalous},
            "properties": _records(self.properties),
            "distances": _records(self.distances),
        }


def audit(
    data: str | Path | Found,
    *,
    layout: str | None = None,
    sources: str | Path | None = None,
    match: bool = False,
    against: str | Path | Found | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Measure a data set of photos and masks and say what is wrong with it; no file is written.

    Args:
        data: a folder, or what `find` or `plain` gives.
        layout: of the folder; by default the one that it seems to have.
        sources: where the files lie that the anomalous photos were made of, named as these or as their beginnings;
            for a data set of anosynth's own, the root of its input if that has moved.
        match: look for the source of a photo by its pixels: in `sources`, else among the normal photos.
        against: a data set of real defects to compare distributions with; a folder may be of any layout, or hold photos
            and masks as `defects/a.jpg` and `masks/a.png`, or as `a.jpg` and `a_mask.png`.
        limits: from where on a measurement is a fault.
        progress: called with the number of samples measured and of all.

    Raises:
        UnknownGenerator: there is no such layout.
        DataError: a folder is none, holds no anomalous photos, or has a manifest or table that cannot be read.
        WriteError: there is no room for a photo that is no file.
    """
    bounds = limits if limits is not None else Limits()
    found = data if isinstance(data, Found) else find(Path(data), layout)
    if sources is not None:
        found = found.made_of(Path(sources))
    found.check_sources()
    real = against if against is None or isinstance(against, Found) else _reference(Path(against))
    total = len(found.samples) + (len(real.samples) if real is not None else 0)
    ledger = _measured(found, bounds, sources, match, progress, (0, total))
    splits = Counter(sample.split or "none" for sample in found.samples)
    result = Audit(
        found,
        bounds,
        _counts(ledger),
        {name: splits[name] for name in (*SPLITS, "none") if splits[name]},
        [],
        {name: distribution(ledger.values[name]) for name in PROPERTIES},
    )
    if real is not None:
        other = _measured(real, bounds, None, False, progress, (len(found.samples), total), only_defects=True)
        ours, theirs = ledger.values, other.values
        result.against = Against(
            real,
            _counts(other)["anomalous"],
            {name: distribution(theirs[name]) for name in PROPERTIES},
            {name: distance(ours[name], theirs[name]) for name in PROPERTIES},
        )
        for name, apart in result.against.distances.items():
            if apart is not None and bounds.ks is not None and apart.ks > bounds.ks:
                ledger.findings.add("distance", name, apart.ks)
    result.findings, result.faintest = ledger.findings.all(), ledger.faintest(FAINTEST)
    return result


def _reference(root: Path) -> Found:
    try:
        found = find(root)
        found.check_sources()
        return found
    except DataError as error:
        # The options that the hints of `find` name are those of the audited data set.
        raise DataError(
            f"--against: {str(error).splitlines()[0]}\n"
            "hint: give one folder with photos and masks, as in defects/NAME.png and masks/NAME.png, "
            "or as NAME.png and NAME_mask.png"
        ) from None


def _measured(
    found: Found,
    limits: Limits,
    folder: str | Path | None,
    match: bool,
    progress: Callable[[int, int], None] | None,
    done: tuple[int, int],
    *,
    only_defects: bool = False,
) -> Ledger:
    where = None if folder is None else Path(folder)
    sources = Sources(found, where, match=match, tolerance=limits.tolerance)
    ledger = Ledger(found, limits, asked=sources.asked)
    with limited(found.largest):
        for row, sample in enumerate(found.samples):
            if sample.defective or not only_defects:
                facts = measure(found, sample, sources, floor=limits.floor, tolerance=limits.tolerance)
                if only_defects:
                    ledger.note(row, sample, facts)
                else:
                    ledger.add(row, sample, facts)
            if progress is not None:
                progress(done[0] + row + 1, done[1])
        if not only_defects:
            ledger.finish()
    return ledger


def _counts(ledger: Ledger) -> dict[str, int]:
    # What `maybe-normal` tells of is taken for normal everywhere, so in these numbers too.
    anomalous = sum(1 for sample in ledger.found.samples if sample.defective) - ledger.normal_after_all
    normal = len(ledger.found.samples) - anomalous
    return {"normal": normal, "anomalous": anomalous, "compared": ledger.compared}


def _data(found: Found) -> dict[str, Any]:
    return {"root": str(found.place), "layout": found.layout, "manifest": found.made}


def _records(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value is None else asdict(value) for name, value in values.items()}
