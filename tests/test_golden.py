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
from anosynth.images import Image
from anosynth.images._foreground import foreground
from anosynth.pointclouds import PointCloud
from anosynth.recipe import Vary
from anosynth.seeding import stream
from anosynth.toy.clouds import scan
from anosynth.toy.depth import depth_map
from anosynth.toy.images import toy_image
from anosynth.toy.meshes import bracket, gear
from needs import given

GOLDEN = Path(__file__).parent / "golden.json"
ALL = {family: names(family) for family in ("pointclouds", "images")}
"""Features have theirs in tests/features: they need torch."""


def parts() -> dict[str, PointCloud]:
    wide = scan(gear(1), 6000, rng=2, normals=False)
    return {
        "scan": scan(bracket(0), 8000, rng=1, normals=True),
        "wide": PointCloud(wide.points.astype(np.float64)),
        "mesh": bracket(0, fine=12.0),
        "map": depth_map(3, shape=(90, 120))[0],
    }


def photos() -> dict[str, Image]:
    washer = toy_image("washer", 1, size=128)[0]
    deep = toy_image("fabric", 2, size=96)[0][:80, :, 1].astype(np.uint16) * np.uint16(257)
    return {"photo": Image(washer, foreground(washer)), "deep": Image(deep)}


def samples() -> dict[str, tuple[str, object]]:
    found = {name: ("pointclouds", cloud) for name, cloud in parts().items()}
    return {**found, **{name: ("images", image) for name, image in photos().items()}}


def digest(family: str, name: str, part: str, sample: object) -> str:
    rng = stream(0, name, part)
    try:
        cls = find(family, name)
        anomaly = Vary(cls, **given(cls)).draw(rng.child("values"))(sample, rng)
    except NotMade:
        return "not made"
    total = hashlib.sha256()
    made = anomaly.sample
    own = [made.pixels] if family == "images" else [made.points, made.normals, made.faces, anomaly.removed]
    for array in [*own, anomaly.mask, anomaly.effect, anomaly.instances]:
        if array is not None:
            total.update(f"{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return f"{find(family, name).version}:{total.hexdigest()[:32]}"


def digests(part: str, family: str, sample: object) -> dict[str, str]:
    return {f"{family}/{name}/{part}": digest(family, name, part, sample) for name in ALL[family]}


@pytest.mark.parametrize("part", ["scan", "wide", "mesh", "map", "photo", "deep"])
def test_bytes_are_the_pinned_ones(part):
    made = digests(part, *samples()[part])
    golden = json.loads(GOLDEN.read_text())
    assert made == {key: golden[key] for key in made}


def test_nothing_is_pinned_that_is_not_there():
    pinned = {tuple(key.split("/")[:2]) for key in json.loads(GOLDEN.read_text())}
    assert pinned == {(family, name) for family in ALL for name in ALL[family]}


if __name__ == "__main__":
    found = {}
    for part, (family, sample) in samples().items():
        found.update(digests(part, family, sample))
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
