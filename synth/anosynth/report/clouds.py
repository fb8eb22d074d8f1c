"""Views of changed clouds and meshes for the report."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from anosynth.generator import Anomaly
from anosynth.pointclouds._geometry.triangles import face_areas

from .views import cloud_view

Array = NDArray[Any]

_ON_MESH = 8000
_LABELLED_SHARE = 0.4
# The plastic number's sequence: evenly spread barycentric pairs without randomness.
_R2 = (0.7548776662466927, 0.5698402909980532)


def anomaly_view(anomaly: Anomaly) -> dict[str, Any]:
    """Return the view of an anomaly: where every point was and is, its height and its label."""
    before, after = anomaly.before, anomaly.sample
    assert anomaly.origin is not None
    assert anomaly.removed is not None
    if after.faces is not None and len(after.faces):
        return _mesh_view(anomaly)
    old, new = before.points, after.points
    height, label = anomaly.effect, anomaly.mask
    valid_old, valid_new = before.valid, after.valid
    if len(anomaly.removed) or (anomaly.origin < 0).any():
        fresh, gone = anomaly.origin < 0, anomaly.removed
        old = np.concatenate([np.where(fresh[:, None], np.nan, before.points[anomaly.origin]), before.points[gone]])
        new = np.concatenate([after.points, np.full((len(gone), 3), np.nan, dtype=after.points.dtype)])
        height = np.concatenate([height, np.zeros(len(gone), dtype=height.dtype)])
        label = np.concatenate([label, np.zeros(len(gone), dtype=np.bool_)])
        valid_old = np.concatenate([valid_old[anomaly.origin] & ~fresh, valid_old[gone]])
        valid_new = np.concatenate([after.valid, np.zeros(len(gone), dtype=np.bool_)])
    return cloud_view(old, new, height, label, valid=valid_new, valid_before=valid_old, unit=after.unit)


def _mesh_view(anomaly: Anomaly) -> dict[str, Any]:
    """Show a mesh by points spread over its faces: the vertices of a CAD mesh say little about its surface."""
    before, after, origin = anomaly.before, anomaly.sample, anomaly.origin
    assert origin is not None
    labelled = anomaly.mask[after.faces].any(axis=1)
    area = face_areas(after.points, after.faces)
    inside = float(area[labelled].sum())
    boost = _LABELLED_SHARE * float(area[~labelled].sum()) / ((1 - _LABELLED_SHARE) * inside) if inside else 1.0
    face, weights = _spread(np.where(labelled, area * max(boost, 1.0), area))
    corners = after.faces[face]
    source = origin[corners]
    known = (source >= 0).all(axis=1)
    new = (after.points[corners] * weights[:, :, None]).sum(axis=1)
    old = (before.points[np.maximum(source, 0)] * weights[:, :, None]).sum(axis=1)
    height = (anomaly.effect[corners] * weights).sum(axis=1)
    label = anomaly.mask[corners].any(axis=1)
    gone = np.zeros((0, 3))
    if anomaly.removed is not None and len(anomaly.removed):
        lost = np.zeros(len(before), dtype=np.bool_)
        lost[anomaly.removed] = True
        broken = before.faces[lost[before.faces].any(axis=1)]
        gone = before.points[broken].mean(axis=1)
    pad = len(gone)
    return cloud_view(
        np.concatenate([np.where(known[:, None], old, np.nan), gone]),
        np.concatenate([np.where((label | ~known)[:, None], new, old), np.full((pad, 3), np.nan)]),
        np.concatenate([np.where(label, height, 0), np.zeros(pad)]),
        np.concatenate([label, np.zeros(pad, dtype=np.bool_)]),
        unit=after.unit,
        # The highest vertex need not be among the points.
        peak=float(np.abs(anomaly.effect[anomaly.mask]).max(initial=0.0)),
    )


def _spread(area: Array) -> tuple[Array, Array]:
    """Return the faces (M,) of evenly spread points and their barycentric weights (M, 3)."""
    running = np.cumsum(area)
    step = (np.arange(_ON_MESH) + 0.5) / _ON_MESH * running[-1]
    face = np.minimum(np.searchsorted(running, step), len(area) - 1)
    a, b = ((np.arange(1, _ON_MESH + 1) * ratio) % 1.0 for ratio in _R2)
    over = a + b > 1
    a, b = np.where(over, 1 - a, a), np.where(over, 1 - b, b)
    return face, np.stack([1 - a - b, a, b], axis=1)
