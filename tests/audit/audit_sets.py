"""Tiny data sets, honest ones and each fault that tools are known to have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from anosynth.audit import audit

SIZE = (64, 80)


def shot(number, size=SIZE):
    """A photo of its own: waves and noise, grey values from 60 to 200."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[: size[0], : size[1]]
    waves = sum(np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-0.3, 0.3, (5, 3)) * [1, 1, 20])
    return np.clip(130 + 12 * waves + rng.normal(0, 4, size), 60, 200).astype(np.uint8)


def blob(number, size=SIZE):
    rng = np.random.default_rng(1000 + number)
    y, x = np.mgrid[: size[0], : size[1]]
    row, column = rng.uniform(0.3, 0.6, 2) * size
    return ((y - row) / 6) ** 2 + ((x - column) / 9) ** 2 <= 1


def save(path: Path, pixels, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(path, **options)
    return path


def honest(image, number):
    mask = blob(number, image.shape)
    after = image.copy()
    after[mask] += 40
    return after, mask


def mvtec(root: Path, make=honest, count=6, *, kind="scratch") -> Path:
    """`root/data` in the layout of MVTec AD, each defect's source in `root/sources` under the beginning of its name."""
    data = root / "data" / "part"
    for number in range(count):
        save(data / "train" / "good" / f"{number:03d}.png", shot(number))
        save(data / "test" / "good" / f"{number:03d}.png", shot(100 + number))
        source = shot(200 + number)
        save(root / "sources" / f"s{number:03d}.png", source)
        after, mask = make(source, number)
        save(data / "test" / kind / f"s{number:03d}_001.png", after)
        if mask is not None:
            save(data / "ground_truth" / kind / f"s{number:03d}_001_mask.png", np.asarray(mask) * np.uint8(255))
    return root / "data"


def codes(outcome, *, faults=True):
    """Return the findings that are faults, or those that are none, by their codes."""
    return {finding.code: finding for finding in outcome.findings if finding.fault is faults}


def run(tmp_path, make=honest, **options):
    """Audit a data set of `mvtec` with its sources."""
    return audit(mvtec(tmp_path, make), sources=tmp_path / "sources", **options)
