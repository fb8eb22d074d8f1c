"""What all tests share: how hypothesis runs, and clouds as fixtures."""

from __future__ import annotations

import pytest
from hypothesis import settings

from anosynth.pointclouds import PointCloud
from clouds_kit import block, box_mesh, depth_map, torus

# A first call imports and compiles; a busy machine takes its time: no test is about time.
settings.register_profile("anosynth", deadline=None)
settings.load_profile("anosynth")


SHAPES = {"torus": torus, "block": block, "mesh": box_mesh, "map": depth_map}


@pytest.fixture(params=sorted(SHAPES))
def shape(request: pytest.FixtureRequest) -> PointCloud:
    return SHAPES[request.param]()


@pytest.fixture
def ring() -> PointCloud:
    return torus()


@pytest.fixture
def cube() -> PointCloud:
    return block()


@pytest.fixture
def wavy_map() -> PointCloud:
    return depth_map()


@pytest.fixture
def make_torus():
    return torus
