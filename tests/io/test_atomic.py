"""Files appear whole or not at all, and what killed runs leave is found again."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys

import pytest

from anosynth.errors import DataError, WriteError
from anosynth.io.atomic import atomic_write, sweep


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def left_over(folder, name="x.ply", pid=1):
    path = folder / f".{name}.{pid}.0123abcd.tmp"
    path.write_bytes(b"half")
    return path


def test_nothing_is_seen_before_the_end_and_no_temporary_name_after_it(tmp_path):
    target = tmp_path / "x.ply"
    target.write_bytes(b"old")
    with atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
        (temporary,) = set(names(tmp_path)) - {"x.ply"}
        assert temporary.startswith(f".x.ply.{os.getpid()}.")
        assert temporary.endswith(".tmp")
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["x.ply"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_mode_obeys_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        with atomic_write(tmp_path / "x"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("error", [ValueError("x"), DataError("x"), KeyboardInterrupt(), WriteError("y: said already")])
def test_an_error_in_the_block_passes_and_leaves_the_old_file(tmp_path, error):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, atomic_write(target) as file:
        raise file.write(b"new") and error
    assert caught.value is error
    assert names(tmp_path) == ["x"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("code", "hint"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "another output folder"), (errno.EROFS, "read-only")],
)
def test_a_refusing_disk_is_explained(tmp_path, code, hint):
    with pytest.raises(WriteError, match=hint) as caught, atomic_write(tmp_path / "x.ply"):
        raise OSError(code, os.strerror(code))
    assert str(caught.value).startswith(f"{tmp_path}/x.ply: cannot be written: ")
    assert names(tmp_path) == []


def test_an_error_about_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "x"):
        (tmp_path / "input").read_bytes()
    assert names(tmp_path) == []


def test_a_missing_folder_and_a_folder_in_the_way(tmp_path):
    with pytest.raises(WriteError, match=r"hint: the folder does not exist"), atomic_write(tmp_path / "no" / "x"):
        pass
    with pytest.raises(WriteError, match="is a directory"), atomic_write(tmp_path):
        pass


@pytest.mark.parametrize("raw", [b"a\xff\xfe.ply", "größe.ply".encode(), b"n" * 255, "ß".encode() * 127, b".hidden"])
def test_any_name_the_system_allows(tmp_path, raw):
    target = tmp_path / os.fsdecode(raw)
    with atomic_write(target) as file:
        file.write(b"x")
    assert [os.fsencode(path.name) for path in tmp_path.iterdir()] == [raw]


def test_sweep_takes_left_overs_at_any_depth_and_nothing_else(tmp_path):
    deep = tmp_path / "a" / os.fsdecode(b"b\xff")
    deep.mkdir(parents=True)
    left_over(tmp_path), left_over(deep, os.fsdecode(b"\xff.ply")), left_over(deep, "new\nline", pid=os.getpid())
    keep = [".x.ply.tmp", "x.ply.1.0123abcd.tmp", ".x.1.0123abcd.tmp2", ".x.1.0123ABCD.tmp", "x.ply"]
    for name in keep:
        (tmp_path / name).write_bytes(b"")
    os.mkfifo(tmp_path / ".pipe.1.0123abcd.tmp")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    beyond = left_over(outside)
    (tmp_path / "link").symlink_to(outside)
    assert sweep(tmp_path) == 3
    assert names(tmp_path) == sorted([*keep, ".pipe.1.0123abcd.tmp", "a", "link"])
    assert names(deep) == []
    assert beyond.exists()
    assert sweep(tmp_path / "missing") == 0


def test_sweep_leaves_files_that_are_being_written(tmp_path):
    with atomic_write(tmp_path / "x") as file:
        file.write(b"x")
        assert sweep(tmp_path) == 0
    assert names(tmp_path) == ["x"]


def test_sweep_takes_what_a_killed_process_left(tmp_path):
    program = (
        "import sys; from anosynth.io.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); print('now', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "x")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"now\n"
        assert sweep(tmp_path) == 0
        child.send_signal(signal.SIGKILL)
    assert len(names(tmp_path)) == 1
    assert sweep(tmp_path) == 1
    assert names(tmp_path) == []
