"""Toy data sets, and anomalies made by hand of their samples."""

from __future__ import annotations

import numpy as np
import pytest

from anosynth.datasets.layout import find_layout
from anosynth.generator import Anomaly, Generator
from anosynth.io.clouds import read_cloud
from anosynth.toy import make_toy

LAYOUTS = ("anomaly-shapenet", "minishift", "mulsen", "mvtec3d", "real3d")


class HandMade(Generator):
    family = "pointclouds"


def changed(cloud, *, lift=0.03, remove=False):
    """Lift a few points spread over the cloud, label one that stays, and take three away (or blank them in a map)."""
    valid = np.flatnonzero(cloud.valid)
    rows = valid[:: max(1, len(valid) // 9)][:8]
    moved, rim, gone = rows[:4], rows[4:5], rows[5:8] if remove else rows[:0]
    points = cloud.points[moved].astype(np.float64) + np.array([0.0, 0.0, lift * cloud.diagonal])
    mask, effect = np.zeros(len(cloud), dtype=bool), np.zeros(len(cloud), dtype=np.float32)
    instances = np.zeros(len(cloud), dtype=np.uint16)
    mask[moved] = mask[rim] = True
    instances[moved], instances[rim] = 1, 2
    effect[moved] = np.float32(lift * cloud.diagonal)
    after = cloud.moved(moved, points)
    removed = np.zeros(0, dtype=np.int64)
    if cloud.grid is not None:
        mask[gone], instances[gone] = True, 2
        after = after.moved(gone, np.zeros((len(gone), 3)))
    elif remove:
        keep = np.setdiff1d(np.arange(len(cloud)), gone)
        mask, effect, instances, removed = mask[keep], effect[keep], instances[keep], gone
        faces = None
        if cloud.faces is not None:
            whole = ~np.isin(cloud.faces, gone).any(axis=1)
            faces = (np.cumsum(np.isin(np.arange(len(cloud)), keep)) - 1)[cloud.faces[whole]]
        after = after.taken(keep, faces)
    return Anomaly(after, mask, effect, instances, HandMade(), removed=removed)


class Written:
    """A sample written by a layout, and all that is known about it."""

    def __init__(self, name, root, out, *, variant=0, at=0, **how):
        self.layout = find_layout(name)
        self.root, self.out = root, out
        self.source = self.layout.sources(root)[at]
        self.before = read_cloud(root / self.source.path)
        self.anomaly = changed(self.before, **how)
        self.target = self.layout.target(self.source, "hand-made", variant)
        self.outputs = self.layout.write(root, out, self.source, self.target, self.anomaly)
        self.record = {"outputs": [{"role": output.role, "path": output.path} for output in self.outputs]}

    def path(self, role):
        [path] = [output.path for output in self.outputs if output.role == role]
        return self.out / path

    def truth(self):
        return self.layout.read_truth(self.out, self.record)


@pytest.fixture(scope="session")
def toys(tmp_path_factory):
    """The root of a toy data set by the name of its layout; not to be written to."""
    folder = tmp_path_factory.mktemp("toys")
    for name in LAYOUTS:
        make_toy(name, folder / name, count=4, points=600)
    return {name: folder / name for name in LAYOUTS}


@pytest.fixture
def write(toys, tmp_path):
    def one(name, **how):
        return Written(name, how.pop("root", toys[name]), how.pop("out", tmp_path / "out"), **how)

    return one
