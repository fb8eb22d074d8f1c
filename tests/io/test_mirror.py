"""Mirrors of folders by URL: what lies there does not decide where on this machine it is put."""

from __future__ import annotations

import pytest

fsspec = pytest.importorskip("fsspec")

from anosynth.errors import DataError  # noqa: E402
from anosynth.io.remote import CACHE, mirror  # noqa: E402


@pytest.fixture
def store(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    monkeypatch.setattr(files, "store", {})
    files.pipe("/b/a.ply", b"x")
    return files.store


def test_a_folder_is_copied(store):
    folder = mirror("memory://b")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a.ply": b"x"}


@pytest.mark.parametrize("name", ["/b/../../../evil/q.ply", "/b/sub/../../q.ply", "/b/" + "n" * 300])
def test_a_name_that_leads_elsewhere_makes_nothing(store, tmp_path, name):
    store[name] = store["/b/a.ply"]
    with pytest.raises(DataError, match=r"memory://b: holds `.*`, which "):
        mirror("memory://b")
    assert not list(tmp_path.iterdir())
