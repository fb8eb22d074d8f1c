"""The same seed gives the same arrays on every machine and in every release, unless the changelog says otherwise."""

from __future__ import annotations

import hashlib

import pytest

from anosynth.toy.clouds import scan
from anosynth.toy.depth import depth_map
from anosynth.toy.meshes import PARTS

GOLDEN = {
    "plate": ("624763ae7916eb5b", "4c3e1e8605ce30c7"),
    "shaft": ("5615e1f5abca11ed", "e163815ad4fb5d97"),
    "gear": ("b1e9e60c103e9aa9", "65650bc0f7be6bc6"),
    "bracket": ("9f59b81537bb55fc", "840ab7f74248ff34"),
    "shell": ("196d65a41aa9192d", "76eca490f3f98dff"),
    "torus": ("012d74a4ad8274b7", "64fa01ca16ebbe3a"),
}


def digest(*arrays):
    total = hashlib.sha256()
    for array in arrays:
        total.update(array.tobytes())
    return total.hexdigest()[:16]


@pytest.mark.parametrize("part", PARTS)
def test_parts_and_scans(part):
    mesh = PARTS[part](3)
    cloud = scan(mesh, 1000, 1, noise=0.02)
    found = digest(mesh.points, mesh.faces), digest(cloud.points, cloud.normals, cloud.attributes["intensity"])
    assert found == GOLDEN[part]


def test_depth_map():
    cloud, picture = depth_map(2, (60, 80))
    assert (digest(cloud.points), digest(picture)) == ("df4714c14f37d83c", "3b1d6f0f0cd4f98d")
