"""What the report shows of features: a row a sample, and some cells before and after."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.datasets.features import TABLES
from anosynth.datasets.layout import find_layout
from anosynth.errors import AnosynthError
from anosynth.io.images import limited
from anosynth.io.inner import inside
from anosynth.io.tensors import read_state
from anosynth.seeding import as_rng

from .check import check_record
from .manifest import manifests, read_lines
from .of_features import maps_of
from .reading import Reading
from .sinks import Sink

_FILES, _SAMPLES, _CELLS = 40, 60, 2400
"""The most files, samples and cells that are looked at for the picture of normals against anomalies."""

_MOST_CENTRES = 4096


def rows_of(out: Path, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a record for each sample in place of one for its file, as far as its table can be read."""
    for record in records:
        tables = [output["path"] for output in record.get("outputs", []) if output.get("role") == TABLES]
        if not tables or not inside(out, tables[0]):
            yield record
            continue
        shared: dict[str, Any] = {key: record[key] for key in ("source", "category", "split") if key in record}
        try:
            with (out / tables[0]).open("rb") as file:
                for text in file:
                    line = json.loads(text)
                    yield {"id": f"{record['id']}[{line['sample']}]", **shared, **line}
        except (OSError, ValueError, KeyError, TypeError):
            yield record


def section(out: Path, header: Mapping[str, Any]) -> str:
    """Return the report's section on normals against anomalies; nothing if the files do not tell."""
    from anosynth.report.features import apart

    try:
        reading = Reading.from_record(header, out)
        with limited(reading.max_pixels):
            before, after = _cells(out, header, reading)
    except (AnosynthError, ImportError, OSError, KeyError, ValueError):
        return ""
    if len(before) < 4:
        return ""
    return apart(before, after, _centres(reading, before.shape[1]))


def _cells(out: Path, header: Mapping[str, Any], reading: Reading) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return labelled cells before and after, (K, C) each, evenly from the files and their samples."""
    layout, given = find_layout(header["layout"]), reading.of_features
    pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    made = [record for record in read_lines(manifests(out)[0]) if record.get("status") == "made"]
    files = [made[i] for i in _spread(len(made), _FILES)]
    for record in files:
        check_record(out, record, Sink(), str(out))
        truth = layout.read_truth(out, record)
        assert truth is not None
        maps = maps_of(out / header["root"] / record["source"]["path"], given)
        before = maps if truth.sample.normal is None else maps.instead(truth.sample.normal)
        after = before.instead(truth.sample.features)
        masks = truth.mask.reshape(len(before), -1)
        samples = _spread(len(before), max(1, _SAMPLES // len(files)))
        for i in samples:
            cells = np.flatnonzero(masks[i])
            # At random, so that of each place some sample is among the neighbours, and another is not.
            mixed = as_rng(0).child(record["id"], i).permutation(len(cells))
            cells = cells[mixed[: max(4, _CELLS // (len(files) * len(samples)))]]
            pairs.append((before.rows(i)[cells], after.rows(i)[cells]))
    if not pairs:
        return np.zeros((0, 1)), np.zeros((0, 1))
    width = pairs[0][0].shape[1]
    alike = [(own, other) for own, other in pairs if own.shape[1] == width]
    return np.concatenate([own for own, _ in alike]), np.concatenate([other for _, other in alike])


def _centres(reading: Reading, channels: int) -> NDArray[np.float64] | None:
    if not reading.of_features.fitted:
        return None
    for name, values in read_state(Path(reading.of_features.fitted))[0].items():
        if name.endswith(".centres") and values.shape[1] == channels and len(values) <= _MOST_CENTRES:
            return values.astype(np.float64)
    return None


def _spread(count: int, most: int) -> list[int]:
    """Return up to `most` numbers below `count`, evenly spaced."""
    return list(range(count)) if count <= most else [i * count // most for i in range(most)]
