"""Every example runs as its README says, in an empty folder, and prints what its README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDS = dict.fromkeys(
    ["albumentations", "feature_training", "image_training", "lightning_anomalib", "point_cloud_training"], "torch"
)


def shape_of(line: str) -> str:
    """A line without its numbers, which may differ in the last digit from one machine to another."""
    return re.sub(r"\d+(\.\d+)?", "#", line.strip())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/main.py")))
def test_example(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    run = subprocess.run(
        [sys.executable, EXAMPLES / name / "main.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert f"python examples/{name}/main.py" in readme
    shown = {shape_of(line) for line in readme.splitlines()}
    printed = [line for line in run.stdout.splitlines() if line.strip()]
    assert printed
    assert [line for line in printed if shape_of(line) not in shown] == []
