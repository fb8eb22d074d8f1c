"""What the tests of the command share: processes, manifests, and how a bad input may be spoken of."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from anosynth.io.ply import ply_chunks
from anosynth.pointclouds import PointCloud

TIMEOUT = 60
NOT_FOR_USERS = ("internal error", "Error", "Errno", "0x", "numpy", "site-packages", "<class", "PIL", "imagecodecs")


def process(*words: str, **more) -> subprocess.CompletedProcess:
    """Run a line in a process of its own, as a shell would."""
    line = [sys.executable, "-m", "anosynth_cli", *words]
    more = {"capture_output": True, "text": True, "errors": "surrogateescape", "timeout": TIMEOUT, **more}
    return subprocess.run(line, check=False, **more)


def rows(out: Path) -> list[dict]:
    """Return the samples of a manifest."""
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()][1:]


def clear(message: str, name: str) -> None:
    """Assert that a `skipped:` message is one line about this file, with at most a hint."""
    first, *rest = message.splitlines()
    assert first.startswith(f"skipped: {name}: ")
    assert first.count(name) == 1
    assert len(first) < 300
    assert all(line.startswith(("hint: ", "      ")) for line in rest)
    for word in NOT_FOR_USERS:
        assert word not in message, f"not for users: {word}"


def fails_alone(call, line: str, path: Path, data: bytes, says: str) -> None:
    """Assert that of a folder of this one bad file nothing is made, and that one clear line says why."""
    path.write_bytes(data)
    code, out, err = call(f"{line} {path.parent.name}/{path.name} out")
    assert code == 1
    assert out == "out: 0 anomalous samples, 1 skipped\n"
    clear(err, path.name)
    assert says in err
    [row] = rows(Path("out"))
    assert row["status"] == "skipped"
    assert f"skipped: {row['reason']}\n" == err
    assert [path.name for path in Path("out").iterdir()] == ["manifest.jsonl"]


def ply(points, **more) -> bytes:
    """Return the bytes of a PLY file as anosynth writes it."""
    return b"".join(ply_chunks(PointCloud(np.asarray(points, dtype=np.float32), **more)))


def wave(points: int = 800) -> np.ndarray:
    """Return points (N, 3) of a gently waved surface of 40 x 40."""
    xy = np.random.default_rng(5).uniform(0, 40, (points, 2))
    return np.column_stack([xy, np.sin(xy[:, 0] / 9) + np.cos(xy[:, 1] / 7)]).astype(np.float32)


def encoded(pixels, form: str = "PNG", mode: str | None = None, **options) -> bytes:
    """Return the bytes of a photo as Pillow writes it."""
    stream = io.BytesIO()
    picture = Pillow.fromarray(pixels)
    (picture.convert(mode) if mode else picture).save(stream, form, **options)
    return stream.getvalue()


def grain(height: int = 40, width: int = 56) -> np.ndarray:
    """Return a photo (H, W, 3) of noise, on which any defect is seen."""
    return np.random.default_rng(4).integers(0, 256, (height, width, 3), dtype=np.uint8)
