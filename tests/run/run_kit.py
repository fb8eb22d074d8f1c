"""What several files of these tests share: clouds that are cheap to change, plans of them, trees and manifests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from anosynth.datasets.layout import find_layout
from anosynth.io.clouds import write_cloud
from anosynth.pointclouds import PerlinSurface, PointCloud
from anosynth.recipe import Recipe, Vary
from anosynth.run import Plan
from anosynth.run.reading import Reading


def wavy(seed: int, points: int = 150) -> PointCloud:
    """A height field, cheap to make and to change."""
    draw = np.random.default_rng(seed)
    xy = draw.uniform(0, 40, (points, 2))
    z = np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7 + seed)
    return PointCloud(np.column_stack([xy, z]).astype(np.float32), unit="mm")


def parts(folder: Path, number: int = 5) -> Path:
    """A new folder of some clouds."""
    folder.mkdir()
    for i in range(number):
        write_cloud(folder / f"p{i}.ply", wavy(i))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make(root: Path, **values) -> Plan:
    recipe = values.pop("recipe", None) or Recipe([Vary(PerlinSurface, area="0.1:0.2")], name="perlin-surface")
    reading = Reading(**{name: values.pop(name) for name in ("unit", "sample") if name in values})
    return Plan(root, find_layout("folder"), recipe, reading=reading, **values)


def records(out: Path, name: str = "manifest.jsonl") -> list[dict]:
    return [json.loads(line) for line in (out / name).read_text().splitlines()]


def rewrite(out: Path, lines: list[dict], name: str = "manifest.jsonl") -> None:
    (out / name).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def states(findings) -> dict[str, tuple[str, str]]:
    return {finding.id: (finding.state, finding.text) for finding in findings}
