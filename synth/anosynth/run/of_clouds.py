"""What the run layer needs to know of point clouds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anosynth.generator import Anomaly
from anosynth.io.clouds import read_cloud
from anosynth.labels import Faith, changed_rows, faith
from anosynth.pointclouds import PointCloud
from anosynth.report.clouds import anomaly_view as view
from anosynth.seeding import stream

if TYPE_CHECKING:
    from anosynth.datasets.layout import Truth

    from .execute import Place

__all__ = ["box", "compare", "read", "reading", "unit", "view"]


def reading(place: Place, key: str) -> tuple[Any, ...]:
    """Return what decides, beside the file, what is read: a sampled mesh depends on the seed and the key too."""
    return (
        (place.reading.unit, place.reading.sample, place.seed, key) if place.reading.sample else (place.reading.unit,)
    )


def read(path: Path, place: Place, key: str) -> PointCloud:
    """Read a source; of a mesh, the asked number of points sampled on it."""
    cloud = read_cloud(path, unit=place.reading.unit)
    if place.reading.sample and cloud.faces is not None:
        from anosynth.pointclouds._geometry.refine import sample

        cloud = sample(cloud, place.reading.sample, stream(place.seed, "sample", key))
    return cloud


def unit(anomaly: Anomaly) -> str | None:
    """Return the unit of effects."""
    found: str | None = anomaly.sample.unit
    return found


def box(anomaly: Anomaly, inside: NDArray[np.bool_]) -> list[list[float]]:
    """Return the lowest and the highest coordinates of some elements."""
    points = anomaly.sample.points[inside].astype(np.float64)
    return [points.min(axis=0).tolist(), points.max(axis=0).tolist()]


def compare(before: PointCloud, truth: Truth) -> Faith | str:
    """Compare the labels that were read back with what differs from the source; a text says why they do not fit."""
    assert truth.still is not None
    assert truth.removed is not None
    if len(truth.removed) and not 0 <= truth.removed.min() <= truth.removed.max() < len(before):
        return f"lists removed points beyond the source's {len(before)}"
    keep = np.ones(len(before), dtype=np.bool_)
    keep[truth.removed] = False
    rows = np.flatnonzero(keep)
    if len(truth.sample) < len(rows):
        return f"{len(truth.sample)} points: does not fit the source's {len(rows)}"
    # Text says nothing of its dtype; what was written with the source's one reads back the same in it.
    after = truth.sample.points[: len(rows)].astype(before.points.dtype)
    changed = changed_rows(before.points[rows], after)
    # A point that stays may be labelled beside a hole, nowhere else.
    still = truth.still[: len(rows)] & bool(len(truth.removed))
    return faith(changed, truth.mask[: len(rows)] & ~still)
