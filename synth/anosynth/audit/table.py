"""An audit as text: faults first, then notes, then distributions, the verdict last."""

from __future__ import annotations

import math
from collections.abc import Iterator

from .compare import PROPERTIES, Distribution
from .findings import Case, Finding
from .judge import Audit

_SHOWN = ("q05", "median", "q95")


def table(audit: Audit, *, shown: int = 5) -> str:
    """Return the outcome as lines of text, with so many cases of each finding (0 for all)."""
    return "\n".join([headline(audit), *_findings(audit, shown), "", *_properties(audit), "", verdict(audit)]) + "\n"


def headline(audit: Audit) -> str:
    """Return what was audited, in a line."""
    counts, found = audit.counts, audit.found
    how = "by its manifest" if found.made else "by its names"
    splits = ", ".join(f"{number} {name}" for name, number in audit.splits.items() if name != "none")
    parts = f" ({splits})" if splits else ""
    name = "photos and masks" if found.layout == "pairs" else f"{found.place}: {found.layout}"
    return (
        f"{name}, {how}: {number_of(counts['normal'], 'normal photo')}, {counts['anomalous']} anomalous{parts}, "
        f"{counts['compared']} compared with their source"
    )


def verdict(audit: Audit) -> str:
    """Return the outcome in a line."""
    faults = [finding for finding in audit.findings if finding.fault]
    if faults:
        return f"faults: {sum(finding.count for finding in faults)} ({', '.join(finding.code for finding in faults)})"
    if audit.counts["compared"] < audit.counts["anomalous"]:
        unknown = audit.counts["anomalous"] - audit.counts["compared"]
        return (
            f"no faults, as far as can be told: of {unknown} anomalous photos the source is not known, "
            "so that what changed was not checked (--sources, --match)"
        )
    worst = [audit.properties[name] for name in ("leak", "dead")]
    if all(one is not None and one.max == 0 for one in worst):
        return "no faults: every mask is exactly what changed"
    return "no faults: masks are what changed, within the limits"


def number_of(count: int, what: str) -> str:
    """Return a count with its noun, in the plural if need be."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def value_text(value: float) -> str:
    """Return a number in three digits, whole ones whole."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def case_text(case: Case) -> str:
    """Return a case in a line."""
    value = "" if math.isnan(case.value) else f"{value_text(case.value)}  "
    return printable(f"{value}{case.path}{': ' if case.text else ''}{case.text}")


def printable(text: str) -> str:
    """Return a text with its control characters, and bytes of names that are not UTF-8, as escapes: one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _findings(audit: Audit, shown: int) -> Iterator[str]:
    for fault in (True, False):
        part = [finding for finding in audit.findings if finding.fault is fault]
        for finding in part:
            yield ""
            yield from _finding(finding, shown)


def _finding(finding: Finding, shown: int) -> Iterator[str]:
    yield f"{'fault' if finding.fault else 'note'}: {finding.code}: {finding.count}: {finding.title}"
    cases = finding.cases[: shown or None]
    for case in cases:
        yield f"  {case_text(case)}"
    if len(cases) < finding.count:
        yield f"  and {finding.count - len(cases)} more (--show 0 lists all)"


def _properties(audit: Audit) -> Iterator[str]:
    rows = [["", *_heads("")]]
    other = audit.against
    if other is not None:
        rows = [["", *_heads(""), *_heads("ref. "), "KS", "by chance"]]
    for name in PROPERTIES:
        row = [name, *_cells(audit.properties[name])]
        if other is not None:
            apart = other.distances[name]
            row += _cells(other.properties[name])
            row += ["-", "-"] if apart is None else [f"{apart.ks:.2f}", f"< {apart.chance:.2f}"]
        rows.append(row)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield "  ".join(cells).rstrip()
    if other is not None:
        yield f"ref.: {other.found.place}: {number_of(other.anomalous, 'anomalous photo')}"


def _heads(before: str) -> list[str]:
    return [f"{before}{head}" for head in ("n", "5 %", "median", "95 %")]


def _cells(one: Distribution | None) -> list[str]:
    if one is None:
        return ["0", "-", "-", "-"]
    return [str(one.count), *(value_text(getattr(one, name)) for name in _SHOWN)]
