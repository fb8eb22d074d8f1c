"""Finding the files of a folder: links, hidden ones, folders that cannot be looked into."""

from __future__ import annotations

from pathlib import Path

import pytest

from anosynth.datasets.layout import find_layout, walk
from anosynth.errors import DataError

PLY = frozenset([".ply"])


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder):
    return [path.as_posix() for path in walk(folder, PLY)]


def test_all_folders_sorted_by_the_whole_path(tmp_path):
    put(tmp_path, "b/a.ply", "a.PLY", "b.ply", "b/c/d.ply", "x.txt", ".hidden.ply", ".git/a.ply", "b-/a.ply")
    assert found(tmp_path) == ["a.PLY", "b-/a.ply", "b.ply", "b/a.ply", "b/c/d.ply"]


def test_links_are_followed_once(tmp_path):
    put(tmp_path, "in/sub/a.ply", "aside/b.ply")
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/sub/up").symlink_to("..")
    (tmp_path / "in/again").symlink_to(tmp_path / "in/sub")
    for name in ("out2", "out1"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "aside")
    (tmp_path / "in/self.ply").symlink_to("self.ply")
    assert found(tmp_path / "in") == ["out1/b.ply", "self.ply", "sub/a.ply"]


def test_what_is_no_folder(tmp_path):
    put(tmp_path, "a.ply")
    for path in (tmp_path / "a.ply", tmp_path / "none"):
        with pytest.raises(DataError, match=f"{path.name}: not a folder"):
            walk(path, PLY)


def test_a_folder_that_may_be_listed_but_not_entered(tmp_path, monkeypatch):
    put(tmp_path, "sub/a.ply")
    is_dir = Path.is_dir

    def refused(path, **options):
        if path.name == "a.ply":
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path, **options)

    # Who runs tests as root may enter any folder.
    monkeypatch.setattr(Path, "is_dir", refused)
    with pytest.raises(DataError, match="sub: cannot be listed: permission denied"):
        walk(tmp_path, PLY)


def test_tables_of_labels_are_no_clouds(tmp_path, caplog):
    put(tmp_path, "sub/a.obj", "sub/a.obj.labels.txt", "sub/a.obj.removed.txt", "b.labels.txt", "c.xyz")
    layout = find_layout("folder")
    assert [s.path.as_posix() for s in layout.samples(tmp_path)] == ["b.labels.txt", "c.xyz", "sub/a.obj"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: passed over tables of labels: 2 (sub/a.obj.labels.txt, ...)"
    ]
    # One that is given by its name, without the cloud, is taken at its word.
    assert [s.path.name for s in layout.named(tmp_path, [Path("sub/a.obj.labels.txt")])] == ["a.obj.labels.txt"]
