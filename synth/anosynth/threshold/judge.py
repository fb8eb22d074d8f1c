"""Everything that a table of scores says of a detector at one threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.errors import DataError, ParameterError
from anosynth.metrics import auroc, average_precision

from .pod import Detection, detection
from .point import Operating, Rate, assured, delong, fixed, operating, ranks_design, rate, samples_needed
from .reading import Scores

FORM = 1
"""Version of the JSON form."""

_SIZES = ("size_mm", "size", "size_px")


@dataclass(frozen=True)
class Assessment:
    """The outcome.

    Attributes:
        scores: the rows that were used.
        target, confidence: what was asked for.
        point: the threshold in use, and what is known of its false positives.
        chosen: "estimated", "assured" or "given": how it came about.
        sure: whether its rate is at most the target with the stated confidence.
        assured: the lowest threshold of which that can be said, None if there is none.
        needed: number of normal samples by which that could be said at all.
        found: share of the anomalous samples above the threshold; `kinds` by type, `assured_found` above `assured`.
        auroc: (value, low, high); `ap` the average precision. None without anomalous samples.
        detections: probability of detection, by column.
        notes: what to know before the figures are used.
    """

    scores: Scores
    target: float
    confidence: float
    point: Operating
    chosen: str
    sure: bool
    assured: Operating | None
    needed: int
    found: Rate | None
    assured_found: Rate | None
    kinds: Mapping[str, Rate]
    auroc: tuple[float, float, float] | None
    ap: float | None
    detections: tuple[Detection, ...]
    notes: tuple[str, ...]

    @property
    def normals(self) -> int:
        """Number of normal samples."""
        return int((~self.scores.anomalous).sum())

    def record(self) -> dict[str, Any]:
        """Return the outcome as one JSON object of stable keys."""
        area = None if self.auroc is None else dict(zip(("value", "low", "high"), self.auroc, strict=True))
        return {
            "threshold": self.point.threshold,
            "form": FORM,
            "chosen": self.chosen,
            "sure": self.sure,
            "target": self.target,
            "confidence": self.confidence,
            "counts": {"normal": self.normals, "anomalous": len(self.scores) - self.normals},
            "operating": asdict(self.point),
            "assured": None if self.assured is None else asdict(self.assured),
            "needed": self.needed,
            "found": None if self.found is None else asdict(self.found),
            "assured_found": None if self.assured_found is None else asdict(self.assured_found),
            "types": {name: asdict(one) for name, one in self.kinds.items()},
            "auroc": area,
            "average_precision": self.ap,
            "detection": [one.record() for one in self.detections],
            "notes": list(self.notes),
        }


def assess(
    scores: Scores,
    *,
    fpr: float = 0.01,
    confidence: float = 0.95,
    against: Sequence[str] = (),
    unit: str = "",
    scale: str = "",
    level: float = 0.9,
    assure: bool = False,
    threshold: float | None = None,
) -> Assessment:
    """Choose a threshold by the normal scores and say what it finds.

    Args:
        fpr: false positive rate aimed at, in (0, 1).
        confidence: of every statement, in [0.5, 1).
        against: columns that detection is drawn against; by default severity and a size, where they vary.
        unit: of sizes, for files whose values carry none.
        scale, level: see `detection`.
        assure: use the threshold whose rate is at most `fpr` with the stated confidence, not only by estimate.
        threshold: use this one instead.

    Raises:
        ParameterError: a value is out of range.
        DataError: there are no normal samples, too few to assure the rate, or a column is missing or holds no numbers.
    """
    if assure and threshold is not None:
        raise ParameterError("--assure: cannot be given together with --threshold: that one is chosen already")
    if threshold is not None and not math.isfinite(threshold):
        raise ParameterError(f"--threshold: {threshold}: must be a number")
    bad = scores.anomalous
    normal, anomalous = scores.score[~bad], scores.score[bad]
    groups = scores.group if any(scores.group) else None
    ours, theirs = _groups(scores, ~bad, groups), _groups(scores, bad, groups)
    estimated = operating(normal, fpr, confidence, ours)
    safe, needed = assured(normal, fpr, confidence, ours), samples_needed(fpr, confidence)
    if assure and safe is None:
        raise DataError(
            f"{scores.where}: {len(normal)} normal samples: too few to assure a false positive rate of {fpr:g} "
            f"with a confidence of {confidence:g}: needs at least {needed}"
            + (" independent ones, and these are in groups" if len(normal) >= needed else "")
        )
    chosen, point = ("assured", safe) if assure and safe is not None else ("estimated", estimated)
    if threshold is not None:
        chosen, point = "given", fixed(normal, threshold, confidence, ours)
    found = safely = None
    if len(anomalous):
        design = ranks_design(anomalous, theirs)
        found = rate(anomalous > point.threshold, confidence, design)
        safely = None if safe is None else rate(anomalous > safe.threshold, confidence, design)
    area = None
    if len(anomalous):
        apart = None if groups is None else (_named(groups, ~bad), _named(groups, bad))
        area = (auroc(scores.score, bad), *delong(normal, anomalous, confidence, apart))
    notes = _notes(scores, estimated, fpr, ours)
    curves = []
    if len(anomalous):
        ill = scores.take(bad)
        for name in against or _axes(ill):
            values, own = ill.values(name)
            if own and unit and own != unit:
                raise ParameterError(f"--unit: {unit}: {name} is given in {own}")
            means = own or (unit if name.lower().startswith("size") and name.lower() != "size_px" else "")
            means = means or {"size_mm": "mm", "size_px": "px"}.get(name.lower(), "")
            curves.append(
                detection(
                    values,
                    ill.score > point.threshold,
                    against=name,
                    unit=means,
                    scale=scale,
                    level=level,
                    confidence=confidence,
                    groups=theirs,
                )
            )
    elif against:
        raise DataError(f"{scores.where}: no anomalous sample: detection is drawn against {against[0]} of those")
    return Assessment(
        scores,
        fpr,
        confidence,
        point,
        chosen,
        point.at_most <= fpr * (1 + 1e-12),
        safe,
        needed,
        found,
        safely,
        _kinds(scores, point.threshold, confidence, groups),
        area,
        average_precision(scores.score, bad) if len(anomalous) else None,
        tuple(curves),
        tuple(notes),
    )


def selected(scores: Scores, *, split: str = "", where: Mapping[str, str] | None = None) -> Scores:
    """Return the rows of a split, and of its anomalous rows those whose columns hold the given values.

    `where` leaves out no normal row: the threshold is that of all of them, whichever defects are looked at.

    Raises:
        DataError: a column is missing, or no row is left that is normal, or anomalous, where there were some.
    """
    kept = np.ones(len(scores), dtype=np.bool_)
    if split:
        kept &= np.array([text == split for text in scores.column("split")])
    for name, value in (where or {}).items():
        texts = scores.column(name)
        kept &= ~scores.anomalous | np.array([text == value or _equal(text, value) for text in texts])
    asked = ", ".join(
        [*([f"--split {split}"] if split else []), *(f"--where {n}={v}" for n, v in (where or {}).items())]
    )
    for rows, kind in ((scores.anomalous, "anomalous"), (~scores.anomalous, "normal")):
        if rows.any() and not (rows & kept).any():
            raise DataError(f"{scores.where}: {asked}: leaves no {kind} row of {int(rows.sum())}")
    return scores.take(kept)


def _equal(text: str, value: str) -> bool:
    try:
        return float(text) == float(value)
    except ValueError:
        return False


def _groups(scores: Scores, rows: NDArray[np.bool_], groups: Sequence[str] | None) -> list[str] | None:
    if groups is None:
        return None
    names = _named(groups, rows)
    return names if len(set(names)) < len(names) else None


def _named(groups: Sequence[str], rows: NDArray[np.bool_]) -> list[str]:
    """Return the groups of some rows; a row without one is one of its own."""
    return [groups[i] or f"\0{i}" for i in np.flatnonzero(rows).tolist()]


def _axes(ill: Scores) -> list[str]:
    """Return the columns that detection is drawn against unless others are asked for."""
    sizes = [name for name in _SIZES if name in ill.others and _varies(ill.others[name])][:1]
    return [name for name in ("severity", *sizes) if name in ill.others and _varies(ill.others[name])]


def _varies(texts: Sequence[str]) -> bool:
    return len(set(texts) - {""}) > 1


def _kinds(scores: Scores, threshold: float, confidence: float, groups: Sequence[str] | None) -> dict[str, Rate]:
    names = sorted({kind for kind, bad in zip(scores.kind, scores.anomalous, strict=True) if bad and kind})
    found = {}
    for name in names:
        rows = scores.anomalous & np.array([kind == name for kind in scores.kind])
        own = scores.score[rows]
        found[name] = rate(own > threshold, confidence, ranks_design(own, _groups(scores, rows, groups)))
    return found


def _notes(scores: Scores, point: Operating, fpr: float, groups: list[str] | None) -> list[str]:
    notes, normals = [], int((~scores.anomalous).sum())
    if fpr * normals < 1:
        notes.append(f"{normals} normal samples cannot tell a rate of {fpr:g}: the threshold is their largest score")
    if point.ties > 1:
        notes.append(f"{point.ties} normal samples have the threshold as their score: they count as normal")
    if "split" in scores.others:
        split = np.array([text.lower() in ("train", "training") for text in scores.others["split"]])
        learned = int((split & ~scores.anomalous).sum())
        if learned:
            out = "; --split leaves them out" if learned < normals else ", and the threshold comes out too low"
            notes.append(
                f"{learned} normal samples are of the training split: a detector scores what it has learned from too "
                f"low{out}"
            )
    if groups is not None:
        notes.append(
            f"groups: {len(set(groups))} among {normals} normal samples: intervals allow for the dependence within "
            "them, approximately"
        )
    return notes
