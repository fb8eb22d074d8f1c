"""Tables of scores: CSV, TSV or JSON lines, written by whatever detector."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.audit.pairs import BAD, GOOD
from anosynth.errors import DataError, ParameterError, did_you_mean

Floats = NDArray[np.float64]

KNOWN = ("score", "label", "severity", "size", "size_px", "size_mm", "type", "split", "group")
"""Columns that have a meaning; others may be named as what detection is drawn against."""

_FALSE, _TRUE = frozenset(["0", "0.0", "false", "no"]) | GOOD, frozenset(["1", "1.0", "true", "yes"]) | BAD
_WITH_UNIT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-zµ%]+2?)")
_COMMA = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_JSON = frozenset([".jsonl", ".ndjson", ".json"])


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores with their labels, and what else the table says of each row.

    Attributes:
        score: (N,) float64, higher for more anomalous, finite.
        anomalous: (N,) bool.
        kind: (N,) texts, the type of the defect; "" where there is none.
        group: (N,) texts, rows of one text are not independent of each other; "" where there are no groups.
        others: further columns as texts, by lower-case name.
        where: what messages call the table.
    """

    score: Floats
    anomalous: NDArray[np.bool_]
    kind: Sequence[str] = ()
    group: Sequence[str] = ()
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)
    where: str = "scores"

    def __post_init__(self) -> None:
        for name in ("kind", "group"):
            object.__setattr__(self, name, tuple(getattr(self, name)) or ("",) * len(self.score))

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.bool_]) -> Scores:
        """Return the rows that are marked, (N,) bool."""
        at = np.flatnonzero(rows).tolist()
        others = {name: [texts[i] for i in at] for name, texts in self.others.items()}
        kind, group = ([texts[i] for i in at] for texts in (self.kind, self.group))
        return Scores(self.score[at], self.anomalous[at], kind, group, others, self.where)

    def column(self, name: str) -> Sequence[str]:
        """Return a column's texts.

        Raises:
            DataError: there is none of that name; the message names those that are there.
        """
        known = {"type": self.kind, "group": self.group, **self.others}
        if name.lower() not in known:
            own = [name for name, texts in (("type", self.kind), ("group", self.group)) if any(texts)]
            raise DataError(f"{self.where}: no column `{name}`: it has score, label{_listed([*own, *self.others])}")
        return known[name.lower()]

    def values(self, name: str) -> tuple[Floats, str]:
        """Return a column as (N,) float64, NaN where it is empty, and the unit that its values carry, "" for none.

        Raises:
            DataError: there is no such column, a value is no number, or the values have different units.
        """
        texts, units, found = self.column(name), set[str](), np.full(len(self), math.nan)
        for i, text in enumerate(texts):
            if not text:
                continue
            number, unit = _measure(text)
            if number is None or not math.isfinite(number):
                raise DataError(f"{self.where}: row {i + 1}: {name}: {text}: expected a number")
            found[i] = number
            units.add(unit)
        if len(units) > 1:
            raise DataError(
                f"{self.where}: {name}: units {', '.join(sorted(u or 'none' for u in units))}: expected one"
            )
        return found, units.pop() if units else ""


def read_scores(path: str | Path, columns: Mapping[str, str] | None = None) -> Scores:
    """Read a table of scores: JSON lines or a list by its suffix, else text cut at tabs, `;` or `,`.

    Labels are 0 and 1, false and true, or words: the usual ones for normal (good, ok, normal, nominal) and anomalous
    (anomalous, bad, defect, ng), and any other word is the type of a defect where normal rows have one of the usual.

    Args:
        columns: names of columns in the file, by what they mean: {"score": "pred_score"}.

    Raises:
        ParameterError: `columns` names a meaning that there is not.
        DataError: the file cannot be read, lacks a column, or has a score or label that is none.
    """
    place, names = Path(path), dict(columns or {})
    for name in names:
        if name not in KNOWN:
            raise ParameterError(f"--columns: {name}: must be one of {', '.join(KNOWN)}{did_you_mean(name, KNOWN)}")
    try:
        text = place.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text: expected CSV, TSV or JSON lines") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from None
    rows = _of_json(text, str(path)) if place.suffix.lower() in _JSON else _of_text(text, place)
    return from_columns(_renamed(rows, names, str(path)), str(path))


def from_columns(columns: Mapping[str, Sequence[str]], where: str = "scores") -> Scores:
    """Return scores of columns of texts, by lower-case name; `score` and `label` must be among them.

    Raises:
        DataError: as `read_scores`.
    """
    for name in ("score", "label"):
        if name not in columns:
            found = ", ".join(columns) or "none"
            raise DataError(f"{where}: no column `{name}`: found {found}\nhint: --columns {name}=NAME says which it is")
    if not columns["score"]:
        raise DataError(f"{where}: no rows: expected scores of normal and anomalous samples")
    score = np.array([_score(text, i, where) for i, text in enumerate(columns["score"])])
    anomalous, words = _labels(columns["label"], where)
    kind = [word if bad else "" for word, bad in zip(columns.get("type", words), anomalous, strict=True)]
    others = {name: texts for name, texts in columns.items() if name not in ("score", "label", "type", "group")}
    return Scores(score, anomalous, kind, columns.get("group", ()), others, where)


def _of_text(text: str, path: Path) -> dict[str, list[str]]:
    head = text.split("\n", 1)[0]
    cut = "\t" if path.suffix.lower() == ".tsv" or "\t" in head else ";" if head.count(";") > head.count(",") else ","
    try:
        lines = [line for line in csv.reader(io.StringIO(text), delimiter=cut) if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise DataError(f"{path}: not a table: {error}") from None
    if not lines:
        raise DataError(f"{path}: empty: expected a line of column names and rows of scores")
    names, rows = [cell.strip() for cell in lines[0]], lines[1:]
    twice = [name for name, number in Counter(name.lower() for name in names if name).items() if number > 1]
    if twice:
        raise DataError(f"{path}: {twice[0]}: two columns of this name: expected one")
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise DataError(f"{path}: row {number}: {len(row)} cells: expected {len(names)}, as the first line has")
    columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(names)}
    if cut == ";":
        # Spreadsheets that cut at semicolons do so because their numbers have commas.
        for name, cells in columns.items():
            columns[name] = [cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell for cell in cells]
    return columns


def _of_json(text: str, where: str) -> dict[str, list[str]]:
    rows: list[Mapping[str, Any]] = []
    # Within JSON other separators than this one may stand as they are.
    lines = text.split("\n")
    if text.lstrip().startswith("["):
        # What is no list after all is refused line by line below.
        with suppress(ValueError, RecursionError):
            lines = [json.dumps(row) for row in json.loads(text)]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{where}: line {number}: not a JSON object: expected one a line") from None
        if not isinstance(row, dict):
            raise DataError(f"{where}: line {number}: not a JSON object: expected one a line")
        rows.append(row)
    names = {name: None for row in rows for name in row}
    return {name: [_text(row.get(name)) for row in rows] for name in names}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).strip() if isinstance(value, (str, int, float)) else json.dumps(value)


def _renamed(columns: Mapping[str, list[str]], names: Mapping[str, str], where: str) -> dict[str, list[str]]:
    found = {name.lower(): texts for name, texts in columns.items()}
    for meaning, name in names.items():
        if name.lower() not in found:
            raise DataError(
                f"{where}: no column `{name}` (--columns {meaning}={name}): found {', '.join(columns) or 'none'}"
            )
    taken = {name.lower() for name in names.values()}
    renamed = {name: texts for name, texts in found.items() if name not in taken}
    renamed.update({meaning: found[name.lower()] for meaning, name in names.items()})
    return renamed


def _score(text: str, row: int, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: row {row + 1}: score: {text or 'empty'}: expected a number")
    return number


def _labels(texts: Sequence[str], where: str) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which rows are anomalous, and the types that labels name."""
    lower = [text.lower() for text in texts]
    named = any(text in GOOD for text in lower)
    anomalous, kinds = np.zeros(len(texts), dtype=np.bool_), []
    for i, (text, word) in enumerate(zip(texts, lower, strict=True)):
        if word not in _FALSE and word not in _TRUE and (not named or not word or _measure(word)[0] is not None):
            raise DataError(f"{where}: row {i + 1}: label: {text or 'empty'}: expected 0 or 1, or good or anomalous")
        anomalous[i] = word not in _FALSE
        kinds.append("" if word in _FALSE or word in _TRUE else text)
    return anomalous, kinds


def _measure(text: str) -> tuple[float | None, str]:
    """Return number and unit of a text, None if it is no number."""
    match = _WITH_UNIT.fullmatch(text)
    try:
        return (float(match[1]), match[2]) if match else (float(text), "")
    except ValueError:
        return None, ""


def _listed(names: Iterable[str]) -> str:
    return "".join(f", {name}" for name in names)
