"""The bytes that every generator makes, pinned: a change of them needs a new `version` and a line in the CHANGELOG.

`python tests/test_golden.py` writes tests/golden.json anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from anosynth.errors import NotMade
from anosynth.generator import find, names
from anosynth.pointclouds import PointCloud
from anosynth.recipe import Vary
from anosynth.seeding import stream
from anosynth.toy.clouds import scan
from anosynth.toy.depth import depth_map
from anosynth.toy.meshes import bracket, gear

GOLDEN = Path(__file__).parent / "golden.json"
ALL = names("pointclouds")


def parts() -> dict[str, PointCloud]:
    wide = scan(gear(1), 6000, rng=2, normals=False)
    return {
        "scan": scan(bracket(0), 8000, rng=1, normals=True),
        "wide": PointCloud(wide.points.astype(np.float64)),
        "mesh": bracket(0, fine=12.0),
        "map": depth_map(3, shape=(90, 120))[0],
    }


def digest(name: str, part: str, cloud: PointCloud) -> str:
    rng = stream(0, name, part)
    try:
        anomaly = Vary(find("pointclouds", name)).draw(rng.child("values"))(cloud, rng)
    except NotMade:
        return "not made"
    total = hashlib.sha256()
    arrays = [anomaly.sample.points, anomaly.mask, anomaly.effect, anomaly.instances, anomaly.removed]
    for array in [*arrays, anomaly.sample.normals, anomaly.sample.faces]:
        if array is not None:
            total.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return f"{find('pointclouds', name).version}:{total.hexdigest()[:32]}"


@pytest.mark.parametrize("part", ["scan", "wide", "mesh", "map"])
def test_bytes_are_the_pinned_ones(part):
    cloud = parts()[part]
    golden = json.loads(GOLDEN.read_text())
    made = {name: digest(name, part, cloud) for name in ALL}
    assert made == {name: golden[f"{name}/{part}"] for name in ALL}


def test_nothing_is_pinned_that_is_not_there():
    assert {key.split("/")[0] for key in json.loads(GOLDEN.read_text())} == set(ALL)


if __name__ == "__main__":
    clouds = parts()
    found = {f"{name}/{part}": digest(name, part, cloud) for name in ALL for part, cloud in clouds.items()}
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
