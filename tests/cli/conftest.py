"""A folder to work in, and lines as they are typed."""

from __future__ import annotations

import logging
import shlex
from pathlib import Path

import pytest

from anosynth_cli.main import run


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder, with no data sets elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANOSYNTH_DATASETS", raising=False)
    return tmp_path


@pytest.fixture
def call(capsys, caplog):
    """Run a line; return its exit code, its stdout and its stderr, remarks included."""
    caplog.set_level(logging.WARNING, logger="anosynth")

    def calling(line: str) -> tuple[int, str, str]:
        caplog.clear()
        code = run(shlex.split(line))
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "Warning" not in err
        return code, out, "".join(f"{record.getMessage()}\n" for record in caplog.records) + err

    return calling
