"""Parts whose shape is known in closed form, and the inverse of what a view packs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

BIG, SMALL = 30.0, 10.0


def torus_points(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    u, v = rng.random((2, count)) * 2 * np.pi
    normal = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], axis=1)
    ring = np.stack([np.cos(u), np.sin(u), np.zeros(count)], axis=1)
    return (BIG * ring + SMALL * normal).astype(np.float32), normal


def plate_points(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.random((count, 2)) * [120, 80], 0.02 * rng.standard_normal(count)])
    return points.astype(np.float32), np.tile([0.0, 0.0, 1.0], (count, 1))


def bumped(part: tuple[np.ndarray, np.ndarray], centre: Any, radius: float, height: float) -> dict[str, np.ndarray]:
    points, normal = part
    away = np.linalg.norm(points - np.asarray(centre), axis=1) / radius
    rise = np.where(away < 1, height * (1 - np.minimum(away, 1) ** 2) ** 2, 0.0)
    after = (points + normal * rise[:, None]).astype(np.float32)
    label = (after != points).any(axis=1)
    out = {"before": points, "after": after, "height": np.where(label, rise, 0).astype(np.float32), "label": label}
    for value in out.values():
        value.setflags(write=False)
    return out


def decoded(view: dict[str, Any]) -> dict[str, np.ndarray]:
    def raw(name: str, dtype: str) -> np.ndarray:
        return np.frombuffer(base64.b64decode(view[name], validate=True), dtype=dtype)

    out = {
        name: np.asarray(view["low"]) + view["step"] * raw(name, "<u2").reshape(-1, 3).astype(float)
        for name in ("plain", "marked", "origin", "removed")
    }
    out["height"] = raw("height", "<i2") * view["height_step"]
    out["flags"] = raw("flags", "u1")
    assert len(out["height"]) == len(out["flags"]) == len(out["marked"])
    return out


@pytest.fixture(scope="session")
def torus() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return torus_points


@pytest.fixture(scope="session")
def plate() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return plate_points


@pytest.fixture(scope="session")
def bump() -> Callable[..., dict[str, np.ndarray]]:
    return bumped


@pytest.fixture(scope="session")
def decode() -> Callable[[dict[str, Any]], dict[str, np.ndarray]]:
    return decoded
