"""What files and manifests of strangers might do beyond being read: run code, or write elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_manifests import lines_of, put, said


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


@pytest.mark.parametrize("suffix", ["npy", "npz", "pt", "pth", "safetensors"])
@pytest.mark.parametrize("command", ["features", "pointcloud", "images"])
def test_files_run_no_code(tmp_path, command, suffix):
    import pickle

    mark, path = tmp_path / "sprung", tmp_path / "good" / f"x.{suffix}"
    path.parent.mkdir()
    trap = np.array([Trap(mark)], dtype=object)
    if suffix == "npy":
        np.save(path, trap, allow_pickle=True)
    elif suffix == "npz":
        np.savez(path, features=trap, points=trap)
    else:
        if command == "features" and suffix != "safetensors":
            pytest.importorskip("torch")
        path.write_bytes(pickle.dumps({"features": Trap(mark)}))
    code, _ = said([command, "--no-report", str(path), str(tmp_path / "out")])
    assert code == 1
    assert not mark.exists()


def test_a_replay_of_clouds_stays_in_its_folder(tmp_path, monkeypatch):
    """Through a link within OUT, `..` leads to a place within it, and elsewhere in a folder without that link."""
    from anosynth.io.clouds import write_cloud
    from anosynth.pointclouds import PointCloud

    monkeypatch.setenv("TMPDIR", str(tmp_path / "aside"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "aside").mkdir()
    (tmp_path / "good").mkdir()
    xy = np.random.default_rng(1).uniform(0, 40, (150, 2))
    write_cloud(tmp_path / "good" / "p.xyz", PointCloud(np.column_stack([xy, np.sin(xy[:, 0] / 9)]), unit="mm"))
    out = tmp_path / "out"
    assert said(["pointcloud", "--area", "0.2", "--no-report", str(tmp_path / "good"), str(out)])[0] == 0
    (out / "one" / "two" / "three").mkdir(parents=True)
    (out / "deep").symlink_to(out / "one" / "two" / "three")
    lines = lines_of(out)
    lines[1]["id"] = "deep/../../../escaped/x.xyz"
    put(out, lines)
    for line in (["replay", str(out)], ["replay", str(out), "--write", str(tmp_path / "again")]):
        code, text = said(line)
        assert not list(tmp_path.rglob("x.xyz*"))
        assert code == 1
        assert text == (
            f"error: {out}/manifest.jsonl: line 2: the manifest names `deep/../../../escaped/x.xyz`, "
            "which lies outside\n"
        )
